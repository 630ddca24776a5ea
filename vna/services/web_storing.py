"""Sending what is stored to DICOMweb servers by STOW-RS: the job `DicomWebStowClient`.

A request has as many instances as the configuration says, each as it is stored. How far the job is
is a number of instances: what was on its way when it stopped goes again, and a server takes an
instance that it has as the one it has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from vna.errors import NotFound, PeerHttpRefused, PeerProtocolError, VnaError
from vna.jobs import Job
from vna.services import exports
from vna.services.archive import CHUNK_BYTES
from vna.services.caller import Caller
from vna.services.sending import identifiers
from vna.services.web_servers import DICOM_JSON, client_of, headers_of, target

if TYPE_CHECKING:
    from vna.services.archive import StoredFile
    from vna.services.http_client import Body, Client, Reply
    from vna.services.node import Node

TYPE = "DicomWebStowClient"
MEDIA_TYPE = "application/dicom"
MB = 1 << 20
OK, ACCEPTED, CONFLICT = 200, 202, 409
# What some answer though JSON was asked for; it is not read.
XML = ("application/dicom+xml", "application/xml", "text/xml")
MOST_UID = 64
# Referenced and Failed SOP Sequence, and of their items Referenced SOP Instance UID and Failure
# Reason (PS3.18 §I.2.2).
REFERENCED_SOP_SEQUENCE = "00081199"
FAILED_SOP_SEQUENCE = "00081198"
REFERENCED_SOP_INSTANCE_UID = "00081155"
FAILURE_REASON = "00081197"
REASONS = {
    0xA700: "it is out of resources",
    0xA900: "the data set does not match the SOP class",
    0xC000: "it cannot understand it",
    0xC122: "it does not support the transfer syntax",
    0x0110: "processing failed",
    0x0122: "it does not support the SOP class",
}


class WebStore(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a job is to send, to whom.

    Attributes
    ----------
    server : str
        Name of the DICOMweb server.
    resources, instances : list of str
        What was asked for, and the instances that this was then; public ids.
    headers : list of str
        Names of more headers of the requests; their values are the secret of the job.
    arguments : dict
        Parameters of the requests' query.
    permissive : bool
        Whether it goes on, and succeeds, if an instance is not taken.
    """

    server: str
    resources: list[str]
    instances: list[str]
    headers: list[str] = []
    arguments: dict[str, str] = {}
    permissive: bool = False


class State(msgspec.Struct, kw_only=True):
    """How far a job is: how many of its instances are done, not taken, and the bytes sent."""

    done: int = 0
    failed: int = 0
    sent_bytes: int = 0


def shown(store: WebStore, resources: dict[str, list[str]]) -> dict[str, Any]:
    """Return what clients see of such a job at first."""
    return {
        "FailedInstancesCount": 0,
        "InstancesCount": str(len(store.instances)),
        "NetworkSizeMB": "0",
        "Resources": resources,
        "Server": store.server,
    }


async def run(node: Node, job: Job) -> None:
    """Do one job; what was done of it before is not done again."""
    store = msgspec.convert(job.content, WebStore)
    state = msgspec.convert(job.state or {}, State)
    server = node.web_servers.get(store.server)
    caller = Caller(way_in="rest", tenant=job.tenant, user=job.user)
    headers = headers_of(job, store.headers)
    async with client_of(node, server) as client:
        try:
            while state.done < len(store.instances):
                await send_some(node, client, headers, store, state, caller)
                job.progress(state.done / len(store.instances))
                job.show(
                    FailedInstancesCount=state.failed,
                    NetworkSizeMB=str(state.sent_bytes // MB),
                )
                await job.save(msgspec.to_builtins(state))
        except VnaError:
            await job.save(msgspec.to_builtins(state))
            raise
    if state.failed < len(store.instances) and node.archive.settings.dicom.log_exported_resources:
        sent = [await identifiers(node, each, job.tenant) for each in store.resources]
        await exports.record(node, server.name, [each for each in sent if each], job.tenant)


async def send_some(
    node: Node,
    client: Client,
    headers: dict[str, str],
    store: WebStore,
    state: State,
    caller: Caller,
) -> None:
    """Send the next instances in one request; raises what the server says of those it refuses."""
    settings = node.archive.settings.dicomweb
    files: list[StoredFile] = []
    size = taken = gone = 0
    for public_id in store.instances[state.done : state.done + settings.store_instances]:
        if files and size >= settings.store_bytes:
            break
        taken += 1
        try:
            file = node.archive.open_file(public_id, caller)
        except NotFound:
            if not store.permissive:
                raise
            gone += 1
            continue
        files.append(file)
        size += file.size
    refused = await send_files(client, headers, store, files) if files else []
    if refused and not store.permissive:
        raise PeerHttpRefused(f"{client.url} did not store {'; '.join(refused[:3])}")
    state.done += taken
    state.failed += gone + len(refused)
    state.sent_bytes += size


async def send_files(
    client: Client, headers: dict[str, str], store: WebStore, files: list[StoredFile]
) -> list[str]:
    """Send files in one request and return what the server says of those that it did not store."""
    path = target("/studies", store.arguments)
    more = [("Accept", DICOM_JSON), *headers.items()]
    reply = await client.reply("POST", path, body_of(files), more)
    # A conflict says of each instance why it is not stored, as an accepted request does.
    if reply.status >= 300 and reply.status != CONFLICT:
        raise client.refused("POST", path, reply.status, reply.content)
    module = response_module(reply)
    if module is None:
        if reply.status == CONFLICT:
            raise client.refused("POST", path, reply.status, reply.content)
        if reply.status == ACCEPTED or (reply.content and reply.media_type not in XML):
            what = f"{reply.status}, {reply.media_type or 'no media type'}"
            raise PeerProtocolError(f"{client.url} does not say what it stored: {what}")
        return []  # by its status it stored all (PS3.18 Table 10.5.3-1)
    refused = list(refusals(module))
    named = len(refused) + len(values(module, REFERENCED_SOP_SEQUENCE))
    if named < len(files) and (named > 0 or reply.status != OK):
        raise PeerProtocolError(
            f"{client.url} says of {named} instances what became of them, not of {len(files)}"
        )
    return refused


class Part(NamedTuple):
    """A file, and what stands before it in the body."""

    head: bytes
    file: StoredFile


def body_of(files: list[StoredFile]) -> Body:
    """Return the multipart/related body of files as they are stored (PS3.18 §8.6.1.2)."""
    from vna.services.http_client import Body

    boundary = token_hex(16)
    parts = []
    for file in files:
        syntax = f"; transfer-syntax={file.transfer_syntax_uid}"
        head = f"\r\n--{boundary}\r\nContent-Type: {MEDIA_TYPE}{syntax}\r\n\r\n"
        parts.append(Part(head.encode(), file))
    end = f"\r\n--{boundary}--\r\n".encode()

    async def pieces() -> AsyncIterator[bytes]:
        for part in parts:
            yield part.head
            for offset in range(0, part.file.size, CHUNK_BYTES):
                yield await part.file.read(offset, min(CHUNK_BYTES, part.file.size - offset))
        yield end

    length = len(end) + sum(len(part.head) + part.file.size for part in parts)
    return Body(pieces, length, f'multipart/related; type="{MEDIA_TYPE}"; boundary={boundary}')


def response_module(reply: Reply) -> dict[str, Any] | None:
    """Return the Store Instances Response Module (PS3.18 §I.2) of an answer, if it has one."""
    try:
        module = msgspec.json.decode(reply.content)
    except (msgspec.DecodeError, RecursionError):
        return None
    if isinstance(module, list) and len(module) == 1:
        module = module[0]
    return module if isinstance(module, dict) else None


def refusals(module: dict[str, Any]) -> Iterator[str]:
    """Yield what a response module says of each instance that was not stored."""
    for item in values(module, FAILED_SOP_SEQUENCE):
        uid = first(item, REFERENCED_SOP_INSTANCE_UID)
        yield f"{str(uid)[:MOST_UID]}: {why(first(item, FAILURE_REASON))}"


def values(item: Any, tag: str) -> list[Any]:
    """Return the values of an attribute in DICOM JSON, none if it is not there or no attribute."""
    attribute = item.get(tag) if isinstance(item, dict) else None
    found = attribute.get("Value") if isinstance(attribute, dict) else None
    return found if isinstance(found, list) else []


def first(item: Any, tag: str) -> Any:
    """Return the first value of an attribute in DICOM JSON, or None."""
    return next(iter(values(item, tag)), None)


def why(reason: Any) -> str:
    """Return what a Failure Reason (0008,1197) says."""
    if not isinstance(reason, int):
        return "it does not say why"
    for code, text in REASONS.items():
        if reason == code or (code >= 0xA000 and reason & 0xFF00 == code & 0xFF00):
            return f"{text} ({reason:04X})"
    return f"reason {reason:04X}"
