"""REST: how fast questions are answered, against Orthanc in turn in the same run.

Feeds in 999 studies of two MR images of about 3 KB and one of 200 CT images (0.53 MB), the same to
both servers, and then asks over 1 and 4 kept connections, each waiting for its answer before it
asks again: single instances and studies, the tags of CT images, all 1,000 studies whole (as a list
and as a search by a range of dates), pages of 100 changes, whole CT files. Both servers keep
running; they are asked one after the other, for the same time, in each round, from a load generator
that framed its requests before and takes answers apart no further than to know their end.

The figures: `per s` is answers per second; `CPU/1000` the server's processor seconds for 1,000
answers, of all its processes; `PSS` its memory, the highest sample; `x` VNA's rate over Orthanc's,
`CPU x` its processor time over Orthanc's, of the medians of the rounds. `asked` is what is wanted
of `x`, and of `CPU x` where it is said. Generator and servers share the processors.

Before anything is timed, the answers are compared with what the generator knows it sent.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import (
    MemorySampler,
    Orthanc,
    Server,
    Vna,
    ask,
    loadgen,
    loadgen_command,
    loadgen_program,
    machine,
    public_id,
    send,
)
from tables import Run, by, by_server, median, megabytes, ratio, table

STUDIES = 1_000
SMALL = {"kind": "small", "seed": 1, "per_series": 2, "per_study": 1, "count": 2 * (STUDIES - 1)}
CT = {"kind": "ct", "seed": 2, "per_series": 200, "per_study": 1, "count": 200}
CHANGES_PAGE = 100

Request = dict[str, str]


def get(path: str) -> Request:
    return {"path": path}


@dataclass
class Asked:
    """A server that holds the data, and what is known of it."""

    program: Path
    server: Server
    small: list[dict[str, str]]
    ct: list[dict[str, str]]

    def instance_ids(self, identities: list[dict[str, str]]) -> list[str]:
        return [public_id(identity, 4) for identity in identities]

    def tags_of(self, form: str) -> list[Request]:
        return [get(f"/instances/{one}/{form}") for one in self.instance_ids(self.ct)]

    # One method a load: what to ask. Each checks an answer first.

    def instance(self) -> list[Request]:
        for identity in (self.small[0], self.ct[-1]):
            found = self.server.get_json(f"/instances/{public_id(identity, 4)}")
            assert found["MainDicomTags"]["SOPInstanceUID"] == identity["sop_instance_uid"], found
            assert found["ParentSeries"] == public_id(identity, 3), found
        return [get(f"/instances/{one}") for one in self.instance_ids(self.small)]

    def study(self) -> list[Request]:
        for identity in (self.small[0], self.ct[-1]):
            check_study(self.server.get_json(f"/studies/{public_id(identity, 2)}"), identity)
        return [get(f"/studies/{public_id(identity, 2)}") for identity in self.small]

    def simplified_tags(self) -> list[Request]:
        identity = self.ct[3]
        path = f"/instances/{public_id(identity, 4)}/simplified-tags"
        found = self.server.get_json(path)
        assert found["SOPInstanceUID"] == identity["sop_instance_uid"], found
        assert found["PatientName"] == f"Load^Generator {identity['patient_id']}", found
        # As a client reads them: sequences are lists, numbers are text, pixels are left out.
        request = found["RequestAttributesSequence"][0]
        assert request["ScheduledProcedureStepID"] == "SPS0001", found
        assert (found["Rows"], found["PixelData"]) == ("512", None), found
        return self.tags_of("simplified-tags")

    def tags(self) -> list[Request]:
        found = self.server.get_json(f"/instances/{public_id(self.ct[3], 4)}/tags")
        assert found["0028,0010"] == {"Name": "Rows", "Type": "String", "Value": "512"}, found
        assert found["0040,0275"]["Type"] == "Sequence", found
        return self.tags_of("tags")

    def find(self) -> list[Request]:
        dates = {"StudyDate": "20240101-20241231"}
        body = json.dumps({"Level": "Study", "Query": dates, "Expand": True})
        self.check_studies(self.server.post_json("/tools/find", body))
        return [{"method": "POST", "path": "/tools/find", "body": body}]

    def expanded_list(self) -> list[Request]:
        self.check_studies(self.server.get_json("/studies?expand"))
        return [get("/studies?expand")]

    def check_studies(self, found: list[dict[str, Any]]) -> None:
        known = {public_id(identity, 2): identity for identity in (*self.small, *self.ct)}
        assert len(found) == len(known) == STUDIES, f"{len(found)} of {len(known)} studies"
        for study in found:
            check_study(study, known.pop(study["ID"]))
        assert not known, f"studies that are missing: {list(known)[:5]}"

    def changes(self) -> list[Request]:
        asked, since, kinds = [], 0, set()
        while True:
            path = f"/changes?since={since}&limit={CHANGES_PAGE}"
            page = self.server.get_json(path)
            kinds |= {(change["ChangeType"], change["ID"]) for change in page["Changes"]}
            if page["Done"]:
                break
            assert len(page["Changes"]) == CHANGES_PAGE, page
            assert page["Last"] > since, page
            asked.append(get(path))
            since = page["Last"]
        for identity in (*self.small, *self.ct):
            assert ("NewInstance", public_id(identity, 4)) in kinds, f"no change for {identity}"
        return asked

    def ct_file(self) -> list[Request]:
        identity = self.ct[7]
        with tempfile.NamedTemporaryFile() as out:
            loadgen(self.program, "dump", **CT, first=7, out=out.name)
            assert self.server.data_set(identity) == out.read(), f"{identity}: other bytes"
        return [get(f"/instances/{one}/file") for one in self.instance_ids(self.ct)]


def check_study(study: dict[str, Any], identity: dict[str, str]) -> None:
    tags = study["MainDicomTags"]
    assert tags["StudyInstanceUID"] == identity["study_instance_uid"], study
    assert study["PatientMainDicomTags"]["PatientID"] == identity["patient_id"], study
    assert study["Series"] == [public_id(identity, 3)], study


@dataclass(frozen=True)
class Load:
    """A kind of question, and what is wanted of the ratios."""

    name: str
    requests: Callable[[Asked], list[Request]]
    asked: str = ""


LOADS = [
    Load("instance", Asked.instance, "3"),
    Load("study", Asked.study, "3"),
    Load("simplified-tags", Asked.simplified_tags, "5"),
    Load("tags", Asked.tags),
    Load("find 1,000", Asked.find, "5"),
    Load("list 1,000", Asked.expanded_list, "5"),
    Load("changes", Asked.changes),
    Load("ct file", Asked.ct_file, "1, CPU 0.5"),
]


def identities(program: Path, source: dict[str, Any]) -> list[dict[str, str]]:
    words = loadgen_command(program, "identities", source)
    lines = subprocess.run(words, check=True, capture_output=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def fill(program: Path, server: Server) -> None:
    for source in (SMALL, CT):
        send(program, server, associations=4, **source)
    stored = server.instances()
    sent = SMALL["count"] + CT["count"]
    assert stored == sent, f"{server.name} lists {stored} instances, {sent} were sent"


def measure(
    program: Path, server: Server, requests: list[Request], clients: int, seconds: int
) -> dict[str, Any]:
    with MemorySampler(server) as memory:
        report = ask(program, server, requests, clients=clients, seconds=seconds)
    return report | {"server": server.name, "max_pss_bytes": memory.max_bytes}


def summary(runs: list[Run]) -> str:
    """Return the Markdown table over all loads and servers."""
    figures = ("per s", "MB/s", "p50 ms", "p99 ms", "CPU/1000 s", "PSS MB", "x", "CPU x", "asked")
    rows = []
    for (load, clients), of_load in by(runs, "load", "clients"):
        for name, mine, peers in by_server(of_load):
            latency = [run["latency_ms"] for run in mine]
            cells = [
                load, clients, name, f"{median(mine, 'per_second'):,.0f}",
                f"{median(mine, 'megabytes_per_second'):,.0f}",
                f"{median(latency, 'p50'):.2f}", f"{median(latency, 'p99'):.2f}",
                f"{median(mine, 'cpu_seconds_per_1000'):.3f}", megabytes(mine),
                ratio(mine, peers, "per_second", 2), ratio(mine, peers, "cpu_seconds_per_1000", 2),
                of_load[0]["asked"] if name == "vna" else "",
            ]  # fmt: skip
            rows.append(cells)
    return table(("load", "clients", "server"), figures, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--servers", default="orthanc,vna", help="which, in turn (%(default)s)")
    parser.add_argument("--loads", default="", help="such as 'instance,ct file'; all if empty")
    parser.add_argument("--clients", default="1,4", help="connections at a time (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="length of each (%(default)s)")
    parser.add_argument("--json", type=Path, help="write all reports to this file")
    arguments = parser.parse_args()
    wanted = [name.strip() for name in arguments.loads.split(",") if name.strip()]
    chosen = [load for load in LOADS if not wanted or load.name.replace(",", "") in wanted]
    if not chosen:
        names = ", ".join(load.name.replace(",", "") for load in LOADS)
        parser.error(f"--loads {arguments.loads}: one of {names}")
    program = loadgen_program()
    facts = machine()
    print("; ".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
    made: dict[str, Callable[[], Server]] = {"orthanc": lambda: Orthanc(threads=4), "vna": Vna}
    small, ct = identities(program, SMALL), identities(program, CT)
    servers = [made[name]() for name in arguments.servers.split(",")]
    runs: list[dict[str, Any]] = []
    try:
        holders = []
        for server in servers:
            server.start()
            fill(program, server)
            print(f"{server.name} {server.version()}, settings {json.dumps(server.settings())}")
            holders.append(Asked(program, server, small, ct))
        for load in chosen:
            requests = [load.requests(holder) for holder in holders]
            for clients in map(int, arguments.clients.split(",")):
                for _ in range(arguments.rounds):
                    for server, asked in zip(servers, requests, strict=True):
                        report = measure(program, server, asked, clients, arguments.seconds)
                        runs.append(report | {"load": load.name, "asked": load.asked})
                        print(
                            f"{load.name} x{clients} {server.name}: "
                            f"{report['per_second']:,.0f}/s, "
                            f"CPU {report['cpu_seconds_per_1000']:.3f} s per 1,000, "
                            f"generator {report['generator_cpu_seconds']:.2f} s, "
                            f"others used {report['foreign_processors']:.2f} processors",
                            flush=True,
                        )
    finally:
        for server in servers:
            server.remove()
    print("\n" + summary(runs))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": facts, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
