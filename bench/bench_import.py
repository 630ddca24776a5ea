"""`vna import`: files of a disk into an archive, against what the disk itself takes.

Feeds in folders of CT images of 512x512x16 bit (0.53 MB) and of images of about 3 KB, which the
load generator writes with 4 threads that sync each file. That is the disk limit (`disk`), and the
folder that is then imported: into an archive that no server has open (`folder`), and through a
running server (`server`). The files are in the page cache by then, so that the figure is that of
storing, not of reading. Each import goes into an empty archive on the same disk.

The figures: `per s` is files per second over the whole life of the command, from its start to its
end, start of the interpreter, opening and closing of the archive included; `disk` its share of the
disk limit of the same round; `CPU/1000` processor seconds for 1,000 files, of the server too; `RSS`
the largest resident memory of the command. Medians of the rounds.

Before a figure counts, the summary must say that all files were stored and nothing else, a server
on the archive must list as many, and one picked at random must come back with the very bytes of its
data set.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import Vna, busy_seconds, loadgen, loadgen_program, machine, storage_parent

DISK_THREADS = 4
# Asked: a share of the disk limit for CT images, files per second for small ones.
TARGETS = {"ct": "at least 0.70 of the disk", "small": "at least 4,000/s"}


@dataclass(frozen=True)
class Load:
    kind: str
    count: int


def write_files(program: Path, load: Load, seed: int, folder: Path) -> float:
    """Write the files of a load, each synced; returns how many the disk took in a second."""
    report = loadgen(
        program,
        "files",
        kind=load.kind,
        count=load.count,
        seed=seed,
        threads=DISK_THREADS,
        directory=folder,
    )
    return float(report["per_second"])


def run_import(server: Vna, folder: Path, through_server: bool) -> dict[str, Any]:
    """Run the command once; returns its summary with time, processor seconds and memory."""
    target = f"--url=http://127.0.0.1:{server.http_port}"
    if not through_server:
        target = f"--root={server.storage()}"
    before = server.cpu_seconds() if through_server else 0.0
    busy, began = busy_seconds(), time.perf_counter()
    command = [str(server.program()), "import", "--json", target, str(folder)]
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{command} ended with {process.returncode}"
        out.seek(0)
        summary: dict[str, Any] = json.loads(out.read())
    cpu = usage.ru_utime + usage.ru_stime
    if through_server:
        cpu += server.cpu_seconds() - before
    foreign = (busy_seconds() - busy - cpu) / seconds
    memory = usage.ru_maxrss * 1024
    return summary | {"seconds": seconds, "cpu": cpu, "memory": memory, "foreign": foreign}


def check(program: Path, server: Vna, load: Load, seed: int, summary: dict[str, Any]) -> None:
    """Fail unless the archive holds what was imported."""
    others = ("Duplicate", "Conflicting", "Skipped", "Refused", "Failed", "Resumed")
    assert summary["Stored"] == load.count, summary
    assert not any(summary[kind] for kind in others), summary
    assert server.instances() == load.count
    number = random.randrange(load.count)
    with tempfile.NamedTemporaryFile() as out:
        identity = loadgen(program, "dump", kind=load.kind, seed=seed, first=number, out=out.name)
        expected = out.read()
    assert server.data_set(identity) == expected, f"data set {number} of {load} differs"


def measure(program: Path, load: Load, way: str, seed: int, folder: Path) -> dict[str, Any]:
    server = Vna()
    try:
        if way == "server":
            server.start()
        summary = run_import(server, folder, way == "server")
        if way == "folder":
            server.start()
        check(program, server, load, seed, summary)
    finally:
        server.remove()
    rate = load.count / summary["seconds"]
    cpu = summary["cpu"] / load.count * 1000
    return {
        "load": load.kind,
        "way": way,
        "rate": rate,
        "bytes": summary["Bytes"],
        "cpu": cpu,
        "memory": summary["memory"],
        "foreign": summary["foreign"],
    }


def table(runs: list[dict[str, Any]]) -> str:
    """Return the Markdown table over all loads and ways."""
    lines = [
        "| files | into | per s | MB/s | disk per s | disk | CPU/1000 s | RSS MB | asked |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for load, way in dict.fromkeys((run["load"], run["way"]) for run in runs):
        mine = [run for run in runs if (run["load"], run["way"]) == (load, way)]

        def median(key: str, mine: list[dict[str, Any]] = mine) -> float:
            return statistics.median(run[key] for run in mine)

        share = statistics.median(run["rate"] / run["disk"] for run in mine)
        megabytes = statistics.median(run["rate"] * run["bytes"] / run["count"] for run in mine)
        lines.append(
            f"| {load} | {way} | {median('rate'):,.0f} | {megabytes / 1e6:,.0f} "
            f"| {median('disk'):,.0f} | {share:.2f} | {median('cpu'):.2f} "
            f"| {median('memory') / 1e6:.0f} | {TARGETS[load] if way == 'folder' else ''} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--ct", type=int, default=4_000, help="CT images (%(default)s)")
    parser.add_argument("--small", type=int, default=100_000, help="small images (%(default)s)")
    parser.add_argument("--ways", default="folder,server", help="which (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (%(default)s)")
    arguments = parser.parse_args()
    program = loadgen_program()
    print("; ".join(f"{name}: {value}" for name, value in machine().items()), flush=True)
    runs = []
    for load in (Load("ct", arguments.ct), Load("small", arguments.small)):
        if not load.count:
            continue
        for seed in range(arguments.rounds):
            for way in arguments.ways.split(","):
                folder = Path(tempfile.mkdtemp(prefix="bench-files-", dir=storage_parent()))
                try:
                    disk = write_files(program, load, seed, folder)
                    run = measure(program, load, way, seed, folder)
                finally:
                    shutil.rmtree(folder)
                runs.append(run | {"disk": disk, "count": load.count})
                print(
                    f"{load.kind} {way}: {run['rate']:,.0f}/s, disk {disk:,.0f}/s, "
                    f"{run['rate'] / disk:.2f} of it; CPU {run['cpu']:.2f} s per 1,000; "
                    f"RSS {run['memory'] / 1e6:.0f} MB; "
                    f"others used {run['foreign']:.2f} processors",
                    flush=True,
                )
    print("\n" + table(runs))


if __name__ == "__main__":
    main()
