"""What a server costs that nobody uses: modules, memory, time to start."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from support import START_S, VNA

# Heavy packages, imported at first use or not at all.
NEVER_AT_IDLE = {
    "cryptography",
    "fastapi",
    "grpc",
    "numpy",
    "pandas",
    "pydantic",
    "pydicom",
    "pynetdicom",
    "rich.progress",
    "sqlalchemy",
    "sqlite3",
    "structlog",
    "uvicorn",
    "vna.client",
    "vna.dataset",
}
IDLE_PSS_KB = 70 * 1024
START_TO_ANSWER_S = 1.0


def pss_kb(pid):
    """Return the proportional set size of a process and all below it."""
    total = 0
    for entry in [pid, *children(pid)]:
        text = Path(f"/proc/{entry}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[1])
    return total


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [child, *children(child)]
    return found


def test_no_heavy_module_is_loaded_at_idle(start_server):
    server = start_server(environment={"PYTHONPROFILEIMPORTTIME": "1"})
    server.get("/system")
    loaded = set(re.findall(r"^import time:.*\| +([\w.]+)$", server.output(), re.MULTILINE))
    assert {"vna.rest.app", "starlette.routing", "asyncio"} <= loaded  # the output was understood
    assert not {
        name for name in loaded if name in NEVER_AT_IDLE or name.split(".")[0] in NEVER_AT_IDLE
    }


def test_idle_memory_stays_small(start_server):
    server = start_server()
    server.get("/system")
    time.sleep(0.5)
    used = pss_kb(server.process.pid)
    assert used < IDLE_PSS_KB, f"{used} kB"


def test_the_first_answer_comes_within_a_second(tmp_path):
    best = min(time_to_answer(tmp_path / str(attempt)) for attempt in range(5))
    if (os.cpu_count() or 1) < 2:
        pytest.skip("one core: the figure would be the scheduler's")
    assert best < START_TO_ANSWER_S


def time_to_answer(root):
    """Return seconds from the start of the process to its first HTTP answer."""
    import http.client
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.monotonic()
    flags = [f"--root={root}", f"--http-port={port}", "--dicom-host=127.0.0.1", "--dicom-port=0"]
    process = subprocess.Popen([VNA, "serve", *flags], stderr=subprocess.DEVNULL)
    try:
        while time.monotonic() - started < START_S:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            try:
                connection.request("GET", "/system")
                assert connection.getresponse().status == 200
            except OSError:
                time.sleep(0.002)
            else:
                return time.monotonic() - started
            finally:
                connection.close()
        raise AssertionError(f"no answer within {START_S} s")
    finally:
        process.kill()
        process.wait()
