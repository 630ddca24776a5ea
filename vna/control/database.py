"""Opening the control database, its migrations, and running statements off the loop."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from vna.errors import OutOfStorage, StorageFailed

T = TypeVar("T")

MIGRATIONS = Path(__file__).with_name("migrations")
# How long a statement waits for another process, such as `vna user add` beside a running server.
BUSY_TIMEOUT_S = 5.0
# Pages of the one connection, in KiB.
CACHE_KIB = 512
FULL = sqlite3.SQLITE_FULL


def control_file(root: str) -> Path:
    """Return where the archive in folder `root` keeps its control database."""
    return Path(root) / "control" / "control.sqlite"


class Control:
    """One open control database.

    One thread runs everything, a transaction at a time: the loop never waits for the disk, and
    writers never meet.

    Parameters
    ----------
    path : Path
        The file; it and its folder are made if they are missing.

    Raises
    ------
    StorageFailed
        If it cannot be opened or brought to the present schema.
    """

    def __init__(self, path: Path):
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vna-control")
        try:
            self._connection = self._thread.submit(open_database, path).result()
        except BaseException:
            self._thread.shutdown()
            raise

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` makes of the connection, in one transaction.

        It is committed and synced when this returns, and rolled back if `work` raises. Once begun
        it is carried out even if the caller is cancelled.

        Raises
        ------
        OutOfStorage
            If the disk is full.
        StorageFailed
            If the database cannot be read or written.
        """
        return await asyncio.wrap_future(self._thread.submit(self._transact, work))

    async def overwrite(self) -> None:
        """Let nothing be left of what was deleted: the file has zeros there, its journal is empty.

        While another process reads the journal stays; it is emptied by the next call.
        """

        def checkpoint() -> None:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

        try:
            await asyncio.wrap_future(self._thread.submit(checkpoint))
        except sqlite3.Error as error:
            raise StorageFailed(f"{self._path}: {error}") from error

    def run_blocking(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the same for callers without a loop, such as commands."""
        return self._thread.submit(self._transact, work).result()

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return transact(self._connection, work)
        except sqlite3.IntegrityError:
            raise  # for the caller, who knows which rule of his was broken
        except sqlite3.Error as error:
            kind = OutOfStorage if getattr(error, "sqlite_errorcode", 0) == FULL else StorageFailed
            raise kind(f"{self._path}: {error}") from error

    def close(self) -> None:
        """Finish what runs and close the file."""
        self._thread.submit(self._connection.close).result()
        self._thread.shutdown()


def transact(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run `work` in one transaction that takes the write lock when it first writes."""
    connection.execute("BEGIN")
    try:
        answer = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return answer


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file, making it if it is missing, and bring its schema up to date."""
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        # Hashes of passwords are in it: nobody's but the owner's.
        path.parent.mkdir(mode=0o700, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")  # of what was a secret nothing stays
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            migrate(connection)
        except BaseException:
            connection.close()
            raise
    except (OSError, sqlite3.Error) as error:
        raise StorageFailed(f"control database {path}: {error}") from error
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the migrations that the database has not seen, each in a transaction of its own."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT)"
    )
    done = {row["number"] for row in connection.execute("SELECT number FROM migration")}
    for number, path in migrations():
        if number in done:
            continue
        name = path.stem
        # executescript ends a transaction that is open, so it brings its own.
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{path.read_text(encoding='utf-8')}\n"
            f"INSERT INTO migration VALUES ({number}, '{name}');\nCOMMIT;"
        )


def migrations() -> list[tuple[int, Path]]:
    """Return number and file of each migration, in order."""
    found = [
        (int(match[1]), path)
        for path in MIGRATIONS.glob("*.sql")
        if (match := re.fullmatch(r"(\d{4})_[a-z_]+", path.stem))
    ]
    return sorted(found)
