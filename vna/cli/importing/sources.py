"""Which files are to be imported: given ones, those below folders, of a medium, of an Orthanc."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vna.cli.importing import orthanc
from vna.services.media import files_of_medium

Failed = Callable[[Path, Exception], None]


class NotFollowed(Exception):
    """A link to a folder below a folder."""


class Source(NamedTuple):
    """One file, as it was when it was found."""

    path: str
    size: int
    modified_ns: int


def sources_of(paths: Iterable[Path], failed: Failed) -> Iterator[Source]:
    """Yield the regular files of `paths`, folders with all below them, in a steady order.

    A DICOMDIR that is given stands for the files that it lists, the folder of an Orthanc for the
    instances that its index lists. Links to folders are followed only
    where they are given: below, they may lead round in a circle. What cannot be read is told to
    `failed` and passed over.
    """
    for path in paths:
        if path.name.upper() == "DICOMDIR" and path.is_file():
            for listed in files_of_medium(path, failed):
                yield from files_of(listed, failed)
        elif index := orthanc.index_of(path):
            try:
                for stored in map(Path, orthanc.files(index)):
                    if not stored.exists():
                        failed(stored, FileNotFoundError("in the index of Orthanc, but not there"))
                    yield from files_of(stored, failed)
            except sqlite3.Error as error:
                failed(index, error)
        else:
            yield from files_of(path, failed)


def files_of(given: Path, failed: Failed) -> Iterator[Source]:
    """Yield the file that `given` is, or all below it."""
    # A stack and no recursion: folders may be nested deeper than the interpreter's calls.
    pending = [os.fspath(given)]
    while pending:
        path = pending.pop()
        try:
            about = os.stat(path)
            if not stat.S_ISDIR(about.st_mode):
                if stat.S_ISREG(about.st_mode):
                    if path != os.fspath(given):
                        orthanc.require_known(path)
                    yield Source(path, about.st_size, about.st_mtime_ns)
                continue
            if path != os.fspath(given) and os.path.islink(path):
                raise NotFollowed("a link to a folder, not followed")
            below = sorted(os.listdir(path), reverse=True)
        except FileNotFoundError:
            continue  # a link to nothing, or gone since
        except (OSError, NotFollowed, orthanc.NoIndex) as error:
            failed(Path(path), error)
            continue
        pending += [os.path.join(path, name) for name in below]
