"""Recompressed archives answer every request as they did before, and lose nothing to a kill.

pydicom's packaged files are always there; with VNA_ALL_DATA the shared data is recompressed too.
"""

import hashlib
import io
import json
import os
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from pydicom.uid import ExplicitVRLittleEndian, HTJ2KLossless, RLELossless, generate_uid
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


def compressed(count, rows=64):
    """Return images as they come from devices that compress: RLE, which others beat."""
    found = []
    for data in images(count, rows):
        data_set = pydicom.dcmread(io.BytesIO(data))
        data_set.compress(RLELossless, generate_instance_uid=False)
        found.append(to_bytes(data_set))
    return found


def to_bytes(data_set):
    out = io.BytesIO()
    data_set.save_as(out)
    return out.getvalue()


def shown(server, instances):
    """Return what instances show, whichever files they have."""
    found = {}
    for one in instances:
        plain = server.http.get(
            f"/instances/{one}/file", params={"transcode": ExplicitVRLittleEndian}
        )
        data_set = pydicom.dcmread(io.BytesIO(plain.content))
        found[one] = (data_set.pixel_array.tobytes(), data_set.SOPInstanceUID)
        assert server.http.get(f"/instances/{one}/preview").status_code == 200
    return found


def syntaxes(server, instances):
    return [server.http.get(f"/instances/{one}/metadata/TransferSyntax").text for one in instances]


def history(root):
    told = vna("recompress", "--history", "--json", "--root", root)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_originals_are_given_up_on_an_operators_word_alone(start_server):
    flags = ["--set=storage.large_object_bytes=100000"]  # some have files of their own
    server = start_server(*flags)
    files = [*compressed(3), *compressed(1, rows=1600)]
    files.append(Path(pydicom.data.get_testdata_file("MR_small_RLE.dcm")).read_bytes())
    stored = [server.upload(data)["ID"] for data in files]
    before, received = shown(server, stored), syntaxes(server, stored)
    etags = {server.http.get(f"/instances/{one}/file").headers["etag"] for one in stored}

    assert recompress(server.root)["Recompressed"] == 0
    dry = recompress(server.root, "--give-up-originals", "--dry-run")
    assert dry["SampledAfter"] < dry["SampledBefore"]
    assert history(server.root) == {
        "Runs": [],
        "Objects": 0,
        "BytesReceived": 0,
        "BytesKept": 0,
    }
    assert syntaxes(server, stored) == received

    done = recompress(server.root, "--give-up-originals")
    assert done["Recompressed"] == len(stored)
    assert shown(server, stored) == before
    assert set(syntaxes(server, stored)) == {HTJ2KLossless}
    assert etags.isdisjoint(
        server.http.get(f"/instances/{one}/file").headers["etag"] for one in stored
    )
    [run] = history(server.root)["Runs"]
    assert (run["Method"], run["Ended"], run["Replaced"]) == ("htj2k", True, len(stored))
    assert (run["BytesBefore"], run["BytesAfter"]) == (done["BytesBefore"], done["BytesAfter"])
    assert (run["WayIn"], run["Address"]) == ("rest", "127.0.0.1")
    # What was received is known again, and the new files are files like any other.
    assert {server.upload(data)["Status"] for data in files} == {"AlreadyStored"}
    whole = server.http.get(f"/instances/{stored[0]}/file").content
    part = server.http.get(f"/instances/{stored[0]}/file", headers={"Range": "bytes=500-900"})
    assert part.content == whole[500:901]

    assert server.stop() == 0
    assert vna("check", "--root", server.root).returncode == 0
    assert vna("reindex", "--root", server.root).returncode == 0
    told = vna("recompress", "--history", "--root", server.root)
    assert f"{len(stored)} objects not as received" in told.stdout
    again = start_server(*flags, root=server.root)
    assert shown(again, stored) == before
    assert set(syntaxes(again, stored)) == {HTJ2KLossless}


def test_a_kill_while_originals_are_given_up_leaves_the_one_file_or_the_other(start_server):
    flags = ("--set=storage.segment_bytes=1048576", "--set=storage.large_object_bytes=150000")
    server = start_server(*flags)
    stored = [server.upload(data)["ID"] for data in compressed(10, rows=1200)]
    before = shown(server, stored)
    assert server.stop() == 0
    command = [VNA, "recompress", "--give-up-originals", "--root", str(server.root)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(0.8)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert vna("check", "--root", server.root).returncode == 0
    assert vna("recompress", "--give-up-originals", "--root", server.root).returncode == 0
    found = history(server.root)
    assert found["Objects"] == len(stored), "also what a run did that was cut short"
    assert found["Runs"][0]["Ended"]
    again = start_server(*flags, root=server.root)
    assert shown(again, stored) == before
    assert set(syntaxes(again, stored)) == {HTJ2KLossless}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"Lossy": True}, 400),
        ({"GiveUpOriginals": True, "Method": "deflate"}, 400),
        ({"GiveUpOriginals": True, "DryRun": True, "Run": 1}, 400),
        ({"GiveUpOriginals": True, "Run": 99}, 404),
    ],
)
def test_giving_up_is_refused_where_it_makes_no_sense(server, body, status):
    assert server.http.post("/tools/recompress", json=body).status_code == status
    assert server.http.get("/tools/recompress/history").json()["Runs"] == []


@pytest.mark.parametrize("body", [b'{"Method": "lossy"}', b'{"OlderThanDays": -1}', b"[]", b"{"])
def test_a_wrong_request_is_refused(server, body):
    answer = server.http.post("/tools/recompress", content=body)
    assert answer.status_code == 400


def in_rle(data):
    data_set = pydicom.dcmread(io.BytesIO(data))
    data_set.compress(RLELossless, generate_instance_uid=False)
    written = io.BytesIO()
    data_set.save_as(written)
    return written.getvalue()


def unpacked(server, path):
    """The data sets of an archive that a study is in, by SOP Instance UID, and its DICOMDIR."""
    answer = server.http.get(path)
    assert answer.status_code == 200, answer.text
    found, directory = {}, None
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert packed.testzip() is None
        for name in packed.namelist():
            data = packed.read(name)
            data_set = pydicom.dcmread(io.BytesIO(data))
            if name == "DICOMDIR":
                directory = data_set
            else:
                found[data_set.SOPInstanceUID] = (data, data_set)
    return found, directory


def of_the_web(server, file):
    """Return the headers with which DICOMweb answers for an instance as it is kept."""
    found = pydicom.dcmread(io.BytesIO(file))
    path = f"/dicom-web/studies/{found.StudyInstanceUID}/series/{found.SeriesInstanceUID}"
    accept = {"accept": "application/dicom; transfer-syntax=*"}
    answer = server.http.get(f"{path}/instances/{found.SOPInstanceUID}", headers=accept)
    assert answer.status_code == 200, answer.text
    return answer.headers


def test_archives_and_media_have_what_is_in_the_place_of_originals_that_were_given_up(start_server):
    server = start_server("--set=storage.large_object_bytes=65536")
    plain = [*images(2, rows=200), *images(1, rows=1600)]
    originals = [in_rle(plain[0]), plain[1], in_rle(plain[2])]  # the last has a file of its own
    pixels = {}
    for file in plain:
        data_set = pydicom.dcmread(io.BytesIO(file))
        pixels[data_set.SOPInstanceUID] = bytes(data_set.PixelData)
    stored = [server.upload(file) for file in originals]
    before = [of_the_web(server, file) for file in originals]
    assert recompress(server.root, "--to", "htj2k")["Recompressed"] == 1, "the one that is plain"
    done = recompress(server.root, "--to", "htj2k", "--give-up-originals")
    assert done["Recompressed"] == 2
    for file, was in zip(originals, before, strict=True):
        # Other bytes have another tag, and nothing tells since when they are there.
        headers = of_the_web(server, file)
        is_other = file is not plain[1]
        assert (headers["etag"] != was["etag"]) == is_other
        assert not (is_other and "last-modified" in headers)
    studies = {one["ParentStudy"] for one in stored}
    syntaxes = []
    for study in studies:
        files, _ = unpacked(server, f"/studies/{study}/archive")
        media, directory = unpacked(server, f"/studies/{study}/media")
        assert {uid: data for uid, (data, _) in media.items()} == {
            uid: data for uid, (data, _) in files.items()
        }
        records = {
            one.ReferencedSOPInstanceUIDInFile: one.ReferencedTransferSyntaxUIDInFile
            for one in directory.DirectoryRecordSequence
            if one.DirectoryRecordType == "IMAGE"
        }
        assert records == {
            uid: data_set.file_meta.TransferSyntaxUID for uid, (_, data_set) in files.items()
        }
        syntaxes += records.values()
        # Each shows what it showed, by a decoder of ours and, where it has one, by pydicom's.
        native, _ = unpacked(server, f"/studies/{study}/archive?transcode=1.2.840.10008.1.2.1")
        for uid, (data, data_set) in files.items():
            assert native[uid][1].PixelData == pixels[uid]
            assert data_set.pixel_array.tobytes() == pixels[uid]
            public_id = server.http.post("/tools/lookup", content=str(uid)).json()[0]["ID"]
            assert server.file(public_id) == data
    assert sorted(syntaxes) == sorted([HTJ2KLossless, HTJ2KLossless, ExplicitVRLittleEndian])
    again = [server.upload(file)["Status"] for file in originals]
    assert again == ["AlreadyStored"] * 3
