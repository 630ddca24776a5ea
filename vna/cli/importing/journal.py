"""What an interrupted import has stored, so that the next run need not read it again.

It lives until the import is complete: afterwards a file is recognised by its bytes, since what was
stored may have been deleted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from vna.cli.importing.sources import Source
from vna.settings import Settings

# Of path, size and time of the last change.
MARK_BYTES = 16


class Journal:
    """The marks of the files that are done; a file that changed since has another mark."""

    def __init__(self, path: Path):
        self._path = path
        self._done: set[bytes] = set()
        try:
            marks = path.read_bytes()
        except OSError:
            marks = b""
        # The last one may have been cut off.
        whole = len(marks) - len(marks) % MARK_BYTES
        self._done.update(marks[at : at + MARK_BYTES] for at in range(0, whole, MARK_BYTES))
        self._file: int | None = None
        self._is_cut = whole != len(marks)

    @classmethod
    def of(cls, settings: Settings, url: str | None, tenant: int, paths: Iterable[Path]) -> Journal:
        """Return the journal of importing `paths` into this archive."""
        # With the archive, so that it goes with it; of one elsewhere, with the one who runs this.
        root = Path(settings.storage.root) if url is None else state_folder()
        target = url or str(root.resolve())
        if tenant != 1:
            target += f"\0{tenant}"
        given = sorted(str(path.resolve()) for path in paths)
        name = mark_of("\0".join([target, *given]))
        return cls(root / "imports" / name.hex())

    @property
    def count(self) -> int:
        """How many files it knows to be done."""
        return len(self._done)

    def has(self, source: Source) -> bool:
        """Whether this file is done."""
        return bool(self._done) and mark(source) in self._done

    def add(self, sources: Iterable[Source]) -> None:
        """Note files that are done."""
        marks = b"".join(map(mark, sources))
        if not marks:
            return
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                how = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if self._is_cut else 0)
                self._file = os.open(self._path, how, 0o600)
                marks = b"".join(self._done) + marks if self._is_cut else marks
            os.write(self._file, marks)
        except OSError:
            return  # without it the next run reads more

    def forget(self) -> None:
        """Take nothing for done."""
        self._done.clear()
        self._path.unlink(missing_ok=True)

    def end(self, *, is_complete: bool) -> None:
        """End the run; a complete one leaves nothing."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if is_complete:
            self._path.unlink(missing_ok=True)


def mark(source: Source) -> bytes:
    """Return what stands for a file as it is."""
    return mark_of(f"{os.path.abspath(source.path)}\0{source.size}\0{source.modified_ns}")


def mark_of(text: str) -> bytes:
    """Return the digest of a text that may hold names of any bytes."""
    return hashlib.blake2b(os.fsencode(text), digest_size=MARK_BYTES).digest()


def state_folder() -> Path:
    """Return where programs of this user keep what they know (XDG Base Directory)."""
    configured = os.environ.get("XDG_STATE_HOME", "")
    return Path(configured or Path.home() / ".local/state") / "vna"
