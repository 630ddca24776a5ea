"""One running job as its code sees it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

FINISHED = frozenset({"Success", "Failure"})


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What the database has of a job; texts of JSON stay texts."""

    sequence: int
    id: str
    tenant: int
    user: str
    type: str
    state: str
    priority: int
    destination: str
    content: str
    saved: str
    shown: str
    user_data: str | None
    progress: float
    runtime_us: int
    created_us: int
    completed_us: int | None
    retries_left: int
    attempts: int
    error_number: int
    error_description: str
    error_details: str
    error_code: str
    error_payload: str | None
    secret: str | None


class Output(NamedTuple):
    """A file that a job left behind."""

    path: Path
    media_type: str
    filename: str
    size: int


class Keeper(Protocol):
    """Where a running job keeps what is to survive it."""

    async def keep(self, job: Job) -> None:
        """Write how far the job is."""

    def writing(
        self, job: Job, key: str, media_type: str, filename: str
    ) -> AbstractAsyncContextManager[Path]:
        """Give a path to write to; what is there at the end becomes an output."""


class Job:
    """A job while it runs. It is cancelled and paused by asyncio.CancelledError.

    Attributes
    ----------
    id, type, tenant, user, destination : str or int
        As it was submitted.
    content : dict
        What is to be done.
    secret : Any
        What nobody else is to know; None if there is nothing, or it was forgotten: a job that ended
        and was resubmitted has it no more.
    state : Any
        What was saved last, here or before a crash or pause; None if nothing was.
    saved : str
        The same as JSON, as it was then.
    shown : dict
        What clients see as `Content`.
    attempt : int
        How often it was begun, this time included.
    """

    def __init__(self, row: Row, keeper: Keeper):
        self.id, self.type, self.tenant, self.user = row.id, row.type, row.tenant, row.user
        self.destination = row.destination
        self.content: dict[str, Any] = msgspec.json.decode(row.content)
        self.secret: Any = None if row.secret is None else msgspec.json.decode(row.secret)
        self.saved = row.saved
        self.state: Any = msgspec.json.decode(row.saved)
        self.shown: dict[str, Any] = msgspec.json.decode(row.shown)
        self.attempt = row.attempts + 1  # the row is as it was before it was taken
        self.fraction = row.progress
        self._runtime_before_s = row.runtime_us / 1e6
        self._begun = time.monotonic()
        self._keeper = keeper

    def progress(self, fraction: float) -> None:
        """Tell which part is done, 0 to 1; costs nothing."""
        self.fraction = min(max(fraction, 0.0), 1.0)

    def show(self, **fields: Any) -> None:
        """Set members of what clients see; costs nothing."""
        self.shown.update(fields)

    async def save(self, state: Any) -> None:
        """Set `state`, which must be JSON; it is on the disk when this returns.

        Raises
        ------
        StorageFailed
            If it cannot be written.
        """
        self.saved = msgspec.json.encode(state).decode()
        self.state = state
        await self._keeper.keep(self)

    def output(self, key: str, media_type: str, filename: str) -> AbstractAsyncContextManager[Path]:
        """Give a path to write a file to, to be fetched at `/jobs/{id}/{key}` afterwards.

        ::

            async with job.output("archive", "application/zip", "Archive.zip") as path:
                await archive.write_zip(path)

        Raises
        ------
        OutOfStorage
            At the end, if the file alone is larger than `jobs.output_bytes`.
        """
        return self._keeper.writing(self, key, media_type, filename)

    @property
    def runtime_s(self) -> float:
        """How long it has run, all attempts together."""
        return self._runtime_before_s + time.monotonic() - self._begun


Run = Callable[[Job], Awaitable[None]]
