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
from vna.settings import Manufacturer, Modality, RetrieveMethod

# A list of 60,000 ids or UIDs.
MAX_REQUEST_BYTES = 4 << 20
MODALITY_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

# Names that former releases had for the ways of manufacturers.
FORMER_MANUFACTURERS: dict[str, Manufacturer] = {
    "AgfaImpax": "GenericNoWildcardInDates",
    "ClearCanvas": "Generic",
    "Dcm4Chee": "Generic",
    "EFilm2": "Generic",
    "MedInria": "Generic",
    "SyngoVia": "GenericNoWildcardInDates",
}
RETRIEVE_METHODS: dict[str, RetrieveMethod | None] = {
    "C-MOVE": "c-move",
    "C-GET": "c-get",
    "SystemDefault": None,
}

T = TypeVar("T")


class ModalityBody(msgspec.Struct, kw_only=True):
    """What a remote node is."""

    aet: str = field(name="AET")
    host: str = field(name="Host")
    port: int = field(name="Port")
    manufacturer: str = field(name="Manufacturer", default="Generic")
    allow_echo: bool = field(name="AllowEcho", default=True)
    allow_find: bool = field(name="AllowFind", default=True)
    allow_find_worklist: bool = field(name="AllowFindWorklist", default=True)
    allow_get: bool = field(name="AllowGet", default=True)
    allow_move: bool = field(name="AllowMove", default=True)
    allow_store: bool = field(name="AllowStore", default=True)
    allow_storage_commitment: bool = field(name="AllowStorageCommitment", default=True)
    # Both halves of storage commitment have a switch there; here they go together.
    allow_n_action: bool = field(name="AllowNAction", default=True)
    allow_event_report: bool = field(name="AllowEventReport", default=True)
    allow_mpps: bool = field(name="AllowMpps", default=True)
    transcoding: bool = field(name="AllowTranscoding", default=True)
    tls: bool = field(name="UseDicomTls", default=False)
    local_aet: str = field(name="LocalAet", default="")
    timeout_s: float = field(name="Timeout", default=0)
    retrieve_method: str = field(name="RetrieveMethod", default="SystemDefault")
    parallel: int = field(name="Parallel", default=1)

    def modality(self, name: str) -> Modality:
        """Return the node; raises OutOfRange, naming what is wrong."""
        commitment = (
            self.allow_storage_commitment and self.allow_n_action and self.allow_event_report
        )
        fields = {
            "name": name,
            "aet": self.aet.strip(),
            "host": self.host,
            "port": self.port,
            "manufacturer": FORMER_MANUFACTURERS.get(self.manufacturer, self.manufacturer),
            "allow_echo": self.allow_echo,
            "allow_find": self.allow_find,
            "allow_find_worklist": self.allow_find_worklist,
            "allow_get": self.allow_get,
            "allow_move": self.allow_move,
            "allow_store": self.allow_store,
            "allow_storage_commitment": commitment,
            "allow_mpps": self.allow_mpps,
            "transcoding": self.transcoding,
            "tls": self.tls,
            "local_aet": self.local_aet.strip() or None,
            "timeout_s": self.timeout_s or None,
            "retrieve_method": retrieve_method(self.retrieve_method),
            "parallel": self.parallel,
        }
        try:
            return msgspec.convert(fields, Modality)
        except msgspec.ValidationError as error:
            raise OutOfRange(f"modality {name}: {error}", "modality.bad") from None


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
    try:
        return msgspec.convert(value, form, strict=False)
    except msgspec.ValidationError as error:
        raise BadBody(f"the body is not what this takes: {error}") from None


def modality_of(value: Any, name: str) -> Modality:
    """Return the node that JSON describes: an object, or AET, host, port and manufacturer."""
    if isinstance(value, list):
        if not 3 <= len(value) <= 4:
            raise BadBody("a modality is a list of AET, host, port and manufacturer, or an object")
        value = dict(zip(("AET", "Host", "Port", "Manufacturer"), value, strict=False))
    return as_form(value, ModalityBody).modality(name)


def retrieve_method(text: str) -> RetrieveMethod | None:
    """Return how to fetch; None as is configured. Raises OutOfRange."""
    if text not in RETRIEVE_METHODS:
        raise OutOfRange(
            f"RetrieveMethod is {text[:64]!r}; it takes C-MOVE, C-GET or SystemDefault"
        )
    return RETRIEVE_METHODS[text]


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
