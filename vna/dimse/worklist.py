"""C-FIND of the Modality Worklist Information Model (PS3.4 Annex K)."""

from __future__ import annotations

from vna.dimse.serving import CANCEL, PENDING, SUCCESS, Request
from vna.dimse.statuses import LIMIT_STATUS
from vna.services.node import Node


async def find(node: Node, request: Request) -> None:
    """Answer a worklist query: each item as soon as it is known to match."""
    settings = node.archive.settings.dicom
    asked = request.identifier()
    found = node.worklist.find(request.data_set, asked, request.transfer_syntax_uid, request.caller)
    count = 0
    with request.until_cancelled() as cancelled:
        async for answer in found:
            if cancelled.done():
                await request.finish({"Status": CANCEL})
                return
            if settings.find_limit and count == settings.find_limit:
                await request.finish({"Status": LIMIT_STATUS[settings.find_limit_status]})
                return
            # FF00: all keys are matched and answered that an item has.
            await request.respond({"Status": PENDING}, answer)
            count += 1
    await request.finish({"Status": SUCCESS})
