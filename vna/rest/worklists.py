"""Modality Worklist items over REST, as clients of Orthanc's plugin know them."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from vna.errors import BadRequest, OutOfRange
from vna.rest.answers import json_response
from vna.rest.deleted import read
from vna.rest.requests import Call
from vna.services.named_tags import tags_of
from vna.services.worklist.encoding import decoded
from vna.services.worklist.items import Item

FORMS = {"Simplify": "simplify", "Short": "short", "Full": "full"}


class Created(msgspec.Struct):
    """The body of `POST /worklists/create`."""

    tags: dict[str, Any] = msgspec.field(name="Tags")


class Changed(msgspec.Struct):
    """The body of `PUT /worklists/{id}`."""

    tags: dict[str, Any] | None = msgspec.field(name="Tags", default=None)
    status: str | None = msgspec.field(name="Status", default=None)


async def create(call: Call) -> Response:
    """Add an item."""
    wanted = await read(call, Created)
    item_id = await call.node.worklist.create(wanted.tags, call.caller.tenant)
    return json_response(msgspec.json.encode({"ID": item_id, "Path": f"/worklists/{item_id}"}))


async def list_all(call: Call) -> Response:
    """Return items, whatever their status."""
    form = form_of(call)
    since, limit = call.number("since", 0) or 0, call.number("limit", 0) or 0
    listed = call.node.worklist.all(call.caller.tenant, since, limit)
    found = [shown(item, form) async for item in listed]
    return json_response(msgspec.json.encode(found))


async def get(call: Call) -> Response:
    """Return one item."""
    form = form_of(call)
    item = await call.node.worklist.get(call.path("id"), call.caller.tenant)
    return json_response(msgspec.json.encode(shown(item, form)))


async def change(call: Call) -> Response:
    """Give an item other tags or another status."""
    wanted = await read(call, Changed)
    if wanted.tags is None and wanted.status is None:
        raise BadRequest('the body takes "Tags", "Status" or both')
    item_id = call.path("id")
    await call.node.worklist.change(item_id, wanted.tags, wanted.status, call.caller.tenant)
    return json_response(msgspec.json.encode({"ID": item_id, "Path": f"/worklists/{item_id}"}))


async def delete(call: Call) -> Response:
    """Remove an item, and the worklist file that it came from."""
    await call.node.worklist.delete(call.path("id"), call.caller.tenant)
    return json_response(b"{}")


def form_of(call: Call) -> str:
    """Return the form of tags that is asked for."""
    name = call.request.query_params.get("format", "Simplify")
    if name not in FORMS:
        raise OutOfRange(f"format is {name!r}; it takes {', '.join(FORMS)}")
    return FORMS[name]


def shown(item: Item, form: str) -> dict[str, Any]:
    """Return an item as clients see it."""
    fields = {"ID": item.id, "Status": item.status, "Tags": tags_of(decoded(item.data_set), form)}
    return fields if item.file is None else fields | {"File": item.file}
