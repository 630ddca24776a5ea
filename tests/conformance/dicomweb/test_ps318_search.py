"""Search transaction: resources, matching, paging (PS3.18 §10.6, §8.3.4)."""

import pytest
from pydicom.datadict import tag_for_keyword
from support_target import JSON, clause

INSTANCES = "instances"
SERIES = "series"
STUDIES = "studies"
UNIQUE = {
    STUDIES: "StudyInstanceUID",
    SERIES: "SeriesInstanceUID",
    INSTANCES: "SOPInstanceUID",
}


def tag(keyword):
    return f"{tag_for_keyword(keyword):08X}"


def by_tags(path):
    """Return a path of keywords, as one of tags."""
    return ".".join(tag(keyword) for keyword in path.split("."))


def uids(matches, keyword):
    return [match[tag(keyword)]["Value"][0] for match in matches]


class Level:
    """A resource that can be searched: how to spell it, and what it holds of the first study."""

    def __init__(self, made, name):
        first = made.ct[0]
        whole = {"PatientID": made.patient(1)}
        of_study = [*made.ct, made.presentation, made.report]
        self.path, self.scope, self.instances = {
            "/studies": ("/studies", whole, of_study),
            "/studies/{study}/series": (f"{first.study}/series", {}, of_study),
            "/studies/{study}/instances": (f"{first.study}/instances", {}, of_study),
            "/series": ("/series", whole, of_study),
            "/studies/{study}/series/{series}/instances": (
                f"{first.series}/instances",
                {},
                made.ct,
            ),
            "/instances": ("/instances", whole, of_study),
        }[name]
        self.unique = UNIQUE[name.rpartition("/")[2]]

    def expected(self, chosen=lambda instance: True):
        found = {each.dataset[self.unique].value for each in self.instances if chosen(each)}
        return sorted(found)

    def found(self, target, **params):
        # An attribute is not to be repeated, neither as keyword and tag.
        scope = {} if {"PatientID", tag("PatientID")} & set(params) else self.scope
        return sorted(uids(target.search(self.path, scope | params), self.unique))


RESOURCES = [
    "/studies",
    "/studies/{study}/series",
    "/studies/{study}/instances",
    "/series",
    "/studies/{study}/series/{series}/instances",
    "/instances",
]


@clause("Table 10.6.1-1")
@pytest.mark.parametrize("resource", RESOURCES)
def test_a_resource_is_searched(target, made, resource):
    level = Level(made, resource)
    assert level.found(target) == level.expected()


STUDY_KEYS = [
    *("StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy"),
    *("ReferringPhysicianName", "PatientName", "PatientID", "StudyInstanceUID", "StudyID"),
]
SERIES_KEYS = [
    *("Modality", "SeriesInstanceUID", "SeriesNumber"),
    *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
    "RequestAttributesSequence.ScheduledProcedureStepID",
    "RequestAttributesSequence.RequestedProcedureID",
]
INSTANCE_KEYS = ["SOPClassUID", "SOPInstanceUID", "InstanceNumber"]
# Table 10.6.1-4: attributes of which levels each resource matches.
MATCHED = {
    "/studies": STUDY_KEYS,
    "/studies/{study}/series": SERIES_KEYS,
    "/studies/{study}/instances": SERIES_KEYS + INSTANCE_KEYS,
    "/series": STUDY_KEYS + SERIES_KEYS,
    "/studies/{study}/series/{series}/instances": INSTANCE_KEYS,
    "/instances": STUDY_KEYS + SERIES_KEYS + INSTANCE_KEYS,
}
NOT_THERE = {
    "StudyDate": "19000101",
    "StudyTime": "000001",
    "PerformedProcedureStepStartDate": "19000101",
    "PerformedProcedureStepStartTime": "000001",
    "SeriesNumber": "999",
    "InstanceNumber": "999",
    "StudyInstanceUID": "2.25.1",
    "SeriesInstanceUID": "2.25.1",
    "SOPInstanceUID": "2.25.1",
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.128",
}


def value_at(dataset, path):
    """Return the value of a data set at a path of keywords, as a query spells it; or None."""
    first, _, rest = path.partition(".")
    if rest:
        items = dataset.get(first) or []
        return value_at(items[0], rest) if items else None
    return str(dataset[first].value) if first in dataset else None


@clause("Table 10.6.1-5")
@pytest.mark.parametrize("spelled", [str, by_tags], ids=["keyword", "tag"])
@pytest.mark.parametrize(
    ("resource", "key"),
    [
        pytest.param(resource, key, id=f"{resource} {key}")
        for resource, keys in MATCHED.items()
        for key in keys
    ],
)
def test_a_required_attribute_is_matched(target, made, resource, key, spelled):
    level = Level(made, resource)
    first = made.ct[0].dataset
    if key == "ModalitiesInStudy":
        value, chosen = "CT", lambda instance: True
    else:
        value = value_at(first, key)
        chosen = lambda instance: value_at(instance.dataset, key) == value  # noqa: E731
    assert level.found(target, **{spelled(key): value}) == level.expected(chosen)
    assert level.found(target, **{spelled(key): NOT_THERE.get(key, "NOTTHERE")}) == []


def searched(target, made, **params):
    """Return the numbers of the made studies that match."""
    scope = {} if "PatientID" in params else {"PatientID": f"{made.mark}-*"}
    found = target.search("/studies", scope | params)
    return sorted(each.rpartition("-")[2] for each in uids(found, "PatientID"))


@clause("§8.3.4.1.1")
@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        pytest.param("AccessionNumber", "{mark}A2", "2", id="single value"),
        pytest.param("AccessionNumber", "{mark}A?", "12345", id="wildcard of one character"),
        pytest.param("StudyID", "{mark}*", "1234", id="wildcard at the end"),
        pytest.param("StudyDescription", "*of fr*", "2", id="wildcards on both sides"),
        pytest.param("PatientName", "Conf*", "1", id="wildcard in a name"),
        pytest.param("StudyDate", "20240220", "2", id="one date"),
        pytest.param("StudyDate", "20240101-20240229", "12", id="range of dates"),
        pytest.param("StudyDate", "20240302-", "5", id="range of dates without an end"),
        pytest.param("StudyDate", "-20240114", "3", id="range of dates without a beginning"),
        pytest.param("StudyTime", "100000-110000", "1", id="range of times"),
        pytest.param("StudyTime", "1530-", "23", id="range of times of less precision"),
        pytest.param("ModalitiesInStudy", "US", "2", id="one of the modalities"),
        pytest.param("ModalitiesInStudy", "PR", "1", id="another of the modalities"),
        pytest.param("StudyDescription", "", "12345", id="empty value"),
        pytest.param("PatientName", "Äther^Émile", "2", id="a name beyond ASCII"),
        pytest.param("PatientName", "*山田^太郎*", "3", id="ideographic group of a name"),
    ],
)
def test_values_are_matched(target, made, key, value, expected):
    found = searched(target, made, **{key: value.format(mark=made.mark)})
    assert found == list(expected)


@clause("§8.3.4.1")
def test_a_list_of_uids_is_matched(target, made):
    wanted = [made.ct[0].dataset.StudyInstanceUID, made.named.dataset.StudyInstanceUID]
    found = target.search("/studies", {"StudyInstanceUID": ",".join(wanted)})
    assert sorted(uids(found, "StudyInstanceUID")) == sorted(wanted)


@clause("§8.3.4.1.1")
def test_date_and_time_are_matched_together(target, made):
    # From 15 January 12:00 on: the first study is of that day, but earlier.
    params = {"StudyDate": "20240115-20240220", "StudyTime": "120000-160000"}
    assert searched(target, made, **params) == ["2"]


@clause("§8.3.4.1")
def test_several_attributes_have_to_match(target, made):
    assert searched(target, made, StudyDate="20240101-", ModalitiesInStudy="OT", PatientSex="M")
    assert searched(target, made, StudyDate="20240101-", PatientSex="O") == []


@clause("§8.3.4.1")
def test_an_attribute_inside_a_sequence_is_matched(target, made):
    params = {"RequestAttributesSequence.ScheduledProcedureStepID": f"{made.mark}SPS"}
    found = target.search("/series", params)
    assert uids(found, "SeriesInstanceUID") == [made.ct[0].dataset.SeriesInstanceUID]


@clause("§10.6.1.2.1", optional=True)
def test_an_attribute_beyond_the_required_is_matched(target, made):
    found = target.search(f"{made.ct[0].series}/instances", {"ImageComments": "slice 3*"})
    assert uids(found, "SOPInstanceUID") == [made.ct[2].uid]


@clause("§8.3.4.1", optional=True)
def test_a_private_attribute_is_matched(target, made):
    params = {"00110010": "VNA CONFORMANCE", "00111001": "private text"}
    found = target.search(f"{made.values.series}/instances", params)
    assert uids(found, "SOPInstanceUID") == [made.values.uid]


@clause("§8.3.4.2")
def test_names_are_matched_fuzzily_or_a_warning_says_that_they_are_not(target, made):
    params = {"PatientName": "konform anna", "fuzzymatching": "true", "PatientID": made.patient(1)}
    answer = target.get("/studies", params=params)
    warned = answer.headers.get("warning", "").startswith("299 ")
    found = answer.json() if answer.status_code == 200 else []
    assert len(found) == 1 or warned


@clause("§8.3.4.2")
def test_names_are_not_matched_fuzzily_unless_asked(target, made):
    assert searched(target, made, PatientName="konform anna", fuzzymatching="false") == []
    assert searched(target, made, PatientName="konform anna") == []


@clause("§8.3")
def test_an_unknown_parameter_is_ignored(target, made):
    assert searched(target, made, StudyDate="20240220", notaparameter="1") == ["2"]


@clause("§8.3")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("limit", "many"),
        ("limit", "-1"),
        ("offset", "x"),
        ("offset", "-1"),
        ("fuzzymatching", "perhaps"),
        ("StudyDate", "yesterday"),
    ],
)
def test_a_value_that_is_none_is_refused(target, made, key, value):
    params = {"PatientID": f"{made.mark}-*", key: value}
    assert target.get("/studies", params=params).status_code == 400


def check_nothing(answer):
    """An answer without results: 200 with none, which was 204 until CP-2473 (2026)."""
    assert answer.status_code in (200, 204), answer.text
    assert answer.content in (b"", b"[]") or answer.json() == []


@clause("Table 10.6.3-1")
@pytest.mark.parametrize("resource", ["/studies", "/series", "/instances"])
def test_no_match_is_a_success_without_results(target, made, resource):
    check_nothing(target.get(resource, JSON, params={"PatientID": f"{made.mark}-none"}))


@clause("§8.3.4.4")
@pytest.mark.parametrize(
    ("offset", "limit", "expected"),
    [
        pytest.param(None, 2, 2, id="limit"),
        pytest.param(3, None, 2, id="offset"),
        pytest.param(1, 2, 2, id="offset and limit"),
        pytest.param(4, 10, 1, id="limit beyond the end"),
        pytest.param(5, 5, 0, id="offset beyond the end"),
    ],
)
def test_a_page_of_the_matches_is_answered(target, made, offset, limit, expected):
    params = {"offset": offset, "limit": limit}
    params = {key: value for key, value in params.items() if value is not None}
    found = target.search(f"{made.ct[0].series}/instances", params)
    assert len(found) == expected


@clause("§8.3.4.4.1")
def test_pages_join_to_all_matches(target, made):
    path = f"{made.ct[0].series}/instances"
    pages = [target.search(path, {"offset": offset, "limit": 2}) for offset in (0, 2, 4)]
    joined = [uid for page in pages for uid in uids(page, "SOPInstanceUID")]
    assert joined == uids(target.search(path), "SOPInstanceUID")
    assert sorted(joined) == sorted(each.uid for each in made.ct)


@clause("§8.3.4.4.1")
def test_a_page_before_the_last_warns_that_there_is_more(target, made):
    path = f"{made.ct[0].series}/instances"
    assert target.get(path, params={"limit": 2}).headers.get("warning", "").startswith("299 ")
    assert "warning" not in target.get(path, params={"limit": 5}).headers
    assert "warning" not in target.get(path, params={"offset": 3, "limit": 2}).headers


@clause("Table 10.6.3-1")
def test_series_of_an_unknown_study_are_none(target, made):
    answer = target.get("/studies/2.25.1/series", JSON)
    if answer.status_code != 404:
        check_nothing(answer)


@clause("§8.5")
def test_a_study_uid_that_is_none_is_refused(target, made):
    assert target.get("/studies/not.a.uid/series").status_code in (400, 404)
