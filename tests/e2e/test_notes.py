"""Notes of resources: as durable as what they are on, and changed by who has read them."""

import hashlib
import json
import random
import threading
import zlib

import httpx
from pydicom.uid import generate_uid
from support import make_instance
from support_cli import vna

SMALL = ("--set=storage.segment_bytes=1048576", "--set=storage.large_object_bytes=300000")
NAMES = """
[[notes.metadata]]
name = "status"
number = 1024
[[notes.attachments]]
name = "report"
number = 1024
"""
REVISED = ("--set=notes.check_revisions=true",)


def stored_study(server, instances=2, size=1000):
    """Store a study; return its id and those of its instances."""
    study, series = generate_uid(), generate_uid()
    answers = [
        server.upload(make_instance(study, series, number=number, size=size))
        for number in range(instances)
    ]
    return answers[0]["ParentStudy"], [answer["ID"] for answer in answers]


def ok(answer):
    assert answer.status_code == 200, answer.text
    return answer


def etag(number, content):
    return f'"{number}-{hashlib.md5(content).hexdigest()}"'


def held(server, paths):
    return {
        path: (ok(server.http.get(path)).content, server.http.get(path).headers["ETag"])
        for path in paths
    }


def test_notes_survive_kill_9_a_rebuilt_index_and_the_instance_that_was_there_first(start_server):
    server = start_server(*SMALL, "--set=storage.undelete_hours=0")
    study, [first, second] = stored_study(server, size=150_000)
    small, large = b"report " * 10, random.Random(1).randbytes(700_000)
    of = f"/studies/{study}"
    for number, value in enumerate([b"one", b"two", b"three"]):
        answer = ok(server.http.put(f"{of}/metadata/1024", content=value))
        assert answer.headers["ETag"] == etag(number, value)
    ok(server.http.put(f"{of}/metadata/1025", content=b"\xff\0 no text"))
    ok(server.http.put(f"{of}/attachments/1024", content=small))
    ok(server.http.put(f"{of}/attachments/1025", content=large))
    ok(server.http.put(f"{of}/attachments/1026", content=small))
    ok(server.http.post(f"{of}/attachments/1026/compress"))
    ok(server.http.put(f"/instances/{second}/attachments/2000", content=b""))
    patient = server.get(of)["ParentPatient"]
    ok(server.http.put(f"/patients/{patient}/protected", content=b"1"))
    paths = [
        *(f"{of}/metadata/{number}" for number in (1024, 1025)),
        *(f"{of}/attachments/{number}/data" for number in (1024, 1025, 1026)),
        f"{of}/attachments/1026/compressed-data",
        f"/instances/{second}/attachments/2000/data",
    ]
    server.kill()
    server.start()
    before = held(server, paths)
    assert before[f"{of}/attachments/1025/data"] == (large, etag(0, large))
    assert before[f"{of}/metadata/1024"] == (b"three", etag(2, b"three"))
    sizes = server.get(f"{of}/statistics")
    # The instance that was there first goes, and its bytes with it: what was noted stays.
    ok(server.http.delete(f"/instances/{first}"))
    ok(server.http.post("/tools/compact", json={}))
    assert server.stop() == 0
    assert vna("reindex", "--root", server.root).returncode == 0
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")
    server.start()
    assert held(server, paths) == before
    assert server.http.get(f"/patients/{patient}/protected").text == "1"
    after = server.get(f"{of}/statistics")
    for size in ("DiskSize", "UncompressedSize"):
        dicom = f"Dicom{size}"
        assert (
            int(sizes[size]) - int(sizes[dicom]) == int(after[size]) - int(after[dicom]) > 700_000
        )
    for number in (1024, 1025, 1026):
        ok(server.http.post(f"{of}/attachments/{number}/verify-md5"))
    ok(server.http.delete(of))
    assert server.get("/statistics")["TotalDiskSize"] == "0"


def test_notes_come_back_with_what_is_brought_back(start_server):
    server = start_server(*SMALL)
    study, [first, _] = stored_study(server)
    of = f"/studies/{study}"
    large = random.Random(2).randbytes(400_000)
    ok(server.http.put(f"{of}/metadata/1024", content=b"a"))
    ok(server.http.put(f"{of}/metadata/1024", content=b"b"))
    ok(server.http.put(f"/instances/{first}/attachments/1024", content=large))
    paths = [f"{of}/metadata/1024", f"/instances/{first}/attachments/1024/data"]
    before = held(server, paths)
    ok(server.http.delete(of))
    assert server.http.get(paths[0]).status_code == 404
    ok(server.http.post("/tools/undelete", json={"Resources": [study]}))
    assert held(server, paths) == before


def test_names_lead_to_what_they_name(start_server, tmp_path):
    config = tmp_path / "vna.toml"
    config.write_text(NAMES)
    server = start_server(f"--config={config}")
    study, _ = stored_study(server, 1)
    of = f"/studies/{study}"
    ok(server.http.put(f"{of}/metadata/status", content=b"read"))
    ok(server.http.put(f"{of}/attachments/report", content=b"text"))
    assert server.http.get(f"{of}/metadata/1024").text == "read"
    assert server.get(f"{of}/metadata?expand")["status"] == "read"
    assert server.get(f"{of}/metadata?expand&numeric")["1024"] == "read"
    assert server.get(f"{of}/attachments?full") == {"report": 1024}
    assert server.get("/system")["UserMetadata"] == {"status": 1024}
    query = {"Level": "Study", "Query": {}, "MetadataQuery": {"status": "r*"}}
    answer = ok(server.http.post("/tools/find", json=query))
    assert answer.json() == [study]
    wanted = query | {"ResponseContent": ["Attachments"]}
    [found] = ok(server.http.post("/tools/find", json=wanted)).json()
    [attached] = found["Attachments"]
    assert attached == server.get(f"{of}/attachments/report/info")


def test_a_compressed_attachment_is_read_in_any_order(start_server):
    server = start_server(*SMALL)
    study, _ = stored_study(server, 1)
    of = f"/studies/{study}/attachments/1024"
    content = bytes(i * i % 251 for i in range(900_000))
    ok(server.http.put(of, content=content))
    ok(server.http.post(f"{of}/compress"))
    stored = ok(server.http.get(f"{of}/compressed-data")).content
    assert int.from_bytes(stored[:8], "little") == len(content)
    assert zlib.decompress(stored[8:]) == content
    info = server.get(f"{of}/info")
    assert info["CompressedMD5"] == hashlib.md5(stored).hexdigest()
    assert (info["CompressedSize"], info["UncompressedSize"]) == (len(stored), len(content))
    ranges = [(0, 9), (899_990, 899_999), (5, 700_000), (300_000, 300_000), (0, 899_999)]
    for first, last in ranges:
        answer = server.http.get(f"{of}/data", headers={"Range": f"bytes={first}-{last}"})
        assert answer.status_code == 206
        assert answer.content == content[first : last + 1]
    ok(server.http.post(f"{of}/uncompress"))
    assert ok(server.http.get(f"{of}/compressed-data")).content == content


def test_of_writers_who_have_read_the_same_one_wins(start_server):
    server = start_server(*REVISED)
    study, _ = stored_study(server, 1)
    paths = [f"/studies/{study}/metadata/1024", f"/studies/{study}/attachments/1024"]
    ok(server.http.put(paths[0], content=b"0"))
    ok(server.http.put(paths[1], content=b"0"))
    rounds, writers = 6, 6
    barrier = threading.Barrier(writers)
    wins = {path: [] for path in paths}

    def write(number):
        with httpx.Client(base_url=server.url, timeout=60) as http:
            for turn in range(rounds):
                for path in paths:
                    seen = http.get(path).headers["ETag"]
                    barrier.wait()
                    body = f"{turn} {number}".encode()
                    answer = http.put(path, content=body, headers={"If-Match": seen})
                    assert answer.status_code in (200, 409), answer.text
                    if answer.status_code == 200:
                        wins[path].append((turn, answer.headers["ETag"], body))
                    barrier.wait()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for path, won in wins.items():
        assert [turn for turn, _, _ in won] == list(range(rounds)), path
        assert [tag for _, tag, _ in won] == [
            etag(number + 1, body) for number, (_, _, body) in enumerate(won)
        ]


def test_the_feed_tells_of_metadata_and_attachments(start_server):
    server = start_server()
    study, [instance] = stored_study(server, 1)
    ok(server.http.put(f"/studies/{study}/metadata/1024", content=b"a"))
    ok(server.http.delete(f"/studies/{study}/metadata/1024"))
    ok(server.http.put(f"/instances/{instance}/attachments/1024", content=b"a"))
    ok(server.http.delete(f"/instances/{instance}/attachments/1024"))
    told = server.get("/changes?type=UpdatedMetadata;UpdatedAttachment")["Changes"]
    assert [(one["ChangeType"], one["ID"]) for one in told] == [
        ("UpdatedMetadata", study),
        ("UpdatedMetadata", study),
        ("UpdatedAttachment", instance),
        ("UpdatedAttachment", instance),
    ]
    assert json.loads(server.http.get(f"/instances/{instance}/attachments").text) == ["dicom"]


def test_the_file_of_an_instance_is_its_first_attachment(server):
    _, [instance] = stored_study(server, 1)
    file, of = server.file(instance), f"/instances/{instance}/attachments"
    for name in ("dicom", "1"):
        for _ in range(2):  # its MD5 is computed, then known
            assert ok(server.http.get(f"{of}/{name}/md5")).text == hashlib.md5(file).hexdigest()
        assert ok(server.http.get(f"{of}/{name}/data")).content == file
        ok(server.http.post(f"{of}/{name}/verify-md5"))
        refused = server.http.put(f"{of}/{name}", content=b"other bytes")
        assert (refused.status_code, refused.json()["OrthancStatus"]) == (403, 45)
    assert server.file(instance) == file
