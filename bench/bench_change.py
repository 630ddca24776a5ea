"""Changing and listing: 200 CT modified and anonymized, and lists told, beside Orthanc.

Feeds in one study of 200 CT images (512 x 512, 16 bits, native), made here, and asks with a
password, in turn of both servers in the same run: to modify the study (another description, new
identifiers), to anonymize it by the profile of 2023b, each as a job that is waited for; what was
made is counted, looked at, and deleted before the next. Each change is made once before it is
timed: the first one loads what it needs. Then over 1 and 4 kept connections for pages of the change
feed, lists of ids and whole lists of studies, series and instances.

The figures: `s` is the time until the answer, `CT/s` images of it each second; `CPU s` processor
seconds of the server, of all its processes; `CPU us` microseconds of it for one answer; `p50 us`
how long half of the clients wait at most; `PSS` its memory, the highest sample; `x` Orthanc's time
over VNA's, or VNA's rate over Orthanc's, `CPU x` Orthanc's processor time over VNA's, of the
medians of the rounds. Client and server share the processors.

With one client, who waits for an answer before asking again, the rate of either server is also that
of the client: a request takes the generator some 15 us, and two processors that were idle wake up
for it, which on virtual machines takes longer than a short list. What a server does for an answer
is `CPU us`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from bench_archive import AUTHORIZATION, OrthancOfUsers, VnaOfUsers, connect, fill, get
from bench_pictures import ct
from bench_rest import measure
from servers import MemorySampler, Server, loadgen_program, machine
from tables import Run, by, by_server, median, megabytes, ratio, table

IMAGES = 200
ASKED = "5"
CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "modify": ("modify", {"Replace": {"StudyDescription": "Changed"}, "KeepSource": True}),
    "anonymize": ("anonymize", {"DicomVersion": "2023b", "KeepSource": True}),
}
LISTS = {
    "100 changes": "/changes?since=0&limit=100",
    "100 instances": "/instances?since=0&limit=100",
    "100 instances, whole": "/instances?since=0&limit=100&expand",
    "all series": "/series",
    "all studies, whole": "/studies?expand",
}


def request(server: Server, method: str, path: str, body: Any = None) -> Any:
    connection = connect(server)
    data = None if body is None else json.dumps(body)
    connection.request(method, path, data, {"Authorization": AUTHORIZATION})
    answer = connection.getresponse()
    told = answer.read()
    assert answer.status == 200, f"{server.name}: {path} answered {answer.status}: {told[:300]!r}"
    return json.loads(told)


def check(server: Server, change: str, study: str, made: dict[str, Any]) -> str:
    """Look at what a change made; returns the id of its study."""
    assert made["Type"] == "Study", made
    new = str(made["ID"])
    assert new != study
    held = request(server, "GET", f"/studies/{new}/statistics")
    assert int(held["CountInstances"]) == IMAGES, held
    tags = request(server, "GET", f"/studies/{new}/shared-tags?simplify")
    if change == "modify":
        assert tags["StudyDescription"] == "Changed"
    else:
        assert tags["PatientIdentityRemoved"] == "YES"
        assert tags["PatientName"] != "Bench^Pictures"
    return new


def changed(server: Server, change: str, study: str) -> dict[str, Any]:
    """Change a study once; returns the figures."""
    verb, body = CHANGES[change]
    server.settle()
    cpu_before = server.cpu_seconds()
    with MemorySampler(server, 0.05) as memory:
        began = time.perf_counter()
        made = request(server, "POST", f"/studies/{study}/{verb}", body)
        seconds = time.perf_counter() - began
    cpu = server.cpu_seconds() - cpu_before
    request(server, "DELETE", f"/studies/{check(server, change, study, made)}")
    return {
        "server": server.name,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "max_pss_bytes": memory.max_bytes,
    }


def listed(server: Server, path: str) -> list[dict[str, str]]:
    """Return the request of a list, after a look at its answer."""
    status, body = get(server, path)
    assert status == 200, f"{server.name}: {path}"
    assert len(json.loads(body)) > 0, f"{server.name}: {path}"
    return [{"path": path, "authorization": AUTHORIZATION}]


def change_table(runs: list[Run]) -> str:
    rows = [
        [
            load, name, f"{median(mine, 'seconds'):.2f}",
            f"{IMAGES / median(mine, 'seconds'):.0f}", f"{median(mine, 'cpu_seconds'):.2f}",
            megabytes(mine), ratio(peers, mine, "seconds") if peers else "",
            ASKED if peers else "",
        ]
        for (load,), of_load in by(runs, "load")
        for name, mine, peers in by_server(of_load)
    ]  # fmt: skip
    return table(("200 CT", "server"), ("s", "CT/s", "CPU s", "PSS MB", "x", "asked"), rows)


def list_table(runs: list[Run]) -> str:
    figures = ("per s", "p50 us", "CPU us", "PSS MB", "x", "CPU x", "asked")
    rows = [
        [
            load, name, f"{median(mine, 'per_second'):,.0f}",
            f"{median(mine, 'p50_ms') * 1e3:.0f}",
            f"{median(mine, 'cpu_seconds_per_1000') * 1e3:.0f}", megabytes(mine),
            ratio(mine, peers, "per_second"),
            ratio(peers, mine, "cpu_seconds_per_1000") if peers else "", ASKED if peers else "",
        ]
        for (load,), of_load in by(runs, "load")
        for name, mine, peers in by_server(of_load)
    ]  # fmt: skip
    return table(("list, clients", "server"), figures, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--servers", default="orthanc,vna", help="which, in turn (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="of each list (%(default)s)")
    parser.add_argument("--json", type=Path, help="write all reports to this file")
    arguments = parser.parse_args()
    names = arguments.servers.split(",")
    servers: list[Server] = [OrthancOfUsers(threads=4)] if "orthanc" in names else []
    servers += [VnaOfUsers()] if "vna" in names else []
    files = [ct(number) for number in range(1, IMAGES + 1)]
    program = loadgen_program()
    changes: list[dict[str, Any]] = []
    lists: list[dict[str, Any]] = []
    try:
        studies = {}
        for server in servers:
            server.start()
            studies[server.name] = fill(server, files)
            for load in CHANGES:
                changed(server, load, studies[server.name])
        for _ in range(arguments.rounds):
            for load in CHANGES:
                changes += [
                    {"load": load, **changed(server, load, studies[server.name])}
                    for server in servers
                ]
            for load, path in LISTS.items():
                for clients in (1, 4):
                    for server in servers:
                        asked = listed(server, path)
                        run = measure(program, server, asked, clients, arguments.seconds)
                        told = {"load": f"{load}, {clients}", "p50_ms": run["latency_ms"]["p50"]}
                        lists.append(run | told)
        versions = {server.name: server.version() for server in servers}
    finally:
        for server in servers:
            server.remove()
    facts = machine()
    print(", ".join(f"{name}: {value}" for name, value in (versions | facts).items()))
    print(f"\n{change_table(changes)}\n\n{list_table(lists)}")
    if arguments.json:
        report = {"machine": facts, "changes": changes, "lists": lists}
        arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
