"""WADO-RS: what comes out is what was stored, whole, in parts, decoded or encoded anew."""

import gzip
import io
import json
import xml.etree.ElementTree as ET
import zipfile

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, generate_uid
from support import make_instance
from support_multipart import parts_of
from support_samples import packaged

from vna import _core

# pydicom warns of values that break the standard, as many here do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

STORED = "application/dicom; transfer-syntax=*"
PARTS = 'multipart/related; type="application/dicom"'
STORED_PARTS = f"{PARTS}; transfer-syntax=*"
STORED_FRAMES = 'multipart/related; type="*/*"; transfer-syntax=*'
PLAIN_FRAMES = 'multipart/related; type="application/octet-stream"'
JSON = "application/dicom+json"
NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"}
BIG_ENDIAN = "1.2.840.10008.1.2.2"
LOSSLESS = {
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.201",
}


@pytest.fixture(scope="module")
def stored(start_server):
    """Run a server with what pydicom brings along; data sets and files by their paths."""
    server = start_server()
    server.files = {}
    for data in [*(sample.read() for sample in packaged()), *encoded()]:
        answer = server.http.post("/instances", content=data)
        if answer.status_code != 200 or answer.json()["Status"] != "Success":
            continue
        tags = server.get(f"/instances/{answer.json()['ID']}/tags?short")
        uids = [tags[tag].strip("\0 ") for tag in ("0020,000d", "0020,000e", "0008,0018")]
        if all(uid.replace(".", "").isdigit() for uid in uids):
            path = "/dicom-web/studies/{}/series/{}/instances/{}".format(*uids)
            server.files[path] = data
    assert len(server.files) > 100
    return server


def encoded():
    """Yield a CT image in each transfer syntax that keeps it bit for bit."""
    base = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    for syntax in json.loads(_core.pixel_syntaxes()):
        if syntax["encodes"] and syntax["compression"] == "lossless":
            base.SOPInstanceUID = base.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            buffer = io.BytesIO()
            base.save_as(buffer)
            yield _core.transcode(buffer.getvalue(), transfer_syntax_uid=syntax["uid"])


def get(server, path, accept=None, status=200, **headers):
    if accept is not None:
        headers["accept"] = accept
    answer = server.http.get(path, headers={"accept-encoding": "identity", **headers})
    assert answer.status_code == status, (path, accept, answer.text[:300])
    return answer


def read(data):
    return pydicom.dcmread(io.BytesIO(data), force=True)


def images(server):
    """Yield paths, files and data sets of what has frames that pydicom tells apart."""
    for path, data in server.files.items():
        found = read(data)
        if "PixelData" not in found or "TransferSyntaxUID" not in found.file_meta:
            continue
        yield path, data, found


def stored_frames(found):
    count = int(found.get("NumberOfFrames") or 1)
    uid = found.file_meta.TransferSyntaxUID
    if uid.is_encapsulated:
        return list(generate_frames(found.PixelData, number_of_frames=count))
    bits = found.Rows * found.Columns * found.SamplesPerPixel * found.BitsAllocated
    if bits % 8 or len(found.PixelData) < count * bits // 8:
        return None
    size = bits // 8
    return [found.PixelData[at * size : (at + 1) * size] for at in range(count)]


def test_an_instance_comes_back_as_it_was_stored_alone_and_as_a_part(stored):
    for path, data in stored.files.items():
        alone = get(stored, path, STORED)
        # What came as a bare data set leaves with a beginning.
        is_whole = data[128:132] == b"DICM"
        assert alone.content.endswith(data)
        assert (alone.content == data, alone.content[128:132]) == (is_whole, b"DICM"), path
        assert alone.headers["accept-ranges"] == "bytes"
        [part] = parts_of(get(stored, path, STORED_PARTS))
        assert part.body == alone.content
        assert part.headers["content-location"].endswith(path)


def test_without_a_transfer_syntax_it_is_explicit_vr_little_endian(stored):
    seen = 0
    for path, _, found in images(stored):
        answer = stored.http.get(path, headers={"accept": PARTS})
        if answer.status_code != 200:  # broken pixel data, or none that a codec reads
            assert answer.status_code in (406, 415, 422, 400, 500), (path, answer.text)
            continue
        [part] = parts_of(answer)
        assert part.transfer_syntax == ExplicitVRLittleEndian
        given = read(part.body)
        assert given.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert given.SOPInstanceUID == found.SOPInstanceUID
        if found.file_meta.TransferSyntaxUID in NATIVE | LOSSLESS:
            try:
                wanted = found.pixel_array
            except Exception:
                continue
            np.testing.assert_array_equal(given.pixel_array, wanted, err_msg=path)
            seen += 1
    assert seen > 20


def test_frames_as_stored_are_bare_codestreams_or_native_pixels(stored):
    kinds = set()
    for path, _, found in images(stored):
        uid = found.file_meta.TransferSyntaxUID
        try:
            wanted = stored_frames(found)
        except Exception:
            continue
        if wanted is None or uid == BIG_ENDIAN or uid == "1.2.840.10008.1.2.1.99":
            continue
        numbers = ",".join(str(number + 1) for number in range(len(wanted)))
        answer = stored.http.get(f"{path}/frames/{numbers}", headers={"accept": STORED_FRAMES})
        if answer.status_code != 200:
            continue
        given = parts_of(answer)
        assert [part.body for part in given] == wanted, path
        kinds |= {(part.media_type, part.transfer_syntax) for part in given}
        assert given[0].headers["content-location"].endswith(f"{path}/frames/1")
    assert {
        ("application/octet-stream", ExplicitVRLittleEndian),
        ("image/jpeg", "1.2.840.10008.1.2.4.50"),
        ("image/jp2", "1.2.840.10008.1.2.4.90"),
        ("image/jls", "1.2.840.10008.1.2.4.80"),
        ("image/dicom-rle", "1.2.840.10008.1.2.5"),
    } <= kinds


def test_frames_without_a_transfer_syntax_are_decoded(stored):
    seen = set()
    for path, _, found in images(stored):
        uid = found.file_meta.TransferSyntaxUID
        if uid not in LOSSLESS:
            continue
        try:
            pixels = found.pixel_array
        except Exception:
            continue
        count = int(found.get("NumberOfFrames") or 1)
        last = pixels[-1] if count > 1 else pixels
        answer = stored.http.get(f"{path}/frames/{count}", headers={"accept": PLAIN_FRAMES})
        assert answer.status_code == 200, (path, answer.text)
        [part] = parts_of(answer)
        assert part.transfer_syntax == ExplicitVRLittleEndian
        if found.BitsAllocated > 1:
            assert part.body == np.ascontiguousarray(last).tobytes(), path
            seen.add(str(uid))
    assert seen >= {"1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"}


def test_frames_are_encoded_where_that_is_asked_for(stored):
    path, _, found = next(
        each
        for each in images(stored)
        if each[2].file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        and each[2].BitsAllocated == 16
        and "NumberOfFrames" not in each[2]
    )
    [part] = parts_of(get(stored, f"{path}/frames/1", 'multipart/related; type="image/jls"'))
    assert (part.media_type, part.transfer_syntax) == ("image/jls", JPEGLSLossless)
    alone = get(stored, f"{path}/frames/1", "image/jls")
    assert alone.content == part.body
    copy = read(found_bytes(found, part.body))
    np.testing.assert_array_equal(copy.pixel_array, found.pixel_array)


def found_bytes(found, codestream):
    copy = pydicom.Dataset(found)
    copy.file_meta = pydicom.dataset.FileMetaDataset(found.file_meta)
    copy.file_meta.TransferSyntaxUID = JPEGLSLossless
    copy.PixelData = pydicom.encaps.encapsulate([codestream])
    copy["PixelData"].VR = "OB"
    copy["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, copy, enforce_file_format=True)
    return buffer.getvalue()


def test_the_core_and_the_application_answer_the_same(stored):
    for path in list(stored.files)[::7]:
        for below, accept in [("", STORED), ("/metadata", JSON)]:
            plain = get(stored, path + below, accept)
            # A parameter is for the application to look at.
            other = get(stored, f"{path}{below}?charset=utf-8", accept)
            assert plain.content == other.content
            assert plain.headers["etag"] == other.headers["etag"]
            assert plain.headers["content-type"] == other.headers["content-type"]


def test_metadata_is_the_same_at_each_level_in_json_and_in_xml(stored):
    for path, data in list(stored.files.items())[::5]:
        alone = get(stored, f"{path}/metadata").json()
        assert len(alone) == 1
        series = path.partition("/instances/")[0]
        assert alone[0] in get(stored, f"{series}/metadata", JSON).json()
        study = path.partition("/series/")[0]
        whole = get(stored, f"{study}/metadata", "application/json")
        assert alone[0] in whole.json()
        packed = stored.http.get(f"{study}/metadata", headers={"accept-encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.json() == whole.json()
        parts = parts_of(get(stored, f"{path}/metadata", PARTS.replace("dicom", "dicom+xml")))
        assert [part.media_type for part in parts] == ["application/dicom+xml"]
        tags = {each.get("tag") for each in ET.fromstring(parts[0].body)}
        public = {tag for tag in alone[0] if int(tag[:4], 16) % 2 == 0}
        assert {tag for tag in tags if int(tag[:4], 16) % 2 == 0} == public
        assert alone[0]["00080018"]["Value"] == [read(data).SOPInstanceUID]


def test_every_bulk_data_uri_gives_its_value(stored):
    seen = 0
    for path, data in stored.files.items():
        found = read(data)
        metadata = get(stored, f"{path}/metadata").json()[0]
        for tag, element in metadata.items():
            if "BulkDataURI" not in element or tag == "7FE00010":
                continue
            uri = element["BulkDataURI"]
            value = stored.http.get(uri, headers={"accept": "*/*"})
            assert value.status_code == 200, (uri, value.text)
            wanted = found[tag].value
            if isinstance(wanted, bytes) and found.original_encoding[1] is not False:
                assert value.content.ljust(len(wanted), b"\0") == wanted
            [part] = parts_of(
                stored.http.get(uri, headers={"accept": 'multipart/related; type="*/*"'})
            )
            assert part.body == value.content
            seen += 1
            every = parts_of(get(stored, f"{path}/bulkdata", STORED_FRAMES))
            assert uri in [each.headers["content-location"] for each in every]
    assert seen > 3


def test_a_document_is_given_as_what_it_is(stored):
    pdf = b"%PDF-1.4 not really, but of odd length"
    pdf += b"!" * (1 - len(pdf) % 2)
    data = make_instance(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1",
        MIMETypeOfEncapsulatedDocument="application/pdf",
        EncapsulatedDocument=pdf + b"\0",
        EncapsulatedDocumentLength=len(pdf),
    )
    found = read(data)
    assert stored.http.post("/instances", content=data).status_code == 200
    path = (
        f"/dicom-web/studies/{found.StudyInstanceUID}/series/{found.SeriesInstanceUID}"
        f"/instances/{found.SOPInstanceUID}/bulkdata/00420011"
    )
    answer = get(stored, path, "application/pdf")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content == pdf
    get(stored, path, "text/html", 406)


def test_ranges_and_conditions_hold_for_what_is_stored(stored):
    path, data = next(iter(stored.files.items()))
    whole = get(stored, f"{path}/frames/1", STORED_FRAMES)
    etag = whole.headers["etag"]
    for first, last in [(0, 9), (50, 500), (200, 100_000_000)]:
        part = get(stored, f"{path}/frames/1", STORED_FRAMES, 206, range=f"bytes={first}-{last}")
        assert part.content == whole.content[first : last + 1]
        end = min(last, len(whole.content) - 1)
        assert part.headers["content-range"] == f"bytes {first}-{end}/{len(whole.content)}"
    assert get(stored, path, STORED, 206, range="bytes=-7").content == data[-7:]
    refused = get(stored, path, STORED, 416, range=f"bytes={len(data)}-")
    assert refused.headers["content-range"] == f"bytes */{len(data)}"
    assert not get(
        stored, f"{path}/frames/1", STORED_FRAMES, 304, **{"if-none-match": etag}
    ).content
    get(stored, f"{path}/frames/1", STORED_FRAMES, 412, **{"if-match": '"other"'})
    known = get(stored, f"{path}/metadata").headers["etag"]
    get(stored, f"{path}/metadata", None, 304, **{"if-none-match": known})


def test_a_study_is_parts_or_a_zip_archive_and_pixel_data_is_parts_too(stored):
    studies = {}
    for path, data in stored.files.items():
        studies.setdefault(path.partition("/series/")[0], []).append(data)
    pictures = {
        study: [data for data in files if "PixelData" in read(data)]
        for study, files in studies.items()
    }
    study, with_pixels = max(pictures.items(), key=lambda each: len(each[1]))
    files = studies[study]
    assert len(with_pixels) > 5
    parts = parts_of(get(stored, study, STORED_PARTS))
    assert sorted(part.body for part in parts) == sorted(files)
    archive = zipfile.ZipFile(io.BytesIO(get(stored, study, "application/zip").content))
    assert sorted(archive.read(name) for name in archive.namelist()) == sorted(files)
    pixels = parts_of(get(stored, f"{study}/pixeldata", STORED_FRAMES))
    assert len(pixels) >= len(with_pixels)


def test_what_cannot_be_given_is_refused_with_its_status(stored):
    path = next(iter(stored.files))
    get(stored, f"{path}/frames/1", "text/html", 406)
    get(stored, f"{path}/frames/1", "image/png", 406)
    get(stored, path, "application/dicom; transfer-syntax=1.2.3", 406)
    get(stored, f"{path}/metadata", "text/html", 406)
    get(stored, f"{path}/metadata?charset=latin1", None, 406)
    get(stored, f"{path}/frames/0", None, 400)
    get(stored, f"{path}/frames/100000", STORED_FRAMES, 404)
    get(stored, path + "1", STORED, 404)
    get(stored, f"{path}1/metadata", None, 404)
    get(stored, f"{path}/bulkdata/00091234", None, 404)
    get(stored, "/dicom-web/studies/1.2.3/metadata", None, 404)
    get(stored, "/dicom-web/studies/1,2/metadata", None, 400)


def test_a_frame_that_is_not_there_is_named_as_it_was_asked_for(stored):
    counts = ((path, str(found.get("NumberOfFrames"))) for path, _, found in images(stored))
    path, count = next(
        (path, int(text)) for path, text in counts if text.isdecimal() and text > "1"
    )
    details = get(stored, f"{path}/frames/2,{count + 1}", STORED_FRAMES, 404).json()["Details"]
    assert details == f"there is no frame {count + 1}; the image has {count}"


def test_where_there_is_no_bulk_data_nothing_is_found(stored):
    # A multipart body has one part at least (RFC 2046 §5.1.1).
    path = next(path for path, data in stored.files.items() if "PixelData" not in read(data))
    answer = get(stored, f"{path}/pixeldata", None, 404)
    assert answer.json()["Details"] == "there is no pixel data in it"
    plain = (
        path for path in stored.files if "BulkDataURI" not in get(stored, f"{path}/metadata").text
    )
    assert get(stored, f"{next(plain)}/bulkdata", None, 404).json()["Code"] == "dicomweb.not_found"


def test_what_no_codec_takes_is_not_acceptable(stored):
    # 415 would say that the request brought it.
    path = next(path for path, _, found in images(stored) if found.BitsAllocated == 32)
    get(stored, f"{path}/frames/1", "image/jpeg", 406)
    get(stored, path, "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50", 406)


def test_metadata_of_a_series_is_never_stale(stored):
    study, series = generate_uid(), generate_uid()
    path = f"/dicom-web/studies/{study}/series/{series}/metadata"
    ids, files = [], []
    for number in range(1, 71):  # more than a chunk
        files.append(make_instance(study, series, number=number))
        ids.append(stored.http.post("/instances", content=files[-1]).json()["ID"])

    def numbers():
        answer = get(stored, path)
        assert answer.content == get(stored, path).content
        packed = stored.http.stream("GET", path, headers={"accept-encoding": "gzip"})
        with packed as raw:
            assert gzip.decompress(b"".join(raw.iter_raw())) == answer.content
        return [int(each["00200013"]["Value"][0]) for each in json.loads(answer.content)]

    assert numbers() == list(range(1, 71))
    late = make_instance(study, series, number=71)
    late_id = stored.http.post("/instances", content=late).json()["ID"]
    assert numbers() == list(range(1, 72))
    assert stored.http.delete(f"/instances/{ids[3]}").status_code == 200
    assert numbers() == [1, 2, 3, *range(5, 72)]
    changed = {"Replace": {"InstanceNumber": "99"}, "Keep": ["SOPInstanceUID"], "Force": True}
    data = stored.http.post(f"/instances/{late_id}/modify", json=changed).content
    replaced = read(data)
    replaced.StudyInstanceUID, replaced.SeriesInstanceUID = study, series
    assert stored.http.delete(f"/instances/{late_id}").status_code == 200
    buffer = io.BytesIO()
    replaced.save_as(buffer)
    assert stored.http.post("/instances", content=buffer.getvalue()).status_code == 200
    assert numbers() == [1, 2, 3, *range(5, 71), 99]
