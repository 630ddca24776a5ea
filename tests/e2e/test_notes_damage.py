"""Attachments on a full disk and in damaged bytes: told by name, and the rest stays as it was."""

import json
import random

import httpx
import pytest
from support import make_instance
from support_cli import vna
from test_notes import etag, held, ok, stored_study

MIB = 1 << 20
# In a pack, in a file of its own, in a pack and compressed.
IN_PACK, IN_FILE, PACKED = 1024, 1025, 1026


def failed(answer, status, orthanc_status, code):
    told = answer.json()
    found = (answer.status_code, told["OrthancStatus"], told["Code"])
    assert found == (status, orthanc_status, code), told
    return told


def files_of_blobs(server):
    return sorted(path.name for path in (server.root / "log" / "blobs").rglob("*.*"))


def test_attachments_that_a_full_disk_has_no_room_for_leave_everything_as_it_was(
    start_server, small_disk
):
    server = start_server("--set=storage.large_object_bytes=1000000", root=small_disk / "data")
    study, _ = stored_study(server)
    of = f"/studies/{study}"
    old, large = random.Random(1).randbytes(9 * MIB), random.Random(2).randbytes(60 * MIB)
    ok(server.http.put(f"{of}/attachments/{IN_FILE}", content=old))
    ok(server.http.put(f"{of}/metadata/1024", content=b"read"))
    paths = [f"{of}/metadata/1024", f"{of}/attachments/{IN_FILE}/data"]
    before, files = held(server, paths), files_of_blobs(server)
    assert len(files) == 1

    def pieces():
        for at in range(0, len(large), MIB):
            yield large[at : at + MIB]

    for number in (IN_FILE, PACKED):
        for body in (large, pieces()):  # one that tells its length, one that does not
            # Connections of their own: they may end with the answer, without the rest of the body.
            answer = httpx.put(f"{server.url}{of}/attachments/{number}", content=body, timeout=60)
            failed(answer, 507, 19, "store.full")
            assert files_of_blobs(server) == files
    assert held(server, paths) == before
    assert server.get(f"{of}/attachments") == [str(IN_FILE)]

    # Now there is no room even for what is small, nor to keep something in another form.
    kept = {}
    for number in range(2000, 2100):
        content = random.Random(number).randbytes(5 * MIB)
        answer = server.http.put(f"{of}/attachments/{number}", content=content)
        if answer.status_code != 200:
            failed(answer, 507, 19, "store.full")
            break
        kept[number] = content
    assert 5 < len(kept) < 20
    failed(server.http.post(f"{of}/attachments/{IN_FILE}/compress"), 507, 19, "store.full")
    assert held(server, paths) == before
    for number, content in kept.items():
        found = ok(server.http.get(f"{of}/attachments/{number}/data"))
        assert (found.content, found.headers["ETag"]) == (content, etag(0, content))
    # What is taken makes room again.
    ok(server.http.delete(f"{of}/attachments/2000"))
    ok(server.http.delete(f"{of}/attachments/2001"))
    ok(server.http.post("/tools/compact", json={}))
    ok(server.http.put(f"{of}/attachments/{PACKED}", content=old))
    assert server.stop() == 0
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")


def flip(server, needle):
    """Change one bit of the stored bytes that begin so."""
    for path in sorted(path for path in (server.root / "log").rglob("*") if path.is_file()):
        content = bytearray(path.read_bytes())
        found = content.find(needle)
        if found >= 0:
            content[found + len(needle) // 2] ^= 1
            path.write_bytes(content)
            return
    raise AssertionError("the bytes are nowhere")


@pytest.fixture
def damaged(start_server):
    """A stopped archive, and what is attached to its study of which every attachment is damaged."""
    server = start_server(
        "--set=storage.segment_bytes=1048576", "--set=storage.large_object_bytes=300000"
    )
    study, _ = stored_study(server)
    of = f"/studies/{study}"
    contents = {
        IN_PACK: random.Random(1).randbytes(5000),
        IN_FILE: random.Random(2).randbytes(700_000),
        PACKED: b"".join(b"%d," % (n * n) for n in range(20_000)),
    }
    for number, content in contents.items():
        ok(server.http.put(f"{of}/attachments/{number}", content=content))
    ok(server.http.post(f"{of}/attachments/{PACKED}/compress"))
    ok(server.http.put(f"{of}/metadata/1024", content=b"what somebody found"))
    ok(server.http.put(f"{of}/attachments/1027", content=b"whole"))
    packed = ok(server.http.get(f"{of}/attachments/{PACKED}/compressed-data")).content
    assert server.stop() == 0
    for stored in (contents[IN_PACK], contents[IN_FILE], packed):
        flip(server, stored[:200])
    flip(server, b"what somebody found")
    return server, of, contents


def test_damaged_attachments_are_told_and_given_up_on_demand(damaged):
    server, of, contents = damaged
    server.start()
    for number in contents:
        answer = server.http.post(f"{of}/attachments/{number}/verify-md5")
        failed(answer, 500, 20, "record.body_digest")
    ok(server.http.post(f"{of}/attachments/1027/verify-md5"))
    instance = server.get(f"{of}/instances")[0]["ID"]
    ok(server.http.post(f"/instances/{instance}/attachments/dicom/verify-md5"))
    # What is compressed cannot be read wrongly: neither its bytes nor a part of them.
    for headers in ({}, {"Range": "bytes=100000-100009"}):
        answer = server.http.get(f"{of}/attachments/{PACKED}/data", headers=headers)
        failed(answer, 500, 20, "attachment.damaged")
    # One that is attached again is whole.
    ok(server.http.put(f"{of}/attachments/{IN_FILE}", content=contents[IN_FILE]))
    ok(server.http.post(f"{of}/attachments/{IN_FILE}/verify-md5"))
    assert server.stop() == 0

    checked = vna("check", "--root", server.root)
    assert checked.returncode == 1
    assert checked.stdout.count("record.body_digest") == 3, "two attachments and the metadata"
    lost = [f"attachment {number} of Study {of[9:]} is lost" for number in (IN_PACK, PACKED)]
    dry = vna("check", "--repair", "--dry-run", "--root", server.root)
    assert dry.returncode == 1
    assert all(each in dry.stdout for each in lost)
    repaired = vna("check", "--repair", "--root", server.root)
    assert repaired.returncode == 1, "they are lost all the same"
    assert repaired.stdout.count("--accept-loss") == 2
    # Nothing was given up without consent, and what the index knew was recorded again.
    server.start()
    assert server.get(f"{of}/attachments") == ["1024", "1025", "1026", "1027"]
    assert server.http.get(f"{of}/metadata/1024").text == "what somebody found"
    assert server.stop() == 0

    accepted = vna("check", "--repair", "--accept-loss", "--root", server.root, "--json")
    assert accepted.returncode == 0, accepted.stdout
    done = json.loads(accepted.stdout)["done"]
    assert all(any(each in one for one in done) for each in lost)
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")
    kept = b"".join(path.read_bytes() for path in (server.root / "log" / "quarantine").iterdir())
    assert contents[IN_PACK][200:] in kept
    assert vna("reindex", "--root", server.root).returncode == 0
    server.start()
    assert server.get(f"{of}/attachments") == ["1025", "1027"]
    found = ok(server.http.get(f"{of}/attachments/{IN_FILE}/data"))
    assert (found.content, found.headers["ETag"]) == (
        contents[IN_FILE],
        etag(1, contents[IN_FILE]),
    )
    assert server.http.get(f"{of}/metadata/1024").text == "what somebody found"
    ok(server.http.put(f"{of}/attachments/{IN_PACK}", content=contents[IN_PACK]))
    assert server.upload(make_instance())["Status"] == "Success"
    assert server.stop() == 0
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")
