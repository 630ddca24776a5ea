"""A site's own configuration of Orthanc, as settings and as what there is to say of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vna.settings.orthanc import effects, files
from vna.settings.orthanc.files import Value
from vna.settings.orthanc.keys import Keys
from vna.settings.orthanc.table import TABLE, USERS, Idle, Make, Maps
from vna.settings.reading import Given


class Note(NamedTuple):
    """What is to be said of a key: it has an effect, has none, is unknown, or something else.

    `is_quiet` is what asks for nothing that is not done.
    """

    key: str
    kind: Literal["effect", "none", "unknown", "remark"]
    text: str
    is_quiet: bool = False


class Site(NamedTuple):
    """Settings, each with its source, and notes."""

    given: list[Given]
    notes: list[Note]


def read(
    paths: Iterable[Path],
    hashed: Callable[[str], str],
    environment: Mapping[str, str] | None = None,
    secrets: Path = files.SECRETS,
) -> Site:
    """Read Orthanc's configuration files, or folders of them, and `ORTHANC__` variables.

    Parameters
    ----------
    paths : iterable of Path
        Files or folders.
    hashed : callable
        What makes of a password what is kept of it.
    environment : Mapping, optional
        The process's own if None.
    secrets : Path
        Folder of files named like variables, as containers have it.

    Raises
    ------
    SettingsError
        If a file cannot be read, or a key has a value that it cannot have.
    """
    environment = os.environ if environment is None else environment
    paths = list(files.files(paths))
    values, unset = files.read(paths, environment)
    for path, value, source in files.variables(environment, secrets):
        overlay(values, path, value, source)
    keys = Keys(values, paths[0].parent if paths else Path())
    notes = [Note(name, "remark", f"the variable {name} is not set: empty") for name in unset]
    notes += noted(keys)
    notes += moving_in(keys)
    return Site(settings(keys, hashed), sorted(notes, key=lambda note: note.kind))


def settings(keys: Keys, hashed: Callable[[str], str]) -> list[Given]:
    """Return the settings that keys come to, the later ones over those before them."""
    found: dict[str, Given] = {}
    for source, make in makers(hashed):
        where = next((keys.source(key) for key in source if key in keys), "Orthanc's default")
        for setting, value in make(keys):
            found[setting] = Given(setting, value, where, False)
    return list(found.values())


def makers(hashed: Callable[[str], str]) -> Iterator[tuple[list[str], Make]]:
    """Yield each function of the table once, with the keys that it reads."""
    yield [], effects.ways
    yield [USERS], effects.users(hashed)
    sources: dict[Make, list[str]] = {}
    for key, entry in TABLE.items():
        if isinstance(entry, Maps):
            sources.setdefault(entry.make, []).append(key)
    for make, source in sources.items():
        yield source, make


def noted(keys: Keys) -> Iterator[Note]:
    """Yield what there is to say of each key."""
    for key, (value, _, _) in keys.values.items():
        entry = TABLE.get(key)
        if key == USERS:
            yield Note(key, "effect", "http.users; passwords as hashes", True)
        elif key.startswith("_"):
            continue  # so do sites write what is to be left out
        elif entry is None:
            near = get_close_matches(key, TABLE, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield Note(key, "unknown", f"Orthanc has no such key{hint}")
        elif isinstance(entry, Maps):
            remark = f"; {entry.remark}" if entry.remark else ""
            yield Note(key, "effect", ", ".join(entry.settings) + remark, True)
        else:
            yield Note(key, "none", entry.reason, is_asked_for_nothing(entry, value))


def is_asked_for_nothing(entry: Idle, value: Any) -> bool:
    """Whether a key is at a value at which it makes no difference."""
    return any(type(value) is type(quiet) and value == quiet for quiet in entry.quiet)


def moving_in(keys: Keys) -> Iterator[Note]:
    """Yield how to bring in what Orthanc has stored, if there is something."""
    folder = effects.orthanc_storage(keys)
    if not any(folder.glob("[0-9a-f][0-9a-f]")):
        return
    text = f"vna import {folder} --root {effects.beside(folder)} brings in what Orthanc has stored"
    if keys.flag("StorageCompression") and not (folder / "index").is_file():
        text = (
            f"what Orthanc has stored in {folder} is compressed, and its index is not there: let "
            "Orthanc run, and have it send all to us as its peer"
        )
    yield Note("StorageDirectory", "remark", text)


def overlay(values: dict[str, Value], path: list[str], value: Any, source: str) -> None:
    """Set the key that the parts of a variable name, in what files have said.

    `DICOM_AET` is DicomAet; below a key names are as they are in the files, or as written.
    """
    names = {folded(name): name for name in (*TABLE, USERS, *values)}
    first, *below = path
    key = names.get(folded(first), camel(first))
    if not below:
        values[key] = Value(value, source, Path())
        return
    before = values.get(key)
    table: dict[str, Any] = dict(before.value) if before and isinstance(before.value, dict) else {}
    values[key] = Value(table, source, before.folder if before else Path())
    while len(below) > 1:
        name = member(table, below.pop(0))
        inner = table.get(name)
        table[name] = table = dict(inner) if isinstance(inner, dict) else {}
    table[member(table, below[0])] = value


def member(table: Mapping[str, Any], part: str) -> str:
    """Return the name in a table that part of a variable means."""
    return {folded(name): name for name in table}.get(folded(part), camel(part))


def folded(name: str) -> str:
    """Return a name without what gets lost in a variable."""
    return name.replace("_", "").casefold()


def camel(part: str) -> str:
    """Return `STUDIES_METADATA` as StudiesMetadata; what is not all capitals is as it is."""
    if part != part.upper():
        return part
    return "".join(word.capitalize() for word in part.split("_"))
