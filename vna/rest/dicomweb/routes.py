"""The route table of DICOMweb: that of each of its transactions, below the roots of the settings.

Each table is its own module, whose paths begin behind the root. What answers is imported by the
first request that needs it.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from vna.rest.dicomweb import (
    query_routes,
    rendered_routes,
    retrieve_routes,
    server_routes,
    store_routes,
)

if TYPE_CHECKING:
    from vna.rest.describe import Entry
    from vna.settings import Dicomweb

TABLES = (query_routes, retrieve_routes, store_routes, rendered_routes, server_routes)


def table(settings: Dicomweb) -> list[Entry]:
    """Return all operations of DICOMweb with their whole paths."""
    entries = chain(*(each.ROUTES for each in TABLES), store_routes.deletions(settings))
    found = [entry._replace(path=settings.root + entry.path) for entry in entries]
    uri = rendered_routes.WADO_URI
    return [*found, *(entry._replace(path=settings.wado_root + entry.path) for entry in uri)]
