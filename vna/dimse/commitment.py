"""N-ACTION and N-EVENT-REPORT of the Storage Commitment Push Model (PS3.4 Annex J)."""

from __future__ import annotations

import asyncio

from vna.dimse.serving import SUCCESS, Request
from vna.errors import NoSuchAction, NotFound, VnaError
from vna.services import commitment
from vna.services.commitment.messages import (
    COMMITMENT,
    PUSH_MODEL_INSTANCE,
    REQUEST_STORAGE_COMMITMENT,
    InvalidArgument,
    NotReported,
    read_action,
    read_event,
)
from vna.services.named_tags import DataSet
from vna.services.node import Node


async def action(node: Node, request: Request) -> None:
    """Take a request for commitment; a job reads the instances and reports."""
    command, caller = request.command, request.caller
    if command.get("ActionTypeID") != REQUEST_STORAGE_COMMITMENT:
        raise NoSuchAction(f"Action Type ID is {command.get('ActionTypeID')}; 1 is right")
    if command.get("RequestedSOPInstanceUID") != PUSH_MODEL_INSTANCE:
        raise NotFound(f"storage commitment is asked of instance {PUSH_MODEL_INSTANCE}")
    transaction_uid, references = read_action(request.identifier())
    modality = node.modalities.by_ae_title(caller.calling_ae_title, caller.address)
    if modality is None:
        raise VnaError(f"no modality has the AE title {caller.calling_ae_title}: nowhere to report")
    answered = asyncio.Event()

    async def report(event: int, data_set: DataSet) -> None:
        await answered.wait()
        response = await request.report(
            {
                "AffectedSOPClassUID": COMMITMENT,
                "AffectedSOPInstanceUID": PUSH_MODEL_INSTANCE,
                "EventTypeID": event,
            },
            request.encoded(data_set),
        )
        if response["Status"] != SUCCESS:
            raise NotReported(f"the report was answered with status {response['Status']:04X}")

    await commitment.accept(node, transaction_uid, references, modality.name, caller, report)
    try:
        await request.finish({"Status": SUCCESS})
    finally:
        answered.set()


async def event_report(node: Node, request: Request) -> None:
    """Take the report of a peer that we asked."""
    event = request.command.get("EventTypeID")
    transaction_uid, reasons = read_event(event, request.identifier())
    try:
        await commitment.take_report(node, transaction_uid, reasons, request.caller.tenant)
    except NotFound as error:
        raise InvalidArgument(str(error), error.code) from None
    await request.finish({"Status": SUCCESS})
