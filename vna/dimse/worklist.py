"""C-FIND of the Modality Worklist Information Model (PS3.4 Annex K)."""

from __future__ import annotations

from vna.dimse.serving import CANCEL, PENDING, SUCCESS, Request
from vna.dimse.statuses import LIMIT_STATUS, UNABLE_TO_PROCESS, refusing
from vna.services.node import Node


async def find(node: Node, request: Request) -> None:
    """Answer a worklist query: each item as soon as it is known to match."""
    async with refusing(request, UNABLE_TO_PROCESS):
        await request.finish({"Status": await answer(node, request)})


async def answer(node: Node, request: Request) -> int:
    """Send the items that match, and return the status to end with."""
    settings = node.archive.settings.dicom
    asked = request.identifier()
    found = node.worklist.find(request.data_set, asked, request.transfer_syntax_uid, request.caller)
    count = 0
    with request.until_cancelled() as cancelled:
        async for item in found:
            if cancelled.done():
                return CANCEL
            if settings.find_limit and count == settings.find_limit:
                return LIMIT_STATUS[settings.find_limit_status]
            # FF00: all keys are matched and answered that an item has.
            await request.respond({"Status": PENDING}, item)
            count += 1
    return SUCCESS
