"""Identifiers that nobody has given before."""

from __future__ import annotations

import uuid


def generate() -> str:
    """Return a new UID: a UUID is one below 2.25 (PS3.5 §B.2)."""
    return f"2.25.{uuid.uuid4().int}"
