"""Words in which the route table describes an operation: parameters, bodies, answers.

The table says what there is and is always in memory, so it holds names and short texts. What they
look like in OpenAPI, and the shapes of the JSON, is in `openapi` and `schemas`, which are imported
when somebody asks for the description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from vna.rest.requests import Handler

JSON = "application/json"
DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
DICOM_XML = "application/dicom+xml"
BYTES = "application/octet-stream"
TEXT = "text/plain"
GZIP = "application/gzip"
ZIP = "application/zip"
PNG = "image/png"
JPEG = "image/jpeg"
JP2 = "image/jp2"
GIF = "image/gif"
PAM = "image/x-portable-arbitrarymap"
PDF = "application/pdf"
MULTIPART = ("multipart/form-data", "multipart/mixed", "multipart/related")


class Parameter(NamedTuple):
    """One parameter of the query; a `list` has its items between semicolons."""

    name: str
    kind: Literal["flag", "number", "decimal", "text", "list"]
    text: str


class Body(NamedTuple):
    """What a request brings: for each media type a name of `schemas.SCHEMAS`."""

    content: dict[str, str]
    text: str


class Answer(NamedTuple):
    """One way in which a request goes well: without `content` it has no body."""

    status: int
    text: str
    content: dict[str, str]


def answer(schema: str, text: str = "As asked", media_type: str = JSON) -> tuple[Answer, ...]:
    """Return what an operation answers that has one form only."""
    return (Answer(200, text, {media_type: schema}),)


class Entry(NamedTuple):
    """One operation.

    `refusals` are statuses of errors beside those that follow from the rest: 400 where there are
    parameters, 404 where there is an id, those of `BODY_REFUSALS` where there is a body.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answers: tuple[Answer, ...] = answer("Any")
    query: tuple[Parameter, ...] = ()
    body: Body | None = None
    refusals: tuple[int, ...] = ()


SINCE = Parameter("since", "number", "how many to leave out; goes with `limit`")
LIMIT = Parameter("limit", "number", "how many to give; goes with `since`; 0 for all")
EXPAND = Parameter("expand", "flag", "whole objects rather than their ids")
SIMPLIFY = Parameter("simplify", "flag", "names of tags with their values, no more")
SHORT = Parameter("short", "flag", "tags by number with their values, no more")
REPORT = Parameter("report", "flag", "of an archive or form also what was not stored, and why")
TAG_FORMS = (
    Parameter("full", "flag", "tags by number, with name and type"),
    Parameter("short", "flag", "tags by number"),
)
REQUESTED = (
    Parameter("requested-tags", "list", "tags to show in `RequestedTags`"),
    Parameter("requestedTags", "list", "the same"),
    Parameter("response-content", "list", "parts of the objects: `MainDicomTags`, `Labels`, ..."),
)
IGNORE_LENGTH = Parameter("ignore-length", "text", "tags to give at any length, between commas")
WHOLE = Parameter("whole", "flag", "also what stands behind the pixel data")
FILE_NAME = Parameter("filename", "text", "name of the file in Content-Disposition")

TRANSCODE = Parameter(
    "transcode",
    "text",
    "UID of the transfer syntax to give it in",
)
LOSSY_QUALITY = Parameter(
    "lossy-quality", "number", "quality of JPEG with loss, from 1 to 100; 90 if not given"
)

STORED_FILE = (
    Answer(
        200,
        "The whole file, or what Accept asks for",
        {DICOM: "Bytes", DICOM_JSON: "DicomJson", DICOM_XML: "Bytes"},
    ),
    Answer(206, "The range asked for", {DICOM: "Bytes"}),
    Answer(304, "The file is the one that If-None-Match names", {}),
)
STORED_VALUE = (
    Answer(200, "The value", {BYTES: "Bytes"}),
    Answer(206, "The range asked for", {BYTES: "Bytes"}),
    Answer(304, "The value is the one that If-None-Match names", {}),
)
CONTENT = (
    Answer(200, "Elements or numbers of parts; or a value", {JSON: "Names", BYTES: "Bytes"}),
    *STORED_VALUE[1:],
)
# What may go wrong with every condition and range.
CONDITIONAL = (412, 416)
# What may go wrong with every body: it stops, is too large, of another kind, or finds no room.
BODY_REFUSALS = (400, 408, 413, 415, 503)
