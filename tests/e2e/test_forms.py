"""Forms of a stored instance over HTTP: tags, modules, content, DICOM JSON and XML."""

import io
import json
import re

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import parse_fragments
from pydicom.uid import generate_uid
from support import ct_small, make_instance

from vna import _core

BYTES = "application/octet-stream"


def rich(**attributes):
    """Return a CT slice with sequences, a long text and a private creator."""
    instance = pydicom.dcmread(io.BytesIO(ct_small()))
    instance.SOPInstanceUID = instance.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    empty, full = Dataset(), Dataset()
    full.ReferencedSOPInstanceUID = "1.2"
    full.ContentSequence = [Dataset()]
    full.ContentSequence[0].TextValue = "ü" * 1500
    instance.ReferencedImageSequence = [empty, full]
    instance.ReferencedStudySequence = []
    instance.PatientComments = "x" * 300
    for name, value in attributes.items():
        setattr(instance, name, value)
    buffer = io.BytesIO()
    instance.save_as(buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def data():
    return rich()


@pytest.fixture(scope="module")
def stored(server, data):
    return server.upload(data)


@pytest.fixture(scope="module")
def instance(stored):
    return f"/instances/{stored['ID']}"


def test_long_values_and_what_is_behind_the_pixel_data_come_when_asked_for(server, instance):
    tags = f"{instance}/tags"
    assert server.get(tags)["0010,4000"]["Type"] == "TooLong"
    for asked in ("PatientComments", "0010-4000", "0010,4000", "Rows,0010,4000", "00104000"):
        found = server.get(tags, params={"ignore-length": asked})
        assert found["0010,4000"]["Value"] == "x" * 300, asked
    assert "fffc,fffc" not in server.get(tags)
    assert "fffc,fffc" in server.get(f"{tags}?whole")
    simple = server.get(f"{instance}/simplified-tags?ignore-length=PatientComments")
    assert simple["PatientComments"] == "x" * 300
    refused = server.http.get(tags, params={"ignore-length": "NoSuchTag"})
    assert (refused.status_code, refused.json()["Code"]) == (400, "request.bad_parameter")


def test_the_header_is_group_2(server, instance, data):
    meta = pydicom.dcmread(io.BytesIO(data)).file_meta
    found = server.get(f"{instance}/header")
    assert found["0002,0010"] == {
        "Name": "TransferSyntaxUID",
        "Type": "String",
        "Value": "1.2.840.10008.1.2.1",
    }
    assert {tag[:4] for tag in found} == {"0002"}
    assert len(found) == len(meta)
    short = server.get(f"{instance}/header?short")
    assert short["0002,0003"] == meta.MediaStorageSOPInstanceUID
    simple = server.get(f"{instance}/header?simplify")
    assert simple["MediaStorageSOPInstanceUID"] == meta.MediaStorageSOPInstanceUID


def test_content_is_walked_down_to_each_value(server, instance, data):
    oracle = pydicom.dcmread(io.BytesIO(data))
    content = f"{instance}/content"
    top = server.get(content)
    assert top == [f"{tag.group:04x}-{tag.element:04x}" for tag in oracle._dict]
    assert server.get(f"{content}/") == top
    assert server.get(f"{content}/0008-1140") == ["0", "1"]
    assert server.get(f"{content}/0008-1110") == []
    assert server.get(f"{content}/0008-1140/0") == []
    assert server.get(f"{content}/ReferencedImageSequence/1") == ["0008-1155", "0040-a730"]
    answer = server.http.get(f"{content}/0008-1140/1/0040-a730/0/0040-a160")
    assert answer.content.decode("latin-1") == "ü" * 1500
    assert answer.headers["content-type"] == BYTES
    assert answer.headers["content-length"] == "1500"
    assert server.http.get(f"{content}/0008-1140/1/0008-1155").content == b"1.2\0"
    assert server.get(f"{content}/7fe0-0010") == ["0"]
    assert server.http.get(f"{content}/7fe0-0010/0").content == oracle.PixelData
    for element in oracle:
        raw = oracle.get_item(element.tag)
        if element.VR != "SQ" and element.tag != 0x7FE00010 and hasattr(raw, "value_tell"):
            found = server.http.get(f"{content}/{element.tag.group:04x}-{element.tag.element:04x}")
            assert found.content == (raw.value or b"")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("0010-1010/0", 404, "content.unknown"),
        ("0008-1140/2", 404, "content.unknown"),
        ("0002-0010", 404, "content.unknown"),
        ("patientname", 400, "request.bad"),
        ("0008-1140/first", 400, "request.bad"),
        ("0008-1140/0/" * 200, 400, "request.bad"),
    ],
)
def test_a_place_that_is_not_there_is_an_error(server, instance, path, status, code):
    answer = server.http.get(f"{instance}/content/{path}")
    assert (answer.status_code, answer.json()["Code"]) == (status, code)
    assert server.http.get("/instances/none/content").status_code == 404


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "SC_rgb_rle_2frame.dcm"])
def test_fragments_are_given_one_by_one(server, name):
    path = get_testdata_file(name)
    with open(path, "rb") as file:
        stored = server.upload(file.read())
    oracle = pydicom.dcmread(path)
    count, _ = parse_fragments(oracle.PixelData)
    content = f"/instances/{stored['ID']}/content/7fe0-0010"
    parts = server.get(content)
    assert parts == [str(number) for number in range(count)]
    found = [server.http.get(f"{content}/{number}").content for number in parts]
    packed = b"".join(
        b"\xfe\xff\x00\xe0" + len(part).to_bytes(4, "little") + part for part in found
    )
    assert oracle.PixelData.startswith(packed)
    refused = server.http.get(f"/instances/{stored['ID']}/bulk/7fe00010")
    assert (refused.status_code, refused.json()["Code"]) == (406, "not_acceptable")


@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "image_dfl.dcm"])
def test_values_are_little_endian_and_inflated_whatever_the_file_is(server, name):
    path = get_testdata_file(name)
    with open(path, "rb") as file:
        stored = server.upload(file.read())
    oracle = pydicom.dcmread(path)
    content = f"/instances/{stored['ID']}/content"
    assert server.http.get(f"{content}/Rows").content == oracle.Rows.to_bytes(2, "little")
    pixels = oracle.PixelData
    if not oracle.original_encoding[1]:
        pixels = b"".join(pixels[i : i + 2][::-1] for i in range(0, len(pixels), 2))
    assert server.http.get(f"{content}/7fe0-0010/0").content == pixels
    part = server.http.get(f"{content}/7fe0-0010/0", headers={"Range": "bytes=101-204"})
    assert (part.status_code, part.content) == (206, pixels[101:205])


def test_a_long_value_is_streamed_with_its_length(server):
    size = 3_000_000
    stored = server.upload(make_instance(size=size))
    path = f"/instances/{stored['ID']}/content/7fe0-0010/0"
    file = server.file(stored["ID"])
    with server.http.stream("GET", path) as answer:
        assert answer.headers["content-length"] == str(size)
        assert answer.read() == file[-size:]
    again = server.http.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_a_file_comes_in_dicom_json_or_xml(server, instance, data):
    file = f"{instance}/file"
    answer = server.http.get(file, headers={"Accept": "application/dicom+json"})
    assert answer.headers["content-type"] == "application/dicom+json"
    found = answer.json()
    assert found["7FE00010"] == {"vr": "OW", "BulkDataURI": "bulk/7fe00010"}
    text = found["00081140"]["Value"][1]["0040A730"]["Value"][0]["0040A160"]
    assert text == {"vr": "UT", "BulkDataURI": "bulk/00081140/1/0040a730/0/0040a160"}
    expected = json.loads(_core.dicom_json(data, bulk_uri="bulk", whole=False))
    assert found == expected
    oracle = pydicom.dcmread(io.BytesIO(data))
    assert server.http.get(answer.url.join(found["7FE00010"]["BulkDataURI"])).content == (
        oracle.PixelData
    )
    answer = server.http.get(file, headers={"Accept": "application/dicom+xml"})
    assert answer.headers["content-type"] == "application/dicom+xml"
    uris = re.findall(r'<BulkData uri="([^"]+)"', answer.text)
    bulk_data = {uri: server.http.get(answer.url.join(uri)).content for uri in uris}
    read = _core.file_from_xml(answer.content, bulk_data=bulk_data)
    assert pydicom.dcmread(io.BytesIO(read)).PixelData == oracle.PixelData
    assert pydicom.dcmread(io.BytesIO(read)).PatientName == oracle.PatientName


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/dicom"),
        ("text/html", "application/dicom"),
        ("application/dicom+json;q=0.5, application/dicom", "application/dicom"),
        ("application/dicom;q=0.1, application/dicom+xml;q=0.2, */*;q=0", "application/dicom+xml"),
        ("application/dicom;q=0, application/*", "application/dicom+json"),
    ],
)
def test_accept_chooses_the_form(server, instance, accept, kind):
    answer = server.http.get(f"{instance}/file", headers={"Accept": accept})
    assert answer.headers["content-type"] == kind


def test_modules_and_shared_tags_of_what_is_above(server, data):
    first = pydicom.dcmread(io.BytesIO(data))
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    values = [
        rich(**uids, PatientID="shared", ImageComments=text, PatientComments="c")
        for text in ("one", "two")
    ]
    stored = [server.upload(value) for value in values]
    patient = f"/patients/{stored[0]['ParentPatient']}"
    study = f"/studies/{stored[0]['ParentStudy']}"
    series = f"/series/{stored[0]['ParentSeries']}"
    assert server.get(f"{patient}/module?simplify") == {
        "PatientName": "CompressedSamples^CT1",
        "PatientID": "shared",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "OtherPatientIDsSequence": [
            {"PatientID": "ABCD1234", "TypeOfPatientID": "TEXT"},
            {"PatientID": "1234ABCD", "TypeOfPatientID": "TEXT"},
        ],
        "PatientComments": "c",
    }
    assert server.get(f"{study}/module-patient") == server.get(f"{patient}/module")
    assert server.get(f"{study}/module?short")["0020,000d"] == uids["StudyInstanceUID"]
    assert server.get(f"{series}/module?simplify")["Modality"] == "CT"
    one = server.get(f"/instances/{stored[0]['ID']}/module?simplify")
    assert one["InstanceNumber"] == str(first.InstanceNumber)
    for above in (patient, study, series):
        shared = server.get(f"{above}/shared-tags?simplify")
        assert shared["PatientComments"] == "c"
        # Values that differ, sequences, and what has no text.
        differ = {"ImageComments", "SOPInstanceUID", "ReferencedImageSequence", "PixelData"}
        assert not differ & shared.keys()
        each = server.get(f"{above}/instances-tags?short")
        assert sorted(each) == sorted(one["ID"] for one in stored)
        assert {tags["0020,4000"] for tags in each.values()} == {"one", "two"}
        assert each[stored[0]["ID"]] == server.get(f"/instances/{stored[0]['ID']}/tags?short")
    for path in ("module", "shared-tags", "instances-tags"):
        assert server.http.get(f"/series/none/{path}").status_code == 404
