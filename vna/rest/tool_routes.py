"""Routes of the server itself: its tools, plugins, front page, and files that it writes."""

from __future__ import annotations

from vna.rest.describe import JSON, TEXT, Answer, Body, Entry, Parameter, answer
from vna.rest.remote_routes import EMPTY
from vna.rest.workflow_routes import imported_on_use

HTML = "text/html"
SVG = "image/svg+xml"
JAVASCRIPT = "application/javascript"

ROUTES = [
    Entry(
        "GET",
        "/",
        imported_on_use("tools.front"),
        "A page for browsers",
        answer("Text", media_type=HTML),
    ),
    Entry(
        "GET",
        "/favicon.ico",
        imported_on_use("tools.icon"),
        "The sign of it",
        answer("Text", media_type=SVG),
    ),
    Entry(
        "GET",
        "/conformance-statement",
        imported_on_use("conformance.statement"),
        "What is said of us on the DICOM network and over DICOMweb (PS3.2)",
        (Answer(200, "As asked", {HTML: "Text", JSON: "Any", TEXT: "Text"}),),
        query=(Parameter("format", "text", "html, json or text; goes before Accept"),),
        refusals=(406,),
    ),
    Entry("GET", "/tools", imported_on_use("tools.listed"), "What is below it", answer("Names")),
    Entry(
        "GET",
        "/tools/default-encoding",
        imported_on_use("tools.default_encoding"),
        "What text is read as whose data set does not say it",
        EMPTY,
    ),
    Entry(
        "PUT",
        "/tools/default-encoding",
        imported_on_use("tools.set_default_encoding"),
        "Confirm what is in force; nothing else can be set",
        EMPTY,
        body=Body({TEXT: "Text"}, "The name of an encoding"),
        refusals=(501,),
    ),
    Entry(
        "GET",
        "/tools/dicom-conformance",
        imported_on_use("tools.dicom_conformance"),
        "What is said of us on the DICOM network",
        EMPTY,
    ),
    Entry(
        "POST",
        "/tools/execute-script",
        imported_on_use("tools.execute_script"),
        "Always 403: scripts that come with a request are not run",
        EMPTY,
        body=Body({TEXT: "Text"}, "A script"),
    ),
    Entry(
        "POST",
        "/tools/reset",
        imported_on_use("tools.reset"),
        "Begin anew, with the configuration as it is now",
        answer("Done"),
        refusals=(501,),
    ),
    Entry(
        "POST",
        "/tools/shutdown",
        imported_on_use("tools.shutdown"),
        "End the server",
        answer("Done"),
        refusals=(501,),
    ),
    Entry(
        "GET",
        "/plugins",
        imported_on_use("tools.plugins"),
        "Plugins, of which there are none",
        answer("Names"),
    ),
    Entry(
        "GET",
        "/plugins/explorer.js",
        imported_on_use("tools.explorer"),
        "What plugins add to Orthanc's explorer",
        answer("Text", media_type=JAVASCRIPT),
    ),
    Entry("GET", "/plugins/{id}", imported_on_use("tools.plugin"), "Always 404", answer("Any")),
    Entry(
        "POST",
        "/instances/{id}/export",
        imported_on_use("tools.export"),
        "Write the file on the server's machine, if http.export_folder allows it",
        answer("Done"),
        body=Body({TEXT: "Text"}, "The name of a file below that folder"),
        refusals=(507,),
    ),
]
