"""C-FIND of remote nodes: identifiers as clients write them, fitted to level and manufacturer."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from vna import _core
from vna.errors import BadRequest, ContextRefused, OutOfRange
from vna.services.named_tags import DataSet
from vna.services.peer import (
    C_FIND,
    CANCELLED,
    MEDIUM,
    PENDING,
    VERIFICATION,
    Context,
    Peer,
    open_peer,
    require_success,
)
from vna.settings import Manufacturer, Modality

if TYPE_CHECKING:
    from vna.services.node import Node

Level = Literal["PATIENT", "STUDY", "SERIES", "IMAGE"]
Service = Literal["find", "move", "get"]
LEVELS: tuple[Level, ...] = ("PATIENT", "STUDY", "SERIES", "IMAGE")

MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"
# PS3.4 Table C.6.1.3-1, C.6.2.3-1.
PATIENT_ROOT: dict[Service, str] = {
    "find": "1.2.840.10008.5.1.4.1.2.1.1",
    "move": "1.2.840.10008.5.1.4.1.2.1.2",
    "get": "1.2.840.10008.5.1.4.1.2.1.3",
}
STUDY_ROOT: dict[Service, str] = {
    "find": "1.2.840.10008.5.1.4.1.2.2.1",
    "move": "1.2.840.10008.5.1.4.1.2.2.2",
    "get": "1.2.840.10008.5.1.4.1.2.2.3",
}

QUERY_RETRIEVE_LEVEL = "00080052"
ACCESSION_NUMBER = "00080050"
PATIENT_ID = "00100020"
STUDY_INSTANCE_UID = "0020000D"
SERIES_INSTANCE_UID = "0020000E"
SOP_INSTANCE_UID = "00080018"
UNIQUE_KEYS: dict[Level, str] = {
    "PATIENT": PATIENT_ID,
    "STUDY": STUDY_INSTANCE_UID,
    "SERIES": SERIES_INSTANCE_UID,
    "IMAGE": SOP_INSTANCE_UID,
}
# What tells resources apart and is wanted of every answer, with its VR.
ALWAYS_ASKED: dict[Level, dict[str, str]] = {
    "PATIENT": {PATIENT_ID: "LO"},
    "STUDY": {ACCESSION_NUMBER: "SH", STUDY_INSTANCE_UID: "UI"},
    "SERIES": {SERIES_INSTANCE_UID: "UI"},
    "IMAGE": {SOP_INSTANCE_UID: "UI"},
}
# Attributes that exist from a level on; a query of a higher level has no place for them.
STUDY_ATTRIBUTES = """
    00080020 00080030 00080050 00080061 00080062 00080080 00080090 00081030 00081048 00081060
    0020000D 00200010 00201206 00201208 00321032 00321060
"""
SERIES_ATTRIBUTES = """
    00080021 00080031 00080060 00080070 00081010 0008103E 00081050 00081070 00180010 00180015
    00180024 00181030 00181090 00181400 0020000E 00200011 00200105 00201209 00400244 00400245
    00400254 00400275 00540081 00540101 00541000
"""
IMAGE_ATTRIBUTES = """
    00080008 00080012 00080013 00080016 00080018 00080022 00080023 00080032 00080033 00200012
    00200013 00200032 00200037 00200100 00204000 00280008 00280010 00280011 00541330
"""
FIRST_KNOWN: dict[Level, frozenset[str]] = {
    "STUDY": frozenset(STUDY_ATTRIBUTES.split()),
    "SERIES": frozenset(SERIES_ATTRIBUTES.split()),
    "IMAGE": frozenset(IMAGE_ATTRIBUTES.split()),
}
# Of all answers of one query: as many as fit into it are more than anybody reads.
MAX_ANSWER_BYTES = 64 << 20


class Answers(NamedTuple):
    """What a remote node found: data sets in one transfer syntax."""

    transfer_syntax_uid: str
    data_sets: list[bytes]

    def json(self) -> list[DataSet]:
        """Return them in the DICOM JSON Model."""
        return [self.decoded(each) for each in self.data_sets]

    def decoded(self, data_set: bytes) -> DataSet:
        """Return one of them in the DICOM JSON Model."""
        text = _core.data_set_to_json(data_set, self.transfer_syntax_uid)
        return msgspec.json.decode(text, type=DataSet)


def level_of(text: str) -> Level:
    """Return the level that clients of Orthanc call so; raises OutOfRange."""
    names: dict[str, Level] = {
        "patient": "PATIENT",
        "patients": "PATIENT",
        "study": "STUDY",
        "studies": "STUDY",
        "series": "SERIES",
        "instance": "IMAGE",
        "instances": "IMAGE",
        "image": "IMAGE",
        "images": "IMAGE",
    }
    level = names.get(text.lower())
    if level is None:
        raise OutOfRange(f"Level is {text[:64]!r}; it takes Patient, Study, Series or Instance")
    return level


def root_of(level: Level) -> dict[Service, str]:
    """Return the information model to ask at a level: Patient Root only where it must be."""
    return PATIENT_ROOT if level == "PATIENT" else STUDY_ROOT


def levels_down_to(level: Level) -> tuple[Level, ...]:
    """Return a level and those above it."""
    return LEVELS[: LEVELS.index(level) + 1]


def fitted(
    keys: DataSet, level: Level, manufacturer: Manufacturer, normalize: bool = True
) -> DataSet:
    """Return the identifier that asks for `keys` at a level, as a manufacturer's node likes it.

    Without `normalize` the keys are sent as they are.
    """
    identifier = dict(keys)
    identifier[QUERY_RETRIEVE_LEVEL] = {"vr": "CS", "Value": [level]}
    if normalize:
        for lower, attributes in FIRST_KNOWN.items():
            if LEVELS.index(lower) > LEVELS.index(level):
                for tag in attributes:
                    identifier.pop(tag, None)
        identifier = {
            tag: without_wildcard(attribute, manufacturer) for tag, attribute in identifier.items()
        }
    for each in levels_down_to(level):
        for tag, vr in ALWAYS_ASKED[each].items():
            # Universal matching (PS3.4 §C.2.2.2.3), for which GE's nodes want it said.
            anything = {"vr": vr, "Value": ["*"]} if manufacturer == "GE" else {"vr": vr}
            identifier.setdefault(tag, anything)
    return identifier


def at_level_asking(keys: DataSet, level: Level) -> DataSet:
    """Return the identifier that asks for the unique key of a level below given ones."""
    return {
        UNIQUE_KEYS[level]: {"vr": "UI"},
        **keys,
        QUERY_RETRIEVE_LEVEL: {"vr": "CS", "Value": [level]},
    }


def without_wildcard(attribute: dict[str, Any], manufacturer: Manufacturer) -> dict[str, Any]:
    """Return a key without `*` where a manufacturer's node takes only the empty value for all."""
    value = attribute.get("Value")
    if value not in (["*"], [{"Alphabetic": "*"}]):
        return attribute
    everywhere = manufacturer == "GenericNoUniversalWildcard"
    in_dates = manufacturer == "GenericNoWildcardInDates" and attribute["vr"] == "DA"
    return {"vr": attribute["vr"]} if everywhere or in_dates else attribute


async def verify(node: Node, modality: Modality, check_find: bool, tenant: int = 1) -> None:
    """Return if a remote node answers a C-ECHO, with `check_find` also a query; raises PeerFailed.

    The query is for a study that nobody has.
    """
    sop_class_uid = STUDY_ROOT["find"]
    contexts = [Context(VERIFICATION)]
    if check_find:
        contexts.append(Context(sop_class_uid))
    async with open_peer(node, modality, contexts, tenant=tenant) as peer:
        await peer.echo()
        if check_find:
            nowhere = {"vr": "UI", "Value": [f"2.25.{uuid.uuid4().int}"]}
            keys: DataSet = {STUDY_INSTANCE_UID: nowhere, PATIENT_ID: {"vr": "LO"}}
            identifier = fitted(keys, "STUDY", modality.manufacturer)
            await ask(peer, sop_class_uid, identifier)


async def find(
    node: Node, modality: Modality, level: Level, identifier: DataSet, tenant: int = 1
) -> Answers:
    """Return what a remote node finds; `identifier` is a fitted one.

    Raises
    ------
    PeerFailed
        If it cannot be asked.
    PeerRefused
        If it answers with a failure.
    BadRequest
        If there are more answers than anybody reads.
    """
    sop_class_uid = root_of(level)["find"]
    async with open_peer(node, modality, [Context(sop_class_uid)], tenant=tenant) as peer:
        return await ask(peer, sop_class_uid, identifier)


async def find_worklist(
    node: Node, modality: Modality, identifier: DataSet, tenant: int = 1
) -> Answers:
    """Return the worklist items of a remote node (PS3.4 Annex K); raises as `find` does."""
    async with open_peer(node, modality, [Context(MODALITY_WORKLIST)], tenant=tenant) as peer:
        return await ask(peer, MODALITY_WORKLIST, identifier)


async def ask(peer: Peer, sop_class_uid: str, identifier: DataSet) -> Answers:
    """Return what a remote node finds over an association that is open."""
    transfer_syntax_uid = syntax_of(peer, sop_class_uid)
    data_set = encoded(identifier, transfer_syntax_uid)
    command = {"CommandField": C_FIND, "Priority": MEDIUM}
    found: list[bytes] = []
    held = 0
    async for response in peer.ask(sop_class_uid, command, data_set):
        if response.status in PENDING:
            held += len(response.data_set)
            if held > MAX_ANSWER_BYTES:
                await peer.cancel()
                raise BadRequest(
                    f"{peer.modality.name} has more than {MAX_ANSWER_BYTES} bytes of answers; "
                    "ask for less",
                    "query.too_many_answers",
                )
            found.append(response.data_set)
        elif response.status != CANCELLED:  # the end of who has a limit of his own
            require_success(peer.modality, "C-FIND", response)
    return Answers(transfer_syntax_uid, found)


def syntax_of(peer: Peer, sop_class_uid: str) -> str:
    """Return in what identifiers go to the peer; raises ContextRefused."""
    found = peer.transfer_syntaxes.get(sop_class_uid)
    if found is None:
        raise ContextRefused(
            f"{peer.modality.aet} accepts no presentation context for {sop_class_uid}"
        )
    return found


def encoded(identifier: DataSet, transfer_syntax_uid: str) -> bytes:
    """Return an identifier as it goes over the wire."""
    return _core.data_set_from_json(msgspec.json.encode(identifier), transfer_syntax_uid)
