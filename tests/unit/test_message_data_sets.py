"""Data sets of DIMSE messages as JSON and back; pydicom is the oracle."""

import json
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from vna import _core
from vna.errors import BadRequest, EncodingError

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG = "1.2.840.10008.1.2.2"


def identifier():
    query = Dataset()
    query.SpecificCharacterSet = "ISO_IR 100"
    query.QueryRetrieveLevel = "STUDY"
    query.PatientName = "Müller^*"
    query.NumberOfStudyRelatedInstances = None
    step = Dataset()
    step.ScheduledStationAETitle = "CT01"
    step.Modality = ""
    query.ScheduledProcedureStepSequence = [step]
    query.Rows = 513
    return query


def encoded(data_set, syntax):
    out = DicomBytesIO()
    out.is_implicit_VR = syntax == IMPLICIT
    out.is_little_endian = syntax != BIG
    write_dataset(out, data_set)
    return out.getvalue()


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_a_message_data_set_is_the_same_in_json_and_back(syntax):
    data = encoded(identifier(), syntax)
    text = _core.data_set_to_json(data, syntax)
    model = json.loads(text)
    assert model["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Müller^*"}]}
    assert model["00201208"] == {"vr": "IS"}
    assert model["00400100"]["Value"] == [
        {"00080060": {"vr": "CS"}, "00400001": {"vr": "AE", "Value": ["CT01"]}}
    ]
    back = _core.data_set_from_json(text, syntax)
    read = dcmread(BytesIO(_core.write_file([], transfer_syntax_uid=syntax) + back), force=True)
    expected = identifier()
    expected.SpecificCharacterSet = "ISO_IR 192"
    assert read == expected


def test_long_values_are_in_place():
    data_set = Dataset()
    data_set.add(DataElement(0x00420011, "OB", b"x" * 100_000))
    model = json.loads(_core.data_set_to_json(encoded(data_set, EXPLICIT), EXPLICIT))
    assert "InlineBinary" in model["00420011"]


def test_a_damaged_or_long_data_set_is_refused():
    data = encoded(identifier(), EXPLICIT)
    with pytest.raises(EncodingError):
        _core.data_set_to_json(data[:-1], EXPLICIT)
    with pytest.raises(BadRequest, match="4194304"):
        _core.data_set_to_json(bytes((4 << 20) + 1), EXPLICIT)
    with pytest.raises(BadRequest, match="4194304"):
        _core.data_set_from_json(bytes((4 << 20) + 1), EXPLICIT)
    with pytest.raises(EncodingError, match="VR"):
        _core.data_set_from_json(b'{"00100010":{"vr":"XX"}}', EXPLICIT)
