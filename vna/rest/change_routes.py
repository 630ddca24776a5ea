"""Routes that make new instances of others, or of what a request brings along.

Their modules are imported by the first request that needs them.
"""

from __future__ import annotations

from vna.rest.describe import JSON, Body, Entry, answer
from vna.rest.workflow_routes import imported_on_use

ROUTES = [
    Entry(
        "POST",
        "/tools/create-dicom",
        imported_on_use("creating.create_dicom"),
        "Make an instance of tags, a picture or a document; or a series of several",
        answer("Created"),
        body=Body({JSON: "CreateDicom"}, "Its tags, and what it holds as a data URI"),
        refusals=(501, 507),
    ),
]
