"""Answers that the core writes: conditions, ranges and headers of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from vna.errors import NotFound, RangeNotSatisfiable
from vna.rest.dicomweb.negotiation import MULTIPART
from vna.rest.errors import error_response
from vna.rest.files import has_range, is_known, last_modified
from vna.rest.requests import parse_range
from vna.rest.server import STREAM

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from vna.rest.requests import Call
    from vna.services.web import AnswerStream, Selection, Wanted


async def answer(
    call: Call,
    selection: Selection,
    wanted: Wanted,
    media_type: str,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return an answer: whole, by range, only if it changed, as a body of parts or one thing.

    `media_type` is that of the parts or of the one thing. Raises NotFound if it would have no part.
    """
    etag, boundary = selection.outline(wanted)
    modified_s = selection.facts.modified_s
    told = {"ETag": etag, **last_modified(modified_s), "Vary": "Accept, Accept-Encoding"}
    told |= headers or {}
    if wanted.gzip:
        told["Content-Encoding"] = "gzip"
    if is_known(call, etag, modified_s):
        return Response(None, 304, headers=told)
    stream = await selection.prepare(wanted)
    try:
        if stream.is_empty:
            what = str(wanted.what).replace("_", " ")
            raise NotFound(f"there is no {what} in it", "dicomweb.not_found")
        if boundary is not None:
            media_type = f'{MULTIPART}; type="{media_type}"; boundary={boundary}'
        told["Content-Type"] = media_type
        length = stream.length
        # What is written anew may come out otherwise: no ranges of it.
        has_ranges = wanted.what != "metadata" and not etag.startswith("W/")
        if length is not None and has_ranges and status == 200:
            told["Accept-Ranges"] = "bytes"
            try:
                part = asked_range(call, etag, modified_s, length)
            except RangeNotSatisfiable as error:
                stream.close()
                refusal = error_response(error, call.request.method, call.request.scope["path"])
                refusal.headers["Content-Range"] = f"bytes */{length}"
                return refusal
            if part is not None:
                first, end = part
                status, told["Content-Range"] = 206, f"bytes {first}-{end - 1}/{length}"
                await stream.restrict(first, end)
                length = end - first
        if length is not None:
            told["Content-Length"] = str(length)
        if call.request.method == "HEAD":
            stream.close()
            head = Response(None, status, headers=told)
            if length is None:
                del head.headers["Content-Length"]  # it is not 0, but not known
            return head
        return AnswerResponse(stream, status, told)
    except BaseException:
        stream.close()
        raise


def asked_range(
    call: Call, etag: str, modified_s: int | None, length: int
) -> tuple[int, int] | None:
    """Return the first byte and the one behind the last that are asked for; None: all.

    Raises RangeNotSatisfiable.
    """
    if not has_range(call, etag, modified_s):
        return None
    return parse_range(call.request.headers.get("range"), length)


def takes_gzip(call: Call) -> bool:
    """Whether the client takes an answer compressed with gzip (RFC 9110 §12.5.3)."""
    for coding in call.request.headers.get("accept-encoding", "").split(","):
        name, *parameters = (each.strip().lower() for each in coding.split(";"))
        if name in ("gzip", "x-gzip"):
            return not any(each.replace(" ", "") in REFUSED for each in parameters)
    return False


REFUSED = frozenset({"q=0", "q=0.0", "q=0.00", "q=0.000"})


class AnswerResponse(StreamingResponse):
    """An answer, sent by the core where the server lets it."""

    def __init__(self, stream: AnswerStream, status: int, headers: dict[str, str]):
        super().__init__(pieces(stream), status, headers=headers)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            if STREAM not in scope.get("extensions", {}):
                await super().__call__(scope, receive, send)
                return
            start = {"type": "http.response.start", "status": self.status_code}
            await send({**start, "headers": self.raw_headers})
            await send({"type": STREAM, "stream": self._stream})
        finally:
            self._stream.close()


async def pieces(stream: AnswerStream) -> AsyncIterator[bytes]:
    """Yield an answer. The next piece is asked for when the server took the last one."""
    while piece := await stream.read():
        yield piece
