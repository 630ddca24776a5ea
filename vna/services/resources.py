"""Resources by their public ids alone: of which level they are, and which instances they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from vna.errors import NotFound
from vna.services.archive import Archive, ListOptions
from vna.services.caller import Caller

LEVELS = ("instances", "series", "studies", "patients")
# Looked up on the loop, one after the other, before others have their turn.
AT_A_TIME = 100


def level_of(archive: Archive, public_id: str, caller: Caller) -> str:
    """Return the level that a resource is of; raises NotFound."""
    for level in LEVELS:
        try:
            archive.resource(level, public_id, caller)
        except NotFound:
            continue
        return level
    raise NotFound(f"{public_id[:64]} is no resource")


async def instances_of(archive: Archive, resources: Sequence[str], caller: Caller) -> list[str]:
    """Return the instances in resources of any level, each once, in order.

    Raises
    ------
    NotFound
        If one of the resources is not there.
    """
    found: dict[str, None] = {}
    for number, public_id in enumerate(resources):
        if number % AT_A_TIME == 0:
            await asyncio.sleep(0)  # each is looked up at once; others wait for no thousands
        level = level_of(archive, public_id, caller)
        below = [public_id]
        if level != "instances":
            listed = await archive.related(level, public_id, "instances", ListOptions(), caller)
            below = msgspec.json.decode(listed, type=list[str])
        found.update(dict.fromkeys(below))
    return list(found)
