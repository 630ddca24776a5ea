"""N-ACTION and N-EVENT-REPORT of the Storage Commitment Push Model (PS3.4 Annex J)."""

from __future__ import annotations

import logging
from typing import Any

from vna.dimse.serving import SUCCESS, Request
from vna.errors import BadRequest, NotFound, VnaError
from vna.services import commitment
from vna.services.commitment import Reference
from vna.services.named_tags import DataSet, text, values
from vna.services.node import Node

logger = logging.getLogger(__name__)

# The well-known instance of the SOP class (PS3.6 Table A-1).
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
REQUEST_STORAGE_COMMITMENT = 1
SUCCESSFUL, FAILURES_EXIST = 1, 2

TRANSACTION_UID = "00081195"
REFERENCED, FAILED = "00081199", "00081198"
SOP_CLASS_UID, SOP_INSTANCE_UID = "00081150", "00081155"
FAILURE_REASON = "00081197"


class NoSuchAction(VnaError):
    """An action or event that the SOP class has not (PS3.7 C.5.8, C.5.9)."""

    code = "dimse.no_such_action"
    dimse_status = 0x0123


class NoSuchEvent(NoSuchAction):
    """The same of an event."""

    code = "dimse.no_such_event"
    dimse_status = 0x0113


class InvalidArgument(BadRequest):
    """The data set of an action or event is not what it takes (PS3.7 C.5.6)."""

    code = "dimse.invalid_argument"
    dimse_status = 0x0115


async def action(node: Node, request: Request) -> None:
    """Take a request for commitment; its report comes on an association of its own."""
    command = request.command
    if command.get("ActionTypeID") != REQUEST_STORAGE_COMMITMENT:
        raise NoSuchAction(f"Action Type ID is {command.get('ActionTypeID')}; 1 is right")
    if command.get("RequestedSOPInstanceUID") != PUSH_MODEL_INSTANCE:
        raise NotFound(f"storage commitment is asked of instance {PUSH_MODEL_INSTANCE}")
    data_set = request.identifier()
    references = referenced(data_set, REFERENCED)
    if not references:
        raise InvalidArgument("Referenced SOP Sequence (0008,1199) names no instance")
    caller = request.caller
    modality = node.modalities.by_ae_title(caller.calling_ae_title, caller.address)
    if modality is None:
        raise VnaError(f"no modality has the AE title {caller.calling_ae_title}: nowhere to report")
    await commitment.accept(
        node, transaction_uid(data_set), list(references), modality.name, caller
    )
    await request.finish({"Status": SUCCESS})


async def event_report(node: Node, request: Request) -> None:
    """Take the report of a peer that we asked."""
    event = request.command.get("EventTypeID")
    await take_event(node, event, request.identifier(), request.caller.tenant)
    await request.finish({"Status": SUCCESS})


async def take_event(node: Node, event: Any, data_set: DataSet, tenant: int) -> None:
    """Take a report, whichever association it came on; raises what to refuse it with."""
    if event not in {SUCCESSFUL, FAILURES_EXIST}:
        raise NoSuchEvent(f"Event Type ID is {event}; 1 or 2 is right")
    reasons = referenced(data_set, REFERENCED) | referenced(data_set, FAILED)
    try:
        await commitment.take_report(node, transaction_uid(data_set), reasons, tenant)
    except NotFound as error:
        raise InvalidArgument(str(error), error.code) from None


def transaction_uid(data_set: DataSet) -> str:
    """Return the transaction that a data set is about."""
    uid = text(data_set, TRANSACTION_UID)
    if not uid:
        raise InvalidArgument("Transaction UID (0008,1195) is missing")
    return uid


def referenced(data_set: DataSet, sequence: str) -> dict[Reference, int]:
    """Return the instances of a sequence with their Failure Reason, 0 where there is none."""
    found = {}
    for number, item in enumerate(values(data_set, sequence)):
        reference = Reference(text(item, SOP_CLASS_UID), text(item, SOP_INSTANCE_UID))
        if not all(reference):
            raise InvalidArgument(f"item {number + 1} of {sequence} names no instance or no class")
        reason = text(item, FAILURE_REASON)
        # A failed instance without a reason has failed all the same.
        unsaid = 0 if sequence == REFERENCED else 0x0110
        found[reference] = int(reason) if reason.isdecimal() and int(reason) else unsaid
    return found
