"""A stored file in another transfer syntax, from a real server."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from support import ct_small, make_instance

from vna import _core

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
RLE, JPEG_LOSSLESS = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.70"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
DEFLATED, BIG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"


def asked(server, public_id, uid, method="GET"):
    path = f"/instances/{public_id}/file"
    return server.http.request(method, path, params={"transcode": uid})


@pytest.mark.parametrize("uid", [IMPLICIT, BIG, DEFLATED])
def test_a_file_is_given_in_each_uncompressed_syntax(server, uid):
    data = ct_small()
    public_id = server.upload(data)["ID"]
    answer = asked(server, public_id, uid)
    assert answer.status_code == 200
    assert answer.content == _core.reencode(data, transfer_syntax_uid=uid)
    found = pydicom.dcmread(io.BytesIO(answer.content))
    assert found.file_meta.TransferSyntaxUID == uid
    assert np.array_equal(found.pixel_array, pydicom.dcmread(io.BytesIO(data)).pixel_array)
    # How long a deflated one is, only its end tells.
    assert ("content-length" in answer.headers) == (uid != DEFLATED)
    head = asked(server, public_id, uid, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers.get("content-length") == answer.headers.get("content-length")


def test_the_stored_syntax_gives_the_stored_file(server):
    data = ct_small()
    public_id = server.upload(data)["ID"]
    answer = asked(server, public_id, EXPLICIT)
    assert answer.content == data
    assert answer.headers["accept-ranges"] == "bytes"


def test_a_large_file_is_written_while_it_leaves(server):
    size = 30_000_000
    data = make_instance(size=size)
    path = f"/instances/{server.upload(data)['ID']}/file"
    before = highest = resident_bytes(server)
    body = bytearray()
    with server.http.stream("GET", path, params={"transcode": BIG}) as answer:
        for part in answer.iter_raw(1_000_000):
            body += part
            highest = max(highest, resident_bytes(server))
    assert len(body) == int(answer.headers["content-length"])
    pixels = np.frombuffer(body[-size:], ">u2")
    assert np.array_equal(pixels, np.frombuffer(data[-size:], "<u2"))
    assert highest - before < size / 3
    with server.http.stream("GET", path, params={"transcode": IMPLICIT}) as broken_off:
        next(broken_off.iter_raw(1000))
    assert server.get("/instances"), "who goes away early leaves a server that works"


def test_a_file_is_given_compressed_and_decompressed(server):
    data = ct_small()
    native = server.upload(data)["ID"]
    source = pydicom.dcmread(io.BytesIO(data))
    for uid in (JPEG_LOSSLESS, RLE):
        answer = asked(server, native, uid)
        assert int(answer.headers["content-length"]) == len(answer.content)
        found = pydicom.dcmread(io.BytesIO(answer.content))
        assert found.file_meta.TransferSyntaxUID == uid
        assert found.SOPInstanceUID == source.SOPInstanceUID
        assert np.array_equal(found.pixel_array, source.pixel_array)
    with open(get_testdata_file("JPEG2000.dcm"), "rb") as file:
        data = file.read()
    compressed = server.upload(data)["ID"]
    answer = asked(server, compressed, EXPLICIT)
    assert answer.status_code == 200
    found = pydicom.dcmread(io.BytesIO(answer.content))
    assert np.array_equal(found.pixel_array, pydicom.dcmread(io.BytesIO(data)).pixel_array)
    own = str(pydicom.dcmread(io.BytesIO(data)).file_meta.TransferSyntaxUID)
    assert asked(server, compressed, own).content == data


def test_lossy_compression_gives_an_instance_of_its_own_in_the_quality_asked_for(server):
    with open(get_testdata_file("SC_rgb.dcm"), "rb") as file:
        data = file.read()
    public_id = server.upload(data)["ID"]
    path = f"/instances/{public_id}/file"
    files = {}
    for quality in ("", "90", "20"):
        params = {"transcode": JPEG_BASELINE} | ({"lossy-quality": quality} if quality else {})
        answer = server.http.get(path, params=params)
        assert answer.status_code == 200
        files[quality] = answer
    assert files[""].content == files["90"].content, (
        "the same is asked for again, so it is the same"
    )
    assert files["90"].headers["etag"] != files["20"].headers["etag"]
    found = pydicom.dcmread(io.BytesIO(files["90"].content))
    source = pydicom.dcmread(io.BytesIO(data))
    assert found.SOPInstanceUID.startswith("2.25.")
    assert found.file_meta.MediaStorageSOPInstanceUID == found.SOPInstanceUID
    assert found.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert (found.LossyImageCompression, found.ImageType[0]) == ("01", "DERIVED")
    for quality in ("0", "101", "-1", "x", "1" * 400):
        answer = server.http.get(path, params={"transcode": RLE, "lossy-quality": quality})
        assert answer.status_code == 400


def test_what_has_no_way_is_refused_by_name(server):
    native = server.upload(ct_small())["ID"]
    for uid in ("1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.110", "1.2.3"):
        answer = asked(server, native, uid)
        assert answer.status_code == 415
        assert uid in answer.json()["Details"]
    assert asked(server, native, "..a").status_code == 400
    assert asked(server, "0" * 40, IMPLICIT).status_code == 404


def resident_bytes(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
