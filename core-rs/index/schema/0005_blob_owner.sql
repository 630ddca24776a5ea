-- From a blob to the instance that has it: sizes of stored objects change when they are recompressed, and the counters
-- above them follow. Blobs are numbered as instances are, so this index grows at its end.
CREATE INDEX instance_blob ON instance (blob);
