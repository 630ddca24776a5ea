"""What there is to ask and to tell the server itself, beside what it stores."""

from __future__ import annotations

from html import escape

import msgspec
from starlette.responses import Response

from vna.errors import NotAllowed, NotImplementedYet, OutOfRange, UnknownItem
from vna.rest import remote_bodies as bodies
from vna.rest.answers import json_response
from vna.rest.describe import TEXT
from vna.rest.requests import Call
from vna.services import conformance, exported_files
from vna.version import version

DONE = b"{}"
# What text without Specific Character Set is read as; ASCII is a part of it.
DEFAULT_ENCODING = "Latin1"
# As clients of Orthanc name character sets.
NAMES = """
    Ascii Utf8 Latin1 Latin2 Latin3 Latin4 Latin5 Cyrillic Windows1251 Arabic Greek Hebrew Thai
    Japanese Chinese Korean JapaneseKanji SimplifiedChinese
"""
ENCODINGS = {name.casefold(): name for name in NAMES.split()}
EXPLORER = "// Nothing extends the explorer: no plugin is loaded.\n"
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title><link rel="icon" \
href="favicon.ico"></head>
<body><h1>{name}</h1><p>A vendor neutral archive, VNA {version}.</p><ul>
<li><a href="openapi.json">description of the interface</a></li>
<li><a href="conformance-statement">conformance statement</a></li>
<li><a href="system">what this server is</a></li>
<li><a href="studies">its studies</a></li>
<li><a href="metrics">metrics</a></li></ul></body></html>
"""
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" '
    'rx="3" fill="#12436d"/><path d="M3 4l5 9 5-9" fill="none" stroke="#fff" stroke-width="2"/>'
    "</svg>"
)


async def listed(call: Call) -> Response:
    """List what is below /tools."""
    from vna.rest.routes import table

    names = {entry.path.split("/")[2] for entry in table() if entry.path.startswith("/tools/")}
    return json_response(msgspec.json.encode(sorted(names)))


async def default_encoding(call: Call) -> Response:
    """Return what text is read as whose data set does not say it."""
    return Response(DEFAULT_ENCODING, media_type=TEXT)


async def set_default_encoding(call: Call) -> Response:
    """Take the encoding that is in force; no other is read without being named."""
    name = (await bodies.read_text(call)).decode("ascii", "replace")
    known = ENCODINGS.get(name.casefold())
    if known is None:
        raise OutOfRange(f"{name[:64]!r} is no encoding; it takes {', '.join(ENCODINGS.values())}")
    if known not in (DEFAULT_ENCODING, "Ascii"):
        raise NotImplementedYet(
            f"text whose data set names no character set is read as {DEFAULT_ENCODING}, which has "
            "ASCII in it; nothing else can be set"
        )
    return Response(DEFAULT_ENCODING, media_type=TEXT)


async def dicom_conformance(call: Call) -> Response:
    """Return what we say of ourselves on the DICOM network."""
    return Response(conformance.statement(call.node), media_type=TEXT)


async def execute_script(call: Call) -> Response:
    """Refuse: nobody's script is run because a request brings it."""
    await bodies.read_text(call)
    raise NotAllowed("scripts that come with a request are not run", "not_allowed.script")


async def reset(call: Call) -> Response:
    """Begin anew, with the configuration as it is now, once what runs has ended."""
    return end(call, again=True)


async def shutdown(call: Call) -> Response:
    """End the server, once what runs has ended."""
    return end(call, again=False)


def end(call: Call, *, again: bool) -> Response:
    """Have the process end, and begin again if so wanted; this answer is given before."""
    if call.node.ending is None:
        raise NotImplementedYet("this process does not end by request")
    call.node.ending(again)
    return json_response(DONE)


async def plugins(call: Call) -> Response:
    """List plugins, of which there are none; clients find this one name at every server."""
    return json_response(b'["explorer.js"]')


async def plugin(call: Call) -> Response:
    """Return what is known of a plugin."""
    raise UnknownItem(f"no plugin is called {call.path('id')[:64]!r}", "not_found.plugin")


async def explorer(call: Call) -> Response:
    """Return what plugins add to the explorer of Orthanc."""
    return Response(EXPLORER, media_type="application/javascript")


async def export(call: Call) -> Response:
    """Write the file of an instance on this machine; the body is its name."""
    name = (await bodies.read_text(call)).decode("utf-8", "replace")
    await exported_files.write(call.node, call.path("id"), name, call.caller)
    return json_response(DONE)


async def front(call: Call) -> Response:
    """Return a page for who comes with a browser."""
    settings = call.archive.settings
    name = escape(settings.http.name or settings.dicom.aet)
    return Response(PAGE.format(name=name, version=version()), media_type="text/html")


async def icon(call: Call) -> Response:
    """Return the sign that browsers show beside a page."""
    return Response(ICON, media_type="image/svg+xml")
