"""A job as clients written for Orthanc read it."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from vna.jobs.job import FINISHED, Job, Row


def now_us() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


def stamp(us: int) -> str:
    """Return a time as Orthanc writes it: `20261125T210943.197785`, in UTC."""
    seconds, rest = divmod(us, 1_000_000)
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}.{rest:06}"


def describe(row: Row, running: Job | None, now_us: int) -> dict[str, Any]:
    """Return what is shown of a job; of one that runs here, how far it is at this moment."""
    progress, runtime_s = row.progress, row.runtime_us / 1e6
    content: Any = msgspec.Raw(row.shown.encode())
    if running is not None:
        progress, runtime_s, content = running.fraction, running.runtime_s, running.shown
    if row.state == "Success":
        progress = 1.0
    described: dict[str, Any] = {
        "Content": content,
        "CreationTime": stamp(row.created_us),
        "EffectiveRuntime": round(runtime_s, 3),
        "ErrorCode": row.error_number,
        "ErrorDescription": row.error_description,
        "ErrorDetails": row.error_details,
        "ID": row.id,
        "Priority": row.priority,
        "Progress": int(progress * 100),
        "State": row.state,
        "Timestamp": stamp(now_us),
        "Type": row.type,
    }
    if row.state in FINISHED and row.completed_us is not None:
        described["CompletionTime"] = stamp(row.completed_us)
    if row.state == "Running" and progress > 0:
        left_s = runtime_s * (1 - progress) / progress
        described["EstimatedTimeOfArrival"] = stamp(now_us + int(left_s * 1e6))
    if row.user_data is not None:
        described["UserData"] = msgspec.Raw(row.user_data.encode())
    if row.error_payload is not None:
        payload = msgspec.json.decode(row.error_payload)
        described["ErrorPayload"] = payload
        status = payload.get("Content", {}).get("DimseErrorStatus")
        if status is not None:
            described["DimseErrorStatus"] = status
    return described


def as_json(row: Row, running: Job | None, now_us: int) -> bytes:
    """Return what is shown of a job as JSON."""
    return msgspec.json.encode(describe(row, running, now_us))
