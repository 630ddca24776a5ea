"""Into the archive of this machine that no server has open: the core reads the files itself."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from vna.cli.importing.sources import Source
from vna.cli.importing.summary import Answer
from vna.errors import AlreadyOpen, Busy, OutOfStorage, StorageFailed, VnaError
from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.settings import Settings

if TYPE_CHECKING:
    from vna.cli.importing.run import Entries

# What no other file can be stored after either.
FATAL = (OutOfStorage, StorageFailed, AlreadyOpen, Busy)
# Some are read while others wait for their sync.
AT_ONCE = 6


class LocalSink:
    """Stores files by their names."""

    at_once = AT_ONCE

    def __init__(self, archive: Archive, tenant: int):
        self._archive = archive
        self._caller = Caller(way_in="cli", tenant=tenant)

    @classmethod
    async def open(cls, settings: Settings, tenant: int) -> LocalSink:
        """Open the archive; raises AlreadyOpen if a server that does not answer has it."""
        archive = Archive(settings)
        archive.attach()
        return cls(archive, tenant)

    async def store(self, batch: list[Source]) -> list[Answer]:
        """Store files; what became of each, in their order."""
        paths = [os.fsencode(source.path) for source in batch]
        try:
            return await answers(self._archive.import_files(paths, self._caller))
        except FATAL:
            raise
        except VnaError as error:
            # Together they are over a bound of uploads; it may be one of them that is.
            if len(batch) > 1:
                return [(await self.store([source]))[0] for source in batch]
            return [refused(error)]

    async def store_entries(self, entries: Entries) -> list[Answer]:
        """Store entries of a ZIP archive."""
        path = os.fsencode(entries.archive.source.path)
        call = self._archive.import_entries(path, entries.first, entries.count, self._caller)
        try:
            return await answers(call)
        except FATAL:
            raise
        except VnaError as error:  # the archive is not the one that it was
            return [refused(error)]

    async def close(self) -> None:
        """Finish what was begun."""
        await self._archive.stop()


async def answers(call: Awaitable[bytes]) -> list[Answer]:
    """Return what became of each file."""
    found: list[Answer] = json.loads(await call)
    return found


def refused(error: VnaError) -> Answer:
    """Return what stands for a file that was refused as a whole."""
    return {"Status": "Failure", "Code": error.code, "Details": str(error)}
