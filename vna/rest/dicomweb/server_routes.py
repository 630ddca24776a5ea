"""Routes of other DICOMweb servers, whose client the archive is."""

from __future__ import annotations

from vna.rest.describe import Entry

# Paths begin behind dicomweb.root.
ROUTES: list[Entry] = []
