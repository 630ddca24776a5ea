"""Routes of QIDO-RS: search (PS3.18 §10.6)."""

from __future__ import annotations

from vna.rest.describe import Entry

# Paths begin behind dicomweb.root.
ROUTES: list[Entry] = []
