"""`vna jobs`: the long actions of a running server."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from vna.cli import table
from vna.cli.command import print_json
from vna.cli.exits import DONE
from vna.cli.remote import Remote, server_of
from vna.errors import Unreachable
from vna.settings import Settings

# Long enough for a list of all that ever waited; a verb ends within a second.
ANSWER_S = 60.0
COLUMNS = ("ID", "Type", "State", "%", "Priority", "Created", "Why")


def list_(settings: Settings, state: str | None, url: str | None, as_json: bool) -> int:
    """List jobs, or those in one state; returns the exit status."""
    jobs: list[dict[str, Any]] = server(settings, url).ask(
        "GET", "/jobs?expand", timeout_s=ANSWER_S
    )
    if state is not None:
        jobs = [job for job in jobs if job["State"].lower() == state.lower()]
    if as_json:
        print_json(jobs)
    else:
        table.show(COLUMNS, [row(job) for job in jobs])
    return DONE


def row(job: dict[str, Any]) -> tuple[str | int, ...]:
    """Return a job as a line of the table."""
    why = job["ErrorDetails"] or job["ErrorDescription"] if job["ErrorCode"] else ""
    created = job["CreationTime"].partition(".")[0]
    state, progress = job["State"], job["Progress"]
    return (job["ID"], job["Type"], state, progress, job["Priority"], created, why)


def show(settings: Settings, job_id: str, url: str | None, as_json: bool) -> int:
    """Show all of one job; returns the exit status."""
    job: dict[str, Any] = server(settings, url).ask("GET", path(job_id), timeout_s=ANSWER_S)
    if as_json:
        print_json(job)
        return DONE
    content = job.pop("Content")
    for name, value in [*job.items(), *content.items()]:
        print(f"{name}: {table.visible(str(value))}")
    return DONE


def tell(settings: Settings, job_ids: list[str], verb: str, url: str | None, as_json: bool) -> int:
    """Tell jobs to do something; returns the exit status."""
    remote = server(settings, url)
    for job_id in job_ids:
        remote.ask("POST", f"{path(job_id)}/{verb}", timeout_s=ANSWER_S)
    if as_json:
        print_json([remote.ask("GET", path(job_id), timeout_s=ANSWER_S) for job_id in job_ids])
    return DONE


def server(settings: Settings, url: str | None) -> Remote:
    """Return the running server; raises Unreachable: nobody else runs jobs."""
    found = server_of(settings, url)
    if found is None:
        raise Unreachable(f"no server runs on {settings.storage.root}; name one with --url")
    return found


def path(job_id: str) -> str:
    """Return where a job is."""
    return f"/jobs/{quote(job_id, safe='')}"
