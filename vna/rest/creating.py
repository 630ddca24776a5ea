"""New instances of tags, pictures and documents: `POST /tools/create-dicom`."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from vna.errors import BadRequest
from vna.rest.answers import json_response
from vna.rest.requests import Call
from vna.services.creating import Creation, create


class CreateBody(msgspec.Struct, kw_only=True):
    """The body; without `Tags` all of it is tags, as clients of the first hour write it."""

    tags: dict[str, Any] = msgspec.field(name="Tags")
    content: Any = msgspec.field(name="Content", default=None)
    parent: str | None = msgspec.field(name="Parent", default=None)
    private_creator: str = msgspec.field(name="PrivateCreator", default="")
    force: bool = msgspec.field(name="Force", default=False)
    interpret_binary_tags: bool = msgspec.field(name="InterpretBinaryTags", default=True)
    encapsulate: bool = msgspec.field(name="Encapsulate", default=False)


async def create_dicom(call: Call) -> Response:
    """Make instances of what the body has and store them."""
    with call.budget.account() as account:
        body = await call.body(account)
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"the body is no JSON: {error}") from None
        if not isinstance(value, dict):
            raise BadRequest("the body is an object with Tags, and Content and others if wanted")
        if "Tags" not in value:
            content = value.pop("PixelData", None)
            value = {"Tags": value, "Content": content, "Force": True}
        try:
            wanted = msgspec.convert(value, CreateBody)
        except msgspec.ValidationError as error:
            raise BadRequest(f"the body is not what this takes: {error}") from None
        creation = Creation(**msgspec.structs.asdict(wanted))
        made = await create(call.archive, creation, call.caller, account.hold)
    return json_response(msgspec.json.encode(made))
