"""Studies and series as bodies of parts: lengths, ranges, and files that lack their beginning."""

import io
import os
import random

import httpx
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from support import make_instance
from support_multipart import parts_of
from support_store import Module, bodies

PARTS = 'multipart/related; type="application/dicom"; transfer-syntax=*'
ALONE = "application/dicom; transfer-syntax=*"
PREFIX = 132
LARGE = 1 << 16


@pytest.fixture(scope="module")
def web(start_server):
    # What is larger is a file of its own, which a test takes away.
    return start_server(f"--set=storage.large_object_bytes={LARGE}")


def get(web, path, accept=PARTS, method="GET", **headers):
    asked = {"accept": accept} | {name.replace("_", "-"): each for name, each in headers.items()}
    return web.http.request(method, f"/dicom-web{path}", headers=asked)


def implicit(file):
    found = pydicom.dcmread(io.BytesIO(file))
    found.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    buffer = io.BytesIO()
    found.save_as(buffer, implicit_vr=True, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()


def study_of(web, sizes):
    """Store a study of two series, every third instance in another syntax; return its path."""
    study, series = generate_uid(), [generate_uid(), generate_uid()]
    for number, size in enumerate(sizes):
        file = make_instance(study, series[number % 2], number=number, size=size)
        web.upload(implicit(file) if number % 3 == 0 else file)
    return f"/studies/{study}", f"/studies/{study}/series/{series[0]}"


def test_studies_and_series_are_read_on_from_any_byte(web):
    paths = study_of(web, [*range(100, 1100, 100), 3 * LARGE, 300_000])
    chosen = random.Random(11)
    for path in paths:
        whole = get(web, path)
        size, tag = len(whole.content), whole.headers["etag"]
        assert (whole.headers["accept-ranges"], tag[:2] != "W/") == ("bytes", True)
        assert int(whole.headers["content-length"]) == size
        head = get(web, path, method="HEAD")
        assert int(head.headers["content-length"]) == size
        # The edges of each part, and any other place.
        boundary = b"--" + whole.content[2 : whole.content.index(b"\r\n")]
        edges = [at for at in range(size) if whole.content.startswith(boundary, at)]
        firsts = {max(0, edge + more) for edge in edges for more in (-2, -1, 0, 1)}
        for first in [*sorted(firsts)[:24], *(chosen.randrange(size) for _ in range(8)), size - 1]:
            end = chosen.choice([first + 1, first + 700, size, size + 9])
            part = get(web, path, range=f"bytes={first}-{end - 1}", if_range=tag)
            assert part.status_code == 206
            end = min(end, size)
            assert part.headers["content-range"] == f"bytes {first}-{end - 1}/{size}"
            assert part.content == whole.content[first:end], (first, end)
        assert get(web, path, range=f"bytes={size}-").status_code == 416
        assert get(web, path, range="bytes=-30").content == whole.content[-30:]


def test_a_download_goes_on_where_it_was_cut_off_until_the_study_changes(web):
    path, _ = study_of(web, [3 * LARGE] * 6)
    whole = get(web, path)
    got, tag = b"", whole.headers["etag"]
    while len(got) < len(whole.content):
        asked = {"accept": PARTS, "range": f"bytes={len(got)}-", "if-range": tag}
        with web.http.stream("GET", f"/dicom-web{path}", headers=asked) as answer:
            assert answer.status_code == 206
            for piece in answer.iter_raw():
                got += piece
                if len(got) % 3 == 0:
                    break
    assert got == whole.content
    web.upload(make_instance(path.rpartition("/")[2]))
    again = get(web, path, range="bytes=100-", if_range=tag)
    assert (again.status_code, len(parts_of(again))) == (200, 7)


def test_what_cannot_be_given_whole_breaks_the_connection(web):
    path, _ = study_of(web, [3 * LARGE] * 8)
    expected = len(get(web, path).content)
    # The files of large objects have nothing but these.
    size = len(make_instance(size=3 * LARGE))
    files = [each for each in web.root.glob("**/*") if each.is_file()]
    large = [each for each in files if size - 100 < each.stat().st_size < size + 1000]
    os.truncate(max(large, key=lambda each: each.stat().st_mtime_ns), LARGE)
    pieces = []
    asked = web.http.stream("GET", f"/dicom-web{path}", headers={"accept": PARTS})
    with asked as answer:
        assert int(answer.headers["content-length"]) == expected
        with pytest.raises(httpx.RemoteProtocolError):
            pieces.extend(answer.iter_raw())
    assert sum(map(len, pieces)) < expected


def stripped(file, how):
    """Return a file without a part of its beginning, and where its data set begins."""
    at = PREFIX + 12 + int.from_bytes(file[PREFIX + 8 : PREFIX + 12], "little")
    return {
        "a data set": file[at:],
        "no preamble": file[PREFIX:],
        "a prefix alone": file[128:],
        "no group 2": file[:PREFIX] + file[at:],
    }[how]


@pytest.mark.parametrize("how", ["a data set", "no preamble", "a prefix alone", "no group 2"])
def test_what_came_without_its_beginning_leaves_as_a_file(web, how):
    """PS3.10 §7.1 (PS3.18 §8.7.3.1). Orthanc's routes give what came, as Orthanc does."""
    whole = make_instance(size=300)
    came = stripped(whole, how)
    public_id = web.upload(came)["ID"]
    assert web.file(public_id) == came
    expected = pydicom.dcmread(io.BytesIO(whole))
    uids = expected.StudyInstanceUID, expected.SeriesInstanceUID, expected.SOPInstanceUID
    study, series, instance = uids
    path = f"/studies/{study}/series/{series}/instances/{instance}"
    alone = get(web, path, ALONE)
    uri = f"/wado?requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={instance}"
    by_uri = web.http.get(f"{uri}&contentType=application/dicom&transferSyntax=*")
    [part] = parts_of(get(web, path))
    [of_study] = parts_of(get(web, f"/studies/{study}"))
    assert part.body == of_study.body == alone.content == by_uri.content
    left = pydicom.dcmread(io.BytesIO(alone.content))  # which demands preamble and prefix
    assert left == expected
    meta = left.file_meta
    assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (meta.MediaStorageSOPInstanceUID, meta.MediaStorageSOPClassUID) == (
        instance,
        expected.SOPClassUID,
    )
    assert meta.FileMetaInformationGroupLength + PREFIX + 12 == len(alone.content) - len(
        stripped(whole, "a data set")
    )
    # It has ranges as all that is stored.
    tag = alone.headers["etag"]
    for first in (0, 100, 140, 500):
        some = get(web, path, ALONE, range=f"bytes={first}-{first + 99}", if_range=tag)
        assert (some.status_code, some.content) == (206, alone.content[first : first + 100])


def test_a_store_answer_says_where_what_it_stored_is(web):
    """PS3.18 Table 10.5.3-2; the core answers alone, the application if something is unusual."""
    study, series = generate_uid(), generate_uid()
    first = make_instance(study, series)
    uid = pydicom.dcmread(io.BytesIO(first)).SOPInstanceUID
    within = f"{web.url}/dicom-web/studies/{study}"
    for files, expected in [
        ([first], f"{within}/series/{series}/instances/{uid}"),
        ([first, make_instance(study, series)], f"{within}/series/{series}"),
        ([first, make_instance(study)], within),
        ([first, make_instance()], None),
    ]:
        body, content_type = bodies(*files)
        for more in ({}, {"accept": "application/dicom+json;q=0.9"}):
            headers = {"content-type": content_type} | more
            answer = web.http.post("/dicom-web/studies", content=body, headers=headers)
            assert Module(answer).status == 200
            for name in ("location", "content-location"):
                assert answer.headers.get(name) == expected, more
    body, content_type = bodies(b"no DICOM")
    headers = {"content-type": content_type}
    answer = web.http.post("/dicom-web/studies", content=body, headers=headers)
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert len(parts_of(get(web, f"/studies/{study}"))) == 3


def test_places_begin_as_the_client_called_the_proxy_in_front(web):
    study, series = generate_uid(), generate_uid()
    file = make_instance(study, series)
    uid = pydicom.dcmread(io.BytesIO(file)).SOPInstanceUID
    path = f"/dicom-web/studies/{study}/series/{series}/instances/{uid}"
    expected = f"https://outside.example/pacs{path}"
    proxy = {
        "x-forwarded-proto": "https",
        "x-forwarded-host": "outside.example",
        "x-forwarded-prefix": "/pacs",
    }
    body, content_type = bodies(file)
    headers = {"content-type": content_type} | proxy
    stored = web.http.post("/dicom-web/studies", content=body, headers=headers)
    assert stored.headers["location"] == stored.headers["content-location"] == expected
    for below in ("", "/metadata", "/rendered?viewport=9,9", "/thumbnail"):
        answer = web.http.get(f"{path}{below}", headers=proxy)
        assert answer.headers["content-location"] == f"{expected}{below}"
    [part] = parts_of(web.http.get(path, headers={"accept": PARTS} | proxy))
    assert part.headers["content-location"] == expected
