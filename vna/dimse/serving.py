"""Requests of DICOM peers that Python answers: each goes to the service of its SOP class.

The data plane answers C-ECHO and C-STORE itself and keeps the association while a service works:
it reads on, so that a C-CANCEL is known at once, and holds a service back whose peer does not take
its answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any, cast

import msgspec

from vna.dimse.policy import compile_policy
from vna.errors import VnaError
from vna.services.archive import (
    Archive,
    DimseRequest,
    data_set_from_json,
    data_set_to_json,
)
from vna.services.caller import Caller
from vna.services.node import Node

logger = logging.getLogger(__name__)

# Command Field (PS3.7 Table E.1-1).
C_GET = 0x0010
C_FIND = 0x0020
C_MOVE = 0x0021
N_EVENT_REPORT = 0x0100
N_SET = 0x0120
N_ACTION = 0x0130
N_CREATE = 0x0140

# User Identity Type (PS3.7 §D.3.3.7.1); 1 is a name alone.
USER_NAME_AND_PASSCODE = 2

# Status (PS3.7 Annex C).
SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
SOP_CLASS_NOT_SUPPORTED = 0x0122
PENDING = 0xFF00
CANCEL = 0xFE00


class Request:
    """One request of a peer, and its answers.

    Attributes
    ----------
    association : int
        Number of the association.
    caller : Caller
        Who asks.
    sop_class_uid, transfer_syntax_uid : str
        Of the presentation context.
    command : dict
        The command set, by keyword.
    data_set : bytes
        In the transfer syntax of the context; empty if there is none.
    extended : bytes
        Service-class-application-information that was negotiated for the SOP class.
    """

    def __init__(self, archive: Archive, core: DimseRequest):
        self._archive = archive
        self._core = core
        self.association = core.association
        self.caller = msgspec.json.decode(core.caller, type=Caller)
        self.sop_class_uid = core.sop_class_uid
        self.transfer_syntax_uid = core.transfer_syntax_uid
        self.command: dict[str, Any] = json.loads(core.command)
        self.data_set = core.data_set
        self.extended = core.extended
        self.finished = False

    def identifier(self) -> dict[str, Any]:
        """Return the data set in DICOM JSON.

        Raises EncodingError if it is not in the transfer syntax of the context.
        """
        text = data_set_to_json(self.data_set, self.transfer_syntax_uid)
        return cast("dict[str, Any]", json.loads(text))

    def encoded(self, data_set: dict[str, Any]) -> bytes:
        """Return a data set in DICOM JSON as the context has it."""
        text = msgspec.json.encode(data_set)
        return data_set_from_json(text, self.transfer_syntax_uid)

    async def respond(self, command: dict[str, Any], data_set: bytes | None = None) -> None:
        """Send one more pending response; returns when the peer took it.

        What follows from the request is filled in. Raises ConnectionError if the association is
        over; so do the others.
        """
        await self._archive.result(self._core.respond(msgspec.json.encode(command), data_set))

    async def finish(self, command: dict[str, Any], data_set: bytes | None = None) -> None:
        """Send the last response."""
        self.finished = True
        await self._archive.result(self._core.finish(msgspec.json.encode(command), data_set))

    async def report(self, command: dict[str, Any], data_set: bytes) -> dict[str, Any]:
        """Send an N-EVENT-REPORT on this association, also after `finish`; return the response.

        Raises ConnectionError if the association is over before the peer has answered.
        """
        handle = self._core.report(msgspec.json.encode(command), data_set)
        return cast("dict[str, Any]", json.loads(await self._archive._json(handle)))

    async def find(self, options: dict[str, Any]) -> dict[str, Any]:
        """Send all pending responses of this C-FIND, and return how many and how it ended.

        The options are those of `vna._core.Archive.c_find`. Raises an error with the DIMSE status
        if the identifier is wrong.
        """
        handle = self._core.find(msgspec.json.encode(options))
        return cast("dict[str, Any]", json.loads(await self._archive._json(handle)))

    async def store(self, instances: list[str], tenant: int) -> dict[str, Any]:
        """Send instances to the peer of this C-GET, and return what became of them."""
        batch = msgspec.json.encode({"instances": instances, "tenant": tenant})
        handle = self._core.store(batch)
        return cast("dict[str, Any]", json.loads(await self._archive._json(handle)))

    async def cancelled(self) -> str:
        """Wait until it is not to be served any more, and return why.

        ``cancel`` if the peer sent a C-CANCEL, or the server ends: what is done is to be told in a
        last response with status FE00. ``ended`` if nobody waits for an answer.
        """
        return cast(bytes, await self._archive.result(self._core.cancelled())).decode()

    @contextlib.contextmanager
    def until_cancelled(self) -> Iterator[asyncio.Future[str]]:
        """Give a future of `cancelled` to look at, or wait for, beside other work."""
        cancelled = asyncio.ensure_future(self.cancelled())
        try:
            yield cancelled
        finally:
            cancelled.cancel()


Handler = Callable[[Node, Request], Awaitable[None]]

_handlers: dict[tuple[str, int], Handler] = {}


def register(sop_class_uid: str, command_fields: Collection[int], handler: Handler) -> None:
    """Let `handler` answer requests of these kinds for a SOP class.

    What it raises is answered with the error's DIMSE status. The SOP class is accepted from the
    next policy on.
    """
    for field in command_fields:
        _handlers[sop_class_uid, field] = handler


def served() -> set[str]:
    """Return the SOP classes that have a handler."""
    return {sop_class_uid for sop_class_uid, _ in _handlers}


class Serving:
    """The DICOM way in of a node."""

    def __init__(self, node: Node):
        self.node = node
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self) -> tuple[str, int]:
        """Start the listener and return where it listens."""
        self.node.archive.take_request(self.take)
        self.node.publisher = self.publish
        return self.node.archive.listen(self.policy())

    def publish(self) -> None:
        """Let the listener decide by what holds now, from the next association on."""
        self.node.archive.set_policy(self.policy())

    def policy(self) -> bytes:
        """Return the policy table of now."""
        known = self.node.modalities.all()
        return compile_policy(self.node.archive.settings.dicom, known, served())

    def take(self, core: DimseRequest) -> None:
        """Begin to answer a request; on the loop."""
        task = asyncio.get_running_loop().create_task(self._answer(core))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, core: DimseRequest) -> None:
        request = Request(self.node.archive, core)
        try:
            if "Ask" in request.command:
                await self._decide(request)
            else:
                await self._serve(request)
        except ConnectionError:
            logger.info("nobody waits for the answer", extra=_fields(request))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if isinstance(error, VnaError):
                status, comment = error.dimse_status, str(error)
                extra = {**_fields(request), "code": error.code, "status": f"{status:04X}H"}
                logger.warning("request refused: %s", error, extra=extra)
            else:
                status, comment = PROCESSING_FAILURE, "internal error"
                logger.exception("a service failed", extra=_fields(request))
            await self._fail(request, status, comment)

    async def _serve(self, request: Request) -> None:
        key = (request.sop_class_uid, request.command["CommandField"])
        handler = _handlers.get(key)
        if handler is None:
            await request.finish({"Status": SOP_CLASS_NOT_SUPPORTED})
            return
        await handler(self.node, request)
        if not request.finished:
            raise RuntimeError(f"the service of {request.sop_class_uid} gave no last response")

    async def _decide(self, request: Request) -> None:
        """Say whether a user identity is one of a user (PS3.7 §D.3.3.7)."""
        ask, caller, users = request.command, request.caller, self.node.users
        if ask["UserIdentityType"] == USER_NAME_AND_PASSCODE:
            user = await users.verify(ask["User"], ask["Passcode"], caller.address)
        else:
            user = await users.named(ask["User"])
        # A user of one tenant has no business with the archive of another.
        accepted = user is not None and user.tenant == caller.tenant
        if not accepted:
            logger.warning("user identity refused", extra=_fields(request))
        name = user.name if user is not None and accepted else ""
        await request.finish({"Accept": accepted, "User": name})

    async def _fail(self, request: Request, status: int, comment: str) -> None:
        if request.finished:
            return
        answer: dict[str, object] = {"Status": status, "ErrorComment": comment}
        if "Ask" in request.command:
            answer = {"Accept": False}
        try:
            await request.finish(answer)
        except ConnectionError:
            logger.info("nobody waits for the answer", extra=_fields(request))


def _fields(request: Request) -> dict[str, object]:
    return {
        "association": request.association,
        "calling_ae_title": request.caller.calling_ae_title,
        "sop_class_uid": request.sop_class_uid,
    }
