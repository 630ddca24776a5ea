"""The route table: one line a route, in the order of the interface's description."""

from __future__ import annotations

from typing import NamedTuple

from vna.rest import resources, server_routes
from vna.rest.requests import Handler

# Level -> (levels above, levels below), nearest first: what may follow its id in a path.
ABOVE = {
    "patients": (),
    "studies": ("patient",),
    "series": ("study", "patient"),
    "instances": ("series", "study", "patient"),
}
BELOW = {
    "patients": ("studies", "series", "instances"),
    "studies": ("series", "instances"),
    "series": ("instances",),
    "instances": (),
}


class Entry(NamedTuple):
    """One operation."""

    method: str
    path: str
    handler: Handler
    summary: str


def table() -> list[Entry]:
    """Return every operation that is served."""
    entries = [
        Entry("GET", "/system", server_routes.system, "What this server is and can do"),
        Entry("GET", "/statistics", server_routes.statistics, "Counts and sizes"),
        Entry("GET", "/changes", server_routes.changes, "The change feed"),
        Entry("GET", "/health/live", server_routes.live, "Whether the process answers"),
        Entry("GET", "/health/ready", server_routes.ready, "Whether it can do its work"),
        Entry("GET", "/metrics", server_routes.metrics, "Metrics in Prometheus' text form"),
        Entry("POST", "/instances", resources.upload, "Store one DICOM file"),
        Entry("GET", "/instances/{id}/file", resources.file, "The DICOM file as it was received"),
        Entry("GET", "/instances/{id}/tags", resources.tags, "All tags"),
        Entry("GET", "/instances/{id}/simplified-tags", resources.simple, "All tags, by name"),
    ]
    for level in ABOVE:
        entries += [
            Entry("GET", f"/{level}", resources.lister(level), f"List the {level}"),
            Entry("GET", f"/{level}/{{id}}", resources.getter(level), f"One of the {level}"),
            Entry("DELETE", f"/{level}/{{id}}", resources.deleter(level), f"Delete from {level}"),
        ]
        entries += [
            Entry("GET", f"/{level}/{{id}}/{up}", resources.parent(level, up), f"The {up} it is in")
            for up in ABOVE[level]
        ]
        entries += [
            Entry("GET", f"/{level}/{{id}}/{down}", resources.children(level, down), f"Its {down}")
            for down in BELOW[level]
        ]
    return entries
