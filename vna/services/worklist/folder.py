"""A folder of worklist files, mirrored in the control database."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vna import _core
from vna.control import Control
from vna.errors import EncodingError, VnaError
from vna.services.worklist import items
from vna.services.worklist.encoding import EXPLICIT_VR_LITTLE_ENDIAN, decoded
from vna.services.worklist.keys import keys_of
from vna.services.worklist.writing import write

logger = logging.getLogger(__name__)

SUFFIX = ".wl"
# A worklist item is some kilobytes; what is larger is something else, or hostile.
MAX_FILE_BYTES = 1 << 20
# A file that is written in place changes no folder: it is seen after this time.
LOOK_AGAIN_S = 2.0
# File systems keep times in steps, of milliseconds up to two seconds: what changed less than this
# before a look may change again without showing it.
SETTLED_S = 2.0
# Files between two transactions: queries and jobs use the same database.
BATCH = 100
# Worklist files belong to the tenant that an archive has without configuration.
TENANT = 1
# No time of a folder: it is looked at again.
UNSETTLED = -1


class Change(NamedTuple):
    """What a look at the folder showed."""

    new: dict[str, str]
    gone: list[str]


class WorklistFolder:
    """The files below a folder, read when they change.

    A file that cannot be read as a worklist item is named in the log and left out until it changes.
    """

    def __init__(self, folder: str, control: Control):
        self._folder = Path(folder)
        self._control = control
        self._refreshing = asyncio.Lock()
        # Stamps of the files that are in the database, and of those that cannot be read.
        self._known: dict[str, str] | None = None
        self._bad: dict[str, str] = {}
        self._folders: dict[Path, int] = {}
        # What was said last of files and folders that cannot be read.
        self._said: dict[str, set[str]] = {}
        self._looked = 0.0

    async def refresh(self) -> None:
        """Bring the database up to what the folder holds now.

        Raises
        ------
        StorageFailed
            If the database cannot be written.
        """
        # Who comes meanwhile waits for this look, and then finds that nothing changed.
        async with self._refreshing:
            if self._known is None:
                self._known = await self._control.run(lambda c: items.stamps(c, TENANT))
            if await asyncio.to_thread(self._is_fresh):
                return
            change = await asyncio.to_thread(self._look, self._known)
            await self._forget(change.gone, self._known)
            names = list(change.new)
            for begin in range(0, len(names), BATCH):
                await self._read(names[begin : begin + BATCH], change.new, self._known)

    def remove(self, file: str) -> None:
        """Remove a file of the folder; nothing if it is gone already. Raises OSError."""
        (self._folder / file).unlink(missing_ok=True)

    def _is_fresh(self) -> bool:
        if time.monotonic() - self._looked > LOOK_AGAIN_S or not self._folders:
            return False
        try:
            return all(
                folder.stat().st_mtime_ns == changed for folder, changed in self._folders.items()
            )
        except OSError:
            return False

    def _look(self, known: dict[str, str]) -> Change:
        """Compare the folder with what is known of it; on a thread."""
        self._looked = time.monotonic()
        self._folders = {}
        unreadable: list[str] = []
        found = dict(self._files(unreadable))
        self._say("a folder of worklist files cannot be read", unreadable)
        self._bad = {name: stamp for name, stamp in self._bad.items() if found.get(name) == stamp}
        new = {
            name: stamp
            for name, stamp in found.items()
            if stamp != known.get(name) and name not in self._bad
        }
        # A disk that is away for a while takes nothing with it.
        gone = [] if unreadable else [name for name in known if name not in found]
        return Change(new, gone)

    def _files(self, unreadable: list[str]) -> Iterator[tuple[str, str]]:
        """Yield the path below the folder and a stamp of each worklist file."""
        left = [self._folder]
        while left:
            folder = left.pop()
            try:
                # Before its entries are read: what comes meanwhile is then seen by the next look.
                status = folder.stat()
                self._folders[folder] = status.st_mtime_ns if is_settled(status) else UNSETTLED
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            left.append(Path(entry.path))
                        elif entry.name.lower().endswith(SUFFIX) and (stamp := stamp_of(entry)):
                            yield os.path.relpath(entry.path, self._folder), stamp
            except OSError as error:
                unreadable.append(str(error))

    async def _forget(self, names: list[str], known: dict[str, str]) -> None:
        if not names:
            return
        ids = [item_id(name) for name in names]
        await self._control.run(lambda connection: items.delete(connection, TENANT, ids))
        for name in names:
            del known[name]

    async def _read(self, names: list[str], stamps: dict[str, str], known: dict[str, str]) -> None:
        read, bad = await asyncio.to_thread(self._read_files, names, stamps)
        # What cannot be read any more must not be answered as it was.
        gone = [name for name in bad if name in known]
        await self._control.run(lambda connection: write(connection, TENANT, read))
        await self._forget(gone, known)
        known.update((item.file, item.stamp) for item in read if item.file and item.stamp)
        self._bad.update((name, stamps[name]) for name in bad)

    def _read_files(
        self, names: Iterable[str], stamps: dict[str, str]
    ) -> tuple[list[items.New], list[str]]:
        """Read files, and name in the log those that are no worklist items; on a thread."""
        read, bad, failed = [], [], []
        for name in names:
            try:
                name.encode()
                data_set = read_worklist_file(self._folder / name)
                keys = keys_of(decoded(data_set))
                read.append(items.New(item_id(name), keys, data_set, name, stamps[name]))
            except FileNotFoundError:
                continue
            except OSError as error:
                failed.append(str(error))  # the next look tries it again
            except (UnicodeEncodeError, VnaError) as error:
                shown = name.encode("utf-8", "backslashreplace").decode()
                extra = {"file": shown, "reason": str(error)}
                logger.warning("a worklist file is left out", extra=extra)
                bad.append(name)
        self._say("a worklist file cannot be read", failed)
        return read, bad

    def _say(self, what: str, reasons: list[str]) -> None:
        """Log reasons that were not told the last time."""
        for reason in set(reasons) - self._said.get(what, set()):
            logger.error("%s", what, extra={"reason": reason})
        self._said[what] = set(reasons)


def stamp_of(entry: os.DirEntry[str]) -> str | None:
    """Return what changes with a file; None if it is none, or gone meanwhile."""
    try:
        status = entry.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    # The inode too: a file may be replaced by one of the same time and length.
    stamp = f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}"
    # Another one when it has settled, so that the file is read once more.
    return stamp if is_settled(status) else f"{stamp}-new"


def is_settled(status: os.stat_result) -> bool:
    """Whether a change from now on gives it another time than it has."""
    return time.time() - status.st_mtime >= SETTLED_S


def read_worklist_file(path: Path) -> bytes:
    """Return the data set of a worklist file in Explicit VR Little Endian.

    Raises
    ------
    OSError
        If it cannot be read.
    EncodingError
        If it is no DICOM file, or too large for a worklist item.
    """
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise EncodingError(f"worklist file is over {MAX_FILE_BYTES} bytes")
    _, _, elements = _core.read_file(data)
    return _core.write_data_set(elements, transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN)


def item_id(name: str) -> str:
    """Return the id of the item that a file brings: the same as long as it has its name."""
    digest = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
