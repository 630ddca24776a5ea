-- What only the job itself is to know, such as headers that say who asks: JSON, forgotten when the job has ended.
ALTER TABLE job ADD COLUMN secret TEXT;

-- Headers of requests to DICOMweb servers were part of what is to be done; their names stay there.
UPDATE job SET secret = json_extract(content, '$.headers')
    WHERE type IN ('DicomWebStowClient', 'DicomWebWadoRetrieveClient')
        AND state NOT IN ('Success', 'Failure') AND json_type(content, '$.headers') = 'object';
UPDATE job SET content = json_set(content, '$.headers',
        (SELECT json_group_array(header.key) FROM json_each(job.content, '$.headers') AS header))
    WHERE type IN ('DicomWebStowClient', 'DicomWebWadoRetrieveClient')
        AND json_type(content, '$.headers') = 'object';
