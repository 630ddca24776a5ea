"""Modality Performed Procedure Steps (PS3.4 Annex F): what modalities say that they do and did.

Invariants of a step:
(1) It begins as IN PROGRESS and ends as COMPLETED or DISCONTINUED; then it is never changed.
(2) What it says of the scheduled steps that it performs is written in one transaction with it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, cast

import msgspec

from vna.control import Control
from vna.errors import (
    AttributeMissing,
    AttributeValueMissing,
    BadRequest,
    Conflict,
    DuplicateInstance,
    InvalidInstance,
    NotFound,
)
from vna.services import uids
from vna.services.caller import Caller
from vna.services.named_tags import DataSet, tags_of, text, values
from vna.services.worklist import items
from vna.services.worklist.items import Status

logger = logging.getLogger(__name__)

Connection = sqlite3.Connection
StepStatus = Literal["IN PROGRESS", "COMPLETED", "DISCONTINUED"]

STATUS = "00400252"
SCHEDULED_STEPS = "00400270"
STUDY_INSTANCE_UID = "0020000D"
ACCESSION_NUMBER = "00080050"
STEP_ID = "00400009"
DISCONTINUATION_REASON = "00400281"
CODE_VALUE, CODING_SCHEME = "00080100", "00080102"
# "Incorrect worklist entry selected" (PS3.16 CID 9300): the scheduled step is still to be done.
WRONG_ENTRY = ("110514", "DCM")

# Type 1 when a step is created (PS3.4 Table F.7.2-1).
AT_CREATION = {
    "00080060": "Modality",
    "00400241": "Performed Station AE Title",
    "00400244": "Performed Procedure Step Start Date",
    "00400245": "Performed Procedure Step Start Time",
    STATUS: "Performed Procedure Step Status",
    "00400253": "Performed Procedure Step ID",
    SCHEDULED_STEPS: "Scheduled Step Attributes Sequence",
}
# Type 1 in its final state; a series only of a step that was completed: one that was discontinued
# may have come to nothing.
AT_THE_END = {
    "00400250": "Performed Procedure Step End Date",
    "00400251": "Performed Procedure Step End Time",
}
AT_COMPLETION = AT_THE_END | {"00400340": "Performed Series Sequence"}
# What N-SET may not change (the same table): who, what for, and when it began.
FIXED = frozenset(
    {
        SCHEDULED_STEPS,
        "00080060",
        "00100010",
        "00100020",
        "00100021",
        "00100030",
        "00100040",
        "00200010",
        "00400241",
        "00400242",
        "00400243",
        "00400244",
        "00400245",
        "00400253",
    }
)


class Step(NamedTuple):
    """One performed procedure step."""

    sequence: int
    sop_instance_uid: str
    status: StepStatus
    ae_title: str
    created_us: int
    changed_us: int
    data_set: DataSet


async def create(
    control: Control, sop_instance_uid: str, data_set: DataSet, caller: Caller
) -> None:
    """Take a step that a modality has begun (N-CREATE).

    Raises
    ------
    AttributeMissing, AttributeValueMissing
        If what the standard requires is not there.
    BadRequest
        If it does not begin as IN PROGRESS.
    InvalidInstance
        If `sop_instance_uid` is no UID.
    DuplicateInstance
        If there is one of this UID.
    """
    if not uids.is_uid(sop_instance_uid):
        raise InvalidInstance(f"{sop_instance_uid[:64]!r} is no UID")
    require(data_set, AT_CREATION)
    for number, item in enumerate(values(data_set, SCHEDULED_STEPS)):
        where = f" in item {number + 1} of Scheduled Step Attributes Sequence"
        require(item, {STUDY_INSTANCE_UID: "Study Instance UID"}, where)
    if text(data_set, STATUS) != "IN PROGRESS":
        raise BadRequest(
            f"Performed Procedure Step Status is {text(data_set, STATUS)!r}; a step is created "
            "as 'IN PROGRESS' (PS3.4 F.7.2.1.2)"
        )

    def write(connection: Connection) -> None:
        insert(connection, sop_instance_uid, data_set, caller)
        update_worklist(connection, caller.tenant, data_set)

    try:
        await control.run(write)
    except sqlite3.IntegrityError:
        raise DuplicateInstance(f"there is a procedure step {sop_instance_uid}") from None
    logger.info("procedure step begun", extra=fields(sop_instance_uid, caller))


async def change(
    control: Control, sop_instance_uid: str, modifications: DataSet, caller: Caller
) -> list[str]:
    """Change a step (N-SET), and return the attributes that may not be changed and were not.

    Raises
    ------
    NotFound
        If there is no such step.
    Conflict
        If it has ended.
    AttributeMissing, AttributeValueMissing, BadRequest
        If it would end without what the standard requires, or in a status that is none.
    """
    refused: list[str] = []

    def write(connection: Connection) -> str:
        step = found(connection, caller.tenant, sop_instance_uid)
        if step.status != "IN PROGRESS":
            raise Conflict(f"procedure step {sop_instance_uid} is {step.status}: it has ended")
        refused[:] = [
            tag
            for tag, attribute in modifications.items()
            if tag in FIXED and attribute != step.data_set.get(tag)
        ]
        changed = step.data_set | {
            tag: attribute for tag, attribute in modifications.items() if tag not in FIXED
        }
        status = checked_status(changed)
        update(connection, step.sequence, status, changed)
        update_worklist(connection, caller.tenant, changed)
        return status

    status = await control.run(write)
    extra = fields(sop_instance_uid, caller) | {"status": status}
    if refused:
        extra["not_changed"] = refused
    logger.info("procedure step changed", extra=extra)
    return refused


def checked_status(data_set: DataSet) -> StepStatus:
    """Return the status of a step as it is to be written, with all that it requires."""
    status = text(data_set, STATUS)
    if status == "IN PROGRESS":
        return "IN PROGRESS"
    if status not in {"COMPLETED", "DISCONTINUED"}:
        raise BadRequest(
            f"Performed Procedure Step Status is {status!r}; it takes 'IN PROGRESS', 'COMPLETED' "
            "or 'DISCONTINUED'"
        )
    require(data_set, AT_COMPLETION if status == "COMPLETED" else AT_THE_END)
    return cast(StepStatus, status)


def require(data_set: DataSet, names: dict[str, str], where: str = "") -> None:
    """Raise if one of these attributes is not there, or has no value."""
    for tag, name in names.items():
        attribute = f"({tag[:4]},{tag[4:]}) {name}"
        if tag not in data_set:
            raise AttributeMissing(f"{attribute} is missing{where}", tag)
        if not values(data_set, tag):
            raise AttributeValueMissing(f"{attribute} has no value{where}", tag)


async def get(control: Control, sop_instance_uid: str, tenant: int) -> Step:
    """Return a step; raises NotFound."""
    return await control.run(lambda connection: found(connection, tenant, sop_instance_uid))


async def listed(control: Control, tenant: int, since: int, limit: int) -> list[Step]:
    """Return steps, the latest first; a `limit` of 0 means all."""

    def read(connection: Connection) -> list[Step]:
        rows = connection.execute(
            "SELECT * FROM procedure_step WHERE tenant = ? ORDER BY sequence DESC LIMIT ? OFFSET ?",
            (tenant, limit or -1, since),
        )
        return [as_step(row) for row in rows]

    return await control.run(read)


def shown(step: Step) -> dict[str, Any]:
    """Return a step as clients see it."""
    return {
        "SOPInstanceUID": step.sop_instance_uid,
        "Status": step.status,
        "AET": step.ae_title,
        "CreationTime": stamp(step.created_us),
        "LastUpdate": stamp(step.changed_us),
        "Tags": tags_of(step.data_set),
    }


def stamp(time_us: int) -> str:
    """Return a time as clients of Orthanc read it, in UTC."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(time_us / 1e6))


# Rows.


def found(connection: Connection, tenant: int, sop_instance_uid: str) -> Step:
    """Return a step; raises NotFound."""
    row = connection.execute(
        "SELECT * FROM procedure_step WHERE tenant = ? AND sop_instance_uid = ?",
        (tenant, sop_instance_uid),
    ).fetchone()
    if row is None:
        message = f"there is no procedure step {sop_instance_uid}"
        raise NotFound(message, "not_found.procedure_step")
    return as_step(row)


def as_step(row: sqlite3.Row) -> Step:
    """Return a step of a row."""
    return Step(
        row["sequence"],
        row["sop_instance_uid"],
        cast(StepStatus, row["status"]),
        row["ae_title"],
        row["created_us"],
        row["changed_us"],
        json.loads(row["data_set"]),
    )


def insert(
    connection: Connection, sop_instance_uid: str, data_set: DataSet, caller: Caller
) -> None:
    """Write a new step; raises sqlite3.IntegrityError if its UID is taken."""
    now = items.now_us()
    step = connection.execute(
        "INSERT INTO procedure_step (tenant, sop_instance_uid, status, ae_title, created_us,"
        " changed_us, data_set) VALUES (?, ?, 'IN PROGRESS', ?, ?, ?, ?)",
        (
            caller.tenant,
            sop_instance_uid,
            caller.calling_ae_title,
            now,
            now,
            msgspec.json.encode(data_set).decode(),
        ),
    ).lastrowid
    connection.executemany(
        "INSERT INTO procedure_step_of VALUES (?, ?, ?, ?)",
        [(step, *each, text(item, ACCESSION_NUMBER)) for each, item in performed(data_set)],
    )


def update(connection: Connection, sequence: int, status: str, data_set: DataSet) -> None:
    """Write what became of a step."""
    connection.execute(
        "UPDATE procedure_step SET status = ?, changed_us = ?, data_set = ? WHERE sequence = ?",
        (status, items.now_us(), msgspec.json.encode(data_set).decode(), sequence),
    )


def performed(data_set: DataSet) -> Iterable[tuple[tuple[str, str], DataSet]]:
    """Yield study and id of each scheduled step that a step performs, and its item."""
    for item in values(data_set, SCHEDULED_STEPS):
        yield (text(item, STUDY_INSTANCE_UID), text(item, STEP_ID)), item


def update_worklist(connection: Connection, tenant: int, data_set: DataSet) -> None:
    """Let the worklist say how far the scheduled steps are that a step performs."""
    for (study, step_id), _ in performed(data_set):
        if step_id:  # else it was not scheduled
            update_item(connection, tenant, study, step_id)


def update_item(connection: Connection, tenant: int, study: str, step_id: str) -> None:
    """Let the worklist say how far a scheduled step is by what was performed of it."""
    steps = steps_of(connection, tenant, study, step_id)
    items.set_status_of_step(connection, tenant, study, step_id, worklist_status(steps))


def steps_of(connection: Connection, tenant: int, study: str, step_id: str) -> list[Step]:
    """Return all that was performed of a scheduled step."""
    rows = connection.execute(
        "SELECT procedure_step.* FROM procedure_step_of AS of"
        " JOIN procedure_step ON procedure_step.sequence = of.step"
        " WHERE tenant = ? AND study_instance_uid = ? AND scheduled_procedure_step_id = ?",
        (tenant, study, step_id),
    )
    return [as_step(row) for row in rows]


def worklist_status(steps: Iterable[Step]) -> Status:
    """Return how far a scheduled step is of which these were performed."""
    statuses: set[StepStatus] = {step.status for step in steps if not is_mistake(step)}
    order: tuple[StepStatus, ...] = ("IN PROGRESS", "COMPLETED", "DISCONTINUED")
    return next((status for status in order if status in statuses), "SCHEDULED")


def is_mistake(step: Step) -> bool:
    """Whether a step was discontinued since it was begun for the wrong entry of the worklist."""
    return step.status == "DISCONTINUED" and any(
        (text(reason, CODE_VALUE), text(reason, CODING_SCHEME)) == WRONG_ENTRY
        for reason in values(step.data_set, DISCONTINUATION_REASON)
    )


def fields(sop_instance_uid: str, caller: Caller) -> dict[str, Any]:
    """Return what log lines say."""
    return {"sop_instance_uid": sop_instance_uid, "calling_ae_title": caller.calling_ae_title}
