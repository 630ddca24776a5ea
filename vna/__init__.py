"""A vendor neutral archive: Python decides, Rust moves. ``ARCHITECTURE.md`` tells how.

For scripts and notebooks: `dcmread` reads a file as a pydicom data set.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Name -> module: imported when first asked for. The server imports this package and none of them.
PUBLIC = {"dcmread": "vna.dataset"}


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
