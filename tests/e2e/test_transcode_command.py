"""`vna transcode` of files, folders and instances of an archive."""

import io
import json

import numpy as np
import pydicom
import pytest
from support import ct_small
from support_cli import vna

RLE, JPEGLS = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"


@pytest.fixture
def folder(tmp_path):
    below = tmp_path / "in" / "series"
    below.mkdir(parents=True)
    for number in range(3):
        (below / f"{number}.dcm").write_bytes(ct_small())
    (below / "notes.txt").write_text("no DICOM at all, and no reason to fail")
    return tmp_path / "in"


def pixels(file):
    return pydicom.dcmread(file).pixel_array


def test_a_folder_goes_into_another_one(folder, tmp_path):
    done = vna("transcode", folder, "--to", "jpeg-ls", "-o", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["transcoded"], told["skipped"], told["failed"]) == (3, 1, 0)
    assert told["bytes_after"] < told["bytes_before"]
    for number in range(3):
        found = tmp_path / "out" / "series" / f"{number}.dcm"
        assert pydicom.dcmread(found).file_meta.TransferSyntaxUID == JPEGLS
        assert np.array_equal(pixels(found), pixels(io.BytesIO(ct_small())))
    again = vna("transcode", folder, "--to", "jpeg-ls", "-o", tmp_path / "out")
    assert again.returncode == 1
    assert "is there already; see --force" in again.stderr
    assert vna("transcode", folder, "--to", RLE, "-o", tmp_path / "out", "--force").returncode == 0


def test_a_file_stands_beside_its_source_or_where_it_is_told(folder):
    source = folder / "series" / "0.dcm"
    assert vna("transcode", source, "--to", "rle").returncode == 0
    beside = folder / "series" / "0.rle-lossless.dcm"
    assert pydicom.dcmread(beside).file_meta.TransferSyntaxUID == RLE
    assert vna("transcode", beside, "--to", "explicit", "-o", folder / "back.dcm").returncode == 0
    assert np.array_equal(pixels(folder / "back.dcm"), pixels(source))


def test_what_fails_is_told_for_each_file_and_leaves_nothing(folder, tmp_path):
    broken = folder / "series" / "broken.dcm"
    broken.write_bytes(ct_small()[:-100])
    done = vna("transcode", folder, "--to", "rle", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert f"{broken}: failed: " in done.stderr
    assert "3 transcoded, 1 skipped, 1 failed" in done.stdout
    names = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == {"0.dcm", "1.dcm", "2.dcm"}
    for arguments in (
        [folder, "--to", "rle"],
        [folder / "series" / "0.dcm", "--to", "gif"],
        [folder / "series" / "0.dcm"],
        [folder / "series" / "0.dcm", "--to", "jpeg", "--quality", "101"],
    ):
        assert vna("transcode", *arguments).returncode == 2
    refused = vna("transcode", folder / "series" / "0.dcm", "--to", "1.2.840.10008.1.2.4.100")
    assert refused.returncode == 1
    assert "there is no way" in refused.stderr


def test_instances_of_an_archive_are_transcoded_by_their_ids(server, tmp_path):
    public_id = server.upload(ct_small())["ID"]
    url = str(server.http.base_url)
    done = vna("transcode", public_id, "--to", "jpeg-ls", "-o", tmp_path / "out", "--url", url)
    assert done.returncode == 0, done.stderr
    found = tmp_path / "out" / f"{public_id}.dcm"
    assert pydicom.dcmread(found).file_meta.TransferSyntaxUID == JPEGLS
    assert [path.name for path in (tmp_path / "out").iterdir()] == [found.name]
    missing = vna("transcode", "0" * 40, "--to", "rle", "--url", url)
    assert missing.returncode == 3
