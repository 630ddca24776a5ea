import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vna.cli.importing import ByteBudget, Uploads, files_of, import_one
from vna.errors import VnaError


def test_folders_are_walked_in_a_steady_order_and_links_to_nothing_passed_over(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/2", "b/1", "a", "c"):
        (tmp_path / name).write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    found = [path.relative_to(tmp_path).as_posix() for path in files_of([tmp_path], pytest.fail)]
    assert found == ["a", "b/1", "b/2", "c"]


def test_links_to_folders_are_followed_only_where_they_are_given(tmp_path, capsys):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("")
    (tmp_path / "real/round").symlink_to(tmp_path / "real")
    (tmp_path / "given").symlink_to(tmp_path / "real")
    assert list(files_of([tmp_path / "given"], pytest.fail)) == [tmp_path / "given/file"]
    assert f"{tmp_path / 'given/round'}: a link to a folder" in capsys.readouterr().err


def test_a_folder_that_cannot_be_read_is_told_and_the_rest_imported(tmp_path, monkeypatch):
    for name in ("a/1", "b/2", "c/3"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    iterdir = Path.iterdir

    def guarded(path):  # permissions do not hold for root, who may be running this
        if path.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", guarded)
    failures = []
    found = list(files_of([tmp_path], lambda path, error: failures.append(path)))
    assert found == [tmp_path / "a/1", tmp_path / "c/3"]
    assert failures == [tmp_path / "b"]


@contextlib.contextmanager
def peer(*answers):
    """Yield the URL of a server that gives each connection one answer and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


STORED = b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"Status":"Success"}'


def test_a_kept_connection_that_the_server_closed_is_made_anew():
    with peer(STORED, STORED) as url:
        uploads = Uploads(url)
        for _ in range(2):
            assert uploads.request("POST", "/instances", b"x") == b'{"Status":"Success"}'


async def test_an_answer_that_is_no_http_is_a_failure_of_that_file(tmp_path, capsys):
    (tmp_path / "image").write_bytes(b"x")
    with peer(b"SSH-2.0-OpenSSH\r\n") as url:
        status = await import_one(tmp_path / "image", Uploads(url).store, ByteBudget(100))
    assert status == "failed"
    assert f"{tmp_path / 'image'}: failed: " in capsys.readouterr().err


def test_a_refusal_before_the_body_is_read_is_told_instead_of_the_broken_pipe():
    refusal = b'HTTP/1.1 413 X\r\nContent-Length: 23\r\n\r\n{"Details":"over limit"}'
    with peer(refusal) as url, pytest.raises(VnaError, match="over limit"):
        Uploads(url).request("POST", "/instances", bytes(50_000_000))


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
    time.sleep(60)
serve.Archive = open_slowly
"""
    program = server_program(before, f"--root={tmp_path}")
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stdout.readline() == b"opening\n"
        server.terminate()
        assert server.wait(10) == 0
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
