"""What is shown by being given as it is: videos and encapsulated documents (PS3.18 §8.7.4).

A video is one stream in the pixel data; its first bytes say which container it is in. A document is
one value of the data set. Both have ranges, so a player can go to any place of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vna.errors import NotFound, UnsupportedImage
from vna.rest.describe import PDF
from vna.rest.dicomweb.bulkdata import document, document_response
from vna.rest.dicomweb.negotiation import Offer, require
from vna.rest.dicomweb.retrieve import selected
from vna.rest.dicomweb.sending import answer
from vna.rest.dicomweb.urls import service_root
from vna.services.pictures import StoredFrame
from vna.services.web import Form, Wanted, frame_media_type

if TYPE_CHECKING:
    from starlette.responses import Response

    from vna.rest.dicomweb.targets import Target
    from vna.rest.requests import Call
    from vna.services.archive import StoredFile

ENCAPSULATED_DOCUMENT = "0042-0011"
# Encapsulated PDF, CDA, STL, OBJ and MTL: SOP classes, and the types that their documents have
# (PS3.3 §A.45, §A.85); what (0042,0012) MIME Type says of a CDA is text/XML.
DOCUMENTS = {
    "1.2.840.10008.5.1.4.1.1.104.1": PDF,
    "1.2.840.10008.5.1.4.1.1.104.2": "text/xml",
    "1.2.840.10008.5.1.4.1.1.104.3": "model/stl",
    "1.2.840.10008.5.1.4.1.1.104.4": "model/obj",
    "1.2.840.10008.5.1.4.1.1.104.5": "model/mtl",
}
# Longer than what any container begins with that is looked for: two packets of a transport stream.
BEGINNING_BYTES = 376
TRANSPORT_PACKET_BYTES = 188
MPEG, MP4, TRANSPORT_STREAM = "video/mpeg", "video/mp4", "video/mp2t"
# The start code of a pack, with which a program stream begins (ISO 13818-1 §2.5.3.4).
MPEG_PACK = b"\x00\x00\x01\xba"


def is_video(transfer_syntax_uid: str) -> bool:
    """Whether pixel data in a transfer syntax is a video stream."""
    return frame_media_type(transfer_syntax_uid).startswith("video/")


def video_types(beginning: bytes, transfer_syntax_uid: str) -> tuple[str, ...]:
    """Return the media types of a video by its first bytes, that first which says most.

    A stream without a container is of the type that its transfer syntax has.
    """
    own = frame_media_type(transfer_syntax_uid)
    is_mpeg = own == "video/mpeg2"
    if beginning[4:8] == b"ftyp":
        return (MP4,)
    packets = beginning[::TRANSPORT_PACKET_BYTES]
    if packets == b"G" * (BEGINNING_BYTES // TRANSPORT_PACKET_BYTES):
        return (TRANSPORT_STREAM, MPEG) if is_mpeg else (TRANSPORT_STREAM,)
    return (MPEG,) if is_mpeg or beginning.startswith(MPEG_PACK) else (own,)


async def stored_types(call: Call, file: StoredFile) -> tuple[str, ...]:
    """Return the media types of an instance that is shown as it is; none if it is a picture."""
    if file.sop_class_uid in DOCUMENTS:
        return (DOCUMENTS[file.sop_class_uid],)
    if not is_video(file.transfer_syntax_uid):
        return ()
    try:
        stream = await StoredFrame.open(call.archive, file, 0)
    except UnsupportedImage:
        return ()  # without pixel data it is no video, whatever its transfer syntax is for
    beginning = await stream.read(0, min(BEGINNING_BYTES, stream.size))
    return video_types(beginning, file.transfer_syntax_uid)


async def stored_response(
    call: Call, target: Target, file: StoredFile, media_type: str, *, multipart: bool = False
) -> Response:
    """Return the answer with a video or document as it is."""
    if file.sop_class_uid in DOCUMENTS:
        value = await file.locate(ENCAPSULATED_DOCUMENT)
        if value is None or isinstance(value, list):
            problem = "the instance has no Encapsulated Document (0042,0011)"
            raise NotFound(problem, "picture.no_document")
        _, value = await document(file, value)
        return await document_response(call, file, value, media_type)
    selection = await selected(call, target)
    forms = {uid: Form(media_type) for uid in selection.facts.transfer_syntaxes}
    wanted = Wanted(what={"frames": [1]}, root=service_root(call), multipart=multipart, forms=forms)
    return await answer(call, selection, wanted, media_type)


async def shown_as_stored(call: Call, target: Target, public_id: str) -> Response | None:
    """Return the answer for what is shown by being given as it is, or None if it is a picture.

    Raises NotAcceptable if the request does not accept what it is.
    """
    file = call.archive.open_file(public_id, call.caller)
    types = await stored_types(call, file)
    if not types:
        return None
    kinds = (False,) if file.sop_class_uid in DOCUMENTS else (False, True)
    offers = [Offer(media_type, kind) for kind in kinds for media_type in types]
    offer = require(call.request, offers).offer
    return await stored_response(call, target, file, offer.media_type, multipart=offer.multipart)
