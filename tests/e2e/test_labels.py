"""Labels are as durable as what they are on: kill -9, a rebuilt index, damage, deletion."""

import json

from pydicom.uid import generate_uid
from support import make_instance
from support_cli import vna

SMALL = ("--set=storage.segment_bytes=1048576", "--set=storage.large_object_bytes=1000000")


def put(server, level, public_id, label):
    answer = server.http.put(f"/{level}/{public_id}/labels/{label}")
    assert answer.status_code == 200, answer.text


def labels(server, level, public_id):
    return server.get(f"/{level}/{public_id}/labels")


def stored_study(server, instances=2, size=1000):
    """Store a study; return its id and those of its instances."""
    study, series = generate_uid(), generate_uid()
    answers = [
        server.upload(make_instance(study, series, number=number, size=size))
        for number in range(instances)
    ]
    return answers[0]["ParentStudy"], [answer["ID"] for answer in answers]


def test_labels_survive_kill_9_and_a_rebuilt_index(start_server):
    server = start_server()
    study, [first, second] = stored_study(server)
    put(server, "studies", study, "teaching")
    put(server, "instances", second, "key-image")
    put(server, "studies", study, "taken")
    assert server.http.delete(f"/studies/{study}/labels/taken").status_code == 200
    server.kill()
    server.start()
    expected = (["teaching"], [], ["key-image"])

    def held():
        return (
            labels(server, "studies", study),
            labels(server, "instances", first),
            labels(server, "instances", second),
        )

    assert held() == expected
    assert server.get("/tools/labels") == ["key-image", "teaching"]
    assert server.stop() == 0
    assert vna("reindex", "--root", server.root).returncode == 0
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")
    server.start()
    assert held() == expected


def test_a_label_outlives_the_instance_that_was_there_when_it_was_given(start_server):
    server = start_server(*SMALL, "--set=storage.undelete_hours=0")
    study, [first, second] = stored_study(server, size=400_000)
    assert server.http.delete(f"/instances/{second}").status_code == 200
    put(server, "studies", study, "kept")
    uids = server.get(f"/instances/{first}/simplified-tags")
    server.upload(make_instance(uids["StudyInstanceUID"], uids["SeriesInstanceUID"], number=7))
    assert server.http.delete(f"/instances/{first}").status_code == 200
    assert server.http.post("/tools/compact", json={}).status_code == 200
    assert server.stop() == 0
    assert vna("reindex", "--root", server.root).returncode == 0
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")
    server.start()
    assert labels(server, "studies", study) == ["kept"]
    # Neither comes back with a study that comes later under the same identity.
    assert server.http.delete(f"/studies/{study}").status_code == 200
    server.upload(make_instance(uids["StudyInstanceUID"], uids["SeriesInstanceUID"], number=8))
    assert labels(server, "studies", study) == []


def test_labels_come_back_with_what_is_brought_back(start_server):
    server = start_server()
    study, [first, _] = stored_study(server)
    put(server, "studies", study, "a")
    put(server, "instances", first, "b")
    assert server.http.delete(f"/studies/{study}").status_code == 200
    assert server.get("/tools/labels") == []
    assert server.http.post("/tools/undelete", json={"Resources": [study]}).status_code == 200
    assert labels(server, "studies", study) == ["a"]
    assert labels(server, "instances", first) == ["b"]


def test_a_label_whose_record_is_damaged_is_recorded_again(start_server):
    server = start_server(*SMALL)
    study, _ = stored_study(server)
    put(server, "studies", study, "unmistakable-label")
    stored_study(server, instances=4, size=400_000)  # seals the segment
    assert server.stop() == 0
    damaged = 0
    for path in (server.root / "log" / "segments").iterdir():
        content = path.read_bytes()
        at = content.rfind(b"unmistakable-label")  # behind the header that says it too
        if at >= 0:
            path.write_bytes(content[:at] + b"X" + content[at + 1 :])
            damaged += 1
    assert damaged == 1
    assert vna("check", "--root", server.root).returncode == 1
    repaired = vna("check", "--repair", "--root", server.root, "--json")
    assert repaired.returncode == 0, repaired.stdout
    assert any("recorded again" in done for done in json.loads(repaired.stdout)["done"])
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")
    assert vna("reindex", "--root", server.root).returncode == 0
    server.start()
    assert labels(server, "studies", study) == ["unmistakable-label"]
