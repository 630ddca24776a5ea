"""The queue as statements: functions of a connection, each run in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import NamedTuple

from vna.jobs.job import Row
from vna.jobs.shown import AS_JSON

Connection = sqlite3.Connection

STATES = ("Pending", "Running", "Success", "Failure", "Paused", "Retry")
FIELDS = ", ".join(Row.__struct_fields__)

# The destinations that have a job ready to run, found by one look into the index for each.
READY_DESTINATIONS = """
    WITH RECURSIVE ready (name) AS (
        SELECT min(destination) FROM job WHERE state = 'Pending' AND run_after_us IS NULL
        UNION ALL
        SELECT (
            SELECT min(destination) FROM job
            WHERE state = 'Pending' AND run_after_us IS NULL AND destination > name
        ) FROM ready WHERE name IS NOT NULL
    )
    SELECT name FROM ready WHERE name IS NOT NULL
"""


class Submission(NamedTuple):
    """A job to be."""

    id: str
    tenant: int
    user: str
    type: str
    priority: int
    destination: str
    content: str
    shown: str
    user_data: str | None
    created_us: int
    run_after_us: int | None
    retries_left: int
    secret: str | None


class Failure(NamedTuple):
    """Why a job ended without success."""

    number: int
    description: str
    details: str
    code: str
    payload: str | None


class Page(NamedTuple):
    """Some of the jobs: behind number `after`, without the first `skipped` of them."""

    tenant: int | None
    after: int
    skipped: int
    most: int


class Described(NamedTuple):
    """A job and its JSON."""

    sequence: int
    id: str
    state: str
    text: str


class Standing(NamedTuple):
    """How far a running job is."""

    id: str
    saved: str
    shown: str
    progress: float
    runtime_us: int


def as_row(found: sqlite3.Row) -> Row:
    """Return a row of the table."""
    return Row(**dict(found))


def insert(connection: Connection, job: Submission) -> None:
    """Add a job that waits."""
    names = ", ".join(Submission._fields)
    places = ", ".join("?" * len(Submission._fields))
    connection.execute(
        f"INSERT INTO job ({names}, state, saved) VALUES ({places}, 'Pending', 'null')", job
    )


def claim(
    connection: Connection,
    owner: str,
    now_us: int,
    lease_us: int,
    free: Callable[[str], int],
) -> list[Row]:
    """Take what is ready and has a slot: `free` tells how many a destination has."""
    connection.execute(
        "UPDATE job SET state = 'Pending', run_after_us = NULL"
        " WHERE state IN ('Pending', 'Retry') AND run_after_us <= ?",
        (now_us,),
    )
    taken: list[Row] = []
    for (destination,) in connection.execute(READY_DESTINATIONS).fetchall():
        slots = free(destination)
        if slots <= 0:
            continue
        taken += map(
            as_row,
            connection.execute(
                f"SELECT {FIELDS} FROM job"
                " WHERE state = 'Pending' AND run_after_us IS NULL AND destination = ?"
                " ORDER BY priority DESC, sequence LIMIT ?",
                (destination, slots),
            ).fetchall(),
        )
    connection.executemany(
        "UPDATE job SET state = 'Running', owner = ?, lease_us = ?, attempts = attempts + 1"
        " WHERE sequence = ?",
        [(owner, lease_us, row.sequence) for row in taken],
    )
    return taken


def next_due_us(connection: Connection) -> int | None:
    """Return when the first of those that wait for their time may run."""
    found = connection.execute(
        "SELECT min(run_after_us) FROM job"
        " WHERE state IN ('Pending', 'Retry') AND run_after_us IS NOT NULL"
    ).fetchone()
    return None if found is None else found[0]


def keep(connection: Connection, owner: str, lease_us: int, running: Iterable[Standing]) -> None:
    """Write how far running jobs are and renew their leases, of those that are still `owner`'s."""
    connection.executemany(
        "UPDATE job SET saved = ?, shown = ?, progress = ?, runtime_us = ?, lease_us = ?"
        " WHERE id = ? AND owner = ? AND state = 'Running'",
        [
            (each.saved, each.shown, each.progress, each.runtime_us, lease_us, each.id, owner)
            for each in running
        ],
    )


def end(
    connection: Connection,
    owner: str,
    now_us: int,
    how: Standing,
    state: str,
    failure: Failure | None,
    run_after_us: int | None,
) -> bool:
    """Let go of a job that ran; False if it is no longer `owner`'s."""
    completed_us = now_us if state in {"Success", "Failure"} else None
    error = failure or Failure(0, "Success", "", "", None)
    spent = 1 if state == "Retry" else 0
    changed = connection.execute(
        "UPDATE job SET state = ?, completed_us = ?, run_after_us = ?, saved = ?, shown = ?,"
        " progress = ?, runtime_us = ?, retries_left = retries_left - ?, owner = NULL,"
        " lease_us = NULL, error_number = ?, error_description = ?, error_details = ?,"
        " error_code = ?, error_payload = ?, secret = iif(?, NULL, secret)"
        " WHERE id = ? AND owner = ? AND state = 'Running'",
        (
            state,
            completed_us,
            run_after_us,
            how.saved,
            how.shown,
            how.progress,
            how.runtime_us,
            spent,
            *error,
            completed_us is not None,
            how.id,
            owner,
        ),
    )
    return changed.rowcount > 0


def take_over(connection: Connection, now_us: int | None, kept: Iterable[str] = ()) -> list[str]:
    """Let the jobs of dead processes wait again: all that run, or those whose lease has ended.

    Those of `kept` still run here, whatever their lease says.
    """
    found = connection.execute(
        "SELECT id FROM job WHERE state = 'Running' AND (? IS NULL OR lease_us < ?)",
        (now_us, now_us),
    ).fetchall()
    dead = [row["id"] for row in found if row["id"] not in set(kept)]
    connection.executemany(
        "UPDATE job SET state = 'Pending', owner = NULL, lease_us = NULL"
        " WHERE id = ? AND state = 'Running'",
        [(each,) for each in dead],
    )
    return dead


def cancel(connection: Connection, job_id: str, now_us: int, why: Failure) -> bool:
    """End a job that does not run; False if it runs or has ended."""
    changed = connection.execute(
        "UPDATE job SET state = 'Failure', completed_us = ?, run_after_us = NULL,"
        " error_number = ?, error_description = ?, error_details = ?, error_code = ?,"
        " error_payload = ?, secret = NULL"
        " WHERE id = ? AND state IN ('Pending', 'Retry', 'Paused')",
        (now_us, *why, job_id),
    )
    return changed.rowcount > 0


def pause(connection: Connection, job_id: str) -> bool:
    """Hold a job that does not run; False if it runs, is held already or has ended."""
    changed = connection.execute(
        "UPDATE job SET state = 'Paused', run_after_us = NULL"
        " WHERE id = ? AND state IN ('Pending', 'Retry')",
        (job_id,),
    )
    return changed.rowcount > 0


def resume(connection: Connection, job_id: str) -> bool:
    """Let a paused job wait for its slot again; False if it is not paused."""
    changed = connection.execute(
        "UPDATE job SET state = 'Pending' WHERE id = ? AND state = 'Paused'", (job_id,)
    )
    return changed.rowcount > 0


def resubmit(connection: Connection, job_id: str) -> bool:
    """Let a failed job wait again, from what it saved; False if it did not fail."""
    changed = connection.execute(
        "UPDATE job SET state = 'Pending', completed_us = NULL WHERE id = ? AND state = 'Failure'",
        (job_id,),
    )
    return changed.rowcount > 0


def find(connection: Connection, job_id: str, tenant: int | None) -> Row | None:
    """Return a job of a tenant, or of any."""
    found = connection.execute(
        f"SELECT {FIELDS} FROM job WHERE id = :id AND (:tenant IS NULL OR tenant = :tenant)",
        {"id": job_id, "tenant": tenant},
    ).fetchone()
    return None if found is None else as_row(found)


def ids(connection: Connection, tenant: int | None, since: int, limit: int) -> str:
    """Return ids in the order of submission, as JSON; the list is made without the GIL."""
    found = connection.execute(
        "SELECT json_group_array(id) FROM"
        " (SELECT id FROM job WHERE :tenant IS NULL OR tenant = :tenant"
        "  ORDER BY sequence LIMIT :limit OFFSET :since)",
        {"tenant": tenant, "limit": limit or -1, "since": since},
    ).fetchone()
    return str(found[0])


def describe(
    connection: Connection, job_id: str, tenant: int | None, now: str
) -> tuple[str, str] | None:
    """Return state and JSON of a job."""
    found = connection.execute(
        f"SELECT state, {AS_JSON} FROM job"
        " WHERE id = :id AND (:tenant IS NULL OR tenant = :tenant)",
        {"id": job_id, "tenant": tenant, "now": now},
    ).fetchone()
    return None if found is None else tuple(found)


def page(connection: Connection, wanted: Page, now: str) -> list[Described]:
    """Return jobs in the order of submission."""
    found = connection.execute(
        f"SELECT sequence, id, state, {AS_JSON} FROM job"
        " WHERE (:tenant IS NULL OR tenant = :tenant) AND sequence > :after"
        " ORDER BY sequence LIMIT :most OFFSET :skipped",
        {**wanted._asdict(), "now": now},
    )
    return [Described(*row) for row in found.fetchall()]


def remove(connection: Connection, job_id: str, tenant: int | None) -> bool:
    """Remove a job that has ended; False if there is none."""
    changed = connection.execute(
        "DELETE FROM job WHERE id = :id AND (:tenant IS NULL OR tenant = :tenant)"
        " AND state IN ('Success', 'Failure')",
        {"id": job_id, "tenant": tenant},
    )
    return changed.rowcount > 0


def trim(connection: Connection, history: int) -> bool:
    """Remove all but the last `history` jobs that have ended; True if there were more."""
    changed = connection.execute(
        "DELETE FROM job WHERE sequence IN (SELECT sequence FROM job"
        " WHERE state IN ('Success', 'Failure') ORDER BY completed_us DESC, sequence DESC"
        " LIMIT -1 OFFSET ?)",
        (history,),
    )
    return changed.rowcount > 0


def unfinished(connection: Connection, type_name: str) -> str | None:
    """Return the id of a job of a type that has not ended."""
    found = connection.execute(
        "SELECT id FROM job WHERE type = ? AND state NOT IN ('Success', 'Failure') LIMIT 1",
        (type_name,),
    ).fetchone()
    return None if found is None else str(found[0])


def counts(connection: Connection) -> dict[str, int]:
    """Return how many jobs are in each state."""
    found = connection.execute("SELECT state, count(*) FROM job GROUP BY state")
    return dict.fromkeys(STATES, 0) | {str(state): int(number) for state, number in found}
