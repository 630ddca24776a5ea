"""The script that `make` calls first, on machines made of stand-ins."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "ext/prerequisites.sh"


class Machine:
    """A PATH with the tools that the script needs, and stand-ins for those that it asks about."""

    def __init__(self, folder, user_id):
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in (
            "bash",
            "sed",
            "sort",
            "head",
            "cut",
            "cat",
            "chmod",
            "touch",
            "dirname",
            "uname",
        ):
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.tool("id", f"echo {user_id}")
        for tool in ("cc", "c++", "cmake", "nasm", "python3"):
            self.tool(tool, "exit 0")

    def tool(self, name, script):
        path = self.bin / name
        path.write_text(f"#!{self.bin / 'bash'}\n{script}\n")
        path.chmod(0o755)

    def run(self, mode, **further):
        command = [shutil.which("bash"), SCRIPT, mode]
        environment = {"PATH": str(self.bin), "BIN": str(self.bin), **further}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def machine(tmp_path):
    def make(user_id):
        machine = Machine(tmp_path, user_id)
        # Lists are empty until they are updated; what is installed is there afterwards.
        machine.tool(
            "apt-cache",
            '[ -e "$BIN/updated" ] && echo "  Candidate: 1.85.0+dfsg3-1" || true',
        )
        machine.tool(
            "apt-get",
            """
case "$*" in
update*) touch "$BIN/updated" ;;
*rustc*)
    [ -e "$BIN/updated" ] || exit 100
    printf '#!%s/bash\\necho rustc 1.85.0\\n' "$BIN" >"$BIN/rustc"
    chmod +x "$BIN/rustc"
    cat "$BIN/rustc" >"$BIN/cargo"
    chmod +x "$BIN/cargo" ;;
esac
""",
        )
        return machine

    return make


def test_root_on_an_image_with_empty_lists_gets_the_compiler_of_the_system(machine):
    root = machine(0)
    done = root.run("build")
    assert done.returncode == 0, done.stderr
    assert os.access(root.bin / "cargo", os.X_OK)


def test_others_are_told_what_to_install(machine):
    done = machine(1000).run("build")
    assert done.returncode == 1
    assert "vna needs Rust 1.85 or newer, found none" in done.stderr


def test_the_linters_are_named_to_who_cannot_install_them(machine):
    user = machine(1000)
    user.tool("cargo", 'echo "error: no such command: $1" >&2; exit 101')
    done = user.run("lint")
    assert done.returncode == 1
    assert "sudo apt-get install rust-clippy rustfmt" in done.stderr


def test_the_linters_come_from_rustup_where_it_is(machine):
    user = machine(1000)
    user.tool("cargo", "[ $1 = clippy ]")
    user.tool("rustup", 'echo "rustup $*"')
    done = user.run("lint")
    assert (done.returncode, done.stdout) == (0, "rustup component add rustfmt\n")


@pytest.fixture
def without_apt(tmp_path):
    machine = Machine(tmp_path, 1000)
    for tool in ("storescu", "echoscu", "openssl"):
        machine.tool(tool, "exit 0")
    return machine


def test_where_the_peer_cannot_be_had_the_other_tests_go_on(without_apt):
    done = without_apt.run("test")
    assert done.returncode == 0
    assert "no Orthanc: it comes from Debian's packages, which need apt" in done.stderr


def test_continuous_integration_does_not_go_on_without_the_peer(without_apt):
    assert without_apt.run("test", CI="true").returncode == 1
