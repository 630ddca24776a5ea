"""STOW-RS past what memory or 32 bits hold, sent by a client that makes the bytes as it goes.

The usual run sends objects of 24 MB, three times what goes into a file of its own; `make
test-large` (VNA_LARGE_BYTES) sends what is past 2 GiB each, and past 4 GiB together.
"""

import hashlib
import http.client
import io
import json
import logging
import os
import shutil
import time
from urllib.parse import urlsplit

import pydicom
from support import make_instance
from support_hostile import Watch, assert_whole, pss_bytes
from support_store import BOUNDARY, JSON_TYPE, Module

logger = logging.getLogger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # else figures drown in its requests

MIB = 1 << 20
WEB = "/dicom-web"
FRAME_BYTES = 2 * MIB
LARGE_BYTES = int(os.environ.get("VNA_LARGE_BYTES", 24 * MIB))
FRAMES = -(-LARGE_BYTES // FRAME_BYTES)
# What a server may hold beside what it holds idle, whatever it is sent.
MOST_MORE_BYTES = 64 * MIB


class Large:
    """An image of many frames, of which no byte is kept: each frame can be made anew."""

    def __init__(self, name):
        self.name = name
        self.size = FRAMES * FRAME_BYTES
        found = pydicom.dcmread(io.BytesIO(make_instance(PatientID=name)))
        found.Rows = found.Columns = 1024
        found.NumberOfFrames = FRAMES
        del found.PixelData
        self.data_set = found

    def frame(self, index):
        """Return a frame that is like no other."""
        seed = hashlib.sha256(f"{self.name} {index}".encode()).digest()
        return seed * (FRAME_BYTES // len(seed))

    def frames(self):
        return (self.frame(index) for index in range(FRAMES))

    def head(self):
        """Return the file up to the first pixel; the length of the element is that of all."""
        found = pydicom.Dataset(self.data_set)
        found.file_meta = self.data_set.file_meta
        found.PixelData = b""
        found["PixelData"].VR = "OW"
        buffer = io.BytesIO()
        pydicom.dcmwrite(buffer, found, enforce_file_format=True)
        return buffer.getvalue()[:-4] + self.size.to_bytes(4, "little")

    @property
    def path(self):
        found = self.data_set
        return (
            f"{WEB}/studies/{found.StudyInstanceUID}/series/{found.SeriesInstanceUID}"
            f"/instances/{found.SOPInstanceUID}"
        )


def part_head(content_type, location=None):
    named = f"Content-Location: {location}\r\n" if location else ""
    return f"--{BOUNDARY}\r\nContent-Type: {content_type}\r\n{named}\r\n".encode()


END = f"--{BOUNDARY}--\r\n".encode()


def as_files(images):
    """Return the length of a body of files, and its pieces."""
    heads = [part_head("application/dicom") + image.head() for image in images]
    length = sum(len(head) + image.size + 2 for head, image in zip(heads, images, strict=True))

    def pieces():
        for head, image in zip(heads, images, strict=True):
            yield head
            yield from image.frames()
            yield b"\r\n"
        yield END

    return length + len(END), pieces(), "application/dicom"


def as_bulk_data(image):
    """The same of metadata, and the pixels as bulk data."""
    metadata = image.data_set.to_json_dict()
    metadata["7FE00010"] = {"vr": "OW", "BulkDataURI": "pixels"}
    head = part_head(JSON_TYPE) + json.dumps([metadata]).encode() + b"\r\n"
    head += part_head("application/octet-stream", "pixels")

    def pieces():
        yield head
        yield from image.frames()
        yield b"\r\n" + END

    return len(head) + image.size + 2 + len(END), pieces(), JSON_TYPE


class Answer:
    """An answer as `Module` reads it."""

    def __init__(self, answer):
        self.status_code, self.content = answer.status, answer.read()


def store(server, length, pieces, media_type):
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=600)
    headers = {
        "Content-Type": f'multipart/related; type="{media_type}"; boundary={BOUNDARY}',
        "Content-Length": str(length),
    }
    begun = time.monotonic()
    connection.request("POST", f"{WEB}/studies", body=pieces, headers=headers)
    answer = Answer(connection.getresponse())
    connection.close()
    speed = length / 1e6 / (time.monotonic() - begun)
    logger.info("%d bytes as %s, %.0f MB/s", length, media_type, speed)
    return answer


def check(server, image):
    """The image comes back: its end by a range, frames on either side of 2 GiB, and its size."""
    accept = "application/dicom; transfer-syntax=*"
    answer = server.http.get(image.path, headers={"accept": accept, "range": "bytes=-1000"})
    assert (answer.status_code, answer.content) == (206, image.frame(FRAMES - 1)[-1000:])
    size = int(answer.headers["content-range"].rpartition("/")[2])
    assert image.size < size < image.size + 10_000
    pixels_at = size - image.size
    for at in {0, min((1 << 31) - 500, image.size - 2000), image.size - FRAME_BYTES - 500}:
        first = pixels_at + at
        wanted = {"accept": accept, "range": f"bytes={first}-{first + 999}"}
        frame, within = divmod(at, FRAME_BYTES)
        expected = image.frame(frame)[within : within + 1000]
        expected += image.frame(frame + 1)[: 1000 - len(expected)]
        assert server.http.get(image.path, headers=wanted).content == expected
    for number in {1, FRAMES // 2, FRAMES}:
        wanted = {"accept": "application/octet-stream"}
        given = server.http.get(f"{image.path}/frames/{number}", headers=wanted)
        assert given.content == image.frame(number - 1)


def test_objects_past_two_gigabytes_are_streamed_in_both_forms(start_server):
    server = start_server("--set=limits.shutdown_s=60")
    files, joined = [Large("one"), Large("two")], Large("three")
    idle = pss_bytes(server.process.pid)
    with Watch(server) as watch:
        for images, body in ((files, as_files(files)), ([joined], as_bulk_data(joined))):
            module = Module(store(server, *body))
            assert module.status == 200
            expected = {image.data_set.SOPInstanceUID for image in images}
            assert set(module.stored_uids) == expected
    logger.info("PSS %.0f MiB idle, %.0f MiB at most", idle / MIB, watch.most_pss / MIB)
    assert watch.most_pss < idle + MOST_MORE_BYTES
    for image in (*files, joined):
        check(server, image)
    assert_whole(server)
    shutil.rmtree(server.root)


def test_metadata_longer_than_any_is_read_is_refused_by_its_size(start_server):
    """What is long goes as bulk data; a value in place counts with the text that it is in."""
    server = start_server()
    metadata = pydicom.dcmread(io.BytesIO(make_instance())).to_json_dict()
    metadata["7FE00010"] = {"vr": "OW", "BulkDataURI": "pixels"}
    begin, end = (
        b'[{"00091010":{"vr":"OB","InlineBinary":"',
        b'"},' + json.dumps([metadata]).encode()[2:],
    )
    pixels = b"\r\n" + part_head("application/octet-stream", "pixels") + b"\0" * 64 + b"\r\n" + END

    def body(count):
        head = part_head(JSON_TYPE) + begin
        length = len(head) + count * MIB + len(end) + len(pixels)

        def pieces():
            yield head
            for _ in range(count):
                yield b"A" * MIB
            yield end + pixels

        return length, pieces(), JSON_TYPE

    before = pss_bytes(server.process.pid)
    refused = store(server, *body(65))
    assert refused.status_code == 413, refused.content
    assert Module(refused).others == [0xA700]
    assert pss_bytes(server.process.pid) < before + MOST_MORE_BYTES
    assert server.get("/instances") == []
    assert "a part of metadata of more than 64 MiB" in server.output()
    assert Module(store(server, *body(4))).status == 200
    assert server.stop() == 0
