"""Recompressions that gave originals up, as rows: functions of a connection, each one transaction.

A run is recorded before its first original goes, and after each step what that did.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from vna.errors import NotFound

Connection = sqlite3.Connection


class Run(NamedTuple):
    """A run: who wanted what, and what came of it; see the migration."""

    run: int
    began_us: int
    last_us: int
    ended: int
    user: str
    way_in: str
    address: str
    method: str
    lossy: int
    older_than_days: int
    files: int
    replaced: int
    bytes_before: int
    bytes_after: int


class Wanted(NamedTuple):
    """What a run is to do, and for whom."""

    user: str
    way_in: str
    address: str
    method: str
    lossy: bool
    older_than_days: int


def begin(connection: Connection, wanted: Wanted, now_us: int) -> int:
    """Record a run; returns its number."""
    row = connection.execute(
        "INSERT INTO given_up (began_us, last_us, user, way_in, address, method, lossy,"
        " older_than_days) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (now_us, now_us, *wanted),
    )
    assert row.lastrowid is not None
    return row.lastrowid


def require(connection: Connection, run: int) -> None:
    """Raise NotFound if there is no such run, or it has ended."""
    if connection.execute("SELECT 1 FROM given_up WHERE run = ? AND NOT ended", (run,)).fetchone():
        return
    raise NotFound(f"no run {run} of a recompression goes on; leave Run out to begin one")


def add(connection: Connection, run: int, step: Mapping[str, int | None], now_us: int) -> None:
    """Add to a run what one of its steps did."""
    connection.execute(
        "UPDATE given_up SET last_us = ?, ended = ?, files = files + ?, replaced = replaced + ?,"
        " bytes_before = bytes_before + ?, bytes_after = bytes_after + ? WHERE run = ?",
        (
            now_us,
            step["Next"] is None,
            step["Files"],
            step["Recompressed"],
            step["BytesBefore"],
            step["BytesAfter"],
            run,
        ),
    )


def runs(connection: Connection) -> list[Run]:
    """Return all runs, the last one first."""
    found = connection.execute(f"SELECT {', '.join(Run._fields)} FROM given_up ORDER BY run DESC")
    return [Run(*row) for row in found]
