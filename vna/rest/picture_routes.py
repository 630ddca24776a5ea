"""Routes of pictures, arrays and frames; what answers them is imported by the first request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from vna.rest.describe import (
    BYTES,
    GZIP,
    JP2,
    JPEG,
    PAM,
    PDF,
    PNG,
    TEXT,
    Answer,
    Entry,
    Parameter,
    answer,
)
from vna.rest.requests import Call, Handler

QUALITY = Parameter("quality", "number", "of JPEG, 1 to 100; 90 if not said")
UNSUPPORTED = Parameter(
    "returnUnsupportedImage", "flag", "where there is no picture, go to one that says so"
)
RENDERING = (
    Parameter("window-center", "decimal", "in place of that of the header"),
    Parameter("window-width", "decimal", "in place of that of the header; above 0"),
    Parameter("width", "number", "most columns; the aspect ratio is kept"),
    Parameter("height", "number", "most rows; the aspect ratio is kept"),
    Parameter("smooth", "flag", "whether another size is interpolated; on if not said"),
    Parameter("overlays", "flag", "show the overlays in the object too"),
    Parameter("presentation-state", "text", "id of the instance of a presentation state to apply"),
)
COMPRESS = Parameter("compress", "flag", "as .npz rather than .npy")
RESCALE = Parameter(
    "rescale", "flag", "gray values after the modality LUT, as float32; on if not said"
)
SIZE = Parameter("size", "number", "most columns and rows, 16 to 1024; 256 if not said")

UNCHANGED = Answer(304, "It is the one that If-None-Match names", {})


def pictures(*media_types: str) -> tuple[Answer, ...]:
    """Return what is answered with a picture of one of these types."""
    return (Answer(200, "The picture", dict.fromkeys(media_types, "Bytes")), UNCHANGED)


PICTURE = (
    *pictures(PNG, JPEG, PAM),
    Answer(307, "There is none; with returnUnsupportedImage, the address of another", {}),
)
DEEP_PICTURE = (*pictures(PNG, PAM), PICTURE[-1])
ARRAY = (
    Answer(
        200, "An array of rows, columns and channels, of all frames also of those", {BYTES: "Bytes"}
    ),
    UNCHANGED,
)
EXPRESSION = (Answer(200, "The expression", {TEXT: "Text"}), UNCHANGED)
FRAME = (
    Answer(
        200, "Samples in little endian, or a codestream", dict.fromkeys((BYTES, JPEG, JP2), "Bytes")
    ),
    Answer(206, "The range asked for", dict.fromkeys((BYTES, JPEG, JP2), "Bytes")),
    UNCHANGED,
)
DOCUMENT = (
    Answer(200, "The document", {PDF: "Bytes"}),
    Answer(206, "The range asked for", {PDF: "Bytes"}),
    UNCHANGED,
)
# No such form, or no image.
NO_PICTURE = (406, 412, 415)

# Name in the path -> the mode of the picture and what it is.
KINDS = {
    "preview": ("preview", "The values of a frame from black to white"),
    "rendered": ("rendered", "A frame as its header wants it displayed"),
    "image-uint8": ("uint8", "Values of a frame, cut off below 0 and above 255"),
    "image-uint16": ("uint16", "Values of a frame, cut off below 0 and above 65535"),
    "image-int16": ("int16", "Values of a frame, cut off below -32768 and above 32767"),
}


def handler(name: str, **options: Any) -> Handler:
    """Return a handler of `vna.rest.pictures`; with options, what the function makes of them."""
    found: Handler | None = None

    async def handle(call: Call) -> Response:
        nonlocal found
        if found is None:
            from vna.rest import pictures

            function: Callable[..., Any] = getattr(pictures, name)
            found = function(**options) if options else function
        return await found(call)

    return handle


def table() -> list[Entry]:
    """Return all of these operations."""
    one = "/instances/{id}"
    entries = [
        *frame_routes(one, of_all=True),
        Entry(
            "GET", f"{one}/frames", handler("frames"), "Numbers of its frames", answer("Numbers")
        ),
        Entry(
            "GET",
            f"{one}/frames/{{frame}}",
            handler("below_frame"),
            "What there is of a frame",
            answer("Names"),
        ),
        *frame_routes(f"{one}/frames/{{frame}}", of_all=False),
        Entry(
            "GET",
            f"{one}/frames/{{frame}}/raw",
            handler("raw"),
            "A frame as it is stored",
            FRAME,
            refusals=(412, 415, 416),
        ),
        Entry(
            "GET",
            f"{one}/frames/{{frame}}/raw.gz",
            handler("raw_gz"),
            "A frame as it is stored, compressed",
            answer("Bytes", media_type=GZIP),
            refusals=(415,),
        ),
        Entry(
            "GET",
            f"{one}/pdf",
            handler("pdf"),
            "The document in an encapsulated PDF",
            DOCUMENT,
            refusals=(412, 416),
        ),
        Entry(
            "GET",
            "/series/{id}/numpy",
            handler("series_numpy"),
            "All frames of the series, in the order of its slices, as a NumPy array",
            ARRAY[:1],
            (COMPRESS, RESCALE),
            refusals=(415,),
        ),
        Entry(
            "GET",
            "/series/{id}/ordered-slices",
            handler("ordered_slices"),
            "The order of its instances, in space or by their numbers",
            answer("OrderedSlices"),
        ),
        Entry(
            "GET",
            "/app/images/unsupported.png",
            handler("unsupported"),
            "What returnUnsupportedImage shows",
            answer("Bytes", media_type=PNG),
        ),
    ]
    of = {"instances": "it", "series": "its middle slice", "studies": "its first series of images"}
    for level, what in of.items():
        entries.append(
            Entry(
                "GET",
                f"/{level}/{{id}}/thumbnail",
                handler("thumbnail", level=level),
                f"A small picture of {what}",
                pictures(JPEG, PNG),
                (SIZE,),
                refusals=NO_PICTURE,
            )
        )
    return entries


def frame_routes(path: str, *, of_all: bool) -> list[Entry]:
    """Return what there is of a frame, or of an instance: of all its frames, or of the first."""
    entries = []
    for name, (mode, text) in KINDS.items():
        answers = DEEP_PICTURE if mode.endswith("16") else PICTURE
        query = (QUALITY, UNSUPPORTED, *(RENDERING if mode == "rendered" else ()))
        handle = handler("picture", mode=mode)
        entries.append(
            Entry("GET", f"{path}/{name}", handle, text, answers, query, refusals=NO_PICTURE)
        )
    whole = "All frames" if of_all else "A frame"
    return [
        *entries,
        Entry(
            "GET",
            f"{path}/numpy",
            handler("numpy", one_frame=not of_all),
            f"{whole} as a NumPy array",
            ARRAY,
            (COMPRESS, RESCALE),
            refusals=(412, 415),
        ),
        Entry(
            "GET",
            f"{path}/matlab",
            handler("matlab"),
            "A frame as MATLAB and Octave evaluate it",
            EXPRESSION,
            refusals=(412, 415),
        ),
    ]
