"""`vna import`: files of a disk into the archive, through its server if one runs.

`sources` finds the files, `journal` knows those of an interrupted run, a sink of `local` or
`remote` stores them, `summary` counts what became of them, `display` shows how far it is.
"""

from __future__ import annotations

from pathlib import Path

from vna.cli.exits import DONE, FAILED, INTERRUPTED, NOT_FOUND
from vna.cli.importing.display import display
from vna.cli.importing.journal import Journal
from vna.cli.importing.run import Run
from vna.cli.importing.summary import Summary
from vna.cli.remote import server_of
from vna.errors import NotFound
from vna.settings import Settings


def import_paths(
    settings: Settings,
    paths: list[Path],
    url: str | None = None,
    *,
    tenant: int = 1,
    as_json: bool = False,
    again: bool = False,
) -> int:
    """Store all files of `paths`; returns the exit status.

    A file that is no DICOM is told and passed over. The status is FAILED if nothing could be stored
    or something else than the files themselves was wrong.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise NotFound(f"no such file or folder: {', '.join(missing)}")
    server = server_of(settings, url, tenant)
    journal = Journal.of(settings, url, tenant, paths)
    if again:
        journal.forget()
    summary = Summary()
    try:
        with display(summary, paths) as progress:
            Run(settings, server, tenant, journal, summary, progress).run(paths)
    except BaseException:
        journal.end(is_complete=False)
        if summary.files:
            summary.show(as_json=as_json)
        raise
    journal.end(is_complete=summary.is_complete)
    summary.show(as_json=as_json)
    return status_of(summary)


def status_of(summary: Summary) -> int:
    """Return the exit status that stands for what became of the files."""
    if summary.was_interrupted:
        return INTERRUPTED
    if not summary.files and not summary.failed:
        return NOT_FOUND
    return FAILED if summary.failed or not summary.kept else DONE
