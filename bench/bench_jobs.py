"""Jobs: what peers that never answer cost everybody else, and a long queue.

Starts VNA with 200 CT images (0.53 MB) and measures, first alone and then while 50 jobs wait for 50
peers that accept a connection and never say a word: CT images stored over 2 associations, resources
read over HTTP by 4 clients, 1,000 answers to a C-FIND, and the 200 images sent as a job to a peer
that works. Then 10,000 jobs are queued, and `/jobs` and `/jobs?expand` are asked for; one stuck job
is cancelled.

The figures: `alone` and `beside` as rates, `x` the second over the first; `CPU` the processor
seconds that the server used in the ten seconds in which nothing but the 50 jobs was there.

Before a figure counts, all 50 jobs must be running, and be running still after it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench_network import RETURN_KEYS, asked, sink
from servers import Vna, ask, loadgen_program, machine, send

STUCK = 50
QUEUED = 10_000
IMAGES = 200
QUIET_S = 10
STUDIES = 1_000
FINISHED = {"Success", "Failure"}


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """Listen and never accept: the kernel connects, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=4 * STUCK) as listener:
        yield listener.getsockname()[1]


def know(server: Vna, name: str, title: str, port: int) -> None:
    body = json.dumps({"AET": title, "Host": "127.0.0.1", "Port": port, "Timeout": 3600})
    status, answer = server.request("PUT", f"/modalities/{name}", body)
    assert status == 200, answer


def store_job(server: Vna, modality: str, resources: list[str]) -> str:
    body = json.dumps({"Resources": resources, "Asynchronous": True})
    return str(server.post_json(f"/modalities/{modality}/store", body)["ID"])


def job(server: Vna, identifier: str) -> dict[str, Any]:
    found: dict[str, Any] = server.get_json(f"/jobs/{identifier}")
    return found


def stuck(server: Vna, jobs: list[str]) -> None:
    states = {job(server, one)["State"] for one in jobs}
    assert states == {"Running"}, states


def rates(program: Path, server: Vna, instances: list[str], seed: int) -> dict[str, float]:
    """Measure everything that must not become slower."""
    found = {}
    report = send(program, server, kind="ct", associations=2, count=400, seed=seed)
    found["CT stored, 2 associations"] = report["settled_per_second"]
    requests = [{"path": f"/instances/{one}"} for one in instances]
    report = ask(program, server, requests, clients=4, seconds=3)
    found["resources over HTTP, 4 clients"] = report["per_second"]
    report, _, _ = asked(program, server, "find", RETURN_KEYS, repeat=10)
    found["answers to C-FIND"] = report["answers"] / report["seconds"]
    began = time.perf_counter()
    running = store_job(server, "sink", instances)
    while job(server, running)["State"] not in FINISHED:
        time.sleep(0.005)
    seconds = time.perf_counter() - began
    assert job(server, running)["State"] == "Success", job(server, running)
    found["CT sent by a job"] = len(instances) / seconds
    return found


def timed(server: Vna, path: str, times: int = 5) -> tuple[float, int]:
    """Return the median time of an answer in ms, and its length."""
    taken, length = [], 0
    for _ in range(times):
        began = time.perf_counter()
        status, body = server.get(path)
        taken.append((time.perf_counter() - began) * 1000)
        assert status == 200, body
        length = len(body)
    return statistics.median(taken), length


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.parse_args()
    program = loadgen_program()
    with black_hole() as hole, sink(program) as destination, Vna() as server:
        know(server, "sink", "SINK", destination["port"])
        know(server, "loadgen", "LOADGEN", 104)
        one_a_study: dict[str, object] = {"per_series": 1, "per_study": 1}
        send(program, server, kind="small", count=STUDIES, seed=1, associations=4, **one_a_study)
        send(program, server, kind="ct", count=IMAGES, seed=2, associations=2)
        query = {"Level": "Instance", "Query": {"Modality": "CT"}}
        instances = server.post_json("/tools/find", json.dumps(query))
        assert len(instances) == IMAGES, len(instances)
        alone = rates(program, server, instances, 3)
        jobs = []
        for number in range(STUCK):
            know(server, f"stuck{number}", f"STUCK{number}", hole)
            jobs.append(store_job(server, f"stuck{number}", instances))
        time.sleep(1)
        stuck(server, jobs)
        before = server.cpu_seconds()
        time.sleep(QUIET_S)
        quiet = server.cpu_seconds() - before
        beside = rates(program, server, instances, 4)
        stuck(server, jobs)
        print(json.dumps(machine()))
        print(f"\n| beside {STUCK} stuck jobs | alone | beside | x |\n|---|---:|---:|---:|")
        for name, rate in alone.items():
            ratio = beside[name] / rate
            print(f"| {name} | {rate:,.0f} | {beside[name]:,.0f} | {ratio:.2f} |")
        print(f"\n{STUCK} stuck jobs alone: {quiet:.2f} s CPU in {QUIET_S} s")

        # Queued behind the job that holds the slot of its destination.
        for _ in range(QUEUED):
            store_job(server, "stuck0", instances[:1])
        assert len(server.get_json("/jobs")) >= QUEUED
        for path in ("/jobs", "/jobs?expand"):
            taken, length = timed(server, path)
            print(f"GET {path} with {QUEUED:,} jobs queued: {taken:.1f} ms, {length:,} bytes")
        began = time.perf_counter()
        status, answer = server.request("POST", f"/jobs/{jobs[1]}/cancel", "{}")
        assert status == 200, answer
        while job(server, jobs[1])["State"] == "Running":
            time.sleep(0.001)
        print(f"a stuck job cancelled: {(time.perf_counter() - began) * 1000:.1f} ms")
        print(f"PSS {server.pss_bytes() / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
