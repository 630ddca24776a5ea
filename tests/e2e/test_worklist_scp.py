"""Modality Worklist and performed procedure steps, asked by DCMTK and pynetdicom."""

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
)
from support import awake

CONFIGURATION = """
[worklist]
folder = "{folder}"

[[dicom.modalities]]
name = "ct"
aet = "CT01"
host = "127.0.0.1"
port = 11112

[[dicom.modalities]]
name = "viewer"
aet = "VIEWER"
host = "127.0.0.1"
port = 11112
allow_find_worklist = false
allow_mpps = false
"""
DUMP = """
(0008,0005) CS [ISO_IR 100]
(0008,0050) SH [A-FILE]
(0010,0010) PN [M\xfcller^J\xf6rg]
(0010,0020) LO [P-FILE]
(0020,000d) UI [1.2.3.4]
(0040,0100) SQ
(fffe,e000) -
(0008,0060) CS [MR]
(0040,0001) AE [MR01]
(0040,0002) DA [20261126]
(0040,0009) SH [S-FILE]
(fffe,e00d) -
(fffe,e0dd) -
"""


@pytest.fixture(scope="module")
def department(start_server, tmp_path_factory):
    root = tmp_path_factory.mktemp("department")
    (root / "files").mkdir()
    configuration = CONFIGURATION.format(folder=root / "files")
    (root / "vna.toml").write_text(configuration, encoding="utf-8")
    server = start_server(f"--config={root / 'vna.toml'}", root=root / "data")
    server.files = root / "files"
    return server


def schedule(server, name="Yamada^Tarou=山田^太郎", accession="A1", **step):
    step = {
        "Modality": "CT",
        "ScheduledStationAETitle": "CT01",
        "ScheduledProcedureStepStartDate": "20261125",
        "ScheduledProcedureStepID": "S1",
    } | step
    tags = {
        "PatientName": name,
        "PatientID": "P1",
        "AccessionNumber": accession,
        "ScheduledProcedureStepSequence": [step],
    }
    answer = server.http.post("/worklists/create", json={"Tags": tags})
    assert answer.status_code == 200, answer.text
    assert answer.json()["Path"] == f"/worklists/{answer.json()['ID']}"
    return server.get(answer.json()["Path"])


def associate(server, sop_class, calling="CT01"):
    ae = AE(ae_title=calling)
    ae.add_requested_context(sop_class)
    return ae.associate(server.dicom_host, server.dicom_port, ae_title="VNA")


def worklist(server, accession="", **step):
    """Return the items that pynetdicom gets, and the last status."""
    query = Dataset()
    query.PatientName = query.PatientID = query.StudyInstanceUID = ""
    query.AccessionNumber = accession
    wanted = Dataset()
    wanted.Modality = wanted.ScheduledStationAETitle = wanted.ScheduledProcedureStepID = ""
    for name, value in step.items():
        setattr(wanted, name, value)
    query.ScheduledProcedureStepSequence = [wanted]
    association = associate(server, ModalityWorklistInformationFind)
    answers = list(association.send_c_find(query, ModalityWorklistInformationFind))
    association.release()
    *pending, (last, _) = answers
    assert all(status.Status == 0xFF00 for status, _ in pending)
    return [found for _, found in pending], last.Status


def test_an_item_made_over_rest_is_answered_to_a_modality(department):
    entry = schedule(department)
    found, status = worklist(department, "A1", Modality="CT")
    assert status == 0
    (item,) = found
    assert item.PatientName == "Yamada^Tarou=山田^太郎"
    assert item.StudyInstanceUID == entry["Tags"]["StudyInstanceUID"]
    assert item.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID == "S1"
    assert department.http.delete(f"/worklists/{entry['ID']}").status_code == 200
    assert department.http.get(f"/worklists/{entry['ID']}").status_code == 404
    assert worklist(department, "A1") == ([], 0)


def test_dcmtk_finds_items_and_gets_worklist_files(department, dcmtk, tmp_path):
    dump = tmp_path / "item.dump"
    dump.write_bytes(DUMP.encode("latin-1"))
    made = dcmtk("dump2dcm", str(dump), str(department.files / "item.wl"))
    assert made.returncode == 0, made.stderr
    entry = schedule(department, accession="A2")
    keys = ["PatientName", "AccessionNumber", "ScheduledProcedureStepSequence[0].Modality"]
    told = dcmtk(
        "findscu",
        "-W",
        "-aet",
        "CT01",
        "-aec",
        "VNA",
        *(part for key in keys for part in ("-k", key)),
        "-X",
        "-od",
        str(tmp_path),
        "127.0.0.1",
        str(department.dicom_port),
    )
    assert told.returncode == 0, told.stderr
    found = {}
    for path in tmp_path.glob("rsp*.dcm"):
        answer = pydicom.dcmread(path)
        found[answer.AccessionNumber] = answer
    assert found["A-FILE"].PatientName == "Müller^Jörg"
    assert found["A2"].PatientName == "Yamada^Tarou=山田^太郎"
    modalities = {
        number: answer.ScheduledProcedureStepSequence[0].Modality
        for number, answer in found.items()
    }
    assert modalities == {"A-FILE": "MR", "A2": "CT"}
    shown = {each["Tags"]["AccessionNumber"]: each for each in department.get("/worklists")}
    assert shown["A-FILE"]["File"] == "item.wl"
    assert shown["A-FILE"]["Tags"]["PatientName"] == "Müller^Jörg"
    department.http.delete(f"/worklists/{entry['ID']}")
    (department.files / "item.wl").unlink()
    assert department.get("/worklists") == []


def test_changes_over_rest_are_seen_at_once(department):
    entry = schedule(department, accession="A3")
    tags = entry["Tags"] | {"PatientName": "Roe^Jane"}
    path = f"/worklists/{entry['ID']}"
    assert department.http.put(path, json={"Tags": tags}).status_code == 200
    assert worklist(department, "A3")[0][0].PatientName == "Roe^Jane"
    assert department.http.put(path, json={"Status": "DISCONTINUED"}).status_code == 200
    assert worklist(department, "A3")[0] == []
    assert department.get(path + "?format=Full")["Tags"]["0010,0010"]["Value"] == "Roe^Jane"
    for body, status in [
        ({}, 400),
        ({"Status": "DONE"}, 400),
        ({"Tags": {"Nonsense": "1"}}, 400),
        ({"Tags": []}, 400),
    ]:
        assert department.http.put(path, json=body).status_code == status, body
    assert department.http.put("/worklists/none", json={"Status": "COMPLETED"}).status_code == 404
    department.http.delete(path)


def begun(entry):
    """Return the data set with which a modality begins to perform an item."""
    step = Dataset()
    step.Modality = "CT"
    step.PatientName, step.PatientID = "Yamada^Tarou", "P1"
    step.PatientBirthDate = step.PatientSex = ""
    step.PerformedStationAETitle = "CT01"
    step.PerformedProcedureStepStartDate = "20261125"
    step.PerformedProcedureStepStartTime = "101500"
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    step.PerformedProcedureStepID = "PPS1"
    scheduled = Dataset()
    scheduled.StudyInstanceUID = entry["Tags"]["StudyInstanceUID"]
    scheduled.AccessionNumber = entry["Tags"]["AccessionNumber"]
    scheduled.ScheduledProcedureStepID = "S1"
    step.ScheduledStepAttributesSequence = [scheduled]
    step.PerformedSeriesSequence = []
    return step


def ended():
    """Return the modifications with which it is completed."""
    step = Dataset()
    step.PerformedProcedureStepStatus = "COMPLETED"
    step.PerformedProcedureStepEndDate = "20261125"
    step.PerformedProcedureStepEndTime = "103000"
    series = Dataset()
    series.SeriesInstanceUID = "1.2.3"
    series.ReferencedImageSequence = []
    step.PerformedSeriesSequence = [series]
    return step


def test_a_modality_tells_what_it_does_and_the_worklist_follows(department):
    entry = schedule(department, accession="A4")
    association = associate(department, ModalityPerformedProcedureStep)
    mpps = ModalityPerformedProcedureStep

    def send_create(*step):
        return awake(association).send_n_create(*step)

    def send_set(*change):
        return awake(association).send_n_set(*change)

    incomplete = begun(entry)
    del incomplete.PerformedProcedureStepID
    status, _ = send_create(incomplete, mpps, "1.2.840.1")
    assert status.Status == 0x0120
    assert "(0040,0253)" in status.ErrorComment

    status, _ = send_create(begun(entry), mpps, "1.2.840.1")
    assert status.Status == 0
    assert department.get(f"/worklists/{entry['ID']}")["Status"] == "IN PROGRESS"
    status, _ = send_create(begun(entry), mpps, "1.2.840.1")
    assert status.Status == 0x0111

    status, _ = send_set(ended(), mpps, "1.2.840.2")
    assert status.Status == 0x0112
    status, _ = send_set(ended(), mpps, "1.2.840.1")
    assert status.Status == 0
    status, _ = send_set(ended(), mpps, "1.2.840.1")
    assert (status.Status, status.ErrorID) == (0x0110, 0xA710)
    association.release()

    assert department.get(f"/worklists/{entry['ID']}")["Status"] == "COMPLETED"
    assert worklist(department, "A4")[0] == []
    (shown,) = department.get("/procedure-steps")
    assert shown == department.get("/procedure-steps/1.2.840.1")
    assert (shown["Status"], shown["AET"]) == ("COMPLETED", "CT01")
    assert shown["Tags"]["PerformedSeriesSequence"][0]["SeriesInstanceUID"] == "1.2.3"
    assert department.http.get("/procedure-steps/1.2.840.9").status_code == 404


def test_the_archive_gives_a_step_its_uid_if_the_modality_does_not(department):
    entry = schedule(department, accession="A5")
    association = associate(department, ModalityPerformedProcedureStep)
    status, _ = association.send_n_create(begun(entry), ModalityPerformedProcedureStep)
    association.release()
    assert status.Status == 0
    latest = department.get("/procedure-steps?limit=1")[0]
    assert latest["SOPInstanceUID"].startswith("2.25.")
    assert latest["Tags"]["ScheduledStepAttributesSequence"][0]["AccessionNumber"] == "A5"


@pytest.mark.parametrize("calling", ["VIEWER", "STRANGER"])
def test_who_may_not_is_refused_the_context(department, calling):
    for sop_class in (ModalityWorklistInformationFind, ModalityPerformedProcedureStep):
        association = associate(department, sop_class, calling)
        assert not association.accepted_contexts
        association.abort()
