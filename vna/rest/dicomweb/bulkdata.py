"""WADO-RS: values that metadata gives by a URI (PS3.18 §10.4.1.1.5)."""

from __future__ import annotations

import hashlib
import re
from secrets import token_bytes
from typing import TYPE_CHECKING

from vna.errors import NotAcceptable, NotFound
from vna.rest.describe import BYTES, PDF
from vna.rest.dicomweb import targets
from vna.rest.dicomweb.answers import multipart_type
from vna.rest.dicomweb.forms import frame_forms
from vna.rest.dicomweb.negotiation import Offer, require
from vna.rest.dicomweb.retrieve import all_pixels, by_default_stored, partly, selected
from vna.rest.dicomweb.urls import bulk_data_uri, service_root
from vna.rest.files import file_response
from vna.services.web import Wanted

if TYPE_CHECKING:
    from starlette.responses import Response

    from vna.rest.requests import Call
    from vna.services.archive import Readable, StoredFile

PIXEL_DATA = re.compile(r"/?7fe0-?0010|/?PixelData", re.IGNORECASE)
ENCAPSULATED_DOCUMENT = re.compile(r"/?0042-?0011|/?EncapsulatedDocument", re.IGNORECASE)
MIME_TYPE, DOCUMENT_LENGTH = "00420012", "00420015"
TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")
MAX_TYPE_BYTES = 128
SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
SECRET = token_bytes(32)


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
        return await document_response(call, file, found, offer.media_type)
    part = OnlyPart(found, offer.media_type, bulk_data_uri(service_root(call), *target, path))
    return await file_response(
        call, part, part.content_type, modified_s=file.modified_s, headers={"Vary": "Accept"}
    )


class OnlyPart:
    """A body of parts that has one, a value: the same for the same value, so that it has ranges."""

    def __init__(self, value: Readable, media_type: str, uri: str):
        told = f"{value.digest} {media_type} {uri}".encode()
        # Keyed: who made up the value cannot end it with what stands behind it.
        boundary = hashlib.blake2b(told, key=SECRET, digest_size=16).hexdigest()
        self.content_type = multipart_type(media_type, boundary)
        self.digest = f"{value.digest}-{boundary}"
        self._value = value
        self._head = (
            f"--{boundary}\r\nContent-Type: {media_type}\r\nContent-Location: {uri}\r\n"
            f"Content-Length: {value.size}\r\n\r\n"
        ).encode()
        self._end = f"\r\n--{boundary}--\r\n".encode()
        self.size = len(self._head) + value.size + len(self._end)

    async def read(self, offset: int, length: int) -> bytes:
        """Return bytes `offset` to `offset + length`."""
        before, behind = len(self._head), len(self._head) + self._value.size
        end = offset + length
        found = self._head[offset:end]
        first, last = max(offset - before, 0), min(end - before, self._value.size)
        if first < last:
            found += await self._value.read(first, last - first)
        if end > behind:
            found += self._end[max(offset - behind, 0) : end - behind]
        return found


async def document_response(
    call: Call, file: StoredFile, value: Readable, media_type: str
) -> Response:
    """Return the answer with a value alone, under the type that it has."""
    headers = {
        "Content-Type": media_type,
        "Vary": "Accept",
    }  # a text tells its character set itself
    if media_type not in (BYTES, PDF):
        # What somebody sent must not run as a page of ours. Readers of PDF run in no page, and
        # none of them opens in a sandbox.
        headers["Content-Security-Policy"] = SANDBOX
    return await file_response(call, value, media_type, modified_s=file.modified_s, headers=headers)


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
    is_text = media_type == PDF or "xml" in media_type or media_type.startswith("text/")
    if is_text and value.size and await value.read(value.size - 1, 1) == b"\0":
        return media_type, Shortened(value, value.size - 1)
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
