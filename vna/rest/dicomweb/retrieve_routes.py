"""Routes of WADO-RS: retrieve (PS3.18 §10.4)."""

from __future__ import annotations

from vna.rest.describe import Entry

# Paths begin behind dicomweb.root.
ROUTES: list[Entry] = []
