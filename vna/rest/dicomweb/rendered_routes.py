"""Routes of rendered resources and thumbnails, and of WADO-URI (PS3.18 §10.4.1.1.3, §9.5)."""

from __future__ import annotations

from vna.rest.describe import Entry

# Paths begin behind dicomweb.root.
ROUTES: list[Entry] = []

# Paths begin behind dicomweb.wado_root.
WADO_URI: list[Entry] = []
