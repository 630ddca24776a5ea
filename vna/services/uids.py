"""Identifiers: what they may look like, and new ones that nobody has given before."""

from __future__ import annotations

import re
import uuid

# PS3.5 §9.1; components with leading zeros are none, and too common to be refused.
FORM = re.compile(r"[0-9]+(\.[0-9]+)*")
MAX_LENGTH = 64


def is_uid(text: str) -> bool:
    """Whether a text can be a UID."""
    return len(text) <= MAX_LENGTH and FORM.fullmatch(text) is not None


def generate() -> str:
    """Return a new UID: a UUID is one below 2.25 (PS3.5 §B.2)."""
    return f"2.25.{uuid.uuid4().int}"
