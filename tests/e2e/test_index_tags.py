"""Tags that are indexed beside the usual ones, rows written anew, the change feed cleared."""

import io
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pydicom
from support import make_instance
from support_cli import vna


def instance(weight, number, name="Doe^Jane", study="1.2.3", operator="Smith^Ann"):
    """Return a file whose weight the usual index does not keep."""
    dataset = pydicom.dcmread(io.BytesIO(make_instance(study, f"{study}.1", number=number)))
    dataset.SOPInstanceUID = f"{study}.1.{number}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientID, dataset.PatientName = "P1", name
    dataset.PatientWeight, dataset.OperatorsName = weight, operator
    dataset.StudyDescription = f"of {name}"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def post(server, path, body, status=200):
    answer = server.http.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer


def found(server, level="Study", **keys):
    return post(server, "/tools/find", {"Level": level, "Query": keys}).json()


def complete(server):
    """Wait until all tags are."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        tags = server.get("/tools/index-tags")
        if all(tag["Filled"] >= tag["Due"] for tag in tags):
            return tags
        time.sleep(0.05)
    raise AssertionError(tags)


def test_a_tag_that_is_added_is_shown_and_found_and_outlives_restart_and_rebuild(start_server):
    server = start_server()
    study = server.upload(instance("70", 1))["ParentStudy"]
    assert found(server, PatientWeight="70") == [study]
    job = post(server, "/tools/index-tags", {"Tag": "PatientWeight", "Level": "Study"}).json()
    assert server.get(job["Path"])["Type"] == "IndexTags"
    [tag] = complete(server)
    assert (tag["Level"], tag["Tag"], tag["Configured"]) == ("Study", "0010,1030", False)
    other = server.upload(instance("81", 2, study="1.2.4"))["ParentStudy"]

    def is_so():
        assert found(server, PatientWeight="70") == [study]
        assert found(server, PatientWeight="8*") == [other]
        shown = server.get(f"/studies/{other}")
        assert shown["MainDicomTags"]["PatientWeight"] == "81"
        assert "0010,1030" in server.get("/system")["MainDicomTags"]["Study"]

    is_so()
    server.kill()
    server.start()
    is_so()
    assert server.stop() == 0
    assert vna("reindex", "--root", server.root).returncode == 0
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")
    server.start()
    is_so()
    server.http.delete("/tools/index-tags?tag=PatientWeight&level=Study").raise_for_status()
    assert server.get("/tools/index-tags") == []
    assert found(server, PatientWeight="70") == [study]
    assert "PatientWeight" not in server.get(f"/studies/{other}")["MainDicomTags"]


def test_tags_that_are_added_at_the_same_time_are_all_kept(start_server):
    server = start_server()
    server.upload(instance("70", 1))
    names = ["PatientWeight", "PatientSize", "PatientAge", "Rows", "Columns", "SliceThickness"]
    with ThreadPoolExecutor(len(names)) as threads:
        list(threads.map(lambda name: post(server, "/tools/index-tags", {"Tag": name}), names))
    assert {tag["Name"] for tag in complete(server)} == set(names)
    server.kill()
    server.start()
    assert {tag["Name"] for tag in server.get("/tools/index-tags")} == set(names)


def test_the_settings_name_tags_and_what_came_before_is_read_again(start_server):
    server = start_server()
    ids = [server.upload(instance("70", number))["ID"] for number in range(1, 5)]
    assert server.stop() == 0
    server.flags = ("--set=index.instance_tags=OperatorsName,SOPInstanceUID",)
    server.start()
    [tag] = complete(server)
    assert (tag["Level"], tag["Name"], tag["Configured"]) == ("Instance", "OperatorsName", True)
    assert sorted(found(server, "Instance", OperatorsName="smith*")) == sorted(ids)
    ordered = {
        "Level": "Instance",
        "Query": {},
        "OrderBy": [{"Type": "DicomTag", "Key": "OperatorsName", "Direction": "ASC"}],
    }
    assert sorted(post(server, "/tools/find", ordered).json()) == sorted(ids)


def test_what_is_no_tag_to_index_is_refused_with_a_reason(start_server):
    server = start_server()
    for body, status, word in [
        ({"Tag": "NoSuchTag"}, 400, "NoSuchTag"),
        ({"Tag": "PatientName"}, 400, "indexed anyway"),
        ({"Tag": "ReferencedStudySequence"}, 400, "sequence"),
        ({"Tag": "PixelData"}, 400, "describes"),
        ({"Tag": "PatientWeight", "Level": "Ward"}, 400, "Level"),
        ({"Level": "Study"}, 400, "Tag"),
    ]:
        assert word in post(server, "/tools/index-tags", body, status).text, body
    assert server.get("/tools/index-tags") == []


def test_what_replaces_an_instance_says_how_those_above_it_are_called(start_server):
    server = start_server("--set=storage.duplicates=always")
    study = server.upload(instance("70", 1))["ParentStudy"]
    server.upload(instance("70", 1, name="Doe^June"))

    def is_so():
        tags = server.get(f"/studies/{study}")
        assert tags["MainDicomTags"]["StudyDescription"] == "of Doe^June"
        assert tags["PatientMainDicomTags"]["PatientName"] == "Doe^June"
        assert found(server, PatientName="doe^june") == [study]
        assert found(server, PatientName="doe^jane") == []
        assert found(server, "Patient", PatientName="*june") != []

    is_so()
    server.kill()
    server.start()
    is_so()


def test_a_resource_is_reconstructed_from_its_files(start_server):
    server = start_server()
    stored = server.upload(instance("70", 1))
    for level, member in [("instances", "ID"), ("studies", "ParentStudy")]:
        before = server.get(f"/{level}/{stored[member]}")
        body = {"ReconstructFiles": True, "LimitToThisLevelMainDicomTags": level == "studies"}
        assert post(server, f"/{level}/{stored[member]}/reconstruct", body).text == ""
        assert server.get(f"/{level}/{stored[member]}") == before
    assert post(server, "/tools/reconstruct", {}).text == ""
    absent = "00000000-00000000-00000000-00000000-00000000"
    post(server, f"/studies/{absent}/reconstruct", {}, 404)


def test_many_resources_are_told_at_once(start_server):
    server = start_server()
    first, second = server.upload(instance("70", 1)), server.upload(instance("71", 2))
    ids = [first["ParentStudy"], second["ID"], "no-id", first["ParentStudy"]]
    told = post(server, "/tools/bulk-content", {"Resources": ids}).json()
    assert [one["Type"] for one in told] == ["Study", "Instance"]
    assert told[1]["Metadata"]["Origin"] == "RestApi"
    lifted = {"Resources": ids, "Level": "Patient", "Metadata": False}
    [patient] = post(server, "/tools/bulk-content", lifted).json()
    assert patient["ID"] == first["ParentPatient"]
    assert "Metadata" not in patient
    below = {"Resources": [first["ParentPatient"]], "Level": "Instance"}
    told = post(server, "/tools/bulk-content", below).json()
    assert {one["ID"] for one in told} == {first["ID"], second["ID"]}
    post(server, "/tools/bulk-content", {"Resources": 5}, 400)
    post(server, "/tools/bulk-content", {"Resources": [], "Level": "Ward"}, 400)


def test_changes_are_cleared_and_their_numbers_go_on(start_server):
    server = start_server()
    server.upload(instance("70", 1))
    last = server.get("/changes")["Last"]
    assert server.http.delete("/changes").status_code == 200
    assert server.get("/changes") == {"Changes": [], "Done": True, "Last": last}
    server.kill()
    server.start()
    server.upload(instance("70", 2))
    changes = server.get("/changes")["Changes"]
    assert [one["ChangeType"] for one in changes] == ["NewInstance"]
    assert changes[0]["Seq"] > last


def test_plain_lists_are_the_same_whoever_answers_them(start_server):
    server = start_server()
    stored = [server.upload(instance("70", number, study=f"1.2.{number}")) for number in (1, 2, 3)]
    patient = stored[0]["ParentPatient"]
    for path in [
        "/studies",
        "/studies?expand",
        "/series?since=1&limit=1",
        "/instances?since=0&limit=0&expand=true",
        "/changes?since=2&limit=3",
        "/changes?limit=0",
        f"/patients/{patient}/studies",
        f"/patients/{patient}/instances?expand=false",
        f"/series/{stored[0]['ParentSeries']}/patient",
        f"/studies/{patient}/series",
    ]:
        plain = server.http.get(path)
        # A condition is the application's to heed.
        separator = "&" if "?" in path else "?"
        asked = server.http.get(f"{path}{separator}unknown=1")
        assert plain.status_code == asked.status_code, path
        assert plain.content == asked.content or "LastUpdate" in plain.text, path
        assert json.loads(plain.content).__class__ is json.loads(asked.content).__class__
        assert plain.headers["content-type"] == asked.headers["content-type"], path


def test_the_command_adds_lists_and_removes_tags(start_server):
    server = start_server()
    server.upload(instance("70", 1))
    where = f"--root={server.root}"
    added = vna("index", "add-tag", "PatientWeight", "--level=study", where)
    assert added.returncode == 0, added.stderr
    assert "vna jobs show" in added.stdout
    complete(server)
    listed = vna("index", "list", "--json", where)
    [tag] = json.loads(listed.stdout)
    assert (tag["Level"], tag["Name"]) == ("Study", "PatientWeight")
    refused = vna("index", "add-tag", "NoSuchTag", where)
    assert refused.returncode != 0
    assert "NoSuchTag" in refused.stderr
    assert vna("index", "remove-tag", "PatientWeight", "--level=study", where).returncode == 0
    assert server.get("/tools/index-tags") == []
