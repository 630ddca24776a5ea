"""Sending what is stored to remote archives over HTTP: the job `OrthancPeerStore`.

Instances go one after the other in their order, some at a time, so that how far it is is one
number. A peer takes an instance that it has as the one it has: what was on its way when the job
was stopped goes again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec

from vna.errors import (
    EncodingError,
    NotFound,
    PeerHttpRefused,
    UnsupportedMediaType,
    VnaError,
)
from vna.jobs import Job
from vna.services import exports
from vna.services.archive import CHUNK_BYTES, TranscodedFile
from vna.services.caller import Caller
from vna.services.peers import client_of
from vna.services.sending import identifiers
from vna.settings import Peer

if TYPE_CHECKING:
    from vna.services.http_client import Body, Client
    from vna.services.node import Node

TYPE = "OrthancPeerStore"
MEDIA_TYPE = "application/dicom"
# What is sent in so much time is sent again after a crash.
SAVE_S = 1.0
MB = 1 << 20


class PeerStore(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a job is to send, to whom.

    Attributes
    ----------
    peer : str
        Name of the remote archive.
    resources, instances : list of str
        What was asked for, and the instances that this was then; public ids.
    permissive : bool
        Whether it goes on, and succeeds, if an instance is not taken.
    compress : bool
        Whether bodies go as gzip.
    transcode : str
        Transfer syntax in which instances go; as they are stored if empty.
    """

    peer: str
    resources: list[str]
    instances: list[str]
    permissive: bool = False
    compress: bool = False
    transcode: str = ""


class State(msgspec.Struct, kw_only=True):
    """How far a job is: how many of its instances are done, not taken, and the bytes sent."""

    done: int = 0
    failed: int = 0
    sent_bytes: int = 0


# What concerns one instance alone, so that a permissive job goes on. Damaged bytes are no such
# thing, and a peer that is out of reach is none either.
OF_ONE = (NotFound, EncodingError, UnsupportedMediaType)


def slot(peer: str) -> str:
    """Return whose slots jobs for a peer take."""
    return f"peer:{peer}"


def shown(peer: Peer, store: PeerStore) -> dict[str, Any]:
    """Return what clients see of such a job at first."""
    fields: dict[str, Any] = {
        "Compress": store.compress,
        "Description": "REST API",
        "FailedInstancesCount": 0,
        "InstancesCount": len(store.instances),
        "Peer": [peer.url, peer.username, ""] if peer.username else [peer.url],
        "Size": "0",
        "SizeMB": 0,
    }
    if store.resources:
        fields["ParentResources"] = store.resources
    if store.transcode:
        fields["Transcode"] = store.transcode
    return fields


async def run(node: Node, job: Job) -> None:
    """Do one job; what was done of it before is not done again."""
    store = msgspec.convert(job.content, PeerStore)
    state = msgspec.convert(job.state or {}, State)
    peer = node.peers.get(store.peer)
    async with client_of(node, peer) as client:
        try:
            await send_all(node, job, client, peer, store, state)
        except VnaError:
            await job.save(msgspec.to_builtins(state))
            raise
    await job.save(msgspec.to_builtins(state))
    if state.failed < len(store.instances) and node.archive.settings.dicom.log_exported_resources:
        sent = [await identifiers(node, each, job.tenant) for each in store.resources]
        await exports.record(node, peer.name, [each for each in sent if each], job.tenant)


async def send_all(
    node: Node, job: Job, client: Client, peer: Peer, store: PeerStore, state: State
) -> None:
    """Send what is left of a job, `peer.parallel` instances at a time."""
    left = iter(store.instances[state.done :])
    sending: deque[asyncio.Task[int]] = deque()
    saved = time.monotonic()
    try:
        while True:
            while len(sending) < peer.parallel and (public_id := next(left, None)) is not None:
                sending.append(
                    asyncio.create_task(send_one(node, client, public_id, store, job.tenant))
                )
            if not sending:
                return
            try:
                state.sent_bytes += await sending[0]
            except Exception as error:
                if not (store.permissive and is_of_one(error)):
                    raise
                state.failed += 1
            sending.popleft()
            state.done += 1
            job.progress(state.done / len(store.instances))
            job.show(
                FailedInstancesCount=state.failed,
                Size=str(state.sent_bytes),
                SizeMB=state.sent_bytes // MB,
            )
            if time.monotonic() - saved > SAVE_S:
                await job.save(msgspec.to_builtins(state))
                saved = time.monotonic()
    finally:
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


def is_of_one(error: Exception) -> bool:
    """Whether the peer may well take the next instance."""
    if isinstance(error, PeerHttpRefused):
        # Nobody who may, nothing there, no room: what is said of one is true of all.
        return error.status not in {401, 403, 404, 405, 507}
    return isinstance(error, OF_ONE)


async def send_one(
    node: Node, client: Client, public_id: str, store: PeerStore, tenant: int
) -> int:
    """Send one instance and return how many bytes that were."""
    from vna.services.http_client import gzipped

    counted = 0

    def counting(body: Body) -> Body:
        async def pieces() -> AsyncIterator[bytes]:
            nonlocal counted
            counted = 0
            async for piece in body.pieces():
                counted += len(piece)
                yield piece

        return body._replace(pieces=pieces)

    body = await body_of(node, public_id, store.transcode, Caller(way_in="rest", tenant=tenant))
    if store.compress:
        body = await gzipped(body)
    answer = await client.ask("POST", "/instances", counting(body))
    refuse_failure(client.url, public_id, answer)
    return counted


def refuse_failure(url: str, public_id: str, answer: bytes) -> None:
    """Raise PeerHttpRefused if a peer says in its answer that it has not stored the instance."""
    try:
        status = msgspec.json.decode(answer).get("Status")
    except (msgspec.DecodeError, AttributeError, RecursionError):
        return  # it says nothing else than that it went well
    if status == "Failure":
        raise PeerHttpRefused(f"{url} did not store {public_id}")


async def body_of(node: Node, public_id: str, transfer_syntax_uid: str, caller: Caller) -> Body:
    """Return the file of an instance, as it is or in another transfer syntax."""
    from vna.services.http_client import Body

    file = node.archive.open_file(public_id, caller)
    if not transfer_syntax_uid or transfer_syntax_uid == file.transfer_syntax_uid:

        async def stored() -> AsyncIterator[bytes]:
            for offset in range(0, file.size, CHUNK_BYTES):
                yield await file.read(offset, min(CHUNK_BYTES, file.size - offset))

        return Body(stored, file.size, MEDIA_TYPE)

    # Who names a lossy transfer syntax asks for the instance that comes of it.
    options = {"allow_new_uid": True}
    first: TranscodedFile | None = await file.transcode(transfer_syntax_uid, options)
    length = first.length if first else None

    async def written() -> AsyncIterator[bytes]:
        nonlocal first
        # It is read once; a connection that was lost takes another.
        transcoded = first or await file.transcode(transfer_syntax_uid, options)
        first = None
        while piece := await transcoded.read(CHUNK_BYTES):
            yield piece

    return Body(written, length, MEDIA_TYPE)
