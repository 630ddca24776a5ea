"""`vna modality`, `vna send`, `vna query`: remote DICOM nodes, as a running server reaches them."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from rich.progress import BarColumn, TaskProgressColumn, TextColumn

from vna.cli import table
from vna.cli.command import print_json
from vna.cli.exits import DONE, FAILED, NOT_FOUND
from vna.cli.find import COLUMNS, parse
from vna.cli.jobs import ANSWER_S, server
from vna.cli.progress import progress
from vna.cli.remote import Remote
from vna.errors import BadRequest, VnaError
from vna.settings import Settings

SHOWN = ("NAME", "AE TITLE", "HOST", "PORT", "TLS", "MANUFACTURER")
LEVELS = {"patient": "patients", "study": "studies", "series": "series", "instance": "instances"}
UIDS = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}
# How often a job is looked at.
LOOK_S = 0.2


def list_(settings: Settings, url: str | None, as_json: bool) -> int:
    """List remote nodes; returns the exit status."""
    known: dict[str, dict[str, Any]] = server(settings, url).ask(
        "GET", "/modalities?expand", timeout_s=ANSWER_S
    )
    if as_json:
        print_json(known)
        return DONE
    rows = [
        (name, node["AET"], node["Host"], node["Port"], yes(node["UseDicomTls"]), maker(node))
        for name, node in known.items()
    ]
    table.show(SHOWN, rows)
    return DONE


def yes(flag: bool) -> str:
    """Return a switch as people read it."""
    return "yes" if flag else ""


def maker(node: dict[str, Any]) -> str:
    """Return the manufacturer, if it says anything."""
    name = str(node["Manufacturer"])
    return "" if name == "Generic" else name


def add(
    settings: Settings,
    name: str,
    node: dict[str, Any],
    url: str | None,
    as_json: bool,
) -> int:
    """Add or change a remote node; returns the exit status."""
    remote = server(settings, url)
    remote.ask("PUT", path(name), node, timeout_s=ANSWER_S)
    if as_json:
        print_json(remote.ask("GET", f"{path(name)}/configuration", timeout_s=ANSWER_S))
    return DONE


def remove(settings: Settings, names: Sequence[str], url: str | None) -> int:
    """Forget remote nodes; returns the exit status."""
    remote = server(settings, url)
    for name in names:
        remote.ask("DELETE", path(name), timeout_s=ANSWER_S)
    return DONE


def echo(
    settings: Settings, names: Sequence[str], check_find: bool, url: str | None, as_json: bool
) -> int:
    """Test remote nodes, all of them if none is named; returns the exit status."""
    remote = server(settings, url)
    wanted = names or remote.ask("GET", "/modalities", timeout_s=ANSWER_S)
    results = []
    for name in wanted:
        begun, problem = time.monotonic(), ""
        try:
            remote.ask("POST", f"{path(name)}/echo", {"CheckFind": check_find})
        except VnaError as error:
            problem = str(error)
        milliseconds = round((time.monotonic() - begun) * 1000)
        results.append({"Name": name, "Milliseconds": milliseconds, "Problem": problem})
    if as_json:
        print_json(results)
    else:
        rows = [
            (each["Name"], each["Problem"] or f"answers in {each['Milliseconds']} ms")
            for each in results
        ]
        table.show(("NAME", "ANSWER"), rows)
    return FAILED if any(each["Problem"] for each in results) else DONE


def send(
    settings: Settings,
    name: str,
    ids: Sequence[str],
    permissive: bool,
    commit: bool,
    url: str | None,
    as_json: bool,
) -> int:
    """Send resources to a remote node and wait for the end; returns the exit status."""
    remote = server(settings, url)
    body = {
        "Resources": list(ids),
        "Synchronous": False,
        "Permissive": permissive,
        "StorageCommitment": commit,
    }
    begun = remote.ask("POST", f"{path(name)}/store", body, timeout_s=ANSWER_S)
    job = wait(remote, begun["ID"], f"sending to {name}")
    return ended(job, name, as_json)


def ended(job: dict[str, Any], name: str, as_json: bool) -> int:
    """Tell what became of a job that sent; returns the exit status."""
    content = job["Content"]
    failed = content["FailedInstancesCount"]
    if as_json:
        print_json(job)
    elif job["State"] == "Success":
        sent = table.count(content["InstancesCount"] - failed, "instance")
        print(f"{sent} sent to {name}" + (f", {failed:,} not taken" if failed else ""))
    if job["State"] != "Success":
        print(f"vna: {job['ErrorDetails'] or job['ErrorDescription']}", file=sys.stderr)
        return FAILED
    return FAILED if failed else DONE


def wait(remote: Remote, job_id: str, what: str) -> dict[str, Any]:
    """Return a job once it has ended; one that is waited for in vain is cancelled."""
    job: dict[str, Any] = {}
    try:
        with progress(TextColumn(what), BarColumn(), TaskProgressColumn()) as bar:
            task = bar.add_task(what, total=100)
            while True:
                job = remote.ask("GET", f"/jobs/{job_id}", timeout_s=ANSWER_S)
                bar.update(task, completed=job["Progress"])
                if job["State"] in {"Success", "Failure"}:
                    return job
                time.sleep(LOOK_S)
    except KeyboardInterrupt:
        remote.ask("POST", f"/jobs/{job_id}/cancel", timeout_s=ANSWER_S)
        raise


def query(
    settings: Settings,
    name: str,
    level: str,
    keys: Sequence[str],
    retrieve: bool,
    url: str | None,
    as_json: bool,
) -> int:
    """Ask a remote node what it has, and fetch it if so wanted; returns the exit status."""
    if level not in LEVELS:
        raise BadRequest(f"LEVEL is {level!r}; it takes patient, study, series or instance")
    remote = server(settings, url)
    columns = list(dict.fromkeys((*COLUMNS[LEVELS[level]], UIDS[level])))
    body = {"Level": level, "Query": dict.fromkeys(columns, "") | parse(keys)}
    begun = remote.ask("POST", f"{path(name)}/query", body)
    found: list[dict[str, Any]] = remote.ask(
        "GET", f"{begun['Path']}/answers?expand&simplify", timeout_s=ANSWER_S
    )
    if as_json:
        print_json(found)
    elif found:
        asked = list(dict.fromkeys((*columns, *parse(keys))))
        table.show(asked, ([text(each.get(column)) for column in asked] for each in found))
    if not found:
        return NOT_FOUND
    if retrieve:
        job = remote.ask(
            "POST", f"{begun['Path']}/retrieve", {"Synchronous": False}, timeout_s=ANSWER_S
        )
        ended = wait(remote, job["ID"], f"fetching from {name}")
        if ended["State"] != "Success":
            print(f"vna: {ended['ErrorDetails'] or ended['ErrorDescription']}", file=sys.stderr)
            return FAILED
    return DONE


def text(value: Any) -> str:
    """Return a value of an answer as a cell."""
    return value if isinstance(value, str) else "" if value is None else "..."


def path(name: str) -> str:
    """Return where a remote node is."""
    return f"/modalities/{quote(name, safe='')}"
