"""The conformance statement of both ways in (PS3.2), as a page, as JSON or as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape

import msgspec
from starlette.responses import Response

from vna.errors import NotAcceptable
from vna.rest.accept import preferred
from vna.rest.describe import JSON, TEXT, Entry
from vna.rest.requests import Call
from vna.services.conformance import Section, as_text, heading, sections

HTML = "text/html"
FORMS = {"html": HTML, "json": JSON, "text": TEXT}
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2em .6em;text-align:left;"
    "vertical-align:top}th{background:#eee}"
)


async def statement(call: Call) -> Response:
    """Return the statement in the form that `format` or Accept asks for; a page if neither does.

    Raises NotAcceptable if that is none of them.
    """
    asked = call.request.query_params.get("format")
    accept = call.request.headers.get("accept", "*/*")
    form = FORMS.get(asked) if asked is not None else preferred(accept, list(FORMS.values()))
    if form is None:
        raise NotAcceptable(f"the statement is given as {', '.join(FORMS.values())}")
    parts = [*sections(call.node), *web_sections(call)]
    if form == JSON:
        return Response(as_json(parts), media_type=JSON)
    return Response(as_page(parts) if form == HTML else as_text(parts), media_type=form)


def web_sections(call: Call) -> Iterator[Section]:
    """Yield what holds of DICOMweb (PS3.18), from the operations that there are."""
    from vna.rest.dicomweb.routes import table

    settings = call.archive.settings.dicomweb
    entries = table(settings)
    yield Section(
        "DICOMweb resources",
        f"The studies service is below {settings.root}, WADO-URI at {settings.wado_root}.",
        ("Method", "Resource", "What it does", "Media types taken", "Media types given"),
        tuple(map(resource, entries)),
    )
    yield Section(
        "DICOMweb parameters",
        columns=("Resource", "Parameter", "Meaning"),
        rows=tuple(parameters(entries)),
    )
    yield Section("DICOMweb character sets", "Texts in JSON and XML are in UTF-8.")


def resource(entry: Entry) -> tuple[str, ...]:
    """Return the row of an operation."""
    taken = sorted(entry.body.content) if entry.body is not None else []
    given = dict.fromkeys(form for answer in entry.answers for form in answer.content)
    path = re.sub(r"\{(\w+):\w+\}", r"{\1}", entry.path)
    return (entry.method, path, entry.summary, ", ".join(taken), ", ".join(given))


def parameters(entries: Iterable[Entry]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each parameter of the query of each operation."""
    for entry in entries:
        for parameter in entry.query:
            yield (f"{entry.method} {entry.path}", parameter.name, parameter.text)


def as_json(parts: Iterable[Section]) -> bytes:
    """Return sections as JSON: tables are lists of objects by the heads of their columns."""
    documents = [
        {
            "Title": part.title,
            "Text": part.text,
            "Table": [dict(zip(part.columns, row, strict=True)) for row in part.rows],
        }
        for part in parts
    ]
    return msgspec.json.encode({"Title": heading(), "Sections": documents})


def as_page(parts: Iterable[Section]) -> str:
    """Return sections as a page that needs nothing from elsewhere."""
    return "".join(page(list(parts)))


def page(parts: list[Section]) -> Iterator[str]:
    """Yield the pieces of the page."""
    title = escape(heading())
    yield f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield f"<style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n<ul>"
    for number, part in enumerate(parts, 1):
        yield f'<li><a href="#s{number}">{escape(part.title)}</a></li>'
    yield "</ul>\n"
    for number, part in enumerate(parts, 1):
        yield f'<h2 id="s{number}">{number} {escape(part.title)}</h2>\n'
        if part.text:
            yield f"<p>{escape(part.text)}</p>\n"
        if part.columns:
            yield f"<table>{row('th', part.columns)}"
            yield from (row("td", cells) for cells in part.rows)
            yield "</table>\n"
    yield "</body></html>\n"


def row(kind: str, cells: Iterable[str]) -> str:
    """Return a row of a table in HTML."""
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>\n"
