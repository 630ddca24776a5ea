"""What a server costs that nobody uses: modules, memory, time to start."""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support import START_S, VNA, make_instance
from support_ports import free_port

# Every package that an idle server may have loaded: another one is a decision about each server's
# memory. What a sitecustomize or the installer's hooks bring is not ours.
PACKAGES_AT_IDLE = {
    "anyio",
    "msgspec",
    "python_multipart",
    "sniffio",
    "starlette",
    "typing_extensions",
    "vna",
}
NOT_OURS = {"_distutils_hack", "sitecustomize", "usercustomize", "org"}
# Of the command line no more than what `serve` is made of; nothing for scripts at all.
COMMAND_LINE_AT_IDLE = {"exits", "flags", "main", "running", "serve"}
NEVER_AT_IDLE = {"vna.client", "vna.dataset", "vna.services.elements"}
IDLE_PSS_KB = 36 * 1024
START_TO_ANSWER_S = 1.0


def pss_kb(pid):
    """Return the proportional set size of a process and all below it."""
    total = 0
    for entry in [pid, *children(pid)]:
        text = Path(f"/proc/{entry}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[1])
    return total


def processor_s(pid):
    """Return the seconds of processor time that a process and all below it used."""
    total = 0
    for entry in [pid, *children(pid)]:
        fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])  # utime and stime, behind comm and state
    return total / os.sysconf("SC_CLK_TCK")


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [child, *children(child)]
    return found


def test_the_modules_loaded_at_idle_are_those_that_are_listed(start_server):
    server = start_server(environment={"PYTHONPROFILEIMPORTTIME": "1"})
    server.get("/system")
    loaded = set(re.findall(r"^import time:.*\| +([\w.]+)$", server.output(), re.MULTILINE))
    assert {"vna.rest.app", "msgspec", "asyncio"} <= loaded  # the output was understood
    packages = {name.split(".")[0] for name in loaded} - sys.stdlib_module_names - NOT_OURS
    # Files that the interpreter reads at its start, as those of editable installs.
    packages = {name for name in packages if not name.startswith("__editable__")}
    assert packages <= PACKAGES_AT_IDLE
    cli = {name.removeprefix("vna.cli.") for name in loaded if name.startswith("vna.cli.")}
    assert cli <= COMMAND_LINE_AT_IDLE
    assert not loaded & NEVER_AT_IDLE


def test_idle_memory_stays_small(start_server):
    server = start_server()
    server.get("/system")
    time.sleep(0.5)
    used = pss_kb(server.process.pid)
    assert used < IDLE_PSS_KB, f"{used} kB"


def test_memory_for_pictures_goes_back_when_they_are_made(start_server):
    server = start_server()
    ids = [server.upload(make_instance(size=2 * 1500 * 1500))["ID"] for _ in range(8)]

    def show(public_id):
        assert len(server.http.get(f"/instances/{public_id}/rendered").content) > 100_000

    before = pss_kb(server.process.pid)
    with ThreadPoolExecutor(len(ids)) as threads:
        list(threads.map(show, ids))
    end = time.monotonic() + 60
    while (used := pss_kb(server.process.pid)) > before + 20 * 1024:
        assert time.monotonic() < end, f"{used} kB, {before} before"
        time.sleep(0.5)


def test_the_first_answer_comes_within_a_second(tmp_path):
    best = min(time_to_answer(tmp_path / str(attempt)) for attempt in range(3))
    assert best < START_TO_ANSWER_S


def time_to_answer(root):
    """Return the seconds of processor time from the start of a server to its first HTTP answer.

    Those of the clock are the scheduler's, where others are at work.
    """
    import http.client

    port = free_port()
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
                return processor_s(process.pid)
            finally:
                connection.close()
        raise AssertionError(f"no answer within {START_S} s")
    finally:
        process.kill()
        process.wait()
