"""Deletion of many resources at once: `POST /tools/bulk-delete`."""

from __future__ import annotations

from typing import Literal

import msgspec
from starlette.responses import Response

from vna.errors import BadBody, BadRequest
from vna.rest.describe import TEXT
from vna.rest.requests import Call
from vna.services.deleting import delete_all

LEVELS = {"Patient": "patients", "Study": "studies", "Series": "series", "Instance": "instances"}


class Item(msgspec.Struct, frozen=True):
    """A resource whose level the client knows."""

    level: Literal["Patient", "Study", "Series", "Instance"] = msgspec.field(name="Level")
    id: str = msgspec.field(name="ID")


class Wanted(msgspec.Struct, frozen=True):
    """The body."""

    resources: list[str | Item] = msgspec.field(name="Resources")


async def bulk_delete(call: Call) -> Response:
    """Delete the resources in the body, given by id or by level and id."""
    with call.budget.account() as account:
        body = await call.body(account)
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"the body is no JSON: {error}") from None
        if not isinstance(value, dict):
            raise BadRequest("the body is an object with Resources")
        try:
            wanted = msgspec.convert(value, Wanted)
        except msgspec.ValidationError as error:
            raise BadBody(f"the body is not what this takes: {error}") from None
        resources = [
            (None, item) if isinstance(item, str) else (LEVELS[item.level], item.id)
            for item in wanted.resources
        ]
        await delete_all(call.archive, resources, call.caller)
    return Response(None, media_type=TEXT)
