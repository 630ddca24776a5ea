"""Remote archives over HTTP: two of ours, and stubs that refuse, cut and stall."""

import gzip
import io
import json
import threading
import time

import pydicom
import pytest
from support import make_instance
from support_certificates import PASSPHRASE, certificates_in
from support_cli import vna
from support_peers_http import Stub

STUDY = "1.2.826.0.1.3680043.8.498.7"
JPEG_LS = "1.2.840.10008.1.2.4.80"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return certificates_in(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(start_server):
    server = start_server("--set=dicom.log_exported_resources=true")
    # One above what a body that is compressed is held up to.
    sizes = (64, 64, 300_000, 9_000_000)
    files = [make_instance(STUDY, f"{STUDY}.1", size=size) for size in sizes]
    server.files = {server.upload(file)["ID"]: file for file in files}
    [server.study] = server.get("/studies")
    return server


def know(server, name, url, **more):
    answer = server.http.put(f"/peers/{name}", json={"Url": url, **more})
    assert answer.status_code == 200, answer.text


def store(server, name, body, status=200):
    answer = server.http.post(f"/peers/{name}/store", json=body)
    assert answer.status_code == status, (answer.status_code, answer.text)
    return answer.json()


def job(server, job_id, *states):
    end = time.monotonic() + 60
    while True:
        found = server.get(f"/jobs/{job_id}")
        if found["State"] in states:
            return found
        assert time.monotonic() < end, found
        time.sleep(0.01)


def refused(answer):
    body = answer.json()
    return answer.status_code, body["OrthancStatus"], body["Code"]


def test_a_peer_is_added_shown_without_its_secrets_changed_and_forgotten(server):
    put = server.http.put("/peers/one", json=["http://127.0.0.1:1", "alice", "secret"])
    assert (put.status_code, put.text) == (200, "")
    shown = server.get("/peers/one/configuration")
    assert (shown["Url"], shown["Username"], shown["Password"]) == (
        "http://127.0.0.1:1/",
        "alice",
        None,
    )
    know(server, "one", "https://x", HttpHeaders={"Token": "secret"}, Timeout="5", Extra=1)
    assert server.get("/peers?expand")["one"] == {
        "HttpHeaders": ["Token"],
        "Parallel": 2,
        "Pkcs11": False,
        "Timeout": 5,
        "Url": "https://x/",
    }
    assert server.get("/peers") == ["one"]
    assert server.get("/peers/one") == ["configuration", "store", "store-straight", "system"]
    assert server.http.delete("/peers/one").status_code == 200
    assert refused(server.http.delete("/peers/one")) == (404, 7, "not_found.peer")
    for path in ("", "/configuration", "/system"):
        assert refused(server.http.get(f"/peers/one{path}")) == (404, 17, "not_found.peer")
    assert refused(server.http.post("/peers/one/store", json=[])) == (404, 17, "not_found.peer")


@pytest.mark.parametrize(
    "body",
    [
        [],
        ["a", "b"],
        ["http://x", "alice"],
        ["ftp://x"],
        {},
        {"Url": "nourl"},
        {"Url": "http://x", "Timeout": -1},
        {"Url": "http://x", "HttpHeaders": {"Content-Length": "5"}},
        {"Url": "http://x", "HttpHeaders": {"A": "b\r\nHost: other"}},
        {"Url": "http://x", "Pkcs11": True},
        {"Url": "http://x", "Parallel": 1000},
        "text",
        7,
    ],
)
def test_what_is_no_peer_is_refused(server, body):
    assert refused(server.http.put("/peers/bad", json=body))[:2] == (400, 15)
    assert refused(server.http.put("/peers/b%20d", json=["http://x"]))[:2] == (400, 15)
    assert server.get("/peers") == []


def test_resources_arrive_as_they_are_stored(server, start_server):
    other = start_server()
    know(server, "other", other.url)
    assert server.get("/peers/other/system")["Name"] == other.get("/system")["Name"]
    done = store(server, "other", [server.study])
    assert done["InstancesCount"] == len(server.files)
    assert int(done["Size"]) == sum(map(len, server.files.values()))
    assert {each: other.file(each) for each in other.get("/instances")} == server.files
    text = server.http.post("/peers/other/store", content=next(iter(server.files)))
    assert text.json()["InstancesCount"] == 1
    assert server.get("/exports?last")["Exports"][0]["RemoteModality"] == "other"
    one = make_instance(patient="Straight")
    straight = server.http.post("/peers/other/store-straight", content=one).json()
    assert straight["Status"] == "Success"
    assert other.file(straight["ID"]) == one
    assert refused(server.http.post("/peers/other/store-straight", content=b"x"))[:2] == (500, 9)
    server.http.delete("/peers/other")


def test_bodies_are_compressed_and_transcoded(server, start_server):
    other = start_server()
    know(server, "other", other.url)
    done = store(server, "other", {"Resources": [server.study], "Compress": True})
    assert done["Compress"] is True
    assert int(done["Size"]) != sum(map(len, server.files.values()))
    assert {each: other.file(each) for each in other.get("/instances")} == server.files
    other.http.delete(f"/studies/{server.study}")
    done = store(
        server, "other", {"Resources": [server.study], "Transcode": JPEG_LS, "Compress": True}
    )
    assert done["Transcode"] == JPEG_LS
    for each, file in server.files.items():
        found = pydicom.dcmread(io.BytesIO(other.file(each)))
        assert found.file_meta.TransferSyntaxUID == JPEG_LS
        assert (found.pixel_array == pydicom.dcmread(io.BytesIO(file)).pixel_array).all()
    for transcode in ("1.2.3", "JPEG"):
        body = {"Resources": [server.study], "Transcode": transcode}
        assert store(server, "other", body, 400)["OrthancStatus"] == 15
    server.http.delete("/peers/other")


def test_what_is_sent_and_who_we_are(server):
    with Stub() as stub:
        headers = {"Token": "abc"}
        know(server, "stub", f"{stub.url}/base", Username="u", Password="p", HttpHeaders=headers)
        shown = store(server, "stub", {"Resources": [server.study], "Compress": True})
        assert shown["Peer"] == [f"{stub.url}/base/", "u", ""]
    bodies = []
    for path, sent, body in stub.taken:
        assert path == "/base/instances"
        assert (sent["Token"], sent["Authorization"]) == ("abc", "Basic dTpw")
        assert sent["Content-Type"] == "application/dicom"
        if "Content-Length" in sent:  # the stub reads no chunks
            bodies.append(gzip.decompress(body))
    assert set(bodies) == {file for file in server.files.values() if len(file) < 8 << 20}
    server.http.delete("/peers/stub")


def test_a_peer_that_refuses_is_told_and_a_permissive_job_goes_on(server):
    smallest = sorted(server.files, key=lambda each: len(server.files[each]))[0]
    bad = server.files[smallest]

    def behave(request, body):
        if body != bad:
            return False
        request.answer(400, json.dumps({"Details": "no such thing", "Message": "x"}).encode())
        return True

    with Stub(behave) as stub:
        know(server, "stub", stub.url, Parallel=1)
        answer = store(server, "stub", [server.study], 500)
        assert (answer["OrthancStatus"], answer["Code"]) == (9, "peer.http")
        assert "with 400 Bad Request: no such thing" in answer["Details"]
        # In the small ones only: the stub reads no chunks, and takes a large one for empty.
        done = store(server, "stub", {"Resources": [server.study], "Permissive": True})
        assert (done["FailedInstancesCount"], done["InstancesCount"]) == (1, 4)
    answer = store(server, "stub", {"Resources": [server.study], "Permissive": True}, 500)
    assert answer["Code"] == "peer.unreachable"
    server.http.delete("/peers/stub")


def test_a_job_that_was_cut_off_goes_on_where_it_was(server):
    """Cut after two instances: what was taken does not go again when it is resubmitted."""
    working = threading.Event()
    counted = []

    def behave(request, body):
        counted.append(body)
        return False if working.is_set() or len(counted) <= 2 else request.cut()

    with Stub(behave) as stub:
        know(server, "stub", stub.url, Parallel=1)
        begun = store(server, "stub", {"Resources": [server.study], "Synchronous": False})
        # It is tried again by itself after some seconds; here, at once.
        job(server, begun["ID"], "Retry", "Failure")
        # Cut on a connection that was used before, it was asked once more on another.
        assert len(counted) == 4
        working.set()
        server.http.post(f"/jobs/{begun['ID']}/pause")
        assert job(server, begun["ID"], "Paused")["Content"]["FailedInstancesCount"] == 0
        server.http.post(f"/jobs/{begun['ID']}/resume")
        assert job(server, begun["ID"], "Success", "Failure")["State"] == "Success"
    assert len(counted) == 6
    assert counted[2] == counted[3] == counted[4]
    server.http.delete("/peers/stub")


def test_a_peer_that_stalls_holds_up_nobody_and_is_given_up(server):
    released = threading.Event()

    with Stub(lambda request, body: released.wait(30) and request.cut()) as stub, Stub() as good:
        know(server, "slow", stub.url, Timeout=0.2)
        know(server, "stuck", stub.url, Timeout=600)
        know(server, "good", good.url)
        begun = store(server, "stuck", {"Resources": [server.study], "Synchronous": False})
        assert job(server, begun["ID"], "Running")["Progress"] == 0
        assert store(server, "good", [server.study])["FailedInstancesCount"] == 0
        answer = store(server, "slow", [server.study], 500)
        assert (answer["OrthancStatus"], answer["Code"]) == (16, "peer.timeout")
        assert refused(server.http.get("/peers/slow/system")) == (500, 16, "peer.timeout")
        server.http.post(f"/jobs/{begun['ID']}/cancel")
        assert job(server, begun["ID"], "Failure")["ErrorCode"] == 37
        released.set()
    for name in ("slow", "stuck", "good"):
        server.http.delete(f"/peers/{name}")


def test_peers_are_reached_by_https_with_our_certificate(start_server, server, certificates):
    flags = {
        "http.tls": "true",
        "http.tls_client_certificates": "required",
        "tls.certificate": certificates.server,
        "tls.private_key": certificates.server_key,
        "tls.trusted_certificates": certificates.authority,
    }
    other = start_server(*[f"--set={key}={value}" for key, value in flags.items()])
    url = other.url.replace("127.0.0.1", "localhost")
    trusting = start_server(f"--set=peers.trusted_certificates={certificates.authority}")
    for file in server.files.values():
        trusting.upload(file)
    own = {
        "CertificateFile": certificates.client,
        "CertificateKeyFile": certificates.client_key,
        "CertificateKeyPassword": PASSPHRASE,
    }
    know(trusting, "other", url, **own)
    assert PASSPHRASE not in json.dumps(trusting.get("/peers?expand"))
    assert store(trusting, "other", [server.study])["FailedInstancesCount"] == 0
    assert trusting.get("/peers/other/system")["HttpPort"] == other.http.base_url.port
    assert trusting.get("/statistics")["CountInstances"] == 4
    # Nobody whom they know, nobody whom we know, and files that are not there.
    know(trusting, "other", url)
    answer = trusting.http.get("/peers/other/system")
    assert answer.json()["Code"] in {"peer.tls", "peer.closed"}
    know(server, "other", url, **own)
    assert refused(server.http.get("/peers/other/system")) == (500, 9, "peer.tls")
    know(trusting, "other", url, CertificateFile="/nowhere.pem")
    answer = trusting.http.get("/peers/other/system")
    assert refused(answer) == (500, 9, "peer.tls_file")
    assert "/nowhere.pem" in answer.json()["Details"]
    server.http.delete("/peers/other")


def test_peers_survive_the_server_and_readers_may_not_change_them(start_server):
    first = start_server()
    know(first, "one", "http://127.0.0.1:1", Password="secret", Username="u")
    first.stop()
    again = start_server(root=first.root)
    assert again.get("/peers") == ["one"]
    assert vna("user", "add", "r", "--role=write", "--password-stdin", f"--root={first.root}",
               data=b"long enough\n").returncode == 0  # fmt: skip
    end = time.monotonic() + 60
    while again.http.get("/peers").status_code != 401:
        assert time.monotonic() < end
        time.sleep(0.05)
    auth = ("r", "long enough")
    assert again.http.put("/peers/x", json=["http://x"], auth=auth).status_code == 403
    assert again.http.delete("/peers/one", auth=auth).status_code == 403
    assert again.http.get("/peers", auth=auth).json() == ["one"]


def test_the_command_line_has_peers_too(server, start_server):
    other = start_server()
    root = f"--root={server.root}"
    made = vna(
        "peer", "add", "other", other.url, "--user=me", "--password-stdin", "--header=Token: abc",
        "--timeout=7", "--json", root, data=b"pw\n",
    )  # fmt: skip
    assert json.loads(made.stdout)["HttpHeaders"] == ["Token"], made.stderr
    shown = vna("peer", "list", root).stdout
    assert other.url in shown
    assert "Token" in shown
    assert "abc" not in shown
    assert "VNA 1." in vna("peer", "test", root).stdout
    sent = vna("peer", "send", "other", server.study, "--compress", root)
    assert (sent.returncode, sent.stdout) == (0, "4 instances sent to other\n"), sent.stderr
    assert len(other.get("/instances")) == 4
    other.stop()
    tested = vna("peer", "test", "other", "--json", root)
    assert tested.returncode == 1
    assert "cannot be reached" in json.loads(tested.stdout)[0]["Problem"]
    assert "NAME:VALUE" in vna("peer", "add", "x", "http://x", "--header=no", root).stderr
    assert vna("peer", "add", "x", "nowhere", root).returncode != 0
    assert vna("peer", "remove", "other", root).returncode == 0
    assert "no peer is called 'other'" in vna("peer", "remove", "other", root).stderr
