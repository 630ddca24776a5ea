"""Commitments that peers ask of us: taken down, proven by reading, reported."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

import msgspec

from vna.control import Control
from vna.errors import NotFound
from vna.jobs.job import Job
from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.services.commitment import records
from vna.services.commitment.records import (
    CLASS_INSTANCE_CONFLICT,
    COMMITTED,
    NO_SUCH_OBJECT,
    PROCESSING_FAILURE,
    Named,
    Reference,
    Transaction,
)
from vna.services.named_tags import DataSet
from vna.services.node import Node

logger = logging.getLogger(__name__)

JOB = "StorageCommitmentScp"
# Instances read between two looks at the clock: what a crash makes us read again, and how long one
# of the threads that may wait for the disk is taken.
BATCH = 16
# Reports that nobody takes are tried at growing intervals up to an hour.
SHORT_INTERVALS = 6
# Transactions kept of those that were reported; what was committed is recorded apart.
KEPT = 1000

# Sends Event Type ID and data set of a report on the association of its request.
Reporter = Callable[[int, DataSet], Awaitable[None]]
# By number of the transaction, until its job has begun.
reporters: dict[int, Reporter] = {}

REASON_OF_VERDICT = {
    "intact": COMMITTED,
    "missing": NO_SUCH_OBJECT,
    "other-class": CLASS_INSTANCE_CONFLICT,
    "damaged": PROCESSING_FAILURE,
}


async def accept(
    node: Node,
    transaction_uid: str,
    references: list[Reference],
    modality: str,
    caller: Caller,
    reporter: Reporter,
) -> str:
    """Take down what a peer asks for, and return the id of the job that will report.

    The peer may repeat a transaction; it is then read and reported again.

    Parameters
    ----------
    modality : str
        Name of the peer as a modality: where the report goes.
    reporter : callable
        Sends it on the association of the request; what it raises makes it go to the modality.

    Raises
    ------
    StorageFailed
        If it cannot be written.
    """
    ae_titles = caller.calling_ae_title, caller.called_ae_title

    def write(connection: records.Connection) -> int:
        records.trim(connection, "asked", KEPT)
        return records.begin(
            connection, "asked", caller.tenant, transaction_uid, ae_titles, references
        )

    sequence = await node.control.run(write)
    reporters[sequence] = reporter
    job = await node.jobs.submit(
        JOB,
        {"Commitment": sequence, "Modality": modality},
        destination=f"modality:{modality}",
        tenant=caller.tenant,
        show={
            "TransactionUID": transaction_uid,
            "RemoteAet": caller.calling_ae_title,
            "InstancesCount": len(references),
        },
        retries=SHORT_INTERVALS + node.archive.settings.commitment.report_hours,
    )
    logger.info(
        "storage commitment requested",
        extra={
            "calling_ae_title": caller.calling_ae_title,
            "transaction_uid": transaction_uid,
            "instances": len(references),
            "job": job,
        },
    )
    return job


async def read_again(
    archive: Archive, control: Control, sequence: int, job: Job
) -> tuple[Transaction, list[Named]]:
    """Read the instances of a transaction and return what became of each.

    What was read before a crash or a failed report is not read again.

    Raises
    ------
    NotFound
        If the transaction was forgotten.
    StorageFailed
        If the index or the control database cannot be read.
    """
    transaction = await control.run(lambda connection: records.get(connection, sequence))
    if transaction is None:
        raise NotFound("the transaction was forgotten", "not_found.commitment")
    total = len(await control.run(partial(records.named, sequence=sequence)))
    done = 0
    while batch := await control.run(partial(records.unread, sequence=sequence, limit=BATCH)):
        if archive.recycles:
            # Before they are read: what is found to be kept must not go behind the look at it.
            until_us = records.spared_until(archive.settings.commitment.retention_days)
            spared = [(transaction.tenant, each.sop_instance_uid, until_us) for _, each in batch]
            await archive.spare(spared)
        asked = [
            {"SOPClassUID": each.sop_class_uid, "SOPInstanceUID": each.sop_instance_uid}
            for _, each in batch
        ]
        begun = archive.core.verify_instances(transaction.tenant, msgspec.json.encode(asked))
        verdicts = msgspec.json.decode(cast(bytes, await archive.result(begun)), type=list[str])
        reasons = {
            position: (reference, REASON_OF_VERDICT[verdict])
            for (position, reference), verdict in zip(batch, verdicts, strict=True)
        }
        await control.run(partial(records.set_reasons, transaction=transaction, reasons=reasons))
        done += len(batch)
        job.progress(0.9 * done / total)
    return transaction, await control.run(partial(records.named, sequence=sequence))


async def reported(control: Control, transaction: Transaction, instances: list[Named]) -> None:
    """Write that the peer took our report."""
    failed = any(each.failure_reason for each in instances)
    state: records.State = "Failure" if failed else "Success"
    await control.run(lambda connection: records.end(connection, transaction.sequence, state))
