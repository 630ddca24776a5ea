"""`vna conformance-statement`: what a running server says of itself."""

from __future__ import annotations

import sys
from pathlib import Path

from vna.cli.exits import DONE
from vna.cli.jobs import server
from vna.settings import Settings


def write(settings: Settings, form: str, output: Path | None, url: str | None) -> int:
    """Write the statement to a file or to standard output; returns the exit status.

    Raises Unreachable if no server runs: only it knows what is in force.
    """
    remote = server(settings, url)
    path = f"/conformance-statement?format={form}"
    if output is None:
        remote.fetch(path, sys.stdout.buffer)
        return DONE
    with output.open("wb") as file:
        remote.fetch(path, file)
    return DONE
