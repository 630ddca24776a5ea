"""Performed procedure steps over REST."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from vna.rest.answers import json_response
from vna.rest.requests import Call
from vna.services import procedure_steps


async def list_all(call: Call) -> Response:
    """Return steps, the latest first."""
    since, limit = call.number("since", 0) or 0, call.number("limit", 0) or 0
    steps = await procedure_steps.listed(call.node.control, call.caller.tenant, since, limit)
    return json_response(msgspec.json.encode([procedure_steps.shown(step) for step in steps]))


async def get(call: Call) -> Response:
    """Return one step."""
    uid = call.path("id")
    step = await procedure_steps.get(call.node.control, uid, call.caller.tenant)
    return json_response(msgspec.json.encode(procedure_steps.shown(step)))
