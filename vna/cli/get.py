"""`vna get`: files of the archive into a folder."""

from __future__ import annotations

import re
import string
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path, PurePosixPath

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from vna.cli.command import print_json
from vna.cli.exits import DONE, FAILED
from vna.cli.progress import progress
from vna.client import Archive, Instance, Resource, open_settings
from vna.errors import BadRequest, NotFound, VnaError
from vna.services.elements import tag_for_keyword
from vna.settings import Settings

# Each is a connection and a thread; the server reads for the others while one writes.
AT_ONCE = 4
# Of a part of a path: file systems take 255 bytes, and UTF-8 up to four a character.
LONGEST = 60

WRITTEN = "written"
PRESENT = "already there"
REFUSED = "refused"
UNFINISHED = "failed"


def get(
    settings: Settings,
    ids: Sequence[str],
    folder: Path,
    *,
    name: str,
    force: bool,
    url: str | None,
    tenant: int = 1,
    as_json: bool,
) -> int:
    """Write the files of resources; returns the exit status.

    A file that is there already in its full length is passed over, so that what was interrupted
    goes on where it stopped; one of another length is refused unless `force` says to replace it.
    """
    pattern = Pattern(name)
    with open_settings(settings, url, tenant=tenant) as archive:
        instances = list(named(archive, ids))
        counts = Writing(archive, folder, pattern, force).run(instances)
    ordered = {what: counts[what] for what in (WRITTEN, PRESENT, REFUSED, UNFINISHED)}
    if as_json:
        print_json(ordered)
    else:
        told = ", ".join(f"{count:,} {what}" for what, count in ordered.items() if count)
        print(told or "no files")
    return FAILED if counts[REFUSED] or counts[UNFINISHED] else DONE


def named(archive: Archive, ids: Sequence[str]) -> Iterator[Instance]:
    """Yield the instances of these resources, each once; raises NotFound for what is not there."""
    seen: set[str] = set()
    for given in ids:
        for resource in resources(archive, given):
            for instance in resource.instances():
                if instance.id not in seen:
                    seen.add(instance.id)
                    yield instance


def resources(archive: Archive, given: str) -> list[Resource]:
    """Return the resource of a public id, else those of an identifier of DICOM."""
    try:
        return [archive.get(given)]
    except NotFound:
        found = archive.lookup(given)
        if not found:
            raise
        return found


class Pattern:
    """How files are named: text with main tags in braces, slashes between folders."""

    def __init__(self, text: str):
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise BadRequest(f"--name {text!r}: {error}") from None
        if any(spec or conversion for _, field, spec, conversion in parts if field is not None):
            raise BadRequest(f"--name {text!r}: in braces stands a keyword alone, {{PatientID}}")
        sample = "".join(part + ("x" if field else "") for part, field, *_ in parts)
        path = PurePosixPath(sample)
        if not path.name or path.is_absolute() or ".." in path.parts or sample.endswith("/"):
            raise BadRequest(f"--name {text!r}: it takes names of files below the folder")
        for _, field, *_ in parts:
            if field is not None and field != "ID" and tag_for_keyword(field) is None:
                raise BadRequest(f"--name {text!r}: {field!r} is no keyword of a tag, nor ID")
        self._parts = [(part, field) for part, field, *_ in parts]

    def path(self, tags: dict[str, str]) -> PurePosixPath:
        """Return the name for an instance with these tags."""
        text = ""
        for literal, field in self._parts:
            text += literal
            if field is not None:
                text += safe(tags.get(field, ""))
        # What comes of values cannot be a way out: `safe` leaves neither slashes nor dots alone.
        return PurePosixPath(*(part for part in text.split("/") if part not in {"", "."}))


def safe(value: str) -> str:
    """Return a value as a part of a path that any file system takes."""
    text = re.sub(r"[^\w.+@()-]+", "_", value).strip("._ ")[:LONGEST]
    return text or "_"


class Writing:
    """The files of one run."""

    def __init__(self, archive: Archive, folder: Path, pattern: Pattern, force: bool):
        self._archive = archive
        self._folder = folder
        self._pattern = pattern
        self._force = force
        self._lock = threading.Lock()
        # Who a name was given to in this run, and the tags of parents.
        self._given: dict[Path, str] = {}
        self._tags: dict[str, dict[str, str]] = {}

    def run(self, instances: Sequence[Instance]) -> Counter[str]:
        """Write all of them; returns how many of what."""
        counts: Counter[str] = Counter()
        columns = (TextColumn("get"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with progress(*columns) as bar, ThreadPoolExecutor(AT_ONCE) as pool:
            task = bar.add_task("get", total=len(instances))
            waiting = [pool.submit(self._write, instance) for instance in instances]
            try:
                for done in as_completed(waiting):
                    counts[done.result()] += 1
                    bar.advance(task)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return counts

    def _write(self, instance: Instance) -> str:
        try:
            return self._write_to(instance, self._folder / self._pattern.path(self._all(instance)))
        except (VnaError, OSError) as error:
            print(f"{instance.id}: failed: {error}", file=sys.stderr)
            return UNFINISHED

    def _write_to(self, instance: Instance, path: Path) -> str:
        with self._lock:
            owner = self._given.setdefault(path, instance.id)
        if owner != instance.id:
            print(f"{path}: refused: it is the name of {owner}, too; see --name", file=sys.stderr)
            return REFUSED
        if path.exists() and not self._force:
            there, wanted = path.stat().st_size, instance.size
            if there == wanted:
                return PRESENT
            problem = f"another file of {there:,} bytes is there, not {wanted:,}; see --force"
            print(f"{path}: refused: {problem}", file=sys.stderr)
            return REFUSED
        path.parent.mkdir(parents=True, exist_ok=True)
        instance.save(path)
        return WRITTEN

    def _all(self, instance: Instance) -> dict[str, str]:
        """Return the main tags of an instance and of all above it, and its id."""
        tags = {"ID": instance.id, **instance.tags}
        child = instance.document
        for level, parent in (("series", "Series"), ("studies", "Study"), ("patients", "Patient")):
            public_id = child.get(f"Parent{parent}", "")
            with self._lock:
                known = self._tags.get(public_id)
                if known is None:
                    resource = self._archive.get(public_id, level)
                    child = resource.document
                    above = {key: value for key, value in child.items() if key.startswith("Parent")}
                    known = self._tags[public_id] = {**resource.tags, **above}
                child = known
            tags = {**known, **tags}
        return {key: str(value) for key, value in tags.items() if not key.startswith("Parent")}
