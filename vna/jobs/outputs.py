"""Files that jobs leave behind: a folder with a bound, and a row for each.

A file is written under its final random name and counts from its row on; files without a row are
what a crash left and are removed at start. Rows go first, files after.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from vna.control import Control
from vna.errors import OutOfStorage
from vna.jobs.job import Output

logger = logging.getLogger(__name__)


class Outputs:
    """The outputs of one archive."""

    def __init__(self, folder: Path, most_bytes: int):
        self._folder = folder
        self._most_bytes = most_bytes
        self._being_written: set[str] = set()

    @contextlib.asynccontextmanager
    async def writing(
        self, control: Control, job_id: str, key: str, media_type: str, filename: str, now_us: int
    ) -> AsyncIterator[Path]:
        """Give a path to write to; it becomes the output `key` unless the block raises."""
        name = uuid.uuid4().hex
        path = self._folder / name
        self._being_written.add(name)
        try:
            await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
            yield path
            size = await asyncio.to_thread(sync, path)
            if size > self._most_bytes:
                raise OutOfStorage(
                    f"output {key} has {size} bytes, jobs.output_bytes is {self._most_bytes}"
                )
            row = (job_id, key, name, media_type, filename, size, now_us)
            await control.run(lambda connection: add(connection, row, self._most_bytes))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            self._being_written.discard(name)
        await self.sweep(control)

    async def sweep(self, control: Control) -> None:
        """Remove files that no row names."""
        # Seen before the rows are read: what gets its row meanwhile is not in this list, or named.
        seen = await asyncio.to_thread(names_in, self._folder)
        unknown = seen - self._being_written
        if not unknown:
            return
        named = await control.run(names)
        await asyncio.to_thread(self._remove, unknown - named)

    def _remove(self, names: set[str]) -> None:
        for name in names:
            try:
                (self._folder / name).unlink(missing_ok=True)
            except OSError as error:
                logger.warning(
                    "an output of a job stays behind", extra={"file": name, "reason": str(error)}
                )

    def find(self, connection: sqlite3.Connection, job_id: str, key: str) -> Output | None:
        """Return an output of a job."""
        found = connection.execute(
            "SELECT file, media_type, filename, bytes FROM job_output WHERE job = ? AND key = ?",
            (job_id, key),
        ).fetchone()
        if found is None:
            return None
        return Output(
            self._folder / found["file"], found["media_type"], found["filename"], found["bytes"]
        )


def sync(path: Path) -> int:
    """Bring a file to the disk and return its size."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size


def names_in(folder: Path) -> set[str]:
    """Return the names of the files in a folder that need not be there."""
    with contextlib.suppress(FileNotFoundError):
        return {entry.name for entry in os.scandir(folder)}
    return set()


def names(connection: sqlite3.Connection) -> set[str]:
    """Return the files that have a row."""
    return {row["file"] for row in connection.execute("SELECT file FROM job_output")}


def add(
    connection: sqlite3.Connection,
    row: tuple[str, str, str, str, str, int, int],
    most_bytes: int,
) -> None:
    """Add an output, or replace one; the oldest go if all together are over the bound."""
    connection.execute("INSERT OR REPLACE INTO job_output VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    held = 0
    found = connection.execute(
        "SELECT job, key, bytes FROM job_output ORDER BY created_us DESC, file = ? DESC", (row[2],)
    ).fetchall()
    for each in found:
        held += each["bytes"]
        if held > most_bytes:
            connection.execute(
                "DELETE FROM job_output WHERE job = ? AND key = ?", (each["job"], each["key"])
            )


def remove(connection: sqlite3.Connection, job_id: str, key: str) -> bool:
    """Forget an output; False if there is none."""
    changed = connection.execute("DELETE FROM job_output WHERE job = ? AND key = ?", (job_id, key))
    return changed.rowcount > 0
