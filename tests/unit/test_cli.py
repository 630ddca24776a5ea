import os
import subprocess
import sys


def server_program(before, *flags):
    """Return a program that runs `before` and then a server on free ports."""
    arguments = ["serve", "--http-port=0", "--dicom-host=127.0.0.1", "--dicom-port=0", *flags]
    return [sys.executable, "-c", f"{before}\nfrom vna.cli.main import main\nmain({arguments})"]


def test_a_server_whose_http_side_ends_by_itself_fails_and_says_why(tmp_path):
    before = """
from vna.rest import server
class Failing:
    async def serve(self): raise RuntimeError("no more")
    def stop(self): pass
server.create = lambda *_: Failing()
"""
    program = server_program(before, f"--root={tmp_path}")
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "the HTTP server ended by itself" in done.stderr
    assert "RuntimeError: no more" in done.stderr


def test_a_missing_uvicorn_is_told_before_the_archive_is_opened(tmp_path):
    program = server_program(
        "import sys; sys.modules['uvicorn'] = None",
        f"--root={tmp_path / 'data'}",
        "--set=http.server=uvicorn",
    )
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "vna: http.server: uvicorn is not installed" in done.stderr
    assert not (tmp_path / "data").exists()


def test_an_error_after_the_archive_was_opened_closes_it(tmp_path):
    before = """
from vna.rest import server
from vna.errors import SettingsError
def create(*_): raise SettingsError("none today")
server.create = create
"""
    program = server_program(before, f"--root={tmp_path}")
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "vna: none today" in done.stderr
    assert "stopped" in done.stderr


def test_a_signal_during_a_long_recovery_ends_the_start(tmp_path):
    before = """
import time
from vna.cli import serve
def open_slowly(settings):
    print("opening", flush=True)
    time.sleep(600)
serve.Archive = open_slowly
"""
    program = server_program(before, f"--root={tmp_path}")
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stdout.readline() == b"opening\n"
        server.terminate()
        assert server.wait(60) == 0
        assert b"stopped while the archive was being opened" in server.stderr.read()


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
