"""The record of what was sent to remote nodes, if the configuration asks for one."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from vna.services.node import Node

# A page holds no more, whatever is asked for.
MOST = 10_000


class Sent(NamedTuple):
    """A resource that was sent: what it is, and the identifiers down to it."""

    level: str
    public_id: str
    patient_id: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


async def record(node: Node, modality: str, sent: list[Sent], tenant: int) -> None:
    """Note that resources were sent to a modality."""
    created_us = time.time_ns() // 1000
    rows = [(tenant, created_us, modality, *each) for each in sent]
    await node.control.run(
        lambda connection: connection.executemany(
            "INSERT INTO export (tenant, created_us, modality, level, public_id, patient_id,"
            " study_instance_uid, series_instance_uid, sop_instance_uid)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
    )


async def page(node: Node, since: int, limit: int, last: bool, tenant: int) -> dict[str, Any]:
    """Return what was sent after number `since`, or the last of it, as clients of Orthanc read it.

    A `limit` of 0 means all.
    """
    wanted = min(limit or MOST, MOST)

    def find(connection: sqlite3.Connection) -> list[sqlite3.Row]:
        if last:
            rows = connection.execute(
                "SELECT * FROM export WHERE tenant = ? ORDER BY sequence DESC LIMIT 1", (tenant,)
            )
        else:
            rows = connection.execute(
                "SELECT * FROM export WHERE tenant = ? AND sequence > ? ORDER BY sequence LIMIT ?",
                (tenant, since, wanted + 1),
            )
        return rows.fetchall()

    rows = await node.control.run(find)
    found = [shown(row) for row in rows[:wanted]]
    answer = {
        "Done": len(rows) <= wanted,
        "Exports": found,
        "Last": found[-1]["Seq"] if found else since,
    }
    if found:
        answer["First"] = found[0]["Seq"]
    return answer


async def clear(node: Node, tenant: int) -> None:
    """Forget all; numbers go on."""
    await node.control.run(
        lambda connection: connection.execute("DELETE FROM export WHERE tenant = ?", (tenant,))
    )


PLURALS = {"Patient": "patients", "Study": "studies", "Series": "series", "Instance": "instances"}


def shown(row: sqlite3.Row) -> dict[str, Any]:
    """Return one entry."""
    seconds = time.gmtime(row["created_us"] // 1_000_000)
    entry = {
        "Date": time.strftime("%Y%m%dT%H%M%S", seconds),
        "ID": row["public_id"],
        "Path": f"/{PLURALS[row['level']]}/{row['public_id']}",
        "PatientID": row["patient_id"],
        "RemoteModality": row["modality"],
        "ResourceType": row["level"],
        "Seq": row["sequence"],
    }
    uids = {
        "StudyInstanceUID": row["study_instance_uid"],
        "SeriesInstanceUID": row["series_instance_uid"],
        "SOPInstanceUID": row["sop_instance_uid"],
    }
    return entry | {name: uid for name, uid in uids.items() if uid}
