"""Routes that keep a server in check: deletion of many, metrics, how much is logged.

Their modules are imported by the first request that needs them.
"""

from __future__ import annotations

from vna.rest.describe import JSON, TEXT, Body, Entry, answer
from vna.rest.workflow_routes import imported_on_use

# What can be told more of; clients know these names.
CATEGORIES = ("generic", "plugins", "http", "sqlite", "dicom", "jobs", "lua")
LEVEL = Body({TEXT: "LogLevel"}, "default, verbose or trace")


def log_level_routes() -> list[Entry]:
    """Return how the level of each category, and of all, is read and set."""
    entries = []
    for suffix in ("", *(f"-{category}" for category in CATEGORIES)):
        path = f"/tools/log-level{suffix}"
        what = suffix.removeprefix("-") or "all categories"
        entries += [
            Entry(
                "GET",
                path,
                imported_on_use("log_levels.read"),
                f"How much is logged: {what}",
                answer("LogLevel", media_type=TEXT),
            ),
            Entry(
                "PUT",
                path,
                imported_on_use("log_levels.write"),
                f"Set how much is logged until the server ends: {what}",
                answer("Text", "It holds from now on", TEXT),
                body=LEVEL,
                refusals=(400,),
            ),
        ]
    return entries


ROUTES = [
    Entry(
        "POST",
        "/tools/bulk-delete",
        imported_on_use("bulk_delete.bulk_delete"),
        "Delete resources of any level; those that are not there are passed over",
        answer("Text", "They are deleted", TEXT),
        body=Body({JSON: "BulkDelete"}, "Which"),
        refusals=(400, 405, 507),
    ),
    Entry(
        "GET",
        "/tools/metrics",
        imported_on_use("metrics.read_switch"),
        "Whether metrics are given at /tools/metrics-prometheus: 1 or 0",
        answer("Text", media_type=TEXT),
    ),
    Entry(
        "PUT",
        "/tools/metrics",
        imported_on_use("metrics.write_switch"),
        "Set whether metrics are given there, until the server ends",
        answer("Text", "It holds from now on", TEXT),
        body=Body({TEXT: "Text"}, "1 or 0, true or false"),
        refusals=(400,),
    ),
    Entry(
        "GET",
        "/tools/metrics-prometheus",
        imported_on_use("metrics.prometheus"),
        "Metrics under the names of Orthanc, then our own, in Prometheus' text form",
        answer("Text", media_type=TEXT),
    ),
    *log_level_routes(),
]
