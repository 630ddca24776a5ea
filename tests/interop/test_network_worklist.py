"""Modality worklists, in both roles, with each peer."""

import contextlib
import json

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom.sop_class import ModalityWorklistInformationFind
from support_matrix import cell
from support_network import UNCOMPRESSED, ask_orthanc, associate, by_keyword, run
from support_peers import wlmscpfs

pytestmark = [pytest.mark.peer, pytest.mark.peers]

# Worklist.


def worklist_item(number):
    step = Dataset()
    step.Modality = "CT"
    step.ScheduledStationAETitle = f"CT{number}"
    step.ScheduledProcedureStepStartDate = "20260302"
    step.ScheduledProcedureStepStartTime = "083000"
    step.ScheduledProcedureStepID = f"SPS{number}"
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 192"
    item.AccessionNumber = f"A{number}"
    item.PatientName = "Yamada^Tarou=山田^太郎"
    item.PatientID = f"W{number}"
    item.StudyInstanceUID = generate_uid()
    item.RequestedProcedureID = f"RP{number}"
    item.RequestedProcedureDescription = "Abdomen"
    item.ScheduledProcedureStepSequence = [step]
    return item


@pytest.fixture(scope="module")
def worklist(ours):
    """Items that we answer, created over REST."""
    for number in range(3):
        tags = by_keyword(worklist_item(number))
        ours.post("/worklists/create", {"Tags": tags})


@cell("Worklist", "SCP", "DCMTK")
def test_findscu_gets_the_worklist(ours, worklist, tmp_path):
    run(
        "findscu", "-W", "-aec", "VNA", "-X", "-k", "PatientName", "-k", "PatientID",
        "-k", "ScheduledProcedureStepSequence[0].ScheduledStationAETitle=CT1",
        "-k", "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate=20260301-20260303",
        ours.host, ours.port, folder=tmp_path,
    )  # fmt: skip
    answers = [pydicom.dcmread(path, force=True) for path in tmp_path.glob("rsp*.dcm")]
    assert [one.PatientID for one in answers] == ["W1"]
    assert answers[0].PatientName == "Yamada^Tarou=山田^太郎"


@cell("Worklist", "SCP", "pynetdicom")
def test_pynetdicom_gets_the_worklist(ours, worklist):
    step = Dataset()
    step.Modality = "CT"
    step.ScheduledStationAETitle = ""
    identifier = Dataset()
    identifier.PatientID = "W*"
    identifier.ScheduledProcedureStepSequence = [step]
    association = associate(ours, (ModalityWorklistInformationFind, UNCOMPRESSED))
    responses = list(association.send_c_find(identifier, ModalityWorklistInformationFind))
    association.release()
    assert responses[-1][0].Status == 0
    answers = [one for _, one in responses[:-1]]
    stations = {one.ScheduledProcedureStepSequence[0].ScheduledStationAETitle for one in answers}
    assert stations == {"CT0", "CT1", "CT2"}


WORKLIST_QUERY = {
    "PatientID": "",
    "ScheduledProcedureStepSequence": [{"ScheduledStationAETitle": "CT2"}],
}


@cell("Worklist", "SCP", "Orthanc")
def test_orthanc_gets_the_worklist(ours, orthanc, worklist):
    body = {"Query": WORKLIST_QUERY, "Short": False}
    answers = ask_orthanc(orthanc, "/modalities/vna/find-worklist", body)
    assert len(answers) == 1
    assert "W2" in json.dumps(answers)


@cell("Worklist", "SCU", "DCMTK")
def test_we_get_the_worklist_of_wlmscpfs(ours, tmp_path):
    peer = wlmscpfs(tmp_path, [worklist_item(number) for number in range(3)])
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(peer.stop)
        ours.know("wlm", "WORKLIST", peer.port)
        answers = ours.post("/modalities/wlm/find-worklist", {"Query": WORKLIST_QUERY})
    assert len(answers) == 1
    assert "W2" in json.dumps(answers)


@cell("Worklist", "SCU", "pynetdicom")
def test_we_get_the_worklist_of_pynetdicom(ours, pynet):
    pynet.items = [worklist_item(7)]
    answers = ours.post("/modalities/pynet/find-worklist", {"Query": {"PatientID": ""}})
    assert len(answers) == 1
    assert "W7" in json.dumps(answers)


@cell("Worklist", "SCU", "Orthanc")
def test_we_get_the_worklist_of_orthanc(ours, orthanc):
    for number in range(3):
        item = worklist_item(number)
        item.file_meta = pydicom.dataset.FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.file_meta.MediaStorageSOPClassUID = ModalityWorklistInformationFind
        item.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        pydicom.dcmwrite(orthanc.worklists / f"{number}.wl", item, enforce_file_format=True)
    answers = ours.post("/modalities/orthanc/find-worklist", {"Query": WORKLIST_QUERY})
    assert len(answers) == 1
    assert "W2" in json.dumps(answers)
