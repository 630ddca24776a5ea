"""Routes of what the index keeps: many resources at once, tags beside the usual ones, rows anew."""

from __future__ import annotations

from vna.rest.describe import JSON, TEXT, Body, Entry, Parameter, answer
from vna.rest.levels import reconstructor
from vna.rest.workflow_routes import imported_on_use

LEVEL = Parameter("level", "text", "Patient, Study, Series or Instance; of the tag if not said")
TAG = Parameter("tag", "text", "its keyword, or gggg,eeee")
EMPTY = answer("Text", media_type=TEXT)
RECONSTRUCTION = Body({JSON: "Reconstruct"}, "What of it is written anew; may be empty")


def table() -> list[Entry]:
    """Return the operations."""
    of_levels = [
        Entry(
            "POST",
            f"/{level}/{{id}}/reconstruct",
            reconstructor(level),
            "Read its tags, and those of all above and below it, from its files again",
            EMPTY,
            body=RECONSTRUCTION,
        )
        for level in ("patients", "studies", "series", "instances")
    ]
    return ROUTES + of_levels


ROUTES = [
    Entry(
        "POST",
        "/tools/bulk-content",
        imported_on_use("index_tags.bulk_content"),
        "Many resources at once, of any level",
        answer("BulkContent"),
        body=Body({JSON: "BulkContentRequest"}, "Their ids, and what to tell of them"),
    ),
    Entry(
        "DELETE",
        "/changes",
        imported_on_use("index_tags.clear_changes"),
        "Clear the change feed; numbers go on",
        EMPTY,
    ),
    Entry(
        "POST",
        "/tools/reconstruct",
        imported_on_use("index_tags.reconstruct_all"),
        "Read the tags of all resources from files again",
        EMPTY,
        body=RECONSTRUCTION,
    ),
    Entry(
        "POST",
        "/tools/invalidate-tags",
        imported_on_use("index_tags.invalidate"),
        "Forget summaries of tags; there are none",
        EMPTY,
    ),
    Entry(
        "GET",
        "/tools/index-tags",
        imported_on_use("index_tags.listed"),
        "Tags that are indexed beside the usual ones",
        answer("IndexTags"),
    ),
    Entry(
        "POST",
        "/tools/index-tags",
        imported_on_use("index_tags.add"),
        "Index a tag; a job reads what is stored already",
        answer("IndexTagAdded"),
        body=Body({JSON: "IndexTagRequest"}, "The tag, and the level whose it is"),
    ),
    Entry(
        "DELETE",
        "/tools/index-tags",
        imported_on_use("index_tags.remove"),
        "Index a tag no more",
        EMPTY,
        query=(TAG, LEVEL),
    ),
]
