"""`vna check --repair` as a process, on archives that were damaged."""

import json

import pytest
from support import make_instance
from support_cli import on_terminal, vna


@pytest.fixture
def archive(start_server):
    """A stopped archive of three packs: its server and the files by id."""
    server = start_server(
        "--set=storage.segment_bytes=1048576", "--set=storage.large_object_bytes=1000000"
    )
    files = {}
    for number in range(6):
        data = make_instance(number=number, size=400_000)
        files[server.upload(data)["ID"]] = data
    assert server.stop() == 0
    return server, files


def flip(root, needle, at):
    """Change one bit `at` bytes behind what is found of `needle`; return the file."""
    for path in sorted((root / "log" / "segments").iterdir()):
        content = bytearray(path.read_bytes())
        found = content.find(needle)
        if found >= 0:
            content[found + at] ^= 1
            path.write_bytes(content)
            return path
    raise AssertionError("the bytes are in no segment")


def test_a_damaged_image_is_told_kept_aside_and_given_up_on_demand(archive):
    server, files = archive
    lost, data = next(iter(files.items()))
    flip(server.root, data[-5000:], 2500)
    checked = vna("check", "--root", server.root)
    assert checked.returncode == 1
    assert "record.body_digest" in checked.stdout
    assert "--repair --dry-run" in checked.stdout

    dry = vna("check", "--repair", "--dry-run", "--root", server.root, "--json")
    assert dry.returncode == 1
    assert [each["id"] for each in json.loads(dry.stdout)["lost"]] == [lost]
    assert not (server.root / "log" / "quarantine").exists()

    repaired = vna("check", "--repair", "--root", server.root, "--json")
    assert repaired.returncode == 1, "it is lost all the same"
    [told] = json.loads(repaired.stdout)["lost"]
    kept = (server.root / "log" / told["set_aside"]).read_bytes()
    assert data[:300_000] in kept
    assert not told["given_up"]

    shown = on_terminal("check", "--repair", "--accept-loss", "--root", server.root, columns=160)
    assert shown.returncode == 0
    assert told["sop_instance_uid"] in shown.text
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")
    server.start()
    del files[lost]
    assert set(server.get("/instances")) == set(files)
    for one, whole in files.items():
        assert server.file(one) == whole
    assert server.stop() == 0


def test_a_damaged_record_header_and_a_damaged_index_cost_nothing(archive):
    server, files = archive
    flip(server.root, b"VNAr", 20)
    index = server.root / "index" / "index.db"
    content = bytearray(index.read_bytes())
    content[4096:12288] = b"\x5a" * 8192
    whole = index.read_bytes()
    index.write_bytes(content)
    checked = vna("check", "--root", server.root, "--json")
    assert checked.returncode == 1
    assert json.loads(checked.stdout)["problems"]
    # Both at once would cost what only the index knew: it comes from a copy, as an operator's does.
    index.write_bytes(whole)
    repaired = vna("check", "--repair", "--root", server.root)
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    index.write_bytes(content)
    again = vna("check", "--repair", "--root", server.root)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "built anew" in again.stdout
    server.start()
    for one, data in files.items():
        assert server.file(one) == data
    assert server.stop() == 0


def test_a_running_server_and_flags_without_sense_are_refused(start_server):
    server = start_server()
    assert vna("check", "--repair", "--root", server.root).returncode == 4
    for flag in ("--dry-run", "--accept-loss"):
        done = vna("check", flag, "--root", server.root)
        assert (done.returncode, done.stdout) == (2, "")
