"""What was deleted can be brought back for a while; then, or on command, its bytes are gone."""

import json

import msgspec
import pytest
from pydicom.uid import generate_uid
from support import make_instance

from vna.errors import AlreadyOpen
from vna.services import upkeep
from vna.settings import Settings

SMALL = ("--set=storage.segment_bytes=2000000", "--set=storage.large_object_bytes=65536")
# Bytes that are found on the disk as they are, in a pack and in a file of its own.
MARKS = {"small": b"find me: small", "large": b"find me: large"}


def study_of(marks=MARKS):
    """Return a study: an instance for each mark, the large one with a file of its own."""
    study, series = generate_uid(), generate_uid()
    sizes = {"small": 1000, "large": 100_000}
    return [
        make_instance(study, series, size=sizes[name], ImageComments=mark.decode())
        for name, mark in marks.items()
    ]


def on_disk(root, mark):
    """Whether bytes are anywhere in the archive's log."""
    files = [path for path in (root / "log").rglob("*") if path.is_file()]
    return any(mark in path.read_bytes() for path in files)


def post(server, path, body):
    answer = server.http.post(path, json=body)
    assert answer.status_code == 200, (path, answer.text)
    return answer.json()


def store_and_delete(server):
    """Store a study and delete it; return its id and the files of its instances by id."""
    files, study = {}, None
    for data in study_of():
        stored = server.upload(data)
        files[stored["ID"]], study = data, stored["ParentStudy"]
    assert server.http.delete(f"/studies/{study}").status_code == 200
    assert server.get("/instances") == []
    return study, files


def assert_is_back(server, files):
    assert set(server.get("/instances")) == set(files)
    for one, data in files.items():
        assert server.file(one) == data


def settings_of(server):
    storage = {"root": str(server.root), "segment_bytes": 2_000_000, "large_object_bytes": 65536}
    default = Settings()
    return msgspec.structs.replace(
        default, storage=msgspec.structs.replace(default.storage, **storage)
    )


def test_a_deleted_study_is_listed_and_comes_back_bit_for_bit(start_server):
    server = start_server(*SMALL)
    study, files = store_and_delete(server)
    [entry] = server.get("/tools/deleted")
    # The study was all that its patient had: the patient went with it.
    assert (entry["Type"], entry["Instances"]) == ("Patient", 2)
    assert entry["MainDicomTags"]["PatientID"] == "P1"
    assert entry["Bytes"] == sum(map(len, files.values()))
    assert entry["Deleted"] < entry["Until"]
    assert server.get("/statistics")["CountInstances"] == 0

    report = post(server, "/tools/undelete", {"Resources": [study, "no id"]})
    assert report == {
        "Restored": 2,
        "Present": 0,
        "Versions": 0,
        "Unknown": ["no id"],
        "Problems": [],
    }
    assert_is_back(server, files)
    assert server.get("/tools/deleted") == []
    assert server.get(f"/studies/{study}")["ID"] == study
    again = post(server, "/tools/undelete", {"Resources": [study]})
    assert (again["Restored"], again["Unknown"]) == (0, [study])
    assert server.stop() == 0


def test_kill_9_and_a_rebuilt_index_leave_what_was_deleted_to_be_brought_back(start_server):
    server = start_server(*SMALL)
    study, files = store_and_delete(server)
    server.kill()
    for path in (server.root / "index").iterdir():
        path.unlink()
    server.start()
    assert server.get("/instances") == []
    assert post(server, "/tools/undelete", {"Resources": [study]})["Restored"] == 2
    server.kill()
    server.start()
    assert_is_back(server, files)
    assert server.get("/tools/deleted") == []
    assert server.stop() == 0


def test_what_was_erased_is_gone_from_the_disk_and_stays_away(start_server):
    server = start_server(*SMALL)
    kept = server.upload(make_instance(patient="KEPT"))["ID"]
    files = [server.upload(data) for data in study_of()]
    study = files[0]["ParentStudy"]
    assert server.http.delete(f"/studies/{study}").status_code == 200
    for mark in MARKS.values():
        assert on_disk(server.root, mark)

    assert post(server, "/tools/erase", {"Resources": [study]}) == {"Erased": 1, "Unknown": []}
    assert server.get("/tools/deleted") == []
    assert not on_disk(server.root, MARKS["large"]), "a file of its own goes at once"
    [pack] = post(server, "/tools/compact", {})
    assert 0 < pack["BytesAfter"] < pack["BytesBefore"]
    assert not on_disk(server.root, MARKS["small"])
    assert post(server, "/tools/compact", {}) == []
    assert post(server, "/tools/undelete", {"Resources": [study]})["Unknown"] == [study]
    server.kill()
    for path in (server.root / "index").iterdir():
        path.unlink()
    server.start()
    assert server.get("/instances") == [kept]
    assert server.get("/tools/deleted") == []
    assert server.stop() == 0


def test_without_a_grace_period_a_deletion_frees_at_once(start_server):
    server = start_server(*SMALL, "--set=storage.undelete_hours=0")
    study, _ = store_and_delete(server)
    assert server.get("/tools/deleted") == []
    assert post(server, "/tools/undelete", {"Resources": [study]})["Unknown"] == [study]
    post(server, "/tools/compact", {"BelowPercent": 100})
    for mark in MARKS.values():
        assert not on_disk(server.root, mark)
    assert server.stop() == 0


def test_a_stopped_archive_is_undeleted_erased_and_compacted(start_server):
    server = start_server(*SMALL)
    study, files = store_and_delete(server)
    settings = settings_of(server)
    with pytest.raises(AlreadyOpen):
        upkeep.offline_deleted(settings)
    assert server.stop() == 0

    [entry] = upkeep.offline_deleted(settings)
    assert entry["Instances"] == 2
    assert upkeep.offline_undelete(settings, [study])["Restored"] == 2
    assert upkeep.offline_deleted(settings) == []
    server.start()
    assert_is_back(server, files)
    assert server.http.delete(f"/studies/{study}").status_code == 200
    assert server.stop() == 0

    assert upkeep.offline_erase(settings, None) == {"Erased": 1, "Unknown": []}
    upkeep.offline_compact(settings)
    for mark in MARKS.values():
        assert not on_disk(server.root, mark)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tools/undelete", b""),
        ("/tools/undelete", b'{"Resources": "one"}'),
        ("/tools/undelete", b'["one"]'),
        ("/tools/erase", b"{}"),
        ("/tools/erase", b'{"Resources": [], "All": true}'),
        ("/tools/erase", b'{"all": true}'),
        ("/tools/compact", b'{"BelowPercent": 0}'),
        ("/tools/compact", b'{"BelowPercent": 101}'),
        ("/tools/compact", b"no JSON"),
    ],
)
def test_bodies_that_say_something_else_are_refused(server, path, body):
    answer = server.http.post(path, content=body)
    assert answer.status_code == 400
    assert json.loads(answer.content)["Details"]
