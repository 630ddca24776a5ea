"""Routes of remote DICOMweb servers, as clients of Orthanc's plugin use them."""

from __future__ import annotations

from vna.rest.describe import EXPAND, JSON, Answer, Body, Entry, answer
from vna.rest.remote_routes import EMPTY, STARTED
from vna.rest.workflow_routes import imported_on_use

ONE = "/servers/{id}"


def asked(name: str, summary: str, text: str, answers: tuple[Answer, ...] = answer("Any")) -> Entry:
    """Return the operation that asks something of a server."""
    return Entry(
        "POST",
        f"{ONE}/{name}",
        imported_on_use(f"dicomweb.servers.{name}"),
        summary,
        answers,
        body=Body({JSON: "Any"}, text),
        refusals=(500, 504),
    )


# Paths begin behind dicomweb.root.
ROUTES: list[Entry] = [
    Entry(
        "GET",
        "/servers",
        imported_on_use("dicomweb.servers.listed"),
        "Remote DICOMweb servers: their names, or what is known of them",
        answer("Any"),
        (EXPAND,),
    ),
    Entry(
        "GET",
        ONE,
        imported_on_use("dicomweb.servers.operations"),
        "What can be asked of a server",
        answer("Names"),
    ),
    Entry(
        "PUT",
        ONE,
        imported_on_use("dicomweb.servers.put"),
        "Add or change a server",
        EMPTY,
        body=Body({JSON: "Any"}, "An object; or URL, or URL, user and password"),
        refusals=(507,),
    ),
    Entry(
        "DELETE",
        ONE,
        imported_on_use("dicomweb.servers.remove"),
        "Forget a server",
        EMPTY,
        refusals=(507,),
    ),
    asked("get", "Pass a GET on to a server", "Uri, HttpHeaders, Arguments"),
    asked("qido", "Search a server", "Uri, HttpHeaders, Arguments"),
    asked("stow", "Send resources to a server", "Resources (ids), and those of jobs", STARTED),
    asked(
        "retrieve",
        "Fetch resources from a server",
        "Resources (Study, Series, Instance by their UIDs), and those of jobs",
        STARTED,
    ),
    asked("wado", "Fetch what is at a path of a server", "Uri, and those of jobs", STARTED),
    asked("delete", "Delete at a server", "Level and the UIDs down to it"),
]
