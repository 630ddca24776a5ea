"""What an Orthanc has stored: its index says which files are instances, and which are not.

With StorageCompression a file is its length in 8 bytes, little endian, and a zlib stream, and
beside each lies the part of it before the pixel data, as a file like the others: only the index
tells which is which.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# An attachment of this type is the file of an instance.
DICOM = 1
LENGTH_BYTES = 8
PIECE_BYTES = 1 << 20
# More than that of a file is held on the disk.
HELD_BYTES = 8 << 20
# Two levels of folders, named by the beginning of what is in them.
STORED = re.compile(r"([0-9a-f]{2})/([0-9a-f]{2})/(\1\2[0-9a-f]{4}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$")


class NoIndex(Exception):
    """A file is not read because nothing says what it is."""


def index_of(folder: Path) -> Path | None:
    """Return the index of an Orthanc that stores in `folder`, if it lies there."""
    index = folder / "index"
    try:
        with open(index, "rb") as file:
            is_database = file.read(16) == b"SQLite format 3\0"
    except OSError:
        return None
    return index if is_database and any(folder.glob("[0-9a-f][0-9a-f]")) else None


def files(index: Path) -> Iterator[str]:
    """Yield the files of all instances, in the order in which they were stored.

    Raises sqlite3.Error if the database is no index of an Orthanc, or in use by one that does not
    let others read.
    """
    address = f"{index.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, uri=True)
    try:
        stored = connection.execute(
            "SELECT uuid FROM AttachedFiles WHERE fileType = ? ORDER BY id", (DICOM,)
        )
        for (uuid,) in stored:
            path = os.path.join(uuid[:2], uuid[2:4], uuid)
            # The index is a file like any other: what it names stays below the folder.
            if STORED.fullmatch(path):
                yield os.path.join(os.fspath(index.parent), path)
    finally:
        connection.close()


def is_compressed(start: bytes) -> bool:
    """Whether a file begins as one that was stored with StorageCompression (RFC 1950 §2.2)."""
    header = start[LENGTH_BYTES : LENGTH_BYTES + 2]
    return (
        len(header) == 2
        and header[0] == 0x78
        and not header[1] & 0x20
        and int.from_bytes(header) % 31 == 0
        and start[128:132] != b"DICM"
    )


def require_known(path: str) -> None:
    """Raise NoIndex for a compressed file of an Orthanc whose index is not there."""
    if not STORED.search(path.replace(os.sep, "/")):
        return
    with open(path, "rb") as file:
        start = file.read(132)
    if is_compressed(start):
        raise NoIndex(
            "stored by an Orthanc with StorageCompression; only its index, a file of that name in "
            "the folder to be imported, says whether it is an instance or a part of one"
        )


def inflated(file: IO[bytes], most: int) -> IO[bytes]:
    """Return what a compressed file is, at its beginning; raises ValueError if it is damaged."""
    file.seek(0)
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if length > most:
        raise ValueError(f"it says that it has {length} bytes, more than {most}")
    plain = tempfile.SpooledTemporaryFile(HELD_BYTES)  # noqa: SIM115 given to who asks
    stream, left = zlib.decompressobj(), length
    try:
        while not stream.eof:
            packed = stream.unconsumed_tail or file.read(PIECE_BYTES)
            if not packed:
                raise ValueError("its zlib stream ends early")
            piece = stream.decompress(packed, PIECE_BYTES)
            left -= len(piece)
            if left < 0:
                raise ValueError(f"it has more than the {length} bytes that it says")
            plain.write(piece)
    except zlib.error as error:
        plain.close()
        raise ValueError(f"its zlib stream is damaged: {error}") from None
    except BaseException:
        plain.close()
        raise
    if left:
        plain.close()
        raise ValueError(f"it has {length - left} bytes, not the {length} that it says")
    plain.seek(0)
    return plain
