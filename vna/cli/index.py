"""`vna index`: tags that a running server indexes beside the usual ones."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from vna.cli import table
from vna.cli.command import print_json
from vna.cli.exits import DONE
from vna.cli.jobs import server
from vna.settings import Settings

PATH = "/tools/index-tags"
COLUMNS = ("Level", "Tag", "Name", "Done", "Named by")
# Adding a tag changes two small files and asks for a job.
ANSWER_S = 60.0


def list_(settings: Settings, url: str | None, as_json: bool) -> int:
    """List the tags; returns the exit status."""
    tags: list[dict[str, Any]] = server(settings, url).ask("GET", PATH, timeout_s=ANSWER_S)
    if as_json:
        print_json(tags)
    else:
        table.show(COLUMNS, [row(tag) for tag in tags])
    return DONE


def row(tag: dict[str, Any]) -> tuple[str, ...]:
    """Return a tag as a line of the table."""
    filled, due = tag["Filled"], tag["Due"]
    done = "all" if filled >= due else f"{100 * filled // due} %"
    named_by = "settings" if tag["Configured"] else "vna index add-tag"
    return (tag["Level"], tag["Tag"], tag["Name"], done, named_by)


def add(settings: Settings, tag: str, level: str | None, url: str | None, as_json: bool) -> int:
    """Let a tag be indexed; returns the exit status."""
    body = {"Tag": tag} if level is None else {"Tag": tag, "Level": level}
    added = server(settings, url).ask("POST", PATH, body, timeout_s=ANSWER_S)
    if as_json:
        print_json(added)
    elif added["ID"]:
        print(f"what is stored is read again: vna jobs show {added['ID']}")
    return DONE


def remove(settings: Settings, tag: str, level: str | None, url: str | None, as_json: bool) -> int:
    """Let a tag be indexed no more; returns the exit status."""
    named = {"tag": tag} if level is None else {"tag": tag, "level": level}
    server(settings, url).ask("DELETE", f"{PATH}?{urlencode(named)}", timeout_s=ANSWER_S)
    if as_json:
        print_json(None)
    return DONE
