"""Searching the archive: one grammar for REST, the command line and programs.

The grammar is that of `POST /tools/find`, as clients of Orthanc know it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from vna.errors import ReadOnly
from vna.services.archive import Archive
from vna.services.caller import Caller


class WebFound(NamedTuple):
    """What a search of DICOMweb found: a body that is finished, and what to tell of it."""

    body: bytes
    results: int
    warnings: list[str]


class WebSearch(NamedTuple):
    """A search of DICOMweb.

    Attributes
    ----------
    level : str
        What is looked for: Study, Series or Instance.
    study, series : str
        The UIDs of what it lies in; empty where the path leaves that open.
    query : str
        What stands behind the question mark, as it was sent.
    """

    level: str
    study: str
    series: str
    query: str


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


async def web_search(
    archive: Archive, search: WebSearch, root: str, caller: Caller, boundary: str | None = None
) -> WebFound:
    """Answer a search of DICOMweb in DICOM JSON or, with a boundary, as a multipart body of XML.

    Parameters
    ----------
    archive : Archive
        Where to search.
    search : WebSearch
        What is looked for.
    root : str
        The address of the studies service, with which Retrieve URLs begin.
    caller : Caller
        Who asks: only what his tenant has is found.
    boundary : str, optional
        What separates the parts of a multipart body.

    Raises
    ------
    UnknownTag
        If an attribute is named that there is not.
    OutOfRange
        If a value is none that such an attribute has, or a parameter none.
    TooLarge
        If the answer would be too long.
    """
    options = {
        "tenant": caller.tenant,
        "max_results": archive.settings.dicomweb.max_results,
        "root": root,
        "boundary": boundary,
    }
    found = await archive._json(
        archive.core.web_search(
            search.level,
            search.study or None,
            search.series or None,
            search.query,
            msgspec.json.encode(options),
        )
    )
    end = 4 + int.from_bytes(found[:4], "little")
    told = msgspec.json.decode(found[4:end])
    return WebFound(found[end:], told["results"], told["warnings"])


async def count_json(archive: Archive, body: bytes, caller: Caller) -> bytes:
    """Return how many resources match, as an object with `Count`; the page does not matter."""
    return await archive._json(archive.core.count(caller.tenant, body))


async def bulk_content_json(archive: Archive, body: bytes, caller: Caller) -> bytes:
    """Return resources of any level by their ids, whole, as the body says."""
    return await archive._json(archive.core.bulk_content(caller.tenant, body))


async def clear_changes(archive: Archive, caller: Caller) -> None:
    """Clear the change feed; what comes next has higher numbers than all before.

    Raises ReadOnly if the archive is.
    """
    if archive.settings.storage.read_only:
        raise ReadOnly("the archive is read-only (storage.read_only)")
    await archive._json(archive.core.clear_changes(caller.tenant))


async def lookup(archive: Archive, identifier: str, caller: Caller) -> bytes:
    """Return the resources of all levels that have this identifier of DICOM, exactly."""
    return await archive._json(archive.core.lookup(caller.tenant, identifier))
