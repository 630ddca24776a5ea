"""Retrieve transaction of frames, bulk data and pixel data (PS3.18 §10.4.1.1, §8.7.3.3)."""

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import get_frame
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLSLossless
from support_data import CODESTREAMS, FRAME_TYPES, PDF
from support_target import JSON, NOTHING, OCTETS, clause, media_type, multipart, parts
from test_ps318_retrieve import LEVELS, SYNTAXES, path_of
from test_ps318_search import tag


def frames(made):
    """Return the frames of the multi-frame instance."""
    pixels = made.multiframe.dataset.PixelData
    return [pixels[start : start + 80] for start in range(0, 320, 80)]


@clause("Table 10.4.1-1")
@pytest.mark.parametrize(
    "accept",
    [
        multipart(OCTETS),
        f"multipart/related; type={OCTETS}",
        multipart(OCTETS, "transfer-syntax=*"),
        multipart(OCTETS, "transfer-syntax=1.2.840.10008.1.2.1"),
        f"{multipart(OCTETS, 'transfer-syntax=*')}, {multipart('image/jls')};q=0.5",
    ],
)
@pytest.mark.parametrize("numbers", [[1], [4], [1, 2], [2, 4], [1, 2, 3, 4]])
def test_frames_are_retrieved_one_a_part(target, made, numbers, accept):
    path = f"{made.multiframe.path}/frames/{','.join(map(str, numbers))}"
    found = parts(target.ok(path, accept))
    assert {part.media_type for part in found} == {OCTETS}
    assert [part.body for part in found] == [frames(made)[number - 1] for number in numbers]


@clause("§8.7.7")
def test_a_frame_is_retrieved_whatever_it_may_be(target, made):
    answer = target.ok(f"{made.multiframe.path}/frames/2", "*/*")
    multiple = media_type(answer.headers["content-type"]) == "multipart/related"
    assert (parts(answer)[0].body if multiple else answer.content) == frames(made)[1]


@clause("§8.6.1", optional=True)
def test_a_frame_is_retrieved_as_a_single_part(target, made):
    answer = target.ok(f"{made.multiframe.path}/frames/3", OCTETS)
    assert media_type(answer.headers["content-type"]) == OCTETS
    assert answer.content == frames(made)[2]


@clause("§8.3.3.1")
def test_the_media_type_of_a_frame_is_taken_from_the_query(target, made):
    path = f"{made.multiframe.path}/frames/1"
    answer = target.ok(path, params={"accept": multipart(OCTETS)})
    assert [part.body for part in parts(answer)] == frames(made)[:1]


@clause("Table 10.4.1-1")
def test_a_frame_of_16_bits_is_in_little_endian(target, made):
    (part,) = parts(target.ok(f"{made.ct[2].path}/frames/1", multipart(OCTETS)))
    assert part.body == made.ct[2].dataset.PixelData


@clause("Table 10.4.1-1")
def test_a_frame_in_colour_is_retrieved(target, made):
    (part,) = parts(target.ok(f"{made.color.path}/frames/1", multipart(OCTETS)))
    assert part.body == made.color.dataset.PixelData


@clause("Table 10.4.3-1")
@pytest.mark.parametrize("numbers", ["5", "1,5", "99999999999"])
def test_a_frame_that_is_not_there_is_not_found(target, made, numbers):
    answer = target.get(f"{made.multiframe.path}/frames/{numbers}", multipart(OCTETS))
    assert answer.status_code == 404


@clause("Table 10.4.3-1")
@pytest.mark.parametrize("numbers", ["0", "x", "1,,2", "-1", "1.5"])
def test_a_frame_number_that_is_none_is_refused(target, made, numbers):
    answer = target.get(f"{made.multiframe.path}/frames/{numbers}", multipart(OCTETS))
    assert answer.status_code in (400, 404)


@clause("Table 10.4.3-1")
def test_what_has_no_pixels_has_no_frames(target, made):
    answer = target.get(f"{made.report.path}/frames/1", multipart(OCTETS))
    assert answer.status_code in (400, 404)


@clause("Table 10.4.3-1")
@pytest.mark.parametrize("accept", [NOTHING, multipart("video/mp4"), "application/dicom+json"])
def test_a_frame_in_another_media_type_is_not_acceptable(target, made, accept):
    assert target.get(f"{made.multiframe.path}/frames/1", accept).status_code == 406


@clause("Table 8.7.3-4")
@pytest.mark.parametrize("number", SYNTAXES)
def test_a_frame_is_uncompressed_by_default(target, made, number):
    stored = list(made.by_syntax.values())[number]
    (part,) = parts(target.ok(f"{stored.path}/frames/1", multipart(OCTETS)))
    picture = np.frombuffer(part.body, np.uint8).astype(int)
    assert picture.size == made.picture.size
    allowed = 12 if stored.transfer_syntax == JPEGBaseline8Bit else 0
    assert np.abs(picture - made.picture.ravel()).max() <= allowed


COMPRESSED = [pytest.param(syntax, id=syntax.name) for syntax in CODESTREAMS]


def check_codestream(part, stored, made):
    """A frame is the bare codestream that was stored, with no padding lost but its own."""
    syntax = stored.transfer_syntax
    codestream = get_frame(stored.dataset.PixelData, 0, number_of_frames=1)
    assert part.media_type == FRAME_TYPES[syntax]
    assert part.parameters.get("transfer-syntax", syntax) == syntax
    assert part.body.rstrip(b"\0") == codestream.rstrip(b"\0")


@clause("Table 8.7.3-5")
@pytest.mark.parametrize("syntax", COMPRESSED)
def test_a_compressed_frame_is_retrieved_in_its_media_type(target, made, syntax):
    stored = made.by_syntax[syntax]
    accept = multipart(FRAME_TYPES[syntax], f"transfer-syntax={syntax}")
    (part,) = parts(target.ok(f"{stored.path}/frames/1", accept))
    check_codestream(part, stored, made)


@clause("§8.7.3.5.2")
@pytest.mark.parametrize("syntax", COMPRESSED)
def test_a_compressed_frame_is_retrieved_in_any_transfer_syntax(target, made, syntax):
    stored = made.by_syntax[syntax]
    accept = multipart(FRAME_TYPES[syntax], "transfer-syntax=*")
    (part,) = parts(target.ok(f"{stored.path}/frames/1", accept))
    check_codestream(part, stored, made)


@clause("§8.7.3.5.2", optional=True)
@pytest.mark.parametrize("syntax", COMPRESSED)
def test_a_compressed_frame_is_retrieved_as_stored_by_viewers(target, made, syntax):
    # What OHIF and Cornerstone ask for: any transfer syntax, of octets or whatever fits.
    stored = made.by_syntax[syntax]
    accept = f"{multipart(OCTETS, 'transfer-syntax=*')}, {multipart('*/*', 'transfer-syntax=*')}"
    (part,) = parts(target.ok(f"{stored.path}/frames/1", accept))
    codestream = get_frame(stored.dataset.PixelData, 0, number_of_frames=1)
    assert part.body.rstrip(b"\0") == codestream.rstrip(b"\0")
    assert part.parameters["transfer-syntax"] == syntax


@clause("Table 8.7.3-5", optional=True)
def test_a_frame_is_compressed_as_asked(target, made):
    stored = made.by_syntax[ExplicitVRLittleEndian]
    accept = multipart("image/jls", f"transfer-syntax={JPEGLSLossless}")
    (part,) = parts(target.ok(f"{stored.path}/frames/1", accept))
    assert part.media_type == "image/jls"
    assert np.array_equal(imagecodecs.jpegls_decode(part.body), made.picture)


@clause("Table 8.5-1", optional=True)
def test_a_range_of_a_frame_is_answered(target, made):
    path = f"{made.multiframe.path}/frames/2"
    answer = target.get(path, OCTETS, headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, frames(made)[1][10:20])


def document_uri(target, made):
    (found,) = target.ok(f"{made.document.path}/metadata", JSON).json()
    return found[tag("EncapsulatedDocument")]["BulkDataURI"]


@clause("Table 10.4.1-1")
def test_bulk_data_of_metadata_is_retrieved_in_a_part(target, made):
    (part,) = parts(target.ok(document_uri(target, made), multipart(OCTETS)))
    assert part.body.rstrip(b"\0") == PDF


@clause("§8.7.7")
@pytest.mark.parametrize("accept", ["*/*", OCTETS])
def test_bulk_data_of_metadata_is_retrieved_alone(target, made, accept):
    answer = target.ok(document_uri(target, made), accept)
    multiple = media_type(answer.headers["content-type"]) == "multipart/related"
    assert (parts(answer)[0].body if multiple else answer.content).rstrip(b"\0") == PDF


@clause("§8.7.3.3", optional=True)
def test_a_document_is_retrieved_as_what_it_is(target, made):
    answer = target.ok(document_uri(target, made), "application/pdf")
    assert media_type(answer.headers["content-type"]) == "application/pdf"
    assert answer.content.rstrip(b"\0") == PDF


@clause("Table 8.5-1", optional=True)
def test_a_range_of_bulk_data_is_answered(target, made):
    uri = document_uri(target, made)
    answer = target.get(uri, OCTETS, headers={"Range": "bytes=0-4"})
    assert (answer.status_code, answer.content) == (206, b"%PDF-")
    answer = target.get(uri, OCTETS, headers={"Range": "bytes=999999999-"})
    assert answer.status_code == 416


@clause("Table 10.4.3-1")
def test_bulk_data_that_is_not_there_is_not_found(target, made):
    uri = document_uri(target, made).replace(made.document.uid, "2.25.404")
    assert target.get(uri, multipart(OCTETS)).status_code == 404


@clause("Table 10.4.1-5")
@pytest.mark.parametrize("level", LEVELS)
def test_all_bulk_data_of_a_resource_is_retrieved(target, made, level):
    path = f"{path_of(made.document, level)}/bulkdata"
    found = parts(target.ok(path, multipart(OCTETS)))
    assert PDF in [part.body.rstrip(b"\0") for part in found]
    assert all(part.headers.get("content-location") for part in found)


@clause("Table 10.4.1-6")
@pytest.mark.parametrize("level", LEVELS)
def test_all_pixel_data_of_a_resource_is_retrieved(target, made, level):
    path = f"{path_of(made.color, level)}/pixeldata"
    found = parts(target.ok(path, multipart(OCTETS)))
    assert made.color.dataset.PixelData in [part.body for part in found]
