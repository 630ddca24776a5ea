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
`Problem`. After a dry run `Files` and `BytesBefore` tell what would be looked at, `SampledBefore`
and `SampledAfter` the bytes of the files that were tried. If originals are given up, `Run` is the
number of the run, which the next step names.

Given up: `Runs`, the last one first, with `Run`, `Began`, `Last` (yyyymmddThhmmss, UTC), `Ended`,
`User`, `WayIn`, `Address`, `Method`, `Lossy`, `OlderThanDays`, `Files`, `Replaced`, `BytesBefore`
and `BytesAfter`; and of all that the archive holds now in the place of originals `Objects`,
`BytesReceived` and `BytesKept`, which is also true where a run was cut short.

Compact: an array of objects with `Pack`, `BytesBefore`, `BytesAfter` and, if it could not be
rewritten, `Problem`.
"""

from __future__ import annotations

import getpass
import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec

from vna import _core
from vna.control import Control, control_file, given_up
from vna.errors import BadRequest
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
    give_up_originals: bool = False
    lossy: bool = False
    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    run: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def to_json(self) -> bytes:
        """Return it as the core takes it."""
        wanted: dict[str, Any] = msgspec.to_builtins(self)
        del wanted["Run"]
        return msgspec.json.encode(wanted)

    @property
    def is_recorded(self) -> bool:
        """Whether originals may be gone afterwards."""
        return self.give_up_originals and not self.dry_run

    def check(self) -> None:
        """Raise BadRequest if it contradicts itself."""
        if self.lossy and not self.give_up_originals:
            raise BadRequest("what was compressed with loss takes GiveUpOriginals too")
        if self.give_up_originals and self.method == "deflate":
            raise BadRequest("originals are given up for a transfer syntax, and deflate is none")
        if self.run is not None and not self.is_recorded:
            raise BadRequest("only a recompression that gives originals up has a Run")

    def by(self, user: str, way_in: str, address: str = "") -> given_up.Wanted:
        """Return what is recorded of it."""
        method, lossy, days = self.method, self.lossy, self.older_than_days
        return given_up.Wanted(user, way_in, address, method, lossy, days)


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


async def recompress(
    archive: Archive, control: Control, wanted: Recompression, caller: Caller
) -> bytes:
    """Recompress what of the next pack is wanted. What gives originals up is recorded first."""
    wanted.check()
    if not wanted.is_recorded:
        report = await archive._json(archive.core.recompress(wanted.to_json()))
        log_recompressed(wanted, json.loads(report), caller)
        return report

    def begin(connection: given_up.Connection) -> int:
        if wanted.run is None:
            by = wanted.by(caller.user, caller.way_in, caller.address)
            return given_up.begin(connection, by, now_us())
        given_up.require(connection, wanted.run)
        return wanted.run

    run = await control.run(begin)
    step = json.loads(await archive._json(archive.core.recompress(wanted.to_json())))
    await control.run(lambda connection: given_up.add(connection, run, step, now_us()))
    log_recompressed(wanted, step, caller)
    return json.dumps(step | {"Run": run}).encode()


def log_recompressed(wanted: Recompression, step: dict[str, Any], caller: Caller) -> None:
    """Log a step that changed something."""
    if step["Recompressed"] and not wanted.dry_run:
        fields = {key: step[key] for key in ("Recompressed", "BytesBefore", "BytesAfter")}
        fields = {key.lower(): value for key, value in fields.items()}
        about = {"way_in": caller.way_in, "user": caller.user, "method": wanted.method}
        message = "originals given up" if wanted.give_up_originals else "objects recompressed"
        logger.info(message, extra=about | fields)


async def history(archive: Archive, control: Control) -> bytes:
    """Return which runs gave originals up, and what the archive holds in their place."""
    runs = await control.run(given_up.runs)
    held = json.loads(await archive._json(archive.core.given_up()))
    return json.dumps(told(runs, held)).encode()


def told(runs: list[given_up.Run], held: dict[str, int]) -> dict[str, Any]:
    """Return the runs as they are told, with what the archive holds."""
    fields = {
        "Run": "run",
        "User": "user",
        "WayIn": "way_in",
        "Address": "address",
        "Method": "method",
        "OlderThanDays": "older_than_days",
        "Files": "files",
        "Replaced": "replaced",
        "BytesBefore": "bytes_before",
        "BytesAfter": "bytes_after",
    }
    entries = [
        {name: getattr(run, field) for name, field in fields.items()}
        | {"Began": stamp(run.began_us), "Last": stamp(run.last_us)}
        | {"Ended": bool(run.ended), "Lossy": bool(run.lossy)}
        for run in runs
    ]
    return {"Runs": entries} | held


def stamp(time_us: int) -> str:
    """Return a moment as Orthanc writes it, in UTC."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(time_us / 1_000_000))


def now_us() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


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
    wanted.check()
    if not wanted.is_recorded:
        _core.recompress(settings.to_json(), wanted.to_json(), lambda step: each(json.loads(step)))
        return
    control = Control(control_file(settings.storage.root))
    try:
        by = wanted.by(getpass.getuser(), "cli")
        run = control.run_blocking(lambda connection: given_up.begin(connection, by, now_us()))

        def record(told: bytes) -> None:
            step = json.loads(told)
            control.run_blocking(lambda connection: given_up.add(connection, run, step, now_us()))
            each(step)

        _core.recompress(settings.to_json(), wanted.to_json(), record)
    finally:
        control.close()


def offline_history(settings: Settings) -> dict[str, Any]:
    """Return which runs gave originals up; see `history`."""
    file = control_file(settings.storage.root)
    held = json.loads(_core.given_up(settings.to_json()))
    return told(runs_in(file) if file.exists() else [], held)


def runs_in(file: Path) -> list[given_up.Run]:
    """Return the runs that a control database knows."""
    control = Control(file)
    try:
        return control.run_blocking(given_up.runs)
    finally:
        control.close()
