"""Metrics in Prometheus' text form: `/metrics`, and under Orthanc's names for its clients."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator

from starlette.responses import Response

from vna.errors import BadBody
from vna.rest.describe import TEXT
from vna.rest.requests import Call

PROMETHEUS = "text/plain; version=0.0.4"
MB = 1 << 20
ON = {"1": True, "true": True, "0": False, "false": False}
MOST_BYTES = 16


async def metrics(call: Call) -> Response:
    """Return the core's metrics and those of this way in."""
    return Response(await own(call), media_type=PROMETHEUS)


async def prometheus(call: Call) -> Response:
    """Return metrics under Orthanc's names, then our own; nothing while they are switched off."""
    if not call.node.gives_metrics:
        return Response(b"", media_type=PROMETHEUS)
    now_ms = time.time_ns() // 1_000_000
    known = "".join([f"{name} {value} {now_ms}\n" async for name, value in as_orthanc(call)])
    return Response(known.encode() + await own(call), media_type=PROMETHEUS)


async def read_switch(call: Call) -> Response:
    """Return whether clients of Orthanc get metrics."""
    return Response("1" if call.node.gives_metrics else "0", media_type=TEXT)


async def write_switch(call: Call) -> Response:
    """Set whether they get them."""
    with call.budget.account() as account:
        text = (await call.body(account, MOST_BYTES)).decode("utf-8", "replace")
    if text not in ON:
        raise BadBody(f"metrics are switched by 1 and 0, or true and false, not {text!r}")
    call.node.gives_metrics = ON[text]
    return Response(None, media_type=TEXT)


async def own(call: Call) -> bytes:
    """Return what we call by our own names."""
    lines = [*bodies(call), *await jobs(call), *call.running.durations.lines()]
    return call.archive.metrics() + "".join(f"{line}\n" for line in lines).encode()


def bodies(call: Call) -> Iterator[str]:
    """Yield the budget of request bodies."""
    yield "# HELP vna_http_body_bytes Request bodies in memory, with the copies being stored."
    yield "# TYPE vna_http_body_bytes gauge"
    yield f"vna_http_body_bytes {call.budget.used}"
    yield "# HELP vna_http_body_limit_bytes Bound of vna_http_body_bytes."
    yield "# TYPE vna_http_body_limit_bytes gauge"
    yield f"vna_http_body_limit_bytes {call.budget.total}"


async def jobs(call: Call) -> list[str]:
    """Return how many jobs are kept in each state."""
    counts = await call.node.jobs.counts()
    return [
        "# HELP vna_jobs Jobs that are kept, by what they are doing.",
        "# TYPE vna_jobs gauge",
        *(f'vna_jobs{{state="{state}"}} {count}' for state, count in counts.items()),
    ]


def megabytes(count: str) -> str:
    """Return bytes as Orthanc shows them."""
    return f"{int(count) / MB:.12g}"


async def as_orthanc(call: Call) -> AsyncIterator[tuple[str, object]]:
    """Yield names and values that dashboards made for Orthanc read."""
    held = json.loads(call.archive.statistics(call.caller))
    last = json.loads(await call.archive.changes(None, None, 1, [], True, call.caller))
    counts = await call.node.jobs.counts()
    ended = {"success": counts.get("Success", 0), "failed": counts.get("Failure", 0)}
    ended["completed"] = sum(ended.values())
    for level in ("instances", "patients", "series", "studies"):
        yield f"orthanc_count_{level}", held[f"Count{level.capitalize()}"]
    yield "orthanc_disk_size_mb", megabytes(held["TotalDiskSize"])
    for state, count in ended.items():
        yield f"orthanc_jobs_{state}", count  # up to 1.12
        yield f"orthanc_jobs_total_{state}", count  # from 1.13 on
    yield "orthanc_jobs_pending", counts.get("Pending", 0)
    yield "orthanc_jobs_running", counts.get("Running", 0)
    yield "orthanc_last_change", last["Last"]
    yield "orthanc_rest_api_active_requests", call.running.active_requests
    yield "orthanc_rest_api_duration_ms", round(call.running.durations.longest_s * 1000)
    yield "orthanc_uncompressed_size_mb", megabytes(held["TotalUncompressedSize"])
    yield "orthanc_up_time_s", int(time.monotonic() - call.node.started_s)
