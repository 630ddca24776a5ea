"""The services of DICOM peers that Python answers, by SOP class; imported when one is asked for."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import NamedTuple

from vna.dimse.serving import (
    C_FIND,
    C_GET,
    C_MOVE,
    N_ACTION,
    N_CREATE,
    N_EVENT_REPORT,
    N_SET,
    Handler,
    Request,
    register,
)
from vna.services.node import Node


class Service(NamedTuple):
    """What of a SOP class goes to which function of a module of this package."""

    sop_class_uid: str
    command_fields: Collection[int]
    function: str


# PS3.4 Annexes C, F, J and K; the UIDs are those of PS3.6 Annex A.
# Query/Retrieve: the core's name of each information model, by the root of its SOP classes. The
# third is retired, and still asked for.
INFORMATION_MODELS = {
    "1.2.840.10008.5.1.4.1.2.1": "patient",
    "1.2.840.10008.5.1.4.1.2.2": "study",
    "1.2.840.10008.5.1.4.1.2.3": "patient_study",
}
WORKLIST = "1.2.840.10008.5.1.4.31"
PROCEDURE_STEP = "1.2.840.10008.3.1.2.3.3"
COMMITMENT = "1.2.840.10008.1.20.1"

SERVICES = (
    *(
        Service(f"{root}.{number}", {field}, f"query_retrieve.{function}")
        for root in INFORMATION_MODELS
        for number, field, function in ((1, C_FIND, "find"), (2, C_MOVE, "move"), (3, C_GET, "get"))
    ),
    Service(WORKLIST, {C_FIND}, "worklist.find"),
    Service(PROCEDURE_STEP, {N_CREATE}, "procedure_steps.create"),
    Service(PROCEDURE_STEP, {N_SET}, "procedure_steps.change"),
    Service(COMMITMENT, {N_ACTION}, "commitment.action"),
    Service(COMMITMENT, {N_EVENT_REPORT}, "commitment.event_report"),
)


def register_services() -> None:
    """Let the services answer; before the listener starts."""
    for service in SERVICES:
        handler = imported_on_use(service.function)
        register(service.sop_class_uid, service.command_fields, handler)


def imported_on_use(function: str) -> Handler:
    """Return a handler that imports its module at the first request."""
    module, _, name = function.partition(".")

    async def handler(node: Node, request: Request) -> None:
        service: Handler = getattr(import_module(f"vna.dimse.{module}"), name)
        await service(node, request)

    return handler
