"""Worklist items between DICOM JSON and the encoding in which they are kept."""

from __future__ import annotations

import json
from typing import cast

import msgspec

from vna import _core
from vna.services.named_tags import DataSet

EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def decoded(data_set: bytes) -> DataSet:
    """Return an item in DICOM JSON; raises EncodingError."""
    return cast(DataSet, json.loads(_core.data_set_to_json(data_set, EXPLICIT_VR_LITTLE_ENDIAN)))


def encoded(data_set: DataSet) -> bytes:
    """Return an item as it is kept; raises EncodingError."""
    return _core.data_set_from_json(msgspec.json.encode(data_set), EXPLICIT_VR_LITTLE_ENDIAN)
