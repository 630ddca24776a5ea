"""Messages of storage commitment on associations that we request: the jobs of both roles."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import Any

import msgspec

from vna.errors import NotFound, PeerTimeout, VnaError
from vna.jobs.job import Job
from vna.services.archive import data_set_from_json, data_set_to_json
from vna.services.commitment import asked, asking, records
from vna.services.commitment.messages import (
    COMMITMENT,
    N_ACTION,
    N_EVENT_REPORT,
    PUSH_MODEL_INSTANCE,
    TRANSACTION_UID,
    NotReported,
    as_action,
    as_event,
    read_event,
)
from vna.services.named_tags import text
from vna.services.node import Node
from vna.services.peer import SUCCESS, Context, Peer, Response, open_peer, require_success
from vna.settings import Modality

logger = logging.getLogger(__name__)

# How long an association on which we asked stays open for a report on it, if none comes on another.
LINGER_S = 5.0

# Conversations that go on after their job: the loop itself does not hold tasks.
lingering: set[asyncio.Task[None]] = set()


async def run(node: Node, job: Job) -> None:
    """Do a job of either role."""
    await (report_to if job.type == asked.JOB else ask)(node, job)


async def report_to(node: Node, job: Job) -> None:
    """Read what a peer named, and report which of it we keep.

    On the association of the request if it is still open, else on one of our own, on which we are
    the provider (PS3.4 §J.3.3).
    """
    sequence: int = job.content["Commitment"]
    reporter = asked.reporters.pop(sequence, None)
    transaction, instances = await asked.read_again(node.archive, node.control, sequence, job)
    retrieve_ae_title = transaction.own_ae_title or node.archive.settings.dicom.aet
    event, data_set = as_event(transaction, instances, retrieve_ae_title)
    failed = sum(each.failure_reason != records.COMMITTED for each in instances)
    job.show(FailedInstancesCount=failed)
    try:
        if reporter is None:
            raise ConnectionError("the request was of a former process")
        await reporter(event, data_set)
    except (ConnectionError, VnaError) as error:
        logger.debug("reporting on another association", extra={"reason": str(error)})
        modality = node.modalities.get(job.content["Modality"])
        await report_anew(node, modality, transaction, event, data_set)
    await asked.reported(node.control, transaction, instances)
    extra = {
        "transaction_uid": transaction.transaction_uid,
        "called_ae_title": transaction.peer_ae_title,
        "instances": len(instances),
        "failed": failed,
    }
    logger.info("storage commitment reported to its peer", extra=extra)


async def report_anew(
    node: Node,
    modality: Modality,
    transaction: records.Transaction,
    event: int,
    data_set: dict[str, Any],
) -> None:
    """Report on an association of our own; raises NotReported."""
    # As the peer knows us: it called us by that name.
    known = msgspec.structs.replace(
        modality, local_aet=transaction.own_ae_title or modality.local_aet
    )
    context = Context(COMMITMENT, scu=False, scp=True)
    command = {
        "CommandField": N_EVENT_REPORT,
        "AffectedSOPInstanceUID": PUSH_MODEL_INSTANCE,
        "EventTypeID": event,
    }
    try:
        async with open_peer(node, known, [context], tenant=transaction.tenant) as peer:
            encoded = encode(peer, data_set)
            async for response in peer.ask(COMMITMENT, command, encoded):
                require_success(modality, "N-EVENT-REPORT", response)
    except VnaError as error:
        raise NotReported(f"{modality.aet} did not take the report: {error}") from error


async def ask(node: Node, job: Job) -> None:
    """Ask a peer to keep what a transaction names; done when the peer has taken the request."""
    sequence: int = job.content["Commitment"]
    transaction = await node.control.run(lambda connection: records.get(connection, sequence))
    if transaction is None:
        raise NotFound("the transaction was forgotten", "not_found.commitment")
    instances = await node.control.run(partial(records.named, sequence=sequence))
    modality = node.modalities.get(job.content["Modality"])
    if job.content.get("Timeout"):
        modality = msgspec.structs.replace(modality, timeout_s=job.content["Timeout"])
    data_set = as_action(transaction.transaction_uid, [each.reference for each in instances])
    taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(converse(node, modality, data_set, job.tenant, taken))
    lingering.add(task)
    task.add_done_callback(lingering.discard)
    try:
        await taken
    except asyncio.CancelledError:
        task.cancel()
        raise


async def converse(
    node: Node,
    modality: Modality,
    data_set: dict[str, Any],
    tenant: int,
    taken: asyncio.Future[None],
) -> None:
    """Ask, tell through `taken` how it went, and take a report that comes at once."""
    command = {
        "CommandField": N_ACTION,
        "RequestedSOPInstanceUID": PUSH_MODEL_INSTANCE,
        "ActionTypeID": 1,
    }
    try:
        async with open_peer(node, modality, [Context(COMMITMENT)], tenant=tenant) as peer:
            async for response in peer.ask(COMMITMENT, command, encode(peer, data_set)):
                require_success(modality, "N-ACTION", response)
            taken.set_result(None)
            await linger(node, peer, text(data_set, TRANSACTION_UID), tenant)
    except VnaError as error:
        if not taken.done():
            taken.set_exception(error)
        else:
            # It reports on another association then.
            logger.debug("the association of a commitment ended", extra={"reason": str(error)})
    except Exception as error:
        if taken.done():
            raise
        taken.set_exception(error)


async def linger(node: Node, peer: Peer, transaction_uid: str, tenant: int) -> None:
    """Take a report on the association that we asked on, until one came on whichever."""
    coming = asyncio.ensure_future(peer.next(LINGER_S))
    with asking.told_of(transaction_uid) as told:
        elsewhere = asyncio.ensure_future(told.wait())
        try:
            await asyncio.wait({coming, elsewhere}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            elsewhere.cancel()
    if coming.done():
        with contextlib.suppress(PeerTimeout):
            await take_message(node, peer, coming.result(), tenant)
    else:
        coming.cancel()


async def take_message(node: Node, peer: Peer, message: Response, tenant: int) -> None:
    """Take a report and answer it."""
    command = message.command
    if command.get("CommandField") != N_EVENT_REPORT:
        return
    status = SUCCESS
    try:
        told = data_set_to_json(message.data_set, peer.transfer_syntaxes[COMMITMENT])
        uid, reasons = read_event(command.get("EventTypeID"), msgspec.json.decode(told))
        await asking.take_report(node, uid, reasons, tenant)
    except VnaError as error:
        status = error.dimse_status
        logger.warning("a report is refused", extra={"reason": str(error)})
    await peer.answer(COMMITMENT, message, status)


def encode(peer: Peer, data_set: dict[str, Any]) -> bytes:
    """Return a data set as the context of the association has it."""
    return data_set_from_json(msgspec.json.encode(data_set), peer.transfer_syntaxes[COMMITMENT])
