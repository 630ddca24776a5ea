"""A real Orthanc that queries us, has studies moved to itself, and asks for commitment."""

import os
import time

import pydicom
import pytest
from pydicom.filebase import DicomBytesIO
from support import Server, make_instance
from support_orthanc import Dictionary, NoPeer, Orthanc, program
from support_ports import free_port

pytestmark = pytest.mark.peer

STUDY = "1.2.840.77.1"
WAIT_S = 60


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Run both servers, each a modality of the other."""
    try:
        executable = program()
    except NoPeer as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(f"{reason}; nothing was compared")
    folder, port = tmp_path_factory.mktemp("archive"), free_port()
    (folder / "vna.toml").write_text(
        f"""
[[dicom.modalities]]
name = "orthanc"
aet = "ORTHANC"
host = "127.0.0.1"
port = {port}
""",
        encoding="utf-8",
    )
    ours = Server(folder / "data", f"--config={folder / 'vna.toml'}").start()
    theirs = Orthanc(executable, tmp_path_factory.mktemp("orthanc"), Dictionary("", ""))
    theirs.settings = {
        "DicomServerEnabled": True,
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "DicomModalities": {
            "vna": {"AET": "VNA", "Host": "127.0.0.1", "Port": ours.dicom_port},
        },
    }
    try:
        yield ours, theirs.start()
    finally:
        theirs.stop()
        ours.stop()


@pytest.fixture(scope="module")
def loaded(both):
    ours, theirs = both
    files = [
        make_instance(STUDY, f"{STUDY}.1", "P1", n, PatientName="Müller^Jörg", size=5000)
        for n in range(20)
    ]
    for file in files:
        data_set = pydicom.dcmread(DicomBytesIO(file))
        data_set.SpecificCharacterSet = "ISO_IR 192"
        ours.upload(encoded(data_set))
    ours.upload(make_instance(patient="P2", PatientName="Roe^Jane"))
    return ours, theirs


def encoded(data_set):
    buffer = DicomBytesIO()
    pydicom.dcmwrite(buffer, data_set, enforce_file_format=True)
    return buffer.getvalue()


def ask(server, path, body):
    answer = server.http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def query(theirs, level, keys):
    """Let it query us; returns the path of the query and its answers."""
    path = ask(theirs, "/modalities/vna/query", {"Level": level, "Query": keys})["Path"]
    return path, theirs.http.get(f"{path}/answers?expand&simplify").json()


def test_it_reaches_us(loaded):
    assert loaded[1].http.post("/modalities/vna/echo", json={"CheckFind": True}).status_code == 200


def test_it_finds_our_studies(loaded):
    _, theirs = loaded
    keys = {"PatientName": "müller*", "StudyInstanceUID": "", "NumberOfStudyRelatedInstances": ""}
    _, (found,) = query(theirs, "Study", keys)
    assert found["PatientName"] == "Müller^Jörg"
    assert found["StudyInstanceUID"] == STUDY
    assert found["NumberOfStudyRelatedInstances"] == "20"
    _, found = query(theirs, "Patient", {"PatientID": "P*"})
    assert sorted(each["PatientID"] for each in found) == ["P1", "P2"]
    _, found = query(
        theirs, "Instance", {"StudyInstanceUID": STUDY, "SeriesInstanceUID": f"{STUDY}.1"}
    )
    assert len(found) == 20


def test_it_has_a_study_moved_to_itself(loaded):
    ours, theirs = loaded
    path, _ = query(theirs, "Study", {"StudyInstanceUID": STUDY})
    job = ask(theirs, f"{path}/retrieve", {"TargetAet": "ORTHANC"})
    assert job["Query"], job
    there = theirs.http.get("/instances").json()
    assert len(there) == 20
    for public_id in there:
        mine = pydicom.dcmread(DicomBytesIO(ours.file(public_id)))
        its = pydicom.dcmread(DicomBytesIO(theirs.http.get(f"/instances/{public_id}/file").content))
        assert mine == its
    theirs.http.delete(f"/studies/{theirs.http.get('/studies').json()[0]}")


def test_what_it_sends_us_is_committed(loaded):
    ours, theirs = loaded
    file = make_instance(patient="P3")
    public_id = theirs.http.post("/instances", content=file).json()["ID"]
    ask(theirs, "/modalities/vna/store", public_id)
    assert ours.http.get(f"/instances/{public_id}").status_code == 200
    missing = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "SOPInstanceUID": "1.2.3.4"}
    for body, status in [
        ({"Resources": [public_id]}, "Success"),
        ({"DicomInstances": [missing]}, "Failure"),
    ]:
        path = ask(theirs, "/modalities/vna/storage-commitment", body)["Path"]
        report = until_reported(theirs, path)
        assert report["Status"] == status
        assert report["RemoteAET"] == "VNA"
    assert report["Failures"][0]["FailureReason"] == 0x0112


def until_reported(server, path):
    end = time.monotonic() + WAIT_S
    while True:
        report = server.http.get(path).json()
        if report["Status"] != "Pending":
            return report
        assert time.monotonic() < end, report
        time.sleep(0.05)


def test_it_asks_for_our_worklist(loaded):
    ours, theirs = loaded
    step = {"Modality": "CT", "ScheduledStationAETitle": "CT01"}
    tags = {"PatientName": "Müller^Jörg", "AccessionNumber": "A1"}
    ask(ours, "/worklists/create", {"Tags": tags | {"ScheduledProcedureStepSequence": [step]}})
    keys = {
        "PatientName": "",
        "AccessionNumber": "",
        "ScheduledProcedureStepSequence": [{"Modality": "CT", "ScheduledStationAETitle": ""}],
    }
    (found,) = ask(theirs, "/modalities/vna/find-worklist", {"Query": keys})
    assert (found["PatientName"], found["AccessionNumber"]) == ("Müller^Jörg", "A1")
    assert found["ScheduledProcedureStepSequence"][0]["ScheduledStationAETitle"] == "CT01"


def test_what_we_send_it_is_committed_and_both_reports_look_the_same(loaded):
    ours, theirs = loaded
    public_id = ours.upload(make_instance(patient="P4"))["ID"]
    ask(ours, "/modalities/orthanc/store", public_id)
    ask(theirs, "/modalities/vna/store", public_id)
    instance = ours.get(f"/instances/{public_id}/simplified-tags")
    missing = {"SOPClassUID": instance["SOPClassUID"], "SOPInstanceUID": "1.2.3.4"}
    body = {"Resources": [public_id], "DicomInstances": [missing]}
    reports, refusals = [], []
    for server, name in ((ours, "orthanc"), (theirs, "vna")):
        path = ask(server, f"/modalities/{name}/storage-commitment", body)["Path"]
        report = until_reported(server, path)
        del report["RemoteAET"]
        reports.append(report)
        refusals.append(
            [
                refusal(server.http.post(f"{path}/remove")),
                refusal(server.http.get("/storage-commitment/1.2.3")),
                refusal(server.http.post("/storage-commitment/1.2.3/remove")),
            ]
        )
    mine, its = reports
    assert mine["Status"] == its["Status"] == "Failure"
    assert (
        mine["Success"]
        == its["Success"]
        == [{"SOPClassUID": instance["SOPClassUID"], "SOPInstanceUID": instance["SOPInstanceUID"]}]
    )
    assert mine == its
    # What was not committed in whole is not removed: a conflict, with a code of its own there.
    assert (refusals[0].pop(0), refusals[1].pop(0)) == ((409, 43), (500, 6))
    assert refusals[0] == refusals[1] == [(404, 7), (404, 7)]


def refusal(answer):
    return answer.status_code, answer.json().get("OrthancStatus")
