"""The rows of worklist items in the control database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, cast, get_args

from vna.services.worklist.keys import Condition, Keys

Connection = sqlite3.Connection
Status = Literal["SCHEDULED", "IN PROGRESS", "COMPLETED", "DISCONTINUED"]
STATUSES: tuple[Status, ...] = get_args(Status)
# Those that a modality still has something to do for.
OPEN = "status IN ('SCHEDULED', 'IN PROGRESS')"
COLUMNS = ", ".join(Keys._fields)
MARKS = ", ".join("?" * len(Keys._fields))


class Item(NamedTuple):
    """One scheduled procedure step with what is around it (PS3.3 C.4.10 to C.4.12)."""

    sequence: int
    id: str
    status: Status
    file: str | None
    data_set: bytes


class New(NamedTuple):
    """An item to be written: `file` and `stamp` if a worklist file brought it."""

    id: str
    keys: Keys
    data_set: bytes
    file: str | None = None
    stamp: str | None = None


def now_us() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


def write(connection: Connection, tenant: int, items: Iterable[New]) -> list[New]:
    """Add items, or change those of the same id, whose status stays; return those that are new."""
    new = []
    for item in items:
        before = connection.execute("SELECT 1 FROM worklist_item WHERE id = ?", (item.id,))
        if before.fetchone() is None:
            new.append(item)
        # A file that was changed stays the same item: performed steps refer to it.
        row = connection.execute(
            "INSERT INTO worklist_item"
            f" (id, tenant, file, stamp, changed_us, {COLUMNS}) VALUES (?, ?, ?, ?, ?, {MARKS})"
            " ON CONFLICT (id) DO UPDATE SET stamp = excluded.stamp,"
            f" changed_us = excluded.changed_us, ({COLUMNS}) ="
            f" ({', '.join(f'excluded.{name}' for name in Keys._fields)})"
            " RETURNING sequence",
            (item.id, tenant, item.file, item.stamp, now_us(), *item.keys),
        ).fetchone()
        connection.execute(
            "INSERT OR REPLACE INTO worklist_data_set VALUES (?, ?)", (row[0], item.data_set)
        )
    return new


def find(connection: Connection, tenant: int, item_id: str) -> Item | None:
    """Return an item, whatever its status."""
    row = connection.execute(f"{SELECT} WHERE tenant = ? AND id = ?", (tenant, item_id)).fetchone()
    return None if row is None else as_item(row)


def listed(connection: Connection, tenant: int, after: int, skip: int, limit: int) -> list[Item]:
    """Return items of every status behind a sequence number, but for the first of them."""
    rows = connection.execute(
        f"{SELECT} WHERE tenant = ? AND item.sequence > ? ORDER BY item.sequence LIMIT ? OFFSET ?",
        (tenant, after, limit, skip),
    )
    return [as_item(row) for row in rows]


def candidates(
    connection: Connection, tenant: int, conditions: Sequence[Condition], after: int, limit: int
) -> list[Item]:
    """Return open items behind a sequence number that may match, in the order of creation."""
    # NULL: only the data set tells.
    narrowed = "".join(
        f" AND (({condition.sql}) OR {condition.column} IS NULL)" for condition in conditions
    )
    parameters = [value for condition in conditions for value in condition.parameters]
    rows = connection.execute(
        f"{SELECT} WHERE item.sequence IN"
        " (SELECT sequence FROM worklist_item INDEXED BY worklist_open"
        f" WHERE tenant = ? AND {OPEN} AND sequence > ?{narrowed} ORDER BY sequence LIMIT ?)"
        " ORDER BY item.sequence",
        (tenant, after, *parameters, limit),
    )
    return [as_item(row) for row in rows]


SELECT = (
    "SELECT item.sequence, id, status, file, data_set FROM worklist_item AS item"
    " JOIN worklist_data_set USING (sequence)"
)


def as_item(row: sqlite3.Row) -> Item:
    """Return an item of a row."""
    return Item(
        row["sequence"], row["id"], cast(Status, row["status"]), row["file"], row["data_set"]
    )


def delete(connection: Connection, tenant: int, ids: Iterable[str]) -> None:
    """Remove items."""
    connection.executemany(
        "DELETE FROM worklist_item WHERE tenant = ? AND id = ?", [(tenant, each) for each in ids]
    )


def set_status(connection: Connection, tenant: int, item_id: str, status: Status) -> None:
    """Say how far an item is."""
    connection.execute(
        "UPDATE worklist_item SET status = ?, changed_us = ? WHERE tenant = ? AND id = ?",
        (status, now_us(), tenant, item_id),
    )


def set_status_of_step(
    connection: Connection, tenant: int, study_instance_uid: str, step_id: str, status: Status
) -> int:
    """Say how far the items of a scheduled procedure step are; returns how many there are."""
    return connection.execute(
        "UPDATE worklist_item SET status = ?, changed_us = ? WHERE tenant = ?"
        " AND study_instance_uid = ? AND scheduled_procedure_step_id = ?",
        (status, now_us(), tenant, study_instance_uid, step_id),
    ).rowcount


def stamps(connection: Connection, tenant: int) -> dict[str, str]:
    """Return the stamps of all items that files brought, by file."""
    rows = connection.execute(
        "SELECT file, stamp FROM worklist_item WHERE tenant = ? AND file IS NOT NULL", (tenant,)
    )
    return {row["file"]: row["stamp"] for row in rows}
