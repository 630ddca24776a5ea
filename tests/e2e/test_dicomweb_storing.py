"""STOW-RS to running servers: other clients, hostile bodies, kills, a full disk, large objects."""

import http.client
import io
import json
import os
import subprocess
import time
from urllib.parse import urlsplit

import httpx
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.encaps import generate_frames
from support import make_instance
from support_hostile import Watch, assert_whole, pss_bytes
from support_store import BOUNDARY, JSON_TYPE, Module, bodies, part, related
from support_uploads import left_behind

MIB = 1 << 20
STUDIES = "/dicom-web/studies"


def read(data):
    return pydicom.dcmread(io.BytesIO(data))


def store(server, body, content_type, **options):
    headers = {"Content-Type": content_type}
    return httpx.post(f"{server.url}{STUDIES}", content=body, headers=headers, **options)


def stored_files(server):
    return [server.file(one) for one in server.get("/instances")]


def wait_for(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def test_dicomweb_client_stores_instances(server):
    files = [make_instance(), make_instance(size=9 * MIB)]
    client = DICOMwebClient(f"{server.url}/dicom-web")
    told = client.store_instances([read(file) for file in files])
    assert {item.ReferencedSOPInstanceUID for item in told.ReferencedSOPSequence} == {
        read(file).SOPInstanceUID for file in files
    }
    assert "FailedSOPSequence" not in told
    study = read(files[0]).StudyInstanceUID
    told = client.store_instances([read(files[0])], study_instance_uid=study)
    # The client leaves the port out of its Host header.
    assert told.RetrieveURL.endswith(f"{STUDIES}/{study}")
    expected = sorted(read(file).PixelData for file in files)
    assert sorted(read(file).PixelData for file in stored_files(server)) == expected


def test_what_is_sent_piece_by_piece_and_without_a_length_is_stored(server):
    files = [make_instance(size=size) for size in (100, 2 * MIB)]
    body, content_type = bodies(*files)

    def pieces():
        for at in range(0, len(body), 100_003):
            yield body[at : at + 100_003]

    module = Module(store(server, pieces(), content_type))
    assert (module.status, len(module.stored)) == (200, 2)
    assert set(files) <= set(stored_files(server))


def body_of(file, content_type=None):
    return related(part(file, **({"content_type": content_type} if content_type else {})))[0]


def test_what_the_core_answers_alone_is_answered_as_by_the_application(server):
    """Chunks are the application's; so is what is wrong with a body that the core has read."""
    file, other, study = make_instance(), make_instance(), "1.2.3"
    damaged = file[:140] + b"\xff" * 40 + file[180:]
    content_type = related()[1]
    for path, body, kind in [
        (STUDIES, bodies(file)[0], content_type),
        (STUDIES, b"for nobody\r\n" + bodies(file)[0], content_type),
        (STUDIES, bodies(file, other)[0], content_type),
        (STUDIES, bodies(*[file] * 12)[0], content_type),
        (STUDIES, file, "application/dicom"),
        (f"{STUDIES}/{read(file).StudyInstanceUID}", bodies(file)[0], content_type),
        (f"{STUDIES}/{study}", bodies(file)[0], content_type),
        (STUDIES, bodies(damaged)[0], content_type),
        (STUDIES, bodies(file, damaged, b"")[0], content_type),
        (STUDIES, bodies(file)[0][:-10], content_type),
        (STUDIES, bodies()[0], content_type),
        (STUDIES, b"nothing of the kind", content_type),
        (STUDIES, body_of(file, "application/dicom+json"), content_type),
    ]:
        answers = [
            httpx.post(
                f"{server.url}{path}",
                content=sent,
                headers={"Content-Type": kind, "Accept": accepted},
            )
            for accepted in ("*/*", "application/dicom+json", "application/json")
            # Piece by piece it has no length.
            for sent in (body, (body[at : at + 50_000] for at in range(0, len(body), 50_000)))
        ]
        plain, chunked = answers[::2], answers[1::2]
        for one, two in zip(plain, chunked, strict=True):
            hop = {"connection", "date"}
            heads = [{k: v for k, v in each.headers.items() if k not in hop} for each in (one, two)]
            assert (one.status_code, heads[0], one.text) == (two.status_code, heads[1], two.text)
    assert file in stored_files(server)


def test_a_body_that_takes_its_time_is_taken_all_the_same(start_server):
    server = start_server("--set=http.body_timeout_s=2")
    file = make_instance(size=MIB)
    body, content_type = bodies(file)
    sender = Sender(server, content_type, Content_Length=str(len(body))).send(body[: MIB // 2])
    time.sleep(2.5)  # longer than the core waits before the application does
    answer = sender.send(body[MIB // 2 :]).connection.getresponse()
    assert answer.status == 200, answer.read()
    assert stored_files(server) == [file]
    # What was given up is not held for anybody.
    Sender(server, content_type, Content_Length=str(len(body))).send(body[:-1000]).close()
    wait_for(lambda: "vna_spool_used_bytes 0\n" in server.http.get("/metrics").text)


class Sender:
    """Sends a part of a body, as bytes, and whatever head it wants."""

    def __init__(self, server, content_type, **headers):
        address = urlsplit(server.url)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        self.connection.putrequest("POST", STUDIES)
        for name, value in {"Content-Type": content_type, **headers}.items():
            self.connection.putheader(name.replace("_", "-"), value)
        self.connection.endheaders()

    def send(self, data):
        self.connection.send(data)
        return self

    def close(self):
        self.connection.close()


HOSTILE = [
    b"",
    b"\r\n" * 200_000,
    f"--{BOUNDARY}".encode() * 50_000,
    f"--{BOUNDARY}\r\n".encode() * 50_000,
    f"--{BOUNDARY}\r\nContent-Type: {'x' * 100_000}\r\n\r\n--{BOUNDARY}--".encode(),
    part(b'[{"00080018":' * 100_000, JSON_TYPE) + f"--{BOUNDARY}--".encode(),
    part(b"[" * 1_000_000, JSON_TYPE) + f"--{BOUNDARY}--".encode(),
    part(b"<NativeDicomModel>" * 100_000, "application/dicom+xml") + f"--{BOUNDARY}--".encode(),
    part(
        b'<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><NativeDicomModel>&c;',
        "application/dicom+xml",
    )
    + f"--{BOUNDARY}--".encode(),
    part(b"x", Content_Transfer_Encoding="base64") + f"--{BOUNDARY}--".encode(),
]


def test_hostile_bodies_are_refused_and_harm_nobody(server):
    before = server.get("/statistics")["CountInstances"]
    content_type = related()[1]
    with Watch(server) as watch:
        for body in HOSTILE:
            answer = store(server, body, content_type)
            assert answer.status_code in {400, 415}, (body[:80], answer.status_code, answer.text)
    stored_by_watch = watch.rounds
    assert server.get("/statistics")["CountInstances"] >= before
    assert stored_by_watch > 0
    wait_for(lambda: not left_behind(server.root))


def test_lengths_that_are_no_truth_leave_nothing(server):
    file = make_instance(size=20 * MIB)
    body, content_type = bodies(file)
    before = server.get("/statistics")
    other = Sender(server, content_type, Content_Length=str(len(body))).send(body[: 10 * MIB])
    cut = Sender(server, content_type, Content_Length=str(len(body))).send(body[:-1000])
    wait_for(lambda: len(left_behind(server.root)) >= 1)
    other.close()
    cut.close()
    wait_for(lambda: not left_behind(server.root))
    huge = Sender(server, content_type, Content_Length=str(1 << 60))
    assert huge.connection.getresponse().status == 413
    assert server.get("/statistics") == before


def large_pair(size):
    """Return metadata of an image without pixels, its bulk data, and its SOP Instance UID."""
    data_set = read(make_instance())
    data_set.Rows, data_set.Columns = 1024, 1024
    data_set.NumberOfFrames = size // (2 * 1024 * 1024)
    metadata = data_set.to_json_dict()
    metadata["7FE00010"] = {"vr": "OW", "BulkDataURI": "pixels"}
    return metadata, os.urandom(MIB) * (size // MIB), data_set.SOPInstanceUID


def test_objects_past_memory_are_streamed_in_both_forms(start_server):
    server = start_server("--set=limits.shutdown_s=5")
    file = make_instance(size=120_000_000)
    metadata, pixels, _ = large_pair(120 * MIB)
    joined = related(
        part(json.dumps([metadata]).encode(), JSON_TYPE),
        part(pixels, "application/octet-stream", "pixels"),
        of=JSON_TYPE,
    )
    before = pss_bytes(server.process.pid)
    with Watch(server) as watch:
        for body, content_type in (bodies(file), joined):
            module = Module(store(server, body, content_type, timeout=120))
            assert module.status == 200
    assert watch.most_pss < before + 64 * MIB
    found = [one for one in server.get("/instances?expand") if one["FileSize"] > 100 * MIB]
    assert len(found) == 2
    stored = [server.file(one["ID"]) for one in found]
    assert file in stored
    assert any(one.endswith(pixels) for one in stored)
    assert_whole(server)


def test_a_server_killed_in_the_middle_has_no_instance_by_half(start_server):
    server = start_server()
    small, large = make_instance(), make_instance(size=30 * MIB)
    metadata, pixels, _ = large_pair(20 * MIB)
    joined = related(
        part(json.dumps([metadata]).encode(), JSON_TYPE),
        part(pixels, "application/octet-stream", "pixels"),
        of=JSON_TYPE,
    )
    senders = []
    for body, content_type in (bodies(small, large), joined):
        sender = Sender(server, content_type, Content_Length=str(len(body)))
        senders.append(sender.send(body[: len(body) - 1000]))
    wait_for(lambda: left_behind(server.root))
    server.kill()
    server.start()
    assert not left_behind(server.root)
    # The small file was whole: it may be there.
    assert all(file == small for file in stored_files(server))
    assert Module(store(server, *bodies(small, large))).status == 200
    assert set(stored_files(server)) == {small, large}
    assert_whole(server)


@pytest.fixture
def small_disk(tmp_path):
    """Yield a folder on a file system of its own that soon is full."""
    folder = tmp_path / "small"
    folder.mkdir()
    size = "size=100m"  # 64 MiB of it are kept for deletions
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", folder]).returncode != 0:
        pytest.skip("cannot mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_is_told_and_what_was_stored_before_is_named(start_server, small_disk):
    server = start_server(root=small_disk / "data")
    small, large = make_instance(), make_instance(size=60 * MIB)
    metadata, pixels, _ = large_pair(60 * MIB)

    def unannounced(body):
        for at in range(0, len(body), MIB):
            yield body[at : at + MIB]

    body, content_type = bodies(large)
    for sent in (body, unannounced(body)):
        answer = store(server, sent, content_type)
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) > 0
    joined = related(
        part(json.dumps([metadata]).encode(), JSON_TYPE),
        part(pixels, "application/octet-stream", "pixels"),
        of=JSON_TYPE,
    )
    assert store(server, unannounced(joined[0]), joined[1]).status_code == 503
    body, content_type = bodies(small, large)
    module = Module(store(server, unannounced(body), content_type))
    assert (module.status, module.stored_uids) == (202, [read(small).SOPInstanceUID])
    assert module.others == [0xA700]
    assert stored_files(server) == [small]
    assert_whole(server)


def test_frames_of_a_real_codec_come_back_as_they_were(server):
    """JPEG-LS and JPEG 2000 of DCMTK's and pydicom's making, sent as frames without description."""
    for name, kind in (
        ("emri_small_jpeg_ls_lossless.dcm", "image/jls"),
        ("emri_small_jpeg_2k_lossless.dcm", "image/jp2"),
    ):
        data_set = pydicom.dcmread(pydicom.data.get_testdata_file(name))
        frames = list(generate_frames(data_set.PixelData, number_of_frames=data_set.NumberOfFrames))
        described = {key: data_set[key].value for key in DESCRIPTION if key in data_set}
        data_set.SOPInstanceUID = pydicom.uid.generate_uid()
        for key in described:
            del data_set[key]
        del data_set.PixelData
        metadata = data_set.to_json_dict()
        metadata["7FE00010"] = {"vr": "OB", "BulkDataURI": "frames"}
        parts = [part(frame, kind, "frames") for frame in frames]
        module = Module(
            store(
                server,
                *related(part(json.dumps([metadata]).encode(), JSON_TYPE), *parts, of=JSON_TYPE),
            )
        )
        assert module.status == 200, module.elements
        found = next(
            it
            for it in map(read, stored_files(server))
            if it.SOPInstanceUID == data_set.SOPInstanceUID
        )
        assert found.file_meta.TransferSyntaxUID == data_set.file_meta.TransferSyntaxUID
        assert {key: found[key].value for key in described} == described


DESCRIPTION = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "PixelRepresentation",
)
