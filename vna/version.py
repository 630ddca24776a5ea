"""The version of the package: that of the core, which the wheel takes it from."""

from __future__ import annotations

from vna import _core


def version() -> str:
    """Return the version, such as `0.1.0`."""
    return _core.VERSION
