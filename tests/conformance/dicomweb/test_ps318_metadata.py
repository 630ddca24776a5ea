"""Retrieve transaction of metadata, in JSON and XML (PS3.18 §10.4.1.1.2, Annex F)."""

import base64
import gzip
import json

import pytest
from pydicom.dataset import Dataset
from support_target import (
    JSON,
    NOTHING,
    XML,
    clause,
    media_type,
    multipart,
    native_attributes,
    native_values,
    parts,
)
from test_ps318_retrieve import LEVELS, expected, path_of
from test_ps318_search import tag


def of(target, instance, accept=JSON):
    (found,) = target.ok(f"{instance.path}/metadata", accept).json()
    return found


@clause("Table 10.4.1-2")
@pytest.mark.parametrize("accept", [JSON, "*/*", f"{JSON};q=0.5"])
@pytest.mark.parametrize("level", LEVELS)
def test_metadata_is_retrieved_as_json(target, made, level, accept):
    answer = target.ok(f"{path_of(made.ct[0], level)}/metadata", accept)
    assert media_type(answer.headers["content-type"]) == JSON
    uids = sorted(each[tag("SOPInstanceUID")]["Value"][0] for each in answer.json())
    assert uids == sorted(each.uid for each in expected(made, level))


@clause("Table 10.4.1-2")
@pytest.mark.parametrize("accept", [multipart(XML), f"multipart/related; type={XML}"])
@pytest.mark.parametrize("level", LEVELS)
def test_metadata_is_retrieved_as_xml(target, made, level, accept):
    answer = target.ok(f"{path_of(made.ct[0], level)}/metadata", accept)
    found = parts(answer)
    assert {part.media_type for part in found} == {XML}
    documents = [native_attributes(part.body) for part in found]
    uids = sorted(native_values(each[tag("SOPInstanceUID")])[0] for each in documents)
    assert uids == sorted(each.uid for each in expected(made, level))


@clause("§8.3.3.1")
@pytest.mark.parametrize("accept", [JSON, multipart(XML)])
def test_the_media_type_of_metadata_is_taken_from_the_query(target, made, accept):
    answer = target.ok(f"{made.ct[0].path}/metadata", params={"accept": accept})
    assert media_type(answer.headers["content-type"]) == media_type(accept)


@clause("Table 10.4.3-1")
@pytest.mark.parametrize("accept", [NOTHING, "image/jpeg", multipart("application/octet-stream")])
@pytest.mark.parametrize("level", LEVELS)
def test_metadata_in_another_media_type_is_not_acceptable(target, made, level, accept):
    assert target.get(f"{path_of(made.ct[0], level)}/metadata", accept).status_code == 406


BULK = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}


@clause("§10.4.1.1.2")
@pytest.mark.parametrize(
    "name", ["ct", "presentation", "report", "multiframe", "color", "named", "document", "values"]
)
def test_metadata_has_all_attributes(target, made, name):
    stored = getattr(made, name)
    stored = stored[0] if isinstance(stored, list) else stored
    found = Dataset.from_json(of(target, stored), lambda *_: None)
    for element in stored.dataset:
        assert element.tag in found, element
        if element.VR not in BULK and element.keyword != "SpecificCharacterSet":
            assert found[element.tag].value == element.value, element
    assert not [each for each in found if each.tag.group == 2]


@clause("§10.4.1.1.2")
@pytest.mark.parametrize("name", ["multiframe", "color", "values"])
def test_metadata_has_no_pixel_data(target, made, name):
    pixels = of(target, getattr(made, name)).get(tag("PixelData"), {})
    assert "InlineBinary" not in pixels


@clause("§F.2.6")
def test_bulk_data_of_metadata_has_an_absolute_uri(target, made):
    document = of(target, made.document)[tag("EncapsulatedDocument")]
    assert document["BulkDataURI"].startswith(("http://", "https://"))
    assert document["vr"] == "OB"


VALUES = {
    "PatientAge": ("AS", ["042Y"]),
    "FrameIncrementPointer": ("AT", ["00181063"]),
    "ImageType": ("CS", ["DERIVED", None, "OTHER"]),
    "StudyDate": ("DA", ["20240302"]),
    "PatientWeight": ("DS", [72.5]),
    "AcquisitionDateTime": ("DT", ["20240302101010.123456"]),
    "PhysicalDeltaX": ("FD", [0.125]),
    "InstanceNumber": ("IS", [1]),
    "PatientID": ("LO", ["{mark}-5"]),
    "PatientComments": ("LT", ["Some long text"]),
    "PatientName": ("PN", [{"Alphabetic": "Values^Every"}]),
    "OtherPatientNames": ("PN", [{"Alphabetic": "One^A"}, {"Alphabetic": "Two^B"}]),
    "AccessionNumber": ("SH", ["{mark}A5"]),
    "ReferencePixelX0": ("SL", [-7]),
    "ReferencedImageSequence": ("SQ", None),
    "TagAngleSecondAxis": ("SS", [-3]),
    "StudyTime": ("TM", None),
    "SOPClassUID": ("UI", ["1.2.840.10008.5.1.4.1.1.7"]),
    "RegionLocationMinX0": ("UL", [4_000_000_000]),
    "Rows": ("US", [8]),
    "InstitutionName": ("LO", None),
}


@clause("Table F.2.3-1")
@pytest.mark.parametrize("keyword", VALUES)
def test_a_value_is_written_as_its_vr_wants(target, made, keyword):
    vr, values = VALUES[keyword]
    element = of(target, made.values)[tag(keyword)]
    assert element["vr"] == vr
    if values is None:
        # No value: neither an empty list nor a list of nothing (§F.2.5).
        assert set(element) == {"vr"}
        return
    values = [each.format(mark=made.mark) if isinstance(each, str) else each for each in values]
    found = element["Value"]
    if vr in ("DS", "IS"):
        # Numbers, or texts of numbers since 2021 (§F.2.3).
        found = [float(each) for each in found]
    assert found == values


@clause("§F.2.7")
def test_binary_of_a_private_attribute_is_inline_or_referred_to(target, made):
    element = of(target, made.values)["00111002"]
    if "InlineBinary" in element:
        assert base64.b64decode(element["InlineBinary"]) == b"\x01\x02\x03\x04"
    else:
        assert target.ok(element["BulkDataURI"])


@clause("Table F.2.3-1")
def test_metadata_is_in_utf_8(target, made):
    answer = target.ok(f"{made.named.path}/metadata", JSON)
    (found,) = json.loads(answer.content.decode("utf-8"))
    assert found[tag("PatientName")]["Value"] == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    ]
    assert found.get(tag("SpecificCharacterSet"), {}).get("Value") in (None, ["ISO_IR 192"])


@clause("§F.2.2")
def test_tags_of_metadata_ascend(target, made):
    tags = list(of(target, made.values))
    assert tags == sorted(tags)


@clause("PS3.19 Table A.1.5-2")
@pytest.mark.parametrize(
    ("keyword", "vr", "values"),
    [
        ("PatientID", "LO", ["{mark}-5"]),
        ("PatientWeight", "DS", ["72.5"]),
        ("ReferencePixelX0", "SL", ["-7"]),
        ("FrameIncrementPointer", "AT", ["00181063"]),
        ("Rows", "US", ["8"]),
    ],
)
def test_a_value_is_written_in_xml(target, made, keyword, vr, values):
    (part,) = parts(target.ok(f"{made.values.path}/metadata", multipart(XML)))
    element = native_attributes(part.body)[tag(keyword)]
    assert element.get("keyword") == keyword
    assert element.get("vr") == vr
    assert native_values(element) == [each.format(mark=made.mark) for each in values]


@clause("PS3.19 Table A.1.5-2")
def test_a_name_is_written_in_xml(target, made):
    (part,) = parts(target.ok(f"{made.named.path}/metadata", multipart(XML)))
    (name,) = native_attributes(part.body)[tag("PatientName")]
    groups = {group.tag.rpartition("}")[2]: [each.text for each in group] for group in name}
    assert groups == {
        "Alphabetic": ["Yamada", "Tarou"],
        "Ideographic": ["山田", "太郎"],
        "Phonetic": ["やまだ", "たろう"],
    }


@clause("PS3.19 Table A.1.5-2")
def test_private_attributes_name_their_creator_in_xml(target, made):
    (part,) = parts(target.ok(f"{made.values.path}/metadata", multipart(XML)))
    found = native_attributes(part.body)
    # The block that the creator has reserved in this instance is left out of the tag, or not.
    element = found.get("00110001", found.get("00111001"))
    assert element.get("privateCreator") == "VNA CONFORMANCE"
    assert native_values(element) == ["private text"]


@clause("§8.4.1", optional=True)
def test_metadata_is_compressed_where_asked(target, made):
    path = f"{made.ct[0].series}/metadata"
    with target.http.stream(
        "GET", f"{target.url}{path}", headers={"Accept": JSON, "Accept-Encoding": "gzip"}
    ) as answer:
        assert answer.headers.get("content-encoding") == "gzip"
        assert len(json.loads(gzip.decompress(b"".join(answer.iter_raw())))) == 5


@clause("§8.8.2", optional=True)
def test_metadata_is_refused_in_a_character_set_that_is_none(target, made):
    answer = target.get(f"{made.ct[0].path}/metadata", params={"charset": "no-such-charset"})
    assert answer.status_code in (400, 406)
