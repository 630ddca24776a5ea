"""Reading the configuration: from a file, the environment and flags, each over the one before."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from vna.errors import SettingsError
from vna.settings.contradictions import contradictions
from vna.settings.sections import SECTIONS, Settings

ENVIRONMENT_PREFIX = "VNA__"
CONFIG_FILE = "vna.toml"


class Key(NamedTuple):
    """One key of the schema."""

    name: str
    type: Any
    default: Any
    description: str


class Given(NamedTuple):
    """A value that someone set, and where, for the message if it is wrong."""

    name: str
    value: Any
    source: str
    is_text: bool  # from the environment or a flag: still to be read as the key's type


def schema() -> Iterator[Key]:
    """Yield every key; reference, JSON schema and ``vna config --explain`` come from here."""
    for section, struct in SECTIONS.items():
        for field in msgspec.structs.fields(struct):
            default = (
                field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
            )
            description = _description(field.type)
            yield Key(f"{section}.{field.name}", field.type, default, description)


def _description(declared: Any) -> str:
    metas = [meta for meta in getattr(declared, "__metadata__", ()) if isinstance(meta, Meta)]
    return next((meta.description for meta in reversed(metas) if meta.description), "")


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Settings:
    """Read the configuration.

    Parameters
    ----------
    file : Path, optional
        The file to read, which must exist. Without it `vna.toml` of the current folder is read if
        there is one.
    environment : Mapping, optional
        Where ``VNA__SECTION__KEY`` is looked for; the process's own if None.
    flags : Mapping, optional
        Dotted key to text, from the command line.

    Raises
    ------
    SettingsError
        Naming every wrong key at once, each with its place and what would have been right.
    """
    return build(gather(file, environment, flags).values())


def gather(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
    base: Iterable[Given] = (),
) -> dict[str, Given]:
    """Return what was set and where, by key, not yet checked; parameters as of `load`.

    `base` is what holds where nothing else says something.
    """
    given = {each.name: each for each in base}
    layers = (
        _from_file(file),
        _from_environment(os.environ if environment is None else environment),
        (Given(name, text, f"flag {name}", True) for name, text in (flags or {}).items()),
    )
    for layer in layers:
        given.update((each.name, each) for each in layer)
    return given


def build(given: Iterable[Given]) -> Settings:
    """Check `given` against the schema and return the settings with all else at its default."""
    keys = {key.name: key for key in schema()}
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    problems: list[str] = []
    for each in given:
        key = keys.get(each.name)
        if key is None:
            problems.append(
                f"{each.name} ({each.source}): unknown key{_suggestion(each.name, keys)}"
            )
            continue
        section, _, field = each.name.partition(".")
        try:
            values[section][field] = _read(each, key.type)
        except msgspec.ValidationError as error:
            problems.append(
                f"{each.name} ({each.source}): {_wording(error, key)}{_found(error, each.value)}"
            )
    if not problems:
        # Conversion checks the constraints once more, on what will be used.
        settings = msgspec.convert(values, Settings)
        problems = list(contradictions(settings))
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _from_file(file: Path | None) -> Iterator[Given]:
    path = Path(CONFIG_FILE) if file is None else file
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file is None:
            return
        raise SettingsError(
            f"{path}: no such file; leave out --config to run on defaults"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    for section, table in tables.items():
        if isinstance(table, dict):
            for field, value in table.items():
                yield Given(f"{section}.{field}", value, str(path), False)
        else:
            yield Given(section, table, str(path), False)


def _from_environment(environment: Mapping[str, str]) -> Iterator[Given]:
    for variable, text in sorted(environment.items()):
        if variable.startswith(ENVIRONMENT_PREFIX):
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            yield Given(name, text, variable, True)


def _read(given: Given, declared: Any) -> Any:
    if not given.is_text:
        return msgspec.convert(given.value, declared)
    text = given.value.strip()
    kinds = alternatives(declared)
    is_list = any(get_origin(bare(kind)) is list for kind in kinds)
    if is_list and (len(kinds) == 1 or "," in text):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return msgspec.convert(parts, declared, strict=False)
    return msgspec.convert(text, declared, strict=False)


def bare(declared: Any) -> Any:
    """Return a type without its constraints and description."""
    return declared.__origin__ if hasattr(declared, "__metadata__") else declared


def alternatives(declared: Any) -> tuple[Any, ...]:
    """Return the types that a key may be of: mostly one."""
    kind = bare(declared)
    return get_args(kind) if get_origin(kind) in {Union, UnionType} else (declared,)


def _wording(error: msgspec.ValidationError, key: Key) -> str:
    if "matching regex" in str(error) and key.name.endswith("aet"):
        return "expected an AE title: 1 to 16 printable ASCII characters without backslash"
    if get_origin(bare(key.type)) is Literal:
        return "expected one of " + ", ".join(repr(value) for value in get_args(bare(key.type)))
    wording = str(error).partition(" - at ")[0].partition(", got ")[0]
    return wording[:1].lower() + wording[1:]


def _found(error: msgspec.ValidationError, value: Any) -> str:
    """Tell what was found; of tables only where, since they may hold passwords."""
    if isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(one, dict) for one in value)
    ):
        place = str(error).partition(" - at `$")[2].rstrip("`")
        return f", at {place}" if place else ""
    return f", not {value!r}"


def _suggestion(name: str, keys: Iterable[str]) -> str:
    from difflib import get_close_matches  # only a mistake pays for it

    section, _, field = name.partition(".")
    known = [key.partition(".")[2] for key in keys if key.startswith(f"{section}.")]
    if known:
        near = [f"{section}.{other}" for other in get_close_matches(field, known, n=1)]
    else:
        near = get_close_matches(name, keys, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    if known:
        return f"; [{section}] has {', '.join(known)}"
    return f"; sections are {', '.join(SECTIONS)}"
