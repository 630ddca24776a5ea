"""How the index grows: what a batch costs, a restart takes and a query waits, from 10,000 instances
to 1,000,000.

Feeds in headers without pixel data by C-STORE: 50,000 patients, 80,000 studies, 200,000 series and
1,000,000 instances, sizes skewed, names Latin and CJK, UIDs random. They come in blocks of 5,000 of
one make-up (see loadgen/src/population.rs), so that blocks differ only in what they find stored.

The figures: `batch s` is the time for a block of 5,000 over 4 associations until nothing was left
to do, `CPU s` the server's processor time for it, both the median of three blocks at 10,000,
100,000 and 1,000,000 stored; the ratio of the last to the first is the growth. The restart is the
time from spawning the process to /health/ready after a kill -9 in the middle of a load at
1,000,000; what had been answered must still be listed. Queries: a study by PatientID, a page of 100
of a month of study dates, a page of 100 of an inner wildcard name, Latin and ideographic; p95 in
milliseconds in a process without the server. Warm: asked once before. Cold: archive opened anew and
its files dropped from the page cache before each. Answers are compared with what the generator
knows it sent.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import time
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import (
    MemorySampler,
    Server,
    Vna,
    loadgen_command,
    loadgen_program,
    machine,
    send,
)

BLOCK = 5_000
MEASURED_BLOCKS = 3
FILL_STEP = 50_000
KILLED_LOAD = 50_000
ASSOCIATIONS = 4
# Larger groups fill faster; filling is not what is measured.
FILL_ASSOCIATIONS = 16
SEED = 20_240
PAGE = 100
WARM_QUERIES, COLD_QUERIES = 200, 20


@dataclass
class Growth:
    """Sends the population in order, and remembers how far it is."""

    program: Path
    server: Server
    stored: int = 0

    def feed(self, count: int, associations: int = ASSOCIATIONS) -> dict[str, Any]:
        report = send(
            self.program,
            self.server,
            kind="headers",
            seed=SEED,
            first=self.stored,
            count=count,
            associations=associations,
        )
        self.stored += count
        listed = self.server.instances()
        assert listed == self.stored, f"{listed} instances listed, {self.stored} were sent"
        return report

    def fill(self, until: int) -> None:
        while self.stored < until:
            report = self.feed(min(FILL_STEP, until - self.stored), FILL_ASSOCIATIONS)
            print(
                f"{self.stored:>9,} stored, {report['settled_per_second']:,.0f}/s, "
                f"CPU {report['cpu_seconds'] / report['stored'] * 1000:.2f} s per 1,000, "
                f"others used {report['foreign_processors']:.2f} processors",
                flush=True,
            )

    def measure(self) -> dict[str, Any]:
        """Send blocks one by one; return the medians of what they cost."""
        stored = self.stored
        reports = [self.feed(BLOCK) for _ in range(MEASURED_BLOCKS)]
        figures = ("settled_seconds", "cpu_seconds", "foreign_processors")
        medians = {key: statistics.median(report[key] for report in reports) for key in figures}
        latency = {
            share: statistics.median(report["latency_ms"][share] for report in reports)
            for share in ("p50", "p99", "max")
        }
        return {"stored": stored, **medians, "latency_ms": latency}

    def restart_after_kill(self) -> dict[str, Any]:
        """Kill the server in the middle of a load, start it again, and send the load whole."""
        options = {
            "port": self.server.dicom_port, "called": self.server.called_ae_title,
            "kind": "headers", "seed": SEED, "first": self.stored, "count": KILLED_LOAD,
            "associations": ASSOCIATIONS,
        }  # fmt: skip
        words = loadgen_command(self.program, "send", options)
        with subprocess.Popen(words, stdout=subprocess.PIPE) as load:
            while load.poll() is None and self.server.instances() < self.stored + BLOCK:
                time.sleep(0.01)
            self.server.kill()
            output, _ = load.communicate()
        answered = json.loads(output)["stored"]
        assert answered < KILLED_LOAD, "the load ended before the server was killed"
        self.server.start()
        listed = self.server.instances()
        least = self.stored + answered
        assert listed >= least, f"{listed} instances listed after kill -9, {least} were answered"
        # Those that arrived before the kill are duplicates now, which are answered with success.
        self.feed(KILLED_LOAD)
        return {"restart_seconds": self.server.start_s, "answered_before_kill": answered}


# Queries.

Study = dict[str, Any]


def folded(name: str) -> str:
    """Return a name without case and accents, as wildcards compare it."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


@dataclass(frozen=True)
class Query:
    """A query, and the studies that match it."""

    kind: str
    keys: dict[str, str]
    matching: frozenset[str]

    def to_json(self) -> str:
        whole = {"Level": "Study", "Query": self.keys, "Expand": True, "Limit": PAGE}
        return json.dumps(whole)

    def check(self, answer: list[dict[str, Any]]) -> None:
        found = [study["MainDicomTags"]["StudyInstanceUID"] for study in answer]
        expected = min(PAGE, len(self.matching))
        what = f"{self.keys}: {len(found)} studies, {expected} are right"
        assert len(found) == len(set(found)) == expected, what
        assert self.matching.issuperset(found), f"{self.keys}: a study that does not match"


class Queries:
    """Draws queries from the studies that were stored."""

    def __init__(self, studies: list[Study]) -> None:
        self.studies = studies
        self.names = [(folded(s["patient_name"]), s["study_instance_uid"]) for s in studies]
        self.by_patient, self.by_month = defaultdict(set), defaultdict(set)
        for study in studies:
            self.by_patient[study["patient_id"]].add(study["study_instance_uid"])
            self.by_month[study["study_date"][:6]].add(study["study_instance_uid"])
        self.random = random.Random(SEED)

    def patient_id(self) -> Query:
        patient_id = self.random.choice(self.studies)["patient_id"]
        return Query(
            "patient id", {"PatientID": patient_id}, frozenset(self.by_patient[patient_id])
        )

    def date_range(self) -> Query:
        month = self.random.choice(sorted(self.by_month))
        return Query(
            "date range", {"StudyDate": f"{month}01-{month}31"}, frozenset(self.by_month[month])
        )

    def latin_wildcard(self) -> Query:
        while True:
            family = self.random.choice(self.studies)["patient_name"].partition("^")[0]
            if family.isascii() and len(family) >= 6:
                return self.wildcard("inner wildcard", family[1:5])

    def ideographic_wildcard(self) -> Query:
        while True:
            _, _, ideographic = self.random.choice(self.studies)["patient_name"].partition("=")
            if ideographic:
                return self.wildcard("inner wildcard, ideographic", ideographic[0])

    def wildcard(self, kind: str, inner: str) -> Query:
        wanted = folded(inner)
        matching = frozenset(uid for name, uid in self.names if wanted in name)
        return Query(kind, {"PatientName": f"*{inner}*"}, matching)


def known_studies(program: Path, stored: int) -> list[Study]:
    words = loadgen_command(program, "list", {"seed": SEED, "first": 0, "count": stored})
    lines = subprocess.run(words, check=True, capture_output=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def ask(storage: Path, state: str, queries: list[Query]) -> list[float]:
    """Ask all queries, check the answers, return the seconds that each took."""
    words = [str(Vna.program().parent / "python"), str(Path(__file__).with_name("query_worker.py"))]
    result = subprocess.run(
        [*words, str(storage), state],
        input="\n".join(query.to_json() for query in queries),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    results = [json.loads(line) for line in result.stdout.splitlines()]
    for query, found in zip(queries, results, strict=True):
        query.check(found["answer"])
    return [found["seconds"] for found in results]


def percentile_95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20, method="inclusive")[-1]


def query_latencies(program: Path, storage: Path, stored: int) -> list[dict[str, Any]]:
    draw = Queries(known_studies(program, stored))
    kinds: list[Callable[[], Query]] = [
        draw.patient_id, draw.date_range, draw.latin_wildcard, draw.ideographic_wildcard
    ]  # fmt: skip
    results = []
    for make in kinds:
        for state, count in (("warm", WARM_QUERIES), ("cold", COLD_QUERIES)):
            queries = [make() for _ in range(count)]
            seconds = ask(storage, state, queries)
            results.append(
                {
                    "query": queries[0].kind,
                    "state": state,
                    "count": count,
                    "p50_ms": statistics.median(seconds) * 1e3,
                    "p95_ms": percentile_95(seconds) * 1e3,
                    "max_ms": max(seconds) * 1e3,
                }
            )
    return results


# The run.


def storage_bytes(storage: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in storage.rglob("*") if path.is_file())


def report_growth(points: list[dict[str, Any]]) -> None:
    print("\n| stored | batch s | CPU s | p99 ms | x the first | CPU x the first |")
    print("|---:|---:|---:|---:|---:|---:|")
    first = points[0]
    for point in points:
        print(
            f"| {point['stored']:,} | {point['settled_seconds']:.2f} | {point['cpu_seconds']:.2f} "
            f"| {point['latency_ms']['p99']:.1f} "
            f"| {point['settled_seconds'] / first['settled_seconds']:.2f} "
            f"| {point['cpu_seconds'] / first['cpu_seconds']:.2f} |"
        )


def report_queries(latencies: list[dict[str, Any]]) -> None:
    print("\n| query | state | p50 ms | p95 ms | max ms | asked |")
    print("|---|---|---:|---:|---:|---:|")
    for found in latencies:
        print(
            f"| {found['query']} | {found['state']} | {found['p50_ms']:.2f} "
            f"| {found['p95_ms']:.2f} | {found['max_ms']:.2f} | {found['count']} |"
        )


def save(path: Path | None, report: dict[str, Any]) -> None:
    if path:
        path.write_text(json.dumps(report, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--points", default="10000,100000,1000000", help="where to measure (%(default)s)"
    )
    parser.add_argument("--no-queries", action="store_true", help="leave the queries out")
    parser.add_argument("--json", type=Path, help="write all reports to this file")
    arguments = parser.parse_args()
    points = [int(point) for point in arguments.points.split(",")]
    if points != sorted(points) or any(point % BLOCK for point in points):
        parser.error(f"--points {arguments.points}: multiples of {BLOCK}, growing")
    program = loadgen_program()
    report: dict[str, Any] = {"machine": machine()}
    print("; ".join(f"{name}: {value}" for name, value in report["machine"].items()), flush=True)
    with Vna() as server:
        assert isinstance(server, Vna)
        report["version"] = server.version()
        growth = Growth(program, server)
        with MemorySampler(server, interval_s=1.0) as memory:
            report["points"] = []
            for point in points:
                growth.fill(point)
                report["points"].append(growth.measure())
        report["max_pss_bytes"] = memory.max_bytes
        report_growth(report["points"])
        report["kill"] = growth.restart_after_kill()
        server.stop()
        server.start()
        report["clean_restart_seconds"] = server.start_s
        server.settle()
        report["idle_pss_bytes"] = server.pss_bytes()
        server.stop()
        report["stored"], report["storage_bytes"] = growth.stored, storage_bytes(server.storage())
        print(
            f"\n{growth.stored:,} stored in {report['storage_bytes'] / 1e9:.2f} GB; "
            f"PSS at most {memory.max_bytes / 1e6:.0f} MB, "
            f"idle {report['idle_pss_bytes'] / 1e6:.0f} MB; first answer after kill -9 "
            f"{report['kill']['restart_seconds']:.2f} s, after a clean end "
            f"{report['clean_restart_seconds']:.2f} s"
        )
        save(arguments.json, report)
        if not arguments.no_queries:
            report["queries"] = query_latencies(program, server.storage(), growth.stored)
            report_queries(report["queries"])
            save(arguments.json, report)


if __name__ == "__main__":
    main()
