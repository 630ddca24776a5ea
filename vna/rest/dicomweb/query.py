"""QIDO-RS: searching studies, series and instances (PS3.18 §10.6).

Parameters are read, matched and answered by the core, which answers plain searches without coming
here (`core-rs/node/src/http/web.rs`).
"""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

from starlette.responses import Response

from vna.rest.describe import DICOM_JSON, DICOM_XML, JSON
from vna.rest.dicomweb import negotiation, targets, urls
from vna.rest.dicomweb.answers import gzipped, multipart_type, warning
from vna.rest.dicomweb.negotiation import Offer
from vna.services import query

if TYPE_CHECKING:
    from vna.rest.requests import Call

OFFERS = (Offer(DICOM_JSON), Offer(JSON), Offer(DICOM_XML, multipart=True))


async def studies(call: Call) -> Response:
    """Search for studies."""
    return await search(call, "Study")


async def series(call: Call) -> Response:
    """Search for series, in a study or in all."""
    return await search(call, "Series")


async def instances(call: Call) -> Response:
    """Search for instances, in a series, in a study or in all."""
    return await search(call, "Instance")


async def search(call: Call, level: str) -> Response:
    """Answer a search at a level, in what the path names."""
    offer = negotiation.require(call.request, OFFERS).offer
    within = targets.of_path(call)
    if not all(map(targets.is_uid, within.uids.values())):
        # What is no UID may be stored all the same; if it is not, there is nothing to search.
        await targets.public_ids(call, within)
    text = call.request.scope["query_string"].decode("latin-1")
    asked = query.WebSearch(level, within.study, within.series, text)
    root = urls.service_root(call)
    boundary = token_hex(16) if offer.multipart else None
    found = await query.web_search(call.archive, asked, root, call.caller, boundary)
    body, headers = await gzipped(call.request, found.body)
    # No result is an empty list (PS3.18 §10.6.3.1); no multipart body has no part, so none is sent.
    if found.body:
        kind = multipart_type(offer.media_type, boundary) if boundary else offer.media_type
        headers["Content-Type"] = kind
    answer = Response(body, headers=headers)
    for problem in found.warnings:
        answer.headers.append("Warning", warning(root, problem))
    return answer
