"""`vna archive`: a ZIP archive or medium of what the archive holds."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.progress import DownloadColumn, TextColumn, TransferSpeedColumn

from vna.cli.command import print_json
from vna.cli.exits import DONE
from vna.cli.get import resources
from vna.cli.progress import progress
from vna.client import open_settings
from vna.errors import BadRequest
from vna.settings import Settings

STANDARD_OUTPUT = Path("-")


class Wanted(NamedTuple):
    """What the flags of the command say of the archive."""

    media: bool
    extended: bool
    utf8: bool | None
    transcode: str | None


def archive(
    settings: Settings,
    ids: Sequence[str],
    output: Path,
    wanted: Wanted,
    *,
    force: bool,
    url: str | None,
    tenant: int,
    as_json: bool,
) -> int:
    """Write an archive; returns the exit status.

    A file gets its name when it is whole: what broke off is not mistaken for it.
    """
    if output != STANDARD_OUTPUT and output.exists() and not force:
        raise BadRequest(f"{output} is there already; see --force")
    with open_settings(settings, url, tenant=tenant) as opened:
        found = [resource for given in ids for resource in resources(opened, given)]
        pieces = shown(opened.archive(found, **wanted._asdict()))
        if output == STANDARD_OUTPUT:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return DONE
        partial = output.with_name(f"{output.name}.partial")
        try:
            with partial.open("wb") as file:
                file.writelines(pieces)
            size = partial.stat().st_size
            partial.replace(output)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    if as_json:
        print_json({"file": str(output), "bytes": size})
    else:
        print(f"{output}: {size:,} bytes")
    return DONE


def shown(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces, and show how many bytes they have."""
    with progress(TextColumn("archive"), DownloadColumn(), TransferSpeedColumn()) as bar:
        task = bar.add_task("archive", total=None)
        for piece in pieces:
            yield piece
            bar.advance(task, len(piece))
