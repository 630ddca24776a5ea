"""Sending what is stored to remote nodes: the job `DicomModalityStore`.

The core sends (`vna._core.Sending`) and resumes by itself what a lost association cut off. The job
divides its instances into parts and keeps which are done, so that after a crash at most the part
that was on its way is sent again; a peer takes an instance that it has as the one it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec

from vna.errors import (
    AssociationRejected,
    ContextRefused,
    NotFound,
    PeerFailed,
    PeerProtocolError,
    PeerRefused,
)
from vna.jobs import Job
from vna.services import exports
from vna.services import resources as below
from vna.services.archive import ListOptions
from vna.services.caller import Caller
from vna.services.exports import Sent
from vna.services.modalities import Contact
from vna.services.peer import own_ae_title, specification
from vna.services.resources import LEVELS, level_of
from vna.settings import Modality

if TYPE_CHECKING:
    from vna.services.commitment import Reference
    from vna.services.node import Node

TYPE = "DicomModalityStore"
# Instances whose fate is written down together: what a crash makes the peer be sent again.
PART = 100
KINDS = {kind.code: kind for kind in PeerFailed.__subclasses__()}


class MoveOriginator(msgspec.Struct, frozen=True):
    """The C-MOVE request that instances are sent for (PS3.7 §9.1.1.1)."""

    ae_title: str
    message_id: int


class Store(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a job is to send, to whom.

    Attributes
    ----------
    resources, instances : list of str
        What was asked for, and the instances that this was then; public ids.
    permissive : bool
        Whether it goes on, and succeeds, if an instance is not taken.
    commit : bool
        Whether the remote node is asked to commit itself to what it took.
    """

    contact: Contact
    resources: list[str]
    instances: list[str]
    permissive: bool = False
    move_originator: MoveOriginator | None = None
    commit: bool = False


class State(msgspec.Struct, kw_only=True):
    """How far a job is.

    Attributes
    ----------
    done : int
        How many of its instances are.
    left : list of str, optional
        Those of the part behind them that are not, if that is known.
    failed : int
        How many of those that are done were not taken.
    committing : str
        Transaction UID of the storage commitment that was asked for.
    """

    done: int = 0
    left: list[str] | None = None
    failed: int = 0
    committing: str = ""


def slot(modality: str) -> str:
    """Return whose slots jobs for a modality take."""
    return f"modality:{modality}"


async def instances_of(node: Node, resources: Sequence[str], caller: Caller) -> list[str]:
    """Return the instances in resources of any level, each once, in order; raises NotFound."""
    return await below.instances_of(node.archive, resources, caller)


def shown(node: Node, store: Store, tenant: int) -> dict[str, Any]:
    """Return what clients see of such a job at first."""
    modality = store.contact.modality_of(node)
    fields: dict[str, Any] = {
        "Description": "REST API",
        "FailedInstancesCount": 0,
        "InstancesCount": len(store.instances),
        "LocalAet": modality.local_aet or own_ae_title(node, tenant),
        "RemoteAet": modality.aet,
    }
    if store.move_originator:
        fields["MoveOriginatorAET"] = store.move_originator.ae_title
        fields["MoveOriginatorID"] = store.move_originator.message_id
    if store.resources:
        fields["ParentResources"] = store.resources
    return fields


async def run(node: Node, job: Job) -> None:
    """Do one job; what was done of it before is not done again."""
    store = msgspec.convert(job.content, Store)
    state = msgspec.convert(job.state or {}, State)
    modality = store.contact.modality_of(node)
    total = len(store.instances)

    def tell(settled: int, failed: int) -> None:
        job.progress((state.done + settled) / max(1, total))
        job.show(FailedInstancesCount=state.failed + failed)

    while state.done < total:
        part = store.instances[state.done : state.done + PART]
        left = part if state.left is None else state.left
        before = len(part) - len(left)
        try:
            failed = await send(
                node,
                modality,
                left,
                store,
                job.tenant,
                lambda done, failed, before=before: tell(before + done, failed),  # type: ignore[misc]
            )
        except Unfinished as end:
            # As if what was not taken had not been tried: it will be, if the job is resubmitted.
            tell(len(part) - len(end.left), 0)
            state.left = end.left
            await job.save(msgspec.to_builtins(state))
            raise end.error from None
        state.done += len(part)
        state.left = None
        state.failed += failed
        tell(0, 0)
        await job.save(msgspec.to_builtins(state))
    if store.commit:
        await ask_commitment(node, job, store, state, modality)
    if state.failed < total and node.archive.settings.dicom.log_exported_resources:
        sent = [await identifiers(node, each, job.tenant) for each in store.resources]
        await exports.record(node, modality.name, [each for each in sent if each], job.tenant)


async def ask_commitment(
    node: Node, job: Job, store: Store, state: State, modality: Modality
) -> None:
    """Have the peer asked to commit itself to what it took; once, whatever happens meanwhile."""
    from vna.services import commitment, uids  # few jobs ask for it

    if not state.committing:
        state.committing = uids.generate()
        await job.save(msgspec.to_builtins(state))
    job.show(StorageCommitmentTransactionUID=state.committing)
    found = await references(node, store.instances, job.tenant)
    await commitment.submit(
        node, modality, found, job.tenant, state.committing, store.contact.timeout_s
    )


async def references(node: Node, instances: Sequence[str], tenant: int) -> list[Reference]:
    """Return SOP classes and UIDs of instances, but for those that are gone meanwhile."""
    from vna.services.commitment import Reference

    caller = Caller(way_in="rest", tenant=tenant)
    found: list[Reference] = []
    for public_id in instances:
        try:
            instance = msgspec.json.decode(node.archive.resource("instances", public_id, caller))
            sop_class_uid = await node.archive.metadata_value(
                "instances", public_id, "SopClassUid", caller
            )
        except NotFound:
            continue
        tags = instance["MainDicomTags"]
        found.append(Reference(sop_class_uid.decode(), str(tags["SOPInstanceUID"])))
    return found


class Unfinished(Exception):
    """A part was not sent whole.

    Attributes
    ----------
    left : list of str
        What of it the peer has not taken.
    error : Exception
        Why.
    """

    def __init__(self, left: list[str], error: Exception):
        super().__init__(str(error))
        self.left = left
        self.error = error


async def send(
    node: Node,
    modality: Modality,
    instances: list[str],
    store: Store,
    tenant: int,
    tell: Callable[[int, int], None],
) -> int:
    """Send instances and return how many the peer did not take; `tell` gets how far it is.

    Raises
    ------
    Unfinished
        If one is not taken, unless the job is permissive.
    """
    batch = specification(node, modality, tenant) | {
        "instances": instances,
        "move_originator": store.move_originator,
        "parallel": modality.parallel,
        "permissive": store.permissive,
        "transcoding": modality.transcoding,
    }
    archive = node.archive
    sending = archive.core.send(msgspec.json.encode(batch))
    # A hundred times in all is often enough to look.
    step = max(1, len(instances) // 100)
    seen = 0
    try:
        while True:
            await archive.result(sending.wait(seen + step - 1))
            progress = msgspec.json.decode(sending.progress())
            seen = progress["completed"] + progress["warning"] + progress["failed"]
            tell(seen, progress["failed"])
            if progress["done"]:
                break
    except asyncio.CancelledError:
        sending.cancel()
        raise
    if store.permissive or not (progress["failed"] or progress["remaining"]):
        return int(progress["failed"])
    raise unfinished(node, modality, instances, progress, tenant)


def unfinished(
    node: Node, modality: Modality, instances: list[str], progress: dict[str, Any], tenant: int
) -> Unfinished:
    """Return what became of a part that was not sent whole."""
    failures = progress["failures"]
    # Those after the first failure were not tried: which, only the core knows.
    known = not progress["remaining"]
    left = [each["id"] for each in failures] if known else instances
    loss = progress.get("error")
    answered = next((each for each in failures if each["status"] is not None), None)
    error: Exception
    if answered is not None:
        words = (
            f"{modality.aet} answered C-STORE of {answered['sop_instance_uid']} "
            f"with status {answered['status']:04X}"
        )
        reason = answered["reason"]
        error = PeerRefused(f"{words}: {reason}" if reason else words, status=answered["status"])
    elif loss is not None:
        error = lost(loss)
    else:
        error = not_sent(node, failures[0], tenant)
    return Unfinished(left, error)


def not_sent(node: Node, failure: dict[str, Any], tenant: int) -> Exception:
    """Return why an instance was not offered: it is gone, or in no form that the peer takes."""
    try:
        level_of(node.archive, failure["id"], Caller(way_in="rest", tenant=tenant))
    except NotFound as error:
        return error
    return ContextRefused(failure["reason"])


def lost(loss: dict[str, Any]) -> PeerFailed:
    """Return the error that an association ended with, as it is if Python's own is lost."""
    code, message = loss["code"], loss["message"]
    if code == AssociationRejected.code:
        return AssociationRejected(message, result=2 if loss["transient"] else 1)
    kind = KINDS.get(code, PeerFailed if loss["transient"] else PeerProtocolError)
    return kind(message, code)


async def send_file(node: Node, modality: Modality, file: bytes, tenant: int) -> dict[str, str]:
    """Send a file that is not stored and return its SOP class and instance UID.

    Raises
    ------
    EncodingError
        If it is no DICOM.
    PeerFailed, PeerRefused
        If the peer does not take it.
    """
    described = msgspec.json.encode(specification(node, modality, tenant))
    answer = await node.archive.result(node.archive.core.send_file(described, file))
    sent = msgspec.json.decode(cast(bytes, answer))
    status = sent["status"]
    # PS3.4 §B.2.3: a warning means that it is stored.
    if status and status >> 12 != 0xB:
        words = f"{modality.aet} answered C-STORE with status {status:04X}"
        reason = sent.get("reason")
        raise PeerRefused(f"{words}: {reason}" if reason else words, status=status)
    return {
        "SOPClassUID": sent["sop_class_uid"],
        "SOPInstanceUID": sent["sop_instance_uid"],
    }


async def identifiers(node: Node, public_id: str, tenant: int) -> Sent | None:
    """Return the identifiers down to a resource; None if it is gone meanwhile."""
    caller = Caller(way_in="rest", tenant=tenant)
    archive = node.archive
    try:
        level = level_of(archive, public_id, caller)
        parents = {level: msgspec.json.decode(archive.resource(level, public_id, caller))}
        for above in LEVELS[LEVELS.index(level) + 1 :]:
            found = await archive.related(level, public_id, above, ListOptions(), caller)
            parents[above] = msgspec.json.decode(found)
    except NotFound:
        return None

    def tag(level: str, name: str) -> str:
        return str(parents[level]["MainDicomTags"].get(name, "")) if level in parents else ""

    return Sent(
        parents[level]["Type"],
        public_id,
        tag("patients", "PatientID"),
        tag("studies", "StudyInstanceUID"),
        tag("series", "SeriesInstanceUID"),
        tag("instances", "SOPInstanceUID"),
    )
