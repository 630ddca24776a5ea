"""Uploads to a running server: as programs send them, bounded, cut off, killed, without room."""

import gzip
import http.client
import json
import shutil
import subprocess
import time
import zipfile
from urllib.parse import urlsplit

import httpx
import pydicom
import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from support import VNA, data_set_bytes, make_instance, send
from support_hostile import MOST_PSS_BYTES, Watch, assert_whole, pss_bytes
from support_samples import shared_data
from support_uploads import archive_of, form_of, left_behind

MIB = 1 << 20
LARGE_ULTRASOUND = "deid-data/data/ultrasounds/RGB_CINE.zip"


def test_curl_sends_files_and_forms(server, tmp_path):
    if not (curl := shutil.which("curl")):
        pytest.skip("no curl")
    files = [make_instance(size=size) for size in (100, 20 * MIB)]
    names = [tmp_path / f"{number}.dcm" for number in range(2)]
    for name, data in zip(names, files, strict=True):
        name.write_bytes(data)
    url = f"{server.url}/instances"
    form = [flag for name in names for flag in ("-F", f"file=@{name}")]
    for arguments in (form, ["--data-binary", f"@{names[1]}"]):
        done = subprocess.run([curl, "-sSf", *arguments, url], capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
    assert answer["Status"] == "AlreadyStored"
    for data in files:
        assert data in [server.file(one) for one in server.get("/instances")]


def test_an_object_that_came_over_dicom_is_the_one_that_an_upload_brings(server):
    file = make_instance(patient="BOTH", size=9_000_000)
    data_set = pydicom.dcmread(DicomBytesIO(file))
    entity = AE()
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = entity.associate(server.dicom_host, server.dicom_port, ae_title="VNA")
    assert send(association, data_set).Status == 0x0000
    association.release()
    uploaded = server.http.post("/instances", content=archive_of(("1", file))).json()[0]
    # The file meta information is another one, so the bytes are kept beside the first ones.
    assert (uploaded["Status"], uploaded["Conflict"]) == ("AlreadyStored", "Content")
    assert data_set_bytes(server.file(uploaded["ID"])) == data_set_bytes(file)


def test_large_uploads_in_every_form_do_not_grow_the_server(start_server):
    server = start_server("--set=limits.shutdown_s=5")
    large = make_instance(size=120_000_000)
    bodies = [
        (large, {}),
        (archive_of(("1", large), method=zipfile.ZIP_STORED), {}),
        (form_of(("1", large))[0], {"Content-Type": form_of()[1]}),
    ]
    before = pss_bytes(server.process.pid)
    with Watch(server) as watch:
        for body, headers in bodies:
            answer = server.http.post("/instances", content=body, headers=headers)
            assert answer.status_code == 200, answer.text
    assert watch.most_pss < min(MOST_PSS_BYTES, before + 64 * MIB)
    found = answer.json()[0]
    assert found["Status"] == "AlreadyStored"
    with server.http.stream("GET", f"/instances/{found['ID']}/file") as file:
        assert b"".join(file.iter_bytes()) == large
    assert_whole(server)


def test_the_large_ultrasound_comes_in_as_zip(start_server):
    shared = shared_data()
    if shared is None or not (archive := shared / LARGE_ULTRASOUND).exists():
        pytest.skip("no shared data; VNA_SHARED names its folder")
    server = start_server()
    with Watch(server) as watch:
        answer = server.http.post("/instances", content=archive.read_bytes(), timeout=120).json()
    assert watch.most_pss < MOST_PSS_BYTES
    with zipfile.ZipFile(archive) as entries:
        largest = max(entries.infolist(), key=lambda entry: entry.file_size)
        assert largest.file_size > 100_000_000
        expected = entries.read(largest)
    assert expected in [server.file(one["ID"]) for one in answer]
    assert_whole(server)


class Sender:
    """Sends the beginning of a body, and keeps the connection."""

    def __init__(self, server, length, media_type="application/dicom"):
        address = urlsplit(server.url)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        self.connection.putrequest("POST", "/instances")
        self.connection.putheader("Content-Length", str(length))
        self.connection.putheader("Content-Type", media_type)
        self.connection.endheaders()

    def send(self, data):
        self.connection.send(data)


def wait_for(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def test_a_sender_that_goes_away_leaves_nothing(server):
    data = make_instance(size=30 * MIB)
    for body, media_type in ((data, "application/dicom"), form_of(("1", data))):
        before = server.get("/statistics")
        sender = Sender(server, len(body), media_type)
        sender.send(body[: 20 * MIB])
        wait_for(lambda: left_behind(server.root))
        sender.connection.close()
        wait_for(lambda: not left_behind(server.root))
        assert server.get("/statistics") == before


def test_a_server_killed_in_the_middle_of_uploads_has_none_of_them_by_half(start_server):
    server = start_server()
    small = make_instance(size=100)
    large = make_instance(size=30 * MIB)
    form, media_type = form_of(("small", small), ("large", large))
    zipped = archive_of(("large", large), method=zipfile.ZIP_STORED)
    senders = []
    for body, kind in ((large, ""), (form, media_type), (zipped, "application/zip")):
        sender = Sender(server, len(body), kind or "application/dicom")
        sender.send(body[: len(body) - 1000])
        senders.append(sender)
    # The form's small file is whole: it may be there.
    wait_for(lambda: len(left_behind(server.root)) == 2)
    server.kill()
    # As if it had been killed before the name was removed.
    (server.root / "uploads").mkdir(exist_ok=True)
    (server.root / "uploads" / "0.zip").write_bytes(zipped)
    server.start()
    assert not left_behind(server.root)
    found = [server.file(one) for one in server.get("/instances")]
    assert all(file == small for file in found)
    answer = server.http.post("/instances", content=zipped)
    assert answer.json()[0]["Status"] == "Success"
    assert_whole(server)


def test_a_full_disk_is_told_with_507_and_nothing_is_half_stored(start_server, small_disk):
    server = start_server(root=small_disk / "data")
    large = make_instance(size=60 * MIB)
    bodies = [
        (large, "application/dicom"),
        form_of(("1", large)),
        (archive_of(("1", large), method=zipfile.ZIP_STORED), "application/zip"),
    ]
    for body, media_type in bodies:
        headers = {"Content-Type": media_type}
        # Connections of their own: they end with the answer, for the rest of the body is not read.
        told = httpx.post(f"{server.url}/instances", content=body, headers=headers)
        assert told.status_code == 507, told.text

        def unannounced(body=body):
            for at in range(0, len(body), MIB):
                yield body[at : at + MIB]

        # Without a length it is found out on the way.
        told = httpx.post(f"{server.url}/instances", content=unannounced(), headers=headers)
        assert told.status_code == 507, told.text
        wait_for(lambda: not left_behind(server.root))
    assert server.get("/statistics")["CountInstances"] == 0
    assert server.upload(make_instance())["Status"] == "Success"
    assert_whole(server)


def test_an_import_through_the_server_takes_what_one_without_takes(start_server, tmp_path):
    media = tmp_path / "media"
    media.mkdir()
    small = [make_instance(number=number + 1) for number in range(300)]
    large = make_instance(size=30 * MIB)
    for number, data in enumerate(small[:200]):
        (media / f"{number}.dcm").write_bytes(data)
    (media / "large.dcm").write_bytes(large)
    archive = archive_of(*[(f"a/{number}", data) for number, data in enumerate(small[190:])])
    (media / "some.zip").write_bytes(archive)
    (media / "gzip.dcm.gz").write_bytes(gzip.compress(packed := make_instance()))
    (media / "notes.txt").write_text("no DICOM at all")
    (media / "empty").write_bytes(b"")

    def imported(*arguments):
        command = [VNA, "import", "--json", *arguments, str(media)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        return [found[key] for key in ("Stored", "Duplicate", "Conflicting", "Refused", "Failed")]

    expected, again = [302, 10, 0, 2, 0], [0, 312, 0, 2, 0]
    assert imported(f"--root={tmp_path / 'other'}") == expected
    server = start_server()
    assert imported(f"--url={server.url}") == expected
    assert imported(f"--root={server.root}") == again
    assert server.get("/statistics")["CountInstances"] == 302
    files = {server.file(one) for one in server.get("/instances")}
    assert files == {*small, large, packed}
    assert_whole(server)
    assert imported(f"--root={server.root}") == again
