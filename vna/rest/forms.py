"""Textual forms of what is stored, and places in it: tags, modules, content, DICOM JSON and XML."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from vna.errors import BadParameter, NotAcceptable, NotFound
from vna.rest.accept import preferred
from vna.rest.answers import json_response
from vna.rest.describe import BYTES, DICOM, DICOM_JSON, DICOM_XML, JSON
from vna.rest.files import file_response, transcoded_response
from vna.rest.requests import Call, Handler
from vna.services.archive import ListOptions, Readable, TagsRequest

UID = re.compile(r"[0-9.]{1,64}")  # PS3.5 §9.1
DEFAULT_LOSSY_QUALITY = 90  # as Orthanc has it
MODELS = {DICOM_JSON: "json", DICOM_XML: "xml"}


def asked(call: Call, of: str, form: str | None = None) -> TagsRequest:
    """Return what the query says of the tags that are wanted."""
    if form is None:
        form = "simplified" if call.flag("simplify") else "short" if call.flag("short") else "full"
    return TagsRequest(
        of=of, form=form, ignore_length=call.tags("ignore-length"), whole=call.flag("whole")
    )


async def tags(call: Call) -> Response:
    """Return the tags of an instance, by number with name and type, or as the query says."""
    request = asked(call, "DataSet")
    return json_response(
        await call.archive.tags("instances", call.path("id"), request, call.caller)
    )


async def simple(call: Call) -> Response:
    """Return the tags of an instance by name."""
    request = asked(call, "DataSet", "simplified")
    return json_response(
        await call.archive.tags("instances", call.path("id"), request, call.caller)
    )


async def header(call: Call) -> Response:
    """Return the File Meta Information of an instance."""
    request = asked(call, "Header")
    return json_response(
        await call.archive.tags("instances", call.path("id"), request, call.caller)
    )


def some(level: str, of: str) -> Handler:
    """Return the handler for the tags of a module, or for those that instances share."""

    async def handle(call: Call) -> Response:
        return json_response(
            await call.archive.tags(level, call.path("id"), asked(call, of), call.caller)
        )

    return handle


def each(level: str) -> Handler:
    """Return the handler for the tags of every instance below a resource."""

    async def handle(call: Call) -> Response:
        request = asked(call, "DataSet")
        listed = await call.archive.related(
            level, call.path("id"), "instances", ListOptions(), call.caller
        )
        return StreamingResponse(tags_by_id(call, json.loads(listed), request), media_type=JSON)

    return handle


async def tags_by_id(call: Call, ids: list[str], request: TagsRequest) -> AsyncIterator[bytes]:
    """Yield an object with the tags of each instance; the next is read when the last was taken."""
    opening = "{"
    for public_id in ids:
        try:
            found = await call.archive.tags("instances", public_id, request, call.caller)
        except NotFound:
            continue  # deleted meanwhile
        yield f'{opening}"{public_id}":'.encode() + found
        opening = ","
    yield b"{}" if opening == "{" else b"}"


async def file(call: Call) -> Response:
    """Return an instance as it was received, in another transfer syntax, or as JSON or XML."""
    public_id = call.path("id")
    accept = call.request.headers.get("accept", "*/*")
    # Who asks for none of them, a browser for example, gets the file.
    form = preferred(accept, (DICOM, DICOM_JSON, DICOM_XML))
    if form in MODELS:
        # Relative to this route, so that it is right behind any proxy.
        above = "../" if call.request.scope["path"].endswith("/") else ""
        body = await call.archive.model(public_id, MODELS[form], f"{above}bulk", call.caller)
        return Response(body, media_type=form)
    name = call.request.query_params.get("filename") or f"{public_id}.dcm"
    stored = call.archive.open_file(public_id, call.caller)
    transfer_syntax_uid = call.request.query_params.get("transcode", stored.transfer_syntax_uid)
    if transfer_syntax_uid == stored.transfer_syntax_uid:
        return await file_response(call, stored, DICOM, name)
    if not UID.fullmatch(transfer_syntax_uid):
        raise BadParameter(f"parameter transcode is {transfer_syntax_uid!r}; it takes a UID")
    quality = lossy_quality(call)
    return await transcoded_response(call, stored, transfer_syntax_uid, DICOM, name, quality)


def lossy_quality(call: Call) -> int:
    """Return the quality that JPEG with loss is asked for in."""
    asked_for = call.request.query_params.get("lossy-quality")
    if asked_for is None:
        return DEFAULT_LOSSY_QUALITY
    if asked_for.isascii() and asked_for.isdigit() and 1 <= int(asked_for[:4]) <= 100:
        return int(asked_for)
    raise BadParameter(f"parameter lossy-quality is {asked_for[:20]!r}; it goes from 1 to 100")


async def content(call: Call) -> Response:
    """Return what is at a place of the data set: what is below it, or its value as it is stored."""
    path = call.path_or("path", "")
    found = await call.archive.open_file(call.path("id"), call.caller).locate(path)
    if isinstance(found, list):
        return json_response(json.dumps(found).encode())
    return await value_response(call, found, path)


async def bulk(call: Call) -> Response:
    """Return the value that a BulkDataURI of DICOM JSON or XML stands for."""
    path = call.path("path")
    found = await call.archive.open_file(call.path("id"), call.caller).locate(path, pixels=True)
    if isinstance(found, list):
        raise NotAcceptable(
            f"{path} is no single value; /instances/.../content/{path}/... gives its parts"
        )
    return await value_response(call, found, path)


async def value_response(call: Call, value: Readable | None, path: str) -> Response:
    """Return the answer for a value."""
    if value is None:
        raise NotFound(f"the data set has no {path[:200]}", "content.unknown")
    return await file_response(call, value, BYTES)
