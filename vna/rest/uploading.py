"""POST /instances: a DICOM file, gzip of one, a ZIP archive, or a form of several of these.

The body crosses to the core chunk by chunk, and a client that sends faster than the disk writes
waits. What the headers show to be in vain is refused before a byte of the body is read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from vna.errors import BadRequest
from vna.rest.requests import Call, announced_length, paced

if TYPE_CHECKING:
    from vna.rest.requests import Account
    from vna.services.archive import Upload

logger = logging.getLogger(__name__)

JSON = "application/json"
# Of a body that the core takes itself, so much is asked for at a time.
STEP_BYTES = 4 << 20
# How many files of an upload were not stored: the list of what a ZIP archive holds names only
# those that are, unless `report` is asked for, as clients of Orthanc expect.
NOT_STORED = "Vna-Not-Stored"


async def upload(call: Call) -> Response:
    """Store the DICOM files in the body, whatever its form."""
    tell_all = call.flag("report")
    headers = call.request.headers
    arriving = call.archive.upload(
        call.caller,
        headers.get("content-type", ""),
        headers.get("content-encoding", ""),
        announced_length(call.request),
    )
    with call.budget.account() as account:
        await receive(call, arriving, account)
        finishing = asyncio.ensure_future(arriving.finish(tell_all))
        account.lend(finishing)
        # Shielded: the core cannot be told to let go, so its bytes count until it has answered.
        first = await asyncio.shield(finishing)
    return answer(arriving, first, call)


async def receive(call: Call, arriving: Upload, account: Account) -> None:
    """Give the body to the core."""
    give = call.request.scope.get("state", {}).get("give_body")
    size = 0
    try:
        if give is not None:
            timeout_s = call.archive.settings.http.body_timeout_s
            left = announced_length(call.request) or STEP_BYTES
            while not arriving.is_whole:
                # The core holds no more than that: the rest is on the disk.
                most = min(left, STEP_BYTES)
                account.hold(min(most, arriving.max_held_bytes - account.held))
                await give(arriving, most, timeout_s)
                size = arriving.received
            return
        async for chunk in paced(call.request.stream(), call.archive.settings.http.body_timeout_s):
            size += len(chunk)
            account.hold(min(len(chunk), arriving.max_held_bytes - account.held))
            if chunk:
                await arriving.push(chunk)
            if arriving.is_over:
                return
    except (ClientDisconnect, ConnectionError):
        size = max(size, arriving.received)
        raise BadRequest(f"the client went away after {size} bytes of the body") from None


def answer(arriving: Upload, first: bytes, call: Call) -> Response:
    """Return what became of the upload; a long list part by part."""
    headers = {}
    if arriving.not_stored:
        headers[NOT_STORED] = str(arriving.not_stored)
        logger.warning(
            "files of an upload were not stored",
            extra={"files": arriving.not_stored, "address": call.caller.address},
        )
    if not arriving.has_more:
        return Response(first, media_type=JSON, headers=headers)

    async def parts() -> AsyncIterator[bytes]:
        yield first
        while arriving.has_more:
            yield await arriving.more()

    return StreamingResponse(parts(), media_type=JSON, headers=headers)
