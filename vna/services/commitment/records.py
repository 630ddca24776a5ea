"""Transactions of storage commitment in the control database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from typing import Literal, NamedTuple

Connection = sqlite3.Connection
Role = Literal["asked", "asking"]
State = Literal["Pending", "Success", "Failure"]

# Failure Reason (0008,1197), PS3.3 C.14.1.1.
COMMITTED = 0
PROCESSING_FAILURE = 0x0110
NO_SUCH_OBJECT = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
REASONS = {
    PROCESSING_FAILURE: "A general failure in processing the operation was encountered",
    NO_SUCH_OBJECT: "One or more of the elements in the Referenced SOP Instance Sequence was not "
    "available",
    0x0122: "The SCP does not support storage commitment for instances of this SOP class",
    CLASS_INSTANCE_CONFLICT: "The SOP class of an element differs from the class of its instance",
    0x0131: "The Transaction UID is already in use",
    0x0213: "The SCP does not currently have enough resources",
}


class Reference(NamedTuple):
    """An instance as a peer names it: an item of Referenced SOP Sequence (0008,1199)."""

    sop_class_uid: str
    sop_instance_uid: str


class Transaction(NamedTuple):
    """What one commitment is about, without its instances."""

    sequence: int
    tenant: int
    transaction_uid: str
    peer_ae_title: str
    own_ae_title: str
    state: State


class Named(NamedTuple):
    """An instance of a transaction: `failure_reason` is None while nothing is known of it."""

    reference: Reference
    failure_reason: int | None


def now_us() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


def begin(
    connection: Connection,
    role: Role,
    tenant: int,
    transaction_uid: str,
    ae_titles: tuple[str, str],
    references: Iterable[Reference],
) -> int:
    """Write a transaction, or begin again the one that the peer repeats; returns its number.

    `ae_titles` are the peer's and our own.
    """
    row = connection.execute(
        "INSERT INTO commitment (tenant, role, transaction_uid, peer_ae_title, own_ae_title,"
        " state, created_us) VALUES (?, ?, ?, ?, ?, 'Pending', ?)"
        " ON CONFLICT (role, tenant, transaction_uid, peer_ae_title) DO UPDATE SET"
        " state = 'Pending', own_ae_title = excluded.own_ae_title, ended_us = NULL"
        " RETURNING sequence",
        (tenant, role, transaction_uid, *ae_titles, now_us()),
    ).fetchone()
    sequence = int(row[0])
    connection.execute("DELETE FROM commitment_instance WHERE commitment = ?", (sequence,))
    connection.executemany(
        "INSERT INTO commitment_instance VALUES (?, ?, ?, ?, NULL)",
        [(sequence, position, *each) for position, each in enumerate(references)],
    )
    return sequence


def get(connection: Connection, sequence: int) -> Transaction | None:
    """Return a transaction by its number."""
    row = connection.execute(f"{SELECT} WHERE sequence = ?", (sequence,)).fetchone()
    return None if row is None else as_transaction(row)


def find(
    connection: Connection, role: Role, tenant: int, transaction_uid: str
) -> Transaction | None:
    """Return the latest transaction of a UID."""
    row = connection.execute(
        f"{SELECT} WHERE role = ? AND tenant = ? AND transaction_uid = ?"
        " ORDER BY sequence DESC LIMIT 1",
        (role, tenant, transaction_uid),
    ).fetchone()
    return None if row is None else as_transaction(row)


SELECT = (
    "SELECT sequence, tenant, transaction_uid, peer_ae_title, own_ae_title, state FROM commitment"
)


def as_transaction(row: sqlite3.Row) -> Transaction:
    """Return the transaction of a row."""
    return Transaction(*row)


def named(connection: Connection, sequence: int) -> list[Named]:
    """Return the instances of a transaction."""
    rows = connection.execute(
        "SELECT sop_class_uid, sop_instance_uid, failure_reason FROM commitment_instance"
        " WHERE commitment = ? ORDER BY position",
        (sequence,),
    )
    return [Named(Reference(row[0], row[1]), row[2]) for row in rows]


def unread(connection: Connection, sequence: int, limit: int) -> list[tuple[int, Reference]]:
    """Return position and reference of instances of which nothing is known yet."""
    rows = connection.execute(
        "SELECT position, sop_class_uid, sop_instance_uid FROM commitment_instance"
        " WHERE commitment = ? AND failure_reason IS NULL ORDER BY position LIMIT ?",
        (sequence, limit),
    )
    return [(row[0], Reference(row[1], row[2])) for row in rows]


def set_reasons(
    connection: Connection, transaction: Transaction, reasons: dict[int, tuple[Reference, int]]
) -> None:
    """Write what became of instances, by position; of those that we keep also that we do."""
    connection.executemany(
        "UPDATE commitment_instance SET failure_reason = ? WHERE commitment = ? AND position = ?",
        [(reason, transaction.sequence, position) for position, (_, reason) in reasons.items()],
    )
    now = now_us()
    connection.executemany(
        "INSERT OR REPLACE INTO committed_instance VALUES (?, ?, ?)",
        [
            (transaction.tenant, reference.sop_instance_uid, now)
            for reference, reason in reasons.values()
            if reason == COMMITTED
        ],
    )


def set_reported(
    connection: Connection, transaction: Transaction, reasons: dict[Reference, int]
) -> State:
    """Write what a peer reported; what it left out it does not vouch for."""
    instances = named(connection, transaction.sequence)
    told = [reasons.get(each.reference, PROCESSING_FAILURE) for each in instances]
    connection.executemany(
        "UPDATE commitment_instance SET failure_reason = ? WHERE commitment = ? AND position = ?",
        [(reason, transaction.sequence, position) for position, reason in enumerate(told)],
    )
    state: State = "Failure" if any(told) else "Success"
    end(connection, transaction.sequence, state)
    return state


def end(connection: Connection, sequence: int, state: State) -> None:
    """Write that nothing more comes of a transaction."""
    connection.execute(
        "UPDATE commitment SET state = ?, ended_us = ? WHERE sequence = ?",
        (state, now_us(), sequence),
    )


def forget(connection: Connection, sequence: int) -> None:
    """Remove a transaction."""
    connection.execute("DELETE FROM commitment WHERE sequence = ?", (sequence,))


def trim(connection: Connection, role: Role, most: int) -> None:
    """Forget the oldest transactions of a role above a number.

    What a peer asked for is not forgotten before it has its report.
    """
    connection.execute(
        "DELETE FROM commitment WHERE sequence IN (SELECT sequence FROM commitment WHERE role = ?"
        " AND (role = 'asking' OR ended_us IS NOT NULL)"
        " ORDER BY ended_us IS NULL DESC, sequence DESC LIMIT -1 OFFSET ?)",
        (role, most),
    )


def spared_until(retention_days: int, committed_us: int | None = None) -> int:
    """Return until when recycling must spare what was committed then, or is committed now.

    With a `retention_days` of 0 that has no end.
    """
    if not retention_days:
        return 2**63 - 1
    return (committed_us or now_us()) + retention_days * 86_400_000_000


def committed(
    connection: Connection, retention_days: int, after: tuple[int, str], limit: int
) -> list[tuple[int, str, int]]:
    """Return what recycling must spare, by tenant and UID behind `after`, with until when."""
    since = now_us() - retention_days * 86_400_000_000 if retention_days else 0
    rows = connection.execute(
        "SELECT tenant, sop_instance_uid, committed_us FROM committed_instance"
        " WHERE (tenant, sop_instance_uid) > (?, ?) AND committed_us >= ?"
        " ORDER BY tenant, sop_instance_uid LIMIT ?",
        (*after, since, limit),
    )
    return [(row[0], row[1], spared_until(retention_days, row[2])) for row in rows]
