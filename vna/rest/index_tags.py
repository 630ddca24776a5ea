"""What the index keeps: many resources at once, tags beside the usual ones, rows anew."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from vna.errors import BadParameter
from vna.rest.answers import json_response
from vna.rest.deleted import read
from vna.rest.find import MAX_REQUEST_BYTES
from vna.rest.requests import Call
from vna.services import index_tags, query


class Reconstruction(msgspec.Struct):
    """The body of `POST /{level}/{id}/reconstruct`; may be empty."""

    # Files are never changed behind the back of who sent them: there is nothing to do to them.
    reconstruct_files: bool = msgspec.field(name="ReconstructFiles", default=False)
    only_this: bool = msgspec.field(name="LimitToThisLevelMainDicomTags", default=False)


class NewTag(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /tools/index-tags`."""

    tag: str = msgspec.field(name="Tag")
    level: str | None = msgspec.field(name="Level", default=None)


async def bulk_content(call: Call) -> Response:
    """Return resources of any level by their ids."""
    with call.budget.account() as account:
        body = await call.body(account, MAX_REQUEST_BYTES)
        return json_response(await query.bulk_content_json(call.archive, body, call.caller))


async def clear_changes(call: Call) -> Response:
    """Clear the change feed."""
    await query.clear_changes(call.archive, call.caller)
    return Response(b"", media_type="text/plain")


async def reconstruct(call: Call, level: str) -> Response:
    """Read the tags of a resource from its files again."""
    wanted = await read(call, Reconstruction)
    public_id = call.path("id")
    await index_tags.reconstruct(call.archive, level, public_id, call.caller, wanted.only_this)
    return Response(b"", media_type="text/plain")


async def reconstruct_all(call: Call) -> Response:
    """Read the tags of all resources from files again."""
    await read(call, Reconstruction)
    await index_tags.reconstruct_all(call.archive, call.caller)
    return Response(b"", media_type="text/plain")


async def invalidate(call: Call) -> Response:
    """Forget summaries of tags: none are kept, so that there is nothing to do."""
    return Response(b"", media_type="text/plain")


async def listed(call: Call) -> Response:
    """List the tags that are indexed beside the usual ones."""
    return json_response(msgspec.json.encode(await index_tags.listed(call.archive)))


async def add(call: Call) -> Response:
    """Index a tag."""
    wanted = await read(call, NewTag)
    job = await index_tags.add(call.node, wanted.tag, wanted.level, call.caller)
    shown = {"ID": job, "Path": None if job is None else f"/jobs/{job}"}
    return json_response(msgspec.json.encode(shown))


async def remove(call: Call) -> Response:
    """Index a tag no more."""
    parameters = call.request.query_params
    if "tag" not in parameters:
        raise BadParameter("parameter tag is missing: a keyword, or gggg,eeee")
    await index_tags.remove(call.archive, parameters["tag"], parameters.get("level"))
    return Response(b"", media_type="text/plain")
