"""C-FIND, C-MOVE and C-GET of the Query/Retrieve Information Models (PS3.4 Annex C)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any, NamedTuple, cast

import msgspec

from vna.dimse.services import INFORMATION_MODELS
from vna.dimse.serving import CANCEL, PENDING, SUCCESS, Request
from vna.dimse.statuses import (
    LIMIT_STATUS,
    NUMBER_OF_MATCHES,
    SOME_FAILED,
    SUBOPERATIONS,
    UNABLE_TO_PROCESS,
    UNKNOWN_DESTINATION,
    refusing,
)
from vna.errors import VnaError
from vna.services.caller import Caller
from vna.services.named_tags import text
from vna.services.node import Node
from vna.settings import Modality

logger = logging.getLogger(__name__)

# A list of failed instances is an answer, which a budget of data sets bounds: 64 bytes each.
MAX_FAILED_UIDS = 10_000
# How often a move tells how far it is: whoever waits for it should see that it goes on, and a
# response for each of ten thousand instances serves nobody.
TELL_S = 0.2
# And if nothing changes, so that its timeout does not end what is only slow.
ALIVE_S = 5.0
# How long what is under way may take to end after a C-CANCEL.
CANCEL_S = 0.5
# Of VR US.
MAX_COUNT = 0xFFFF
FAILED_UIDS = "00080058"
QUERY_RETRIEVE_LEVEL = "00080052"
# Unique keys of the levels above, but for that of the patient, which the Study Root has not.
ABOVE = {"SERIES": ("0020000D",), "IMAGE": ("0020000D", "0020000E")}


# SOP Instance UIDs of what was selected, by public id, in the order in which it is sent.
Uids = dict[str, str]


class UnknownDestination(VnaError):
    """A C-MOVE to an AE title that is no modality's (PS3.4 C.4.2.1.5)."""

    code = "move.unknown_destination"
    dimse_status = UNKNOWN_DESTINATION


class Negotiated(NamedTuple):
    """What extended negotiation agreed upon (PS3.4 C.5.1.1)."""

    relational: bool
    combined_date_time: bool
    timezone: bool

    @classmethod
    def of(cls, information: bytes) -> Negotiated:
        """Read the Service-class-application-information of a SOP class."""

        def is_agreed(byte: int) -> bool:
            return len(information) > byte and information[byte] == 1

        # Bytes: relational, date-time, fuzzy names, timezone adjustment, enhanced conversion.
        return cls(is_agreed(0), combined_date_time=is_agreed(1), timezone=is_agreed(3))


async def find(node: Node, request: Request) -> None:
    """Answer a query."""
    settings = node.archive.settings.dicom
    agreed = Negotiated.of(request.extended)
    is_tolerant = settings.find_hierarchy == "orthanc"
    options = scope(request, agreed) | {
        "combined_date_time": agreed.combined_date_time,
        "relational": agreed.relational or (is_tolerant and lacks_parents(request)),
        "timezone": agreed.timezone,
        "limit": settings.find_limit,
        "retrieve_ae_title": request.caller.called_ae_title or settings.aet,
        "unsupported_warning": True,
    }
    statuses = {
        "done": SUCCESS,
        "cancelled": CANCEL,
        "limit": LIMIT_STATUS[settings.find_limit_status],
        "ended": CANCEL,
    }
    async with refusing(request, UNABLE_TO_PROCESS):
        found = await request.find(options)
        await request.finish({"Status": statuses[found["end"]]})


def lacks_parents(request: Request) -> bool:
    """Whether a query names nothing of a level above its own, study and series."""
    try:
        identifier = request.identifier()
    except VnaError:
        return False  # the core refuses it, and says why
    level = text(identifier, QUERY_RETRIEVE_LEVEL)
    return any(not text(identifier, tag) for tag in ABOVE.get(level, ()))


async def move(node: Node, request: Request) -> None:
    """Send what is asked for to where it is asked to be sent, and tell how it goes."""
    as_orthanc = node.archive.settings.dicom.move_failure_status == "orthanc"
    otherwise = UNABLE_TO_PROCESS if as_orthanc else NUMBER_OF_MATCHES
    async with refusing(request, otherwise, always=as_orthanc):
        modality = destination(node, request)
        selected = await select(node, request)
        counts = await send(node, request, modality, selected)
        await conclude(request, counts, UNABLE_TO_PROCESS if as_orthanc else SUBOPERATIONS)


def destination(node: Node, request: Request) -> Modality:
    """Return the modality that a C-MOVE names; raises UnknownDestination.

    Of several with one AE title it is the one at the address that asks.
    """
    ae_title = str(request.command.get("MoveDestination", "")).strip()
    modality = node.modalities.by_ae_title(ae_title, request.caller.address)
    if modality is None:
        raise UnknownDestination(f"no modality has the AE title {ae_title}")
    return modality


async def send(node: Node, request: Request, modality: Modality, selected: Uids) -> Counts:
    """Do the sub-operations of a C-MOVE, telling the peer how far they are."""
    if not selected:
        return Counts()
    batch = peer_spec(node, modality, request.caller) | {
        "instances": list(selected),
        "move_originator": {
            "ae_title": request.caller.calling_ae_title,
            "message_id": request.command["MessageID"],
        },
        "parallel": modality.parallel,
        "transcoding": modality.transcoding,
        "permissive": True,
    }
    sending = node.archive.core.send(msgspec.json.encode(batch))
    done: asyncio.Future[Any] = node.archive.result(sending.wait(len(selected)))
    try:
        with request.until_cancelled() as cancelled:
            counts = Counts(remaining=len(selected))
            told_at = 0.0
            loop = asyncio.get_running_loop()
            while not done.done() and not cancelled.done():
                await asyncio.wait(
                    {done, cancelled}, timeout=TELL_S, return_when=asyncio.FIRST_COMPLETED
                )
                former, counts = counts, Counts.of(sending.progress(), selected)
                if counts.remaining and (counts != former or loop.time() - told_at > ALIVE_S):
                    told_at = loop.time()
                    await request.respond({"Status": PENDING} | counts.as_elements())
            if cancelled.done():
                sending.cancel()
                # What is under way is let end, so that the last count is right.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(done), CANCEL_S)
                return Counts.of(sending.progress(), selected)._replace(is_cancelled=True)
            return Counts.of(sending.progress(), selected)
    finally:
        sending.cancel()
        done.cancel()


def peer_spec(node: Node, modality: Modality, caller: Caller) -> dict[str, Any]:
    """Return how a modality is reached, in the name of the AE title that the caller called."""
    dicom = node.archive.settings.dicom
    ours = {dicom.aet, *(each.aet for each in dicom.ae_titles)}
    called = caller.called_ae_title if caller.called_ae_title in ours else dicom.aet
    return {
        "host": modality.host,
        "port": modality.port,
        "calling_ae_title": modality.local_aet or called,
        "called_ae_title": modality.aet,
        "timeout_s": modality.timeout_s or dicom.scu_timeout_s,
        "tls": {} if modality.tls else None,
        "tenant": caller.tenant,
    }


async def get(node: Node, request: Request) -> None:
    """Send what is asked for on the association itself."""
    async with refusing(request, NUMBER_OF_MATCHES):
        selected = await select(node, request)
        counts = Counts()
        if selected:
            found = await request.store(list(selected), request.caller.tenant)
            counts = Counts.of_get(found, selected)
        await conclude(request, counts, SUBOPERATIONS)


async def select(node: Node, request: Request) -> Uids:
    """Return the instances that an identifier names.

    Raises IdentifierMismatch and what else keeps the index from telling.
    """
    options = scope(request, Negotiated.of(request.extended))
    begun = node.archive.core.select_instances(
        request.data_set, request.transfer_syntax_uid, msgspec.json.encode(options)
    )
    found = msgspec.json.decode(cast(bytes, await node.archive.result(begun)), type=list[Selected])
    return {each.id: each.sop_instance_uid for each in found}


class Selected(msgspec.Struct):
    """What of a selected instance is needed; the core has the rest."""

    id: str = msgspec.field(name="ID")
    sop_instance_uid: str = msgspec.field(name="SOPInstanceUID")


def scope(request: Request, agreed: Negotiated) -> dict[str, Any]:
    """Return whose resources are meant, and in which information model."""
    return {
        "tenant": request.caller.tenant,
        "label": request.caller.label,
        "model": INFORMATION_MODELS[request.sop_class_uid.rpartition(".")[0]],
        "relational": agreed.relational,
    }


class Counts(NamedTuple):
    """How far the sub-operations are."""

    remaining: int = 0
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: tuple[str, ...] = ()
    is_cancelled: bool = False

    @classmethod
    def of(cls, progress: bytes, selected: Uids) -> Counts:
        """Read the progress of a batch."""
        told: dict[str, Any] = json.loads(progress)
        return cls(
            remaining=told["remaining"],
            completed=told["completed"],
            failed=told["failed"],
            warning=told["warning"],
            failed_uids=tuple(selected[each["id"]] for each in told["failures"]),
        )

    @classmethod
    def of_get(cls, told: dict[str, Any], selected: Uids) -> Counts:
        """Read what became of sub-operations on the association of the request."""
        done = told["completed"] + told["failed"] + told["warning"]
        return cls(
            remaining=len(selected) - done,
            completed=told["completed"],
            failed=told["failed"],
            warning=told["warning"],
            failed_uids=tuple(selected[each] for each in told["failed_ids"]),
            is_cancelled=told["cancelled"],
        )

    def as_elements(self) -> dict[str, int]:
        """Return them as command sets have them."""
        return {
            f"NumberOf{name}Suboperations": min(count, MAX_COUNT)
            for name, count in (
                ("Remaining", self.remaining),
                ("Completed", self.completed),
                ("Failed", self.failed),
                ("Warning", self.warning),
            )
        }


async def conclude(request: Request, counts: Counts, none_done: int) -> None:
    """Send the last response: `none_done` is its status if no sub-operation succeeded."""
    elements = counts.as_elements()
    if counts.is_cancelled:
        status = CANCEL
    else:
        # Only who was cancelled has something left (PS3.4 C.4.2.1.6).
        del elements["NumberOfRemainingSuboperations"]
        if counts.failed and not counts.completed and not counts.warning:
            status = none_done
        else:
            status = SOME_FAILED if counts.failed or counts.warning else SUCCESS
    data_set = None
    if counts.failed_uids and status != SUCCESS:
        failed = list(counts.failed_uids[:MAX_FAILED_UIDS])
        data_set = request.encoded({FAILED_UIDS: {"vr": "UI", "Value": failed}})
    logger.info("sub-operations ended", extra=fields(request) | elements | {"status": hex(status)})
    await request.finish({"Status": status} | elements, data_set)


def fields(request: Request) -> dict[str, Any]:
    """Return what log lines say of a request."""
    return {
        "association": request.association,
        "calling_ae_title": request.caller.calling_ae_title,
    }
