"""Deletion of many resources at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from vna.errors import NotFound
from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.services.resources import level_of

# On their way at a time: as many as one group of the log takes, so that they share its sync.
AT_A_TIME = 256


async def delete_all(
    archive: Archive, resources: Sequence[tuple[str | None, str]], caller: Caller
) -> None:
    """Delete resources, given by level (None: whatever it is) and id.

    What is not there is passed over: it may have gone with another one.
    """
    for first in range(0, len(resources), AT_A_TIME):
        some = resources[first : first + AT_A_TIME]
        await asyncio.gather(*(delete(archive, level, one, caller) for level, one in some))


async def delete(archive: Archive, level: str | None, public_id: str, caller: Caller) -> None:
    """Delete a resource if it is there."""
    try:
        known = level or level_of(archive, public_id, caller)
        await archive.delete(known, public_id, caller)
    except NotFound:
        return
