"""A job as clients written for Orthanc read it: made by the database, which needs no GIL for it."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from vna.jobs.job import Job


def now_us() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


def stamp(us: int) -> str:
    """Return a time as Orthanc writes it: `20261125T210943.197785`, in UTC."""
    seconds, rest = divmod(us, 1_000_000)
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}.{rest:06}"


def stamp_of(column: str) -> str:
    """Return the expression that makes such a time of a column."""
    seconds = f"strftime('%Y%m%dT%H%M%S', {column} / 1000000, 'unixepoch')"
    return f"'\"' || {seconds} || printf('.%06d\"', {column} % 1000000)"


def member(name: str, expression: str) -> str:
    """Return the expression of a member of an object, nothing if its value is NULL."""
    return f"coalesce(',\"{name}\":' || {expression}, '')"


# Columns of JSON are written as they are: it is we who encoded them.
MEMBERS = {
    "CompletionTime": stamp_of("completed_us"),
    "Content": "shown",
    "CreationTime": stamp_of("created_us"),
    "DimseErrorStatus": "json_extract(error_payload, '$.Content.DimseErrorStatus')",
    "EffectiveRuntime": "round(runtime_us / 1e6, 3)",
    "ErrorCode": "error_number",
    "ErrorDescription": "json_quote(error_description)",
    "ErrorDetails": "json_quote(error_details)",
    "ErrorPayload": "error_payload",
    "Priority": "priority",
    "Progress": "iif(state = 'Success', 100, CAST(progress * 100 AS INTEGER))",
    "State": "json_quote(state)",
    "Timestamp": "json_quote(:now)",
    "Type": "json_quote(type)",
    "UserData": "user_data",
}
# One text for a row, of which `:now` is the time.
AS_JSON = " || ".join(
    ["'{\"ID\":' || json_quote(id)", *(member(*each) for each in MEMBERS.items()), "'}'"]
)


def as_now(text: str, job: Job | None, now_us: int) -> bytes:
    """Return the JSON of a job; of one that runs here, as far as it is at this moment."""
    if job is None:
        return text.encode()
    described: dict[str, Any] = msgspec.json.decode(text)
    described["Content"] = job.shown
    described["EffectiveRuntime"] = round(job.runtime_s, 3)
    described["Progress"] = int(job.fraction * 100)
    if job.fraction > 0:
        left_s = job.runtime_s * (1 - job.fraction) / job.fraction
        described["EstimatedTimeOfArrival"] = stamp(now_us + int(left_s * 1e6))
    return msgspec.json.encode(described)
