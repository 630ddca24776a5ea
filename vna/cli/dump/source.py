"""Where the bytes come from: a file as it lies, else a copy that is there for as long as needed."""

from __future__ import annotations

import asyncio
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vna.cli.remote import server_of
from vna.errors import BadRequest
from vna.services.archive import CHUNK_BYTES, Archive
from vna.services.caller import Caller
from vna.services.running import require_archive
from vna.settings import Settings

STANDARD_INPUT = "-"
PUBLIC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")


@contextmanager
def opened(settings: Settings, name: str, url: str | None, tenant: int) -> Iterator[Path]:
    """Yield a file that can be read at any place, whatever `name` names.

    Raises OSError for a file, NotFound and Unreachable for an instance.
    """
    path = Path(name)
    is_id = url is not None or (PUBLIC_ID.fullmatch(name) and not path.exists())
    if name != STANDARD_INPUT and not is_id:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise BadRequest(f"{name} is a folder; dump takes one file")
        if stat.S_ISREG(mode):
            yield path
            return
    with tempfile.NamedTemporaryFile(prefix="vna-dump-") as copy:
        if name == STANDARD_INPUT:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        elif is_id:
            fetch(settings, name, url, tenant, copy)
        else:
            with path.open("rb") as pipe:
                shutil.copyfileobj(pipe, copy)
        copy.flush()
        yield Path(copy.name)


def fetch(
    settings: Settings, public_id: str, url: str | None, tenant: int, into: IO[bytes]
) -> None:
    """Copy the file of an instance out of the archive, through its server if one runs."""
    if not PUBLIC_ID.fullmatch(public_id):
        raise BadRequest(f"{public_id!r} is no ID of an instance")
    if server := server_of(settings, url, tenant):
        server.fetch(f"/instances/{public_id}/file", into)
    else:
        require_archive(settings)
        asyncio.run(_copy(settings, public_id, tenant, into))


async def _copy(settings: Settings, public_id: str, tenant: int, into: IO[bytes]) -> None:
    archive = Archive(settings)
    archive.attach()
    try:
        file = archive.open_file(public_id, Caller(way_in="cli", tenant=tenant))
        for offset in range(0, file.size, CHUNK_BYTES):
            into.write(await file.read(offset, min(CHUNK_BYTES, file.size - offset)))
    finally:
        await archive.stop()
