"""The version of the installed package."""

from __future__ import annotations

from functools import cache


@cache
def version() -> str:
    """Return the version that the wheel was built with, such as `0.1.0`."""
    # Reading metadata imports the mail parser: at first use, not at start.
    from importlib.metadata import version as installed

    return installed("vna")
