"""What recycling must spare, told to the core at every start; nobody goes before that."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from vna.control import Control
from vna.services.archive import Archive
from vna.services.commitment import records

logger = logging.getLogger(__name__)

AT_ONCE = 1000


async def start(archive: Archive, control: Control) -> None:
    """Tell the core what we committed ourselves to keep, then let recycling begin.

    Until then what needs room is refused, as it is if the control database cannot be read.
    """
    days = archive.settings.commitment.retention_days
    after = (0, "")
    spared = 0
    while True:
        committed = partial(records.committed, retention_days=days, after=after, limit=AT_ONCE)
        found = await control.run(committed)
        if not found:
            break
        await archive.spare(found)
        after = found[-1][:2]
        spared += len(found)
        await asyncio.sleep(0)
    archive.start_recycling()
    logger.info("recycling begins", extra={"committed_instances": spared})
