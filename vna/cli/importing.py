"""`vna import`: files of a disk into the archive, through its server if one runs."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from vna.cli import running
from vna.cli.progress import progress
from vna.errors import Busy, EncodingError, SettingsError, VnaError
from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.settings import MIB, Settings

# Group commit syncs what waits together: more files on their way cost fewer syncs.
OFFLINE_AT_ONCE = 32
# Each is a connection and a thread.
HTTP_AT_ONCE = 8
# Contents of files in memory; one larger file is read alone.
HELD_BYTES = 256 * MIB
BUSY_PAUSE_S = 1.0

Store = Callable[[bytes], Awaitable[str]]


def import_paths(settings: Settings, paths: list[Path], url: str | None) -> int:
    """Store all files of `paths`; returns the exit status.

    A file that is no DICOM is told and passed over; the status is 1 if nothing could be stored or
    something else than the file itself was wrong.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise SettingsError(f"no such file or folder: {', '.join(missing)}")
    counts = asyncio.run(_import(settings, paths, url))
    told = (
        ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "no files found"
    )
    print(told)
    stored = counts["Success"] + counts["AlreadyStored"]
    return 1 if counts["failed"] or not stored else 0


def files_of(paths: Iterable[Path], failed: Callable[[Path, OSError], None]) -> Iterator[Path]:
    """Yield the regular files of `paths`, folders with all below them, in a steady order.

    Links to folders are followed only where they are given: below, they may lead round in a
    circle. What cannot be read is told to `failed` and passed over.
    """
    # A stack and no recursion: folders may be nested deeper than the interpreter's calls.
    pending = [(path, True) for path in reversed(list(paths))]
    while pending:
        path, given = pending.pop()
        try:
            if path.is_dir():
                if given or not path.is_symlink():
                    below = sorted(path.iterdir(), reverse=True)
                    pending += [(entry, False) for entry in below]
                else:
                    print(f"{path}: a link to a folder, not followed", file=sys.stderr)
                continue
            is_file = path.is_file()
        except OSError as error:
            failed(path, error)
            continue
        if is_file:
            yield path


async def _import(settings: Settings, paths: list[Path], url: str | None) -> Counter[str]:
    counts: Counter[str] = Counter()

    def failed(path: Path, error: OSError) -> None:
        tell_failure(path, error)
        counts["failed"] += 1

    files = files_of(paths, failed)
    budget = ByteBudget(HELD_BYTES)
    async with sink(settings, url) as (store, at_once):
        with progress(
            SpinnerColumn(), TextColumn("{task.completed} files"), TimeElapsedColumn()
        ) as bar:
            task = bar.add_task("import", total=None)

            async def work() -> None:
                for path in files:  # one iterator, shared: each file goes to one worker
                    counts[await import_one(path, store, budget)] += 1
                    bar.advance(task)

            await asyncio.gather(*(work() for _ in range(at_once)))
    return counts


async def import_one(path: Path, store: Store, budget: ByteBudget) -> str:
    """Store one file; returns the status to count."""
    try:
        size = (await asyncio.to_thread(path.stat)).st_size
        async with budget.hold(size):
            return await store(await asyncio.to_thread(path.read_bytes))
    except EncodingError as error:
        print(f"{path}: not stored: {error}", file=sys.stderr)
        return "refused"
    except (VnaError, OSError, http.client.HTTPException) as error:
        tell_failure(path, error)
        return "failed"


def tell_failure(path: Path, error: Exception) -> None:
    """Say that a file or folder was not imported for a reason that is not its content."""
    # Some errors of http.client have no text.
    print(f"{path}: failed: {str(error) or type(error).__name__}", file=sys.stderr)


class ByteBudget:
    """Bytes that may be in memory at a time; what is larger than all of it goes alone."""

    def __init__(self, total: int):
        self._total = total
        self._used = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def hold(self, count: int) -> AsyncIterator[None]:
        """Wait until `count` bytes are free, and give them back at the end."""
        count = min(count, self._total)
        async with self._changed:
            await self._changed.wait_for(lambda: self._used + count <= self._total)
            self._used += count
        try:
            yield
        finally:
            async with self._changed:
                self._used -= count
                self._changed.notify_all()


@asynccontextmanager
async def sink(settings: Settings, url: str | None) -> AsyncIterator[tuple[Store, int]]:
    """Yield how to store one file, and how many to have on their way."""
    url = url or await asyncio.to_thread(running_server, settings)
    if url:
        uploads = Uploads(url)
        yield uploads.store, HTTP_AT_ONCE
        return
    archive = Archive(settings)
    archive.attach()
    caller = Caller(way_in="cli")

    async def store(data: bytes) -> str:
        return str(json.loads(await archive.store(data, caller))["Status"])

    try:
        yield store, OFFLINE_AT_ONCE
    finally:
        await archive.stop()


def running_server(settings: Settings) -> str | None:
    """Return the URL of the server of this folder if it answers."""
    url = running.find(settings)
    if url is None:
        return None
    try:
        Uploads(url).request("GET", "/health/live")
    except (OSError, http.client.HTTPException, VnaError):
        return None  # left behind by a server that was killed; the lock tells if one lives
    return url


class Uploads:
    """HTTP uploads, one kept connection for each thread."""

    def __init__(self, url: str):
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError(f"--url: {url!r} is no http:// or https:// address")
        self._parts = parts
        self._own = threading.local()

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            secure = self._parts.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            connection = kind(self._parts.hostname or "", self._parts.port, timeout=120)
            self._own.connection = connection
        return connection

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send one request; raises what the error answer stands for."""
        kept = getattr(self._own, "connection", None) is not None
        try:
            status, content = self._exchange(method, path, body)
        except ConnectionError:
            # A server may close a kept connection whenever it likes. Sending again is safe: what is
            # stored already is answered so.
            if not kept:
                raise
            status, content = self._exchange(method, path, body)
        if status == 200:
            return content
        raise as_error(status, content)

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            # A server that refuses a body by its head answers and reads no further: the answer
            # tells more than the pipe that broke.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(
                    method,
                    self._parts.path.rstrip("/") + path,
                    body,
                    {"Content-Type": "application/dicom"} if body else {},
                )
            answer = connection.getresponse()
            return answer.status, answer.read()
        except BaseException:
            connection.close()
            self._own.connection = None
            raise

    async def store(self, data: bytes) -> str:
        """Upload one file, again after a pause for as long as the server is busy."""
        while True:
            try:
                content = await asyncio.to_thread(self.request, "POST", "/instances", data)
            except Busy:
                await asyncio.sleep(BUSY_PAUSE_S)
            else:
                return str(json.loads(content)["Status"])


def as_error(status: int, content: bytes) -> VnaError:
    """Return the error that an answer describes."""
    try:
        described = json.loads(content)
        reason = str(described.get("Details") or described.get("Message"))
    except (ValueError, AttributeError):
        reason = content[:200].decode("utf-8", "replace")
    kind: type[VnaError] = {400: EncodingError, 415: EncodingError, 503: Busy}.get(status, VnaError)
    return kind(f"HTTP {status}: {reason}")
