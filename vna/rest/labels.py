"""Labels of resources."""

from __future__ import annotations

from starlette.responses import Response

from vna.rest.answers import json_response
from vna.rest.describe import TEXT
from vna.rest.requests import Call, Handler
from vna.services import labels


def lister(level: str) -> Handler:
    """Return the handler that lists the labels of a resource."""

    async def handle(call: Call) -> Response:
        return json_response(await labels.labels(call.archive, level, call.path("id"), call.caller))

    return handle


def tester(level: str) -> Handler:
    """Return the handler that says by its status whether a resource has a label."""

    async def handle(call: Call) -> Response:
        public_id, label = call.path("id"), call.path("label")
        has = await labels.has_label(call.archive, level, public_id, label, call.caller)
        # That it has not is an answer and no error: nothing to read, nothing to log.
        return Response(None, 200, media_type=TEXT) if has else Response(None, 404)

    return handle


def putter(level: str) -> Handler:
    """Return the handler that gives a resource a label."""

    async def handle(call: Call) -> Response:
        public_id, label = call.path("id"), call.path("label")
        await labels.put_label(call.archive, level, public_id, label, call.caller)
        return Response(None, media_type=TEXT)

    return handle


def deleter(level: str) -> Handler:
    """Return the handler that takes a label from a resource."""

    async def handle(call: Call) -> Response:
        public_id, label = call.path("id"), call.path("label")
        await labels.take_label(call.archive, level, public_id, label, call.caller)
        return Response(None, media_type=TEXT)

    return handle


async def everywhere(call: Call) -> Response:
    """Return the labels that resources have."""
    return json_response(await labels.all_labels(call.archive, call.caller))
