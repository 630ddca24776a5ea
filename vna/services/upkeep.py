"""What keeps an archive in order: what was deleted is brought back or erased, packs are rewritten.

The coroutines work on the archive that this process serves, the `offline_` functions on one that no
server has open (they raise AlreadyOpen if one has). Both give the same reports, the coroutines as
finished JSON.

Deletions: an array of objects, the last deletion first, with `Deletion` (its number), `ID` and
`Type` of what was deleted, `Deleted` and `Until` (yyyymmddThhmmss, UTC), `Instances`, `Bytes` and
`MainDicomTags` by name, from the patient's down to its own.

Undelete: `Restored`, `Present` (there already, with the same bytes) and `Versions` (another
instance is live, so this one is kept as a version) count instances; `Unknown` lists ids of which
nothing can be brought back, `Problems` the instances that could not be, in words. A request that
was cut short is finished by the same request.

Erase: `Erased` counts deletions, `Unknown` lists ids that no deletion took as a whole.

Recompress: one step, of at most one pack: `Files` looked at, `Recompressed` of them, `BytesBefore`
and `BytesAfter` of these, `Microseconds`, `At` and `End` (positions in the log, for progress),
`Next` (`After` of the next step; null at the end) and, if the pack could not be rewritten,
`Problem`. After a dry run `Files` and `BytesBefore` tell what would be looked at.

Compact: an array of objects with `Pack`, `BytesBefore`, `BytesAfter` and, if it could not be
rewritten, `Problem`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, cast

import msgspec

from vna import _core
from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.settings import Settings

logger = logging.getLogger(__name__)

Method = Literal["htj2k", "jpeg-ls", "j2k", "rle", "deflate"]


class Recompression(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """What is to be recompressed, and how."""

    method: Method = "htj2k"
    older_than_days: Annotated[int, msgspec.Meta(ge=0, le=36500)] = 0
    dry_run: bool = False
    after: Annotated[int, msgspec.Meta(ge=0)] = 0

    def to_json(self) -> bytes:
        """Return it as the core takes it."""
        return msgspec.json.encode(self)


async def deleted(archive: Archive, since: int, limit: int, caller: Caller) -> bytes:
    """Return what was deleted and can be brought back; a `limit` of 0 means all."""
    return await archive._json(archive.core.deleted(caller.tenant, since, limit))


async def undelete(archive: Archive, ids: Sequence[str], caller: Caller) -> bytes:
    """Bring back what was deleted of these resources.

    An id names what was deleted, something in it, or a resource that is there and from which
    something was deleted. What arrived since under the same identity stays live.
    """
    report = await archive._json(archive.core.undelete(caller.tenant, list(ids)))
    log("resources undeleted", caller, ids, report)
    return report


async def erase(archive: Archive, ids: Sequence[str] | None, caller: Caller) -> bytes:
    """End the time in which these resources can be brought back; None: all that were deleted.

    What a deletion took beside them is not erased: such an id is reported as unknown. Space comes
    back at once where whole packs and large objects are dead, else with `compact`.
    """
    wanted = None if ids is None else list(ids)
    report = await archive._json(archive.core.erase(caller.tenant, wanted))
    log("deleted resources erased", caller, ["all"] if ids is None else ids, report)
    return report


async def compact(archive: Archive, below_percent: int, caller: Caller) -> bytes:
    """Rewrite the packs of which less than `below_percent` is live; 100: all with dead bytes."""
    report = await archive._json(archive.core.compact(below_percent))
    packs = len(json.loads(report))
    logger.info("packs compacted", extra={"way_in": caller.way_in, "packs": packs})
    return report


async def recompress(archive: Archive, wanted: Recompression, caller: Caller) -> bytes:
    """Recompress what of the next pack is wanted."""
    report = await archive._json(archive.core.recompress(wanted.to_json()))
    step = json.loads(report)
    if step["Recompressed"]:
        fields = {key: step[key] for key in ("Recompressed", "BytesBefore", "BytesAfter")}
        fields = {key.lower(): value for key, value in fields.items()}
        about = {"way_in": caller.way_in, "user": caller.user, "method": wanted.method}
        logger.info("objects recompressed", extra=about | fields)
    return report


def log(message: str, caller: Caller, ids: Sequence[str], report: bytes) -> None:
    """Log what was asked, by whom, and the counts of what became of it."""
    counts = {key: n for key, n in json.loads(report).items() if isinstance(n, int)}
    fields = {"ids": list(ids[:100]), "way_in": caller.way_in, "user": caller.user}
    logger.info(message, extra=fields | {key.lower(): n for key, n in counts.items()})


def offline_deleted(settings: Settings, tenant: int = 1) -> list[dict[str, Any]]:
    """Return what was deleted and can be brought back."""
    return cast(list[dict[str, Any]], json.loads(_core.deleted(settings.to_json(), tenant)))


def offline_undelete(settings: Settings, ids: Sequence[str], tenant: int = 1) -> dict[str, Any]:
    """Bring back what was deleted of these resources; see `undelete`."""
    report = _core.undelete(settings.to_json(), tenant, list(ids))
    return cast(dict[str, Any], json.loads(report))


def offline_erase(settings: Settings, ids: Sequence[str] | None, tenant: int = 1) -> dict[str, Any]:
    """End the time in which these resources can be brought back; see `erase`."""
    report = _core.erase(settings.to_json(), tenant, None if ids is None else list(ids))
    return cast(dict[str, Any], json.loads(report))


def offline_compact(settings: Settings, below_percent: int = 100) -> list[dict[str, Any]]:
    """Rewrite the packs of which less than `below_percent` is live; see `compact`."""
    return cast(list[dict[str, Any]], json.loads(_core.compact(settings.to_json(), below_percent)))


def offline_recompress(
    settings: Settings, wanted: Recompression, each: Callable[[dict[str, Any]], object]
) -> None:
    """Recompress all that is wanted; `each` is told of every step. See `recompress`."""
    _core.recompress(settings.to_json(), wanted.to_json(), lambda step: each(json.loads(step)))
