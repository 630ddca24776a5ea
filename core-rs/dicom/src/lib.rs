//! DICOM encoding without I/O: scanner, identity, character sets, JSON, frame tables.
