"""Associations that we request and whose messages Python reads: one request at a time, few bytes.

Instances do not come this way: the core sends them by itself (`vna.services.sending`), and takes
those that come back on a C-GET association straight to the ingest.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from vna.errors import PeerFailed, PeerRefused
from vna.settings import Modality

if TYPE_CHECKING:
    from vna import _core
    from vna.services.archive import Archive
    from vna.services.node import Node

VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
# Of identifiers: VRs are kept if the peer takes them.
IDENTIFIER_SYNTAXES = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)

# Command Field (PS3.7 Table E.1-1).
C_GET = 0x0010
C_FIND = 0x0020
C_MOVE = 0x0021
C_ECHO = 0x0030
RESPONSE = 0x8000

# Status (PS3.7 Annex C): more follow; the second of C-FIND, where an optional key was not matched.
SUCCESS = 0x0000
PENDING = frozenset({0xFF00, 0xFF01})
CANCELLED = 0xFE00
# Ends whose answers count: warnings, and a query that the peer cut off.
WARNINGS = frozenset({0x0001, 0x0107, 0x0116})

MEDIUM = 0x0000  # Priority


class Context(msgspec.Struct, frozen=True):
    """A presentation context to propose."""

    sop_class_uid: str
    transfer_syntaxes: Sequence[str] = IDENTIFIER_SYNTAXES
    scu: bool = True
    scp: bool = False


class Response(NamedTuple):
    """What the peer answered."""

    command: dict[str, Any]
    data_set: bytes

    @property
    def status(self) -> int:
        """Its status."""
        return int(self.command["Status"])


class Peer:
    """One association.

    Attributes
    ----------
    modality : Modality
        Who is at its other end.
    transfer_syntaxes : dict
        What the peer chose, by SOP class, of the contexts that it accepted.
    """

    def __init__(self, archive: Archive, modality: Modality, core: _core.Peer, timeout_s: float):
        self.modality = modality
        self.transfer_syntaxes: dict[str, str] = {}
        self._archive = archive
        self._core = core
        self._timeout_s = timeout_s
        self._last_message_id = 0

    async def open(self) -> None:
        """Associate; raises PeerFailed and its kin."""
        opened = msgspec.json.decode(await self._result(self._core.open()))
        for context in opened["contexts"]:
            self.transfer_syntaxes.setdefault(
                context["sop_class_uid"], context["transfer_syntax_uid"]
            )

    async def echo(self) -> None:
        """Verify that the peer is there (PS3.4 Annex A); raises PeerFailed."""
        async for response in self.ask(VERIFICATION, {"CommandField": C_ECHO}):
            require_success(self.modality, "C-ECHO", response)

    async def ask(
        self,
        sop_class_uid: str,
        command: dict[str, Any],
        data_set: bytes | None = None,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Response]:
        """Send a request and yield its responses, of which the last is not pending.

        Raises
        ------
        ContextRefused
            If the peer accepted no context for the SOP class.
        PeerFailed
            If it does not answer, or wrongly.
        """
        self._last_message_id += 1
        whole = {"MessageID": self._last_message_id, **command}
        encoded = msgspec.json.encode(whole)
        await self._archive.result(self._core.request(sop_class_uid, encoded, data_set))
        while True:
            response = await self.next(self._timeout_s if timeout_s is None else timeout_s)
            yield response
            if response.status not in PENDING:
                return

    async def next(self, timeout_s: float) -> Response:
        """Return the next message of the peer; a request of his has no status.

        Raises PeerTimeout if none comes in time, PeerFailed.
        """
        line, _, data = (await self._result(self._core.response(timeout_s))).partition(b"\n")
        return Response(msgspec.json.decode(line), data)

    async def answer(self, sop_class_uid: str, request: Response, status: int) -> None:
        """Answer a request of the peer's."""
        command = {
            "CommandField": request.command["CommandField"] | RESPONSE,
            "MessageIDBeingRespondedTo": request.command["MessageID"],
            "Status": status,
        }
        for name in ("AffectedSOPClassUID", "AffectedSOPInstanceUID", "EventTypeID"):
            if name in request.command:
                command[name] = request.command[name]
        await self._archive.result(
            self._core.request(sop_class_uid, msgspec.json.encode(command), None)
        )

    async def cancel(self) -> None:
        """Tell the peer to answer no more to what was asked last (C-CANCEL)."""
        await self._archive.result(self._core.cancel(self._last_message_id))

    async def release(self) -> None:
        """End the association as one should."""
        await self._archive.result(self._core.release())

    def abort(self) -> None:
        """End it at once."""
        self._core.abort()  # nobody waits for it

    async def _result(self, handle: int) -> bytes:
        return cast(bytes, await self._archive.result(handle))


@contextlib.asynccontextmanager
async def open_peer(
    node: Node, modality: Modality, contexts: Sequence[Context], *, tenant: int = 1
) -> AsyncIterator[Peer]:
    """Associate with a remote node; released at the end, aborted if the body raises.

    Raises
    ------
    PeerFailed
        If there is no association: the node is not there, rejects it, or does not answer.
    """
    archive = node.archive
    described = specification(node, modality, tenant)
    described["contexts"] = contexts
    core = archive.core.peer(msgspec.json.encode(described))
    peer = Peer(archive, modality, core, described["timeout_s"])
    try:
        await peer.open()
        yield peer
    except BaseException:
        peer.abort()
        raise
    # What was asked was answered: how the peer takes its leave changes nothing.
    with contextlib.suppress(PeerFailed):
        await peer.release()


def specification(node: Node, modality: Modality, tenant: int) -> dict[str, Any]:
    """Return how the core is to call a remote node."""
    dicom = node.archive.settings.dicom
    return {
        "host": modality.host,
        "port": modality.port,
        "calling_ae_title": modality.local_aet or own_ae_title(node, tenant),
        "called_ae_title": modality.aet,
        "timeout_s": modality.timeout_s or dicom.scu_timeout_s,
        "tls": {} if modality.tls else None,
        "tenant": tenant,
    }


def own_ae_title(node: Node, tenant: int) -> str:
    """Return the AE title under which a tenant is known to remote nodes."""
    dicom = node.archive.settings.dicom
    own = (each.aet for each in dicom.ae_titles if each.tenant == tenant and each.label is None)
    return dicom.aet if tenant == 1 else next(own, dicom.aet)


def require_success(modality: Modality, what: str, response: Response) -> None:
    """Raise PeerRefused if a response says that the request failed."""
    if response.status in PENDING or response.status == SUCCESS or response.status in WARNINGS:
        return
    raise refusal(modality, what, response)


def refusal(modality: Modality, what: str, response: Response) -> PeerRefused:
    """Return the error that a status of failure stands for."""
    comment = str(response.command.get("ErrorComment", "")).strip()
    words = f"{modality.aet} answered {what} with status {response.status:04X}"
    message = f"{words}: {comment}" if comment else words
    return PeerRefused(message, status=response.status, comment=comment)
