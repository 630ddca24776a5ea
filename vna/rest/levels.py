"""The four levels: lists, one resource, its parents and children, its metadata and sizes."""

from __future__ import annotations

from starlette.responses import Response

from vna.errors import BadRequest
from vna.rest.answers import json_response
from vna.rest.requests import Call, Handler
from vna.services.archive import ListOptions

# A path names the level above in the singular, the core every level in the plural.
PLURAL = {"patient": "patients", "study": "studies", "series": "series"}


def options(call: Call, expand: bool) -> ListOptions:
    """Return how the request wants resources to be shown; `expand` is what it gets unasked."""
    query = call.request.query_params
    requested = query.get("requested-tags", query.get("requestedTags", ""))
    content = query.get("response-content")
    return ListOptions(
        expand=call.flag("expand", expand),
        full=call.flag("full"),
        short=call.flag("short"),
        requested_tags=_items(requested),
        response_content=None if content is None else _items(content),
    )


def _items(text: str) -> list[str]:
    return [item for item in (part.strip() for part in text.split(";")) if item]


def lister(level: str) -> Handler:
    """Return the handler that lists a level."""

    async def handle(call: Call) -> Response:
        since, limit = call.number("since"), call.number("limit")
        if (since is None) != (limit is None):
            missing = "since" if since is None else "limit"
            raise BadRequest(f"parameter {missing} is missing: a page needs since and limit")
        shown = options(call, expand=False)
        listed = await call.archive.resources(level, since or 0, limit or 0, shown, call.caller)
        return json_response(listed)

    return handle


def getter(level: str) -> Handler:
    """Return the handler that shows one resource."""

    async def handle(call: Call) -> Response:
        public_id = call.path("id")
        if not call.request.query_params:
            return json_response(call.archive.resource(level, public_id, call.caller))
        shown = options(call, expand=True)
        return json_response(
            await call.archive.related(level, public_id, level, shown, call.caller)
        )

    return handle


def deleter(level: str) -> Handler:
    """Return the handler that deletes a resource and all below it."""

    async def handle(call: Call) -> Response:
        body = await call.archive.delete(level, call.path("id"), call.caller)
        return json_response(body)

    return handle


def parent(level: str, parent_level: str) -> Handler:
    """Return the handler that shows the resource of `parent_level` that one is in."""
    return children(level, PLURAL[parent_level])


def children(level: str, child_level: str) -> Handler:
    """Return the handler that shows what is below a resource; whole unless `expand=false`."""

    async def handle(call: Call) -> Response:
        shown = options(call, expand=True)
        return json_response(
            await call.archive.related(level, call.path("id"), child_level, shown, call.caller)
        )

    return handle


def reconstructor(level: str) -> Handler:
    """Return the handler that reads the tags of a resource from its files again."""

    async def handle(call: Call) -> Response:
        from vna.rest.index_tags import reconstruct

        return await reconstruct(call, level)

    return handle


def statistics(level: str) -> Handler:
    """Return the handler that counts what is below a resource."""

    async def handle(call: Call) -> Response:
        return json_response(
            await call.archive.resource_statistics(level, call.path("id"), call.caller)
        )

    return handle


def metadata(level: str) -> Handler:
    """Return the handler that lists the metadata of a resource."""

    async def handle(call: Call) -> Response:
        expand, numeric = call.flag("expand"), call.flag("numeric")
        return json_response(
            await call.archive.metadata(level, call.path("id"), expand, numeric, call.caller)
        )

    return handle
