"""Studies that are merged and split: nothing is lost, and all of it belongs together."""

import pytest
from support_changing import TAGS, changes, count, files_of, post, store_study


def merge(server, study, status=200, **body):
    return post(server, f"/studies/{study}/merge", status, **body)


def split(server, study, status=200, **body):
    return post(server, f"/studies/{study}/split", status, **body)


def test_a_merged_study_has_the_tags_of_its_target(server):
    target = store_study(server, "TARGET", 1, 2, AccessionNumber="TARGET")
    other = {"AccessionNumber": "SOURCE", "PatientComments": "of it", "StudyDate": "19990101"}
    source = store_study(server, "SOURCE", 2, 2, **other)
    study, gone = target[0]["ParentStudy"], source[0]["ParentStudy"]
    before = count(server)
    pixels = {file.PixelData for file in files_of(server, "studies", gone).values()}
    done = merge(server, study, Resources=[gone])
    assert (done["TargetStudy"], done["InstancesCount"], done["FailedInstancesCount"]) == (
        study,
        4,
        0,
    )
    assert count(server) == before
    for level, name in (("studies", "ParentStudy"), ("patients", "ParentPatient")):
        assert server.http.get(f"/{level}/{source[0][name]}").status_code == 404
    series = server.get(f"/studies/{study}")["Series"]
    assert len(series) == 3
    moved = {}
    for each in set(series) - {target[0]["ParentSeries"]}:
        moved |= files_of(server, "series", each)
    assert {file.PixelData for file in moved.values()} == pixels
    for file in moved.values():
        assert (file.PatientID, file.AccessionNumber) == ("TARGET", "TARGET")
        assert file.StudyDate == TAGS["StudyDate"]
        assert "PatientComments" not in file
        original = file.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
        assert original.AccessionNumber == "SOURCE"


def test_series_and_instances_are_merged_and_sources_kept_if_asked(server):
    target = store_study(server, "T2", 1, 1)
    source = store_study(server, "S2", 2, 2)
    before = count(server)
    chosen = [source[0]["ParentSeries"], source[2]["ID"]]
    done = merge(server, target[0]["ParentStudy"], Resources=chosen, KeepSource=True)
    assert (done["InstancesCount"], count(server)) == (3, before + 3)
    assert len(server.get(f"/studies/{source[0]['ParentStudy']}/instances")) == 4


def test_a_split_study_has_new_identifiers_and_the_old_one_the_rest(server):
    stored = store_study(server, "SPLIT", 2, 2)
    study, series = stored[0]["ParentStudy"], stored[0]["ParentSeries"]
    old = files_of(server, "series", series)
    before, feed = count(server), len(changes(server))
    done = split(
        server, study, Series=[series], Replace={"StudyDescription": "part"}, Remove=["StudyID"]
    )
    assert (done["InstancesCount"], count(server)) == (2, before)
    assert server.http.get(f"/series/{series}").status_code == 404
    assert len(server.get(f"/studies/{study}/instances")) == 2
    new = files_of(server, "studies", done["TargetStudy"])
    assert new.keys() == old.keys()
    for key, file in new.items():
        assert file.StudyInstanceUID == done["TargetStudyUID"]
        assert (file.StudyDescription, file.PixelData) == ("part", old[key].PixelData)
        assert "StudyID" not in file
        assert file.SeriesInstanceUID != old[key].SeriesInstanceUID
    assert len({file.SeriesInstanceUID for file in new.values()}) == 1
    assert any(change[0] == "ModifiedSeries" for change in changes(server)[feed:])


def test_instances_are_split_off_with_their_labels(server):
    stored = store_study(server, "SPLIT2", 1, 3)
    study = stored[0]["ParentStudy"]
    server.http.put(f"/studies/{study}/labels/teaching")
    done = split(server, study, Instances=[stored[1]["ID"]], KeepLabels=True, KeepSource=True)
    assert done["InstancesCount"] == 1
    assert server.get(f"/studies/{done['TargetStudy']}/labels") == ["teaching"]
    assert len(server.get(f"/studies/{study}/instances")) == 3


@pytest.mark.parametrize(
    ("body", "status", "number"),
    [
        ({}, 400, 15),
        ({"Resources": "x"}, 400, 15),
        ({"Resources": ["nope"]}, 404, 17),
        ({"Resources": ["{own}"]}, 404, 17),
        ({"Resources": ["{patient}"]}, 404, 17),
        ({"Resources": ["{other}"], "KeepSource": "x"}, 400, 15),
    ],
)
def test_what_cannot_be_merged_is_refused(server, body, status, number):
    own, other = store_study(server, "OWN", 1, 1)[0], store_study(server, "THEIR", 1, 1)[0]
    names = {"own": own["ParentSeries"], "other": other["ParentStudy"]}
    names["patient"] = other["ParentPatient"]
    if isinstance(body.get("Resources"), list):
        body = {**body, "Resources": [each.format(**names) for each in body["Resources"]]}
    before = count(server)
    assert merge(server, own["ParentStudy"], status, **body)["OrthancStatus"] == number
    assert count(server) == before


@pytest.mark.parametrize(
    ("body", "status", "number"),
    [
        ({}, 400, 8),
        ({"Series": "x"}, 400, 15),
        ({"Series": ["nope"]}, 404, 17),
        ({"Instances": ["nope"]}, 404, 17),
        ({"Series": ["{own}"], "Replace": {"StudyInstanceUID": "1.2"}}, 400, 3),
        ({"Series": ["{own}"], "Replace": {"SeriesDescription": "x"}}, 400, 3),
        ({"Series": ["{own}"], "Remove": ["SeriesDescription"]}, 400, 3),
        ({"Series": ["{own}"], "Replace": {"Nope": "x"}}, 400, 27),
        ({"Series": ["{other}"]}, 404, 17),
    ],
)
def test_what_cannot_be_split_is_refused(server, body, status, number):
    own, other = store_study(server, "OWN2", 1, 1)[0], store_study(server, "THEIR2", 1, 1)[0]
    names = {"own": own["ParentSeries"], "other": other["ParentSeries"]}
    if isinstance(body.get("Series"), list):
        body = {**body, "Series": [each.format(**names) for each in body["Series"]]}
    before = count(server)
    assert split(server, own["ParentStudy"], status, **body)["OrthancStatus"] == number
    assert count(server) == before


def test_nothing_is_merged_into_what_is_not_there(server):
    assert merge(server, "nope", 404, Resources=[])["OrthancStatus"] == 17
    assert split(server, "nope", 404, Series=["a"])["OrthancStatus"] == 17
