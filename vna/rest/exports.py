"""The record of what was sent to remote nodes."""

from __future__ import annotations

from starlette.responses import Response

from vna.rest.modalities import empty, encoded
from vna.rest.requests import Call
from vna.services import exports

DEFAULT_LIMIT = 100


async def listed(call: Call) -> Response:
    """Return a page of what was sent."""
    since, limit = call.number("since", 0) or 0, call.number("limit", DEFAULT_LIMIT) or 0
    found = await exports.page(call.node, since, limit, call.flag("last"), call.caller.tenant)
    return encoded(found)


async def clear(call: Call) -> Response:
    """Forget what was sent."""
    await exports.clear(call.node, call.caller.tenant)
    return empty()
