"""Pictures, arrays and frames of stored images as answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Literal

from starlette.responses import RedirectResponse, Response, StreamingResponse

from vna.errors import (
    NotAcceptable,
    NotFound,
    OutOfRange,
    UnknownItem,
    UnsupportedImage,
)
from vna.rest.accept import preferred
from vna.rest.answers import json_response
from vna.rest.describe import BYTES, GZIP, JP2, JPEG, PAM, PDF, PNG, TEXT
from vna.rest.files import WHOLE_BYTES, file_response, is_known
from vna.rest.requests import Call, Handler, is_number
from vna.services import pictures
from vna.services.archive import CHUNK_BYTES
from vna.services.pictures import ArrayRequest, PictureRequest

if TYPE_CHECKING:
    from vna.services.archive import Readable, StoredFile
    from vna.services.pictures import Form, MadeFile, Mode, Picture

FORMS: dict[str, Form] = {PNG: "png", JPEG: "jpeg", PAM: "pam"}
THUMBNAIL_FORMS: dict[str, Literal["png", "jpeg"]] = {JPEG: "jpeg", PNG: "png"}
# What a codestream is called where a browser knows it; the others are bytes.
CODESTREAMS = {
    "1.2.840.10008.1.2.4.50": JPEG,
    "1.2.840.10008.1.2.4.90": JP2,
    "1.2.840.10008.1.2.4.91": JP2,
}
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
ENCAPSULATED_DOCUMENT = "0042-0011"
# What there is below a frame, in the order in which Orthanc tells it.
BELOW_FRAME = (
    "image-int16",
    "image-uint16",
    "image-uint8",
    "matlab",
    "numpy",
    "preview",
    "raw",
    "raw.gz",
    "rendered",
)
DEFAULT_THUMBNAIL = 256
THUMBNAIL_SIZES = range(16, 1025)
# Of a picture or array, that is: beyond it no number of pixels is.
MAX_SIDE = 1 << 31


def frame_of(call: Call) -> int:
    """Return the number of the frame in the path; the first if the path names none."""
    text = call.path_or("frame", "0")
    if not is_number(text):
        raise UnknownItem(f"frame {text[:32]!r} is no number from 0 on", "picture.frame")
    return int(text)


def quality(call: Call) -> int:
    """Return the quality of JPEG that is asked for."""
    wanted = call.number("quality", 90)
    if wanted is None or not 1 <= wanted <= 100:
        raise OutOfRange(f"parameter quality is {wanted}; it takes 1 to 100")
    return wanted


def side(call: Call, name: str) -> int:
    """Return how many columns or rows a picture is to have at most; 0: as many as the frame."""
    wanted = call.number(name, 0) or 0
    if wanted >= MAX_SIDE:
        raise OutOfRange(f"parameter {name} is {wanted}; no picture has so many")
    return wanted


def form_of(call: Call, mode: Mode) -> Form:
    """Return the form of a picture that the client wants."""
    accept = call.request.headers.get("accept") or "*/*"
    # JPEG has 8 bits.
    offered = [form for form in FORMS if form != JPEG or not mode.endswith("16")]
    form = preferred(accept, offered, named_first=True)
    if form is None:
        raise NotAcceptable(f"Accept: {accept[:200]}; this picture comes as {', '.join(offered)}")
    return FORMS[form]


def request_of(call: Call, mode: Mode) -> PictureRequest:
    """Return which picture the request wants."""
    common = PictureRequest(
        frame=frame_of(call), mode=mode, form=form_of(call, mode), quality=quality(call)
    )
    if mode != "rendered":
        return common
    width = call.decimal("window-width")
    if width is not None and width <= 0:
        raise OutOfRange(f"parameter window-width is {width:g}; it takes a number above 0")
    return PictureRequest(
        frame=common.frame,
        form=common.form,
        quality=common.quality,
        window_center=call.decimal("window-center"),
        window_width=width,
        width=side(call, "width"),
        height=side(call, "height"),
        smooth=call.flag("smooth", True),
        overlays=call.flag("overlays"),
    )


def etag(*parts: str | bytes) -> str:
    """Return the tag of what is made from a blob: weak, as a later version may make other bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return f'W/"{digest.hexdigest()}"'


def tag_of(file: StoredFile, request: PictureRequest, state: StoredFile | None) -> str:
    """Return the tag of a picture; that of a plain request is the one that the core gives."""
    plain = PictureRequest(frame=request.frame, mode=request.mode, form=request.form)
    if request == plain and state is None:
        return f'W/"{file.digest}-{request.mode}-{request.frame}-{request.form}"'
    return etag(file.digest, request.to_json(), state.digest if state else "")


def picture(mode: Mode) -> Handler:
    """Return the handler for pictures of a kind, of an instance or of one of its frames."""

    async def handle(call: Call) -> Response:
        try:
            return await picture_response(call, mode)
        except UnsupportedImage:
            if "returnUnsupportedImage" not in call.request.query_params:
                raise
            above = "../" * (call.request.scope["path"].rstrip("/").count("/") - 1)
            return RedirectResponse(f"{above}app/images/unsupported.png", 307)

    return handle


async def picture_response(call: Call, mode: Mode) -> Response:
    """Return the answer for a picture."""
    request = request_of(call, mode)
    file = call.archive.open_file(call.path("id"), call.caller)
    state = state_of(call) if mode == "rendered" else None
    tag = tag_of(file, request, state)
    # What the same address gives depends on what the client likes.
    headers = {"ETag": tag, "Vary": "Accept"}
    if is_known(call, tag):
        return Response(None, 304, headers=headers)
    made = await pictures.picture(call.archive, file, request, state)
    media_type = next(name for name, form in FORMS.items() if form == request.form)
    if made.whole:
        return Response(made.whole, headers=headers, media_type=media_type)
    headers["Content-Length"] = str(made.size)
    return StreamingResponse(pieces(made), headers=headers, media_type=media_type)


def state_of(call: Call) -> StoredFile | None:
    """Return the presentation state that is to be applied."""
    public_id = call.request.query_params.get("presentation-state")
    if public_id is None:
        return None
    return call.archive.open_file(public_id, call.caller)


async def pieces(made: Picture) -> AsyncIterator[bytes]:
    """Yield all of a picture; the next piece when the server took the last one."""
    for offset in range(0, made.size, CHUNK_BYTES):
        yield made.read(offset, CHUNK_BYTES)


async def made_response(
    call: Call, made: MadeFile, media_type: str, headers: dict[str, str]
) -> Response:
    """Return the answer for what is made while it is read; what is short has its length."""
    if call.request.method == "HEAD" and made.length is not None:
        headers["Content-Length"] = str(made.length)
        return Response(None, headers=headers, media_type=media_type)
    first = await made.read(WHOLE_BYTES)
    if len(first) < WHOLE_BYTES:
        return Response(first, headers=headers, media_type=media_type)
    if made.length is not None:
        headers["Content-Length"] = str(made.length)
    return StreamingResponse(rest(first, made), headers=headers, media_type=media_type)


async def rest(first: bytes, made: MadeFile) -> AsyncIterator[bytes]:
    """Yield what was read and all behind it."""
    for offset in range(0, len(first), CHUNK_BYTES):
        yield first[offset : offset + CHUNK_BYTES]
    while piece := await made.read(CHUNK_BYTES):
        yield piece


def array_request(call: Call, *, one_frame: bool) -> ArrayRequest:
    """Return which NumPy array the request wants."""
    return ArrayRequest(
        frame=frame_of(call) if one_frame else None,
        rescale=call.flag("rescale", True),
        form="npz" if call.flag("compress") else "npy",
    )


def numpy(*, one_frame: bool) -> Handler:
    """Return the handler for all frames of an instance, or for one, as a NumPy array."""

    async def handle(call: Call) -> Response:
        return await array_response(call, array_request(call, one_frame=one_frame), BYTES)

    return handle


async def matlab(call: Call) -> Response:
    """Return a frame as MATLAB and Octave evaluate it."""
    request = ArrayRequest(frame=frame_of(call), form="matlab")
    return await array_response(call, request, TEXT)


async def array_response(call: Call, request: ArrayRequest, media_type: str) -> Response:
    """Return the answer for an array of an instance."""
    file = call.archive.open_file(call.path("id"), call.caller)
    tag = etag(file.digest, request.to_json())
    if is_known(call, tag):
        return Response(None, 304, headers={"ETag": tag})
    made = await pictures.array(call.archive, file, request)
    return await made_response(call, made, media_type, {"ETag": tag})


async def series_numpy(call: Call) -> Response:
    """Return all frames of a series as a NumPy array."""
    request = array_request(call, one_frame=False)
    made = await pictures.series_array(call.archive, call.path("id"), request, call.caller)
    return await made_response(call, made, BYTES, {})


async def ordered_slices(call: Call) -> Response:
    """Return the order of the instances of a series."""
    return json_response(await pictures.ordered_slices(call.archive, call.path("id"), call.caller))


async def frames(call: Call) -> Response:
    """Return the numbers of the frames of an instance."""
    file = call.archive.open_file(call.path("id"), call.caller)
    return json_response(json.dumps(list(range(file.frames))).encode())


async def below_frame(call: Call) -> Response:
    """Return what there is of a frame."""
    frame = frame_of(call)
    count = call.archive.open_file(call.path("id"), call.caller).frames
    if frame >= count:
        raise UnknownItem(f"there is no frame {frame}; the image has {count}", "picture.frame")
    return json_response(json.dumps(BELOW_FRAME).encode())


async def raw(call: Call) -> Response:
    """Return a frame as it is stored."""
    file = call.archive.open_file(call.path("id"), call.caller)
    frame = await pictures.StoredFrame.open(call.archive, file, frame_of(call))
    return await file_response(call, frame, CODESTREAMS.get(file.transfer_syntax_uid, BYTES))


async def raw_gz(call: Call) -> Response:
    """Return a frame as it is stored, compressed."""
    file = call.archive.open_file(call.path("id"), call.caller)
    frame = await pictures.StoredFrame.open(call.archive, file, frame_of(call))
    return await made_response(call, await frame.gzip(), GZIP, {})


async def pdf(call: Call) -> Response:
    """Return the document in an encapsulated PDF."""
    file = call.archive.open_file(call.path("id"), call.caller)
    if file.sop_class_uid != ENCAPSULATED_PDF:
        raise NotFound(
            f"the instance is of SOP class {file.sop_class_uid}, no encapsulated PDF",
            "picture.no_pdf",
        )
    document = await file.locate(ENCAPSULATED_DOCUMENT)
    if document is None or isinstance(document, list):
        raise NotFound("the instance has no Encapsulated Document (0042,0011)", "picture.no_pdf")
    return await file_response(call, await unpadded(document), PDF)


class Unpadded:
    """A value without the byte that makes its length even (PS3.5 §7.1.1)."""

    def __init__(self, value: Readable):
        self.size = value.size - 1
        self.digest = value.digest
        self.read = value.read


async def unpadded(value: Readable) -> Readable:
    """Return a value without padding."""
    last = await value.read(value.size - 1, 1) if value.size else b""
    return Unpadded(value) if last == b"\0" else value


def thumbnail(level: str) -> Handler:
    """Return the handler for the small picture that stands for a resource."""

    async def handle(call: Call) -> Response:
        size = call.number("size")
        if size is None:
            size = DEFAULT_THUMBNAIL
        if size not in THUMBNAIL_SIZES:
            raise OutOfRange(
                f"parameter size is {size}; it takes {THUMBNAIL_SIZES[0]} to {THUMBNAIL_SIZES[-1]}"
            )
        accept = call.request.headers.get("accept") or "*/*"
        media_type = preferred(accept, tuple(THUMBNAIL_FORMS), named_first=True)
        if media_type is None:
            offered = ", ".join(THUMBNAIL_FORMS)
            raise NotAcceptable(f"Accept: {accept[:200]}; thumbnails come as {offered}")
        instance = call.path("id")
        if level != "instances":
            instance = await pictures.representative(call.archive, level, instance, call.caller)
        file = call.archive.open_file(instance, call.caller)
        tag = etag(file.digest, f"thumbnail {size} {media_type}")
        headers = {"ETag": tag, "Vary": "Accept"}
        if is_known(call, tag):
            return Response(None, 304, headers=headers)
        form = THUMBNAIL_FORMS[media_type]
        body = await pictures.thumbnail(call.archive, file, size, form)
        return Response(body, headers=headers, media_type=media_type)

    return handle


async def unsupported(call: Call) -> Response:
    """Return the picture that stands for what has none."""
    from vna.rest.unsupported_picture import PICTURE

    return Response(PICTURE, media_type=PNG)


__all__ = [
    "below_frame",
    "frames",
    "matlab",
    "numpy",
    "ordered_slices",
    "pdf",
    "picture",
    "raw",
    "raw_gz",
    "series_numpy",
    "thumbnail",
    "unsupported",
]
