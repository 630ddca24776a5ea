"""Stored files as answers: whole, by range, only if changed, with back-pressure."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
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


def is_known(call: Call, etag: str, modified_s: int | None = None) -> bool:
    """Whether the client has the file already; PreconditionFailed if it insists on another one.

    `modified_s` is the time that Last-Modified tells; what has none has no conditions on it.
    """
    # In the order of RFC 9110 §13.2.2: tags go before times.
    headers = call.request.headers
    if (condition := headers.get("if-match")) is not None:
        if not matches(condition, etag, weakly=False):
            raise PreconditionFailed(f"If-Match: {condition[:200]}; the file has {etag}")
    elif modified_s is not None:
        since = http_date(headers.get("if-unmodified-since"))
        if since is not None and modified_s > since:
            raise PreconditionFailed(f"it was modified after that: {formatdate(modified_s)}")
    if (condition := headers.get("if-none-match")) is not None:
        return matches(condition, etag, weakly=True)
    since = http_date(headers.get("if-modified-since"))
    return modified_s is not None and since is not None and modified_s <= since


def http_date(text: str | None) -> int | None:
    """Return the time that a header tells, in seconds since 1970; None if it is none.

    What is no date is as if it were not there (RFC 9110 §13.1.3).
    """
    try:
        found = parsedate_to_datetime(text or "")
        # The oldest of the three forms names no time zone (RFC 9110 §5.6.7).
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def has_range(call: Call, etag: str, modified_s: int | None = None) -> bool:
    """Whether a Range is of what there is now: `If-Range` names it, or is not there.

    Weak tags name no bytes (RFC 9110 §13.1.5); the times that we tell do, see `modified_s` of the
    core. Only GET has ranges (RFC 9110 §14.2).
    """
    if call.request.method != "GET":
        return False
    condition = call.request.headers.get("if-range")
    if condition is None:
        return True
    if '"' in condition:
        return condition == etag and not etag.startswith("W/")
    return modified_s is not None and http_date(condition) == modified_s


def last_modified(modified_s: int | None) -> dict[str, str]:
    """Return the header that tells when something became what it is, if that is known."""
    return {} if modified_s is None else {"Last-Modified": formatdate(modified_s, usegmt=True)}


async def file_response(
    call: Call,
    file: Readable,
    media_type: str,
    name: str | None = None,
    *,
    modified_s: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer to a GET or HEAD of a stored file, or of a part of one."""
    etag = f'"{file.digest}"'
    answer = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        **last_modified(modified_s),
        **(headers or {}),
    }
    if name is not None:
        answer["Content-Disposition"] = content_disposition(name)
    method, path = call.request.method, call.request.scope["path"]
    if is_known(call, etag, modified_s):
        return Response(None, 304, headers=answer)

    first, end, status = 0, file.size, 200
    if has_range(call, etag, modified_s):
        try:
            part = parse_range(call.request.headers.get("range"), file.size)
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
    *,
    modified_s: int | None = None,
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
        **last_modified(modified_s),
    }
    if is_known(call, etag, modified_s):
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
