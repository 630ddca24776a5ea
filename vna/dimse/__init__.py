"""The DICOM way in: what the data plane may decide by itself, and what it hands over."""
