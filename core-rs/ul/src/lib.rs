//! DICOM upper layer and DIMSE messages: bytes in, events out; no sockets, no clock.
