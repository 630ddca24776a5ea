"""Identifiers of queries to remote nodes: levels, and the ways of manufacturers."""

import json

import pytest

from vna import _core
from vna.errors import OutOfRange
from vna.services.modalities import Contact
from vna.services.named_tags import data_set_of, tags_of
from vna.services.remote_find import fitted, level_of
from vna.services.remote_queries import as_file, in_explicit, parents_of, shown
from vna.services.retrieving import (
    COMPRESSED,
    MOST_CONTEXTS,
    USUAL,
    Retrieve,
    contexts_of,
    only_unique,
)

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
ASKED = {
    "PatientName": "*",
    "PatientBirthDate": "2000*",
    "StudyDate": "*",
    "StudyDescription": "*",
    "SeriesDescription": "*x*",
    "InstanceNumber": "1",
}


def sent(level, manufacturer="Generic", normalize=True, **keys):
    identifier = fitted(data_set_of(ASKED | keys), level, manufacturer, normalize)
    return tags_of(identifier)


def test_a_query_asks_for_what_tells_its_answers_apart():
    assert sent("STUDY") == {
        "AccessionNumber": "",
        "PatientBirthDate": "2000*",
        "PatientID": "",
        "PatientName": "*",
        "QueryRetrieveLevel": "STUDY",
        "StudyDate": "*",
        "StudyDescription": "*",
        "StudyInstanceUID": "",
    }
    assert {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"} <= sent("IMAGE").keys()


def test_what_a_higher_level_does_not_know_is_not_asked_of_it():
    assert "StudyDescription" not in sent("PATIENT")
    assert "SeriesDescription" not in sent("STUDY")
    assert "InstanceNumber" not in sent("SERIES")
    assert sent("IMAGE")["InstanceNumber"] == "1"


def test_without_normalizing_keys_are_sent_as_they_are():
    told = sent("PATIENT", "GenericNoUniversalWildcard", normalize=False)
    assert told | ASKED == told
    assert told["QueryRetrieveLevel"] == "PATIENT"


@pytest.mark.parametrize(
    ("manufacturer", "expected"),
    [
        ("Generic", {"PatientName": "*", "StudyDate": "*", "StudyInstanceUID": ""}),
        ("GenericNoWildcardInDates", {"PatientName": "*", "StudyDate": "", "StudyInstanceUID": ""}),
        (
            "GenericNoUniversalWildcard",
            {"PatientName": "", "StudyDate": "", "StudyDescription": ""},
        ),
        ("GE", {"PatientID": "*", "StudyInstanceUID": "*", "AccessionNumber": "*"}),
        ("Vitrea", {"PatientName": "*", "StudyDate": "*", "StudyInstanceUID": ""}),
        ("SiemensSyngoCT", {"PatientName": "*", "StudyDate": "*", "StudyInstanceUID": ""}),
    ],
)
def test_nodes_of_a_manufacturer_get_what_they_understand(manufacturer, expected):
    told = sent("STUDY", manufacturer)
    assert told | expected == told
    assert told["PatientBirthDate"] == "2000*"


def test_ge_is_told_what_was_asked_if_it_was():
    assert sent("STUDY", "GE", PatientID="P1", StudyInstanceUID="")["PatientID"] == "P1"


@pytest.mark.parametrize("text", ["Study", "STUDY", "study", "Studies"])
def test_levels_have_the_names_that_clients_give_them(text):
    assert level_of(text) == "STUDY"


def test_other_levels_are_refused():
    with pytest.raises(OutOfRange, match="'Frame'"):
        level_of("Frame")


def test_answers_are_read_whatever_their_transfer_syntax():
    answer = data_set_of({"PatientName": "Müller^Jörg", "StudyInstanceUID": "1.2", "PatientID": ""})
    for transfer_syntax_uid in (IMPLICIT, EXPLICIT):
        encoded = _core.data_set_from_json(json.dumps(answer).encode(), transfer_syntax_uid)
        explicit = in_explicit(encoded, transfer_syntax_uid)
        assert b"PN" in explicit
        assert "Müller^Jörg".encode() in shown(explicit, "simplify")
        assert as_file(explicit)[128:132] == b"DICM"
        assert tags_of(parents_of(explicit, "STUDY")) == {"StudyInstanceUID": "1.2"}


def test_a_request_in_the_study_root_names_no_patient():
    both = data_set_of({"PatientID": "P1", "StudyInstanceUID": "1.2", "AccessionNumber": "A"})
    assert tags_of(only_unique(both, "STUDY")) == {"StudyInstanceUID": "1.2"}
    assert only_unique(both, "PATIENT") == both
    by_accession = data_set_of({"AccessionNumber": "A"})
    assert only_unique(by_accession, "STUDY") == by_accession


@pytest.mark.parametrize("count", [0, 1, 5, 30, 63, 64, 126, 200])
def test_what_may_come_fits_into_one_association(count):
    wanted = Retrieve(contact=Contact(modality="x"), service="get", level="PATIENT", identifiers=[])
    classes = [f"1.2.3.{number}" for number in range(count)]
    proposed = contexts_of(wanted, classes)
    assert len(proposed) <= 128
    expected = (classes or list(USUAL))[:MOST_CONTEXTS]
    assert {context.sop_class_uid for context in proposed[2:]} == set(expected)
    if 0 < count < 64:
        syntaxes = {uid for context in proposed[2:] for uid in context.transfer_syntaxes}
        assert {*COMPRESSED, IMPLICIT, EXPLICIT} == syntaxes
