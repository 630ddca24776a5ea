"""Routes of WADO-RS: retrieve (PS3.18 §10.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vna.rest.describe import (
    BYTES,
    CONDITIONAL,
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    STORED_VALUE,
    ZIP,
    Answer,
    Entry,
    Parameter,
)
from vna.rest.workflow_routes import imported_on_use

if TYPE_CHECKING:
    from starlette.responses import Response

    from vna.rest.requests import Call, Handler

RELATED = "multipart/related"
ACCEPT = Parameter("accept", "text", "media types as in the Accept header, before which it goes")
CHARSET = Parameter("charset", "text", "character set of texts; there is UTF-8")
ASKED = (ACCEPT, CHARSET)
REFUSALS = (404, 406, 410, *CONDITIONAL)

PARTIAL = Answer(206, "The range, or those instances that can be given so", {RELATED: "Bytes"})
UNCHANGED = Answer(304, "It is what If-None-Match names", {})
INSTANCES = (
    Answer(200, "As Accept asks", {RELATED: "Bytes", DICOM: "Bytes", ZIP: "Bytes"}),
    PARTIAL,
    UNCHANGED,
)
FRAMES = (
    Answer(200, "A part for each frame, or one frame", {RELATED: "Bytes", BYTES: "Bytes"}),
    PARTIAL,
    UNCHANGED,
)
METADATA = (
    Answer(200, "An object for each instance", {DICOM_JSON: "DicomJson", DICOM_XML: "Bytes"}),
    UNCHANGED,
)

STUDY = "/studies/{study}"
SERIES = f"{STUDY}/series/{{series}}"
INSTANCE = f"{SERIES}/instances/{{instance}}"
LEVELS = ((STUDY, "a study"), (SERIES, "a series"), (INSTANCE, "an instance"))

GIVEN = frozenset({200, 206, 304})


def retrieving(function: str) -> Handler:
    """Return a handler whose answers say where what they give is (PS3.18 §8.4.2, §8.6)."""
    handler = imported_on_use(function)

    async def located(call: Call) -> Response:
        answer = await handler(call)
        if answer.status_code in GIVEN:
            from vna.rest.dicomweb.urls import target_uri

            answer.headers["Content-Location"] = target_uri(call)
        return answer

    return located


instances = retrieving("dicomweb.retrieve.instances")
pixel_data = retrieving("dicomweb.retrieve.pixel_data")
metadata = retrieving("dicomweb.metadata.metadata")
all_bulk_data = retrieving("dicomweb.bulkdata.all_bulk_data")


def of_level(path: str, what: str) -> list[Entry]:
    """Return the routes that each level has (PS3.18 Tables 10.4.1-1 to 10.4.1-6)."""
    return [
        Entry("GET", path, instances, f"Retrieve {what}", INSTANCES, ASKED, None, REFUSALS),
        Entry(
            "GET",
            f"{path}/metadata",
            metadata,
            f"Metadata of {what}",
            METADATA,
            ASKED,
            None,
            (404, 406, 410, 412),
        ),
        Entry(
            "GET",
            f"{path}/bulkdata",
            all_bulk_data,
            f"All bulk data of {what}",
            FRAMES,
            ASKED,
            None,
            REFUSALS,
        ),
        Entry(
            "GET",
            f"{path}/pixeldata",
            pixel_data,
            f"Pixel data of {what}",
            FRAMES,
            ASKED,
            None,
            REFUSALS,
        ),
    ]


# Paths begin behind dicomweb.root.
ROUTES: list[Entry] = [
    *(entry for path, what in LEVELS for entry in of_level(path, what)),
    Entry(
        "GET",
        f"{INSTANCE}/frames/{{frames}}",
        retrieving("dicomweb.retrieve.frames"),
        "Frames of an instance: numbers from 1 on, commas between them",
        FRAMES,
        ASKED,
        None,
        (*REFUSALS, 415, 503),
    ),
    Entry(
        "GET",
        f"{INSTANCE}/bulkdata/{{path:path}}",
        retrieving("dicomweb.bulkdata.bulk_data"),
        "The value that a BulkDataURI stands for",
        STORED_VALUE,
        ASKED,
        None,
        REFUSALS,
    ),
]
