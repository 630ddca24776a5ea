"""Routes of STOW-RS, of deletion, and of what the service can do (PS3.18 §10.5, §8.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vna.rest.describe import DICOM, DICOM_JSON, DICOM_XML, JSON, Answer, Body, Entry
from vna.rest.workflow_routes import imported_on_use

if TYPE_CHECKING:
    from vna.settings import Dicomweb

WADL = "application/vnd.sun.wadl+xml"
RELATED = "multipart/related"

MODULE = {DICOM_JSON: "DicomJson", DICOM_XML: "Bytes", JSON: "DicomJson"}
# A refusal names what could not be stored, or is an error as everywhere.
REFUSAL = {DICOM_JSON: "Any", DICOM_XML: "Bytes", JSON: "Any"}
STORED = (
    Answer(200, "All is stored", MODULE),
    Answer(202, "Some is stored, or all with warnings; the sequences tell which", MODULE),
    *(Answer(status, "Nothing is stored", REFUSAL) for status in (400, 409, 413, 415, 503)),
)
INSTANCES = Body(
    {RELATED: "Bytes", DICOM: "Bytes"},
    "Files as parts of type application/dicom, or one alone; or metadata in JSON or XML and parts "
    "with bulk data, which Content-Location joins to it",
)
REFUSED = (400, 406, 409, 413, 415, 503)
DELETED = (Answer(204, "It is deleted, and can be brought back for a time", {}),)

# Paths begin behind dicomweb.root.
ROUTES: list[Entry] = [
    Entry(
        "POST",
        "/studies",
        imported_on_use("dicomweb.store.store"),
        "Store instances",
        STORED,
        body=INSTANCES,
        refusals=REFUSED,
    ),
    Entry(
        "POST",
        "/studies/{study}",
        imported_on_use("dicomweb.store.store"),
        "Store instances of a study",
        STORED,
        body=INSTANCES,
        refusals=REFUSED,
    ),
    Entry(
        "OPTIONS",
        "",
        imported_on_use("dicomweb.capabilities.describe"),
        "What the service can do, as WADL or JSON",
        (Answer(200, "The resources and their methods", {WADL: "Bytes", JSON: "Any"}),),
        refusals=(406,),
    ),
]

STUDY = "/studies/{study}"
SERIES = f"{STUDY}/series/{{series}}"
DELETIONS = [
    Entry(
        "DELETE",
        path,
        imported_on_use("dicomweb.delete.delete"),
        f"Delete {what}",
        DELETED,
        refusals=(400, 404, 410),
    )
    for path, what in (
        (STUDY, "a study"),
        (SERIES, "a series"),
        (f"{SERIES}/instances/{{instance}}", "an instance"),
    )
]


def deletions(settings: Dicomweb) -> list[Entry]:
    """Return the routes of deletion, which is an extension: none unless it is switched on."""
    return DELETIONS if settings.delete else []
