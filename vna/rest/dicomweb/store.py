"""STOW-RS: POST /studies and /studies/S (PS3.18 §10.5).

The body goes from the socket to the log without Python: what is here is who may, in which form the
answer is wanted, and under which address what was stored is found. Files in a body that is short
and says how long it is are not seen here at all (`core-rs/node/src/http/store.rs`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response, StreamingResponse

from vna.errors import Busy, OutOfStorage
from vna.rest.describe import DICOM_JSON, DICOM_XML, JSON
from vna.rest.dicomweb import answers, negotiation, targets, urls
from vna.rest.dicomweb.negotiation import Offer
from vna.rest.requests import announced_length
from vna.rest.uploading import receive

if TYPE_CHECKING:
    from vna.rest.requests import Call
    from vna.services.archive import Upload

# Clients of older editions ask for XML as every other one, in parts.
OFFERS = (Offer(DICOM_JSON), Offer(DICOM_XML), Offer(JSON), Offer(DICOM_XML, multipart=True))


async def store(call: Call) -> Response:
    """Store what the body brings and tell of each instance what became of it."""
    offer = negotiation.require(call.request, OFFERS).offer
    study = targets.of_path(call).study
    root = urls.service_root(call)
    headers = call.request.headers
    try:
        arriving = call.archive.store_web(
            msgspec.structs.replace(call.caller, way_in="dicomweb"),
            headers.get("content-type", ""),
            headers.get("content-encoding", ""),
            announced_length(call.request),
            study,
        )
        with call.budget.account() as account:
            await receive(call, arriving, account)
            told = arriving.finish_web(offer.media_type == DICOM_XML, f"{root}/studies")
            finishing = asyncio.ensure_future(told)
            account.lend(finishing)
            # Shielded: the core cannot be told to let go, so its bytes count until it has answered.
            first = await asyncio.shield(finishing)
    except OutOfStorage as error:
        # PS3.18 Table 8.5-1 knows 503 for this, and its clients ask again later.
        raise Busy(str(error), error.code) from error
    return await answer(arriving, first, offer, root)


async def answer(arriving: Upload, first: bytes, offer: Offer, root: str) -> Response:
    """Return the Store Instances Response Module; a long one part by part."""
    status, problem, location = arriving.outcome
    headers = {}
    if problem:
        headers["Warning"] = answers.warning(root, problem)
    if location is not None:
        # PS3.18 Table 10.5.3-2: the address of what the request brought, and of what came of it.
        headers |= {"Location": location, "Content-Location": location}
    media_type = offer.media_type
    if offer.multipart:
        while arriving.has_more:
            first += await arriving.more()
        media_type, pieces = answers.multipart([first], media_type)
        first = b"".join(pieces)
    if not arriving.has_more:
        return Response(first, status, headers=headers, media_type=media_type)

    async def parts() -> AsyncIterator[bytes]:
        yield first
        while arriving.has_more:
            yield await arriving.more()

    return StreamingResponse(parts(), status, headers=headers, media_type=media_type)
