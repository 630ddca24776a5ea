"""Passwords: argon2id, imported when the first one is hashed or compared.

A hash takes 64 MiB and some 0.1 s by intention (RFC 9106 §4, the second recommended option), so no
two are computed at a time, and never on the loop.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher


@functools.cache
def hasher() -> PasswordHasher:
    """Return what hashes and compares."""
    from argon2 import PasswordHasher

    return PasswordHasher()


@functools.cache
def nobodys() -> str:
    """Return a hash that no password has: to compare with takes as long as with any other."""
    return hasher().hash("\0 the password of nobody")


def hashed(password: str) -> str:
    """Return what is kept of a password."""
    return hasher().hash(password)


def matches(password_hash: str | None, password: str) -> bool:
    """Whether this is the password; takes as long if there is none."""
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        hasher().verify(nobodys() if password_hash is None else password_hash, password)
    except (Argon2Error, InvalidHashError):
        return False
    return password_hash is not None
