"""A real Orthanc as remote archive over HTTP, in both directions, with TLS and without."""

import asyncio
import contextlib
import io
import ssl
import threading

import httpx
import pydicom
import pytest
from support import Server, make_instance
from support_certificates import PASSPHRASE, certificates_in
from support_orthanc import Orthanc, peer_program

pytestmark = pytest.mark.peer

STUDY = "1.2.826.0.1.3680043.8.498.9"
SIZES = (64, 300_000, 9_000_000)
JPEG_LS = "1.2.840.10008.1.2.4.80"


@contextlib.contextmanager
def ours(root, **settings):
    server = Server(root / "ours", *[f"--set={key}={value}" for key, value in settings.items()])
    try:
        yield server.start()
    finally:
        if server.process.poll() is None:
            server.stop()


@contextlib.contextmanager
def theirs(root, auth=None, **settings):
    root.mkdir()
    peer = Orthanc(peer_program(), root, **settings)
    try:
        yield peer.start(auth=auth)
    finally:
        peer.stop()


def put(http, name, body):
    answer = http.put(f"/peers/{name}", json=body)
    assert answer.status_code == 200, answer.text


def store(http, name, body):
    answer = http.post(f"/peers/{name}/store", json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    assert answer.json()["FailedInstancesCount"] == 0
    return answer.json()


def held(http):
    return {
        each: http.get(f"/instances/{each}/file").content for each in http.get("/instances").json()
    }


@pytest.fixture(scope="module")
def files():
    return [make_instance(STUDY, f"{STUDY}.1", size=size) for size in SIZES]


def test_instances_go_to_orthanc_and_come_back(tmp_path, files):
    alice = ("alice", "secret")
    known = {"AuthenticationEnabled": True, "RegisteredUsers": dict([alice])}
    with ours(tmp_path) as vna, theirs(tmp_path / "orthanc") as orthanc:
        sent = {vna.upload(file)["ID"]: file for file in files}
        [study] = vna.get("/studies")
        put(vna.http, "orthanc", [orthanc.url])
        put(orthanc.http, "vna", [vna.url])
        assert vna.get("/peers/orthanc/system")["Version"] == orthanc.version
        assert orthanc.http.get("/peers/vna/system").json()["VnaVersion"]
        for options in ({}, {"Compress": True}):
            there = store(vna.http, "orthanc", {"Resources": [study], **options})
            assert there["InstancesCount"] == len(files)
            assert held(orthanc.http) == sent
            vna.http.delete(f"/studies/{study}")
            back = store(orthanc.http, "vna", {"Resources": [study], **options})
            assert there.keys() == back.keys()
            assert held(vna.http) == sent
            orthanc.http.delete(f"/studies/{study}")
        store(vna.http, "orthanc", {"Resources": [study], "Transcode": JPEG_LS})
        for instance, file in held(orthanc.http).items():
            found = pydicom.dcmread(io.BytesIO(file))
            assert found.file_meta.TransferSyntaxUID == JPEG_LS
            stored = pydicom.dcmread(io.BytesIO(sent[instance]))
            assert (found.pixel_array == stored.pixel_array).all()
        one = make_instance(patient="Straight")
        answer = vna.http.post("/peers/orthanc/store-straight", content=one).json()
        assert orthanc.http.get(f"/instances/{answer['ID']}/file").content == one
    with ours(tmp_path) as vna, theirs(tmp_path / "asking", alice, **known) as orthanc:
        put(vna.http, "orthanc", [orthanc.url, "alice", "wrong"])
        refused = vna.http.post("/peers/orthanc/store", json=[study])
        assert (refused.status_code, refused.json()["Code"]) == (500, "peer.http")
        assert "401" in refused.json()["Details"]
        put(vna.http, "orthanc", [orthanc.url, "alice", "secret"])
        store(vna.http, "orthanc", [study])


def test_both_know_each_other_by_certificates(tmp_path, files):
    folder = tmp_path / "certificates"
    folder.mkdir()
    pem = certificates_in(folder)
    own = {
        "CertificateFile": pem.client,
        "CertificateKeyFile": pem.client_key,
        "CertificateKeyPassword": PASSPHRASE,
    }
    flags = {
        "http.tls": "true",
        "http.tls_client_certificates": "required",
        "http.tls_certificate": pem.server,
        "http.tls_private_key": pem.server_key,
        "http.tls_trusted_certificates": pem.authority,
        "http.tls_minimum_version": "1.3",
        "peers.trusted_certificates": pem.authority,
    }
    context = ssl.create_default_context(cafile=pem.authority)
    context.load_cert_chain(pem.client, pem.client_key, PASSPHRASE)
    with (
        ours(tmp_path, **flags) as vna,
        theirs(tmp_path / "orthanc", HttpsCACertificates=pem.authority) as orthanc,
        in_front_of(orthanc, pem) as url,
    ):
        near = vna.url.replace("127.0.0.1", "localhost")
        with httpx.Client(base_url=near, verify=context, timeout=60) as http:
            ids = [http.post("/instances", content=file).json()["ID"] for file in files]
            put(http, "orthanc", {"Url": url, **own})
            assert http.get("/peers/orthanc/system").json()["Version"] == orthanc.version
            store(http, "orthanc", ids)
            assert held(orthanc.http) == held(http)
            for instance in ids:
                http.delete(f"/instances/{instance}")
            put(orthanc.http, "vna", {"Url": near, **own})
            store(orthanc.http, "vna", ids)
            assert sorted(http.get("/instances").json()) == sorted(ids)
            # Without a certificate nobody listens to us, nor we to others.
            put(http, "orthanc", {"Url": url})
            answer = http.get("/peers/orthanc/system").json()
            assert answer["Code"] in {"peer.tls", "peer.closed"}
            put(orthanc.http, "vna", {"Url": near})
            assert orthanc.http.get("/peers/vna/system").status_code == 500


@contextlib.contextmanager
def in_front_of(orthanc, pem):
    """Speak HTTPS for an Orthanc with who shows a certificate, as a reverse proxy does.

    The unpacked one itself ends with a segmentation fault at the first TLS connection.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pem.authority)
    context.load_cert_chain(pem.server, pem.server_key)
    context.verify_mode = ssl.CERT_REQUIRED
    port = int(orthanc.url.rpartition(":")[2])
    ready, loop = threading.Event(), asyncio.new_event_loop()
    found = {}

    async def relay(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader, writer):
        theirs_, ours_ = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(relay(reader, ours_), relay(theirs_, writer))

    async def serve():
        server = await asyncio.start_server(connected, "localhost", 0, ssl=context)
        found["port"] = server.sockets[0].getsockname()[1]
        ready.set()

    def run():
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"https://localhost:{found['port']}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
