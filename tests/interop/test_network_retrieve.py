"""C-MOVE and C-GET, in both roles, with each peer."""

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from support_matrix import cell
from support_network import (
    STUDY_KEYS,
    UNCOMPRESSED,
    arrived,
    ask_orthanc,
    associate,
    found_by_orthanc,
    found_by_us,
    run,
    upload_to_orthanc,
)
from support_peers import pynetdicom_role, until
from support_ports import free_port

pytestmark = [pytest.mark.peer, pytest.mark.peers]

# C-MOVE.


@cell("C-MOVE", "SCP", "DCMTK")
def test_movescu_moves_from_us(ours, study, tmp_path):
    ours.upload(study)
    port, folder = free_port(), tmp_path / "moved"
    folder.mkdir()
    ours.know("movescu", "MOVESCU", port)
    run(
        "movescu", "-S", "-aec", "VNA", "-aem", "MOVESCU", "+P", port, "-od", folder, *STUDY_KEYS,
        "-k", f"StudyInstanceUID={study.uid}", ours.host, ours.port,
    )  # fmt: skip
    assert {pydicom.dcmread(path).SOPInstanceUID for path in folder.iterdir()} == study.instances


@cell("C-MOVE", "SCP", "pynetdicom")
def test_pynetdicom_moves_from_us(ours, destination, study):
    ours.upload(study)
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study.uid
    model = StudyRootQueryRetrieveInformationModelMove
    association = associate(ours, (model, UNCOMPRESSED))
    responses = list(association.send_c_move(identifier, "STORESCP", model))
    association.release()
    assert responses[-1][0].Status == 0
    assert responses[-1][0].NumberOfCompletedSuboperations == len(study.files)
    assert study.instances <= arrived(destination)


@cell("C-MOVE", "SCP", "Orthanc")
def test_orthanc_moves_from_us(ours, orthanc, study):
    ids = ours.upload(study)
    query, _ = found_by_orthanc(orthanc, "Study", {"StudyInstanceUID": study.uid})
    answer = orthanc.http.post(f"/queries/{query}/retrieve", content="ORTHANC")
    assert answer.status_code == 200, answer.text
    for public_id in ids:
        assert orthanc.http.get(f"/instances/{public_id}").status_code == 200


def moved_by_us(ours, name, study, title="VNA", method="C-MOVE"):
    query, _ = found_by_us(ours, name, "Study", {"StudyInstanceUID": study.uid})
    body = {"TargetAet": title, "RetrieveMethod": method, "Synchronous": True}
    ours.post(f"/queries/{query}/retrieve", body)
    until(lambda: ours.holds(study) == study.instances, "the study")


@cell("C-MOVE", "SCU", "DCMTK")
def test_we_move_from_dcmqrscp(ours, archive, study):
    run("storescu", "-aec", "DCMQR", "127.0.0.1", archive.port, *study.files)
    moved_by_us(ours, "dcmqr", study)


@cell("C-MOVE", "SCU", "pynetdicom")
def test_we_move_from_pynetdicom(ours, pynet, study):
    for data_set in study.data_sets:
        pynet.stored[data_set.SOPInstanceUID] = data_set
    moved_by_us(ours, "pynet", study)


@cell("C-MOVE", "SCU", "Orthanc")
def test_we_move_from_orthanc(ours, orthanc, study):
    upload_to_orthanc(orthanc, study)
    moved_by_us(ours, "orthanc", study)


# C-GET.


@cell("C-GET", "SCP", "DCMTK")
def test_getscu_gets_from_us(ours, study, tmp_path):
    ours.upload(study)
    folder = tmp_path / "got"
    folder.mkdir()
    run(
        "getscu", "-S", "-aec", "VNA", "-od", folder, *STUDY_KEYS,
        "-k", f"StudyInstanceUID={study.uid}", ours.host, ours.port,
    )  # fmt: skip
    assert {pydicom.dcmread(path).SOPInstanceUID for path in folder.iterdir()} == study.instances


@cell("C-GET", "SCP", "pynetdicom")
def test_pynetdicom_gets_from_us(ours, study):
    ours.upload(study)
    got = []

    def store(event):
        got.append(event.dataset.SOPInstanceUID)
        return 0

    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study.uid
    model = StudyRootQueryRetrieveInformationModelGet
    association = associate(
        ours,
        (model, UNCOMPRESSED),
        (CTImageStorage, UNCOMPRESSED),
        ext_neg=[pynetdicom_role(CTImageStorage)],
        evt_handlers=[(evt.EVT_C_STORE, store)],
    )
    responses = list(association.send_c_get(identifier, model))
    association.release()
    assert responses[-1][0].Status == 0
    assert set(got) == study.instances


@cell("C-GET", "SCP", "Orthanc")
def test_orthanc_gets_from_us(ours, orthanc, study):
    ids = ours.upload(study)
    query, _ = found_by_orthanc(orthanc, "Study", {"StudyInstanceUID": study.uid})
    body = {"RetrieveMethod": "C-GET", "Synchronous": True, "TargetAet": "ORTHANC"}
    ask_orthanc(orthanc, f"/queries/{query}/retrieve", body)
    for public_id in ids:
        assert orthanc.http.get(f"/instances/{public_id}").status_code == 200


@cell("C-GET", "SCU", "DCMTK")
def test_we_get_from_dcmqrscp(ours, archive, study):
    run("storescu", "-aec", "DCMQR", "127.0.0.1", archive.port, *study.files)
    moved_by_us(ours, "dcmqr", study, method="C-GET")


@cell("C-GET", "SCU", "pynetdicom")
def test_we_get_from_pynetdicom(ours, pynet, study):
    for data_set in study.data_sets:
        pynet.stored[data_set.SOPInstanceUID] = data_set
    moved_by_us(ours, "pynet", study, method="C-GET")


@cell("C-GET", "SCU", "Orthanc")
def test_we_get_from_orthanc(ours, orthanc, study):
    upload_to_orthanc(orthanc, study)
    moved_by_us(ours, "orthanc", study, method="C-GET")
