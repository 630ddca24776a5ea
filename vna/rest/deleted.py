"""What was deleted: its list, bringing it back, erasing it; packs compacted and recompressed."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.responses import Response

from vna.errors import BadRequest
from vna.rest.answers import json_response
from vna.rest.requests import Call
from vna.services import upkeep


class Resources(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /tools/undelete`."""

    ids: list[str] = msgspec.field(name="Resources")


class Erasure(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /tools/erase`: resources, or all that was deleted."""

    ids: list[str] | None = msgspec.field(name="Resources", default=None)
    all_: bool = msgspec.field(name="All", default=False)


class Compaction(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /tools/compact`; may be empty."""

    below_percent: int = msgspec.field(name="BelowPercent", default=100)


async def deleted(call: Call) -> Response:
    """Return what was deleted and can be brought back, the last deletion first."""
    since, limit = call.number("since", 0), call.number("limit", 0)
    return json_response(await upkeep.deleted(call.archive, since or 0, limit or 0, call.caller))


async def undelete(call: Call) -> Response:
    """Bring back what was deleted of the resources in the body."""
    wanted = await read(call, Resources)
    return json_response(await upkeep.undelete(call.archive, wanted.ids, call.caller))


async def erase(call: Call) -> Response:
    """Erase what was deleted of the resources in the body, or all of it."""
    wanted = await read(call, Erasure)
    if wanted.all_ == (wanted.ids is not None):
        raise BadRequest('the body takes either "Resources", a list of ids, or "All": true')
    return json_response(await upkeep.erase(call.archive, wanted.ids, call.caller))


async def compact(call: Call) -> Response:
    """Rewrite packs without their dead bytes."""
    wanted = await read(call, Compaction)
    if not 0 < wanted.below_percent <= 100:
        raise BadRequest(f"BelowPercent is {wanted.below_percent}; it takes 1 to 100")
    return json_response(await upkeep.compact(call.archive, wanted.below_percent, call.caller))


async def recompress(call: Call) -> Response:
    """Recompress stored objects, one pack of them at most."""
    wanted = await read(call, upkeep.Recompression)
    step = await upkeep.recompress(call.archive, call.node.control, wanted, call.caller)
    return json_response(step)


async def history(call: Call) -> Response:
    """Return which recompressions gave originals up, and what took their place."""
    return json_response(await upkeep.history(call.archive, call.node.control))


T = TypeVar("T")


async def read(call: Call, form: type[T]) -> T:
    """Return the JSON body as `form`; an empty one counts as an object without members."""
    with call.budget.account() as account:
        body = await call.body(account)
        try:
            return msgspec.json.decode(body or b"{}", type=form)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"the body is not what this takes: {error}") from None
