"""Videos and documents over DICOMweb: given as what they are, from any place of them on."""

import io
import os
import struct

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.uid import generate_uid
from support import make_instance
from support_multipart import parts_of
from support_samples import shared_data
from support_store import bodies

MPEG2, H264, H264_PARTS, HEVC = (
    f"1.2.840.10008.1.2.4.{number}" for number in ("100", "102", "102.1", "107")
)
VIDEO_ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
DOCUMENT = "1.2.840.10008.5.1.4.1.1.104."
STL = b"made".ljust(80) + struct.pack("<I", 1) + struct.pack("<12fH", *[0.5] * 12, 0)
# By the last number of the SOP class: what (0042,0012) says, what the answer is called, the bytes.
DOCUMENTS = {
    1: ("application/pdf", "application/pdf", b"%PDF-1.4\n" + b"%" * 1000 + b"\n%%EOF"),
    2: ("text/XML", "text/xml", '<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'.encode("l1")),
    3: ("model/stl", "model/stl", STL),
    4: ("model/obj", "model/obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"),
    5: ("model/mtl", "model/mtl", b"newmtl red\nKd 1 0 0\n"),
}


def box(kind, content):
    return struct.pack(">I", 8 + len(content)) + kind + content


def mp4(size=5000):
    """Return the boxes of an MP4 file: the kind, the table, and data."""
    return (
        box(b"ftyp", b"isom\0\0\2\0isomiso2mp41")
        + box(b"moov", b"\0" * 100)
        + box(b"mdat", os.urandom(size))
    )


def transport(packets=30):
    """Return packets of a transport stream."""
    return b"".join(
        b"G\x40\x11" + bytes([each & 15 | 16]) + os.urandom(184) for each in range(packets)
    )


def program(size=3000):
    return b"\x00\x00\x01\xba" + os.urandom(size)


def elementary(size=3000):
    return b"\x00\x00\x01\xb3" + os.urandom(size)


# Name, transfer syntax, stream, the types that it has.
VIDEOS = [
    ("MP4", H264, mp4(), ["video/mp4"]),
    ("MP4 in parts", H264_PARTS, mp4(), ["video/mp4"]),
    ("MP4 of HEVC", HEVC, mp4(), ["video/mp4"]),
    ("transport stream", MPEG2, transport(), ["video/mp2t", "video/mpeg"]),
    ("transport stream of H.264", H264, transport(), ["video/mp2t"]),
    ("program stream", MPEG2, program(), ["video/mpeg"]),
    ("elementary stream", MPEG2, elementary(), ["video/mpeg"]),
    ("HEVC alone", HEVC, b"\0\0\0\1\x40\x01" + os.urandom(999), ["video/H265"]),
]


def video(transfer_syntax_uid, stream):
    """Return an endoscopic video as a PS3.10 file."""
    found = Dataset()
    found.PatientID = "V"
    found.SOPClassUID = VIDEO_ENDOSCOPIC
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(found, name, generate_uid())
    found.Rows = found.Columns = 64
    found.BitsAllocated = found.BitsStored = 8
    found.HighBit, found.PixelRepresentation, found.SamplesPerPixel = 7, 0, 3
    found.PhotometricInterpretation, found.PlanarConfiguration = "YBR_PARTIAL_420", 0
    found.NumberOfFrames = 30
    parts = 3 if transfer_syntax_uid == H264_PARTS else 1
    found.PixelData = encapsulate([stream], fragments_per_frame=parts, has_bot=False)
    found["PixelData"].VR = "OB"
    found["PixelData"].is_undefined_length = True
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = transfer_syntax_uid
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, found, enforce_file_format=True)
    return buffer.getvalue()


def document(number, named, content):
    padded = content + b"\0" * (len(content) % 2)
    return make_instance(
        SOPClassUID=f"{DOCUMENT}{number}",
        MIMETypeOfEncapsulatedDocument=named,
        EncapsulatedDocument=padded,
        EncapsulatedDocumentLength=len(content),
    )


@pytest.fixture(scope="module")
def server(start_server):
    return start_server()


def store(server, file):
    """Store a file and return its data set, its path, and its address for WADO-URI."""
    body, content_type = bodies(file)
    stored = server.http.post(
        "/dicom-web/studies", content=body, headers={"content-type": content_type}
    )
    assert stored.status_code == 200, stored.text
    found = pydicom.dcmread(io.BytesIO(file))
    uids = found.StudyInstanceUID, found.SeriesInstanceUID, found.SOPInstanceUID
    path = "/dicom-web/studies/{}/series/{}/instances/{}".format(*uids)
    uri = "/wado?requestType=WADO&studyUID={}&seriesUID={}&objectUID={}".format(*uids)
    return found, path, uri


def get(server, path, status=200, **headers):
    answer = server.http.get(
        path, headers={name.replace("_", "-"): each for name, each in headers.items()}
    )
    assert answer.status_code == status, (path, headers, answer.status_code, answer.text[:300])
    return answer


def check_as_it_is(server, address, types, content, **headers):
    """What is at an address is `content`, whole and from any place on, and told beforehand."""
    whole = get(server, address, **headers)
    assert whole.headers["content-type"] == types[0]
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.content == content
    etag, size = whole.headers["etag"], len(content)
    middle = get(server, address, 206, range=f"bytes={size // 2}-", if_range=etag, **headers)
    assert middle.content == content[size // 2 :]
    assert middle.headers["content-range"] == f"bytes {size // 2}-{size - 1}/{size}"
    assert get(server, address, 206, range="bytes=-7", **headers).content == content[-7:]
    get(server, address, 416, range=f"bytes={size}-", **headers)
    get(server, address, 304, if_none_match=etag, **headers)
    head = server.http.head(address, headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]


def check_video(server, file, stream, types):
    found, path, uri = store(server, file)
    check_as_it_is(server, f"{path}/rendered", types, stream)
    for media_type in types:
        asked = get(server, f"{path}/rendered", accept=media_type)
        assert (asked.headers["content-type"], asked.content) == (media_type, stream)
        check_as_it_is(server, f"{uri}&contentType={media_type}", [media_type], stream)
    part = parts_of(get(server, f"{path}/rendered", accept='multipart/related; type="video/*"'))
    assert [(each.media_type, each.body) for each in part] == [(types[0], stream)]
    get(server, f"{path}/rendered", 406, accept="image/jpeg")
    get(server, f"{path}/rendered", 406, accept="video/ogg")
    get(server, f"{path}/frames/1/rendered", 406)
    # Pixel data is called as its transfer syntax is (PS3.18 Table 8.7.3-5).
    for below in ("frames/1", "bulkdata/7fe00010", "pixeldata"):
        [part] = parts_of(
            get(server, f"{path}/{below}", accept='multipart/related; type="video/*"')
        )
        assert part.body == stream
        assert part.transfer_syntax == found.file_meta.TransferSyntaxUID
    alone = get(server, f"{path}/frames/1", 206, accept="video/*", range="bytes=10-19")
    assert alone.content == stream[10:20]
    # It has no other transfer syntax, so who names none gets it.
    for address in (path, uri):
        assert get(server, address, accept="application/dicom").content == file
    assert get(server, uri).headers["content-type"] == "application/dicom"
    get(server, path, 406, accept="application/dicom; transfer-syntax=1.2.840.10008.1.2.1")


@pytest.mark.parametrize(
    ("syntax", "stream", "types"), [each[1:] for each in VIDEOS], ids=[each[0] for each in VIDEOS]
)
def test_a_video_is_given_as_what_it_is(server, syntax, stream, types):
    check_video(server, video(syntax, stream), stream + b"\0" * (len(stream) % 2), types)


@pytest.mark.parametrize("number", DOCUMENTS)
def test_a_document_is_given_as_what_it_is(server, number):
    named, media_type, content = DOCUMENTS[number]
    check_document(server, document(number, named, content), named.lower(), media_type, content)


def check_document(server, file, named, media_type, content):
    _, path, uri = store(server, file)
    for address in (f"{path}/rendered", uri, f"{uri}&contentType={media_type}"):
        check_as_it_is(server, address, [media_type], content)
    bulk = f"{path}/bulkdata/00420011"
    check_as_it_is(server, bulk, [named], content, accept=named)
    check_as_it_is(
        server, bulk, ["application/octet-stream"], content, accept="application/octet-stream"
    )
    get(server, f"{path}/rendered", 406, accept="image/jpeg")
    get(server, bulk, 406, accept="image/jpeg")
    # What somebody sent never runs as a page of ours.
    shown = get(server, f"{path}/rendered").headers
    assert shown["x-content-type-options"] == "nosniff"
    assert ("sandbox" in shown.get("content-security-policy", "")) == (number_of(file) != 1)
    assert (
        get(server, f"{uri}&contentType=application/dicom").headers["content-type"]
        == "application/dicom"
    )


def test_a_study_with_a_video_is_given_whole_to_who_names_no_transfer_syntax(server):
    film = pydicom.dcmread(io.BytesIO(video(H264, mp4())))
    slices = [make_instance(film.StudyInstanceUID, number=number) for number in range(2)]
    buffer = io.BytesIO()
    film.save_as(buffer, enforce_file_format=True)
    for file in (*slices, buffer.getvalue()):
        _, path, _ = store(server, file)
    study = path.partition("/series/")[0]
    for accept in ("*/*", 'multipart/related; type="application/dicom"'):
        answer = get(server, study, accept=accept)
        assert "warning" not in answer.headers
        syntaxes = sorted(part.transfer_syntax for part in parts_of(answer))
        assert syntaxes == ["1.2.840.10008.1.2.1"] * 2 + [H264]
    # Who names one gets what can be had in it, and is told of the rest.
    named = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1'
    assert "1 of 3 instances" in get(server, study, 206, accept=named).headers["warning"]


def number_of(file):
    return int(pydicom.dcmread(io.BytesIO(file)).SOPClassUID.rpartition(".")[2])


def test_a_page_that_calls_itself_a_document_does_not_run(server):
    page = b"<html><script>alert(1)</script></html>"
    _, path, _ = store(server, document(1, "text/html", page))
    answer = get(server, f"{path}/bulkdata/00420011", accept="text/html")
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    # A SOP class has its type, whatever (0042,0012) says.
    assert get(server, f"{path}/rendered").headers["content-type"] == "application/pdf"


def test_a_document_or_video_that_is_not_there_is_told(server):
    empty = make_instance(SOPClassUID=f"{DOCUMENT}1")
    _, path, uri = store(server, empty)
    for address in (f"{path}/rendered", uri):
        get(server, address, 404)
    without = pydicom.dcmread(io.BytesIO(video(H264, mp4())))
    del without.PixelData
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, without, enforce_file_format=True)
    _, path, uri = store(server, buffer.getvalue())
    for address in (f"{path}/rendered", f"{uri}&contentType=video/mp4"):
        assert server.http.get(address).status_code in (404, 406)


def test_real_videos_and_documents_are_given_as_what_they_are(server):
    """Made with ffmpeg and dcmtk; where the shared data is not, what was made here stands alone."""
    if not shared_data():
        return
    kinds = {MPEG2: ["video/mp2t", "video/mpeg"], H264_PARTS: ["video/mp2t"]}
    videos = sorted((shared_data() / "derived-transfer-syntaxes").glob("video_*.dcm"))
    assert len(videos) == 4
    for path in videos:
        file = path.read_bytes()
        found = pydicom.dcmread(io.BytesIO(file))
        stream = b"".join(list(generate_fragments(found.PixelData))[1:])
        types = kinds.get(found.file_meta.TransferSyntaxUID, ["video/mp4"])
        check_video(server, file, stream, types)
    documents = sorted((shared_data() / "derived-objects").glob("encapsulated_*.dcm"))
    assert len(documents) == 3
    for path in documents:
        file = path.read_bytes()
        found = pydicom.dcmread(io.BytesIO(file))
        content = found.EncapsulatedDocument[: found.EncapsulatedDocumentLength]
        named = found.MIMETypeOfEncapsulatedDocument.lower()
        check_document(server, file, named, DOCUMENTS[number_of(file)][1], content)
