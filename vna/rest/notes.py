"""Metadata, attachments and protection of resources, as clients of Orthanc use them.

A revision is an ETag `"number-md5"`. Who changes something names the one that he has seen with
If-Match; 304 is for exactly the one that If-None-Match names.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from vna.errors import BadBody, BadRequest, NotFound, OutOfRange, RangeNotSatisfiable
from vna.rest.answers import json_response
from vna.rest.describe import BYTES, DICOM, JSON, TEXT
from vna.rest.files import WHOLE_BYTES, content_disposition
from vna.rest.requests import Call, check_announced_length, decoded, is_number, paced
from vna.services import notes
from vna.services.archive import CHUNK_BYTES

if TYPE_CHECKING:
    from vna.services.notes import Attachment, Revision

OPERATIONS = [
    "compress",
    "compressed-data",
    "compressed-md5",
    "compressed-size",
    "data",
    "info",
    "is-compressed",
    "md5",
    "size",
    "uncompress",
    "verify-md5",
]
# The type of the file of an instance.
DICOM_FILE = 1
MAX_PROTECTED_BYTES = 64
MAX_METADATA_BYTES = 16 << 20  # as the core has it
YES_OR_NO = {b"0": False, b"1": True, b"false": False, b"true": True}


def resource(call: Call, level: str) -> notes.Resource:
    """Return the resource that the path names."""
    return notes.Resource(call.archive, level, call.path("id"), call.caller)


def named(call: Call, header: str) -> Revision | None:
    """Return the revision that a header names; raises OutOfRange if it names none."""
    text = call.request.headers.get(header)
    if text is None:
        return None
    number, dash, md5 = text.strip().removeprefix('"').removesuffix('"').partition("-")
    if not dash or not is_number(number):
        raise OutOfRange(f'{header} is {text[:100]!r}; it takes an ETag as "number-md5"')
    return notes.Revision(int(number), md5)


def etag(revision: Revision) -> dict[str, str]:
    """Return the header that tells a revision."""
    return {"ETag": f'"{revision.number}-{revision.md5}"'}


def known(call: Call, revision: Revision) -> Response | None:
    """Return the answer to who has this revision already."""
    if named(call, "If-None-Match") == revision:
        return Response(None, 304, headers=etag(revision))
    return None


async def metadata_value(call: Call, level: str) -> Response:
    """Return one value of the metadata of a resource."""
    try:
        revision, value = await notes.metadata(resource(call, level), call.path("name"))
    except NotFound as error:
        if error.code != "not_found.note":
            raise
        return Response(None, 404)  # an answer and no error, as for labels
    headers = etag(revision)
    return known(call, revision) or Response(value, headers=headers, media_type=TEXT)


async def put_metadata(call: Call, level: str) -> Response:
    """Give a resource metadata."""
    seen = named(call, "If-Match")
    with call.budget.account() as account:
        value = await call.body(account, MAX_METADATA_BYTES)
        of = resource(call, level)
        revision = await notes.put_metadata(of, call.path("name"), value, seen)
    return Response(None, headers=etag(revision), media_type=TEXT)


async def delete_metadata(call: Call, level: str) -> Response:
    """Take metadata from a resource."""
    seen = named(call, "If-Match")
    await notes.delete_metadata(resource(call, level), call.path("name"), seen)
    return Response(None, media_type=TEXT)


async def protected(call: Call, level: str) -> Response:
    """Return whether a patient is protected from recycling."""
    try:
        found = await notes.is_protected(call.archive, call.path("id"), call.caller)
    except NotFound as error:
        raise OutOfRange(str(error)) from None  # so clients know it
    return Response(b"1" if found else b"0", media_type=TEXT)


async def protect(call: Call, level: str) -> Response:
    """Protect a patient from recycling, or not."""
    with call.budget.account() as account:
        body = (await call.body(account, MAX_PROTECTED_BYTES)).strip()
    if body not in YES_OR_NO:
        raise BadBody("the body says whether the patient is protected: 0 or 1, false or true")
    try:
        await notes.protect(call.archive, call.path("id"), YES_OR_NO[body], call.caller)
    except NotFound as error:
        raise OutOfRange(str(error)) from None
    return Response(None, media_type=TEXT)


async def attachments(call: Call, level: str) -> Response:
    """Return which attachments a resource has."""
    found = await notes.attachments(resource(call, level))
    if call.flag("full"):
        return json_response(msgspec.json.encode({name: number for number, name in found}))
    return json_response(msgspec.json.encode([name for _, name in found]))


async def operations(call: Call, level: str) -> Response:
    """Return what can be asked of an attachment."""
    found = await notes.attachment(resource(call, level), call.path("name"))
    told = msgspec.json.encode(OPERATIONS)
    return known(call, found.revision) or Response(
        told, headers=etag(found.revision), media_type=JSON
    )


async def info(call: Call, level: str) -> Response:
    """Return sizes and sums of an attachment."""
    found = await notes.attachment(resource(call, level), call.path("name"))
    told = msgspec.json.encode(found.info)
    return known(call, found.revision) or Response(
        told, headers=etag(found.revision), media_type=JSON
    )


async def fact(call: Call, level: str, name: str) -> Response:
    """Return one of the sizes or sums of an attachment, or whether it is compressed."""
    found = await notes.attachment(resource(call, level), call.path("name"))
    facts = {
        "size": found.info["UncompressedSize"],
        "md5": found.info["UncompressedMD5"],
        "compressed-size": found.info["CompressedSize"],
        "compressed-md5": found.info["CompressedMD5"],
        "is-compressed": int(found.is_compressed),
    }
    return known(call, found.revision) or Response(
        str(facts[name]), headers=etag(found.revision), media_type=TEXT
    )


async def data(call: Call, level: str, stored: bool = False) -> Response:
    """Return the bytes of an attachment as they are, or as they are `stored`; or a part of them."""
    found = await notes.attachment(resource(call, level), call.path("name"))
    if answer := known(call, found.revision):
        return answer
    size = found.size(stored)
    headers = etag(found.revision)
    is_packed = stored and found.is_compressed
    media_type = BYTES
    if found.info["ContentType"] == DICOM_FILE and not is_packed:
        media_type = DICOM
    part = byte_range(call.request.headers.get("range"), size)
    first, end = part or (0, size)
    if part is not None:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        media_type = BYTES
    else:
        name = call.request.query_params.get("filename")
        if name is None and not is_packed:
            name = found.info["Uuid"]
        if name is not None:
            headers["Content-Disposition"] = content_disposition(name)
    status = 200 if part is None else 206
    headers["Content-Length"] = str(end - first)
    if call.request.method == "HEAD":
        return Response(None, status, headers=headers, media_type=media_type)
    if end - first <= WHOLE_BYTES:
        body = await found.read(first, end - first, stored)
        return Response(body, status, headers=headers, media_type=media_type)
    body_parts = pieces(found, first, end, stored)
    return StreamingResponse(body_parts, status, headers=headers, media_type=media_type)


async def pieces(found: Attachment, first: int, end: int, stored: bool) -> AsyncIterator[bytes]:
    """Yield bytes `first` to `end`. The next piece is read when the server took the last one."""
    for offset in range(first, end, CHUNK_BYTES):
        yield await found.read(offset, min(CHUNK_BYTES, end - offset), stored)


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return (first, end) of a range as Orthanc reads it, or None for the whole.

    That is not RFC 9110: `bytes=-N` is from 0 to N, `bytes=-` is everything, what is no number is
    as if it were not there, and what cannot be satisfied exactly is refused.
    """
    if header is None:
        return None
    found = re.fullmatch(r"bytes=([^-]*)-([^-]*)", header)
    if found is None:
        raise RangeNotSatisfiable(f"Range is {header[:100]!r}; it takes bytes=FIRST-LAST")
    first_text, last_text = (text.strip() for text in found.groups())
    first = int(first_text) if is_number(first_text) else 0
    last = int(last_text) if is_number(last_text) else size - 1
    if not first <= last < size:
        raise RangeNotSatisfiable(f"range {header[:100]} is not one of the {size} bytes there are")
    return first, last + 1


async def put_attachment(call: Call, level: str) -> Response:
    """Attach something to a resource."""
    seen = named(call, "If-Match")
    limit = call.archive.settings.uploads.max_object_bytes
    check_announced_length(call.request, limit, "uploads.max_object_bytes")
    new = await notes.new_attachment(resource(call, level), call.path("name"), seen)
    encoding = call.request.headers.get("content-encoding", "identity").strip().lower()
    size = 0
    with call.budget.account() as account:
        stream = paced(call.request.stream(), call.archive.settings.http.body_timeout_s)
        try:
            async for chunk in decoded(stream, encoding):
                size += len(chunk)
                if size > limit:
                    raise OutOfRange(f"body is over {limit} bytes (uploads.max_object_bytes)")
                # The core holds no more than that: the rest is on the disk.
                account.hold(min(len(chunk), new.max_held_bytes - account.held))
                await new.push(chunk)
        except ClientDisconnect:
            raise BadRequest(f"the client went away after {size} bytes of the body") from None
        revision = await new.finish()
    return Response(b"{}", headers=etag(revision), media_type=JSON)


async def delete_attachment(call: Call, level: str) -> Response:
    """Take an attachment from a resource."""
    seen = named(call, "If-Match")
    await notes.delete_attachment(resource(call, level), call.path("name"), seen)
    return Response(None, media_type=TEXT)


async def verify(call: Call, level: str) -> Response:
    """Compare an attachment with its MD5."""
    await notes.verify(resource(call, level), call.path("name"))
    return json_response(b"{}")


async def recompress(call: Call, level: str, compressed: bool) -> Response:
    """Store an attachment compressed or plain."""
    await notes.recompress(resource(call, level), call.path("name"), compressed)
    return json_response(b"{}")
