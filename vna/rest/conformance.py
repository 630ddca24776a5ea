"""The conformance statement of both ways in (PS3.2), as a page, as JSON or as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from vna.errors import NotAcceptable
from vna.rest.accept import preferred
from vna.rest.describe import JSON, TEXT, Entry
from vna.rest.requests import Call
from vna.services.conformance import Section, as_text, heading, sections
from vna.services.web import EXPLICIT_VR_LITTLE_ENDIAN, can_transcode, transfer_syntaxes

if TYPE_CHECKING:
    from vna.settings import Dicomweb

HTML = "text/html"
FORMS = {"html": HTML, "json": JSON, "text": TEXT}
DEFAULTS = {
    "standard": "Explicit VR Little Endian; as stored what cannot be decoded",
    "stored": "as stored",
}
REASONS = (
    ("0110", "processing failure"),
    ("0124", "the archive is read-only"),
    ("A700", "out of resources, or too large"),
    ("A900", "the data set does not match its SOP class, or its pixel data"),
    ("A901", "the instance is of another study than it was sent to"),
    ("B000", "stored beside another instance of the same UID"),
    ("C000", "what came cannot be understood"),
    ("C001", "bulk data that the metadata refers to is missing"),
    ("C122", "no transfer syntax has such pixel data"),
)
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
    yield Section(
        "DICOMweb behaviour", columns=("Property", "Value"), rows=tuple(behaviour(settings))
    )
    yield Section(
        "DICOMweb failure and warning reasons",
        "Of instances that are not stored, or not as they were sent (PS3.18 Annex I).",
        ("Reason", "Meaning"),
        REASONS,
    )
    yield Section(
        "DICOMweb character sets",
        "Texts are in UTF-8; files keep the character set that they have.",
    )


def behaviour(settings: Dicomweb) -> Iterator[tuple[str, str]]:
    """Yield what PS3.18 leaves to a server (its clauses 8.7.3, 10.4.5, 10.5.5 and 10.6.5)."""
    syntaxes = [uid for uid in transfer_syntaxes() if can_transcode(EXPLICIT_VR_LITTLE_ENDIAN, uid)]
    yield "Roles", "origin server; user agent for the servers of /servers"
    yield "Search", "native; relational; combined date and time; time zone of the request"
    yield "Most results of a search", str(settings.max_results)
    yield "Fuzzy matching", "names that contain the words, begin with them or sound like them"
    yield "Empty and multiple value matching", "yes"
    yield "Without a transfer syntax", DEFAULTS[settings.default_transfer_syntax]
    yield "Transfer syntaxes that can be asked for", ", ".join(syntaxes)
    yield "Annotations", "patient, technique; others are left out with a warning"
    yield "Quality", "of JPEG, 1 to 100; 90 if not said"
    yield "Thumbnails", "of a series its middle image; 1 to 2^31 pixels a side as memory allows"
    yield "Without Accept", "the default media type of the resource"
    yield "Deletion", "yes, an extension" if settings.delete else "no"


def resource(entry: Entry) -> tuple[str, ...]:
    """Return the row of an operation."""
    taken = sorted(entry.body.content) if entry.body is not None else []
    given = dict.fromkeys(form for answer in entry.answers for form in answer.content)
    return (entry.method, template(entry), entry.summary, ", ".join(taken), ", ".join(given))


def parameters(entries: Iterable[Entry]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each parameter of the query of each operation."""
    for entry in entries:
        for parameter in entry.query:
            yield (f"{entry.method} {template(entry)}", parameter.name, parameter.text)


def template(entry: Entry) -> str:
    """Return the path of an operation as a URI template."""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", entry.path)


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
