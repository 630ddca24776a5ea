"""What the OHIF viewer asks by DICOMweb, and what it reads of the answers.

Written from its data source, @ohif/extension-default 3.13, with its defaults: URLs are built as its
client does (encodeURIComponent), and values are read from where it reads them.
"""

import io
from urllib.parse import quote

import httpx
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import get_frame
from pydicom.uid import ExplicitVRLittleEndian
from support import Server
from support_data import CODESTREAMS, PDF, Made
from support_target import parts

JSON = {"Accept": "application/dicom+json"}
STUDY_FIELDS = "00081030,00080060,00080090,00100030"
SERIES_FIELDS = "0008103E,00080021"
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax="*"'


@pytest.fixture(scope="module")
def made():
    return Made()


@pytest.fixture(scope="module")
def client(made, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("ohif") / "data").start()
    for each in made.instances:
        server.upload(each.file)
    with httpx.Client(base_url=server.url, timeout=60) as found:
        yield found
    server.stop()


def query(params):
    """Return a query as dicomweb-client writes it."""
    unescaped = "!'()*"  # by encodeURIComponent
    return "&".join(f"{name}={quote(str(value), safe=unescaped)}" for name, value in params.items())


def asked(client, path, params=None, headers=JSON):
    url = f"/dicom-web{path}" + (f"?{query(params)}" if params else "")
    answer = client.get(url, headers=headers)
    assert answer.status_code in (200, 204), (url, answer.status_code, answer.text[:300])
    return answer


def text(match, tag):
    """Read an attribute as the viewer does: the first value, or nothing."""
    return (match.get(tag, {}).get("Value") or [None])[0]


def studies(client, **filters):
    """Return the rows of the study list."""
    params = {
        **filters,
        "limit": 101,
        "offset": 0,
        "fuzzymatching": "false",
        "includefield": STUDY_FIELDS,
    } | filters
    answer = asked(client, "/studies", params)
    found = answer.json() if answer.status_code == 200 else []
    return [
        {
            "uid": text(match, "0020000D"),
            "date": text(match, "00080020"),
            "time": text(match, "00080030"),
            "accession": text(match, "00080050"),
            "mrn": text(match, "00100020"),
            "name": (text(match, "00100010") or {}).get("Alphabetic"),
            "born": text(match, "00100030"),
            "instances": int(text(match, "00201208") or 0),
            "description": text(match, "00081030"),
            "modalities": match["00080061"]["Value"],
            "referring": (text(match, "00080090") or {}).get("Alphabetic"),
        }
        for match in found
    ]


def patients(made, rows):
    return sorted(row["mrn"].removeprefix(f"{made.mark}-") for row in rows)


def test_the_study_list_has_a_row_for_each_study(client, made):
    rows = studies(client)
    assert patients(made, rows) == ["1", "2", "3", "4", "5"]
    (row,) = [row for row in rows if row["mrn"] == made.patient(1)]
    assert row == {
        "uid": made.ct[0].dataset.StudyInstanceUID,
        "date": "20240115",
        "time": "101530",
        "accession": f"{made.mark}A1",
        "mrn": made.patient(1),
        "name": "Conform^Anna",
        "born": "19700102",
        "instances": 7,
        "description": "Conformance of CT",
        "modalities": row["modalities"],
        "referring": "Refer^Rita",
    }
    assert sorted(row["modalities"]) == ["CT", "PR", "SR"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"PatientName": "*conform*"}, "1"),
        ({"00100020": "*-2*"}, "2"),
        ({"AccessionNumber": "*A3*"}, "3"),
        ({"StudyDescription": "*of CT*"}, "1"),
        ({"ModalitiesInStudy": "CT"}, "1"),
        ({"ModalitiesInStudy": "CT,US"}, "12"),
        ({"StudyDate": "20240201-20240301"}, "24"),
        ({"StudyDate": "19700102-20240101"}, "3"),
        ({"PatientName": "*conform*", "ModalitiesInStudy": "US"}, ""),
    ],
    ids=str,
)
def test_the_filters_of_the_study_list_choose_studies(client, made, filters, expected):
    assert patients(made, studies(client, **filters)) == list(expected)


def test_the_study_list_has_pages(client, made):
    pages = [studies(client, limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert patients(made, [row for page in pages for row in page]) == ["1", "2", "3", "4", "5"]


def test_studies_are_found_by_a_list_of_uids(client, made):
    uids = [made.ct[0].dataset.StudyInstanceUID, made.color.dataset.StudyInstanceUID]
    # The viewer puts a backslash where the URL of its page has a comma.
    found = studies(client, StudyInstanceUID="\\".join(uids))
    assert sorted(row["uid"] for row in found) == sorted(uids)


@pytest.mark.parametrize("fields", [SERIES_FIELDS, "00080021,00080031,0008103E,00200011"])
def test_the_series_of_a_study_are_listed(client, made, fields):
    study = made.ct[0].dataset.StudyInstanceUID
    matches = asked(client, f"/studies/{study}/series", {"includefield": fields}).json()
    rows = {
        text(match, "00080060"): (
            text(match, "0020000D"),
            text(match, "0020000E"),
            int(text(match, "00200011")),
            int(text(match, "00201209")),
            text(match, "0008103E"),
        )
        for match in matches
    }
    assert sorted(rows) == ["CT", "PR", "SR"]
    series = made.ct[0].dataset.SeriesInstanceUID
    assert rows["CT"] == (study, series, 7, 5, "Axial slices")


def test_the_metadata_of_a_series_has_what_display_sets_are_made_of(client, made):
    found = asked(client, f"{made.ct[0].series}/metadata").json()
    numbers = sorted(text(instance, "00200013") for instance in found)
    assert numbers == [1, 2, 3, 4, 5]
    for instance in found:
        for tag, value in {
            "00080016": "1.2.840.10008.5.1.4.1.1.2",
            "0020000D": made.ct[0].dataset.StudyInstanceUID,
            "0020000E": made.ct[0].dataset.SeriesInstanceUID,
            "00080060": "CT",
            "00280010": 12,
            "00280011": 16,
            "00200052": made.frame_of_reference,
        }.items():
            assert text(instance, tag) == value, tag
        for tag, count in {"00200032": 3, "00200037": 6, "00280030": 2}.items():
            assert len(instance[tag]["Value"]) == count, tag


def test_the_metadata_of_a_study_is_answered_whole(client, made):
    assert len(asked(client, f"{made.ct[0].study}/metadata").json()) == 7


def test_frames_are_answered_by_octets_of_any_transfer_syntax(client, made):
    for number in range(1, 5):
        path = f"{made.multiframe.path}/frames/{number}"
        (part,) = parts(asked(client, path, headers={"Accept": FRAMES}))
        start = 80 * (number - 1)
        assert part.body == made.multiframe.dataset.PixelData[start : start + 80]


@pytest.mark.parametrize("syntax", CODESTREAMS, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("accept", [FRAMES, FRAMES.replace('"', "")], ids=["quoted", "unquoted"])
def test_a_compressed_frame_says_its_transfer_syntax(client, made, syntax, accept):
    stored = made.by_syntax[syntax]
    (part,) = parts(asked(client, f"{stored.path}/frames/1", headers={"Accept": accept}))
    # The image loader takes the transfer syntax from the header fields of the part.
    found = part.parameters.get("transfer-syntax", ExplicitVRLittleEndian)
    if found == ExplicitVRLittleEndian:
        assert np.frombuffer(part.body, np.uint8).size == made.picture.size
    else:
        assert found == syntax
        codestream = get_frame(stored.dataset.PixelData, 0, number_of_frames=1)
        assert part.body.rstrip(b"\0") == codestream.rstrip(b"\0")


def test_bulk_data_is_answered_by_the_uri_of_the_metadata(client, made):
    (instance,) = asked(client, f"{made.document.path}/metadata").json()
    uri = instance["00420011"]["BulkDataURI"]
    answer = client.get(uri, headers={"Accept": "*/*"})
    assert answer.content.rstrip(b"\0") == PDF or parts(answer)[0].body.rstrip(b"\0") == PDF
    accept = 'multipart/related; type="application/octet-stream"'
    (part,) = parts(client.get(uri, headers={"Accept": accept}))
    assert part.body.rstrip(b"\0") == PDF


def test_a_document_is_answered_rendered(client, made):
    answer = asked(client, f"{made.document.path}/rendered", {"accept": "application/pdf"}, {})
    assert answer.content.rstrip(b"\0") == PDF


@pytest.mark.parametrize("kind", ["rendered", "thumbnail"])
def test_a_picture_for_the_list_of_series_is_answered(client, made, kind):
    answer = asked(client, f"{made.ct[0].path}/{kind}", {"accept": "image/jpeg"}, {})
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8\xff")


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
OCTETS = 'multipart/related; type="application/octet-stream"'


@pytest.mark.parametrize("kind", ["rendered", "thumbnail"])
@pytest.mark.parametrize("level", ["study", "series", "path"])
def test_a_picture_of_each_level_is_answered_as_the_list_of_series_asks(client, made, level, kind):
    url = f"/dicom-web{getattr(made.ct[0], level)}/{kind}"
    # By fetch, with URLSearchParams; or as if it were bulk data, with a header that says so.
    ways = [("viewport=256%2C256", {"Accept": "image/jpeg"}), ("accept=image%2Fjpeg", OCTETS)]
    for params, headers in ways:
        headers = headers if isinstance(headers, dict) else {"Accept": headers}
        answer = client.get(f"{url}?{params}", headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/jpeg"
        size = Image.open(io.BytesIO(answer.content)).size
        assert max(size) <= 256


def test_a_series_tells_one_instance_for_its_picture(client, made):
    params = {"limit": 1, "includefield": "00080018"}
    (found,) = asked(client, f"{made.ct[0].series}/instances", params).json()
    assert text(found, "00080018") in {each.uid for each in made.ct}


def test_one_series_of_a_study_is_listed(client, made):
    wanted = made.ct[0].dataset.SeriesInstanceUID
    params = {"includefield": "00080021,00080031,0008103E,00200011", "SeriesInstanceUID": wanted}
    (found,) = asked(client, f"{made.ct[0].study}/series", params).json()
    assert text(found, "0020000E") == wanted


def test_names_are_found_fuzzily(client, made):
    # fuzzymatching is true where the configuration says that the server can do it.
    assert patients(made, studies(client, PatientName="*conform*", fuzzymatching="true")) == ["1"]


@pytest.mark.parametrize("level", ["study", "series"])
def test_metadata_is_json_whatever_else_the_header_names(client, made, level):
    # What is asked of frames stays among the header fields, and a browser joins the two.
    headers = {"Accept": f"application/dicom+json, {FRAMES}"}
    answer = asked(client, f"{getattr(made.ct[0], level)}/metadata", headers=headers)
    assert answer.headers["content-type"] == "application/dicom+json"
    assert {text(one, "0020000D") for one in answer.json()} == {made.ct[0].dataset.StudyInstanceUID}


@pytest.mark.parametrize("accept", [BROWSER, "*/*"])
def test_a_document_is_shown_by_its_address_alone(client, made, accept):
    answer = asked(client, f"{made.document.path}/rendered", headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content.rstrip(b"\0") == PDF


def test_a_document_is_answered_by_the_uri_of_its_metadata_and_a_type(client, made):
    (instance,) = asked(client, f"{made.document.path}/metadata").json()
    uri = instance["00420011"]["BulkDataURI"]
    answer = client.get(f"{uri}?accept=application/pdf", headers={"Accept": BROWSER})
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content.rstrip(b"\0") == PDF


@pytest.mark.parametrize("frame", [None, 2])
def test_a_file_is_answered_by_the_uri_service_as_it_is_stored(client, made, frame):
    stored = list(made.by_syntax.values())[-1]
    params = {
        "requestType": "WADO",
        "studyUID": stored.dataset.StudyInstanceUID,
        "seriesUID": stored.dataset.SeriesInstanceUID,
        "objectUID": stored.uid,
        "contentType": "application/dicom",
        "transferSyntax": "*",
    } | ({} if frame is None else {"frame": frame})
    answer = client.get("/wado?" + "&".join(f"{name}={value}" for name, value in params.items()))
    assert answer.status_code == 200, answer.text
    assert pydicom.dcmread(io.BytesIO(answer.content)) == pydicom.dcmread(io.BytesIO(stored.file))


def test_what_the_viewer_makes_is_stored(client, made):
    instance = made.new_ct()
    boundary = "0f2ba4b1-85a1-4a4f-9e9c-3a2c6f6a2d51"
    kind = f'multipart/related; type="application/dicom"; boundary="{boundary}"'
    headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
    # With an empty line before it, and none behind.
    head = f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = head + instance.file + f"\r\n--{boundary}--".encode()
    answer = client.post("/dicom-web/studies", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert len(asked(client, f"{instance.series}/metadata").json()) == 1
