"""Instances written anew by the core, some at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from vna import errors
from vna._core import rewrite_file
from vna.errors import EncodingError, VnaError
from vna.services.archive import Archive
from vna.services.caller import Caller

if TYPE_CHECKING:
    from vna import _core

# Instances of a step, and how long it may take: at its end all that was made is waited for, so a
# step is long, but short enough that pausing is felt.
STEP = 1024
STEP_S = 0.4
PARENTS = {"series": "parent_series", "studies": "parent_study", "patients": "parent_patient"}
SOURCES = {"series": "from_series", "studies": "from_study", "patients": "from_patient"}


class Rewritten(msgspec.Struct, kw_only=True, frozen=True):
    """What became of an instance: its new ids, or why it has none.

    `burned_in` is what the source says of text in its pixels: YES, UNSAID, or nothing to tell.
    """

    source: str = msgspec.field(name="From")
    from_patient: str = msgspec.field(name="FromPatient", default="")
    from_study: str = msgspec.field(name="FromStudy", default="")
    from_series: str = msgspec.field(name="FromSeries", default="")
    id: str = msgspec.field(name="ID", default="")
    parent_patient: str = msgspec.field(name="ParentPatient", default="")
    parent_study: str = msgspec.field(name="ParentStudy", default="")
    parent_series: str = msgspec.field(name="ParentSeries", default="")
    status: str = msgspec.field(name="Status", default="")
    code: str | None = msgspec.field(name="Code", default=None)
    details: str = msgspec.field(name="Details", default="")
    burned_in: str | None = msgspec.field(name="BurnedIn", default=None)

    def made(self) -> dict[str, str]:
        """Return the new ids by level."""
        above = {level: getattr(self, name) for level, name in PARENTS.items()}
        return {"instances": self.id, **above}

    def sources(self) -> dict[str, str]:
        """Return what the source is in, by level."""
        return {level: getattr(self, name) for level, name in SOURCES.items()}


KINDS = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, VnaError) and "code" in vars(kind)
}


def failure(one: Rewritten) -> VnaError:
    """Return why an instance could not be written anew, as it is if somebody waits for it."""
    message = f"instance {one.source}: {one.details}"
    kind = KINDS.get(one.code or "")
    return EncodingError(message, one.code) if kind is None else kind(message)


async def rewrite(
    archive: Archive,
    recipe: bytes,
    instances: Sequence[str],
    start: int,
    overwrite: bool,
    caller: Caller,
    lossy_quality: int | None = None,
) -> AsyncIterator[list[Rewritten]]:
    """Write instances anew from `start` on, and give what became of them, some at a time.

    References follow between all of `instances`, whatever `start` is.

    Raises
    ------
    BadRequest
        If the recipe is none.
    """
    rewriting = await begun(archive, recipe, instances, overwrite, caller, lossy_quality)
    position = start
    while position < len(instances):
        told = await archive._json(rewriting.step(position, STEP, STEP_S))
        part = msgspec.json.decode(told, type=list[Rewritten])
        yield part
        position += len(part)


async def begun(
    archive: Archive,
    recipe: bytes,
    instances: Sequence[str],
    overwrite: bool,
    caller: Caller,
    lossy_quality: int | None = None,
) -> _core.Rewriting:
    """Return the core's part of it, which knows the instances and the recipe.

    `lossy_quality` is that of JPEG with loss, 1 to 100, if the recipe transcodes into it.
    """
    wanted: dict[str, object] = {"instances": instances, "overwrite": overwrite}
    if lossy_quality is not None:
        wanted["lossy_quality"] = lossy_quality
    request = msgspec.json.encode(wanted)
    rewriting = archive.core.rewriting(caller.to_json(), recipe, request)
    await archive.result(rewriting.open())
    return rewriting


class RewrittenFile:
    """The file that an instance becomes, read from its beginning to its end; it is not stored."""

    def __init__(
        self, archive: Archive, file: _core.Rewritten, length: int | None, burned_in: str | None
    ):
        self._archive = archive
        self._file = file
        self.length = length
        self.burned_in = burned_in

    async def read(self, length: int) -> bytes:
        """Read on; fewer bytes than `length` only at the end."""
        return await self._archive._json(self._file.read(length))


async def rewritten_file(
    archive: Archive,
    recipe: bytes,
    public_id: str,
    caller: Caller,
    lossy_quality: int | None = None,
) -> RewrittenFile:
    """Open what an instance becomes by a recipe.

    Raises
    ------
    NotFound
        If there is no such instance.
    BadRequest, EncodingError
        If the recipe is none, or cannot be followed.
    """
    rewriting = await begun(archive, recipe, [public_id], False, caller, lossy_quality)
    file = rewriting.file(0)
    opened = msgspec.json.decode(await archive._json(file.open()))
    return RewrittenFile(archive, file, opened["length"], opened["burned_in"])


__all__ = [
    "Rewritten",
    "RewrittenFile",
    "failure",
    "rewrite",
    "rewrite_file",
    "rewritten_file",
]
