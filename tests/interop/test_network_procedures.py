"""Performed procedure steps and storage commitment, in both roles, with each peer."""

import json

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid
from pynetdicom.sop_class import ModalityPerformedProcedureStep, StorageCommitmentPushModel
from support import awake
from support_matrix import cell
from support_network import UNCOMPRESSED, ask_orthanc, associate, by_keyword, upload_to_orthanc
from support_peers import until

pytestmark = [pytest.mark.peer, pytest.mark.peers]

COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"

# Procedure steps.


def procedure_step(status="IN PROGRESS"):
    reference = Dataset()
    reference.StudyInstanceUID = generate_uid()
    reference.ReferencedStudySequence = []
    reference.AccessionNumber = "A1"
    reference.RequestedProcedureID = "RP1"
    reference.RequestedProcedureDescription = "Abdomen"
    reference.ScheduledProcedureStepID = "SPS1"
    reference.ScheduledProcedureStepDescription = ""
    reference.ScheduledProtocolCodeSequence = []
    step = Dataset()
    step.Modality = "CT"
    step.PatientName = "Test^Person"
    step.PatientID = "W1"
    step.PatientBirthDate = ""
    step.PatientSex = ""
    step.ReferencedPatientSequence = []
    step.StudyID = ""
    step.PerformedProcedureStepID = "PPS1"
    step.PerformedStationAETitle = "CT1"
    step.PerformedStationName = ""
    step.PerformedLocation = ""
    step.PerformedProcedureStepStartDate = "20260302"
    step.PerformedProcedureStepStartTime = "083500"
    step.PerformedProcedureStepEndDate = ""
    step.PerformedProcedureStepEndTime = ""
    step.PerformedProcedureStepStatus = status
    step.PerformedProcedureStepDescription = ""
    step.PerformedProcedureTypeDescription = ""
    step.ProcedureCodeSequence = []
    step.PerformedSeriesSequence = []
    step.PerformedProtocolCodeSequence = []
    step.ScheduledStepAttributesSequence = [reference]
    return step


@cell("Procedure step", "SCP", "pynetdicom")
def test_pynetdicom_performs_a_step(ours):
    uid = generate_uid()
    association = associate(ours, (ModalityPerformedProcedureStep, UNCOMPRESSED))
    status, _ = association.send_n_create(procedure_step(), ModalityPerformedProcedureStep, uid)
    assert status.Status == 0
    change = Dataset()
    change.PerformedProcedureStepStatus = "COMPLETED"
    change.PerformedProcedureStepEndDate = "20260302"
    change.PerformedProcedureStepEndTime = "084500"
    series = Dataset()
    series.PerformingPhysicianName = ""
    series.ProtocolName = "Abdomen"
    series.OperatorsName = ""
    series.SeriesInstanceUID = generate_uid()
    series.SeriesDescription = ""
    series.RetrieveAETitle = ""
    series.ReferencedImageSequence = []
    series.ReferencedNonImageCompositeSOPInstanceSequence = []
    change.PerformedSeriesSequence = [series]
    status, _ = awake(association).send_n_set(change, ModalityPerformedProcedureStep, uid)
    assert status.Status == 0
    status, _ = awake(association).send_n_set(change, ModalityPerformedProcedureStep, uid)
    assert status.Status == 0x0110  # it is completed: no more changes (PS3.4 §F.7.2.2.2)
    association.release()
    assert "COMPLETED" in json.dumps(ours.server.get("/procedure-steps?expand"))


@cell("Procedure step", "SCU", "pynetdicom")
def test_we_tell_pynetdicom_of_a_step(ours, pynet):
    path = "/modalities/pynet/procedure-steps"
    uid = ours.post(path, {"Tags": by_keyword(procedure_step())})["SOPInstanceUID"]
    assert pynet.steps[uid].PerformedProcedureStepStatus == "IN PROGRESS"
    (scheduled,) = pynet.steps[uid].ScheduledStepAttributesSequence
    assert scheduled.ScheduledProcedureStepID == "SPS1"
    change = {"Tags": {"PerformedProcedureStepStatus": "DISCONTINUED"}}
    answer = ours.server.http.put(f"{path}/{uid}", json=change)
    assert answer.status_code == 200, answer.text
    assert pynet.steps[uid].PerformedProcedureStepStatus == "DISCONTINUED"
    assert pynet.steps[uid].PatientID == "W1"


# Storage commitment.


def commitment_request(study):
    request = Dataset()
    request.TransactionUID = generate_uid()
    request.ReferencedSOPSequence = []
    for one in [*study.data_sets, None]:
        item = Dataset()
        item.ReferencedSOPClassUID = CTImageStorage
        item.ReferencedSOPInstanceUID = one.SOPInstanceUID if one else generate_uid()
        request.ReferencedSOPSequence.append(item)
    return request


@cell("Storage commitment", "SCP", "pynetdicom")
def test_pynetdicom_is_told_what_is_safe(ours, pynet, study):
    ours.upload(study)
    request = commitment_request(study)
    association = associate(ours, (StorageCommitmentPushModel, UNCOMPRESSED), title=pynet.title)
    status, _ = association.send_n_action(
        request, 1, StorageCommitmentPushModel, COMMITMENT_INSTANCE
    )
    assert status.Status == 0
    association.release()

    def reported():
        reports = [one for one in pynet.reports if not isinstance(one, int)]
        return [one for one in reports if one.TransactionUID == request.TransactionUID]

    (report,) = until(reported, "the report")
    safe = {one.ReferencedSOPInstanceUID for one in report.ReferencedSOPSequence}
    assert safe == study.instances
    (failed,) = report.FailedSOPSequence
    assert failed.FailureReason == 0x0112  # no such object instance (PS3.3 §C.14)


@cell("Storage commitment", "SCP", "Orthanc")
def test_orthanc_is_told_what_is_safe(ours, orthanc, study):
    ids = upload_to_orthanc(orthanc, study)
    ours.upload(study)
    made = ask_orthanc(orthanc, "/modalities/vna/storage-commitment", {"Resources": ids})

    def status():
        found = orthanc.http.get(f"/storage-commitment/{made['ID']}").json()
        return found if found["Status"] != "Pending" else None

    assert until(status, "the report")["Status"] == "Success"


def committed_by(ours, name, study):
    made = ours.post(f"/modalities/{name}/storage-commitment", {"Resources": ours.upload(study)})

    def status():
        found = ours.server.get(f"/storage-commitment/{made['ID']}")
        return found if found["Status"] != "Pending" else None

    return until(status, "the report")


@cell("Storage commitment", "SCU", "pynetdicom")
def test_pynetdicom_tells_us_what_is_safe(ours, pynet, study):
    assert committed_by(ours, "pynet", study)["Status"] == "Success"


@cell("Storage commitment", "SCU", "Orthanc")
def test_orthanc_tells_us_what_is_safe(ours, orthanc, study):
    assert committed_by(ours, "orthanc", study)["Status"] == "Failure"
    upload_to_orthanc(orthanc, study)
    assert committed_by(ours, "orthanc", study)["Status"] == "Success"
