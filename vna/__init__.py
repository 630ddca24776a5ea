"""A vendor neutral archive: Python decides, Rust moves. ``ARCHITECTURE.md`` tells how.

For scripts and notebooks: `open` opens an archive, `dcmread` reads a file as a pydicom data set,
`pixel_array` its pixels; ``docs/python.md`` shows how.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Name -> module and name there: imported when first asked for. The server imports this package and
# none of them.
PUBLIC = {
    "dcmread": ("vna.dataset", "dcmread"),
    "open": ("vna.client", "open_archive"),
    "pixel_array": ("vna.pixels", "pixel_array"),
}


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = PUBLIC[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
