"""Query, retrieve and worklist over DICOM, against Orthanc in turn in the same run.

Feeds in 1,000 studies of one small image each, then 1,000 CT images of 512x512x16 bit (0.53 MB) as
one study. Asks for all the studies by C-FIND (ten usual return keys, 1,000 answers), moves the CT
study twice to a sink that answers at once and keeps nothing, gets it by C-GET, and stores small
images over 64 associations at once. To VNA alone: a worklist of 10,000 items, asked for those of
one station on one day.

The figures: `per s` is answers or instances per second, the median of the rounds; `CPU` the
processor seconds of the server for one request (for 1,000 instances where it is a store); `PSS` its
memory, the highest sample; `x` VNA's rate over Orthanc's, `CPU x` Orthanc's CPU over VNA's. The
client and the sink (bench/loadgen) are the same for both and take little of the processor.

The first move finds nothing of the storage in the page cache; for the second and for C-GET, Orthanc
reads from the cache, while VNA sends past it, from the disk again. Before a figure counts, each
request must end with status 0000, with as many answers or instances, and as many bytes of data
sets, as were stored.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import (
    MemorySampler,
    Orthanc,
    Server,
    Vna,
    loadgen_program,
    machine,
    public_id,
    send,
)

STUDIES = 1_000
IMAGES = 1_000
WORKLIST_ITEMS = 10_000
WORKLIST_STATIONS = 20
STORE_ASSOCIATIONS = 64
SINK_TITLE = "SINK"
RETURN_KEYS = [
    "00080020=", "00080030=", "00080050=", "00080052=STUDY", "00080061=", "00081030=", "00100010=",
    "00100020=", "00100030=", "0020000D=", "00201208=",
]  # fmt: skip


@dataclass
class Figures:
    """What a server did in all rounds, by what was asked."""

    rates: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    max_pss_bytes: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, rate: float, cpu: float, pss: int) -> None:
        self.rates.setdefault(name, []).append(rate)
        self.cpu.setdefault(name, []).append(cpu)
        self.max_pss_bytes[name] = max(pss, self.max_pss_bytes.get(name, 0))


@contextlib.contextmanager
def sink(program: Path) -> Iterator[dict[str, Any]]:
    """Run the destination; what it counted is in the mapping after the block, beside its port."""
    process = subprocess.Popen(
        [program, "sink", "--port", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told: dict[str, Any] = json.loads(process.stdout.readline())
    try:
        yield told
    finally:
        process.stdin.close()
        told |= json.loads(process.stdout.readline())
        process.wait()


def make_server(name: str, sink_port: int) -> Server:
    if name != "vna":
        modalities = {
            "sink": {"AET": SINK_TITLE, "Host": "127.0.0.1", "Port": sink_port},
            "loadgen": {"AET": "LOADGEN", "Host": "127.0.0.1", "Port": 104},
        }
        return OrthancWithModalities(modalities)
    return Vna()


class OrthancWithModalities(Orthanc):
    """The peer, knowing who asks and where to move."""

    def __init__(self, modalities: dict[str, Any]) -> None:
        super().__init__(threads=STORE_ASSOCIATIONS)
        self.modalities = modalities

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"DicomModalities": self.modalities}


def prepare(program: Path, server: Server, sink_port: int, seed: int) -> str:
    """Store what is asked for; returns the UID of the CT study."""
    if isinstance(server, Vna):
        for name, title, port in (("sink", SINK_TITLE, sink_port), ("loadgen", "LOADGEN", 104)):
            body = json.dumps({"AET": title, "Host": "127.0.0.1", "Port": port})
            status, answer = server.request("PUT", f"/modalities/{name}", body)
            assert status == 200, answer
    one_a_study = {"per_series": 1, "per_study": 1}
    send(program, server, kind="small", count=STUDIES, seed=seed, associations=4, **one_a_study)
    whole = {"kind": "ct", "count": IMAGES, "seed": seed + 1, "per_series": IMAGES}
    send(program, server, associations=2, **whole)
    first = subprocess.run(
        [program, "identities", "--kind", "ct", "--count", "1", "--seed", str(seed + 1)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    identity = json.loads(first.stdout)
    study = server.get_json(f"/studies/{public_id(identity, 2)}/statistics")
    assert study["CountInstances"] == IMAGES, study
    return str(identity["study_instance_uid"])


def asked(
    program: Path, server: Server, command: str, keys: list[str], **options: object
) -> tuple[dict[str, Any], float, int]:
    """Ask `repeat` times; returns the report, CPU seconds of one request, and the highest PSS."""
    words = [str(program), command, "--port", str(server.dicom_port)]
    words += ["--called", server.called_ae_title]
    for key in keys:
        words += ["--key", key]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    server.settle()
    before = server.cpu_seconds()
    with MemorySampler(server, 0.05) as memory:
        result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 0, f"{server.name}: {result.stderr} {server.log_tail()}"
    report: dict[str, Any] = json.loads(result.stdout)
    assert not report["failures"], f"{server.name}: {report} {server.log_tail()}"
    cpu = (server.cpu_seconds() - before) / report["requests"]
    return report, cpu, max(memory.max_bytes, server.pss_bytes())


def measure(program: Path, name: str, figures: Figures, seed: int, finds: int) -> None:
    """One round of one server on empty storage."""
    with sink(program) as destination, make_server(name, destination["port"]) as server:
        study = prepare(program, server, destination["port"], seed)
        report, cpu, pss = asked(program, server, "find", RETURN_KEYS, repeat=finds)
        per_request = report["answers"] / finds
        assert per_request == STUDIES + 1, f"{server.name}: {per_request} answers"
        figures.add("C-FIND, 1,001 answers", report["answers"] / report["seconds"], cpu, pss)

        keys = ["00080052=STUDY", f"0020000D={study}"]
        forget(server.root)
        for row in ("C-MOVE, 1,000 CT from the disk", "C-MOVE, 1,000 CT again"):
            report, cpu, pss = asked(
                program, server, "move", keys, destination=SINK_TITLE, timeout=600
            )
            assert report["completed"] == IMAGES, f"{server.name}: {report}"
            figures.add(row, IMAGES / report["seconds"], cpu, pss)

        report, cpu, pss = asked(program, server, "get", keys, timeout=600)
        assert report["stored"] == IMAGES, f"{server.name}: {report}"
        got_bytes = report["data_set_bytes"]
        figures.add("C-GET, 1,000 CT", IMAGES / report["seconds"], cpu, pss)

        count = STORE_ASSOCIATIONS * 100
        load = {"kind": "small", "associations": STORE_ASSOCIATIONS, "seed": seed + 2}
        report = send(program, server, count=count, **load)
        cpu, pss = report["cpu_seconds"] / count * 1000, server.pss_bytes()
        figures.add("C-STORE, 64 associations", report["settled_per_second"], cpu, pss)
    assert destination["instances"] == IMAGES == destination["stored"] // 2, destination
    assert destination["data_set_bytes"] == 2 * got_bytes, (destination, got_bytes)
    assert not destination["errors"], destination


def forget(folder: Path) -> None:
    """Let the page cache forget all files below a folder."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def worklist(program: Path, requests: int) -> dict[str, Any]:
    """Ask VNA for the items of one station on one day among many."""
    with Vna() as server:
        body = json.dumps({"AET": "LOADGEN", "Host": "127.0.0.1", "Port": 104})
        assert server.request("PUT", "/modalities/loadgen", body)[0] == 200
        generator = random.Random(1)
        expected = 0
        for number in range(WORKLIST_ITEMS):
            station = f"CT{generator.randrange(WORKLIST_STATIONS):02}"
            date = f"2026{generator.randrange(1, 13):02}{generator.randrange(1, 5):02}"
            expected += (station, date) == ("CT07", "20260302")
            status, answer = server.request(
                "POST", "/worklists/create", item(number, station, date)
            )
            assert status == 200, answer
        keys = [
            "00080050=", "00080060=CT", "00100010=", "00100020=", "0020000D=", "00321060=",
            "00400001=CT07", "00400002=20260302", "00400003=", "00400009=",
        ]  # fmt: skip
        report, cpu, pss = asked(program, server, "find", keys, model="worklist", repeat=requests)
        assert report["answers"] == expected * requests, (report, expected)
        return report | {"cpu": cpu, "pss": pss, "expected": expected}


def item(number: int, station: str, date: str) -> str:
    """Return the body that creates one worklist item."""
    step = {
        "Modality": "CT",
        "ScheduledStationAETitle": station,
        "ScheduledProcedureStepStartDate": date,
        "ScheduledProcedureStepStartTime": f"{8 + number % 10:02}3000",
        "ScheduledProcedureStepID": f"SPS{number}",
    }
    tags = {
        "PatientID": f"P{number}",
        "PatientName": f"FAMILY{number % 997}^GIVEN",
        "AccessionNumber": f"A{number}",
        "StudyInstanceUID": f"2.25.{10**20 + number}",
        "RequestedProcedureDescription": "CT Abdomen",
        "ScheduledProcedureStepSequence": [step],
    }
    return json.dumps({"Tags": tags})


def table(figures: dict[str, Figures]) -> str:
    """Return the Markdown table over all servers."""
    lines = [
        "| request | server | per s | CPU s | PSS MB | x | CPU x |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name in next(iter(figures.values())).rates:
        for server, found in figures.items():
            rate, cpu = statistics.median(found.rates[name]), statistics.median(found.cpu[name])
            ratios = "| | |"
            if server == "vna" and "orthanc" in figures:
                peer = figures["orthanc"]
                rates = [a / b for a, b in zip(found.rates[name], peer.rates[name], strict=True)]
                cpus = [b / a for a, b in zip(found.cpu[name], peer.cpu[name], strict=True)]
                ratios = f"| {statistics.median(rates):.1f} | {statistics.median(cpus):.1f} |"
            pss = found.max_pss_bytes[name] / 1e6
            lines.append(f"| {name} | {server} | {rate:,.0f} | {cpu:.2f} | {pss:.0f} {ratios}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--servers", default="vna,orthanc")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--finds", type=int, default=10, help="C-FIND requests a round")
    parser.add_argument("--worklist-requests", type=int, default=100)
    arguments = parser.parse_args()
    program = loadgen_program()
    names = arguments.servers.split(",")
    figures = {name: Figures() for name in names}
    for number in range(arguments.rounds):
        # In turn, so that a change of the machine's pace touches all.
        for name in names if number % 2 == 0 else reversed(names):
            measure(program, name, figures[name], 100 * number + 1, arguments.finds)
    print(json.dumps(machine()))
    if "orthanc" in names:
        with Orthanc(threads=1) as peer:
            print(f"Orthanc {peer.version()}, {json.dumps(peer.settings())}")
    print(f"\n{table(figures)}\n")
    if "vna" in names:
        report = worklist(program, arguments.worklist_requests)
        latency = report["latency_ms"]
        print(
            f"Worklist of {WORKLIST_ITEMS:,} items, {report['expected']} answers: "
            f"p50 {latency['p50']:.1f} ms, p95 {latency['p95']:.1f} ms, "
            f"CPU {report['cpu'] * 1000:.1f} ms a query, PSS {report['pss'] / 1e6:.0f} MB"
        )


if __name__ == "__main__":
    main()
