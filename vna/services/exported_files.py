"""Writing the files of instances on this machine, below the folder that the configuration names."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from vna.errors import BadRequest, NotAllowed, OutOfStorage, StorageFailed
from vna.services.archive import CHUNK_BYTES

if TYPE_CHECKING:
    from vna.services.caller import Caller
    from vna.services.node import Node


async def write(node: Node, public_id: str, name: str, caller: Caller) -> Path:
    """Write the file of an instance and return where it is; one that is there is replaced.

    It has its name when all of it is on the disk, and not before.

    Raises
    ------
    NotAllowed
        If no folder is configured, or the name is not below it.
    BadRequest
        If the name is none that a file can have.
    NotFound
        If there is no such instance.
    OutOfStorage, StorageFailed
        If it cannot be written.
    """
    path = await asyncio.to_thread(allowed, node.archive.settings.http.export_folder, name)
    file = node.archive.open_file(public_id, caller)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{id(file):x}.partial")
    try:
        descriptor = await asyncio.to_thread(
            os.open, partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640
        )
        try:
            for offset in range(0, file.size, CHUNK_BYTES):
                piece = await file.read(offset, min(CHUNK_BYTES, file.size - offset))
                await asyncio.to_thread(write_all, descriptor, piece)
            await asyncio.to_thread(os.fsync, descriptor)
        finally:
            os.close(descriptor)
        await asyncio.to_thread(os.replace, partial, path)
    except OSError as error:
        kind = OutOfStorage if error.errno in {errno.ENOSPC, errno.EDQUOT} else StorageFailed
        raise kind(f"{path}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return path


def allowed(folder: str, name: str) -> Path:
    """Return where a file may be written; raises NotAllowed, BadRequest."""
    if not folder:
        raise NotAllowed("files are written on this machine only below http.export_folder")
    if not name or "\0" in name or len(name.encode()) > 4096:
        raise BadRequest("the body takes the name of a file on this machine")
    root = Path(folder).resolve()
    path = root / name
    # The folder as it really is: a link in it may lead elsewhere.
    real = path.parent.resolve() / path.name
    if not real.is_relative_to(root) or path.name in {"", "..", "."}:
        raise NotAllowed(f"{name[:200]!r} is not below http.export_folder")
    if real.is_dir() or not real.parent.is_dir():
        raise BadRequest(f"{name[:200]!r} is no file in a folder that there is")
    return real


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of some bytes."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
