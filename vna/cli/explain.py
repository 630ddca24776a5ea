"""The settings as text, made from the schema."""

from __future__ import annotations

import json
from typing import Any

from vna.settings import SECTIONS, Settings, schema


def to_toml(settings: Settings, *, explain: bool) -> str:
    """Return `settings` as a `vna.toml`, with what each key means if `explain`."""
    lines: list[str] = []
    for section in SECTIONS:
        lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        for key in schema():
            table, _, field = key.name.partition(".")
            if table != section:
                continue
            if explain:
                lines.append(f"# {key.description}. Default: {toml_value(key.default)}")
            value = getattr(getattr(settings, section), field)
            lines.append(f"{field} = {toml_value(value)}")
    return "\n".join(lines)


def toml_value(value: Any) -> str:
    """Return a value of the schema in TOML, which for these types is written as in JSON."""
    return json.dumps(value, ensure_ascii=False)
