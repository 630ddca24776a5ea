"""Jobs: what they are doing, and telling them what to do."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from starlette.responses import Response

from vna.errors import UnknownItem
from vna.rest.answers import json_response
from vna.rest.files import file_response
from vna.rest.requests import Call

if TYPE_CHECKING:
    from pathlib import Path

DONE = b"{}"


async def listed(call: Call) -> Response:
    """List jobs, the oldest first: their ids, or with `expand` all that is known of them."""
    since, limit = call.number("since", 0) or 0, call.number("limit", 0) or 0
    jobs, tenant = call.node.jobs, call.caller.tenant
    if call.flag("expand"):
        return json_response(await jobs.describe_all(tenant, since, limit))
    return json_response(await jobs.ids(tenant, since, limit))


async def one(call: Call) -> Response:
    """Return what is known of a job."""
    return json_response(await call.node.jobs.describe(call.path("id"), call.caller.tenant))


async def remove(call: Call) -> Response:
    """Forget a job that has ended."""
    await call.node.jobs.remove(call.path("id"), call.caller.tenant)
    return Response(b"", media_type="text/plain")


async def cancel(call: Call) -> Response:
    """End a job."""
    await call.node.jobs.cancel(call.path("id"), call.caller.tenant)
    return json_response(DONE)


async def pause(call: Call) -> Response:
    """Hold a job."""
    await call.node.jobs.pause(call.path("id"), call.caller.tenant)
    return json_response(DONE)


async def resume(call: Call) -> Response:
    """Let a job go on that was held."""
    await call.node.jobs.resume(call.path("id"), call.caller.tenant)
    return json_response(DONE)


async def resubmit(call: Call) -> Response:
    """Let a job try again that failed."""
    await call.node.jobs.resubmit(call.path("id"), call.caller.tenant)
    return json_response(DONE)


async def output(call: Call) -> Response:
    """Return a file that a job left."""
    job_id, key = call.path("id"), call.path("key")
    found = await call.node.jobs.output(job_id, call.caller.tenant, key)
    try:
        file = await asyncio.to_thread(OutputFile, found.path, found.size)
    except FileNotFoundError:  # removed since
        raise UnknownItem(f"job {job_id} has no such output: {key}", "not_found.output") from None
    return await file_response(call, file, found.media_type, found.filename)


async def remove_output(call: Call) -> Response:
    """Remove a file that a job left."""
    await call.node.jobs.remove_output(call.path("id"), call.caller.tenant, call.path("key"))
    return Response(b"", media_type="text/plain")


class OutputFile:
    """A file that a job left, as `files.file_response` reads it; open until nobody has it."""

    def __init__(self, path: Path, size: int):
        self._file = path.open("rb", buffering=0)
        self.size = size
        # The name is random and the file never changes.
        self.digest = path.name

    async def read(self, offset: int, length: int) -> bytes:
        """Return bytes `offset` to `offset + length`."""
        return await asyncio.to_thread(os.pread, self._file.fileno(), length, offset)
