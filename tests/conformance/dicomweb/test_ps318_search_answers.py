"""Search transaction: what is said of each match, and in which media types (PS3.18 §10.6.3)."""

import json

import pytest
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
from test_ps318_search import RESOURCES, Level, tag

STUDY = {
    "StudyDate": "20240115",
    "StudyTime": "101530",
    "AccessionNumber": "{mark}A1",
    "ModalitiesInStudy": {"CT", "PR", "SR"},
    "ReferringPhysicianName": {"Alphabetic": "Refer^Rita"},
    "TimezoneOffsetFromUTC": "+0100",
    "PatientName": {"Alphabetic": "Conform^Anna"},
    "PatientID": "{mark}-1",
    "PatientBirthDate": "19700102",
    "PatientSex": "F",
    "StudyInstanceUID": "{study}",
    "StudyID": "{mark}S1",
    "NumberOfStudyRelatedSeries": 3,
    "NumberOfStudyRelatedInstances": 7,
}
SERIES = {
    "Modality": "CT",
    "TimezoneOffsetFromUTC": "+0100",
    "SeriesDescription": "Axial slices",
    "SeriesInstanceUID": "{series}",
    "SeriesNumber": 7,
    "NumberOfSeriesRelatedInstances": 5,
    "PerformedProcedureStepStartDate": "20240115",
    "PerformedProcedureStepStartTime": "102000",
}
INSTANCE = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
    "SOPInstanceUID": "{instance}",
    "TimezoneOffsetFromUTC": "+0100",
    "InstanceNumber": 1,
    "Rows": 12,
    "Columns": 16,
    "BitsAllocated": 16,
}
# §10.6.3.3.2 and .3: which resources bring attributes of the levels above along.
ANSWERED = {
    "/studies": STUDY,
    "/studies/{study}/series": SERIES,
    "/studies/{study}/instances": SERIES | INSTANCE,
    "/series": STUDY | SERIES,
    "/studies/{study}/series/{series}/instances": INSTANCE,
    "/instances": STUDY | SERIES | INSTANCE,
}
TABLES = {
    "/studies": "Table 10.6.3-3",
    "/studies/{study}/series": "Table 10.6.3-4",
    "/series": "Table 10.6.3-4",
}


@pytest.fixture(scope="module")
def matches(target, made):
    """Return what each resource answers of the first slice, or of what holds it."""
    found = {}

    def of(resource):
        if resource not in found:
            level = Level(made, resource)
            wanted = made.ct[0].dataset[level.unique].value
            all_matches = target.search(level.path, level.scope)
            key = tag(level.unique)
            found[resource] = next(m for m in all_matches if m[key]["Value"] == [wanted])
        return found[resource]

    return of


@pytest.mark.parametrize(
    ("resource", "keyword"),
    [
        pytest.param(
            resource,
            keyword,
            id=f"{resource} {keyword}",
            marks=clause(TABLES.get(resource, "Table 10.6.3-5")),
        )
        for resource, expected in ANSWERED.items()
        for keyword in expected
    ],
)
def test_an_attribute_is_answered(matches, made, resource, keyword):
    first = made.ct[0].dataset
    expected = ANSWERED[resource][keyword]
    if isinstance(expected, str):
        expected = expected.format(
            mark=made.mark,
            study=first.StudyInstanceUID,
            series=first.SeriesInstanceUID,
            instance=first.SOPInstanceUID,
        )
    found = matches(resource)[tag(keyword)]["Value"]
    if isinstance(expected, set):
        assert set(found) == expected
    else:
        assert found == [expected]


@clause("Table 10.6.3-4")
@pytest.mark.parametrize("resource", ["/studies/{study}/series", "/series"])
def test_the_request_of_a_series_is_answered(matches, made, resource):
    (item,) = matches(resource)[tag("RequestAttributesSequence")]["Value"]
    assert item[tag("ScheduledProcedureStepID")]["Value"] == [f"{made.mark}SPS"]
    assert item[tag("RequestedProcedureID")]["Value"] == [f"{made.mark}RP"]


@clause("Table 10.6.3-5")
def test_the_number_of_frames_is_answered(target, made):
    (found,) = target.search(f"{made.multiframe.series}/instances")
    assert found[tag("NumberOfFrames")]["Value"] == [4]


@clause("Table 10.6.3-3")
def test_an_attribute_without_a_value_is_answered_empty(target, made):
    (found,) = target.search("/studies", {"PatientID": made.patient(3)})
    for keyword in ("PatientBirthDate", "ReferringPhysicianName"):
        assert "Value" not in found[tag(keyword)], keyword


@clause("Table 10.6.3-3")
@pytest.mark.parametrize("resource", [each for each in RESOURCES if not each.endswith("series")])
def test_the_availability_is_known(matches, resource):
    assert matches(resource)[tag("InstanceAvailability")]["Value"] == ["ONLINE"]


@clause("Table 10.6.3-3")
@pytest.mark.parametrize("resource", RESOURCES)
def test_the_retrieve_url_leads_to_the_resource(target, matches, made, resource):
    (url,) = matches(resource)[tag("RetrieveURL")]["Value"]
    first = made.ct[0]
    level = resource.rpartition("/")[2]
    path = {"studies": first.study, "series": first.series, "instances": first.path}[level]
    assert url == f"{target.url}{path}"
    target.ok(url, multipart("application/dicom"))


def included(target, made, path, **params):
    first = made.ct[0]
    scope = {} if "{" in path else {"PatientID": made.patient(1)}
    path = path.format(study=first.study, series=first.series)
    return target.search(path, scope | params)[0]


@clause("§8.3.4.3")
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(["StudyDescription"], ["StudyDescription"], id="keyword"),
        pytest.param(["00081030"], ["StudyDescription"], id="tag"),
        pytest.param(
            ["StudyDescription,PatientBirthDate"],
            ["StudyDescription", "PatientBirthDate"],
            id="list",
        ),
        pytest.param(
            ["StudyDescription", "00100030"], ["StudyDescription", "PatientBirthDate"], id="twice"
        ),
        pytest.param(["all"], ["StudyDescription"], id="all"),
    ],
)
def test_a_field_is_included(target, made, fields, expected):
    found = included(target, made, "/studies", includefield=fields)
    for keyword in expected:
        assert found[tag(keyword)].get("Value"), keyword


@clause("§8.3.4.3")
@pytest.mark.parametrize("path", ["{study}/series", "/series"])
def test_a_field_of_the_study_is_included_in_series(target, made, path):
    found = included(target, made, path, includefield="StudyDescription")
    assert found[tag("StudyDescription")]["Value"] == ["Conformance of CT"]


@clause("§8.3.4.3")
@pytest.mark.parametrize("path", ["{series}/instances", "{study}/instances", "/instances"])
@pytest.mark.parametrize("keyword", ["StudyDescription", "SeriesDescription"])
def test_a_field_of_a_level_above_is_included_in_instances(target, made, path, keyword):
    assert (
        "Value" in included(target, made, path, includefield=keyword, Modality="CT")[tag(keyword)]
    )


@clause("§10.6.3.3.3", optional=True)
@pytest.mark.parametrize("keyword", ["ImageComments", "ImagePositionPatient", "RescaleSlope"])
def test_any_field_of_an_instance_is_included(target, made, keyword):
    found = included(target, made, "{series}/instances", includefield=keyword, InstanceNumber="2")
    assert found[tag(keyword)].get("Value")


@clause("§10.6.3.3.3", optional=True)
def test_all_fields_of_an_instance_are_included(target, made):
    found = included(target, made, "{series}/instances", includefield="all")
    for keyword in ("ImageComments", "PixelSpacing", "BitsStored"):
        assert tag(keyword) in found, keyword
    assert tag("PixelData") not in found or "InlineBinary" not in found[tag("PixelData")]


@clause("§10.6.3.3.1")
def test_a_field_of_a_level_below_is_not_included(target, made):
    found = included(target, made, "/studies", includefield=["SeriesDescription", "InstanceNumber"])
    assert tag("SeriesDescription") not in found
    assert tag("InstanceNumber") not in found


@clause("§10.6.3.3.1")
def test_an_attribute_that_was_matched_is_answered(target, made):
    found = included(target, made, "/studies", StudyDescription="Conformance*")
    assert found[tag("StudyDescription")]["Value"] == ["Conformance of CT"]


@clause("§10.6.3.3.1", optional=True)
def test_a_private_field_is_included_with_its_creator(target, made):
    params = {"00110010": "VNA CONFORMANCE", "includefield": "00111001"}
    (found,) = target.search(f"{made.values.series}/instances", params)
    assert found["00111001"]["Value"] == ["private text"]
    assert found["00110010"]["Value"] == ["VNA CONFORMANCE"]


@clause("Table 10.6.4-1")
@pytest.mark.parametrize(
    "accept", [JSON, "*/*", f"{JSON};q=0.9, text/html;q=0.8", f'{JSON}; charset="utf-8"']
)
@pytest.mark.parametrize("resource", RESOURCES)
def test_matches_are_answered_as_json(target, made, resource, accept):
    level = Level(made, resource)
    answer = target.ok(level.path, accept, params=level.scope)
    assert media_type(answer.headers["content-type"]) == JSON
    assert isinstance(answer.json(), list)


@clause("Table 10.6.4-1")
@pytest.mark.parametrize("accept", [multipart(XML), f"multipart/related; type={XML}"])
@pytest.mark.parametrize("resource", RESOURCES)
def test_matches_are_answered_as_xml(target, made, resource, accept):
    level = Level(made, resource)
    answer = target.ok(level.path, accept, params=level.scope)
    found = parts(answer)
    assert {part.media_type for part in found} == {XML}
    key = tag(level.unique)
    values = [native_values(native_attributes(part.body)[key]) for part in found]
    assert sorted(value for (value,) in values) == level.expected()


@clause("Table 10.6.4-1")
def test_xml_and_json_say_the_same(target, made):
    params = {"PatientID": made.patient(3)}
    (part,) = parts(target.ok("/studies", multipart(XML), params=params))
    (match,) = target.search("/studies", params)
    assert set(native_attributes(part.body)) == set(match)


@clause("§8.3.3.1")
@pytest.mark.parametrize("accept", [JSON, multipart(XML)])
def test_the_media_type_is_taken_from_the_query(target, made, accept):
    answer = target.ok("/studies", params={"PatientID": made.patient(1), "accept": accept})
    assert media_type(answer.headers["content-type"]) == media_type(accept)


@clause("§8.7.5")
def test_the_media_type_with_the_greater_weight_is_chosen(target, made):
    params = {"PatientID": made.patient(1)}
    accept = f"{JSON};q=0.2, {multipart(XML)};q=0.8"
    answer = target.ok("/studies", accept, params=params)
    assert media_type(answer.headers["content-type"]) == "multipart/related"


@clause("§8.5")
@pytest.mark.parametrize("resource", RESOURCES)
def test_a_media_type_that_does_not_fit_is_not_acceptable(target, made, resource):
    level = Level(made, resource)
    assert target.get(level.path, NOTHING, params=level.scope).status_code == 406


@clause("Table F.2.3-1")
def test_names_are_in_groups_and_in_utf_8(target, made):
    answer = target.ok("/studies", params={"PatientID": made.patient(3)})
    (match,) = json.loads(answer.content.decode("utf-8"))
    assert match[tag("PatientName")]["Value"] == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    ]


@clause("§F.2.2")
@pytest.mark.parametrize("resource", RESOURCES)
def test_tags_of_json_ascend(matches, resource):
    tags = list(matches(resource))
    assert tags == sorted(tags)
    assert all(len(each) == 8 and each == each.upper() for each in tags)


@clause("Table 10.6.3-2")
def test_the_length_of_the_matches_is_said(target, made):
    params = {"PatientID": made.patient(1)}
    answer = target.ok("/studies", params=params, headers={"Accept-Encoding": "identity"})
    assert int(answer.headers["content-length"]) == len(answer.content)


@clause("§8.4.1", optional=True)
def test_matches_are_compressed_where_asked(target, made):
    params = {"PatientID": f"{made.mark}*"}
    answer = target.ok("/instances", params=params, headers={"Accept-Encoding": "gzip"})
    assert answer.headers.get("content-encoding") == "gzip"
    assert len(answer.json()) == len(made.instances)


@clause("§8.8.2", optional=True)
def test_a_character_set_that_is_none_is_refused(target, made):
    params = {"PatientID": made.patient(1), "charset": "no-such-charset"}
    assert target.get("/studies", params=params).status_code in (400, 406)
