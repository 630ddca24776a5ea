"""Commitments that we ask of peers, and the reports that come of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

import msgspec

from vna.errors import Conflict, NotFound, UnknownItem
from vna.services import uids
from vna.services.caller import Caller
from vna.services.commitment import records
from vna.services.commitment.records import REASONS, Reference, State, Transaction
from vna.services.node import Node
from vna.settings import Modality

logger = logging.getLogger(__name__)

JOB = "StorageCommitmentScu"


async def request(
    node: Node,
    modality: Modality,
    instances: Sequence[Reference],
    caller: Caller,
    timeout_s: float | None = None,
) -> str:
    """Ask a peer to commit itself to instances, and return the UID of the transaction.

    The peer has taken the request when this returns; its report comes later, see `report`.

    Raises
    ------
    VnaError
        What the peer, or the way to it, has against the request.
    """
    transaction_uid = uids.generate()
    sequence = await begin(node, modality, instances, caller.tenant, transaction_uid)
    content = {"Commitment": sequence, "Modality": modality.name, "Timeout": timeout_s}
    try:
        await node.jobs.perform(
            JOB,
            content,
            destination=f"modality:{modality.name}",
            tenant=caller.tenant,
            show=shown(modality, instances, transaction_uid),
        )
    except BaseException:
        await node.control.run(lambda connection: records.forget(connection, sequence))
        raise
    return transaction_uid


async def submit(
    node: Node,
    modality: Modality,
    instances: Sequence[Reference],
    tenant: int,
    transaction_uid: str,
    timeout_s: float | None = None,
) -> None:
    """Have a peer asked, by a job that nobody waits for: it may need the slot of who submits it.

    Whoever calls it again with the same `transaction_uid` begins that transaction again.
    """
    sequence = await begin(node, modality, instances, tenant, transaction_uid)
    await node.jobs.submit(
        JOB,
        {"Commitment": sequence, "Modality": modality.name, "Timeout": timeout_s},
        destination=f"modality:{modality.name}",
        tenant=tenant,
        show=shown(modality, instances, transaction_uid),
    )


async def begin(
    node: Node,
    modality: Modality,
    instances: Sequence[Reference],
    tenant: int,
    transaction_uid: str,
) -> int:
    """Write a transaction before its request leaves: the report may be faster than the answer."""
    own = modality.local_aet or node.archive.settings.dicom.aet
    ae_titles = modality.aet, own

    def write(connection: records.Connection) -> int:
        records.trim(connection, "asking", node.archive.settings.commitment.reports - 1)
        return records.begin(connection, "asking", tenant, transaction_uid, ae_titles, instances)

    return await node.control.run(write)


def shown(
    modality: Modality, instances: Sequence[Reference], transaction_uid: str
) -> dict[str, Any]:
    """Return what clients see of the job."""
    return {
        "TransactionUID": transaction_uid,
        "RemoteAet": modality.aet,
        "InstancesCount": len(instances),
    }


async def take_report(
    node: Node, transaction_uid: str, reasons: dict[Reference, int], tenant: int
) -> State:
    """Take what a peer reports: a Failure Reason for each instance, 0 for those that it keeps.

    Raises
    ------
    NotFound
        If nobody asked.
    """

    def write(connection: records.Connection) -> State:
        found = records.find(connection, "asking", tenant, transaction_uid)
        if found is None:
            message = f"no commitment was asked for in transaction {transaction_uid}"
            raise UnknownItem(message, "not_found.commitment")
        return records.set_reported(connection, found, reasons)

    state = await node.control.run(write)
    if transaction_uid in _told:
        _told[transaction_uid].set()
    extra = {"transaction_uid": transaction_uid, "state": state}
    logger.info("storage commitment reported", extra=extra)
    return state


@contextlib.contextmanager
def told_of(transaction_uid: str) -> Iterator[asyncio.Event]:
    """Give an event that is set when the report of a transaction is taken."""
    event = _told[transaction_uid] = asyncio.Event()
    try:
        yield event
    finally:
        del _told[transaction_uid]


# Of transactions on whose association somebody waits.
_told: dict[str, asyncio.Event] = {}


async def report(node: Node, transaction_uid: str, tenant: int) -> dict[str, Any]:
    """Return what is known of a commitment that was asked for, as clients of Orthanc read it.

    Raises
    ------
    NotFound
        If there is none, or so many came after it that it was forgotten.
    """
    transaction = await found(node, transaction_uid, tenant)
    instances = await node.control.run(partial(records.named, sequence=transaction.sequence))
    return {
        "Status": transaction.state,
        "RemoteAET": transaction.peer_ae_title,
        "Success": [as_object(each.reference) for each in instances if each.failure_reason == 0],
        "Failures": [
            as_object(each.reference)
            | {
                "FailureReason": each.failure_reason,
                "Description": REASONS.get(each.failure_reason, "Unknown failure reason"),
            }
            for each in instances
            if each.failure_reason
        ],
    }


async def remove(node: Node, transaction_uid: str, caller: Caller) -> None:
    """Delete the instances that a peer committed itself to, and forget the transaction.

    Raises
    ------
    NotFound
        If there is no such transaction.
    Conflict
        If the peer did not commit itself to all of it.
    """
    transaction = await found(node, transaction_uid, caller.tenant)
    if transaction.state != "Success":
        raise Conflict(
            f"the commitment is in state {transaction.state}; only what was committed in whole "
            "is removed"
        )
    instances = await node.control.run(partial(records.named, sequence=transaction.sequence))
    for each in instances:
        for public_id in await public_ids(node, each.reference, caller.tenant):
            try:
                await node.archive.delete("instances", public_id, caller)
            except NotFound:
                continue  # somebody was faster
    await node.control.run(lambda connection: records.forget(connection, transaction.sequence))


async def found(node: Node, transaction_uid: str, tenant: int) -> Transaction:
    """Return a transaction of ours; raises NotFound."""
    transaction = await node.control.run(
        lambda connection: records.find(connection, "asking", tenant, transaction_uid)
    )
    if transaction is None:
        message = f"no commitment was asked for in transaction {transaction_uid}"
        raise UnknownItem(message, "not_found.commitment")
    return transaction


async def public_ids(node: Node, reference: Reference, tenant: int) -> list[str]:
    """Return the public ids of the stored instances that a reference names."""
    begun = node.archive.core.lookup(tenant, reference.sop_instance_uid)
    found = msgspec.json.decode(
        cast(bytes, await node.archive.result(begun)), type=list[dict[str, str]]
    )
    return [each["ID"] for each in found if each["Type"] == "Instance"]


def as_object(reference: Reference) -> dict[str, Any]:
    """Return a reference as clients of Orthanc read it."""
    return {
        "SOPClassUID": reference.sop_class_uid,
        "SOPInstanceUID": reference.sop_instance_uid,
    }
