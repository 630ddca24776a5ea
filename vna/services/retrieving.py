"""Fetching from remote nodes: the jobs `DicomMoveScu` and `DicomGetScu`.

Both are given identifiers and do one after the other over one association. One that was begun
before, and cut off, is not asked for again as a whole if what comes of it comes to us: the remote
node is asked what it has, and only what is missing here is fetched.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from vna.errors import PeerFailed, PeerRefused, VnaError
from vna.jobs import Job
from vna.services import remote_find
from vna.services.modalities import Contact
from vna.services.named_tags import DataSet, tags_of, values
from vna.services.peer import (
    C_GET,
    C_MOVE,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    MEDIUM,
    PENDING,
    SUCCESS,
    Context,
    Peer,
    Response,
    open_peer,
    own_ae_title,
    refusal,
)
from vna.services.remote_find import LEVELS, UNIQUE_KEYS, Level, root_of
from vna.settings import Modality

if TYPE_CHECKING:
    from vna.services.node import Node

logger = logging.getLogger(__name__)

Service = Literal["move", "get"]
TYPES: dict[Service, str] = {"move": "DicomMoveScu", "get": "DicomGetScu"}
COMMANDS: dict[Service, int] = {"move": C_MOVE, "get": C_GET}
NAMES: dict[Service, str] = {"move": "C-MOVE", "get": "C-GET"}

# A peer need not tell how far it is (PS3.4 §C.4.2.3), and a study may take long to come from tape.
PATIENCE_S = 600.0
# UIDs of one request: 64 bytes each, and a value of Explicit VR has less than 64 KiB.
MOST_UIDS = 200
SOP_CLASS_UID = "00080016"

# In one context the peer chooses one transfer syntax for all instances of a class, so those that
# are stored often have a context each (PS3.4 §C.4.3.1).
SUFFIXES = "4.50 4.51 4.57 4.70 4.80 4.81 4.90 4.91 4.201 4.202 4.203 5 1.99"
COMPRESSED = tuple(f"1.2.840.10008.1.2.{suffix}" for suffix in SUFFIXES.split())
# Contexts of one association, less those for requests.
MOST_CONTEXTS = 126
# What a study may well have, for nodes that do not tell; each has two contexts.
USUAL_SUFFIXES = """
    1 1.1 1.1.1 1.2 1.2.1 1.3 1.3.1 104.1 104.2 11.1 11.2 12.1 12.1.1 12.2 128 13.1.1 13.1.3 130
    2 2.1 2.2 20 3 3.1 30 4 4.1 4.2 4.3 481.1 481.2 481.3 481.4 481.5 481.8 481.9 6 6.1 6.2 66 66.1
    66.4 67 7 7.1 7.2 7.3 7.4 77.1.1 77.1.2 77.1.4 77.1.5.1 77.1.5.4 77.1.6 88.11 88.22 88.33
    88.34 88.50 88.59 88.67 9.1.1
"""
USUAL = tuple(f"1.2.840.10008.5.1.4.1.1.{suffix}" for suffix in USUAL_SUFFIXES.split())


class Retrieve(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a job is to fetch, from whom.

    Attributes
    ----------
    identifiers : list of DataSet
        What of `level` is wanted, by its unique keys.
    target : str, optional
        The AE title that a C-MOVE is to go to.
    permissive : bool
        Whether it goes on, and succeeds, if something cannot be fetched.
    """

    contact: Contact
    service: Service
    level: Level
    identifiers: list[DataSet]
    target: str | None = None
    permissive: bool = False


class State(msgspec.Struct, kw_only=True):
    """How far a job is: identifiers that are done, and whether the next was begun."""

    done: int = 0
    begun: bool = False
    failed: int = 0


def shown(node: Node, retrieve: Retrieve, tenant: int, form: str = "short") -> dict[str, Any]:
    """Return what clients see of such a job at first."""
    modality = retrieve.contact.modality_of(node)
    fields: dict[str, Any] = {
        "Description": "REST API",
        "LocalAet": modality.local_aet or own_ae_title(node, tenant),
        "Query": [tags_of(at_level(each, retrieve.level), form) for each in retrieve.identifiers],
        "RemoteAet": modality.aet,
    }
    if retrieve.target is not None:
        fields["TargetAet"] = retrieve.target
    return fields


def at_level(identifier: DataSet, level: Level) -> DataSet:
    """Return an identifier with its level."""
    whole = {**identifier, remote_find.QUERY_RETRIEVE_LEVEL: {"vr": "CS", "Value": [level]}}
    return dict(sorted(whole.items()))


def only_unique(identifier: DataSet, level: Level) -> DataSet:
    """Return an identifier without what is no key of the Study Root (PS3.4 Table C.6-5).

    Clients give the PatientID of a study too, for which strict nodes refuse it.
    """
    if level == "PATIENT" or not identifier.get(UNIQUE_KEYS["STUDY"], {}).get("Value"):
        return identifier
    needless = {UNIQUE_KEYS["PATIENT"], remote_find.ACCESSION_NUMBER}
    return {tag: attribute for tag, attribute in identifier.items() if tag not in needless}


async def run(node: Node, job: Job) -> None:
    """Do one job; identifiers that are done are not done again."""
    retrieve = msgspec.convert(job.content, Retrieve)
    state = msgspec.convert(job.state or {}, State)
    modality = retrieve.contact.modality_of(node)
    if state.done >= len(retrieve.identifiers):
        return
    classes = await classes_of(node, modality, retrieve) if retrieve.service == "get" else []
    contexts = contexts_of(retrieve, classes)
    async with open_peer(node, modality, contexts, tenant=job.tenant) as peer:
        fetching = Fetching(node, job, peer, retrieve)
        while state.done < len(retrieve.identifiers):
            resumed, state.begun = state.begun, True
            await job.save(msgspec.to_builtins(state))
            fetching.done = state.done
            try:
                await fetching.one(retrieve.identifiers[state.done], resumed)
            except PeerRefused as error:
                if not retrieve.permissive:
                    raise
                state.failed += 1
                logger.warning("not fetched: %s", error, extra={"job": job.id})
            state.done, state.begun = state.done + 1, False
            job.progress(state.done / len(retrieve.identifiers))
            await job.save(msgspec.to_builtins(state))


class Fetching:
    """One job over its association."""

    def __init__(self, node: Node, job: Job, peer: Peer, retrieve: Retrieve):
        self.node = node
        self.job = job
        self.peer = peer
        self.retrieve = retrieve
        self.done = 0
        self._timeout_s = peer.modality.timeout_s or PATIENCE_S

    async def one(self, identifier: DataSet, resumed: bool) -> None:
        """Fetch what an identifier names, or what is missing of it."""
        level = self.retrieve.level
        if resumed and self.comes_here():
            try:
                missing = await self.missing(identifier)
            except PeerFailed as error:
                # A node that answers no such query is asked for all again.
                extra = {"job": self.job.id, "reason": str(error)}
                logger.info("what is missing is not known; all is fetched again", extra=extra)
            else:
                extra = {"job": self.job.id, "requests": str(len(missing))}
                logger.info("what is missing is fetched", extra=extra)
                for each in missing:
                    await self.fetch(each, "IMAGE")
                return
        await self.fetch(identifier, level)

    def comes_here(self) -> bool:
        """Whether what is fetched comes to this node."""
        target = self.retrieve.target
        return target is None or target == own_ae_title(self.node, self.job.tenant)

    async def fetch(self, identifier: DataSet, level: Level) -> None:
        """Send one request and wait for its end; raises PeerRefused if not all came."""
        what = NAMES[self.retrieve.service]
        sop_class_uid = root_of(level)[self.retrieve.service]
        syntax = remote_find.syntax_of(self.peer, sop_class_uid)
        command: dict[str, Any] = {
            "CommandField": COMMANDS[self.retrieve.service],
            "Priority": MEDIUM,
        }
        if self.retrieve.target is not None:
            command["MoveDestination"] = self.retrieve.target
        data_set = remote_find.encoded(at_level(only_unique(identifier, level), level), syntax)
        async for response in self.peer.ask(sop_class_uid, command, data_set, self._timeout_s):
            self.tell(response)
            if response.status not in PENDING:
                failed = response.command.get("NumberOfFailedSuboperations") or 0
                if response.status != SUCCESS or failed:
                    raise self.refused(what, response, int(failed))

    def refused(self, what: str, response: Response, failed: int) -> PeerRefused:
        """Return the error of a request of which not all came."""
        error = refusal(self.peer.modality, what, response)
        if failed:
            error.message += f"; {failed} instances were not transferred"
        return error

    def tell(self, response: Response) -> None:
        """Tell how far it is."""
        counts = [
            response.command.get(f"NumberOf{kind}Suboperations")
            for kind in ("Remaining", "Completed", "Failed", "Warning")
        ]
        if counts[0] is None:
            return
        remaining, *ended = (int(count or 0) for count in counts)
        total = max(1, remaining + sum(ended))
        whole = max(1, len(self.retrieve.identifiers))
        self.job.progress((self.done + sum(ended) / total) / whole)

    async def missing(self, identifier: DataSet) -> list[DataSet]:
        """Return identifiers of the instances that the peer has of one, and we have not."""
        level = self.retrieve.level
        here = await self.here(identifier, level)
        wanted: list[DataSet] = []
        async with open_peer(
            self.node,
            self.peer.modality,
            [Context(remote_find.STUDY_ROOT["find"]), Context(remote_find.PATIENT_ROOT["find"])],
        ) as peer:
            for series in await series_of(peer, identifier, level):
                there = await below(peer, series, "IMAGE")
                uids = [uid for each in there for uid in values(each, UNIQUE_KEYS["IMAGE"])]
                lacking = [uid for uid in dict.fromkeys(map(str, uids)) if uid not in here]
                wanted += [
                    {**series, UNIQUE_KEYS["IMAGE"]: {"vr": "UI", "Value": some}}
                    for some in chunks(lacking, MOST_UIDS)
                ]
        return wanted

    async def here(self, identifier: DataSet, level: Level) -> set[str]:
        """Return the SOP Instance UIDs of what we have of an identifier."""
        options: dict[str, Any] = {
            "tenant": self.job.tenant,
            "label": None,
            "model": "patient" if level == "PATIENT" else "study",
            "relational": True,
        }
        core = self.node.archive.core
        handle = core.select_instances(
            remote_find.encoded(at_level(identifier, level), EXPLICIT_LITTLE),
            EXPLICIT_LITTLE,
            msgspec.json.encode(options),
        )
        found = msgspec.json.decode(cast(bytes, await self.node.archive.result(handle)))
        return {str(each["SOPInstanceUID"]) for each in found}


async def series_of(peer: Peer, identifier: DataSet, level: Level) -> list[DataSet]:
    """Return the unique keys of the series that an identifier is of, or in whose it is."""
    known = [identifier]
    for lower in LEVELS[LEVELS.index(level) + 1 : LEVELS.index("IMAGE")]:
        found: list[DataSet] = []
        for each in known:
            found += await below(peer, each, lower)
        known = found
    return [
        {tag: each[tag] for tag in (UNIQUE_KEYS["STUDY"], UNIQUE_KEYS["SERIES"]) if tag in each}
        for each in known
    ]


async def below(peer: Peer, identifier: DataSet, level: Level) -> list[DataSet]:
    """Return the unique keys of what a node has of a level in what an identifier names."""
    keys = {tag: attribute for tag, attribute in identifier.items() if attribute.get("Value")}
    asked = remote_find.at_level_asking(keys, level)
    answers = await remote_find.ask(peer, root_of(level)["find"], asked)
    unique = UNIQUE_KEYS[level]
    return [
        {**keys, unique: each[unique]}
        for each in answers.json()
        if each.get(unique, {}).get("Value")
    ]


async def classes_of(node: Node, modality: Modality, retrieve: Retrieve) -> list[str]:
    """Return the SOP classes of what is to come, as far as the remote node tells; else none."""
    found: dict[str, None] = {}
    try:
        async with open_peer(node, modality, [Context(remote_find.STUDY_ROOT["find"])]) as peer:
            for identifier in retrieve.identifiers:
                studies = values(identifier, UNIQUE_KEYS["STUDY"])
                if not studies:
                    return []
                asked = remote_find.at_level_asking(
                    {UNIQUE_KEYS["STUDY"]: {"vr": "UI", "Value": studies}}, "STUDY"
                )
                asked["00080062"] = {"vr": "UI"}  # SOP Classes in Study
                answers = await remote_find.ask(peer, remote_find.STUDY_ROOT["find"], asked)
                told = [values(each, "00080062") for each in answers.json()]
                if not told or not all(told):
                    return []  # an optional key, and not one of this node
                found.update(dict.fromkeys(str(uid) for uids in told for uid in uids))
    except VnaError as error:
        extra = {"modality": modality.name, "reason": str(error)}
        logger.info("which SOP classes come is not known", extra=extra)
        return []
    return list(found)


def contexts_of(retrieve: Retrieve, classes: Sequence[str]) -> list[Context]:
    """Return what to propose: the request, and for C-GET the classes that may come."""
    service = retrieve.service
    # What is missing of a patient is fetched by the instance.
    roots = dict.fromkeys((root_of(retrieve.level)[service], remote_find.STUDY_ROOT[service]))
    contexts = [Context(root) for root in roots]
    if service == "move":
        return contexts
    wanted = (list(classes) or list(USUAL))[:MOST_CONTEXTS]
    room = MOST_CONTEXTS // len(wanted) - 1
    for sop_class_uid in wanted:
        contexts.append(
            Context(sop_class_uid, (EXPLICIT_LITTLE, IMPLICIT_LITTLE), scu=False, scp=True)
        )
        if room > 0:
            contexts += [
                Context(sop_class_uid, some, scu=False, scp=True)
                for some in chunks(COMPRESSED, -(-len(COMPRESSED) // room))
            ]
    return contexts


def chunks(items: Sequence[Any], most: int) -> Iterator[list[Any]]:
    """Yield items a few at a time."""
    for start in range(0, len(items), most):
        yield list(items[start : start + most])
