"""Every command as a process: its help, wrong usage, terminals of all kinds, pipes, completion."""

import json
import os
import pty
import re
import select
import subprocess
import time

import pytest
import typer.main
from support import VNA, make_instance
from support_cli import environment, on_terminal, vna

from vna.cli.app import app

COMMANDS = sorted(typer.main.get_command(app).commands)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
NONE = "00000000-00000000-00000000-00000000-00000000"


@pytest.fixture(scope="module")
def archive(start_server, tmp_path_factory):
    """A stopped archive with an instance, another that was deleted, and a file: folder and words.

    The words are arguments with which each command does something, for those that look at archives.
    """
    server = start_server()
    file = tmp_path_factory.mktemp("files") / "file.dcm"
    data = make_instance(number=1)
    file.write_bytes(data)
    one = server.upload(data)["ID"]
    two = server.upload(make_instance(number=2))["ID"]
    assert server.http.delete(f"/instances/{two}").status_code == 200
    assert server.stop() == 0
    words = {
        "check": [],
        "compact": [],
        "config": [],
        "deleted": [],
        "dump": [one],
        "erase": [NONE, "--yes"],
        "find": ["instance"],
        "get": [one, "--output", tmp_path_factory.mktemp("got")],
        "import": [file],
        "recompress": [],
        "reindex": [],
        "render": [one, "--output", tmp_path_factory.mktemp("rendered") / "one.png"],
        "transcode": [one, "--to", "rle", "--output", tmp_path_factory.mktemp("rle"), "--force"],
        "undelete": [NONE],
    }
    return server.root, words


def test_each_command_that_works_with_an_archive_is_tried(archive):
    _, words = archive
    # These are tried in files of their own: they need peers, a running server, or users.
    elsewhere = {"jobs", "modality", "peer", "index", "query", "send", "user"}
    elsewhere |= {"archive", "modify", "anonymize", "conformance-statement"}
    assert {*words, *elsewhere, "serve", "version"} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_shown_on_any_terminal_and_on_none(command):
    plain = vna(command, "--help")
    assert (plain.returncode, plain.stderr) == (0, "")
    assert f"vna {command}" in plain.stdout
    assert not COLOUR.search(plain.stdout)
    shown = on_terminal(command, "--help", columns=30, NO_COLOR="1")
    assert shown.returncode == 0
    assert max(map(len, COLOUR.sub("", shown.text).splitlines())) <= 30
    assert not re.search(r"\x1b\[3[0-7]m", shown.text)


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_usage_is_status_2_and_nothing_on_standard_output(command, tmp_path):
    done = vna(command, "--no-such-option", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("vna: ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_command_answers_in_json_and_complains_elsewhere(archive):
    root, words = archive
    for command, arguments in words.items():
        done = vna(command, *arguments, "--json", "--root", root)
        assert done.returncode in {0, 3}, (command, done.stdout, done.stderr)
        json.loads(done.stdout)
        assert "Traceback" not in done.stderr
    json.loads(vna("version", "--json").stdout)


def test_every_command_runs_beside_a_server_on_a_narrow_terminal_without_colours(
    archive, start_server
):
    root, words = archive
    server = start_server(root=root)
    for command, arguments in words.items():
        shown = on_terminal(command, *arguments, "--root", root, columns=24, NO_COLOR="1")
        needs_it_stopped = command in {"check", "reindex"}
        assert shown.returncode in ({4} if needs_it_stopped else {0, 3}), (command, shown.text)
        assert "Traceback" not in shown.text
        assert not re.search(r"\x1b\[3[0-7]m", shown.text), command
    assert server.stop() == 0


def test_a_folder_without_an_archive_is_told_and_none_is_made(archive, tmp_path):
    _, words = archive
    looks = sorted(set(words) - {"config", "import"})
    for command in looks:
        done = vna(command, *words[command], "--root", tmp_path / "none", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (3, ""), (command, done.stderr)
        assert done.stderr.startswith("vna: ")
        assert not (tmp_path / "none").exists(), command


@pytest.mark.parametrize(
    "arguments", [["config", "--explain"], ["--help"], ["dump"], ["config", "--json"]]
)
def test_a_reader_that_goes_away_ends_a_command_quietly(archive, arguments):
    root, words = archive
    if arguments == ["dump"]:
        arguments = [*arguments, *words["dump"], "--root", root]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [VNA, *map(str, arguments)],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(),
        timeout=60,
    )
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == b""


def bash(tmp_path, program):
    """Run a program of bash that finds `vna`, in a home of its own."""
    path = f"{VNA.parent}{os.pathsep}{os.environ['PATH']}"
    variables = environment(HOME=str(tmp_path), PATH=path)
    return subprocess.run(
        ["bash", "--norc", "-c", program],
        capture_output=True,
        text=True,
        env=variables,
        timeout=60,
    )


def test_bash_completes_once_it_was_installed(tmp_path):
    installed = bash(tmp_path, "vna --install-completion; exit $?")
    assert installed.returncode == 0, installed.stderr

    def completed(*words):
        line = " ".join(words)
        program = (
            f"source ~/.bashrc; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
            'complete -p vna >/dev/null && _vna_completion vna; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        return bash(tmp_path, program).stdout.split()

    assert completed("vna", "und") == ["undelete"]
    assert completed("vna", "check", "--acc") == ["--accept-loss"]
    assert completed("vna", "serve", "--set", "storage.undel") == ["storage.undelete_hours="]


def test_a_key_press_in_bash_completes(tmp_path):
    assert bash(tmp_path, "vna --install-completion; exit $?").returncode == 0
    child, leader = pty.fork()
    if child == 0:
        path = f"{VNA.parent}{os.pathsep}{os.environ['PATH']}"
        variables = environment(HOME=str(tmp_path), PATH=path, PS1="ready>")
        os.execvpe("bash", ["bash", "-i"], variables)
    shown = b""

    def until(wanted):
        nonlocal shown
        end = time.monotonic() + 60
        while wanted not in shown:
            assert time.monotonic() < end, shown
            if select.select([leader], [], [], 0.1)[0]:
                shown += os.read(leader, 65536)

    try:
        os.write(leader, b"vna undel\t")
        until(b"vna undelete ")
    finally:
        os.write(leader, b"\x03\x04exit\n")
        os.close(leader)
        os.waitpid(child, 0)
