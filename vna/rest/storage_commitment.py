"""What became of storage commitments that we asked of peers."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from vna.rest.answers import json_response
from vna.rest.requests import Call
from vna.services import commitment


async def report(call: Call) -> Response:
    """Return which instances the peer keeps."""
    found = await commitment.report(call.node, call.path("id"), call.caller.tenant)
    return json_response(msgspec.json.encode(found))


async def remove(call: Call) -> Response:
    """Delete the instances that the peer keeps."""
    await commitment.remove(call.node, call.path("id"), call.caller)
    return json_response(b"{}")
