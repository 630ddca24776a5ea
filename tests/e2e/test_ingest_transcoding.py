"""Images that are kept in another transfer syntax than they came in."""

import io
import subprocess

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from support import Server, ct_small, make_instance
from support_pixels import pixels_of

HTJ2K, EXPLICIT = "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.1"
LARGE = 200_000  # bytes; what is longer gets a file of its own


def of(name):
    with open(get_testdata_file(name), "rb") as file:
        return file.read()


def head(file):
    return pydicom.dcmread(io.BytesIO(file), force=True)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    server = Server(
        tmp_path_factory.mktemp("ingest") / "data",
        f"--set=storage.ingest_transcoding={HTJ2K}",
        f"--set=storage.large_object_bytes={LARGE}",
    )
    yield server.start()
    server.stop()


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "examples_rgb_color.dcm", "JPEG-LL.dcm", "JPEG2000.dcm"]
)
def test_images_are_kept_in_it_whatever_they_come_in(archive, name):
    file = of(name)
    answer = archive.upload(file)
    kept = archive.file(answer["ID"])
    assert head(kept).file_meta.TransferSyntaxUID == HTJ2K
    assert head(kept).SOPInstanceUID == head(file).SOPInstanceUID
    assert np.array_equal(pixels_of(kept), pixels_of(file))
    again = archive.upload(file)
    assert (again["ID"], again["Status"]) == (answer["ID"], "AlreadyStored")


def test_what_comes_over_c_store_is_too_small_or_large(archive, tmp_path):
    files = [ct_small(), make_instance(number=7, size=2 * LARGE)]
    for number, file in enumerate(files):
        data_set = head(file)
        data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        path = tmp_path / f"{number}.dcm"
        data_set.save_as(path, enforce_file_format=True)
        command = ["storescu", "-aec", "VNA", "127.0.0.1", str(archive.dicom_port), str(path)]
        subprocess.run(command, check=True, timeout=60)
        query = {"Level": "Instance", "Query": {"SOPInstanceUID": f"1.2.3.{number}"}}
        (public_id,) = archive.http.post("/tools/find", json=query).json()
        kept = archive.file(public_id)
        assert head(kept).file_meta.TransferSyntaxUID == HTJ2K
        assert np.array_equal(pixels_of(kept), data_set.pixel_array)


@pytest.mark.parametrize("name", ["reportsi.dcm", "rtplan.dcm"])
def test_what_has_no_pixels_stays_as_it_came(archive, name):
    file = of(name)
    assert archive.file(archive.upload(file)["ID"]) == file


def test_what_cannot_be_decoded_stays_as_it_came(archive):
    file = of("JPEG2000.dcm")
    at = file.index(b"\xff\x4f\xff\x51")
    uid = head(file).SOPInstanceUID
    broken = file[: at + 8] + b"\xff" * 8 + file[at + 16 :]  # its size, of all things
    other = uid[:-1] + str((int(uid[-1]) + 1) % 10)
    broken = broken.replace(uid.encode(), other.encode())
    assert archive.file(archive.upload(broken)["ID"]) == broken
    assert "stored in the transfer syntax it came in" in archive.output()


def test_only_what_comes_uncompressed_if_so_set(tmp_path):
    server = Server(
        tmp_path / "data",
        f"--set=storage.ingest_transcoding={HTJ2K}",
        "--set=storage.ingest_transcoding_of_compressed=false",
    )
    running = server.start()
    try:
        compressed = of("JPEG-LL.dcm")
        assert running.file(running.upload(compressed)["ID"]) == compressed
        kept = running.file(running.upload(ct_small())["ID"])
        assert head(kept).file_meta.TransferSyntaxUID == HTJ2K
    finally:
        server.stop()


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.102", "1.2.3"])
def test_what_loses_something_or_is_not_known_is_refused_at_the_start(tmp_path, uid):
    server = Server(tmp_path / "data", f"--set=storage.ingest_transcoding={uid}")
    with pytest.raises(AssertionError, match=r"storage\.ingest_transcoding is"):
        server.start()
