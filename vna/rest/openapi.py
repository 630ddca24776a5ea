"""The OpenAPI document, made from the route table.

Nothing imports this before somebody asks for the document: neither it nor the schemas cost memory
in a server at rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from vna.rest.describe import BODY_REFUSALS, JSON, Answer, Entry, Parameter
from vna.rest.schemas import SCHEMAS, Schema, reference
from vna.version import version

ABOUT = """\
HTTP interface of the archive. Routes and answers are those of Orthanc, so that its clients work.

- HEAD is answered wherever GET is, without the body.
- A switch of the query is on as `?name`, `?name=true` or `?name=1`, off as `=false` or `=0`.
- `GET ...?_method=DELETE` and `POST` with `X-HTTP-Method-Override: DELETE` are DELETE; so for PUT.
- An error is answered as the schema `Error`; `Code` and `OrthancStatus` are for programs.
"""

# Bounded by what fits 64 bits; see requests.MAX_DIGITS.
MAX_NUMBER = 10**18 - 1
KINDS: dict[str, Schema] = {
    "flag": {"type": "boolean"},
    "number": {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER},
    "decimal": {"type": "number"},
    "text": {"type": "string"},
    "list": {"type": "string"},
}
# Nobody who may; a page of another site, or a name that is not ours: see app.refuse_other_hosts.
# Then what is wrong with us, and what the end of the process does to a request.
EVERYWHERE = (401, 403, 500, 503)
PATH_PARAMETERS = {
    "id": "Identifier of the resource, as lists and uploads give it",
    "uid": "SOP Instance UID of the procedure step",
    "study": "Study Instance UID",
    "series": "Series Instance UID",
    "instance": "SOP Instance UID",
    "frames": "Numbers of frames, from 1 on, commas between them",
    "label": "1 to 64 letters A to Z and a to z, digits, _ and -",
    "frame": "Number of a frame, from 0 on",
    "index": "Number of an answer, from 0 on",
    "key": "Name of a file that a job left, such as `archive`",
    "name": "Name or number of a type of metadata or attachments",
    "path": "Tags or keywords, and between two of them the number of an item from 0 on",
}


def document(entries: Iterable[Entry]) -> bytes:
    """Return the OpenAPI document of these operations as JSON."""
    paths: dict[str, dict[str, Any]] = {}
    for entry in entries:
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", entry.path)
        paths.setdefault(path, {})[entry.method.lower()] = operation(entry, path)
    whole = {
        "openapi": "3.1.0",
        "info": {"title": "VNA", "version": version(), "description": ABOUT},
        "paths": paths,
        # Nobody is asked who he is before there are users.
        "security": [{}, {"basic": []}],
        "components": {
            "schemas": SCHEMAS,
            "responses": {"Error": error_answer()},
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
        },
    }
    return msgspec.json.encode(whole)


def operation(entry: Entry, path: str) -> dict[str, Any]:
    """Return the description of one operation."""
    described: dict[str, Any] = {
        "operationId": operation_id(entry.method, path),
        "tags": [path.split("/")[1] or "server"],
        "summary": entry.summary,
        "parameters": [
            *(in_path(name) for name in re.findall(r"\{(\w+)\}", path)),
            *(in_query(parameter) for parameter in entry.query),
        ],
        "responses": answers(entry, path),
    }
    if entry.body is not None:
        described["requestBody"] = {
            "required": True,
            "description": entry.body.text,
            "content": content(entry.body.content),
        }
    return described


def operation_id(method: str, path: str) -> str:
    """Return a name that generated clients can use: `get_studies_id_series`."""
    return "_".join([method.lower(), *re.findall(r"\w+", path)])


def in_path(name: str) -> Schema:
    """Return the description of a parameter of the path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": PATH_PARAMETERS[name],
        "schema": {"type": "string", "minLength": 1},
    }


def in_query(parameter: Parameter) -> Schema:
    """Return the description of a parameter of the query."""
    text = parameter.text
    if parameter.kind == "list":
        text += "; separated by semicolons"
    return {
        "name": parameter.name,
        "in": "query",
        "description": text,
        "schema": KINDS[parameter.kind],
    }


def answers(entry: Entry, path: str) -> dict[str, Any]:
    """Return all answers of an operation by status: what goes well, then what does not."""
    described: dict[str, Any] = {str(known.status): good(known) for known in entry.answers}
    for status in sorted(refusals(entry, path)):
        described.setdefault(str(status), {"$ref": "#/components/responses/Error"})
    return described


def refusals(entry: Entry, path: str) -> set[int]:
    """Return the statuses of all errors that an operation may answer."""
    found = {*EVERYWHERE, *entry.refusals}
    if entry.query:
        found.add(400)
    if "{" in path:
        found.add(404)
    if entry.body is not None:
        found.update(BODY_REFUSALS)
    return found


def good(known: Answer) -> Schema:
    """Return the description of an answer that is no error."""
    described: Schema = {"description": known.text}
    if known.content:
        described["content"] = content(known.content)
    return described


def content(schemas: dict[str, str]) -> Schema:
    """Return the forms of a body, by media type."""
    return {
        media_type: {"schema": reference(schema)} if SCHEMAS[schema] else {}
        for media_type, schema in schemas.items()
    }


def error_answer() -> Schema:
    """Return the description of the answer that all errors have."""
    examples = ", ".join(f"{status} {HTTPStatus(status).phrase}" for status in (400, 404, 415, 503))
    return {
        "description": f"The reason why not, as {examples} and others have it",
        "content": {JSON: {"schema": reference("Error")}},
    }
