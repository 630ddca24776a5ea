"""Structured reports as documents that people read (PS3.18 §8.7.4): HTML, plain text, XML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from vna.rest.dicomweb.bulkdata import SANDBOX
from vna.rest.dicomweb.negotiation import Offer, require
from vna.rest.dicomweb.rendered import not_shown
from vna.rest.dicomweb.urls import service_root
from vna.rest.files import is_known, last_modified
from vna.rest.pictures import etag
from vna.services import pictures

if TYPE_CHECKING:
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
