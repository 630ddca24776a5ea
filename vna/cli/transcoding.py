"""`vna transcode`: files, or instances of the archive, in another transfer syntax."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from vna.cli.command import print_json
from vna.cli.exits import DONE, FAILED
from vna.cli.get import named
from vna.cli.progress import progress
from vna.client import Instance, open_settings
from vna.errors import BadRequest, EncodingError, VnaError
from vna.services.archive import helper_command
from vna.services.transcoding import pixel_syntaxes, transcode_file
from vna.settings import Settings

UID = re.compile(r"[0-9.]{1,64}")
# What people call them beside their names in the standard.
ALIASES = {
    "deflated": "deflated-explicit-vr-little-endian",
    "explicit": "explicit-vr-little-endian",
    "implicit": "implicit-vr-little-endian",
    "j2k": "jpeg-2000",
    "j2k-lossless": "jpeg-2000-lossless",
    "jpeg": "jpeg-baseline",
    "jpeg-ls": "jpeg-ls-lossless",
    "rle": "rle-lossless",
}

TRANSCODED = "transcoded"
SKIPPED = "skipped"
UNFINISHED = "failed"


class Options(NamedTuple):
    """What the flags of the command say."""

    quality: int | None
    near: int | None
    ratio: float | None
    force: bool


class Source(NamedTuple):
    """What is transcoded: a file, or an instance of the archive; and where it goes."""

    file: Path | Instance
    target: Path
    # Whether it was found in a folder, where also other files may be.
    found: bool


def transcode(
    settings: Settings,
    inputs: Sequence[str],
    *,
    to: str,
    output: Path | None,
    options: Options,
    url: str | None,
    tenant: int,
    as_json: bool,
) -> int:
    """Transcode all of them; returns the exit status."""
    name, uid = transfer_syntax(to)
    ids = [given for given in inputs if not os.path.exists(given)]
    folders = [given for given in inputs if os.path.isdir(given)]
    if folders and output is None:
        raise BadRequest(f"{folders[0]} is a folder: --output says which folder its files go to")
    single = len(inputs) == 1 and not folders and not ids
    is_file = output is not None and single and not output.is_dir()
    naming = Naming(name, output, is_file)
    sources = list(of_files(inputs, naming))
    if not ids:
        return run(settings, uid, sources, options, as_json)
    with open_settings(settings, url, tenant=tenant) as archive:
        sources += [Source(each, naming.of_instance(each), False) for each in named(archive, ids)]
        return run(settings, uid, sources, options, as_json)


def transfer_syntax(to: str) -> tuple[str, str]:
    """Return name and UID of the transfer syntax that `to` names."""
    known = {
        each["name"].lower().replace(" ", "-").replace("/", "-"): each
        for each in json.loads(pixel_syntaxes())
    }
    wanted = to.lower()
    for name, syntax in known.items():
        if to == syntax["uid"] or ALIASES.get(wanted, wanted) == name:
            return name, syntax["uid"]
    if UID.fullmatch(to):
        return to, to
    written = [name for name, syntax in known.items() if syntax["encodes"]]
    raise BadRequest(f"--to {to!r}: it takes a UID, or one of {', '.join(written)}")


class Naming:
    """Where the new files go."""

    def __init__(self, name: str, output: Path | None, is_file: bool):
        self._name = name
        self._output = output
        self._is_file = is_file

    def of_file(self, path: Path, below: Path) -> Path:
        """Return where a file goes that was named, or found `below` a folder."""
        if self._output is None:
            return path.with_name(f"{path.stem}.{self._name}.dcm")
        return self._output if self._is_file else self._output / path.relative_to(below)

    def of_instance(self, instance: Instance) -> Path:
        """Return where an instance of the archive goes."""
        if self._output is None:
            return Path(f"{instance.id}.{self._name}.dcm")
        return self._output / f"{instance.id}.dcm"


def of_files(inputs: Sequence[str], naming: Naming) -> Iterator[Source]:
    """Yield the files that were named and those in folders, in the order of their names."""
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            for folder, folders, names in os.walk(path):
                folders.sort()
                for name in sorted(names):
                    found = Path(folder, name)
                    yield Source(found, naming.of_file(found, path), True)
        elif path.exists():
            yield Source(path, naming.of_file(path, path.parent), False)


def run(
    settings: Settings, uid: str, sources: Sequence[Source], options: Options, as_json: bool
) -> int:
    """Transcode them in parallel, and tell what became of them."""
    work = Transcoding(settings, uid, options)
    results: list[dict[str, Any]] = []
    columns = (TextColumn("transcode"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # A thread for each processor: what one waits for, a disk or the last frame, another one uses.
    at_once = settings.codecs.parallel or os.cpu_count() or 1
    with progress(*columns) as bar, ThreadPoolExecutor(at_once) as pool:
        task = bar.add_task("transcode", total=len(sources))
        waiting = [pool.submit(work.one, source) for source in sources]
        try:
            for done in as_completed(waiting):
                results.append(done.result())
                bar.advance(task)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    counts = dict.fromkeys((TRANSCODED, SKIPPED, UNFINISHED), 0)
    for result in results:
        counts[result["outcome"]] += 1
    before = sum(result.get("bytes_before", 0) for result in results)
    after = sum(result.get("bytes_after", 0) for result in results)
    if as_json:
        results.sort(key=lambda result: str(result["source"]))
        print_json({**counts, "bytes_before": before, "bytes_after": after, "files": results})
    else:
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        sizes = f"; {before:,} bytes became {after:,}" if counts[TRANSCODED] else ""
        print(f"{told or 'no files'}{sizes}")
    return FAILED if counts[UNFINISHED] or not counts[TRANSCODED] else DONE


class Transcoding:
    """The files of one run."""

    def __init__(self, settings: Settings, uid: str, options: Options):
        self._uid = uid
        self._force = options.force
        self._lock = threading.Lock()
        self._given: set[Path] = set()
        isolated = settings.codecs.isolation == "process"
        wanted = {
            "quality": options.quality,
            "near": options.near,
            "ratio": options.ratio,
            # Who names a lossy transfer syntax wants what comes of it.
            "allow_new_uid": True,
            "held_bytes": settings.codecs.held_bytes,
            "helper_command": helper_command() if isolated else None,
        }
        self._options = {key: value for key, value in wanted.items() if value is not None}

    def one(self, source: Source) -> dict[str, Any]:
        """Transcode one; returns what became of it."""
        given = source.file if isinstance(source.file, Path) else source.file.id
        told: dict[str, Any] = {"source": str(given)}
        try:
            done = self._write(source)
        except EncodingError as error:
            if source.found and error.code == "file.not_dicom":
                return told | {"outcome": SKIPPED}
            return self._failed(told, error)
        except (VnaError, OSError) as error:
            return self._failed(told, error)
        return told | {"outcome": TRANSCODED, "target": str(source.target)} | done

    def _failed(self, told: dict[str, Any], error: Exception) -> dict[str, Any]:
        print(f"{told['source']}: failed: {error}", file=sys.stderr)
        return told | {"outcome": UNFINISHED, "error": str(error)}

    def _write(self, source: Source) -> dict[str, Any]:
        target = source.target
        with self._lock:
            if target in self._given:
                raise BadRequest(f"{target} is the name of another file, too")
            self._given.add(target)
        if target.exists() and not self._force:
            raise FileExistsError(f"{target} is there already; see --force")
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source.file, Path):
            return self._transcode(source.file, target)
        with tempfile.TemporaryDirectory(prefix=".vna-", dir=target.parent) as folder:
            stored = Path(folder, "stored.dcm")
            source.file.save(stored)
            return self._transcode(stored, target)

    def _transcode(self, source: Path, target: Path) -> dict[str, Any]:
        options = self._options | {"folder": str(target.parent)}
        done = transcode_file(
            str(source),
            str(target),
            transfer_syntax_uid=self._uid,
            options_json=json.dumps(options).encode(),
        )
        return dict(json.loads(done))
