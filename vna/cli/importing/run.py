"""One import: batches of files on their way to a sink, several at a time."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vna.cli.importing.display import Display
from vna.cli.importing.journal import Journal
from vna.cli.importing.sources import NotFollowed, Source, sources_of
from vna.cli.importing.summary import KEPT, Answer, Summary, tell
from vna.cli.remote import Remote
from vna.settings import MIB, Settings

# A batch is one call, or one request: large enough that its way does not show, small enough that
# the progress does. What is larger goes alone.
BATCH_FILES = 128
BATCH_BYTES = 8 * MIB
# Entries of a ZIP archive that one call stores.
BATCH_ENTRIES = 256


@dataclass(frozen=True)
class Entries:
    """Some entries of a ZIP archive."""

    archive: Archive
    first: int
    count: int


class Archive:
    """A ZIP archive on its way: done when the last of its entries is."""

    def __init__(self, source: Source, entries: int):
        self.source = source
        self.left = entries
        self.is_good = True


class Sink(Protocol):
    """What stores files."""

    at_once: int

    async def store(self, batch: list[Source]) -> list[Answer]:
        """Store files; what became of each, in their order."""

    async def store_entries(self, entries: Entries) -> list[Answer]:
        """Store entries of a ZIP archive; folders among them are not answered."""

    async def close(self) -> None:
        """Finish what was begun."""


class Run:
    """One import."""

    def __init__(
        self,
        settings: Settings,
        server: Remote | None,
        tenant: int,
        journal: Journal,
        summary: Summary,
        display: Display,
    ):
        self._settings = settings
        self._server = server
        self._tenant = tenant
        self._journal = journal
        self._summary = summary
        self._display = display
        self._entries: deque[Entries] = deque()

    def run(self, paths: list[Path]) -> None:
        """Import all files of `paths`; ends early, but in order, on SIGINT."""
        asyncio.run(self._run(paths))

    async def _run(self, paths: list[Path]) -> None:
        batches = self._batches(paths)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt)
        sink = await self._open()
        try:
            # Who is the last at work may find an archive, which is then for all again.
            while True:
                await asyncio.gather(*(self._work(sink, batches) for _ in range(sink.at_once)))
                if not self._entries or self._summary.was_interrupted:
                    break
        finally:
            await sink.close()

    def _interrupt(self) -> None:
        """Finish what is on its way; the next time, end at once."""
        self._summary.was_interrupted = True
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    async def _open(self) -> Sink:
        if self._server is not None:
            from vna.cli.importing.remote import RemoteSink

            return RemoteSink(self._server)
        from vna.cli.importing.local import LocalSink

        return await LocalSink.open(self._settings, self._tenant)

    def _batches(self, paths: list[Path]) -> Iterator[list[Source]]:
        """Yield the files in batches, without those that a run before has stored."""
        batch: list[Source] = []
        size = 0
        for source in sources_of(paths, self._passed_over):
            if self._journal.has(source):
                self._summary.resumed += 1
                self._display.advance(source.size)
                continue
            if batch and (len(batch) == BATCH_FILES or size + source.size > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(source)
            size += source.size
        if batch:
            yield batch

    def _passed_over(self, path: Path, error: Exception) -> None:
        if isinstance(error, NotFollowed):
            tell(f"{path}: {error}")
        else:
            self._summary.fail(str(path), error)

    async def _work(self, sink: Sink, batches: Iterator[list[Source]]) -> None:
        """Take work for as long as there is any."""
        while not self._summary.was_interrupted:
            if self._entries:
                entries = self._entries.popleft()
                self._take_entries(entries, await sink.store_entries(entries))
                continue
            batch = next(batches, None)  # one iterator, shared: each batch goes to one worker
            if batch is None:
                return
            self._take(batch, await sink.store(batch))

    def _take(self, batch: list[Source], answers: list[Answer]) -> None:
        done = []
        for source, answer in zip(batch, answers, strict=True):
            if answer["Status"] == "Archive":
                self._begin_archive(source, int(answer["Entries"]))
                continue
            if "Entries" in answer:  # a ZIP archive that was sent as it is
                kinds = [self._add(source, entry) for entry in answer["Entries"]]
                if all(kind in KEPT for kind in kinds):
                    done.append(source)
            elif self._summary.add(source.path, answer) in KEPT:
                done.append(source)
            self._done(source)
        self._journal.add(done)

    def _add(self, source: Source, entry: Answer) -> str:
        name = f"{source.path}: {entry['Name']}" if entry.get("Name") else source.path
        return self._summary.add(name, entry)

    def _begin_archive(self, source: Source, entries: int) -> None:
        archive = Archive(source, entries)
        self._entries += [
            Entries(archive, first, min(BATCH_ENTRIES, entries - first))
            for first in range(0, entries, BATCH_ENTRIES)
        ]
        if not entries:
            self._done(source)

    def _take_entries(self, entries: Entries, answers: list[Answer]) -> None:
        archive = entries.archive
        kinds = [self._add(archive.source, answer) for answer in answers]
        archive.is_good = archive.is_good and all(kind in KEPT for kind in kinds)
        archive.left -= entries.count
        if not archive.left:
            self._done(archive.source)
            if archive.is_good:
                self._journal.add([archive.source])

    def _done(self, source: Source) -> None:
        self._summary.bytes += source.size
        self._display.advance(source.size)
