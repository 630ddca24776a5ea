"""WADO-RS: metadata of studies, series and instances (PS3.18 §10.4.1.1.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vna.rest.describe import DICOM_JSON, DICOM_XML, JSON
from vna.rest.dicomweb import targets
from vna.rest.dicomweb.negotiation import Offer, require
from vna.rest.dicomweb.retrieve import selected
from vna.rest.dicomweb.sending import answer, takes_gzip
from vna.rest.dicomweb.urls import service_root
from vna.services.web import Wanted

if TYPE_CHECKING:
    from starlette.responses import Response

    from vna.rest.requests import Call

OFFERS = (Offer(DICOM_JSON), Offer(JSON), Offer(DICOM_XML, multipart=True))


async def metadata(call: Call) -> Response:
    """Return the headers of all that a path names, values that are long by their URI."""
    target = targets.of_path(call)
    offer = require(call.request, OFFERS).offer
    selection = await selected(call, target)
    wanted = Wanted(
        what="metadata",
        root=service_root(call),
        multipart=offer.multipart,
        gzip=takes_gzip(call),
    )
    return await answer(call, selection, wanted, offer.media_type)
