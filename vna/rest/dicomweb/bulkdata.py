"""WADO-RS: values that metadata gives by a URI (PS3.18 §10.4.1.1.5)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from secrets import token_hex
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from vna.errors import NotAcceptable, NotFound
from vna.rest.describe import BYTES
from vna.rest.dicomweb import targets
from vna.rest.dicomweb.forms import frame_forms
from vna.rest.dicomweb.negotiation import MULTIPART, Offer, require
from vna.rest.dicomweb.retrieve import all_pixels, by_default_stored, partly, selected
from vna.rest.dicomweb.urls import bulk_data_uri, service_root
from vna.rest.files import file_response, pieces
from vna.services.web import Wanted

if TYPE_CHECKING:
    from vna.rest.requests import Call
    from vna.services.archive import Readable, StoredFile

PIXEL_DATA = re.compile(r"/?7fe0-?0010|/?PixelData", re.IGNORECASE)
ENCAPSULATED_DOCUMENT = re.compile(r"/?0042-?0011|/?EncapsulatedDocument", re.IGNORECASE)
MIME_TYPE, DOCUMENT_LENGTH = "00420012", "00420015"
TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")
MAX_TYPE_BYTES = 128


async def all_bulk_data(call: Call) -> Response:
    """Return all values that the metadata of what a path names gives by a URI."""
    selection = await selected(call, targets.of_path(call))
    chosen = frame_forms(
        call.request,
        selection.facts.transfer_syntaxes,
        as_stored=by_default_stored(call),
        single=False,
    )
    wanted = Wanted(what="bulk_data", root=service_root(call), multipart=True, forms=chosen.forms)
    return await partly(call, selection, wanted, chosen)


async def bulk_data(call: Call) -> Response:
    """Return one value."""
    target, path = targets.of_path(call), call.path("path")
    public_id = (await targets.public_ids(call, target))[0]
    file = call.archive.open_file(public_id, call.caller)
    found = await file.locate(path, pixels=True)
    if found is None:
        raise NotFound(f"the instance has no {path[:200]}", "dicomweb.not_found")
    if isinstance(found, list):
        if PIXEL_DATA.fullmatch(path):
            return await all_pixels(call, await selected(call, target))
        raise NotAcceptable(f"{path[:200]} is no single value")
    media_type = BYTES
    if ENCAPSULATED_DOCUMENT.fullmatch(path):
        media_type, found = await document(file, found)
    types = dict.fromkeys((media_type, BYTES))
    offers = [Offer(each, multipart=kind) for kind in (False, True) for each in types]
    offer = require(call.request, offers).offer
    if not offer.multipart:
        return await file_response(call, found, offer.media_type)
    uri = bulk_data_uri(service_root(call), *target, path)
    return in_one_part(found, offer.media_type, uri)


def in_one_part(value: Readable, media_type: str, uri: str) -> Response:
    """Return a value as the only part of a body."""
    boundary = token_hex(16)
    head = (
        f"--{boundary}\r\nContent-Type: {media_type}\r\nContent-Location: {uri}\r\n"
        f"Content-Length: {value.size}\r\n\r\n"
    ).encode()
    end = f"\r\n--{boundary}--\r\n".encode()

    async def body() -> AsyncIterator[bytes]:
        yield head
        async for piece in pieces(value, 0, value.size):
            yield piece
        yield end

    length = len(head) + value.size + len(end)
    return StreamingResponse(
        body(),
        headers={
            "Content-Type": f'{MULTIPART}; type="{media_type}"; boundary={boundary}',
            "Content-Length": str(length),
        },
    )


async def document(file: StoredFile, value: Readable) -> tuple[str, Readable]:
    """Return the media type of an encapsulated document, and it without its padding.

    (0042,0012) MIME Type of Encapsulated Document, (0042,0015) its length.
    """
    media_type = BYTES
    named = await file.locate(MIME_TYPE)
    if named is not None and not isinstance(named, list) and named.size <= MAX_TYPE_BYTES:
        text = (await named.read(0, named.size)).decode("ascii", "replace").strip(" \0").lower()
        if TYPE.fullmatch(text):
            media_type = text
    told = await file.locate(DOCUMENT_LENGTH)
    if told is not None and not isinstance(told, list) and told.size == 4:
        length = int.from_bytes(await told.read(0, 4), "little")
        if value.size - 1 <= length <= value.size:
            return media_type, Shortened(value, length)
    return media_type, value


class Shortened:
    """A value without the byte that makes its length even."""

    def __init__(self, value: Readable, size: int):
        self._value = value
        self.size = size
        self.digest = value.digest

    async def read(self, offset: int, length: int) -> bytes:
        """Return bytes `offset` to `offset + length`."""
        return await self._value.read(offset, min(length, self.size - offset))
