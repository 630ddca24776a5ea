"""`vna reindex` and `vna check`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from vna.cli import running
from vna.cli.progress import progress
from vna.services import maintenance
from vna.settings import Settings

Work = Callable[[Settings, maintenance.Step], dict[str, Any]]


def run_with_progress(title: str, work: Work, settings: Settings) -> dict[str, Any]:
    """Run `work` with a bar on the terminal, print its report and return it."""
    running.require_archive(settings)
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress(*columns) as bar:
        task = bar.add_task(title, total=None)

        def step(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        report = work(settings, step)
    print(json.dumps(report, indent=2))
    return report


def reindex(settings: Settings) -> int:
    """Build the index anew; returns the exit status."""
    run_with_progress("reindex", maintenance.reindex, settings)
    return 0


def check(settings: Settings) -> int:
    """Verify everything stored; returns the exit status, 1 if something is wrong."""
    return 1 if run_with_progress("check", maintenance.check, settings).get("problems") else 0
