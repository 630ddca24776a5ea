"""Pixel data that someone broke on purpose, sent to a running server that is then asked for it."""

import io
import json
import os
import random
import re
import signal
import time
from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomIO
from support import make_instance

from vna import _core

EXPLICIT = "1.2.840.10008.1.2.1"
ROWS, COLUMNS = 24, 32
GREY = {"bits_allocated": 16, "bits_stored": 12, "samples_per_pixel": 1}
COLOUR = {"bits_allocated": 8, "bits_stored": 8, "samples_per_pixel": 3}
DATA = Path(__file__).parents[2] / "core-rs" / "codec" / "tests" / "data"
# What we do not encode, another encoder did.
OTHERS = {
    "1.2.840.10008.1.2.4.53": "spectral_12.jpg",
    "1.2.840.10008.1.2.4.55": "progressive_8.jpg",
    "1.2.840.10008.1.2.4.92": "layers.jp2",
    "1.2.840.10008.1.2.4.93": "layers.jp2",
    "1.2.840.10008.1.2.4.110": "rgb_8.jxl",
    "1.2.840.10008.1.2.4.111": "rgb_recompressed.jxl",
    "1.2.840.10008.1.2.4.112": "rgb_lossy.jxl",
}
SYNTAXES = {
    syntax["uid"]: syntax
    for syntax in json.loads(_core.pixel_syntaxes())
    if syntax["decodes"] and syntax["compression"] in ("lossless", "lossy")
}
BROKEN_EACH = 8


def codestream(uid, kind):
    """Return a whole codestream of the syntax, not always of frames like those of `kind`."""
    if uid in OTHERS:
        return (DATA / OTHERS[uid]).read_bytes()
    size = ROWS * COLUMNS * kind["samples_per_pixel"] * kind["bits_allocated"] // 8
    samples = bytes((at * 7) % 16 for at in range(size))
    about = {"rows": ROWS, "columns": COLUMNS, "sample": "unsigned"} | kind
    about["photometric"] = "RGB" if kind is COLOUR else "MONOCHROME2"
    if uid.endswith(".4.50"):  # takes 8 bits only
        about |= {"bits_allocated": 8, "bits_stored": 8}
        samples = samples[: ROWS * COLUMNS * kind["samples_per_pixel"]]
    stream, _ = _core.encode_frame(samples, json.dumps(about).encode(), transfer_syntax_uid=uid)
    return stream


def broken(stream, chance):
    """Break it in one place: cut, flip bits, put an extreme number into the header."""
    stream = bytearray(stream)
    match chance.randrange(4):
        case 0:
            del stream[chance.randrange(len(stream)) :]
        case 1:
            for _ in range(3):
                stream[chance.randrange(len(stream))] ^= 1 << chance.randrange(8)
        case 2:
            at = chance.randrange(min(64, len(stream)))
            stream[at : at + 2] = chance.choice([b"\xff\xff", b"\x00\x00", b"\x7f\xff"])
        case _:
            at = chance.randrange(len(stream))
            stream[at:at] = stream[: chance.randrange(64)]
    return bytes(stream) or b"\0"


def image(uid, stream, kind):
    """Return a file whose one frame is `stream`."""
    about = {
        "Rows": ROWS,
        "Columns": COLUMNS,
        "BitsAllocated": kind["bits_allocated"],
        "BitsStored": kind["bits_stored"],
        "HighBit": kind["bits_stored"] - 1,
        "SamplesPerPixel": kind["samples_per_pixel"],
        "PhotometricInterpretation": "RGB" if kind is COLOUR else "MONOCHROME2",
    }
    data_set = pydicom.dcmread(io.BytesIO(make_instance(**about)))
    if kind is COLOUR:
        data_set.PlanarConfiguration = 0
    data_set.PixelData = encapsulate([stream])
    data_set["PixelData"].VR = "OB"
    data_set["PixelData"].is_undefined_length = True
    data_set.file_meta.TransferSyntaxUID = uid
    # In two parts, since pydicom does not know every syntax.
    written = io.BytesIO()
    written.write(bytes(128) + b"DICM")
    pydicom.filewriter.write_file_meta_info(written, data_set.file_meta)
    body = DicomIO(written)
    body.is_implicit_VR, body.is_little_endian = False, True
    pydicom.filewriter.write_dataset(body, data_set)
    return written.getvalue()


def decoded(server, public_id):
    return server.http.get(f"/instances/{public_id}/file", params={"transcode": EXPLICIT})


def metrics(server):
    text = server.http.get("/metrics").text
    outcomes = re.findall(r'^vna_codec_frames_total\{outcome="(\w+)"\} (\d+)$', text, re.MULTILINE)
    helpers = re.search(r"^vna_codec_helpers (\d+)$", text, re.MULTILINE)
    return {name: int(count) for name, count in outcomes}, int(helpers[1])


def helpers_of(server):
    """Return the processes below the server's."""
    tasks = Path(f"/proc/{server.process.pid}/task")
    texts = [(task / "children").read_text() for task in tasks.iterdir()]
    return [int(pid) for text in texts for pid in text.split()]


def is_running(pid):
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def await_end_of(pids):
    end = time.monotonic() + 60
    while any(map(is_running, pids)):
        assert time.monotonic() < end, "processes are left behind"
        time.sleep(0.01)


def good_image():
    uid = "1.2.840.10008.1.2.4.80"
    return image(uid, codestream(uid, GREY), GREY)


@pytest.mark.parametrize("uid", SYNTAXES)
def test_broken_pixel_data_is_answered_with_the_reason(server, uid):
    chance = random.Random(uid)
    for number in range(BROKEN_EACH):
        kind = GREY if number % 2 else COLOUR
        if uid.endswith((".1.98", ".2.5", ".8.1")):
            kind = COLOUR
        stream = broken(codestream(uid, kind), chance)
        answer = decoded(server, server.upload(image(uid, stream, kind))["ID"])
        if answer.status_code == 200:  # what was broken is not seen, or was not needed
            pixels = pydicom.dcmread(io.BytesIO(answer.content)).PixelData
            size = ROWS * COLUMNS * kind["samples_per_pixel"] * kind["bits_allocated"] // 8
            assert len(pixels) == size
        else:
            assert answer.status_code == 415, answer.text
            assert answer.json()["Details"]
    assert decoded(server, server.upload(good_image())["ID"]).status_code == 200


def test_no_helper_was_lost_by_it_and_all_is_counted(server):
    outcomes, helpers = metrics(server)
    assert outcomes["refused"]
    assert outcomes["decoded"]
    assert (outcomes["crashed"], outcomes["timed_out"], outcomes["not_started"]) == (0, 0, 0)
    assert helpers == len(helpers_of(server)) > 0


def test_helpers_that_are_killed_are_replaced(server):
    public_id = server.upload(good_image())["ID"]
    helpers = []
    for _ in range(6):
        # One that is about to end can still take a frame with it, but no more than that one.
        answers = [decoded(server, public_id).status_code for _ in range(len(helpers) + 1)]
        assert answers[-1] == 200
        helpers = helpers_of(server)
        for pid in helpers:
            os.kill(pid, signal.SIGKILL)
        await_end_of(helpers)
    answers = [decoded(server, public_id).status_code for _ in range(len(helpers) + 1)]
    assert answers[-1] == 200


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_no_helper_outlives_the_server(start_server, end):
    server = start_server()
    assert decoded(server, server.upload(good_image())["ID"]).status_code == 200
    helpers = helpers_of(server)
    assert helpers
    getattr(server, end)()
    await_end_of(helpers)


def test_without_isolation_there_are_no_helpers(start_server):
    server = start_server("--set=codecs.isolation=none")
    assert decoded(server, server.upload(good_image())["ID"]).status_code == 200
    assert helpers_of(server) == []
