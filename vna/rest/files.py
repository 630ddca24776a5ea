"""Stored files as answers: whole, by range, only if changed, with back-pressure."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Protocol
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from vna.errors import PreconditionFailed, RangeNotSatisfiable
from vna.rest.errors import error_response
from vna.rest.requests import Call, parse_range
from vna.services.archive import CHUNK_BYTES, Readable, StoredFile

# Up to here one read and one message; above, the client's pace decides how much is in memory.
WHOLE_BYTES = 4 * CHUNK_BYTES


class Made(Protocol):
    """A file that is made while it is read, from its beginning to its end."""

    async def read(self, length: int) -> bytes:
        """Read on; fewer bytes than `length` only at the end."""


UNQUOTABLE = re.compile(r'[^ -~]|["\\]')
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def content_disposition(name: str) -> str:
    """Return the header for a file name; what could end the quoted string is left out.

    A name with other characters is given once more in the form that takes them (RFC 6266 §4.3).
    """
    plain = f'filename="{UNQUOTABLE.sub("", name)}"'
    if name.isascii():
        return plain
    return f"{plain}; filename*=UTF-8''{quote(CONTROL.sub('', name), safe='')}"


def matches(condition: str, etag: str, *, weakly: bool) -> bool:
    """Whether the list of a condition names `etag`: `weakly` for If-None-Match (RFC 9110 §13.1)."""
    named = [part.strip() for part in condition.split(",")]
    if weakly:
        named = [part.removeprefix("W/") for part in named]
        etag = etag.removeprefix("W/")
    else:  # a weak tag is none of those that name the same bytes
        named = [part for part in named if not part.startswith("W/")]
    return "*" in named or etag in named


def is_known(call: Call, etag: str) -> bool:
    """Whether the client has the file already; PreconditionFailed if it insists on another one."""
    # In the order of RFC 9110 §13.2.2.
    condition = call.request.headers.get("if-match")
    if condition is not None and not matches(condition, etag, weakly=False):
        raise PreconditionFailed(f"If-Match: {condition[:200]}; the file has {etag}")
    condition = call.request.headers.get("if-none-match")
    return condition is not None and matches(condition, etag, weakly=True)


async def file_response(
    call: Call, file: Readable, media_type: str, name: str | None = None
) -> Response:
    """Return the answer to a GET or HEAD of a stored file, or of a part of one."""
    headers = call.request.headers
    etag = f'"{file.digest}"'
    answer = {"Accept-Ranges": "bytes", "ETag": etag}
    if name is not None:
        answer["Content-Disposition"] = content_disposition(name)
    method, path = call.request.method, call.request.scope["path"]
    if is_known(call, etag):
        return Response(None, 304, headers=answer)

    first, end, status = 0, file.size, 200
    # If-Range: a range of what the client has already, or the whole of what is there now. Only GET
    # has ranges (RFC 9110 §14.2).
    if method == "GET" and headers.get("if-range", etag) == etag:
        try:
            part = parse_range(headers.get("range"), file.size)
        except RangeNotSatisfiable as error:
            refusal = error_response(error, method, path)
            refusal.headers["Content-Range"] = f"bytes */{file.size}"
            return refusal
        if part is not None:
            first, end = part
            status = 206
            answer["Content-Range"] = f"bytes {first}-{end - 1}/{file.size}"

    length = end - first
    answer["Content-Length"] = str(length)
    if method == "HEAD":
        return Response(None, status, headers=answer, media_type=media_type)
    if length <= WHOLE_BYTES:
        body = await file.read(first, length)
        return Response(body, status, headers=answer, media_type=media_type)
    return StreamingResponse(
        pieces(file, first, end), status, headers=answer, media_type=media_type
    )


async def pieces(file: Readable, first: int, end: int) -> AsyncIterator[bytes]:
    """Yield bytes `first` to `end`. The next piece is read when the server took the last one."""
    for offset in range(first, end, CHUNK_BYTES):
        yield await file.read(offset, min(CHUNK_BYTES, end - offset))


async def transcoded_response(
    call: Call,
    file: StoredFile,
    transfer_syntax_uid: str,
    media_type: str,
    name: str,
    lossy_quality: int,
) -> Response:
    """Return the answer to a GET or HEAD of a stored file in another transfer syntax.

    It has no ranges: it is written while it leaves. Its tag is weak, because what means the same
    may be written in other bytes by a later version.
    """
    etag = f'W/"{file.digest}.{transfer_syntax_uid}.{lossy_quality}"'
    answer = {
        "Accept-Ranges": "none",
        "Content-Disposition": content_disposition(name),
        "ETag": etag,
    }
    if is_known(call, etag):
        return Response(None, 304, headers=answer)
    # Who names a lossy transfer syntax asks for the instance that comes of it.
    options = {"quality": lossy_quality, "allow_new_uid": True}
    transcoded = await file.transcode(transfer_syntax_uid, options, call.is_gone)
    if transcoded.length is not None:
        answer["Content-Length"] = str(transcoded.length)
    if call.request.method == "HEAD":
        head = Response(None, headers=answer, media_type=media_type)
        if transcoded.length is None:
            del head.headers["Content-Length"]  # it is not 0, but not known
        return head
    return StreamingResponse(written(transcoded), headers=answer, media_type=media_type)


async def written(file: Made) -> AsyncIterator[bytes]:
    """Yield all of a file. The next piece is written when the server took the last one."""
    while piece := await file.read(CHUNK_BYTES):
        yield piece
