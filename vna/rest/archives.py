"""ZIP archives and media: answers that the core writes, or jobs that leave a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from msgspec import field
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from vna.errors import BadRequest
from vna.rest.files import content_disposition
from vna.rest.forms import DEFAULT_LOSSY_QUALITY, lossy_quality
from vna.rest.job_bodies import JobBody, answer_job
from vna.rest.remote_bodies import as_form, parsed, read_text
from vna.rest.requests import Call, Handler
from vna.rest.server import STREAM
from vna.services.archives import ZIP, ArchiveRequest, ArchiveStream, open_archive

DEFAULT_NAME = "Archive.zip"


class ArchiveBody(JobBody, kw_only=True):
    """How an archive is wanted."""

    transcode: str | None = field(name="Transcode", default=None)
    lossy_quality: int = field(name="LossyQuality", default=DEFAULT_LOSSY_QUALITY)
    filename: str | None = field(name="Filename", default=None)
    utf8: bool | None = field(name="Utf8", default=None)
    extended: bool = field(name="Extended", default=False)


class ResourcesBody(ArchiveBody, kw_only=True):
    """What an archive is to hold, and how."""

    resources: list[str] = field(name="Resources")


def getter(level: str, media: bool) -> Handler:
    """Return the handler of GET for an archive of one resource."""

    async def get(call: Call) -> Response:
        request = asked(call, [call.path("id")], media, level=level)
        return await streamed(call, request, filename_of(call, f"{call.path('id')}.zip"))

    return get


def poster(level: str, media: bool) -> Handler:
    """Return the handler of POST for an archive of one resource."""

    async def post(call: Call) -> Response:
        value = parsed(await read_text(call))
        # A list has no switches: Orthanc lets any pass.
        body = as_form({} if isinstance(value, list) else value, ArchiveBody)
        public_id = call.path("id")
        request = wanted(body, [public_id], media, level=level)
        return await made(call, body, request, body.filename or f"{public_id}.zip")

    return post


def resources_getter(media: bool, extended: bool = False) -> Handler:
    """Return the handler of GET for an archive of resources of any level."""

    async def get(call: Call) -> Response:
        named = call.request.query_params.get("resources")
        if named is None:
            raise BadRequest("parameter resources is missing: ids with commas between them")
        resources = [one for one in named.split(",") if one]
        request = asked(call, resources, media, extended=extended)
        return await streamed(call, request, filename_of(call, DEFAULT_NAME))

    return get


def resources_poster(media: bool, extended: bool = False) -> Handler:
    """Return the handler of POST for an archive of resources of any level."""

    async def post(call: Call) -> Response:
        value = parsed(await read_text(call))
        named = {"Resources": value} if isinstance(value, list) else value
        if isinstance(named, dict) and extended:
            named = {"Extended": True, **named}
        body = as_form(named, ResourcesBody)
        request = wanted(body, body.resources, media)
        return await made(call, body, request, body.filename or DEFAULT_NAME)

    return post


def asked(
    call: Call,
    resources: list[str],
    media: bool,
    *,
    level: str | None = None,
    extended: bool = False,
) -> ArchiveRequest:
    """Return what the query says of an archive."""
    query = call.request.query_params
    return ArchiveRequest(
        resources=resources,
        level=level,
        media=media,
        extended=call.flag("extended", extended),
        utf8=call.flag("utf8") if "utf8" in query else None,
        transcode=query.get("transcode"),
        lossy_quality=lossy_quality(call),
    )


def wanted(
    body: ArchiveBody, resources: list[str], media: bool, *, level: str | None = None
) -> ArchiveRequest:
    """Return what a body says of an archive."""
    return ArchiveRequest(
        resources=resources,
        level=level,
        media=media,
        extended=body.extended,
        utf8=body.utf8,
        transcode=body.transcode,
        lossy_quality=body.lossy_quality,
    )


def filename_of(call: Call, otherwise: str) -> str:
    """Return the name that the client wants the file to have."""
    return call.request.query_params.get("filename") or otherwise


async def made(call: Call, body: ArchiveBody, request: ArchiveRequest, filename: str) -> Response:
    """Return an archive, or the job that makes it."""
    if body.waits():
        return await streamed(call, request, filename)
    # What is not there is told now and not by the job.
    (await open_archive(call.archive, request, call.caller)).close()
    content = {"Request": msgspec.to_builtins(request), "Filename": filename}
    kind = "Media" if request.media else "Archive"
    show: dict[str, Any] = {"Description": "REST API"}
    return await answer_job(call, body, kind, content, show=show)


async def streamed(call: Call, request: ArchiveRequest, filename: str) -> Response:
    """Return an archive as it is made."""
    stream = await open_archive(call.archive, request, call.caller)
    headers = {"Content-Disposition": content_disposition(filename)}
    if call.request.method == "HEAD":
        stream.close()
        head = Response(None, headers=headers, media_type=ZIP)
        del head.headers["Content-Length"]  # it is not 0, but not known
        return head
    return ArchiveResponse(stream, headers)


class ArchiveResponse(StreamingResponse):
    """An archive as an answer, sent by the core where the server lets it."""

    def __init__(self, stream: ArchiveStream, headers: dict[str, str]):
        super().__init__(pieces(stream), headers=headers, media_type=ZIP)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            if STREAM not in scope.get("extensions", {}):
                await super().__call__(scope, receive, send)
                return
            head: Sequence[tuple[bytes, bytes]] = self.raw_headers
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await send({"type": STREAM, "stream": self._stream})
        finally:
            self._stream.close()


async def pieces(stream: ArchiveStream) -> AsyncIterator[bytes]:
    """Yield an archive. The next piece is asked for when the server took the last one."""
    while piece := await stream.read():
        yield piece
