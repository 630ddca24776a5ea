"""How commands find an archive: the server that has its folder open, or the folder itself."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from vna.errors import NotFound
from vna.settings import Settings

FILE = "server.json"


def announce(settings: Settings, http_url: str, dicom: tuple[str, int] | None) -> Path:
    """Write who serves this folder and where; returns the file, to be removed at the end."""
    path = Path(settings.storage.root) / FILE
    content = {"pid": os.getpid(), "http": http_url, "dicom": list(dicom) if dicom else None}
    # Renamed into place: no reader meets half of it. A hint and no state, so it need not be synced.
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)
    return path


def find(settings: Settings) -> str | None:
    """Return the URL that the server of this folder said it has; it may be gone since."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads((Path(settings.storage.root) / FILE).read_text(encoding="utf-8"))
        return str(content["http"])
    return None


def require_archive(settings: Settings) -> None:
    """Raise NotFound if there is no archive: a command that looks at one must not make it."""
    root = Path(settings.storage.root)
    if not any((root / part).is_dir() for part in ("log", "index")):
        raise NotFound(f"storage.root: no archive in {root}; name its folder with --root")
