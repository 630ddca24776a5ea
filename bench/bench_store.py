"""C-STORE: what a server takes in, against Orthanc in turn in the same run.

Feeds in CT images of 512x512x16 bit (0.53 MB) over 1 and 4 associations and images of about 3 KB
over 1, 4 and 16, from a load generator that frames all requests before the clock starts and, on
each association, waits for an answer before it sends the next. Each run starts on empty storage and
ends when the server is idle. Each writes more than four of VNA's segments, whose sealing is part of
the figure: eight of the default 256 MiB for CT; for small objects segments are set to 4 MiB.

The figures: `per s` is instances per second from the first request until nothing was left to do;
`CPU/1000` the server's processor seconds for 1,000 instances, background work included; `PSS` its
memory, the highest sample; `x` VNA's rate over Orthanc's, the median of the rounds. `disk` is the
rate over that of 4 threads writing the same objects as files, each synced, on the same disk.

Before a figure counts, the server must list as many instances as were sent, and an instance picked
at random must come back with the very bytes of its data set.

What stability costs is measured where it costs most: small images over 4 associations, each a study
of its own, so that three resources go quiet for each. One server tells of them while others arrive
(storage.stable_age_s is 1), one not before the run is over (86400); both note what is to be told. A
run of the first ends when the last was told. `x` is its rate over that of the other, `CPU x` the
same of processor seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import (
    MemorySampler,
    Orthanc,
    Server,
    Vna,
    loadgen,
    loadgen_program,
    machine,
    send,
    storage_parent,
)
from tables import Run, by, by_server, median, megabytes, ratio, table

DISK_THREADS = 4
# Patient, study and series of an image that has all of them to itself.
TOLD_OF_EACH = 3
STABLE_AGE_S = {"told": "1", "not told": "86400"}
# After so long what arrived last is being told of.
TELLING_S = 3.0
SMALL_SEGMENT_BYTES = 4 << 20


@dataclass(frozen=True)
class Load:
    kind: str
    associations: int
    count: int

    def __str__(self) -> str:
        return f"{self.kind} x{self.associations}"


def loads(scale: float) -> list[Load]:
    """Return the loads; at scale 1 CT ones write 2.1 GB and small ones last several seconds."""
    counts = [("ct", 1, 4_000), ("ct", 4, 4_000)]
    counts += [("small", 1, 6_000), ("small", 4, 12_000), ("small", 16, 24_000)]
    return [Load(kind, associations, int(count * scale)) for kind, associations, count in counts]


def make_server(name: str, load: Load) -> Server:
    if name != "vna":
        return Orthanc(threads=load.associations)
    small = {
        "VNA__STORAGE__SEGMENT_BYTES": str(SMALL_SEGMENT_BYTES),
        "VNA__STORAGE__LARGE_OBJECT_BYTES": str(SMALL_SEGMENT_BYTES // 4),
    }
    return Vna(**(small if load.kind == "small" else {}))


def check(program: Path, server: Server, load: Load, seed: int) -> None:
    """Fail unless the server holds what it was sent."""
    stored = server.instances()
    assert stored == load.count, f"{server.name} lists {stored} instances, {load.count} were sent"
    number = random.randrange(load.count)
    with tempfile.NamedTemporaryFile() as out:
        identity = loadgen(program, "dump", kind=load.kind, seed=seed, first=number, out=out.name)
        expected = out.read()
    got = server.data_set(identity)
    assert got == expected, f"{server.name}: data set of instance {number} of {load} differs"


def run(program: Path, name: str, load: Load, seed: int) -> dict[str, Any]:
    with make_server(name, load) as server:
        server.settle()
        idle_bytes = server.pss_bytes()
        with MemorySampler(server) as memory:
            report = send(
                program,
                server,
                kind=load.kind,
                associations=load.associations,
                count=load.count,
                seed=seed,
            )
        check(program, server, load, seed)
        facts: dict[str, Any] = {
            "server": server.name,
            "version": server.version(),
            "settings": server.settings(),
            "load": str(load),
            "start_seconds": server.start_s,
            "idle_pss_bytes": idle_bytes,
            "max_pss_bytes": memory.max_bytes,
            "cpu_seconds_per_1000": report["cpu_seconds"] / load.count * 1000,
        }
        return report | facts


def stable_changes(server: Server) -> int:
    """How many resources the change feed says to have gone quiet."""
    kinds = "StablePatient;StableStudy;StableSeries"
    answer = server.get_json(f"/changes?type={kinds}&limit=1000000")
    return len(answer["Changes"])


def run_of_studies(program: Path, told: str, count: int, seed: int) -> dict[str, float]:
    """Send images that are studies of their own; return rate and processor seconds for 1,000."""
    server = Vna(
        VNA__STORAGE__STABLE_AGE_S=STABLE_AGE_S[told],
        VNA__STORAGE__SEGMENT_BYTES=str(SMALL_SEGMENT_BYTES),
        VNA__STORAGE__LARGE_OBJECT_BYTES=str(SMALL_SEGMENT_BYTES // 4),
    )
    with server:
        server.settle()
        report = send(
            program,
            server,
            kind="small",
            associations=4,
            count=count,
            seed=seed,
            per_series=1,
            per_study=1,
        )
        sent_cpu = server.cpu_seconds()
        time.sleep(TELLING_S)
        server.settle()
        cpu = report["cpu_seconds"] + server.cpu_seconds() - sent_cpu
        found, expected = stable_changes(server), count * TOLD_OF_EACH * (told == "told")
        assert found == expected, f"{found} were told, {expected} went quiet"
        return {
            "per_second": report["per_second"],
            "cpu_seconds_per_1000": cpu / count * 1000,
            "foreign_processors": report["foreign_processors"],
        }


def stability(program: Path, rounds: int, scale: float) -> str:
    """Return the Markdown table of what it costs to tell that studies went quiet."""
    runs: dict[str, list[dict[str, float]]] = {told: [] for told in STABLE_AGE_S}
    for number in range(rounds):
        for told, mine in runs.items():
            mine.append(run_of_studies(program, told, int(12_000 * scale), number))
            print(f"studies that are {told}: {mine[-1]}", flush=True)
    base = runs["not told"]
    rows = [
        [
            told, f"{median(mine, 'per_second'):,.0f}",
            f"{median(mine, 'cpu_seconds_per_1000'):.2f}", ratio(mine, base, "per_second", 2),
            ratio(mine, base, "cpu_seconds_per_1000", 2),
        ]
        for told, mine in runs.items()
    ]  # fmt: skip
    return table(("studies of one image",), ("per s", "CPU/1000 s", "x", "CPU x"), rows)


def disk_rate(program: Path, load: Load, seed: int) -> float:
    """Files per second that the disk takes, 4 threads syncing each."""
    directory = tempfile.mkdtemp(prefix="bench-files-", dir=storage_parent())
    try:
        report = loadgen(
            program,
            "files",
            kind=load.kind,
            count=min(load.count, 4_000),
            seed=seed,
            threads=DISK_THREADS,
            directory=directory,
        )
    finally:
        shutil.rmtree(directory)
    return float(report["per_second"])


def summary(runs: list[Run], disk: dict[str, float]) -> str:
    """Return the Markdown table over all loads and servers."""
    figures = (
        "per s", "MB/s", "p50 ms", "p99 ms", "CPU/1000 s", "PSS MB", "idle PSS MB", "x", "CPU x",
        "disk",
    )  # fmt: skip
    rows = []
    for (load,), of_load in by(runs, "load"):
        for name, mine, peers in by_server(of_load):
            rate = median(mine, "settled_per_second")
            latency = [run["latency_ms"] for run in mine]
            megabytes_sent = rate * mine[0]["data_set_bytes"] / mine[0]["stored"] / 1e6
            cells = [
                load, name, f"{rate:,.0f}", f"{megabytes_sent:,.0f}",
                f"{median(latency, 'p50'):.2f}", f"{median(latency, 'p99'):.2f}",
                f"{median(mine, 'cpu_seconds_per_1000'):.2f}", megabytes(mine),
                megabytes(mine, "idle_pss_bytes"), ratio(mine, peers, "settled_per_second", 2),
                ratio(mine, peers, "cpu_seconds_per_1000", 2), f"{rate / disk[load]:.2f}",
            ]  # fmt: skip
            rows.append(cells)
    return table(("load", "server"), figures, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--servers", default="orthanc,vna", help="which, in turn (%(default)s)")
    parser.add_argument("--loads", default="", help="such as 'ct x1,small x16'; all if empty")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each (%(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the instances sent")
    parser.add_argument("--json", type=Path, help="write all reports to this file")
    arguments = parser.parse_args()
    program = loadgen_program()
    wanted = [name.strip() for name in arguments.loads.split(",") if name.strip()]
    chosen = [load for load in loads(arguments.scale) if not wanted or str(load) in wanted]
    with_stability = not wanted or "stability" in wanted
    if not chosen and not with_stability:
        names = [*map(str, loads(1)), "stability"]
        parser.error(f"--loads {arguments.loads}: one of {', '.join(names)}")
    facts = machine()
    print("; ".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
    runs, disk = [], {}
    for load in chosen:
        rates = []
        for number in range(arguments.rounds):
            rates.append(disk_rate(program, load, seed=number))
            for name in arguments.servers.split(","):
                runs.append(run(program, name, load, seed=number))
                last = runs[-1]
                print(
                    f"{load} {name} {last['version']}: {last['settled_per_second']:,.0f}/s "
                    f"(answered {last['per_second']:,.0f}/s), "
                    f"CPU {last['cpu_seconds_per_1000']:.2f} s per 1,000, "
                    f"PSS {last['max_pss_bytes'] / 1e6:.0f} MB, PDU {last['max_pdu_bytes']}, "
                    f"disk {rates[-1]:,.0f} files/s, "
                    f"others used {last['foreign_processors']:.2f} processors",
                    flush=True,
                )
        disk[str(load)] = statistics.median(rates)
    print()
    for name in dict.fromkeys(run["server"] for run in runs):
        mine = [run for run in runs if run["server"] == name]
        settings = " | ".join(dict.fromkeys(json.dumps(run["settings"]) for run in mine))
        print(f"{name} {mine[-1]['version']}, settings {settings}")
    if runs:
        print("\n" + summary(runs, disk))
    if with_stability:
        print("\n" + stability(program, arguments.rounds, arguments.scale))
    if arguments.json:
        report = {"machine": facts, "disk_files_per_second": disk, "runs": runs}
        arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
