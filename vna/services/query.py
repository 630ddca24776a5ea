"""Searching the archive: one grammar for REST, the command line and programs.

The grammar is that of `POST /tools/find`, as clients of Orthanc know it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from vna.services.archive import Archive
from vna.services.caller import Caller


async def find(archive: Archive, request: dict[str, Any], caller: Caller) -> bytes:
    """Return what matches, as a JSON list of ids or, with `Expand`, of objects.

    Parameters
    ----------
    archive : Archive
        Where to search.
    request : dict
        The body of `POST /tools/find`: `Level` and `Query` (keyword or number of a tag, and what
        it must match as C-FIND writes it), and what else the route takes.
    caller : Caller
        Who asks: only what his tenant has is found.

    Returns
    -------
    bytes
        JSON.

    Raises
    ------
    VnaError
        With a message that names the field, if the request is none.
    """
    return await find_json(archive, msgspec.json.encode(request), caller)


async def find_json(archive: Archive, body: bytes, caller: Caller) -> bytes:
    """The same for a request that is JSON already."""
    return await archive._json(archive.core.query(caller.tenant, body))


async def count_json(archive: Archive, body: bytes, caller: Caller) -> bytes:
    """Return how many resources match, as an object with `Count`; the page does not matter."""
    return await archive._json(archive.core.count(caller.tenant, body))


async def bulk_content_json(archive: Archive, body: bytes, caller: Caller) -> bytes:
    """Return resources of any level by their ids, whole, as the body says."""
    return await archive._json(archive.core.bulk_content(caller.tenant, body))


async def clear_changes(archive: Archive, caller: Caller) -> None:
    """Clear the change feed; what comes next has higher numbers than all before."""
    await archive._json(archive.core.clear_changes(caller.tenant))


async def lookup(archive: Archive, identifier: str, caller: Caller) -> bytes:
    """Return the resources of all levels that have this identifier of DICOM, exactly."""
    return await archive._json(archive.core.lookup(caller.tenant, identifier))
