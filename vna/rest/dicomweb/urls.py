"""Our address as the client sees it: what RetrieveURL, BulkDataURI and Location begin with.

A proxy in front of us says how it was called in `Forwarded` (RFC 7239) or `X-Forwarded-*`. Only
those of `dicomweb.trusted_proxies` are believed: what others say would send readers elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from vna.errors import BadRequest
from vna.rest.dicomweb.negotiation import unquoted

if TYPE_CHECKING:
    from starlette.requests import Request

    from vna.rest.requests import Call
    from vna.settings import Settings

# A name or address, and a port: nothing that would end it early in a header, in JSON or in XML.
AUTHORITY = re.compile(r"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
PREFIX = re.compile(r"(?:/[A-Za-z0-9._~%-]+)*/?")
# One pair of an element of Forwarded, and what is behind it (RFC 7239 §4).
PAIR = re.compile(r'\s*([^\s=;,"]+)=("(?:[^"\\]|\\.)*"|[^;,"]*)\s*(;|,|$)')
# What is left as it is in an address that came.
OF_ADDRESSES = "!#$%&'()*+,/:;=?@[]~"
DEFAULT_PORTS = {"http": "80", "https": "443"}


def service_root(call: Call) -> str:
    """Return the address of the studies service, without a slash at its end.

    Raises BadRequest if a Host or forwarding header is no host.
    """
    settings = call.archive.settings
    return server_root(call.request, settings) + settings.dicomweb.root


def target_uri(call: Call) -> str:
    """Return the address that a request is for, as the client has it."""
    scope = call.request.scope
    path, query = scope["raw_path"], scope["query_string"]
    told = quote(path + b"?" * bool(query) + query, safe=OF_ADDRESSES)
    return server_root(call.request, call.archive.settings) + told


def server_root(request: Request, settings: Settings) -> str:
    """Return the address of this server, without a slash at its end."""
    fixed = settings.dicomweb.public_url
    if fixed:
        return fixed.rstrip("/")
    # Of the connection: of a request without Host, as HTTP/1.0 has it, there is no URL.
    scheme, host, prefix = request.scope["scheme"], request.headers.get("host", ""), ""
    if is_trusted(request.client.host if request.client else "", settings):
        told = forwarded(request)
        scheme, host = told.get("proto", scheme), told.get("host", host)
        prefix = told.get("prefix", "")
    if scheme not in DEFAULT_PORTS:
        raise BadRequest(f"the scheme {scheme[:16]!r} is neither http nor https")
    if not host:
        host = f"{settings.http.hosts[0]}:{settings.http.port}"
    if not AUTHORITY.fullmatch(host):
        raise BadRequest(f"{host[:64]!r} is no host, by which the request calls this server")
    if not PREFIX.fullmatch(prefix):
        raise BadRequest(f"X-Forwarded-Prefix {prefix[:64]!r} is no path")
    return f"{scheme}://{host}{prefix.rstrip('/')}"


def forwarded(request: Request) -> dict[str, str]:
    """Return what the nearest client's proxy says: `proto`, `host`, `prefix`, as far as it does."""
    headers = request.headers
    told: dict[str, str] = {}
    for name, value, end in PAIR.findall(headers.get("forwarded", "")):
        told[name.lower()] = unquoted(value)
        if end == ",":
            break  # the first element is of the proxy that the client itself called
    found = {name: told[name] for name in ("proto", "host") if told.get(name)}

    def first(name: str) -> str:
        return headers.get(f"x-forwarded-{name}", "").partition(",")[0].strip()

    for name in ("proto", "host", "prefix"):
        if name not in found and first(name):
            found[name] = first(name)
    scheme: str = request.scope["scheme"]
    found["proto"] = found.get("proto", scheme).lower()
    port = first("port")
    is_usual = port == DEFAULT_PORTS.get(found["proto"])
    host = found.get("host", headers.get("host", ""))
    if port and not is_usual and host and not re.search(r":[0-9]+$", host):
        found["host"] = f"{host}:{port}"
    return found


def is_trusted(address: str, settings: Settings) -> bool:
    """Whether what comes from an address may say how it was called."""
    return _is_among(address, tuple(settings.dicomweb.trusted_proxies))


@lru_cache(256)
def _is_among(address: str, networks: tuple[str, ...]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in ipaddress.ip_network(each, strict=False) for each in networks)


def retrieve_url(root: str, study: str, series: str = "", instance: str = "") -> str:
    """Return the address of a study, of one of its series, or of an instance of that."""
    url = f"{root}/studies/{study}"
    if series:
        url += f"/series/{series}"
    if instance:
        url += f"/instances/{instance}"
    return url


def bulk_data_uri(root: str, study: str, series: str, instance: str, path: str) -> str:
    """Return the address of a value: `path` is that of its element, `00081140/0/00420011`."""
    return f"{retrieve_url(root, study, series, instance)}/bulkdata/{path}"
