"""Our server and a real Orthanc as DICOM nodes of each other, each asked over HTTP."""

import io
import json

import pydicom
import pytest
from support import Server, data_set_bytes, make_instance
from support_orthanc import Dictionary, Orthanc, peer_program
from support_ports import free_port

pytestmark = pytest.mark.peer

OURS, THEIRS = "VNA", "ORTHANC"
COUNT = 5


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """Run both, each known to the other; gives them by name."""
    port = free_port()
    theirs = Orthanc(
        peer_program(),
        tmp_path_factory.mktemp("orthanc"),
        Dictionary("", ""),
        DicomAet=THEIRS,
        DicomServerEnabled=True,
        DicomPort=port,
        DicomAlwaysAllowFind=True,
        DicomAlwaysAllowMove=True,
        DicomAlwaysAllowGet=True,
    )
    # It asks for the instances of a study without naming their series.
    ours = Server(tmp_path_factory.mktemp("archive") / "data", "--set=dicom.find_hierarchy=orthanc")
    try:
        ours.start()
        theirs.start()
        known = {OURS: (ours.http, ours.dicom_port), THEIRS: (theirs.http, port)}
        for http, _ in known.values():
            for name, (_, at) in known.items():
                node = [name, "127.0.0.1", at]
                answer = http.put(f"/modalities/{name}", content=json.dumps(node))
                assert answer.status_code == 200, answer.text
        yield {name: http for name, (http, _) in known.items()}
    finally:
        theirs.stop()
        if ours.process is not None and ours.process.poll() is None:
            ours.stop()


@pytest.fixture(params=[(OURS, THEIRS), (THEIRS, OURS)], ids=["we ask", "we are asked"])
def asking(request, nodes):
    """Return who asks, who is asked, and the name of the latter; both empty."""
    user, provider = request.param
    for http in nodes.values():
        for patient in http.get("/patients").json():
            http.delete(f"/patients/{patient}")
    return nodes[user], nodes[provider], provider


def ask(http, path, body=b""):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = http.post(path, content=content)
    assert answer.status_code == 200, (path, answer.text)
    return answer.json()


def study(http):
    """Store a study; returns its UID and the data sets in it by SOP Instance UID."""
    files = [make_instance(number=1)]
    first = pydicom.dcmread(io.BytesIO(files[0]))
    uids = first.StudyInstanceUID, first.SeriesInstanceUID
    files += [make_instance(*uids, number=number) for number in range(2, COUNT + 1)]
    for file in files:
        ask(http, "/instances", file)
    return uids[0], data_sets(files)


def data_sets(files):
    return {
        str(pydicom.dcmread(io.BytesIO(file)).SOPInstanceUID): data_set_bytes(file)
        for file in files
    }


def held(http):
    instances = http.get("/instances").json()
    return data_sets([http.get(f"/instances/{each}/file").content for each in instances])


def test_echo_and_a_query_are_answered(asking):
    user, _, name = asking
    assert ask(user, f"/modalities/{name}/echo", {"CheckFind": True}) == {}


def test_what_is_sent_arrives_as_it_was(asking):
    user, provider, name = asking
    _, expected = study(user)
    [public_id] = user.get("/studies").json()
    sent = ask(user, f"/modalities/{name}/store", public_id.encode())
    assert (sent["InstancesCount"], sent["FailedInstancesCount"]) == (COUNT, 0)
    assert held(provider) == expected


def test_what_is_found_is_looked_into(asking):
    user, provider, name = asking
    uid, expected = study(provider)
    study(provider)
    keys = {
        "StudyInstanceUID": uid,
        "PatientName": "test*",
        "NumberOfStudyRelatedInstances": "",
        "ModalitiesInStudy": "",
    }
    found = ask(user, f"/modalities/{name}/query", {"Level": "Study", "Query": keys})["Path"]
    [answer] = user.get(f"{found}/answers?expand&simplify").json()
    assert answer["PatientName"] == "Test^Person"
    assert answer["NumberOfStudyRelatedInstances"] == str(COUNT)
    assert answer["ModalitiesInStudy"] == "CT"
    assert answer["RetrieveAETitle"] == name
    lower = ask(user, f"{found}/answers/0/query-instances", {})["Path"]
    answers = user.get(f"{lower}/answers?expand&simplify").json()
    assert {each["SOPInstanceUID"] for each in answers} == set(expected)


@pytest.mark.parametrize("method", ["C-MOVE", "C-GET"])
def test_what_is_found_is_fetched(asking, method):
    user, provider, name = asking
    uid, expected = study(provider)
    keys = {"StudyInstanceUID": uid}
    found = ask(user, f"/modalities/{name}/query", {"Level": "Study", "Query": keys})["Path"]
    ask(user, f"{found}/retrieve", {"RetrieveMethod": method})
    assert held(user) == expected


def test_instances_are_committed_to(asking):
    user, _, name = asking
    study(user)
    [public_id] = user.get("/studies").json()
    ask(user, f"/modalities/{name}/store", public_id.encode())
    body = {"Resources": [public_id]}
    path = ask(user, f"/modalities/{name}/storage-commitment", body)["Path"]
    for _ in range(600):
        report = user.get(path).json()
        if report["Status"] != "Pending":
            break
    assert report["Status"] == "Success"
    assert len(report["Success"]) == COUNT
