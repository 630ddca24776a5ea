"""QIDO-RS: how fast searches of DICOMweb are answered, against Orthanc's plugin in the same run.

Feeds in the data of bench_rest (999 studies of two small MR images, one of 200 CT images), the same
to both servers, and then searches over 1 and 4 kept connections, each waiting for its answer before
it asks again: studies by PatientID; the study list of a viewer (pages of 100 studies, with the
attributes that OHIF asks for); the series of a study; pages of 100 of the 200 instances of a
series. Both servers keep running; they are asked one after the other,
for the same time, in each round.

`cold` is the first search of a kind after a start, in milliseconds, the median of a start a round:
of a server whose files are in the page cache of the system (`started`), of one whose files had left
it before it started (`dropped, started`), and of one that runs and whose files left it just now
(`started, dropped`). The other figures are those of bench_rest. `asked` is what is wanted of `x`.

Before anything is timed, the results are compared with what the generator knows it sent.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_rest import CT, SMALL, STUDIES, Request, fill, get, identities, measure, summary
from servers import OrthancWeb, Server, Vna, drop_cached, loadgen_program, machine
from tables import Run, by, by_server, median, ratio, table

ROOT = "/dicom-web"
PAGE = 100
VIEWER = "includefield=00081030%2C00080060&fuzzymatching=false"

Result = dict[str, Any]


def value(result: Result, tag: str) -> Any:
    """Return the first value of an attribute of DICOM JSON."""
    return result[tag]["Value"][0]


@dataclass
class Asked:
    """A server that holds the data, and what is known of it."""

    server: Server
    small: list[dict[str, str]]
    ct: list[dict[str, str]]

    def found(self, path: str) -> list[Result]:
        """Return what a search finds."""
        results: list[Result] = self.server.get_json(path)
        return results

    # One method a load: what to ask. Each checks an answer first.

    def by_patient(self) -> list[Request]:
        paths = [f"{ROOT}/studies?PatientID={one['patient_id']}" for one in self.small]
        (study,) = self.found(paths[0])
        assert value(study, "0020000D") == self.small[0]["study_instance_uid"], study
        assert value(study, "00201208") == 2, study
        return [get(path) for path in paths]

    def study_list(self) -> list[Request]:
        starts = range(0, STUDIES, PAGE)
        paths = [f"{ROOT}/studies?limit={PAGE}&offset={start}&{VIEWER}" for start in starts]
        known = {one["study_instance_uid"] for one in (*self.small, *self.ct)}
        found = [value(study, "0020000D") for path in paths for study in self.found(path)]
        assert sorted(found) == sorted(known), f"{len(found)} of {len(known)} studies"
        return [get(path) for path in paths]

    def series(self) -> list[Request]:
        studies = list(dict.fromkeys(one["study_instance_uid"] for one in self.small))
        paths = [f"{ROOT}/studies/{study}/series" for study in studies]
        (series,) = self.found(paths[0])
        assert value(series, "0020000E") == self.small[0]["series_instance_uid"], series
        return [get(path) for path in paths]

    def instances(self) -> list[Request]:
        study, series = self.ct[0]["study_instance_uid"], self.ct[0]["series_instance_uid"]
        path = f"{ROOT}/studies/{study}/series/{series}/instances"
        paths = [f"{path}?limit={PAGE}&offset={start}" for start in range(0, len(self.ct), PAGE)]
        found = [one for page in paths for one in self.found(page)]
        known = sorted(one["sop_instance_uid"] for one in self.ct)
        assert sorted(value(one, "00080018") for one in found) == known, f"{len(found)} instances"
        return [get(page) for page in paths]


@dataclass(frozen=True)
class Load:
    """A kind of search, and what is wanted of the ratios."""

    name: str
    requests: Callable[[Asked], list[Request]]
    asked: str = ""


LOADS = [
    Load("studies by PatientID", Asked.by_patient, "10"),
    Load("page of 100 studies", Asked.study_list),
    Load("series of a study", Asked.series),
    Load("page of 100 instances", Asked.instances, "10"),
]


COLD = ("started", "dropped, started", "started, dropped")


def cold_ms(server: Server, state: str, request: Request) -> float:
    """Return how long a server that has just started takes for its first search."""
    server.stop()
    if state == "dropped, started":
        drop_cached(server.root)
    server.start()
    if state == "started, dropped":
        drop_cached(server.root)
    began = time.perf_counter()
    server.get_json(request["path"])
    return 1000 * (time.perf_counter() - began)


def cold_table(cold: list[Run]) -> str:
    rows = [
        [load, state, name, f"{median(mine, 'ms'):.1f}", ratio(peers, mine, "ms") if peers else ""]
        for (load, state), of_load in by(cold, "load", "state")
        for name, mine, peers in by_server(of_load)
    ]
    return table(("cold search", "state", "server"), ("ms", "x"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--servers", default="orthanc,vna", help="which, in turn (%(default)s)")
    parser.add_argument("--clients", default="1,4", help="connections at a time (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="length of each (%(default)s)")
    parser.add_argument("--json", type=Path, help="write all reports to this file")
    arguments = parser.parse_args()
    program = loadgen_program()
    facts = machine()
    print("; ".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
    made: dict[str, Callable[[], Server]] = {"orthanc": lambda: OrthancWeb(threads=4), "vna": Vna}
    small, ct = identities(program, SMALL), identities(program, CT)
    servers = [made[name]() for name in arguments.servers.split(",")]
    runs: list[Run] = []
    cold: list[Run] = []
    try:
        for server in servers:
            server.start()
            fill(program, server)
            print(f"{server.name} {server.version()}, settings {json.dumps(server.settings())}")
        holders = [Asked(server, small, ct) for server in servers]
        for load in LOADS:
            requests = [load.requests(holder) for holder in holders]
            for _ in range(arguments.rounds):
                for state in COLD:
                    for server, asked in zip(servers, requests, strict=True):
                        found = cold_ms(server, state, asked[0])
                        of = {"load": load.name, "state": state, "server": server.name}
                        cold.append(of | {"ms": found})
            for clients in map(int, arguments.clients.split(",")):
                for _ in range(arguments.rounds):
                    for server, asked in zip(servers, requests, strict=True):
                        report = measure(program, server, asked, clients, arguments.seconds)
                        runs.append(report | {"load": load.name, "asked": load.asked})
    finally:
        for server in servers:
            server.remove()
    print("\n" + summary(runs) + "\n\n" + cold_table(cold))
    if arguments.json:
        reports = {"machine": facts, "runs": runs, "cold": cold}
        arguments.json.write_text(json.dumps(reports, indent=1))


if __name__ == "__main__":
    main()
