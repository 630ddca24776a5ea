"""How far an import is: a bar with rate and time left on a terminal, else a line now and then."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from vna.cli import table
from vna.cli.importing.sources import sources_of
from vna.cli.importing.summary import Summary
from vna.cli.progress import progress

LINE_EVERY_S = 10.0


class Display(Protocol):
    """What is told of the progress."""

    def advance(self, count: int) -> None:
        """Say that files of `count` bytes more are done."""


@contextlib.contextmanager
def display(summary: Summary, paths: list[Path]) -> Iterator[Display]:
    """Show how far it is, until the end."""
    bar = progress(
        TextColumn("{task.fields[files]:,} files, {task.fields[rate]:,.0f}/s"),
        BarColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    if bar.disable:
        yield Lines(summary)
        return
    with bar:
        task = bar.add_task("import", total=None, files=0, rate=0.0)
        ended = threading.Event()

        def measure() -> None:
            """Find out how much there is, while the first of it is on its way."""
            total = 0
            for source in sources_of(paths, lambda path, error: None):
                total += source.size
                if ended.is_set():
                    return
            bar.update(task, total=total)

        class Bar:
            def advance(self, count: int) -> None:
                rate = summary.files / max(summary.seconds, 1e-3)
                bar.update(task, advance=count, files=summary.files, rate=rate)

        counting = threading.Thread(target=measure, daemon=True)
        counting.start()
        try:
            yield Bar()
        finally:
            ended.set()


class Lines:
    """A line now and then, for who reads a log."""

    def __init__(self, summary: Summary):
        self._summary = summary
        self._next = time.monotonic() + LINE_EVERY_S

    def advance(self, count: int) -> None:
        """Say how far it is, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LINE_EVERY_S
        summary = self._summary
        rate = summary.files / max(summary.seconds, 1e-3)
        done = table.size(summary.bytes)
        print(f"{summary.files:,} files, {done}, {rate:,.0f} files/s", file=sys.stderr, flush=True)
