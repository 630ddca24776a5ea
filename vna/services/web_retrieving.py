"""Fetching from DICOMweb servers by WADO-RS: the job `DicomWebWadoRetrieveClient`.

What a server answers goes into the archive as it comes, as an upload does: the core takes its parts
apart. A resource is asked for again if the job was stopped in the middle of it; of what is here
already nothing becomes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from vna.errors import (
    BadRequest,
    EncodingError,
    PeerClosed,
    PeerProtocolError,
    UnsupportedMediaType,
    VnaError,
)
from vna.jobs import Job
from vna.services.caller import Caller
from vna.services.web_servers import client_of, headers_of, target

if TYPE_CHECKING:
    from vna.services.http_client import Answer, Client
    from vna.services.node import Node
    from vna.settings import WebServer

TYPE = "DicomWebWadoRetrieveClient"
MB = 1 << 20
DICOM = "application/dicom"
MULTIPART = f'multipart/related; type="{DICOM}"'
# The code of a body of parts that ends before its last boundary.
TRUNCATED = "multipart.truncated"
# Some, but not all, of what was asked for (PS3.18 §8.7.3.5, §10.4.3.2).
PARTIAL_CONTENT = 206
# Of so many parts it is told why they are not stored.
MOST_TOLD = 3


class WebRetrieve(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a job is to fetch, from whom.

    Attributes
    ----------
    server : str
        Name of the DICOMweb server.
    paths : list of str
        Resources below its studies service.
    headers : list of str
        Names of more headers of the requests; their values are the secret of the job.
    arguments : dict
        Parameters of the requests' query.
    permissive : bool
        Whether it goes on, and succeeds, if not all of a resource is given or can be stored.
    """

    server: str
    paths: list[str]
    headers: list[str] = []
    arguments: dict[str, str] = {}
    permissive: bool = False


class State(msgspec.Struct, kw_only=True):
    """How far a job is: resources that are here, and of what came the instances and bytes."""

    done: int = 0
    received: int = 0
    failed: int = 0
    received_bytes: int = 0


def shown(state: State) -> dict[str, Any]:
    """Return what clients see of such a job."""
    return {
        "FailedInstancesCount": state.failed,
        "NetworkUsageMB": str(state.received_bytes // MB),
        "ReceivedInstancesCount": str(state.received),
    }


async def run(node: Node, job: Job) -> None:
    """Do one job; resources that it fetched before are not fetched again."""
    wanted = msgspec.convert(job.content, WebRetrieve)
    state = msgspec.convert(job.state or {}, State)
    server = node.web_servers.get(wanted.server)
    caller = Caller(way_in="rest", tenant=job.tenant, user=job.user)
    headers = {"Accept": accept_of(server)} | headers_of(job, wanted.headers)
    async with client_of(node, server) as client:
        try:
            for path in wanted.paths[state.done :]:
                await fetch(node, job, client, headers, path, wanted, state, caller)
                state.done += 1
                job.progress(state.done / len(wanted.paths))
                job.show(**shown(state))
                await job.save(msgspec.to_builtins(state))
        except VnaError:
            await job.save(msgspec.to_builtins(state))
            raise


def accept_of(server: WebServer) -> str:
    """Return which form is asked for: as it is stored, if the server knows how to say so."""
    if server.any_transfer_syntax:
        return f"{MULTIPART}; transfer-syntax=*"
    return MULTIPART


async def fetch(
    node: Node,
    job: Job,
    client: Client,
    headers: dict[str, str],
    path: str,
    wanted: WebRetrieve,
    state: State,
    caller: Caller,
) -> None:
    """Fetch one resource.

    Raises PeerFailed, and what keeps the archive from storing. What came whole is stored before: a
    resource that was given in part only, or has what is no instance, is an error all the same, lest
    somebody believes that all of it is here.
    """
    async with client.stream(target(path, wanted.arguments), headers.items()) as answer:
        try:
            stored = await store(node, job, client, answer, state, caller)
        except (BadRequest, EncodingError, UnsupportedMediaType) as error:
            # Of what it sent, not of what somebody asked us for. A body without an end may have one
            # the next time.
            kind = PeerClosed if error.code == TRUNCATED else PeerProtocolError
            raise kind(f"{client.url} answered {path} with what is no answer: {error}") from None
    good = [one for one in stored if one.get("Status") in ("Success", "AlreadyStored")]
    bad = [one for one in stored if one.get("Status") == "Failure"]
    state.received += len(good)
    state.failed += len(bad)
    if wanted.permissive:
        return
    if bad:
        why = "; ".join(str(one.get("Details")) for one in bad[:MOST_TOLD])
        raise PeerProtocolError(
            f"{client.url} answered {path} with {len(bad)} parts that cannot be stored: {why}"
        )
    if not good:
        raise PeerProtocolError(f"{client.url} answered {path} without an instance")
    if answer.status == PARTIAL_CONTENT:
        raise PeerProtocolError(f"{client.url} did not give all of {path}: {answer.status}")


async def store(
    node: Node, job: Job, client: Client, answer: Answer, state: State, caller: Caller
) -> list[dict[str, Any]]:
    """Store what an answer brings and return what became of each instance."""
    content_type = answer.headers.get("content-type", "")
    if answer.media_type not in ("multipart/related", DICOM):
        raise PeerProtocolError(f"{client.url} answered with {content_type[:64]!r}, no instances")
    length = answer.headers.get("content-length", "")
    upload = node.archive.upload(
        caller,
        content_type,
        answer.headers.get("content-encoding", ""),
        int(length) if length.isascii() and length.isdecimal() else None,
    )
    # If it breaks off, what came whole stays; the rest is asked for again.
    async for piece in answer.pieces():
        await upload.push(piece)
        state.received_bytes += len(piece)
        job.show(**shown(state))
    stored = [await upload.finish()]
    while upload.has_more:
        stored.append(await upload.more())
    found = msgspec.json.decode(b"".join(stored))
    return found if isinstance(found, list) else [found]
