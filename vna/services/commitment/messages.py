"""Data sets of storage commitment (PS3.4 Tables J.3-1 and J.3-2), to and from DICOM JSON."""

from __future__ import annotations

from typing import Any

from vna.errors import BadRequest, NoSuchEvent, VnaError
from vna.services import uids
from vna.services.commitment.records import (
    COMMITTED,
    PROCESSING_FAILURE,
    Named,
    Reference,
    Transaction,
)
from vna.services.named_tags import DataSet, text, values

# The SOP class and its well-known instance (PS3.6 Table A-1).
COMMITMENT = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"

# Command Field (PS3.7 Table E.1-1).
N_EVENT_REPORT = 0x0100
N_ACTION = 0x0130

REQUEST_STORAGE_COMMITMENT = 1
SUCCESSFUL, FAILURES_EXIST = 1, 2

RETRIEVE_AE_TITLE = "00080054"
TRANSACTION_UID = "00081195"
REFERENCED, FAILED = "00081199", "00081198"
SOP_CLASS_UID, SOP_INSTANCE_UID = "00081150", "00081155"
FAILURE_REASON = "00081197"


class InvalidArgument(BadRequest):
    """The data set of an action or event is not what it takes (PS3.7 C.5.6)."""

    code = "dimse.invalid_argument"
    dimse_status = 0x0115


class NotReported(VnaError):
    """A peer did not take our report: it is tried again."""

    code = "commitment.not_reported"
    is_transient = True


def as_action(transaction_uid: str, references: list[Reference]) -> DataSet:
    """Return the data set of a request."""
    return {
        TRANSACTION_UID: {"vr": "UI", "Value": [transaction_uid]},
        REFERENCED: {"vr": "SQ", "Value": [item(each) for each in references]},
    }


def read_action(data_set: DataSet) -> tuple[str, list[Reference]]:
    """Return the transaction and the instances of a request; raises InvalidArgument."""
    references = list(referenced(data_set, REFERENCED))
    if not references:
        raise InvalidArgument("Referenced SOP Sequence (0008,1199) names no instance")
    return transaction_uid(data_set), references


def as_event(
    transaction: Transaction, instances: list[Named], retrieve_ae_title: str
) -> tuple[int, DataSet]:
    """Return Event Type ID and data set of a report."""
    kept = [item(each.reference) for each in instances if each.failure_reason == COMMITTED]
    failed = [
        item(each.reference, each.failure_reason)
        for each in instances
        if each.failure_reason != COMMITTED
    ]
    data_set: DataSet = {
        RETRIEVE_AE_TITLE: {"vr": "AE", "Value": [retrieve_ae_title]},
        TRANSACTION_UID: {"vr": "UI", "Value": [transaction.transaction_uid]},
    }
    if failed:
        data_set[FAILED] = {"vr": "SQ", "Value": failed}
    if kept:
        data_set[REFERENCED] = {"vr": "SQ", "Value": kept}
    return (FAILURES_EXIST if failed else SUCCESSFUL), data_set


def read_event(event: Any, data_set: DataSet) -> tuple[str, dict[Reference, int]]:
    """Return the transaction of a report, and a Failure Reason for each of its instances.

    Raises NoSuchEvent or InvalidArgument.
    """
    if event not in {SUCCESSFUL, FAILURES_EXIST}:
        raise NoSuchEvent(f"Event Type ID is {event}; 1 or 2 is right")
    reasons = referenced(data_set, REFERENCED) | referenced(data_set, FAILED)
    return transaction_uid(data_set), reasons


def item(reference: Reference, failure_reason: int | None = COMMITTED) -> DataSet:
    """Return an item of a sequence of references."""
    found: DataSet = {
        SOP_CLASS_UID: {"vr": "UI", "Value": [reference.sop_class_uid]},
        SOP_INSTANCE_UID: {"vr": "UI", "Value": [reference.sop_instance_uid]},
    }
    if failure_reason != COMMITTED:
        found[FAILURE_REASON] = {"vr": "US", "Value": [failure_reason or PROCESSING_FAILURE]}
    return found


def transaction_uid(data_set: DataSet) -> str:
    """Return the transaction that a data set is about."""
    uid = text(data_set, TRANSACTION_UID)
    if not uids.is_uid(uid):
        raise InvalidArgument("Transaction UID (0008,1195) is missing, or no UID")
    return uid


def referenced(data_set: DataSet, sequence: str) -> dict[Reference, int]:
    """Return the instances of a sequence with their Failure Reason, 0 where they are kept."""
    found = {}
    for number, each in enumerate(values(data_set, sequence)):
        reference = Reference(text(each, SOP_CLASS_UID), text(each, SOP_INSTANCE_UID))
        # One that is no UID is none that we have; the others are not to suffer for it.
        if not all(0 < len(each) <= uids.MAX_LENGTH for each in reference):
            where = f"item {number + 1} of ({sequence[:4]},{sequence[4:]})"
            raise InvalidArgument(f"{where} names no instance or no class")
        reason = text(each, FAILURE_REASON)
        # A failed instance without a reason has failed all the same.
        unsaid = COMMITTED if sequence == REFERENCED else PROCESSING_FAILURE
        found[reference] = int(reason) if reason.isdecimal() and int(reason) else unsaid
    return found
