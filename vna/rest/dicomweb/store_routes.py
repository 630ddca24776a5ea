"""Routes of STOW-RS, of deletion, and of what the service can do (PS3.18 §10.5, §8.9)."""

from __future__ import annotations

from vna.rest.describe import Entry

# Paths begin behind dicomweb.root.
ROUTES: list[Entry] = []
