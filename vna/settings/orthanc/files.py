"""Reading Orthanc's configuration: JSON with comments, several files, variables, environment.

What differs from JSON are comments and a comma behind the last of several values; both become
blanks, so that errors name the right line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vna.errors import SettingsError

PREFIX = "ORTHANC__"
# Where containers find what is not to stand in their environment, a file for each variable.
SECRETS = Path("/run/secrets")
MOST_SECRET_BYTES = 64 << 10
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
COMMENT = r"//[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/"
# A string, a comment, or a comma behind the last of several values.
TOKEN = re.compile(rf'"(?:\\.|[^"\\])*+"|{COMMENT}|,(?=(?:\s|{COMMENT})*+[}}\]])', re.DOTALL)


class Value(NamedTuple):
    """What a key is set to, where, and the folder that file names are relative to."""

    value: Any
    source: str
    folder: Path


def read(
    paths: Iterable[Path], environment: Mapping[str, str]
) -> tuple[dict[str, Value], list[str]]:
    """Return the keys of all files, and the variables in them that there are not.

    Raises
    ------
    SettingsError
        If a file cannot be read, is no JSON, or sets a key that another one has set.
    """
    found: dict[str, Value] = {}
    unset: list[str] = []
    for path in paths:
        for key, value in parsed(path, environment, unset).items():
            if key in found:
                raise SettingsError(
                    f"{path}: {key} is also in {found[key].source}; each key has one file"
                )
            found[key] = Value(value, f"{path}: {key}", path.parent)
    return found, unset


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files that are named, folders replaced by the `.json` files in them.

    Raises SettingsError if there is none in one.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(path.glob("*.json"))
        if not inside:
            raise SettingsError(f"{path}: there is no .json file in this folder")
        yield from inside


def parsed(path: Path, environment: Mapping[str, str], unset: list[str]) -> dict[str, Any]:
    """Return what one file says; names of variables that there are not go to `unset`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"{path}: cannot be read: {words}") from None
    try:
        value = json.loads(TOKEN.sub(blanked, substituted(text, environment, unset)))
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from None
    except RecursionError:
        raise SettingsError(f"{path}: it is nested too deeply") from None
    if not isinstance(value, dict):
        raise SettingsError(f"{path}: expected an object of keys, not {type(value).__name__}")
    return value


def substituted(text: str, environment: Mapping[str, str], unset: list[str]) -> str:
    """Return `text` with `${NAME}` and `${NAME:-default}` replaced; empty if there is neither."""

    def replace(match: re.Match[str]) -> str:
        name, default = match.groups()
        if name not in environment and default is None:
            unset.append(name)
        return environment.get(name, default or "")

    return VARIABLE.sub(replace, text)


def blanked(match: re.Match[str]) -> str:
    """Return a string as it is, and blanks for what is not JSON; lines stay lines."""
    text = match[0]
    return text if text.startswith('"') else re.sub(r"[^\n]", " ", text)


def variables(
    environment: Mapping[str, str], secrets: Path = SECRETS
) -> Iterator[tuple[list[str], Any, str]]:
    """Yield path of a key, value and source of each `ORTHANC__A__B`; of files, then variables."""
    given: dict[str, tuple[str, str]] = {}
    for path in sorted(secrets.glob(f"{PREFIX}*")) if secrets.is_dir() else ():
        if path.is_file() and path.stat().st_size <= MOST_SECRET_BYTES:
            given[path.name] = path.read_text(encoding="utf-8").rstrip("\r\n"), str(path)
    for name, text in sorted(environment.items()):
        if name.startswith(PREFIX):
            given[name] = text, name
    for name, (text, source) in given.items():
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        yield name.removeprefix(PREFIX).split("__"), value, source
