"""The command line as such: flags, help, wrong usage, completion, statuses, the keys."""

import http.client
import json
import tomllib
from pathlib import Path

import hypothesis
import pytest
import typer.main
from hypothesis import given
from hypothesis import strategies as st

from vna.cli import explain, flags
from vna.cli.app import app
from vna.cli.exits import MEANINGS, Unreachable, status_of
from vna.cli.main import run
from vna.errors import AlreadyOpen, Busy, EncodingError, NotFound, SettingsError
from vna.settings import Settings, gather, schema

COMMANDS = sorted(typer.main.get_command(app).commands)
ROOT = Path(__file__).resolve().parents[2]


def test_flags_stand_for_keys_in_the_order_they_were_given():
    given = flags.read(["--root=/a", "--aet", "ONE", "--set", "dicom.aet=TWO", "--http-port=1"])
    settings = flags.settings_of(given)
    assert settings.storage.root == "/a"
    assert settings.dicom.aet == "TWO"
    assert settings.http.port == 1


@pytest.mark.parametrize("arguments", [["--help"], ["--aet"], ["x"], ["--ae", "X"], ["--", "x"]])
def test_the_reader_of_serve_leaves_to_typer_what_is_no_flag_with_a_value(arguments):
    assert flags.read(arguments) is None


words = st.sampled_from(["--root", "--aet", "--set", "--config", "--http-port", "--x"])
values = st.sampled_from(["a", "=", "1", "k=v", "", "--root", "-"])
argument = words | values | st.builds("{}={}".format, words, values)


@hypothesis.settings(deadline=None)
@given(st.lists(argument, max_size=6))
def test_the_reader_of_serve_and_typer_agree(arguments):
    command = typer.main.get_command(app).commands["serve"]
    read = flags.read(arguments)
    try:
        parsed = command.make_context("serve", list(arguments)).params
    except Exception:  # typer's own wrong usage; its class depends on the version
        assert read is None
        return
    assert read is not None
    expected = {name: value for name, value in parsed.items() if value}
    found = {}
    for flag, value in read:
        if flag == flags.SET:
            found.setdefault(flag.name, []).append(value)
        else:
            found[flag.name] = value
    assert {name: value for name, value in found.items() if value} == {
        name: list(value) if isinstance(value, tuple) else value for name, value in expected.items()
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["unheard-of"],
        ["serve", "--set", "dicom.aet"],
        ["serve", "--htt", "x"],
        ["serve", "--set"],
        ["import"],
        ["version", "--jsn"],
        ["config", "--set", "dicom.aett=x"],
    ],
)
def test_wrong_usage_is_one_message_and_status_2(arguments, capsys):
    try:
        status = run(arguments)
    except Exception as error:
        pytest.fail(f"{error!r} got out")
    told = capsys.readouterr()
    assert status == 2
    assert told.out == ""
    assert told.err.startswith("vna: ")


def test_no_command_shows_the_help_and_is_wrong_usage(capsys):
    assert run([]) == 2
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert run([command, "--help"]) == 0
    assert f"Usage: vna {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SettingsError("x"), 2),
        (NotFound("x"), 3),
        (FileNotFoundError(), 3),
        (AlreadyOpen("x"), 4),
        (Busy("x"), 4),
        (Unreachable("x"), 4),
        (ConnectionRefusedError(), 4),
        (http.client.BadStatusLine("x"), 4),
        (EncodingError("x"), 1),
        (PermissionError(), 1),
    ],
)
def test_errors_have_statuses_that_the_help_explains(error, status):
    assert status_of(error) == status
    assert status in MEANINGS


def complete(monkeypatch, capsys, *words):
    """Return what bash offers for the last of `words`."""
    monkeypatch.setenv("_VNA_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(["vna", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit) as caught:
        run([])
    assert caught.value.code == 0
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ser"], ["serve"]),
        (["serve", "--dicom-"], ["--dicom-host", "--dicom-port"]),
        (["serve", "--set", "dicom.max_ass"],
         ["dicom.max_associations=", "dicom.max_associations_per_peer="]),
        (["check", "--set", "http.server="], ["http.server=core", "http.server=uvicorn"]),
        (["check", "--set", "dicom.enabled=t"], ["dicom.enabled=true"]),
    ],
)  # fmt: skip
def test_the_shell_completes(words, offered, monkeypatch, capsys):
    assert complete(monkeypatch, capsys, *words) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_completion_script(shell, monkeypatch, capsys):
    monkeypatch.setenv("_VNA_COMPLETE", f"source_{shell}")
    with pytest.raises(SystemExit) as caught:
        run([])
    assert caught.value.code == 0
    assert "_VNA_COMPLETE" in capsys.readouterr().out


def test_the_explanation_covers_every_key():
    text = explain.to_toml(Settings(), explain=True)
    for key in schema():
        assert f"# {key.description}. Default: " in text


def test_the_explanation_says_who_set_a_key(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VNA__HTTP__PORT", "1")
    monkeypatch.chdir(tmp_path)
    Path("vna.toml").write_text('[dicom]\naet = "FILE"\n')
    assert run(["config", "--json", "--set", "log.level=error"]) == 0
    by_key = {entry["key"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert by_key["dicom.aet"]["source"] == "vna.toml"
    assert by_key["http.port"]["source"] == "VNA__HTTP__PORT"
    assert by_key["log.level"]["source"] == "flag log.level"
    assert by_key["http.host"]["source"] == "default"
    assert by_key["dicom.aet"]["value"] == "FILE"
    assert by_key["dicom.port"]["takes"] == "integer, at least 0, at most 65535"
    assert by_key["http.server"]["takes"] == "core or uvicorn"


def test_private_elements_are_printed_as_toml_that_reads_back(tmp_path):
    element = {"tag": "0029,1010", "vr": "OB", "name": "Header", "creator": 'A "B"'}
    file = tmp_path / "vna.toml"
    file.write_text(
        "[[dictionary.private]]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in element.items())
    )
    settings = flags.settings_of([(flags.CONFIG, str(file))])
    printed = explain.to_toml(settings, explain=True, given=gather(file, {}, {}))
    assert tomllib.loads(printed)["dictionary"]["private"] == [element]


def test_the_schema_has_every_key_and_admits_no_other():
    document = explain.json_schema()
    sections = document["$defs"]["Settings"]["properties"]
    for key in schema():
        section, _, field = key.name.partition(".")
        name = json.dumps(sections[section]).partition("#/$defs/")[2].partition('"')[0]
        assert field in document["$defs"][name]["properties"], key.name
        assert document["$defs"][name]["additionalProperties"] is False


def test_the_reference_in_the_documentation_is_up_to_date():
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == explain.to_markdown() + "\n", "vna config --markdown > docs/configuration.md"
