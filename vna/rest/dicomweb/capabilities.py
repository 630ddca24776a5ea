"""OPTIONS: what the service can do (PS3.18 §8.9), made from the route table, as WADL or JSON.

Each resource of the service answers for itself and what is below it; the root answers for all.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from vna.rest.app import allow
from vna.rest.describe import JSON, Entry
from vna.rest.dicomweb import negotiation, urls
from vna.rest.dicomweb.negotiation import Offer
from vna.rest.dicomweb.routes import table
from vna.rest.dicomweb.store_routes import WADL

if TYPE_CHECKING:
    from vna.rest.requests import Call
    from vna.settings import Dicomweb

OFFERS = (Offer(WADL), Offer(JSON), Offer("application/xml"))
NAMESPACE = "http://wadl.dev.java.net/2009/02"
PARAMETER = re.compile(r"\{([a-z_]+)(?::path)?\}")
TYPES = {"flag": "boolean", "number": "integer", "decimal": "decimal"}

# What PS3.18 Annex H calls the methods of its resources, by method and the end of the path.
STUDY = "/studies/{study}"
SERIES = f"{STUDY}/series/{{series}}"
INSTANCE = f"{SERIES}/instances/{{instance}}"
NAMES = {
    ("GET", "/studies"): "SearchForStudies",
    ("GET", "/series"): "SearchForSeries",
    ("GET", "/instances"): "SearchForInstances",
    ("GET", f"{STUDY}/series"): "SearchForStudySeries",
    ("GET", f"{STUDY}/instances"): "SearchForStudyInstances",
    ("GET", f"{SERIES}/instances"): "SearchForStudySeriesInstances",
    ("POST", "/studies"): "StoreInstances",
    ("POST", STUDY): "StoreStudyInstances",
    ("GET", STUDY): "RetrieveStudy",
    ("GET", SERIES): "RetrieveSeries",
    ("GET", INSTANCE): "RetrieveInstance",
    ("GET", f"{STUDY}/metadata"): "RetrieveStudyMetadata",
    ("GET", f"{SERIES}/metadata"): "RetrieveSeriesMetadata",
    ("GET", f"{INSTANCE}/metadata"): "RetrieveInstanceMetadata",
    ("GET", f"{INSTANCE}/frames/{{frames}}"): "RetrieveFrames",
    ("OPTIONS", ""): "RetrieveCapabilities",
}


async def describe(call: Call) -> Response:
    """Answer OPTIONS for the resource of the path."""
    media_type = negotiation.require(call.request, OFFERS).offer.media_type
    settings = call.archive.settings.dicomweb
    path = call.request.scope.get("vna.route", settings.root)
    entries = below(settings, path)
    base = urls.service_root(call)
    here = (entry.method for entry in entries if entry.path == path)
    headers = {"Allow": allow(here), "Vary": "Accept"}
    if media_type == JSON:
        body = msgspec.json.encode(as_json(entries, settings.root, base))
    else:
        body = as_wadl(entries, settings.root, base).encode()
    return Response(body, headers=headers, media_type=media_type)


def below(settings: Dicomweb, path: str) -> list[Entry]:
    """Return the operations of a resource, given as its route, and of those below it."""
    entries = table(settings)
    return [each for each in entries if each.path == path or each.path.startswith(f"{path}/")]


def relative(entry: Entry, root: str) -> str:
    """Return the template of a resource behind the root, as WADL writes it."""
    return PARAMETER.sub(r"{\1}", entry.path.removeprefix(root)).lstrip("/")


def name_of(entry: Entry, path: str) -> str:
    """Return the name of an operation: that of the standard, or one in its manner."""
    known = NAMES.get((entry.method, f"/{path}" if path else ""))
    if known:
        return known
    words = re.sub(r"[^A-Za-z0-9 ]", " ", entry.summary).title()
    return words.replace(" ", "")


def as_json(entries: list[Entry], root: str, base: str) -> dict[str, Any]:
    """Return resources and methods as a JSON object."""
    resources: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        path = relative(entry, root)
        method: dict[str, Any] = {
            "name": entry.method,
            "id": name_of(entry, path),
            "title": entry.summary,
            "responses": [
                {"status": answer.status, "mediaTypes": list(answer.content)}
                for answer in entry.answers
            ],
        }
        if entry.query:
            method["parameters"] = [
                {"name": each.name, "type": TYPES.get(each.kind, "string"), "title": each.text}
                for each in entry.query
            ]
        if entry.body:
            method["request"] = {"mediaTypes": list(entry.body.content)}
        resources.setdefault(path, []).append(method)
    return {
        "base": base,
        "resources": [{"path": path, "methods": found} for path, found in resources.items()],
    }


def as_wadl(entries: list[Entry], root: str, base: str) -> str:
    """Return resources and methods as a Web Application Description Language document."""
    document = as_json(entries, root, base)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<application xmlns="{NAMESPACE}" xmlns:xsd="http://www.w3.org/2001/XMLSchema">',
        f'<resources base="{escape(base)}">',
    ]
    for resource in document["resources"]:
        lines.append(f'<resource path="{escape(resource["path"])}">')
        lines += [
            f'<param name="{name}" style="template" type="xsd:string" required="true"/>'
            for name in PARAMETER.findall(resource["path"])
        ]
        for method in resource["methods"]:
            lines += wadl_method(method)
        lines.append("</resource>")
    lines += ["</resources>", "</application>"]
    return "\n".join(lines)


def wadl_method(method: dict[str, Any]) -> list[str]:
    """Return one method as lines of WADL."""
    lines = [f'<method name="{method["name"]}" id="{escape(method["id"])}">']
    lines.append(f"<doc>{escape(method['title'])}</doc>")
    lines.append("<request>")
    lines += [
        f'<param name="{escape(each["name"])}" style="query" type="xsd:{each["type"]}">'
        f"<doc>{escape(each['title'])}</doc></param>"
        for each in method.get("parameters", ())
    ]
    lines += representations(method.get("request", {}).get("mediaTypes", ()))
    lines.append("</request>")
    for answer in method["responses"]:
        lines.append(f'<response status="{answer["status"]}">')
        lines += representations(answer["mediaTypes"])
        lines.append("</response>")
    lines.append("</method>")
    return lines


def representations(media_types: Any) -> list[str]:
    """Return media types as lines of WADL."""
    return [f'<representation mediaType="{escape(each)}"/>' for each in media_types]
