"""Conditions and ranges of everything that is stored, compared with RFC 9110 §13 and §14.

Each kind of thing is asked for with each set of conditions; what must come is said by `expected`, a
reading of the RFC in a few lines.
"""

import gzip
import io
import json
import time
from email.utils import formatdate, parsedate_to_datetime
from typing import NamedTuple

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from support import ct_small, make_instance
from support_multipart import parts_of

from vna import _core

HTJ2K = "1.2.840.10008.1.2.4.202"  # with resolutions first
STORED = "transfer-syntax=*"
OTHER = '"none of ours"'
LATER, EARLIER = 3600, -3600


class Kind(NamedTuple):
    """A thing that can be asked for.

    Attributes
    ----------
    of : str
        Which instance: ct, htj2k, multi, document, study.
    below : str
        The path behind it.
    accept : str
        The form.
    strong : bool
        Whether its tag names its bytes; then it has ranges, if its length is known.
    ranges : bool
        Whether it has ranges.
    dated : bool
        Whether it has a time of modification.
    """

    of: str
    below: str
    accept: str = "*/*"
    strong: bool = True
    ranges: bool = True
    dated: bool = True


PARTS = 'multipart/related; type="{}"; transfer-syntax=*'
KINDS = {
    "an instance": Kind("ct", "", f"application/dicom; {STORED}"),
    "an instance as a part": Kind("ct", "", PARTS.format("application/dicom")),
    "an instance in other bytes": Kind(
        "ct", "", f"application/dicom; transfer-syntax={HTJ2K}", strong=False, ranges=False
    ),
    "a study": Kind("study", "", PARTS.format("application/dicom"), dated=False),
    "a study in other bytes": Kind(
        "study",
        "",
        'multipart/related; type="application/dicom"',
        strong=False,
        ranges=False,
        dated=False,
    ),
    "a frame": Kind("multi", "/frames/2", f"application/octet-stream; {STORED}"),
    "a frame as a part": Kind("multi", "/frames/2", PARTS.format("application/octet-stream")),
    "frames": Kind("multi", "/frames/3,1,2", PARTS.format("application/octet-stream")),
    "a codestream": Kind("htj2k", "/frames/1", f"image/jphc; {STORED}"),
    "a codestream as a part": Kind("htj2k", "/frames/1", PARTS.format("image/jphc")),
    "a frame that is decoded": Kind(
        "htj2k", "/frames/1", "application/octet-stream", strong=False, ranges=False
    ),
    "native pixel data": Kind("multi", "/pixeldata", PARTS.format("application/octet-stream")),
    "pixel data": Kind("htj2k", "/pixeldata", PARTS.format("image/jphc")),
    "all bulk data": Kind("document", "/bulkdata", PARTS.format("*/*")),
    "a value": Kind("document", "/bulkdata/00420011", "application/octet-stream"),
    "a value as a part": Kind("document", "/bulkdata/00420011", PARTS.format("*/*")),
    "a value of pixels": Kind("ct", "/bulkdata/7fe00010", PARTS.format("application/octet-stream")),
    "a document": Kind("document", "/rendered", "application/pdf"),
    "metadata": Kind("ct", "/metadata", "application/dicom+json", ranges=False),
    "metadata in XML": Kind(
        "ct", "/metadata", 'multipart/related; type="application/dicom+xml"', ranges=False
    ),
    "metadata of a study": Kind("study", "/metadata", ranges=False, dated=False),
    "a picture": Kind("ct", "/rendered", "image/png", strong=False, ranges=False),
    "a picture of a study": Kind(
        "study", "/rendered", "image/png", strong=False, ranges=False, dated=False
    ),
    "a thumbnail": Kind("ct", "/thumbnail", strong=False, ranges=False),
    "a file by WADO-URI": Kind("ct", "uri:application/dicom"),
    "a picture by WADO-URI": Kind("ct", "uri:image/jpeg", strong=False, ranges=False),
    "a document by WADO-URI": Kind("document", "uri:application/pdf"),
}
# Headers of a request; {tag}, {weak} and times as `filled` has them.
CONDITIONS = [
    {},
    {"if-none-match": "{tag}"},
    {"if-none-match": "{weak}"},
    {"if-none-match": "*"},
    {"if-none-match": OTHER},
    {"if-none-match": OTHER + ', "x", {tag}'},
    {"if-match": "{tag}"},
    {"if-match": "*"},
    {"if-match": OTHER},
    {"if-match": OTHER + ", {tag}"},
    {"if-match": "{weak}"},
    {"if-modified-since": "{same}"},
    {"if-modified-since": "{later}"},
    {"if-modified-since": "{earlier}"},
    {"if-modified-since": "{rfc850}"},
    {"if-modified-since": "{asctime}"},
    {"if-modified-since": "yesterday"},
    {"if-unmodified-since": "{same}"},
    {"if-unmodified-since": "{earlier}"},
    {"if-unmodified-since": "yesterday"},
    {"if-none-match": OTHER, "if-modified-since": "{same}"},
    {"if-none-match": "{tag}", "if-modified-since": "{earlier}"},
    {"if-match": "{tag}", "if-unmodified-since": "{earlier}"},
    {"if-match": "{tag}", "if-none-match": "{tag}"},
    {"if-match": OTHER, "if-none-match": "{tag}"},
    {"range": "bytes=0-9"},
    {"range": "bytes=20-"},
    {"range": "bytes=-5"},
    {"range": "bytes=999999999-"},
    {"range": "bytes=0-1,4-5"},
    {"range": "lines=0-9"},
    {"range": "bytes=0-9", "if-range": "{tag}"},
    {"range": "bytes=0-9", "if-range": "{weak}"},
    {"range": "bytes=0-9", "if-range": OTHER},
    {"range": "bytes=0-9", "if-range": "{same}"},
    {"range": "bytes=0-9", "if-range": "{earlier}"},
    {"range": "bytes=0-9", "if-range": "{later}"},
    {"range": "bytes=0-9", "if-range": "yesterday"},
    {"range": "bytes=999999999-", "if-range": OTHER},
    {"range": "bytes=0-9", "if-none-match": "{tag}"},
    {"range": "bytes=0-9", "if-match": OTHER},
]


def filled(conditions, tag, modified):
    """Return headers with what the thing has put in."""
    moment = modified if modified is not None else time.time() - 7200
    values = {
        "tag": tag,
        "weak": "W/" + tag.removeprefix("W/"),
        "same": formatdate(moment, usegmt=True),
        "later": formatdate(moment + LATER, usegmt=True),
        "earlier": formatdate(moment + EARLIER, usegmt=True),
        "rfc850": time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(moment)),
        "asctime": time.asctime(time.gmtime(moment)),
    }
    return {name: text.format(**values) for name, text in conditions.items()}


def expected(method, conditions, kind, tag):
    """Return the status that RFC 9110 §13.2.2 leads to, step by step."""

    def listed(text, *, weakly):
        if text == "*":
            return True
        names = [
            each.replace("{tag}", tag).replace("{weak}", f"W/{tag}") for each in text.split(", ")
        ]
        names = [each.replace("W/W/", "W/") for each in names]
        if weakly:
            return tag.removeprefix("W/") in [each.removeprefix("W/") for each in names]
        return tag in names and not tag.startswith("W/")

    is_time = kind.dated and "yesterday" not in conditions.values()
    if "if-match" in conditions:
        if not listed(conditions["if-match"], weakly=False):
            return 412
    elif conditions.get("if-unmodified-since") == "{earlier}" and is_time:
        return 412
    if "if-none-match" in conditions:
        if listed(conditions["if-none-match"], weakly=True):
            return 304
    elif is_time and conditions.get("if-modified-since", "{earlier}") != "{earlier}":
        return 304
    if method != "GET" or not kind.ranges or "range" not in conditions:
        return 200
    condition = conditions.get("if-range")
    if condition not in (None, "{tag}") and not (condition == "{same}" and is_time):
        return 200
    if "," in conditions["range"] or not conditions["range"].startswith("bytes="):
        return 200  # which is allowed (§14.2)
    return 416 if "999999999-" in conditions["range"] else 206


def saved(data_set):
    buffer = io.BytesIO()
    data_set.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def web(start_server):
    server = start_server("--set=storage.duplicates=always")
    ct = pydicom.dcmread(io.BytesIO(ct_small()))
    ct.StudyInstanceUID = generate_uid()
    server.files = {"ct": saved(ct)}
    ct.SOPInstanceUID = ct.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    server.files["htj2k"] = _core.transcode(saved(ct), transfer_syntax_uid=HTJ2K)
    multi = pydicom.dcmread(get_testdata_file("emri_small.dcm"))
    multi.SOPInstanceUID = multi.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    server.files["multi"] = saved(multi)
    document = b"%PDF-1.4\n" + b"%" * 4000 + b"\n"
    server.files["document"] = make_instance(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1",
        MIMETypeOfEncapsulatedDocument="application/pdf",
        EncapsulatedDocument=document,
        EncapsulatedDocumentLength=len(document),
    )
    server.paths = {}
    for name, file in server.files.items():
        server.upload(file)
        found = pydicom.dcmread(io.BytesIO(file))
        uids = found.StudyInstanceUID, found.SeriesInstanceUID, found.SOPInstanceUID
        server.paths[name] = "/dicom-web/studies/{}/series/{}/instances/{}".format(*uids)
    # A time of modification is told when its second is over.
    second = int(time.time())
    while int(time.time()) == second:
        time.sleep(0.01)
    server.paths["study"] = server.paths["ct"].partition("/series")[0]
    return server


def address(web, kind):
    path = web.paths[kind.of]
    if not kind.below.startswith("uri:"):
        return path + kind.below
    _, _, _, study, _, series, _, instance = path.split("/")
    uri = f"/wado?requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={instance}"
    syntax = "&transferSyntax=*" if kind.below.endswith("dicom") else ""
    return f"{uri}&contentType={kind.below.removeprefix('uri:')}{syntax}"


def ask(web, kind, method="GET", **headers):
    asked = {"accept": kind.accept, "accept-encoding": "identity"} | headers
    return web.http.request(method, address(web, kind), headers=asked)


@pytest.mark.parametrize("name", KINDS)
def test_conditions_and_ranges_are_those_of_the_rfc(web, name):
    kind = KINDS[name]
    whole = ask(web, kind)
    assert whole.status_code == 200, whole.text
    tag, size = whole.headers["etag"], len(whole.content)
    assert tag.startswith("W/") != kind.strong
    assert ("last-modified" in whole.headers) == kind.dated
    modified = None
    if kind.dated:
        modified = parsedate_to_datetime(whole.headers["last-modified"]).timestamp()
        assert modified < time.time()
    assert (whole.headers.get("accept-ranges") == "bytes") == kind.ranges
    for method in ("GET", "HEAD"):
        for conditions in CONDITIONS:
            told = (method, conditions)
            answer = ask(web, kind, method, **filled(conditions, tag, modified))
            assert answer.status_code == expected(method, conditions, kind, tag), told
            if answer.status_code in (412, 416):
                assert method == "HEAD" or answer.json()["HttpStatus"] == answer.status_code, told
            else:
                # A 304 has what a cache needs to go on (§15.4.5).
                for header in ("etag", "last-modified", "vary"):
                    assert answer.headers.get(header) == whole.headers.get(header), told
            if answer.status_code == 206:
                first, end = part_of(conditions["range"], size)
                assert answer.content == whole.content[first:end], told
                assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{size}", told
                assert answer.headers["content-type"] == whole.headers["content-type"], told
            elif answer.status_code == 416:
                assert answer.headers["content-range"] == f"bytes */{size}", told
            elif answer.status_code == 304 or method == "HEAD":
                assert answer.content == b"", told
            elif answer.status_code == 200:
                assert answer.content == whole.content, told


def part_of(text, size):
    first, _, last = text.removeprefix("bytes=").partition("-")
    if not first:
        return size - int(last), size
    return int(first), min(int(last) + 1, size) if last else size


def test_a_viewer_refines_an_htj2k_frame_by_ranges(web):
    """First some bytes, from which a small picture can be made, then the rest."""
    kind = KINDS["a codestream"]
    whole = ask(web, kind)
    assert whole.headers["content-type"] == f"image/jphc; transfer-syntax={HTJ2K}"
    tag, size, got = whole.headers["etag"], len(whole.content), b""
    for step in (256, 1024, 4096, size):
        answer = ask(web, kind, **{"range": f"bytes={len(got)}-{step - 1}", "if-range": tag})
        assert answer.status_code == 206
        got += answer.content
    assert got == whole.content
    assert got.startswith(b"\xff\x4f\xff\x51")
    [part] = parts_of(ask(web, KINDS["a codestream as a part"]))
    assert part.body == got
    # As a part it has ranges too, and they are of the body with its frame.
    framed = ask(web, KINDS["a codestream as a part"])
    middle = ask(web, KINDS["a codestream as a part"], range=f"bytes=100-{size}")
    assert middle.content == framed.content[100 : size + 1]


def test_the_core_and_the_application_tell_the_same(web):
    """What is asked for plainly the core answers alone, with the headers of the longer way."""
    names = (
        "an instance",
        "an instance as a part",
        "a study",
        "a frame",
        "a codestream",
        "metadata",
    )
    for name in names:
        kind = KINDS[name]
        plain = ask(web, kind)
        longer = ask(web, kind, **{"if-none-match": OTHER})
        assert plain.content == longer.content
        kept = [
            {key: each for key, each in answer.headers.items() if key != "date"}
            for answer in (plain, longer)
        ]
        kept = [
            {key: each for key, each in one.items() if key != "transfer-encoding"} for one in kept
        ]
        assert kept[0] == kept[1], name


def test_texts_are_compressed_where_that_is_asked_for_and_the_tag_tells_them_apart(web):
    kind = KINDS["metadata"]
    plain = ask(web, kind)
    for coding in ("gzip", "gzip;q=0.5, br", "x-gzip", "deflate, GZIP"):
        with web.http.stream(
            "GET", address(web, kind), headers={"accept-encoding": coding}
        ) as answer:
            packed = b"".join(answer.iter_raw())
            assert answer.headers["content-encoding"] == "gzip", coding
            assert answer.headers["etag"] != plain.headers["etag"]
            assert "Accept-Encoding" in answer.headers["vary"]
            assert gzip.decompress(packed) == plain.content
        again = ask(
            web, kind, **{"accept-encoding": coding, "if-none-match": answer.headers["etag"]}
        )
        assert again.status_code == 304
    for coding in ("identity", "gzip;q=0", "br", ""):
        answer = ask(web, kind, **{"accept-encoding": coding})
        assert "content-encoding" not in answer.headers, coding
        assert json.loads(answer.content) == plain.json()


def test_what_replaces_an_instance_has_another_tag_and_the_old_one_is_no_condition_any_more(web):
    uids = [generate_uid() for _ in range(3)]
    path = "/dicom-web/studies/{}/series/{}/instances/{}".format(*uids)

    def put(comment):
        file = make_instance(*uids[:2], SOPInstanceUID=uids[2], size=128, ImageComments=comment)
        web.upload(file)
        return file

    def get(**headers):
        accept = f"application/dicom; {STORED}"
        asked = {name.replace("_", "-"): each for name, each in headers.items()}
        return web.http.get(path, headers={"accept": accept} | asked)

    first = put("first")
    before = get()
    # Within the second in which it came no time is told: another may come within it.
    if "last-modified" in before.headers:
        told = parsedate_to_datetime(before.headers["last-modified"]).timestamp()
        assert told < int(time.time())
    second = put("second, which differs")
    after = get()
    assert (before.content, after.content) == (first, second)
    tag = before.headers["etag"]
    assert after.headers["etag"] != tag
    assert get(if_none_match=tag).content == second
    assert get(if_match=tag).status_code == 412
    assert get(range="bytes=0-9", if_range=tag).content == second
    assert get(range="bytes=0-9", if_range=after.headers["etag"]).content == second[:10]
