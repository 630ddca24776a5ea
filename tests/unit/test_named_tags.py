"""Data sets by names of tags: to DICOM JSON, through the core, and back."""

import json

import pytest

from vna import _core
from vna.errors import BadRequest, UnknownTag
from vna.services.named_tags import data_set_of, tags_of, text, text_of, values

EXPLICIT = "1.2.840.10008.1.2.1"
TAGS = {
    "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "PatientID": "P 7",
    "PatientWeight": "70.5",
    "PregnancyStatus": "4",
    "PatientComments": "a\\b",
    "OtherPatientNames": "A^B\\C^D",
    "RequestedProcedureCodeSequence": [],
    "ScheduledProcedureStepSequence": [
        {"Modality": "CT", "ScheduledProcedureStepStartDate": "20261125"}
    ],
    "AccessionNumber": "",
}


def through_the_core(data_set):
    encoded = _core.data_set_from_json(json.dumps(data_set).encode(), EXPLICIT)
    return json.loads(_core.data_set_to_json(encoded, EXPLICIT))


def test_tags_come_back_from_the_encoding_as_they_were_given():
    found = tags_of(through_the_core(data_set_of(TAGS)))
    assert found.pop("SpecificCharacterSet") == "ISO_IR 192"
    assert found == TAGS


def test_tags_may_be_given_by_number_and_shown_by_number():
    data_set = data_set_of({"0010,0020": "1", "00080050": "2", "0040-0100": {"0008,0060": "CT"}})
    assert tags_of(data_set, "short") == {
        "0010,0020": "1",
        "0008,0050": "2",
        "0040,0100": [{"0008,0060": "CT"}],
    }
    assert tags_of(data_set, "full")["0008,0050"] == {
        "Name": "AccessionNumber",
        "Type": "String",
        "Value": "2",
    }


@pytest.mark.parametrize(
    ("tags", "error"),
    [
        ({"PatientNam": "A"}, UnknownTag),
        ({"PixelData": "x"}, BadRequest),
        ({"Rows": "many"}, BadRequest),
        ({"PatientID": {"a": 1}}, BadRequest),
        ({"ScheduledProcedureStepSequence": ["x"]}, BadRequest),
        ("PatientID", BadRequest),
    ],
)
def test_what_is_no_tag_or_no_value_of_it_is_refused(tags, error):
    with pytest.raises(error):
        data_set_of(tags)


def test_sequences_nested_without_end_are_refused():
    tags = {}
    for _ in range(40):
        tags = {"ScheduledProcedureStepSequence": [tags]}
    with pytest.raises(BadRequest, match="nested"):
        data_set_of(tags)


def test_values_are_read_with_their_padding_off():
    data_set = {"00100020": {"vr": "LO", "Value": [" 7 ", "8"]}, "00100030": {"vr": "DA"}}
    assert text(data_set, "00100020") == "7"
    assert values(data_set, "00100030") == []
    assert text(data_set, "00100040") == ""
    assert text_of({"Alphabetic": "A^B", "Phonetic": "C"}) == "A^B==C"
