"""The flags that stand for the configuration, declared once.

`vna serve` reads them here and imports no more: it keeps in memory what it imports, and typer is
8 MB. Help, completion and the messages of wrong usage are made from the same table by
`vna/cli/app.py`, which also takes over wherever this reader is in doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vna import settings
from vna.errors import SettingsError
from vna.settings import Settings, build, gather

if TYPE_CHECKING:
    from vna.settings.orthanc import Note


class Flag(NamedTuple):
    """One flag with a value; without a key it is `--config` or `--set`."""

    option: str
    metavar: str
    help: str
    key: str = ""
    repeats: bool = False

    @property
    def name(self) -> str:
        """The name of its parameter."""
        return self.option.removeprefix("--").replace("-", "_")


CONFIG = Flag("--config", "FILE", "Configuration, else ./vna.toml")
SET = Flag(
    "--set",
    "KEY=VALUE",
    "Any key of the configuration; see vna config --explain",
    repeats=True,
)
ORTHANC = Flag(
    "--orthanc-config",
    "FILE",
    "Configuration of an Orthanc, or a folder of it; may be given more than once",
    repeats=True,
)
COMMON = (
    CONFIG,
    ORTHANC,
    Flag("--root", "FOLDER", "Folder of the archive", "storage.root"),
    SET,
)
SERVE = (
    *COMMON,
    Flag("--http-host", "ADDRESS", "Where HTTP listens", "http.host"),
    Flag("--http-port", "PORT", "Its port; 0 takes a free one", "http.port"),
    Flag("--dicom-host", "ADDRESS", "Where DICOM listens", "dicom.host"),
    Flag("--dicom-port", "PORT", "Its port; 0 takes a free one", "dicom.port"),
    Flag("--aet", "TITLE", "AE title of this archive", "dicom.aet"),
)

# Option and value, in the order given.
Given = list[tuple[Flag, str]]


def read(arguments: Sequence[str], flags: Iterable[Flag] = SERVE) -> Given | None:
    """Return the flags in `arguments`; None if anything is not one of `flags` with a value."""
    known = {flag.option: flag for flag in flags}
    given: Given = []
    rest = iter(arguments)
    for argument in rest:
        option, equals, value = argument.partition("=")
        flag = known.get(option)
        if flag is None:
            return None
        if not equals:
            following = next(rest, None)
            if following is None:
                return None
            value = following
        given.append((flag, value))
    return given


def settings_of(given: Given) -> Settings:
    """Return the configuration with `given` on top; of two for one key the later one holds."""
    return told(given)[0]


def told(given: Given) -> tuple[Settings, list[Note]]:
    """Return the configuration, and what there is to say of one that is Orthanc's."""
    found, notes = gathered(given)
    return build(found.values()), notes


def gathered(given: Given) -> tuple[dict[str, settings.Given], list[Note]]:
    """Return what was set and where, not yet checked, and what there is to say of it."""
    file, keys = split(given)
    notes: list[Note] = []
    base: list[settings.Given] = []
    if paths := [Path(value) for flag, value in given if flag == ORTHANC]:
        from vna.services.passwords import hashed
        from vna.settings import orthanc

        base, notes = orthanc.read(paths, hashed)
    return gather(file, flags=keys, base=base), notes


def split(given: Given) -> tuple[Path | None, dict[str, str]]:
    """Return the configuration file and the keys of `given`."""
    file: Path | None = None
    keys: dict[str, str] = {}
    for flag, value in given:
        if flag == CONFIG:
            file = Path(value)
        if flag in (CONFIG, ORTHANC):
            continue
        key = flag.key
        if flag == SET:
            key, equals, value = value.partition("=")
            if not equals:
                raise SettingsError(f"--set {key!r}: it takes KEY=VALUE, such as dicom.aet=PACS")
        keys[key.strip()] = value
    return file, keys
