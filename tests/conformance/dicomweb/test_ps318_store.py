"""Store transaction: each form of the request, statuses and response (PS3.18 §10.5, Annex I)."""

import copy
import gzip
import io
import json
import xml.etree.ElementTree as ElementTree
from urllib.parse import urljoin

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit
from support_data import ROWS, encoded
from support_target import (
    DICOM,
    JSON,
    NATIVE,
    NOTHING,
    OCTETS,
    XML,
    clause,
    media_type,
    multipart,
    native_attributes,
    native_values,
    parts,
    related,
)
from test_ps318_search import tag

PIXEL_MACRO = (
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation"),
)


def module(answer):
    """Return the Store Instances Response Module: one object, which some wrap into a list."""
    found = answer.json()
    return found[0] if isinstance(found, list) else found


def items(answer, keyword):
    return module(answer).get(tag(keyword), {}).get("Value", [])


def stored_uids(answer):
    key = tag("ReferencedSOPInstanceUID")
    return [item[key]["Value"][0] for item in items(answer, "ReferencedSOPSequence")]


def retrieved(target, instance):
    answer = target.ok(instance.path, multipart(DICOM))
    return pydicom.dcmread(io.BytesIO(parts(answer)[0].body))


@clause("Table 10.5.1-1")
@pytest.mark.parametrize("resource", ["/studies", "/studies/{study}"])
@pytest.mark.parametrize("count", [1, 3])
def test_instances_are_stored(target, made, resource, count):
    first = made.new_ct()
    study = first.dataset.StudyInstanceUID
    sent = [first, *(made.new_ct(study) for _ in range(count - 1))]
    answer = target.store([each.file for each in sent], resource.format(study=study))
    assert answer.status_code == 200, answer.text
    assert sorted(stored_uids(answer)) == sorted(each.uid for each in sent)
    for each in sent:
        assert retrieved(target, each) == pydicom.dcmread(io.BytesIO(each.file))


@clause("Table 10.5.1-1")
def test_instances_of_several_studies_are_stored(target, made):
    sent = [made.new_ct(), made.new_ct()]
    answer = target.store([each.file for each in sent])
    assert answer.status_code == 200, answer.text
    assert sorted(stored_uids(answer)) == sorted(each.uid for each in sent)


@clause("§8.6.1", optional=True)
def test_an_instance_is_stored_as_a_single_part(target, made):
    instance = made.new_ct()
    answer = target.post("/studies", instance.file, {"Content-Type": DICOM})
    assert answer.status_code == 200, answer.text
    assert stored_uids(answer) == [instance.uid]


@clause("§8.6.1.2.1")
@pytest.mark.parametrize("form", ["unquoted", "preamble", "no final line", "long boundary"])
def test_a_multipart_body_is_read_as_rfc_2046_has_it(target, made, form):
    instance = made.new_ct()
    boundary = "b" * 70 if form == "long boundary" else "a'b+c.d_e"
    headers, body = related(DICOM, [instance.file], boundary=boundary)
    if form == "unquoted":
        headers, body = related(DICOM, [instance.file], boundary="simple")
        headers = {"Content-Type": f"multipart/related;type={DICOM};boundary=simple"}
    elif form == "preamble":
        headers["Content-Type"] = headers["Content-Type"].replace(boundary, f'"{boundary}"')
        body = b"This is a preamble.\r\n" + body + b"And an epilogue.\r\n"
    elif form == "no final line":
        headers["Content-Type"] = headers["Content-Type"].replace(boundary, f'"{boundary}"')
        body = body.removesuffix(b"\r\n")
    answer = target.post("/studies", body, headers)
    assert answer.status_code == 200, answer.text
    assert stored_uids(answer) == [instance.uid]


@clause("Table 10.5.1-2", optional=True)
def test_a_compressed_body_is_stored(target, made):
    instance = made.new_ct()
    headers, body = related(DICOM, [instance.file])
    answer = target.post("/studies", gzip.compress(body), headers | {"Content-Encoding": "gzip"})
    assert answer.status_code == 200, answer.text
    assert stored_uids(answer) == [instance.uid]


def separated(dataset, uri, keyword="PixelData"):
    """Return the metadata of a data set as JSON, whose bulk data lies at `uri`."""
    found = dataset.to_json_dict()
    vr = found[tag(keyword)]["vr"]
    found[tag(keyword)] = {"vr": vr, "BulkDataURI": uri}
    return found


def native(metadata):
    """Return metadata as an XML document (PS3.19 A.1.6), from its JSON."""
    root = ElementTree.Element("NativeDicomModel", xmlns=NATIVE.strip("{}"))
    for key, element in metadata.items():
        attribute = ElementTree.SubElement(root, "DicomAttribute", tag=key, vr=element["vr"])
        if "BulkDataURI" in element:
            ElementTree.SubElement(attribute, "BulkData", uri=element["BulkDataURI"])
        for number, value in enumerate(element.get("Value", []), 1):
            if element["vr"] == "PN":
                name = ElementTree.SubElement(attribute, "PersonName", number=str(number))
                group = ElementTree.SubElement(name, "Alphabetic")
                components = zip(
                    ("FamilyName", "GivenName"), value["Alphabetic"].split("^"), strict=False
                )
                for component, text in components:
                    ElementTree.SubElement(group, component).text = text
            else:
                child = ElementTree.SubElement(attribute, "Value", number=str(number))
                child.text = str(value)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def metadata_request(form, metadata, bulk, bulk_type, uri):
    """Return the header fields and body that store metadata with one bulk data item."""
    document = json.dumps([metadata]).encode() if form == JSON else native(metadata)
    return related(form, [document, bulk], types=[form, bulk_type], locations=[None, uri])


FORMS = [pytest.param(JSON, id="JSON"), pytest.param(XML, id="XML")]


@clause("§10.5.1.4")
@pytest.mark.parametrize("form", FORMS)
def test_metadata_and_bulk_data_are_stored(target, made, form):
    instance = made.new_ct()
    uri = f"bulk/{instance.uid}"
    metadata = separated(instance.dataset, uri)
    pixels = instance.dataset.PixelData
    headers, body = metadata_request(form, metadata, pixels, OCTETS, uri)
    answer = target.post("/studies", body, headers)
    assert answer.status_code == 200, answer.text
    assert stored_uids(answer) == [instance.uid]
    found = retrieved(target, instance)
    assert found.PixelData == pixels
    assert found.PatientName == instance.dataset.PatientName


@clause("§10.5.1.4")
@pytest.mark.parametrize("form", FORMS)
def test_a_document_is_stored_as_metadata_and_bulk_data(target, made, form):
    dataset = copy.deepcopy(made.document.dataset)
    dataset.PatientName = "Store^Document"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    new = made.new_ct()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "AccessionNumber"):
        setattr(dataset, keyword, new.dataset[keyword].value)
    instance = encoded(dataset)
    uri = f"{target.url}/bulk/1"
    metadata = separated(dataset, uri, "EncapsulatedDocument")
    headers, body = metadata_request(
        form, metadata, dataset.EncapsulatedDocument, "application/pdf", uri
    )
    answer = target.post("/studies", body, headers)
    assert answer.status_code == 200, answer.text
    assert retrieved(target, instance).EncapsulatedDocument == dataset.EncapsulatedDocument


CONSUMER = {
    "image/jpeg": lambda picture: imagecodecs.jpeg8_encode(picture, level=95),
    "image/jp2": lambda picture: imagecodecs.jpeg2k_encode(
        picture, level=0, codecformat="j2k", reversible=True
    ),
    "image/png": imagecodecs.png_encode,
    "image/gif": imagecodecs.gif_encode,
}


@clause("Table 10.5.2-1")
@pytest.mark.parametrize("described", [True, False], ids=["with pixel macro", "without"])
@pytest.mark.parametrize("media", CONSUMER)
@pytest.mark.parametrize("form", FORMS)
def test_a_compressed_picture_is_stored_as_bulk_data(target, made, form, media, described):
    dataset = copy.deepcopy(made.by_syntax[ExplicitVRLittleEndian].dataset)
    new = made.new_ct()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "AccessionNumber"):
        setattr(dataset, keyword, new.dataset[keyword].value)
    instance = encoded(dataset)
    metadata = separated(dataset, "picture")
    if not described:
        for keyword in PIXEL_MACRO:
            metadata.pop(tag(keyword))
    picture = CONSUMER[media](made.picture)
    headers, body = metadata_request(form, metadata, picture, media, "picture")
    answer = target.post("/studies", body, headers)
    assert answer.status_code == 200, answer.text
    answer = target.ok(instance.path, multipart(DICOM, "transfer-syntax=*"))
    found = pydicom.dcmread(io.BytesIO(parts(answer)[0].body))
    # What a DICOM transfer syntax holds stays as it is; all else is transformed without loss.
    unchanged = {"image/jpeg": JPEGBaseline8Bit, "image/jp2": JPEG2000Lossless}.get(media)
    assert unchanged in (None, found.file_meta.TransferSyntaxUID)
    pixels = found.pixel_array
    if pixels.ndim == 3:  # a palette may have become true colour
        pixels = pixels[..., 0]
    assert found.Rows == ROWS
    difference = np.abs(pixels.astype(int) - made.picture).max()
    assert difference <= (12 if media == "image/jpeg" else 0)


@clause("§10.5.1.4")
@pytest.mark.parametrize("form", FORMS)
def test_bulk_data_that_is_missing_is_a_failure(target, made, form):
    instance = made.new_ct()
    metadata = separated(instance.dataset, "bulk/1")
    headers, body = metadata_request(form, metadata, b"\0\0", OCTETS, "bulk/2")
    answer = target.post("/studies", body, headers)
    assert answer.status_code in (400, 409)
    assert target.get(instance.path, multipart(DICOM)).status_code == 404


@clause("Table I.1-1")
def test_the_response_names_what_was_stored(target, made):
    instance = made.new_ct()
    answer = target.store([instance.file], instance.study)
    assert media_type(answer.headers["content-type"]) == JSON
    assert module(answer)[tag("RetrieveURL")]["Value"] == [f"{target.url}{instance.study}"]
    (item,) = items(answer, "ReferencedSOPSequence")
    assert item[tag("ReferencedSOPClassUID")]["Value"] == [instance.dataset.SOPClassUID]
    assert item[tag("ReferencedSOPInstanceUID")]["Value"] == [instance.uid]
    assert item[tag("RetrieveURL")]["Value"] == [f"{target.url}{instance.path}"]
    assert tag("FailedSOPSequence") not in module(answer)


@clause("Table 10.5.4-1")
@pytest.mark.parametrize("accept", [JSON, "*/*", XML, multipart(XML)])
def test_the_response_is_in_the_media_type_asked_for(target, made, accept):
    instance = made.new_ct()
    answer = target.store([instance.file], accept=accept)
    assert answer.status_code == 200, answer.text
    wanted = JSON if accept == "*/*" else media_type(accept)
    assert media_type(answer.headers["content-type"]) == wanted
    if wanted != JSON:
        document = parts(answer)[0].body if wanted == "multipart/related" else answer.content
        assert tag("ReferencedSOPSequence") in native_attributes(document)
        assert native_values(native_attributes(document)[tag("RetrieveURL")])


@clause("Table 8.5-1")
def test_a_response_that_cannot_be_given_is_not_acceptable(target, made):
    answer = target.store([made.new_ct().file], accept=NOTHING)
    assert answer.status_code == 406


@clause("Table 10.5.3-1")
def test_a_partial_success_is_accepted(target, made):
    good = made.new_ct()
    other = made.new_ct()
    answer = target.store([good.file, other.file], good.study)
    assert answer.status_code == 202, (answer.status_code, answer.text)
    assert stored_uids(answer) == [good.uid]
    (failed,) = items(answer, "FailedSOPSequence")
    assert failed[tag("ReferencedSOPInstanceUID")]["Value"] == [other.uid]
    assert failed[tag("ReferencedSOPClassUID")]["Value"] == [other.dataset.SOPClassUID]
    (reason,) = failed[tag("FailureReason")]["Value"]
    assert reason in range(0x10000)
    assert target.get(other.path, multipart(DICOM)).status_code == 404


@clause("Table 10.5.3-1")
def test_an_instance_of_another_study_is_a_conflict(target, made):
    instance = made.new_ct()
    answer = target.store([instance.file], f"/studies/{made.new_ct().dataset.StudyInstanceUID}")
    assert answer.status_code == 409
    assert target.get(instance.path, multipart(DICOM)).status_code == 404


@clause("Table I.1-1")
def test_a_part_that_is_no_instance_is_another_failure(target, made):
    good = made.new_ct()
    answer = target.store([b"This is no DICOM.", good.file])
    assert answer.status_code == 202, (answer.status_code, answer.text)
    assert stored_uids(answer) == [good.uid]
    failures = items(answer, "OtherFailuresSequence") + items(answer, "FailedSOPSequence")
    assert [len(each[tag("FailureReason")]["Value"]) for each in failures] == [1]


@clause("Table 10.5.3-1")
@pytest.mark.parametrize("what", ["text", "truncated"])
def test_only_parts_that_are_no_instances_are_refused(target, made, what):
    file = b"This is no DICOM." if what == "text" else made.new_ct().file[:300]
    assert target.store([file]).status_code in (400, 409)


@clause("Table 10.5.3-1")
@pytest.mark.parametrize("what", ["empty", "no boundary", "no parts", "open end", "not JSON"])
def test_a_body_that_cannot_be_read_is_refused(target, made, what):
    headers, body = related(DICOM, [made.new_ct().file], boundary="abc")
    if what == "empty":
        body = b""
    elif what == "no boundary":
        headers = {"Content-Type": f'multipart/related; type="{DICOM}"'}
    elif what == "no parts":
        body = b"--abc--\r\n"
    elif what == "open end":
        body = body[: len(body) // 2]
    else:
        headers, body = related(JSON, [b'[{"00080018": '], boundary="abc")
    assert target.post("/studies", body, headers).status_code in (400, 409)


@clause("Table 10.5.3-1")
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        'multipart/related; type="image/png"; boundary=abc',
        "multipart/form-data; boundary=abc",
    ],
)
def test_a_media_type_that_is_not_stored_is_unsupported(target, made, content_type):
    _, body = related(DICOM, [made.new_ct().file], boundary="abc")
    assert target.post("/studies", body, {"Content-Type": content_type}).status_code == 415


@clause("§10.5.2")
def test_storing_again_changes_nothing(target, made):
    instance = made.new_ct()
    assert target.store([instance.file]).status_code == 200
    assert target.store([instance.file]).status_code in (200, 202, 409)
    assert len(target.search(f"{instance.study}/instances")) == 1


@clause("Table I.2-1", optional=True)
def test_a_warning_has_a_reason(target, made):
    # 16 samples are missing: the data set does not fit what it says of its pixels.
    instance = made.new_ct(PixelData=b"\0" * 32)
    answer = target.store([instance.file])
    assert answer.status_code in (200, 202, 409)
    if answer.status_code == 202 and items(answer, "ReferencedSOPSequence"):
        (item,) = items(answer, "ReferencedSOPSequence")
        assert item[tag("WarningReason")]["Value"][0] in (0xB000, 0xB006, 0xB007)


@clause("Table 10.5.3-2")
@pytest.mark.parametrize("name", ["Location", "Content-Location"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_store_answer_says_where_what_it_stored_is(target, made, name, count):
    first = made.new_ct()
    sent = [first, *(made.new_ct(first.dataset.StudyInstanceUID) for _ in range(count - 1))]
    answer = target.store([each.file for each in sent])
    assert answer.status_code == 200
    place = urljoin(str(answer.url), answer.headers[name])
    found = parts(target.ok(place, multipart(DICOM)))
    uids = {pydicom.dcmread(io.BytesIO(part.body)).SOPInstanceUID for part in found}
    assert uids == {each.uid for each in sent}


@clause("Table 10.6.1-1")
def test_what_was_stored_is_found_at_once(target, made):
    instance = made.new_ct()
    assert target.store([instance.file]).status_code == 200
    found = target.search("/instances", {"SOPInstanceUID": instance.uid})
    assert [each[tag("SOPInstanceUID")]["Value"] for each in found] == [[instance.uid]]


@clause("Table 10.5.3-1")
def test_a_study_uid_that_is_none_is_refused(target, made):
    assert target.store([made.new_ct().file], "/studies/no.uid").status_code in (400, 404, 409)
