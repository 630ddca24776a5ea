"""`vna dump` on terminals, and of instances of an archive."""

import json
import re

import pytest
from rich.cells import cell_len
from support import make_instance
from support_cli import on_terminal, vna

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file.dcm"
    path.write_bytes(
        make_instance(ImageComments="山田^太郎" * 20, SpecificCharacterSet="ISO_IR 192")
    )
    return path


def test_a_terminal_has_colours_and_lines_of_its_width(file):
    shown = on_terminal("dump", file, columns=100)
    assert shown.returncode == 0
    lines = COLOUR.sub("", shown.text).splitlines()
    assert COLOUR.search(shown.text)
    assert any("ImageComments" in line and line.endswith("…") for line in lines)
    assert all(cell_len(line) <= 100 for line in lines if not line.startswith("#"))


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_declined(file, variables):
    shown = on_terminal("dump", file, **variables)
    assert shown.returncode == 0
    assert not COLOUR.search(shown.text)


def test_a_narrow_terminal_shows_the_beginning_of_each_value(file):
    shown = on_terminal("dump", file, columns=20)
    assert shown.returncode == 0
    assert "山田" in shown.text


def test_without_a_terminal_it_is_plain_and_whole_on_demand(file):
    piped = vna("dump", file)
    assert (piped.returncode, piped.stderr) == (0, "")
    assert not COLOUR.search(piped.stdout)
    assert "山田^太郎" * 20 not in piped.stdout
    assert "山田^太郎" * 20 in vna("dump", file, "--full").stdout


def test_an_instance_of_an_archive_is_dumped_with_and_without_its_server(start_server):
    server = start_server()
    data = make_instance(PatientID="DUMPED")
    stored = server.upload(data)
    for arguments in (["--url", server.url], ["--root", server.root]):
        done = vna("dump", stored["ID"], "--json", *arguments)
        document = json.loads(done.stdout)
        assert (done.returncode, document["bytes"]) == (0, len(data))
    assert vna("dump", stored["ParentStudy"], "--root", server.root).returncode == 3
    assert server.stop() == 0
    done = vna("dump", stored["ID"], "--tag", "PatientID", "--root", server.root)
    assert done.returncode == 0
    assert "DUMPED" in done.stdout
    missing = vna("dump", stored["ParentStudy"], "--root", server.root)
    assert (missing.returncode, missing.stdout) == (3, "")
