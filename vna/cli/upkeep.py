"""`vna deleted`, `undelete`, `erase`, `compact`, `recompress`: through a server, or without."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec
from rich.console import Console
from rich.progress import Progress

from vna.cli import table
from vna.cli.command import print_json
from vna.cli.exits import DONE, FAILED, NOT_FOUND
from vna.cli.remote import Remote, server_of
from vna.errors import BadRequest
from vna.services import running, upkeep
from vna.services.upkeep import Recompression
from vna.settings import Settings

# What names a deletion best, by what was deleted.
TITLES = {
    "Patient": ("PatientID", "PatientName"),
    "Study": ("PatientID", "StudyDate", "StudyDescription"),
    "Series": ("PatientID", "Modality", "SeriesDescription"),
    "Instance": ("PatientID", "InstanceNumber"),
}

T = TypeVar("T")


class Upkeep:
    """The upkeep of one archive, whoever has it open."""

    def __init__(self, settings: Settings, url: str | None, tenant: int = 1):
        self._settings = settings
        self._tenant = tenant
        self._server = server_of(settings, url, tenant)
        if self._server is None:
            running.require_archive(settings)

    def deleted(self) -> list[dict[str, Any]]:
        """Return what was deleted and can be brought back."""
        return self._ask(
            lambda server: server.ask("GET", "/tools/deleted"),
            lambda: upkeep.offline_deleted(self._settings, self._tenant),
        )

    def undelete(self, ids: list[str]) -> dict[str, Any]:
        """Bring back what was deleted of these resources."""
        return self._ask(
            lambda server: server.ask("POST", "/tools/undelete", {"Resources": ids}),
            lambda: upkeep.offline_undelete(self._settings, ids, self._tenant),
        )

    def erase(self, ids: list[str] | None) -> dict[str, Any]:
        """End the time in which these resources, or all, can be brought back."""
        body = {"All": True} if ids is None else {"Resources": ids}
        return self._ask(
            lambda server: server.ask("POST", "/tools/erase", body),
            lambda: upkeep.offline_erase(self._settings, ids, self._tenant),
        )

    def compact(self, below_percent: int) -> list[dict[str, Any]]:
        """Rewrite packs without their dead bytes."""
        return self._ask(
            lambda server: server.ask("POST", "/tools/compact", {"BelowPercent": below_percent}),
            lambda: upkeep.offline_compact(self._settings, below_percent),
        )

    def recompress(self, wanted: Recompression, each: Callable[[dict[str, Any]], object]) -> None:
        """Recompress stored objects; `each` is told of every step."""
        if self._server is None:
            upkeep.offline_recompress(self._settings, wanted, each)
            return
        wanted.check()
        after: int | None = 0
        while after is not None:
            wanted = msgspec.structs.replace(wanted, after=after)
            body = msgspec.to_builtins(wanted)
            step = cast(dict[str, Any], self._server.ask("POST", "/tools/recompress", body))
            each(step)
            wanted = msgspec.structs.replace(wanted, run=step.get("Run"))
            after = step["Next"]

    def history(self) -> dict[str, Any]:
        """Return which recompressions gave originals up."""
        return self._ask(
            lambda server: server.ask("GET", "/tools/recompress/history"),
            lambda: upkeep.offline_history(self._settings),
        )

    def _ask(self, over_http: Callable[[Remote], Any], directly: Callable[[], T]) -> T:
        return cast(T, over_http(self._server)) if self._server else directly()


def deleted(settings: Settings, url: str | None, tenant: int, as_json: bool) -> int:
    """List what was deleted; returns the exit status."""
    found = Upkeep(settings, url, tenant).deleted()
    if as_json:
        print_json(found)
    elif not found:
        print("nothing was deleted that could be brought back")
    else:
        table.show(
            ("deleted", "until (UTC)", "level", "what", "instances", "size", "ID"),
            (
                (
                    moment(entry["Deleted"]),
                    moment(entry["Until"]),
                    entry["Type"],
                    title(entry),
                    entry["Instances"],
                    table.size(entry["Bytes"]),
                    entry["ID"],
                )
                for entry in found
            ),
        )
    return DONE


def undelete(
    settings: Settings, ids: list[str], url: str | None, tenant: int, as_json: bool
) -> int:
    """Bring back what was deleted; returns the exit status."""
    report = Upkeep(settings, url, tenant).undelete(ids)
    if as_json:
        print_json(report)
    else:
        print(f"{table.count(report['Restored'], 'instance')} restored", end="")
        print(f", {report['Present']:,} there already" if report["Present"] else "", end="")
        versions = report["Versions"]
        print(f", {versions:,} kept as versions of newer ones" if versions else "")
    for problem in report["Problems"]:
        print(f"vna: {problem}", file=sys.stderr)
    tell_unknown(report["Unknown"], "nothing was deleted of it that could be brought back")
    if report["Problems"]:
        return FAILED
    return NOT_FOUND if report["Unknown"] else DONE


def erase(
    settings: Settings,
    ids: list[str],
    everything: bool,
    yes: bool,
    url: str | None,
    tenant: int,
    as_json: bool,
) -> int:
    """Erase what was deleted, after a question; returns the exit status."""
    if everything == bool(ids):
        raise BadRequest("erase takes either IDs of what was deleted, or --all")
    archive = Upkeep(settings, url, tenant)
    if not yes and not is_confirmed(archive.deleted(), None if everything else ids):
        print("vna: nothing was erased", file=sys.stderr)
        return FAILED
    report = archive.erase(None if everything else ids)
    if as_json:
        print_json(report)
    else:
        print(
            f"{table.count(report['Erased'], 'deletion')} erased; vna compact gives all space back"
        )
    tell_unknown(report["Unknown"], "no deletion took it as a whole, nothing of it was erased")
    return NOT_FOUND if report["Unknown"] else DONE


def is_confirmed(found: list[dict[str, Any]], ids: list[str] | None) -> bool:
    """Ask whether to erase; raises BadRequest where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadRequest("nobody is there to be asked; say --yes to erase without a question")
    meant = [entry for entry in found if ids is None or entry["ID"] in ids]
    for entry in meant:
        what = table.visible(f"{entry['Type']} {title(entry)}")
        print(f"{what}: {table.count(entry['Instances'], 'instance')}", file=sys.stderr)
    total = table.size(sum(entry["Bytes"] for entry in meant))
    question = f"Erase {table.count(len(meant), 'deletion')}, {total}, for good? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def compact(settings: Settings, below_percent: int, url: str | None, as_json: bool) -> int:
    """Rewrite packs; returns the exit status, 1 if one could not be."""
    archive = Upkeep(settings, url)
    with Console(stderr=True).status("compacting"):
        packs = archive.compact(below_percent)
    problems = [pack for pack in packs if "Problem" in pack]
    if as_json:
        print_json(packs)
    elif not packs:
        print("no pack holds bytes that nobody needs")
    else:
        table.show(
            ("pack", "before", "after", "won"),
            (
                (
                    pack["Pack"],
                    table.size(pack["BytesBefore"]),
                    table.size(pack["BytesAfter"]),
                    table.size(pack["BytesBefore"] - pack["BytesAfter"]),
                )
                for pack in packs
            ),
        )
        won = sum(pack["BytesBefore"] - pack["BytesAfter"] for pack in packs)
        print(f"{table.count(len(packs), 'pack')}, {table.size(won)} won")
    for pack in problems:
        print(f"vna: pack {pack['Pack']} stays as it is: {pack['Problem']}", file=sys.stderr)
    return FAILED if problems else DONE


def recompress(settings: Settings, wanted: Recompression, url: str | None, as_json: bool) -> int:
    """Recompress stored objects; returns the exit status, 1 if a pack could not be."""
    archive = Upkeep(settings, url)
    sizes = ("BytesBefore", "BytesAfter", "SampledBefore", "SampledAfter")
    counted = ("Files", "Recompressed", *sizes)
    total = dict.fromkeys(counted, 0)
    problems: list[str] = []
    began = time.monotonic()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("recompressing", total=None)

        def each(step: dict[str, Any]) -> None:
            for key in counted:
                total[key] += step[key]
            if "Problem" in step:
                problems.append(step["Problem"])
            progress.update(task, completed=step["At"], total=step["End"])

        archive.recompress(wanted, each)
    seconds = time.monotonic() - began
    if as_json:
        print_json(
            total | {"Method": wanted.method, "Seconds": round(seconds, 3), "Problems": problems}
        )
    else:
        print(saving(total, wanted, seconds))
    for problem in problems:
        print(f"vna: a pack stays as it is: {problem}", file=sys.stderr)
    return FAILED if problems else DONE


def saving(total: dict[str, int], wanted: Recompression, seconds: float) -> str:
    """Say what was saved, or after a dry run what would be looked at."""
    before, after = total["BytesBefore"], total["BytesAfter"]
    if wanted.dry_run:
        looked_at = f"{table.count(total['Files'], 'object')}, {table.size(before)}"
        tried, left = total["SampledBefore"], total["SampledAfter"]
        if not tried:
            return f"{looked_at}, would be looked at"
        about = table.size(round(before * (1 - left / tried)))
        return (
            f"{looked_at}, would be looked at; about {about} less, "
            f"as {table.size(tried)} of them showed that were tried"
        )
    looked_at = f"{total['Recompressed']} of {table.count(total['Files'], 'object')} recompressed"
    if not after:
        return looked_at
    sizes = f"{table.size(before)} became {table.size(after)}"
    return f"{looked_at} in {seconds:.1f} s: {sizes}, 1:{before / after:.2f}"


def history(settings: Settings, url: str | None, as_json: bool) -> int:
    """Say who gave originals up, when, and what took their place; returns the exit status."""
    found = Upkeep(settings, url).history()
    if as_json:
        print_json(found)
        return DONE
    if found["Runs"]:
        table.show(
            ("began (UTC)", "by", "to", "lossy too", "objects", "before", "after", "ended"),
            (
                (
                    moment(run["Began"]),
                    f"{run['User'] or 'nobody known'} ({run['WayIn']})",
                    run["Method"],
                    "yes" if run["Lossy"] else "no",
                    f"{run['Replaced']:,} of {run['Files']:,}",
                    table.size(run["BytesBefore"]),
                    table.size(run["BytesAfter"]),
                    moment(run["Last"]) if run["Ended"] else "no",
                )
                for run in found["Runs"]
            ),
        )
    received, kept = table.size(found["BytesReceived"]), table.size(found["BytesKept"])
    objects = table.count(found["Objects"], "object")
    print(
        f"{objects} not as received: {received} then, {kept} now"
        if found["Objects"]
        else "every object is as it was received"
    )
    return DONE


def tell_unknown(ids: list[str], why: str) -> None:
    """Say which ids named nothing."""
    for one in ids:
        print(f"vna: {table.visible(one)}: {why}", file=sys.stderr)


def title(entry: dict[str, Any]) -> str:
    """Return what people know a deleted resource by."""
    tags = entry["MainDicomTags"]
    return ", ".join(str(tags[name]) for name in TITLES[entry["Type"]] if tags.get(name))


def moment(compact_form: str) -> str:
    """Return yyyymmddThhmmss as people write it."""
    day, _, time = compact_form.partition("T")
    return f"{day[:4]}-{day[4:6]}-{day[6:8]} {time[:2]}:{time[2:4]}:{time[4:6]}"
