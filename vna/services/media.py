"""The files that a DICOMDIR lists (PS3.10 §8, PS3.3 §F.3)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from vna import _core
from vna._elements import unpack_elements
from vna.errors import EncodingError

REFERENCED_FILE_ID = 0x0004_1500
# A File ID has at most 8 components of at most 8 characters (PS3.10 §8.2); some have longer ones.
MAX_COMPONENTS = 16
MAX_FILE_ID_BYTES = 1024


def files_of_medium(directory: Path, failed: Callable[[Path, Exception], None]) -> Iterator[Path]:
    """Yield the files that a DICOMDIR refers to, each once; all are below its folder.

    Media are copied to systems that tell `IMAGE` from `image`, so names are looked for as they are
    written first, then whatever their case.
    """
    names = Names()
    seen: set[tuple[str, ...]] = set()
    count = 0
    for file_id in file_ids(directory):
        if file_id in seen:
            continue
        seen.add(file_id)
        count += 1
        try:
            yield names.find(directory.parent, file_id)
        except (OSError, EncodingError) as error:
            failed(directory.parent.joinpath(*file_id), error)
    if not count:
        failed(directory, EncodingError("a DICOMDIR that lists no file", "dicomdir.empty"))


def file_ids(directory: Path) -> Iterator[tuple[str, ...]]:
    """Yield the Referenced File IDs of a DICOMDIR; raises EncodingError if it cannot be read."""
    reader = _core.ElementReader(str(directory))
    while table := reader.next():
        for tag, _, _, offset, length, *_ in unpack_elements(table):
            if tag == REFERENCED_FILE_ID and length and length <= MAX_FILE_ID_BYTES:
                text = reader.value(offset, length).decode("latin-1")
                yield tuple(part.strip(" \0") for part in text.split("\\"))
    if reader.error is not None:
        raise EncodingError(f"{directory}: {reader.error[0]}", reader.error[1])


class Names:
    """Looks names up in folders whatever their case; knows the folders that it has read."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, str]] = {}

    def find(self, root: Path, file_id: tuple[str, ...]) -> Path:
        """Return the file below `root`; raises EncodingError if the File ID leads out of it."""
        if len(file_id) > MAX_COMPONENTS or not all(map(is_name, file_id)):
            raise EncodingError(
                f"File ID {chr(92).join(file_id)!r} is no path below the DICOMDIR", "dicomdir.path"
            )
        path = root
        for name in file_id:
            path = self._below(path, name)
        if not path.resolve().is_relative_to(root.resolve()):
            raise EncodingError(f"{path} is a link out of the medium", "dicomdir.path")
        return path

    def _below(self, folder: Path, name: str) -> Path:
        if (folder / name).exists():
            return folder / name
        if folder not in self._folders:
            self._folders[folder] = {other.upper(): other for other in os.listdir(folder)}
        # ISO 9660 ends names with a dot and a version, which some systems show.
        found = self._folders[folder]
        for wanted in (name, f"{name}.", f"{name};1", f"{name}.;1"):
            if wanted.upper() in found:
                return folder / found[wanted.upper()]
        raise FileNotFoundError(f"{folder / name} is listed by the DICOMDIR and not there")


def is_name(name: str) -> bool:
    """Whether `name` is that of something in a folder, and neither the folder nor above it."""
    return name not in {"", ".", ".."} and "/" not in name and "\0" not in name
