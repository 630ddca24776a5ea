"""Telling a remote node of a procedure step that is performed (PS3.4 Annex F), as a modality does.

For a node that performs steps itself, or passes on what modalities told it.
"""

from __future__ import annotations

from typing import Any

from vna.services import uids
from vna.services.named_tags import DataSet
from vna.services.node import Node
from vna.services.peer import Context, open_peer, require_success
from vna.services.remote_find import encoded, syntax_of
from vna.settings import Modality

PROCEDURE_STEP = "1.2.840.10008.3.1.2.3.3"

# Command Field (PS3.7 Table E.1-1).
N_SET = 0x0120
N_CREATE = 0x0140


async def create(node: Node, modality: Modality, step: DataSet, tenant: int = 1) -> str:
    """Begin a step and return the SOP Instance UID that it has from then on (N-CREATE).

    Raises
    ------
    PeerFailed
        If the node cannot be told.
    PeerRefused
        If it refuses the step.
    """
    uid = uids.generate()
    command = {"CommandField": N_CREATE, "AffectedSOPInstanceUID": uid}
    await tell(node, modality, "N-CREATE", command, step, tenant)
    return uid


async def change(
    node: Node, modality: Modality, sop_instance_uid: str, step: DataSet, tenant: int = 1
) -> None:
    """Change a step, or end it by its status (N-SET); raises as `create` does."""
    command = {"CommandField": N_SET, "RequestedSOPInstanceUID": sop_instance_uid}
    await tell(node, modality, "N-SET", command, step, tenant)


async def tell(
    node: Node,
    modality: Modality,
    what: str,
    command: dict[str, Any],
    step: DataSet,
    tenant: int,
) -> None:
    """Send one request over an association of its own."""
    name = "RequestedSOPClassUID" if command["CommandField"] == N_SET else "AffectedSOPClassUID"
    context = Context(PROCEDURE_STEP)
    async with open_peer(node, modality, [context], tenant=tenant) as peer:
        data_set = encoded(step, syntax_of(peer, PROCEDURE_STEP))
        whole = {**command, name: PROCEDURE_STEP}
        async for response in peer.ask(PROCEDURE_STEP, whole, data_set):
            require_success(modality, what, response)
