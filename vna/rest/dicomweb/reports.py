"""Structured reports as documents that people read (PS3.18 §8.7.4): HTML, plain text, XML."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from vna.errors import NotAcceptable, NotFound, UnsupportedImage
from vna.rest.dicomweb.bulkdata import SANDBOX
from vna.rest.dicomweb.negotiation import MULTIPART, Offer, require
from vna.rest.dicomweb.rendered import REPORTS, chained, not_shown
from vna.rest.dicomweb.urls import retrieve_url, service_root
from vna.rest.files import is_known, last_modified
from vna.rest.pictures import etag
from vna.services import pictures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from vna.rest.dicomweb.rendered import Placed
    from vna.rest.dicomweb.targets import Target
    from vna.rest.requests import Call
    from vna.services.archive import StoredFile
    from vna.services.pictures import DocumentForm

FORMS: dict[str, DocumentForm] = {"text/html": "html", "text/plain": "text", "text/xml": "xml"}


async def report_response(call: Call, file: StoredFile, media_type: str) -> Response:
    """Return the answer with a report as a document.

    Raises NotAcceptable if it cannot be one.
    """
    root = service_root(call)
    tag = etag(file.digest, media_type, root)
    headers = {"ETag": tag, **last_modified(file.modified_s), "Vary": "Accept"}
    if is_known(call, tag, file.modified_s):
        return Response(None, 304, headers=headers)
    # Nothing of a report is more than text; if it were, no script would run all the same.
    headers["Content-Security-Policy"] = SANDBOX
    with not_shown():
        document = await pictures.report(call.archive, file, FORMS[media_type], root)
    return Response(document, headers=headers, media_type=media_type)


async def rendered_report(call: Call, file: StoredFile) -> Response:
    """Return the answer with a report in the form that Accept asks for."""
    choice = require(call.request, [Offer(media_type) for media_type in FORMS])
    return await report_response(call, file, choice.offer.media_type)


async def reports_response(call: Call, instances: list[Placed], offer: Offer) -> Response:
    """Return the answer with the reports among instances: all as parts, or the first alone.

    Raises NotAcceptable if none is one.
    """
    if not offer.multipart:
        first_one = next(reports(call, instances), None)
        if first_one is None:
            raise NotAcceptable("nothing of it is a structured report")
        return await report_response(call, first_one[0], offer.media_type)
    boundary = token_hex(16)
    body = parts(call, instances, offer.media_type, boundary)
    first = await anext(body, None)
    if first is None:
        raise NotAcceptable("nothing of it is a structured report that can be shown")
    media_type = f'{MULTIPART}; type="{offer.media_type}"; boundary={boundary}'
    return StreamingResponse(
        chained(first, body), headers={"Vary": "Accept"}, media_type=media_type
    )


def reports(call: Call, instances: Iterable[Placed]) -> Iterator[tuple[StoredFile, Target]]:
    """Yield the structured reports among instances, and what they are called."""
    for one in instances:
        try:
            file = call.archive.open_file(one.public_id, call.caller)
        except NotFound:
            continue  # just deleted
        if file.sop_class_uid.startswith(REPORTS):
            yield file, one.target


async def parts(
    call: Call, instances: list[Placed], media_type: str, boundary: str
) -> AsyncIterator[bytes]:
    """Yield the parts of a multipart body; nothing if no report can be shown."""
    begun, root = False, service_root(call)
    for file, target in reports(call, instances):
        try:
            document = await pictures.report(call.archive, file, FORMS[media_type], root)
        except UnsupportedImage:
            continue
        begun = True
        head = f"--{boundary}\r\nContent-Type: {media_type}; charset=utf-8\r\n"
        head += f"Content-Location: {retrieve_url(root, *target)}/rendered\r\n"
        yield f"{head}Content-Length: {len(document)}\r\n\r\n".encode() + document + b"\r\n"
    if begun:
        yield f"--{boundary}--\r\n".encode()
