"""Retrieve transaction of studies, series and instances as DICOM files (PS3.18 §10.4)."""

import io
from urllib.parse import urljoin, urlsplit

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from support_target import DICOM, NOTHING, clause, media_type, multipart, parts

LEVELS = ["study", "series", "instance"]
ANY = 'transfer-syntax="*"'


def read(file):
    return pydicom.dcmread(io.BytesIO(file))


def path_of(instance, level):
    return {"study": instance.study, "series": instance.series, "instance": instance.path}[level]


def expected(made, level):
    """Return the instances of the first study that a level holds."""
    of_study = [*made.ct, made.presentation, made.report]
    return {"study": of_study, "series": made.ct, "instance": made.ct[:1]}[level]


@clause("Table 10.4.1-1")
@pytest.mark.parametrize(
    "accept",
    [
        multipart(DICOM),
        f"multipart/related; type={DICOM}",
        f"multipart/related;type={DICOM}",
        multipart(DICOM, "transfer-syntax=*"),
        multipart(DICOM, ANY),
        multipart(DICOM, "transfer-syntax=1.2.840.10008.1.2.1"),
        f"{multipart(DICOM)}, */*;q=0.1",
    ],
)
@pytest.mark.parametrize("level", LEVELS)
def test_instances_are_retrieved_one_a_part(target, made, level, accept):
    answer = target.ok(path_of(made.ct[0], level), accept)
    content_type = answer.headers["content-type"]
    assert media_type(content_type) == "multipart/related"
    assert DICOM in content_type
    found = parts(answer)
    assert {part.media_type for part in found} == {DICOM}
    uids = sorted(read(part.body).SOPInstanceUID for part in found)
    assert uids == sorted(each.uid for each in expected(made, level))


@clause("Table 10.4.4-1")
@pytest.mark.parametrize("accept", [DICOM, f"{DICOM}; transfer-syntax=*"])
def test_an_instance_is_retrieved_as_a_single_part(target, made, accept):
    answer = target.ok(made.ct[0].path, accept)
    assert media_type(answer.headers["content-type"]) == DICOM
    assert read(answer.content).SOPInstanceUID == made.ct[0].uid


@clause("§8.7.7")
@pytest.mark.parametrize("level", LEVELS)
def test_an_instance_is_retrieved_whatever_it_may_be(target, made, level):
    content_type = target.ok(path_of(made.ct[0], level), "*/*").headers["content-type"]
    assert media_type(content_type) in ("multipart/related", DICOM)


@clause("§8.3.3.1")
@pytest.mark.parametrize("accept", [DICOM, multipart(DICOM)])
def test_the_media_type_of_an_instance_is_taken_from_the_query(target, made, accept):
    answer = target.ok(made.ct[0].path, params={"accept": accept})
    assert media_type(answer.headers["content-type"]) == media_type(accept)


@clause("Table 10.4.1-1")
@pytest.mark.parametrize("level", LEVELS)
def test_what_is_retrieved_is_what_was_stored(target, made, level):
    answer = target.ok(path_of(made.ct[0], level), multipart(DICOM))
    found = {data_set.SOPInstanceUID: data_set for data_set in map(read, map(body, parts(answer)))}
    for each in expected(made, level):
        assert found[each.uid] == read(each.file)


def body(part):
    return part.body


SYNTAXES = [
    pytest.param(number, id=name)
    for number, name in enumerate(
        (
            *("Explicit VR Little Endian", "Implicit VR Little Endian", "Explicit VR Big Endian"),
            *("Deflated", "JPEG Baseline", "JPEG Lossless", "JPEG-LS", "JPEG 2000", "HTJ2K", "RLE"),
        )
    )
]


@clause("§8.7.3.4")
@pytest.mark.parametrize("number", SYNTAXES)
def test_the_default_transfer_syntax_is_explicit_vr_little_endian(target, made, number):
    stored = list(made.by_syntax.values())[number]
    (part,) = parts(target.ok(stored.path, multipart(DICOM)))
    found = read(part.body)
    syntax = found.file_meta.TransferSyntaxUID
    if stored.transfer_syntax == JPEGBaseline8Bit:
        # What was lossy may stay as it is.
        assert syntax in (ExplicitVRLittleEndian, JPEGBaseline8Bit)
        assert np.abs(found.pixel_array.astype(int) - made.picture).max() < 12
    else:
        assert syntax == ExplicitVRLittleEndian
        assert np.array_equal(found.pixel_array, made.picture)
    assert part.parameters.get("transfer-syntax", syntax) == syntax


@clause("§8.7.3.5.2")
@pytest.mark.parametrize("number", SYNTAXES)
def test_any_transfer_syntax_may_be_as_stored(target, made, number):
    stored = list(made.by_syntax.values())[number]
    (part,) = parts(target.ok(stored.path, multipart(DICOM, ANY)))
    found = read(part.body)
    syntax = found.file_meta.TransferSyntaxUID
    assert syntax in (stored.transfer_syntax, ExplicitVRLittleEndian)
    assert np.abs(found.pixel_array.astype(int) - made.picture).max() < 12
    assert part.parameters.get("transfer-syntax", syntax) == syntax


@clause("§8.7.3.5.2", optional=True)
@pytest.mark.parametrize("number", SYNTAXES)
def test_any_transfer_syntax_is_as_stored(target, made, number):
    stored = list(made.by_syntax.values())[number]
    answer = target.ok(stored.path, f"{DICOM}; transfer-syntax=*")
    found = read(answer.content)
    assert found.file_meta.TransferSyntaxUID == stored.transfer_syntax
    assert found == read(stored.file)


@clause("Table 8.7.3-2", optional=True)
@pytest.mark.parametrize(
    "syntax",
    [
        pytest.param(syntax, id=syntax.name)
        for syntax in (
            *(JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless),
            *(JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless),
        )
    ],
)
@pytest.mark.parametrize("source", ["uncompressed", "compressed"])
def test_the_transfer_syntax_that_was_asked_for_is_answered(target, made, syntax, source):
    stored = made.by_syntax[ExplicitVRLittleEndian if source == "uncompressed" else RLELossless]
    accept = multipart(DICOM, f"transfer-syntax={syntax}")
    (part,) = parts(target.ok(stored.path, accept))
    found = read(part.body)
    assert found.file_meta.TransferSyntaxUID == syntax
    difference = np.abs(found.pixel_array.astype(int) - made.picture).max()
    assert difference < (12 if syntax == JPEGBaseline8Bit else 1)


@clause("§8.7.5", optional=True)
def test_the_transfer_syntax_with_the_greater_weight_is_chosen(target, made):
    stored = made.by_syntax[ExplicitVRLittleEndian]
    accept = ", ".join(
        (
            multipart(DICOM, f"transfer-syntax={RLELossless}", "q=0.5"),
            multipart(DICOM, f"transfer-syntax={JPEG2000Lossless}", "q=0.9"),
        )
    )
    (part,) = parts(target.ok(stored.path, accept))
    assert read(part.body).file_meta.TransferSyntaxUID == JPEG2000Lossless


@clause("Table 10.4.3-1")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "accept",
    [
        NOTHING,
        "video/mp4",
        multipart("image/png"),
        multipart(DICOM, "transfer-syntax=1.2.3.4"),
        multipart(DICOM, "transfer-syntax=1.2.840.10008.1.2.4.100"),
    ],
)
def test_what_cannot_be_given_is_not_acceptable(target, made, level, accept):
    assert target.get(path_of(made.ct[0], level), accept).status_code == 406


@clause("Table 10.4.3-1")
@pytest.mark.parametrize("rest", ["", "/metadata", "/rendered", "/bulkdata"])
@pytest.mark.parametrize("level", LEVELS)
def test_what_is_not_there_is_not_found(target, made, level, rest):
    path = path_of(made.ct[0], level)
    missing = f"{path.rpartition('/')[0]}/2.25.404"
    assert target.get(missing + rest).status_code == 404


@clause("Table 10.4.3-1")
@pytest.mark.parametrize("rest", ["", "/metadata", "/frames/1"])
def test_an_instance_of_another_series_is_not_found(target, made, rest):
    path = f"{made.report.series}/instances/{made.ct[0].uid}{rest}"
    assert target.get(path).status_code == 404
    path = f"{made.color.study}/series/{made.ct[0].dataset.SeriesInstanceUID}"
    assert target.get(path).status_code == 404


@clause("Table 10.4.3-1")
@pytest.mark.parametrize("path", ["/studies/a.b", "/studies/1.2/series/x/instances/3"])
def test_a_uid_that_is_none_is_refused(target, made, path):
    assert target.get(path, multipart(DICOM)).status_code in (400, 404)


@clause("Table 8.5-1")
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_method_that_is_not_served_is_not_allowed(target, made, method):
    answer = target.http.request(method, f"{target.url}{made.ct[0].study}")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


@clause("§8.4", optional=True)
@pytest.mark.parametrize("rest", ["", "/metadata", "/frames/1", "/rendered"])
def test_what_has_not_changed_is_not_sent_again(target, made, rest):
    first = target.ok(f"{made.ct[0].path}{rest}")
    tag = first.headers["etag"]
    path = f"{made.ct[0].path}{rest}"
    again = target.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert target.get(path, headers={"If-None-Match": '"another"'}).status_code == 200


@clause("Table 8.5-1", optional=True)
def test_a_range_of_an_instance_is_answered(target, made):
    whole = target.ok(made.ct[0].path, f"{DICOM}; transfer-syntax=*").content
    path, accept = made.ct[0].path, f"{DICOM}; transfer-syntax=*"
    answer = target.get(path, accept, headers={"Range": "bytes=128-131"})
    assert (answer.status_code, answer.content) == (206, b"DICM")
    assert answer.headers["content-range"] == f"bytes 128-131/{len(whole)}"
    answer = target.get(path, accept, headers={"Range": f"bytes={len(whole)}-"})
    assert answer.status_code == 416


@clause("§8.4.3", optional=True)
def test_the_length_of_an_instance_is_said(target, made):
    answer = target.ok(made.ct[0].path, DICOM, headers={"Accept-Encoding": "identity"})
    assert int(answer.headers["content-length"]) == len(answer.content)


@clause("Table 8.4.3-1")
@pytest.mark.parametrize("level", LEVELS)
def test_the_length_of_parts_is_said(target, made, level):
    answer = target.ok(path_of(made.ct[0], level), multipart(DICOM, ANY))
    assert int(answer.headers["content-length"]) == len(answer.content)


@clause("Table 8.5-1", optional=True)
@pytest.mark.parametrize("level", LEVELS)
def test_a_range_of_parts_is_answered(target, made, level):
    path, accept = path_of(made.ct[0], level), multipart(DICOM, ANY)
    whole = target.ok(path, accept)
    asked = {"Range": "bytes=700-999", "If-Range": whole.headers["etag"]}
    answer = target.get(path, accept, headers=asked)
    assert (answer.status_code, answer.content) == (206, whole.content[700:1000])
    assert answer.headers["content-range"] == f"bytes 700-999/{len(whole.content)}"
    assert answer.headers["content-type"] == whole.headers["content-type"]


@clause("Table 8.4.2-1")
@pytest.mark.parametrize(
    "below", ["", "/metadata", "/rendered", "/thumbnail", "/frames/1", "/bulkdata", "/pixeldata"]
)
@pytest.mark.parametrize("level", LEVELS)
def test_an_answer_says_where_what_it_gives_is(target, made, level, below):
    if below == "/frames/1" and level != "instance":
        pytest.skip("frames are those of an instance")
    answer = target.ok(f"{path_of(made.ct[0], level)}{below}")
    place = urljoin(str(answer.url), answer.headers["content-location"])
    assert urlsplit(place).path == urlsplit(str(answer.url)).path
    again = target.http.get(place, headers={"Accept": "*/*"})
    assert again.status_code == 200


@clause("Table 8.6.1-1")
@pytest.mark.parametrize(
    ("below", "accept"),
    [
        ("", multipart(DICOM, ANY)),
        ("/metadata", multipart("application/dicom+xml")),
        ("/rendered", multipart("image/png")),
        ("/pixeldata", multipart("application/octet-stream")),
    ],
)
@pytest.mark.parametrize("level", LEVELS)
def test_each_part_says_where_it_is_from(target, made, level, below, accept):
    answer = target.ok(f"{path_of(made.ct[0], level)}{below}", accept)
    places = [part.headers["content-location"] for part in parts(answer)]
    assert len(set(places)) == len(places)
    for place in places:
        kind = media_type(accept.partition('type="')[2].partition('"')[0])
        again = target.get(urljoin(str(answer.url), place), f"{multipart(kind)}, {kind}")
        assert again.status_code == 200, place


@clause("§8.7.3", optional=True)
@pytest.mark.parametrize("level", LEVELS)
def test_instances_are_retrieved_as_zip(target, made, level):
    answer = target.ok(path_of(made.ct[0], level), "application/zip")
    assert answer.content[:4] == b"PK\x03\x04"


@clause("Table 10.4.3-1", optional=True)
def test_what_was_deleted_is_gone(target, made):
    instance = made.new_ct()
    assert target.store([instance.file]).status_code == 200
    if not target.http.delete(f"{target.url}{instance.study}").is_success:
        pytest.skip("the server deletes nothing at the request of a client")
    assert target.get(instance.study, multipart(DICOM)).status_code in (404, 410)
