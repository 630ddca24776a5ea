"""The settings as text for people, programs and the manual, all made from the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args, get_origin

import msgspec
from msgspec import Meta

from vna.cli.complete import choices
from vna.settings import (
    CONFIG_FILE,
    ENVIRONMENT_PREFIX,
    SECTIONS,
    Given,
    Key,
    Settings,
    alternatives,
    bare,
    schema,
)

if TYPE_CHECKING:
    from vna.settings.orthanc import Note

TYPES = {bool: "true or false", int: "integer", float: "number", str: "text"}
BOUNDS = {
    "ge": "at least {}",
    "gt": "more than {}",
    "le": "at most {}",
    "lt": "less than {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
    "pattern": "like {}",
}


def to_toml(settings: Settings, *, explain: bool, given: Mapping[str, Given] | None = None) -> str:
    """Return `settings` as a `vna.toml`; if `explain`, with what each key means and who set it."""
    lines: list[str] = []
    for section, struct in SECTIONS.items():
        lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        if explain:
            lines.append(f"# {struct.__doc__}")
        for key in schema():
            table, _, field = key.name.partition(".")
            if table != section:
                continue
            if explain:
                lines += ["", f"# {key.description}. Default: {toml_value(key.default)}"]
                lines.append(f"# Takes: {takes(key)}")
                if given and key.name in given:
                    lines.append(f"# Set by: {given[key.name].source}")
            value = getattr(getattr(settings, section), field)
            lines.append(f"{field} = {toml_value(value)}")
    return "\n".join(lines)


def toml_value(value: Any) -> str:
    """Return a value of the schema in TOML, which but for tables is written as in JSON."""
    value = msgspec.to_builtins(value)
    if isinstance(value, dict):
        # TOML has no null: what is not there is not said.
        said = {toml_key(key): toml_value(v) for key, v in value.items() if v is not None}
        return "{ " + ", ".join(f"{key} = {text}" for key, text in said.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def toml_key(key: str) -> str:
    """Return the name of a member of a table, quoted if it has to be."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def of_orthanc(notes: Iterable[Note]) -> str:
    """Return what there is to say of the keys of an Orthanc, as comments."""
    lines = []
    for kind, title in (
        ("effect", "Keys of Orthanc, and what they come to"),
        ("none", "Keys of Orthanc that have no effect, and why"),
        ("unknown", "Keys that Orthanc does not know either"),
        ("remark", "To be known"),
    ):
        said = [f"#   {note.key}: {note.text}" for note in notes if note.kind == kind]
        if said:
            lines += ["", f"# {title}", *said]
    return "\n".join(lines)


def takes(key: Key) -> str:
    """Return what a key may be, in words."""
    return _takes(key.type)


def _takes(declared: Any) -> str:
    if offered := choices(declared):
        return " or ".join(offered)
    kind = bare(declared)
    if get_origin(kind) is list:
        return f"list of {_takes(get_args(kind)[0])}"
    if len(kinds := alternatives(declared)) > 1:
        return " or ".join(map(_takes, kinds))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return "tables with " + ", ".join(kind.__struct_fields__)
    return ", ".join([TYPES.get(kind, str(kind)), *_bounds(declared)])


def _bounds(declared: Any) -> Iterator[str]:
    for meta in getattr(declared, "__metadata__", ()):
        if isinstance(meta, Meta):
            for name, wording in BOUNDS.items():
                if (bound := getattr(meta, name)) is not None:
                    yield wording.format(bound)


def entries(settings: Settings, given: Mapping[str, Given]) -> list[dict[str, Any]]:
    """Return all keys for programs: value, default, source, meaning, what they take."""
    found = []
    for key in schema():
        section, _, field = key.name.partition(".")
        found.append(
            {
                "key": key.name,
                "value": msgspec.to_builtins(getattr(getattr(settings, section), field)),
                "default": msgspec.to_builtins(key.default),
                "source": given[key.name].source if key.name in given else "default",
                "takes": takes(key),
                "environment": variable(key),
                "description": key.description,
            }
        )
    return found


def variable(key: Key) -> str:
    """Return the environment variable of a key."""
    return ENVIRONMENT_PREFIX + key.name.replace(".", "__").upper()


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a `vna.toml`, for editors and programs that write one."""
    document = msgspec.json.schema(Settings)
    for definition in document["$defs"].values():
        # As when it is read: a key that nobody knows is an error.
        definition["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}


def to_markdown() -> str:
    """Return the reference of all keys; `docs/configuration.md` is this."""
    lines = [
        "# Configuration",
        "",
        "Made by `vna config --markdown` from `vna/settings/`; do not edit.",
        "",
        f"A key is set in `{CONFIG_FILE}` of the current folder or `--config FILE`, overridden by",
        f"the environment (`{ENVIRONMENT_PREFIX}DICOM__AET` for `dicom.aet`), overridden by flags",
        "(`--set dicom.aet=PACS`). In the last two a list is written with commas. A key that is",
        "not listed here is an error. `vna config --explain` shows what is in force and who set",
        "it, `vna config --schema` a JSON schema for editors.",
    ]
    for section, struct in SECTIONS.items():
        lines += ["", f"## [{section}]", "", str(struct.__doc__), ""]
        lines += ["| key | takes | default | meaning |", "| --- | --- | --- | --- |"]
        for key in schema():
            if key.name.startswith(f"{section}."):
                cells = [f"`{key.name}`", takes(key), f"`{toml_value(key.default)}`"]
                lines.append(f"| {' | '.join(map(_cell, [*cells, key.description]))} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
