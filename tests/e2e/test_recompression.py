"""Recompressed archives answer every request as they did before, and lose nothing to a kill.

pydicom's packaged files are always there; with VNA_ALL_DATA the shared data is recompressed too.
"""

import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from pydicom.uid import generate_uid
from support import VNA, make_instance
from support_cli import vna
from support_samples import shared_data

METHODS = ["htj2k", "jpeg-ls", "j2k", "rle", "deflate"]


def smooth(rows=64, columns=64, seed=0):
    """Return pixels that look like an image: noise on a slope."""
    chance = np.random.default_rng(seed)
    slope = np.add.outer(np.arange(rows) * 5, np.arange(columns) * 3)
    return (slope + chance.integers(0, 4, (rows, columns))).astype("<u2").tobytes()


def images(count, rows=64):
    study, series = generate_uid(), generate_uid()
    size = rows * 64 * 2
    attributes = {"Rows": rows, "Columns": 64, "BitsStored": 12, "HighBit": 11}
    return [
        make_instance(
            study, series, number=n, size=size, PixelData=smooth(rows, seed=n), **attributes
        )
        for n in range(count)
    ]


def packaged():
    """Return pydicom's files that are packaged with it, and the shared ones if they are wanted."""
    folders = [Path(pydicom.data.__file__).parent / "test_files"]
    if os.environ.get("VNA_ALL_DATA") and shared_data():
        folders = [Path(shared_data())]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in paths if b"DICM" in path.read_bytes()[:132]]


def answers(server, instances):
    """Return what the archive says of instances: digests of files, tags, models and frames."""
    found = {}
    for one in instances:
        for what in ("file", "tags", "header", "frames"):
            answer = server.http.get(f"/instances/{one}/{what}")
            body = hashlib.sha256(answer.content).hexdigest()
            found[one, what] = (answer.status_code, body)
        part = server.http.get(f"/instances/{one}/file", headers={"Range": "bytes=700-5000"})
        found[one, "range"] = (part.status_code, part.content)
        if found[one, "frames"][0] == 200:
            frame = server.http.get(f"/instances/{one}/frames/0/raw")
            found[one, "frame"] = (frame.status_code, hashlib.sha256(frame.content).hexdigest())
    return found


def recompress(root, *arguments):
    done = vna("recompress", "--json", "--root", root, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("method", METHODS)
def test_every_answer_stays_the_same(start_server, method):
    flags = ["--set=storage.large_object_bytes=200000"] if method == "htj2k" else []
    server = start_server(*flags)
    stored = {}
    files = images(3)
    files += [path.read_bytes() for path in packaged()] if method == "htj2k" else []
    for data in files:
        answer = server.http.post("/instances", content=data)
        if answer.status_code == 200 and isinstance(answer.json(), dict):
            stored[answer.json()["ID"]] = data
    before = answers(server, stored)
    held = server.http.get("/statistics").json()

    dry = recompress(server.root, "--to", method, "--dry-run")
    assert dry["Files"] >= 3
    assert dry["Recompressed"] == 0
    done = recompress(server.root, "--to", method)
    assert done["Recompressed"] >= 3
    assert done["BytesAfter"] < done["BytesBefore"]
    assert recompress(server.root, "--to", method)["Files"] == 0, "nothing is tried twice"

    assert answers(server, stored) == before
    now = server.http.get("/statistics").json()
    saved = done["BytesBefore"] - done["BytesAfter"]  # also of versions that are kept
    assert 0 < int(held["TotalDiskSize"]) - int(now["TotalDiskSize"]) <= saved
    assert now["TotalUncompressedSize"] == held["TotalUncompressedSize"]

    assert server.stop() == 0
    checked = vna("check", "--root", server.root)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert vna("reindex", "--root", server.root).returncode == 0
    again = start_server(*flags, root=server.root)
    assert answers(again, stored) == before
    metrics = again.http.get("/metrics").text
    assert "vna_plain_bytes" in metrics


def test_a_stopped_archive_is_recompressed_too(start_server):
    server = start_server()
    stored = [server.upload(data)["ID"] for data in images(3)]
    before = answers(server, stored)
    assert server.stop() == 0
    told = vna("recompress", "--root", server.root)
    assert told.returncode == 0
    assert told.stdout.startswith("3 of 3 objects recompressed")
    assert answers(start_server(root=server.root), stored) == before


def test_housekeeping_recompresses_packs_that_are_old_enough(start_server):
    server = start_server(
        "--set=storage.segment_bytes=1048576",
        "--set=storage.large_object_bytes=300000",
        "--set=storage.recompress=htj2k",
        "--set=storage.recompress_after_days=0",
    )
    stored = [server.upload(data)["ID"] for data in images(12, rows=1600)]
    before = answers(server, stored)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        held = server.http.get("/statistics").json()
        if int(held["TotalDiskSize"]) < int(held["TotalUncompressedSize"]) * 0.8:
            break
        time.sleep(0.2)
    assert int(held["TotalDiskSize"]) < int(held["TotalUncompressedSize"]) * 0.8
    assert answers(server, stored) == before


def test_a_kill_in_the_middle_loses_nothing(start_server):
    """It dies where it stands, several times; what is left is opened, checked and finished."""
    flags = ("--set=storage.segment_bytes=1048576", "--set=storage.large_object_bytes=300000")
    server = start_server(*flags)
    stored = [server.upload(data)["ID"] for data in images(24, rows=1600) + images(2, rows=4000)]
    before = answers(server, stored)
    assert server.stop() == 0
    command = [VNA, "recompress", "--root", str(server.root)]
    for delay in (0.4, 0.6, 0.9):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert vna("check", "--root", server.root).returncode == 0
    assert vna("recompress", "--root", server.root).returncode == 0
    assert answers(start_server(*flags, root=server.root), stored) == before


@pytest.mark.parametrize("body", [b'{"Method": "lossy"}', b'{"OlderThanDays": -1}', b"[]", b"{"])
def test_a_wrong_request_is_refused(server, body):
    answer = server.http.post("/tools/recompress", content=body)
    assert answer.status_code == 400
