"""Performed procedure steps: their states, and what becomes of the worklist."""

import asyncio

import pytest

from vna.control import Control
from vna.errors import (
    AttributeMissing,
    AttributeValueMissing,
    BadRequest,
    Conflict,
    DuplicateInstance,
    InvalidInstance,
    NotFound,
)
from vna.services import procedure_steps as steps
from vna.services.caller import Caller
from vna.services.named_tags import data_set_of
from vna.services.worklist import items
from vna.services.worklist.keys import keys_of

CT01 = Caller(way_in="dimse", calling_ae_title="CT01")
BEGUN = {
    "Modality": "CT",
    "PatientID": "P1",
    "PerformedStationAETitle": "CT01",
    "PerformedProcedureStepStartDate": "20261125",
    "PerformedProcedureStepStartTime": "1015",
    "PerformedProcedureStepStatus": "IN PROGRESS",
    "PerformedProcedureStepID": "PPS1",
    "ScheduledStepAttributesSequence": [
        {"StudyInstanceUID": "1.2", "AccessionNumber": "A1", "ScheduledProcedureStepID": "S1"}
    ],
}
SERIES = {"PerformedSeriesSequence": [{"SeriesInstanceUID": "1.2.3"}]}
END = {"PerformedProcedureStepEndDate": "20261125", "PerformedProcedureStepEndTime": "1030"}
COMPLETED = {"PerformedProcedureStepStatus": "COMPLETED"} | END | SERIES
DISCONTINUED = {"PerformedProcedureStepStatus": "DISCONTINUED"} | END
WRONG_ENTRY = {
    "PerformedProcedureStepDiscontinuationReasonCodeSequence": [
        {"CodeValue": "110514", "CodingSchemeDesignator": "DCM", "CodeMeaning": "Incorrect entry"}
    ]
}


@pytest.fixture
def control(tmp_path):
    control = Control(tmp_path / "control.sqlite")
    scheduled = data_set_of(
        {
            "StudyInstanceUID": "1.2",
            "ScheduledProcedureStepSequence": [{"ScheduledProcedureStepID": "S1"}],
        }
    )
    item = items.New("item", keys_of(scheduled), b"")
    control.run_blocking(lambda connection: items.write(connection, 1, [item]))
    yield control
    control.close()


def create(control, uid="1.9", tags=BEGUN, caller=CT01):
    asyncio.run(steps.create(control, uid, data_set_of(tags), caller))


def change(control, tags, uid="1.9", caller=CT01):
    return asyncio.run(steps.change(control, uid, data_set_of(tags), caller))


def scheduled_status(control):
    return control.run_blocking(lambda connection: items.find(connection, 1, "item")).status


def step(control, uid="1.9"):
    return asyncio.run(steps.get(control, uid, 1))


def without(tags, name):
    return {key: value for key, value in tags.items() if key != name}


def test_a_step_begins_and_is_completed_and_so_is_the_scheduled_one(control):
    assert scheduled_status(control) == "SCHEDULED"
    create(control)
    assert (step(control).status, scheduled_status(control)) == ("IN PROGRESS", "IN PROGRESS")
    assert change(control, SERIES) == []
    assert change(control, COMPLETED) == []
    assert (step(control).status, scheduled_status(control)) == ("COMPLETED", "COMPLETED")
    shown = steps.shown(step(control))
    assert shown["Tags"]["PerformedSeriesSequence"] == [{"SeriesInstanceUID": "1.2.3"}]
    assert (shown["AET"], shown["Tags"]["PatientID"]) == ("CT01", "P1")


@pytest.mark.parametrize("end", [COMPLETED, DISCONTINUED])
def test_a_step_that_has_ended_is_not_changed(control, end):
    create(control)
    change(control, end)
    for tags in (SERIES, COMPLETED, DISCONTINUED, {"PerformedProcedureStepStatus": "IN PROGRESS"}):
        with pytest.raises(Conflict, match="has ended"):
            change(control, tags)
    assert step(control).status == end["PerformedProcedureStepStatus"]


def test_a_step_begun_for_the_wrong_entry_leaves_it_to_be_done(control):
    create(control)
    change(control, DISCONTINUED | WRONG_ENTRY)
    assert scheduled_status(control) == "SCHEDULED"


def test_a_scheduled_step_is_as_far_as_the_furthest_of_what_was_performed_of_it(control):
    create(control)
    change(control, DISCONTINUED)
    assert scheduled_status(control) == "DISCONTINUED"
    create(control, "1.10")
    assert scheduled_status(control) == "IN PROGRESS"
    change(control, COMPLETED, "1.10")
    assert scheduled_status(control) == "COMPLETED"


@pytest.mark.parametrize("name", sorted(without(BEGUN, "PatientID")))
def test_what_the_standard_requires_at_creation_is_required(control, name):
    with pytest.raises(AttributeMissing) as missing:
        create(control, tags=without(BEGUN, name))
    assert missing.value.dimse_status == 0x0120
    with pytest.raises(AttributeValueMissing) as empty:
        create(control, tags=BEGUN | {name: ""})
    assert empty.value.dimse_status == 0x0121
    assert missing.value.tag == empty.value.tag != ""
    assert asyncio.run(steps.listed(control, 1, 0, 0)) == []


def test_a_scheduled_step_without_its_study_is_refused(control):
    with pytest.raises(AttributeMissing, match="item 1"):
        create(control, tags=BEGUN | {"ScheduledStepAttributesSequence": [{}]})


@pytest.mark.parametrize("name", [*END, *SERIES])
def test_what_the_standard_requires_at_the_end_is_required(control, name):
    create(control)
    with pytest.raises(AttributeMissing):
        change(control, without(COMPLETED, name))
    assert (step(control).status, scheduled_status(control)) == ("IN PROGRESS", "IN PROGRESS")


def test_states_that_are_none_are_refused(control):
    with pytest.raises(BadRequest, match="created as"):
        create(control, tags=BEGUN | {"PerformedProcedureStepStatus": "COMPLETED"})
    create(control)
    with pytest.raises(BadRequest, match="takes"):
        change(control, {"PerformedProcedureStepStatus": "PAUSED"})


def test_what_may_not_be_changed_is_told_and_stays(control):
    create(control)
    assert change(control, {"PatientID": "P2", "Modality": "CT", "PatientComments": "x"}) == [
        "00100020"
    ]
    shown = steps.shown(step(control))["Tags"]
    assert (shown["PatientID"], shown["PatientComments"]) == ("P1", "x")


def test_a_uid_is_taken_once_in_a_tenant(control):
    create(control)
    with pytest.raises(DuplicateInstance):
        create(control)
    create(control, caller=Caller(way_in="dimse", tenant=2))
    with pytest.raises(NotFound):
        change(control, SERIES, "1.11")
    with pytest.raises(NotFound):
        change(control, SERIES, caller=Caller(way_in="dimse", tenant=3))


@pytest.mark.parametrize("uid", ["", "1.2.", "a", "1..2", "1" * 65, "1.2\n"])
def test_what_is_no_uid_names_no_step(control, uid):
    with pytest.raises(InvalidInstance) as error:
        create(control, uid)
    assert error.value.dimse_status == 0x0117


def test_steps_of_another_tenant_change_no_worklist(control):
    create(control, caller=Caller(way_in="dimse", tenant=2))
    assert scheduled_status(control) == "SCHEDULED"


def test_steps_are_listed_the_latest_first(control):
    for number in range(5):
        create(control, f"1.{number}")
    uids = [each.sop_instance_uid for each in asyncio.run(steps.listed(control, 1, 1, 3))]
    assert uids == ["1.3", "1.2", "1.1"]
