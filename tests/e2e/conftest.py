"""Fixtures of servers and tools."""

import contextlib
import os
import shutil
import subprocess

import pytest
from support import Server


@pytest.fixture(scope="module")
def start_server(tmp_path_factory):
    """Start servers that end with the module; each on a folder of its own unless one is given."""
    started = []

    def start(*flags, root=None, environment=None):
        folder = root or tmp_path_factory.mktemp("archive") / "data"
        server = Server(folder, *flags, environment=environment)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
        with contextlib.suppress(OSError):
            server.log_file.close()


@pytest.fixture(scope="module")
def server(start_server):
    return start_server()


@pytest.fixture(scope="session")
def dcmtk():
    """Run a DCMTK tool; `make test` installs them."""

    def run(tool, *arguments):
        path = shutil.which(tool)
        assert path, f"{tool} is missing: install dcmtk, as make test does"
        return subprocess.run([path, *arguments], capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def small_disk(tmp_path):
    """Yield a folder on a file system of its own that soon is full; only root can mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "small"
    folder.mkdir()
    size = "size=120m"  # 64 MiB of it are kept for deletions
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", folder]).returncode != 0:
        pytest.skip("cannot mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
