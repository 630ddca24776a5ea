//! The data plane: sockets, ingest, group commit.
