"""What the shell offers for the value of an option."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from vna.settings import bare, schema

Offer = tuple[str, str]


def setting(incomplete: str) -> list[Offer]:
    """Offer keys for `--set`, and behind the equals sign what the key takes if that is a choice."""
    name, equals, _ = incomplete.partition("=")
    offers = _values(name) if equals else ((f"{key.name}=", key.description) for key in schema())
    return [offer for offer in offers if offer[0].startswith(incomplete)]


def _values(name: str) -> Iterator[Offer]:
    for key in schema():
        if key.name == name:
            yield from ((f"{name}={choice}", key.description) for choice in choices(key.type))


def choices(declared: Any) -> list[str]:
    """Return the values that a type lists one by one."""
    kind = bare(declared)
    if kind is bool:
        return ["true", "false"]
    return [str(value) for value in get_args(kind)] if get_origin(kind) is Literal else []
