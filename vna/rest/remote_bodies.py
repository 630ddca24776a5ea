"""Bodies of requests about remote nodes, as clients of Orthanc write them.

Members that a body does not know are let pass, as there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import field

from vna.errors import BadBody, OutOfRange
from vna.rest.job_bodies import JobBody
from vna.rest.requests import Call
from vna.services.modalities import Contact
from vna.settings import Modality
from vna.settings.orthanc import nodes
from vna.settings.orthanc.nodes import RETRIEVE_METHODS

# A list of 60,000 ids or UIDs.
MAX_REQUEST_BYTES = 4 << 20
MODALITY_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

T = TypeVar("T")


class EchoBody(msgspec.Struct, kw_only=True):
    """How to test a remote node."""

    check_find: bool | None = field(name="CheckFind", default=None)
    timeout_s: float = field(name="Timeout", default=0)
    local_aet: str | None = field(name="LocalAet", default=None)


class QueryBody(msgspec.Struct, kw_only=True):
    """What to ask a remote node for."""

    level: str = field(name="Level")
    query: dict[str, Any] = field(name="Query", default={})
    normalize: bool = field(name="Normalize", default=True)
    timeout_s: float = field(name="Timeout", default=0)
    local_aet: str | None = field(name="LocalAet", default=None)


class LowerBody(msgspec.Struct, kw_only=True):
    """What to ask for below an answer."""

    query: dict[str, Any] = field(name="Query", default={})
    timeout_s: float = field(name="Timeout", default=0)


class StoreBody(JobBody, kw_only=True):
    """What to send, and how."""

    resources: list[str] = field(name="Resources")
    host: str | None = field(name="Host", default=None)
    port: int | None = field(name="Port", default=None)
    called_aet: str | None = field(name="CalledAet", default=None)
    local_aet: str | None = field(name="LocalAet", default=None)
    timeout_s: float = field(name="Timeout", default=0)
    move_originator_aet: str | None = field(name="MoveOriginatorAet", default=None)
    move_originator_id: int = field(name="MoveOriginatorID", default=0)
    storage_commitment: bool = field(name="StorageCommitment", default=False)


class RetrieveBody(JobBody, kw_only=True):
    """What to fetch from a remote node."""

    level: str = field(name="Level")
    resources: list[dict[str, Any]] = field(name="Resources")
    target_aet: str | None = field(name="TargetAet", default=None)
    local_aet: str | None = field(name="LocalAet", default=None)
    timeout_s: float = field(name="Timeout", default=0)


class NamedInstance(msgspec.Struct, kw_only=True):
    """An instance by what DICOM calls it."""

    sop_class_uid: str = field(name="SOPClassUID")
    sop_instance_uid: str = field(name="SOPInstanceUID")


class CommitBody(msgspec.Struct, kw_only=True):
    """What a remote node is to commit itself to."""

    resources: list[str] | None = field(name="Resources", default=None)
    instances: list[Any] | None = field(name="DicomInstances", default=None)
    timeout_s: float = field(name="Timeout", default=0)

    def pairs(self) -> list[tuple[str, str]]:
        """Return SOP class and instance UIDs, each written as a list of two or as an object."""
        found: list[tuple[str, str]] = []
        for each in self.instances or ():
            if isinstance(each, list):
                found.append(as_form(each, tuple[str, str]))
            else:
                named = as_form(each, NamedInstance)
                found.append((named.sop_class_uid, named.sop_instance_uid))
        return found


class AnswersBody(JobBody, kw_only=True):
    """How to fetch answers of a query."""

    target_aet: str | None = field(name="TargetAet", default=None)
    retrieve_method: str = field(name="RetrieveMethod", default="SystemDefault")
    full: bool = field(name="Full", default=False)
    simplify: bool = field(name="Simplify", default=False)
    timeout_s: float = field(name="Timeout", default=0)


async def read_text(call: Call) -> bytes:
    """Return the body without white space around it."""
    with call.budget.account() as account:
        return (await call.body(account, MAX_REQUEST_BYTES)).strip()


async def read(call: Call, form: type[T], empty: bytes | None = None) -> T:
    """Return the JSON body as `form`; an empty one is read as `empty` if that is given."""
    body = await read_text(call)
    return as_form(parsed(body if body or empty is None else empty), form)


def parsed(body: bytes) -> Any:
    """Return what JSON says; raises BadBody."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadBody(f"the body is no JSON: {error}") from None


def resources_of(text: bytes) -> Any:
    """Return a body as the object that it stands for: an id, a list of ids, or an object.

    Raises BadBody.
    """
    if not text:
        raise BadBody("the body takes an id, a list of ids, or an object with Resources")
    if text[:1] not in b'{["':
        value: Any = [text.decode("ascii", "replace")]
    else:
        value = parsed(text)
    if isinstance(value, str):
        value = [value]
    return {"Resources": value} if isinstance(value, list) else value


def as_form(value: Any, form: type[T]) -> T:
    """Return JSON as `form`; numbers and switches may be written as text. Raises BadBody."""
    return nodes.as_form(value, form)


def modality_of(value: Any, name: str) -> Modality:
    """Return the node that JSON describes; raises BadBody, OutOfRange."""
    return nodes.modality(value, name)


def contact(modality: str, **said: Any) -> Contact:
    """Return how a remote node is to be called; what is None, 0 or empty is configured."""
    given: Mapping[str, Any] = {name: value for name, value in said.items() if value}
    try:
        return msgspec.convert({"modality": modality, **given}, Contact)
    except msgspec.ValidationError as error:
        raise OutOfRange(f"how the modality is called: {error}") from None


def described(modality: Modality) -> dict[str, Any]:
    """Return a node as clients read it."""
    methods = {method: name for name, method in RETRIEVE_METHODS.items()}
    timeout_s = modality.timeout_s or 0
    return {
        "AET": modality.aet,
        "AllowEcho": modality.allow_echo,
        "AllowEventReport": modality.allow_storage_commitment,
        "AllowFind": modality.allow_find,
        "AllowFindWorklist": modality.allow_find_worklist,
        "AllowGet": modality.allow_get,
        "AllowMove": modality.allow_move,
        "AllowMpps": modality.allow_mpps,
        "AllowNAction": modality.allow_storage_commitment,
        "AllowStore": modality.allow_store,
        "AllowTranscoding": modality.transcoding,
        "Host": modality.host,
        "LocalAet": modality.local_aet or "",
        "Manufacturer": modality.manufacturer,
        "Parallel": modality.parallel,
        "Port": modality.port,
        "RetrieveMethod": methods[modality.retrieve_method],
        "Timeout": int(timeout_s) if timeout_s == int(timeout_s) else timeout_s,
        "UseDicomTls": modality.tls,
    }
