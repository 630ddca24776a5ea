"""`vna reindex` and `vna check`, which also mends: work on an archive that no server has open."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from vna.cli import table
from vna.cli.command import print_json
from vna.cli.exits import DONE, FAILED
from vna.cli.progress import progress
from vna.errors import BadRequest
from vna.services import maintenance, running
from vna.settings import Settings

Work = Callable[[Settings, maintenance.Step], dict[str, Any]]


def run_with_progress(title: str, work: Work, settings: Settings) -> dict[str, Any]:
    """Run `work` with a bar on the terminal and return its report."""
    running.require_archive(settings)
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress(*columns) as bar:
        task = bar.add_task(title, total=None)

        def step(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        return work(settings, step)


def reindex(settings: Settings, as_json: bool) -> int:
    """Build the index anew; returns the exit status."""
    report = run_with_progress("reindex", maintenance.reindex, settings)
    if as_json:
        print_json(report)
        return DONE
    levels = {"patients": "patients", "studies": "studies", "series": "series"}
    held = ", ".join(f"{report[key]:,} {name}" for key, name in levels.items())
    print(f"{table.count(report['instances'], 'instance')} in {held}")
    print(f"from {table.count(report['records'], 'record')} of the log")
    for skipped in report["skipped"]:
        print(f"vna: skipped: {table.visible(skipped)}", file=sys.stderr)
    return DONE


def check(settings: Settings, as_json: bool) -> int:
    """Verify everything stored; returns the exit status, 1 if something is wrong."""
    report = run_with_progress("check", maintenance.check, settings)
    is_sound = not report["problems"]
    if as_json:
        print_json(report)
        return DONE if is_sound else FAILED
    read = table.size(report["bytes"])
    rows = table.count(report["rows"], "row")
    print(f"{table.count(report['records'], 'record')}, {read} and {rows} compared")
    if report["harmless"]:
        print(f"{report['harmless']:,} damaged, of which nobody needs anything any more")
    tell("wrong", report["problems"])
    if is_sound:
        print("all is well")
    else:
        found = table.count(len(report["problems"]) + report["unnamed"], "problem")
        print(f"{found}; vna check --repair --dry-run says what can be done")
    return DONE if is_sound else FAILED


def repair(settings: Settings, dry_run: bool, accept_loss: bool, as_json: bool) -> int:
    """Mend what is wrong; returns the exit status, 1 if something stays so."""

    def work(settings: Settings, step: maintenance.Step) -> dict[str, Any]:
        return maintenance.repair(settings, step, dry_run=dry_run, accept_loss=accept_loss)

    report = run_with_progress("repair", work, settings)
    is_left = bool(report["left"]) or (dry_run and bool(report["problems"]))
    if as_json:
        print_json(report)
        return FAILED if is_left else DONE
    tell("found", report["problems"])
    tell("would be done" if dry_run else "done", report["done"])
    tell("lost", [told(each) for each in report["lost"]])
    tell("left", report["left"])
    if not report["problems"]:
        print("all is well")
    elif report["report"]:
        print(f"report: {report['report']}")
    return FAILED if is_left else DONE


def told(lost: dict[str, Any]) -> str:
    """Say in a line what became of an instance; UIDs whole, since people copy them."""
    left = f"kept as log/{lost['set_aside']}" if lost["set_aside"] else "nothing is left of it"
    given_up = ", given up" if lost["given_up"] else ""
    return (
        f"{lost['state']} instance {lost['sop_instance_uid']} of study "
        f"{lost['study_instance_uid']}, {left}{given_up}"
    )


def require_sense(repair: bool, dry_run: bool, accept_loss: bool) -> None:
    """Raise BadRequest for flags that say nothing without another."""
    if (dry_run or accept_loss) and not repair:
        raise BadRequest("--dry-run and --accept-loss go with --repair")


def tell(what: str, texts: list[str]) -> None:
    """Print texts, one a line."""
    for text in texts:
        print(f"{what}: {table.visible(text)}")
