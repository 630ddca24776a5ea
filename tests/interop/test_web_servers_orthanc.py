"""Our server as a client of DICOMweb servers: a real Orthanc with its plugin, and us."""

import io
import socket
import threading
import time

import httpx
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from support import Server, ct_small, make_instance
from support_orthanc import Orthanc, dicomweb_plugin, program

HERE = "/dicom-web/servers"


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("ours") / "data")
    yield server.start()
    if server.process.poll() is None:
        server.stop()


@pytest.fixture(scope="module")
def theirs(tmp_path_factory, ours):
    executable = program()
    peer = Orthanc(
        executable,
        tmp_path_factory.mktemp("orthanc"),
        **dicomweb_plugin(executable),
    )
    # It closes connections that rest at times of its own.
    peer.start(limits=httpx.Limits(max_keepalive_connections=0))
    put(ours, "theirs", Url=f"{peer.url}/dicom-web/", HasDelete="1")
    yield peer
    peer.stop()


def put(ours, name, **body):
    answer = ours.http.put(f"{HERE}/{name}", json=body)
    assert answer.status_code == 200, answer.text


def post(ours, path, **body):
    return ours.http.post(f"{HERE}/{path}", json=body)


def uids(data):
    found = pydicom.dcmread(io.BytesIO(data))
    return found.StudyInstanceUID, found.SeriesInstanceUID, found.SOPInstanceUID


def test_servers_are_kept_and_shown_without_secrets(ours, theirs):
    known = ours.get(f"{HERE}?expand")["theirs"]
    assert known["Url"] == f"{theirs.url}/dicom-web/"
    assert known["HasDelete"] == "1"
    put(ours, "more", Url="http://127.0.0.1:1/x", Username="a", Password="secret", Timeout=5)
    text = ours.http.get(f"{HERE}?expand").text
    assert "secret" not in text
    assert "more" in ours.get(HERE)
    assert ours.get(f"{HERE}/more") == ["get", "retrieve", "stow", "wado", "qido"]
    assert "delete" in ours.get(f"{HERE}/theirs")
    ours.stop()
    ours.start()
    assert ours.get(f"{HERE}?expand")["more"]["Username"] == "a"
    assert ours.http.delete(f"{HERE}/more").status_code == 200
    assert ours.http.delete(f"{HERE}/more").status_code == 400
    assert ours.http.get(f"{HERE}/more").status_code == 404


def test_what_is_stored_goes_there_and_comes_back(ours, theirs):
    files = [ct_small()]
    for name in ("JPEG2000.dcm", "MR_small_RLE.dcm", "emri_small.dcm"):
        with open(get_testdata_file(name), "rb") as file:
            files.append(file.read())
    ids = [ours.upload(data)["ID"] for data in files]
    answer = post(ours, "theirs/stow", Resources=ids)
    assert answer.status_code == 200, answer.text
    assert answer.json()["InstancesCount"] == "4"
    assert answer.json()["Resources"] == {"Instances": sorted(ids)}
    assert sorted(theirs.http.get("/instances").json()) == sorted(ids)
    for public_id, data in zip(ids, files, strict=True):
        assert theirs.http.get(f"/instances/{public_id}/file").content == data
        assert ours.http.delete(f"/instances/{public_id}").status_code == 200
    wanted = [{"Study": uids(files[0])[0]}]
    wanted.append(dict(zip(("Study", "Series"), uids(files[1])[:2], strict=True)))
    names = ("Study", "Series", "Instance")
    wanted += [dict(zip(names, uids(data), strict=True)) for data in files[2:]]
    answer = post(ours, "theirs/retrieve", Resources=wanted)
    assert answer.status_code == 200, answer.text
    assert answer.json()["ReceivedInstancesCount"] == "4"
    for public_id, data in zip(ids, files, strict=True):
        assert ours.http.get(f"/instances/{public_id}/file").content == data


def test_their_client_stores_searches_and_retrieves_here(ours, theirs):
    """The boundary of its Store requests is longer than RFC 2046 allows."""
    theirs.http.put("/dicom-web/servers/ours", json={"Url": f"{ours.url}/dicom-web/"})
    file = make_instance(study := generate_uid())
    public_id = theirs.http.post("/instances", content=file).json()["ID"]
    asked = {"Resources": [public_id], "Synchronous": True}
    answer = theirs.http.post("/dicom-web/servers/ours/stow", json=asked)
    assert answer.status_code == 200, answer.text
    assert ours.file(public_id) == file
    theirs.http.delete(f"/instances/{public_id}")
    found = theirs.http.post(
        "/dicom-web/servers/ours/qido",
        json={"Uri": "/studies", "Arguments": {"StudyInstanceUID": study}},
    )
    assert [one["0020000D"]["Value"] for one in found.json()] == [study]
    asked = {"Resources": [{"Study": study}], "Synchronous": True}
    answer = theirs.http.post("/dicom-web/servers/ours/retrieve", json=asked)
    assert answer.status_code == 200, answer.text
    assert theirs.http.get(f"/instances/{public_id}/file").content == file


def test_searches_and_requests_are_passed_on(ours, theirs):
    theirs.http.post("/instances", content=ct_small())
    study = uids(ct_small())[0]
    found = post(ours, "theirs/qido", Uri="/studies", Arguments={"StudyInstanceUID": study}).json()
    own = theirs.http.get("/dicom-web/studies", params={"StudyInstanceUID": study}).json()
    assert [result["0020000D"]["Value"] for result in found] == [study]
    assert found[0]["0020000D"]["Name"] == "StudyInstanceUID"
    assert found[0].keys() == own[0].keys()
    got = post(ours, "theirs/get", Uri=f"/studies/{study}/metadata")
    assert got.json() == theirs.http.get(f"/dicom-web/studies/{study}/metadata").json()
    assert got.headers["content-type"] == "application/dicom+json"


def test_a_path_is_fetched_as_a_job(ours, theirs):
    study = uids(ct_small())[0]
    theirs.http.post("/instances", content=ct_small())
    begun = post(ours, "theirs/wado", Uri=f"/studies/{study}").json()
    end = time.monotonic() + 60
    while (job := ours.get(begun["Path"]))["State"] not in ("Success", "Failure"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert job["State"] == "Success", job
    assert job["Type"] == "DicomWebWadoRetrieveClient"
    assert job["Content"]["ReceivedInstancesCount"] == "1"


def test_what_is_wrong_is_told(ours, theirs):
    public_id = ours.upload(ct_small())["ID"]
    for path, body, status in (
        ("none/stow", {"Resources": [public_id]}, 404),
        ("theirs/stow", {"Resources": ["nope"]}, 404),
        ("theirs/stow", {}, 400),
        ("theirs/retrieve", {"Resources": [{"Series": "1.2"}]}, 400),
        ("theirs/retrieve", {"Resources": [{"Study": "../.."}]}, 400),
        ("theirs/get", {}, 400),
        ("theirs/get", {"Uri": "/a b\r\nX: y"}, 400),
        ("theirs/get", {"Uri": "/studies", "HttpHeaders": {"X": "y\r\nZ: z"}}, 400),
        ("theirs/qido", {"Uri": "/studies", "HttpHeaders": {"Host": "other"}}, 400),
        ("theirs/delete", {"Level": "Patient"}, 400),
    ):
        assert post(ours, path, **body).status_code == status, (path, body)
    for path, body in (
        ("theirs/retrieve", {"Resources": [{"Study": "1.2.3"}]}),
        ("theirs/get", {"Uri": "/nope"}),
        ("theirs/delete", {"Level": "Study", "StudyInstanceUID": "1.2.3"}),
    ):
        answer = post(ours, path, **body)
        assert answer.status_code >= 500, answer.text
        assert theirs.url in answer.json()["Details"]
    put(ours, "closed", Url="http://127.0.0.1:9/")
    assert "127.0.0.1:9" in post(ours, "closed/stow", Resources=[public_id]).json()["Details"]


def test_a_server_that_breaks_off_leaves_whole_instances_only(ours):
    data = make_instance()
    boundary = b"\r\n--x\r\nContent-Type: application/dicom\r\n\r\n"
    body = boundary + data + boundary + data[: len(data) // 2]
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: multipart/related; type=application/dicom; boundary=x"
        b"\r\nContent-Length: 100000\r\n\r\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(head + body)

        thread = threading.Thread(target=serve)
        thread.start()
        put(ours, "broken", Url=f"http://127.0.0.1:{listener.getsockname()[1]}/")
        answer = post(ours, "broken/retrieve", Resources=[{"Study": uids(data)[0]}])
        thread.join()
    assert answer.status_code >= 500
    study = ours.http.post("/tools/lookup", content=uids(data)[2]).json()
    for each in study:
        assert ours.http.get(f"/instances/{each['ID']}/file").content == data


def test_a_job_goes_on_where_it_was_killed(ours, theirs):
    series = pydicom.uid.generate_uid()
    study = pydicom.uid.generate_uid()
    files = [make_instance(study, series, number=number, size=65536) for number in range(300)]
    for data in files:
        ours.upload(data)
    public_id = ours.http.post("/tools/lookup", content=study).json()[0]["ID"]
    begun = post(ours, "theirs/stow", Resources=[public_id], Synchronous=False).json()
    end = time.monotonic() + 60
    while ours.get(begun["Path"])["Progress"] == 0:
        assert time.monotonic() < end
        time.sleep(0.01)
    ours.kill()
    ours.start()
    while (job := ours.get(begun["Path"]))["State"] not in ("Success", "Failure"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert job["State"] == "Success", job
    there = theirs.http.get(f"/studies/{public_id}/instances").json()
    assert len(there) == len(files)
