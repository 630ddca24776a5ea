"""Frames leave as they are stored, whichever way they are read.

A frame whose file is in memory is read where it is sent, another one by a thread that may wait, and
what the core does not answer is the application's: all three give the bytes that were stored.
"""

import io
import os
import random
import struct

import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)
from support import make_instance
from support_multipart import parts_of

NATIVE = 'multipart/related; type="application/octet-stream"'
# Longer than a piece in which bodies are sent, of odd length, short.
SIZES = (300_001, 7, 70_000)
RANDOM = random.Random(7)


def codestream(size):
    """Return noise between the marks by which a JPEG is known."""
    return b"\xff\xd8\xff" + RANDOM.randbytes(size - 5) + b"\xff\xd9"


def items(*fragments):
    """Return the items of fragments (PS3.5 §A.4), each padded to even length."""
    padded = [fragment + b"\0" * (len(fragment) % 2) for fragment in fragments]
    return b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<L", len(each)) + each for each in padded)


def encapsulated(frames, table):
    """Return pixel data of frames, each given as its fragments, behind an offset table or none."""
    coded = [items(*frame) for frame in frames]
    offsets = [sum(map(len, coded[:at])) for at in range(len(coded))]
    told = struct.pack(f"<{len(offsets)}L", *offsets) if table else b""
    return items(told) + b"".join(coded)


def halves(frame):
    """Return a frame in three fragments; all but the last have an even length."""
    return [frame[:4], frame[4:6], frame[6:]]


FRAMES = [codestream(size) for size in SIZES]
WHOLE = [[frame] for frame in FRAMES]
ENCAPSULATED = {
    "table": (WHOLE, True),
    "no-table": (WHOLE, False),
    "fragments": ([halves(frame) for frame in FRAMES], True),
    "fragments-no-table": ([halves(FRAMES[0])], False),
    "empty-fragments": ([[FRAMES[0], b""], [*halves(FRAMES[1]), b"", b""], [FRAMES[2]]], True),
    "empty-fragments-no-table": ([[b"", FRAMES[0], b""]], False),
}
SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}


def instance(syntax, pixels, frames, rows, columns):
    made = pydicom.dcmread(io.BytesIO(make_instance()))
    made.NumberOfFrames, made.Rows, made.Columns = str(frames), rows, columns
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = pixels
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = syntax.is_encapsulated
    file = io.BytesIO()
    pydicom.dcmwrite(file, made, enforce_file_format=True)
    path = f"/dicom-web/studies/{made.StudyInstanceUID}/series/{made.SeriesInstanceUID}"
    return file.getvalue(), f"{path}/instances/{made.SOPInstanceUID}/frames"


@pytest.fixture(scope="module")
def server(start_server):
    return start_server()


def forget(folder):
    """Drop what the kernel has in memory of the files, where it can."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def check(server, path, accept, frames):
    """Ask for each frame and for all of them, in each of the ways that there are."""
    lists = {str(number): [frame] for number, frame in enumerate(frames, 1)}
    lists[",".join(lists)] = frames
    for listed, expected in lists.items():
        url = f"{path}/{listed}"
        plain = {"headers": {"Accept": accept}}
        ways = [plain, {"params": {"accept": accept}}, plain, plain]
        for number, way in enumerate(ways):
            if number == 2:
                forget(server.root)
            answer = server.http.get(url, **way)
            assert answer.status_code == 200, answer.text
            found = [part.body for part in parts_of(answer)]
            assert found == expected, (listed, number)


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
def test_native_frames_are_the_same_in_each_way(server, syntax):
    rows, columns = 333, 403  # an odd number of bytes, more than a piece of a body
    frames = [RANDOM.randbytes(rows * columns) for _ in range(3)]
    file, path = instance(syntax, b"".join(frames) + b"\0", 3, rows, columns)
    server.upload(file)
    check(server, path, NATIVE, frames)


@pytest.mark.parametrize("case", ENCAPSULATED.values(), ids=ENCAPSULATED)
def test_encapsulated_frames_are_the_same_in_each_way(server, case):
    fragments, table = case
    value = encapsulated(fragments, table)
    file, path = instance(JPEGBaseline8Bit, value, len(fragments), 8, 8)
    server.upload(file)
    frames = [b"".join(frame) for frame in fragments]
    accept = f'multipart/related; type="image/jpeg"; transfer-syntax={JPEGBaseline8Bit}'
    check(server, path, accept, [frame + b"\0" * (len(frame) % 2) for frame in frames])


def test_frames_of_deflated_and_compressed_files_are_the_same_decoded(server):
    rows, columns = 64, 50
    pixels = RANDOM.randbytes(rows * columns * 2)
    file, path = instance(ExplicitVRLittleEndian, pixels, 2, rows, columns)
    made = pydicom.dcmread(io.BytesIO(file))
    made.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    packed = io.BytesIO()
    pydicom.dcmwrite(packed, made, enforce_file_format=True)
    server.upload(packed.getvalue())
    frames = [pixels[: rows * columns], pixels[rows * columns :]]
    check(server, path, NATIVE, frames)
