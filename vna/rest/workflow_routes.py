"""Routes of worklist, performed procedure steps and storage commitment.

Their modules are imported by the first request that needs them: most archives never see one.
"""

from __future__ import annotations

from importlib import import_module

from starlette.responses import Response

from vna.rest.describe import JSON, LIMIT, SINCE, Body, Entry, Parameter, answer
from vna.rest.requests import Call, Handler

FORMAT = Parameter("format", "text", "form of the tags: Simplify (if not said), Short or Full")


def imported_on_use(function: str) -> Handler:
    """Return a handler that imports its module of this package at the first request."""
    module, _, name = function.rpartition(".")

    async def handler(call: Call) -> Response:
        found: Handler = getattr(import_module(f"vna.rest.{module}"), name)
        return await found(call)

    return handler


ROUTES = [
    Entry(
        "POST",
        "/worklists/create",
        imported_on_use("worklists.create"),
        "Schedule a procedure step",
        answer("WorklistCreated"),
        body=Body({JSON: "WorklistItem"}, "Its tags, one scheduled procedure step among them"),
    ),
    Entry(
        "GET",
        "/worklists",
        imported_on_use("worklists.list_all"),
        "Worklist items, whatever their status",
        answer("Worklist"),
        query=(FORMAT, SINCE, LIMIT),
    ),
    Entry(
        "GET",
        "/worklists/{id}",
        imported_on_use("worklists.get"),
        "A worklist item",
        answer("WorklistEntry"),
        query=(FORMAT,),
    ),
    Entry(
        "PUT",
        "/worklists/{id}",
        imported_on_use("worklists.change"),
        "Give a worklist item other tags or another status",
        answer("WorklistCreated"),
        body=Body({JSON: "WorklistChange"}, "All its tags, its status, or both"),
        refusals=(409,),
    ),
    Entry(
        "DELETE",
        "/worklists/{id}",
        imported_on_use("worklists.delete"),
        "Remove a worklist item, and the worklist file that it came from",
        answer("Done"),
        refusals=(507,),
    ),
    Entry(
        "GET",
        "/procedure-steps",
        imported_on_use("procedure_steps.list_all"),
        "Performed procedure steps, the latest first",
        answer("ProcedureSteps"),
        query=(SINCE, LIMIT),
    ),
    Entry(
        "GET",
        "/procedure-steps/{id}",
        imported_on_use("procedure_steps.get"),
        "A performed procedure step, by its SOP Instance UID",
        answer("ProcedureStep"),
    ),
    Entry(
        "GET",
        "/storage-commitment/{id}",
        imported_on_use("storage_commitment.report"),
        "Which instances a peer keeps, by the UID of the transaction",
        answer("CommitmentReport"),
    ),
    Entry(
        "POST",
        "/storage-commitment/{id}/remove",
        imported_on_use("storage_commitment.remove"),
        "Delete the instances that a peer keeps",
        answer("Done"),
        refusals=(409,),
    ),
]
