import os
import subprocess
import sys

import pytest

from vna.cli.explain import to_toml
from vna.cli.importing import files_of
from vna.cli.main import parser, settings_of
from vna.settings import Settings, schema


def test_flags_stand_for_keys_in_the_order_they_were_given():
    parsed = parser().parse_args(
        ["serve", "--root=/a", "--aet", "ONE", "--set", "dicom.aet=TWO", "--http-port=1"]
    )
    settings = settings_of(parsed)
    assert settings.storage.root == "/a"
    assert settings.dicom.aet == "TWO"
    assert settings.http.port == 1


def test_two_parses_share_nothing():
    parser().parse_args(["serve", "--aet=ONE"])
    assert parser().parse_args(["serve"]).flags == {}


@pytest.mark.parametrize(
    "arguments", [[], ["unheard-of"], ["serve", "--set", "dicom.aet"], ["serve", "--htt", "x"]]
)
def test_what_cannot_be_read_is_a_usage_error(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_explanation_covers_every_key():
    text = to_toml(Settings(), explain=True)
    for key in schema():
        assert f"# {key.description}. Default: " in text


def test_folders_are_walked_in_a_steady_order_and_links_to_nothing_passed_over(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/2", "b/1", "a", "c"):
        (tmp_path / name).write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    found = [path.relative_to(tmp_path).as_posix() for path in files_of([tmp_path])]
    assert found == ["a", "b/1", "b/2", "c"]


def test_a_forked_child_of_a_server_ends_at_once():
    program = (
        "import os, sys; from vna.cli.serve import refuse_forks; refuse_forks(); "
        "child = os.fork(); "
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 70
    assert "does not fork" in done.stderr


def test_a_program_that_a_server_starts_runs():
    program = (
        "import subprocess, sys; from vna.cli.serve import refuse_forks; refuse_forks(); "
        "sys.exit(subprocess.run(['true'], cwd='/').returncode)"
    )
    done = subprocess.run([sys.executable, "-c", program], env=os.environ, timeout=60)
    assert done.returncode == 0
