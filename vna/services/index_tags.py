"""Tags that are indexed beside the usual ones, and resources whose tags are read from files again.

An index tag is an object with `Level`, `Tag` (gggg,eeee), `Name` (its keyword, or empty),
`Configured` (the settings name it; else it was added at run time), `Filled` and `Due` (alike once
it is complete). Until then searches by it are answered from files, which takes longer.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, cast

from vna.services.archive import Archive, ListOptions
from vna.services.caller import Caller

if TYPE_CHECKING:
    from vna.jobs import Job
    from vna.services.node import Node

JOB = "IndexTags"

# Resources that one step reads again: some 20 ms, in which a search waits for nothing.
STEP = 200

# Resources of a level that one step of the core looks at.
RECONSTRUCTED = 256


async def listed(archive: Archive) -> list[dict[str, Any]]:
    """Return the tags that are indexed beside the usual ones."""
    return cast(list[dict[str, Any]], json.loads(await archive._json(archive.core.index_tags())))


async def add(node: Node, tag: str, level: str | None, caller: Caller) -> str | None:
    """Let a tag be indexed and return the id of the job that reads what is stored already.

    None if there is nothing to read. Raises VnaError if it is no tag, or cannot be indexed.
    """
    await node.archive._json(node.archive.core.add_index_tag(tag, level))
    return await fill(node, caller.tenant, caller.user)


async def remove(archive: Archive, tag: str, level: str | None) -> None:
    """Let a tag be indexed no more that was added at run time."""
    await archive._json(archive.core.remove_index_tag(tag, level))


async def fill(node: Node, tenant: int = 1, user: str = "") -> str | None:
    """See that a job completes what is not complete, and return its id; None if all is."""
    if all(tag["Filled"] >= tag["Due"] for tag in await listed(node.archive)):
        return None
    running = await node.jobs.unfinished(JOB)
    if running is not None:
        return running
    return await node.jobs.submit(JOB, {}, tenant=tenant, user=user)


async def run(node: Node, job: Job) -> None:
    """Read what is stored again, in steps; the index has how far that is."""
    archive = node.archive
    rest = 100 / archive.settings.index.fill_percent - 1
    while True:
        begun = time.monotonic()
        more = json.loads(await archive._json(archive.core.fill_index_tags(STEP)))
        tags = await listed(archive)
        due, filled = sum(tag["Due"] for tag in tags), sum(tag["Filled"] for tag in tags)
        job.progress(filled / due if due else 1.0)
        job.show(Tags=[f"{tag['Level']} {tag['Tag']}" for tag in tags])
        if not more:
            return
        await asyncio.sleep((time.monotonic() - begun) * rest)


async def reconstruct(
    archive: Archive, level: str, public_id: str, caller: Caller, only_this: bool = False
) -> dict[str, int]:
    """Write the tags of a resource, and of all above and below it, from its files again.

    With `only_this` those above and below stay as they are. Returns counts: `Resources` written and
    `Unreadable`. Raises NotFound.
    """
    after, done = 0, {"Resources": 0, "Unreadable": 0}
    while True:
        begun = archive.core.reconstruct(caller.tenant, level, public_id, after, only_this)
        step = json.loads(await archive._json(begun))
        for count in done:
            done[count] += step[count]
        if not step["More"]:
            return done
        after += RECONSTRUCTED


async def reconstruct_all(archive: Archive, caller: Caller) -> dict[str, int]:
    """Do the same for all patients, one after the other."""
    done = {"Resources": 0, "Unreadable": 0}
    since, page = 0, 100
    while True:
        ids = json.loads(await archive.resources("patients", since, page, ListOptions(), caller))
        for public_id in ids:
            step = await reconstruct(archive, "patients", public_id, caller)
            for count in done:
                done[count] += step[count]
        if len(ids) < page:
            return done
        since += page
