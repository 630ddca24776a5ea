"""Remote DICOMweb servers, as clients of Orthanc's plugin know and use them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, field
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from vna.errors import BadBody, OutOfRange, PeerProtocolError, UnknownWebServer
from vna.rest import remote_bodies as bodies
from vna.rest.answers import json_response
from vna.rest.dicomweb.bulkdata import SANDBOX
from vna.rest.dicomweb.targets import MAX_UID, UID
from vna.rest.job_bodies import JobBody, answer_job
from vna.rest.modalities import empty, encoded
from vna.rest.requests import Call
from vna.services import elements, resources, sending, web_retrieving, web_servers, web_storing
from vna.services.web_retrieving import WebRetrieve
from vna.services.web_storing import WebStore
from vna.settings import WebServer
from vna.settings.orthanc import nodes
from vna.settings.peers import HeaderName, HeaderValue

if TYPE_CHECKING:
    from vna.services.http_client import Answer

# A tag as DICOM JSON has it (PS3.18 §F.2.2).
Tag = Annotated[str, Meta(pattern="^[0-9A-Fa-f]{8}$")]
# What is below a server, as clients of Orthanc list it.
BELOW = ["get", "retrieve", "stow", "wado", "qido"]
# What of a server's answer goes on to the client.
PASSED_ON = (
    "accept-ranges",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "etag",
    "last-modified",
    "vary",
    "warning",
)
LEVELS = {
    "Study": ("StudyInstanceUID",),
    "Series": ("StudyInstanceUID", "SeriesInstanceUID"),
    "Instance": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
}
PATH = ("studies", "series", "instances")
KINDS = {
    "patients": "Patients",
    "studies": "Studies",
    "series": "Series",
    "instances": "Instances",
}


class AskBody(msgspec.Struct, kw_only=True):
    """One request to a server."""

    uri: str = field(name="Uri")
    headers: dict[HeaderName, HeaderValue] = field(name="HttpHeaders", default={})
    arguments: dict[str, str] = field(name="Arguments", default={})


class WadoBody(JobBody, kw_only=True):
    """What to fetch from a server, by its path."""

    uri: str = field(name="Uri")
    headers: dict[HeaderName, HeaderValue] = field(name="HttpHeaders", default={})
    arguments: dict[str, str] = field(name="Arguments", default={})


class StowBody(JobBody, kw_only=True):
    """What to send to a server."""

    resources: list[str] = field(name="Resources")
    headers: dict[HeaderName, HeaderValue] = field(name="HttpHeaders", default={})
    arguments: dict[str, str] = field(name="Arguments", default={})


class Named(msgspec.Struct, kw_only=True):
    """A resource by its UIDs."""

    study: str = field(name="Study")
    series: str = field(name="Series", default="")
    instance: str = field(name="Instance", default="")

    def path(self) -> str:
        """Return where it is below a studies service; raises BadBody if a UID is none."""
        uids = (self.study, self.series, self.instance)
        if self.instance and not self.series:
            raise BadBody("an Instance is named with its Series")
        return path_of([uid for uid in uids if uid])


class RetrieveBody(JobBody, kw_only=True):
    """What to fetch from a server."""

    resources: list[Named] = field(name="Resources")
    headers: dict[HeaderName, HeaderValue] = field(name="HttpHeaders", default={})
    arguments: dict[str, str] = field(name="Arguments", default={})


def path_of(uids: list[str]) -> str:
    """Return the path of a study, series or instance; raises BadBody if a UID is none."""
    for uid in uids:
        if len(uid) > MAX_UID or not UID.fullmatch(uid):
            raise BadBody(f"{uid[:64]!r} is no UID", "dicomweb.bad_uid")
    return "".join(f"/{kind}/{uid}" for kind, uid in zip(PATH, uids, strict=False))


def described(server: WebServer) -> dict[str, Any]:
    """Return a server as clients read it: that there are secrets, but not which."""
    timeout_s = server.timeout_s or 0
    found: dict[str, Any] = {
        "HttpHeaders": sorted(server.headers),
        "Pkcs11": False,
        "Timeout": int(timeout_s) if timeout_s == int(timeout_s) else timeout_s,
        "Url": server.url,
    }
    if server.has_delete:
        found["HasDelete"] = "1"
    if not server.any_transfer_syntax:
        found["HasWadoRsUniversalTransferSyntax"] = "0"
    if server.username:
        found |= {"Password": None, "Username": server.username}
    if server.certificate:
        found |= {
            "CertificateFile": server.certificate,
            "CertificateKeyFile": None,
            "CertificateKeyPassword": None,
        }
    return found


async def listed(call: Call) -> Response:
    """List the servers: their names, or with `expand` what is known of them."""
    known = call.node.web_servers.all()
    if call.flag("expand"):
        return encoded({server.name: described(server) for server in known})
    return encoded([server.name for server in known])


async def operations(call: Call) -> Response:
    """List what can be asked of a server."""
    server = call.node.web_servers.get(call.path("id"))
    return encoded([*BELOW, "delete"] if server.has_delete else BELOW)


async def put(call: Call) -> Response:
    """Add or change a server."""
    name = call.path("id")
    if not bodies.MODALITY_NAME.fullmatch(name):
        raise BadBody(
            f"a server is called {name[:64]!r}; a name has letters, digits, - and _, at most 64"
        )
    body = bodies.parsed(await bodies.read_text(call))
    await call.node.web_servers.set(nodes.web_server(body, name))
    return empty()


async def remove(call: Call) -> Response:
    """Forget a server."""
    name = call.path("id")
    try:
        call.node.web_servers.get(name)
    except UnknownWebServer as error:
        raise OutOfRange(str(error), error.code) from None
    await call.node.web_servers.remove(name)
    return empty()


async def get(call: Call) -> Response:
    """Pass a GET on to a server, and its answer back as it comes."""
    server = call.node.web_servers.get(call.path("id"))
    body = bodies.as_form(bodies.parsed(await bodies.read_text(call)), AskBody)
    client = web_servers.client_of(call.node, server)
    target = web_servers.target(body.uri, body.arguments)
    async with AsyncExitStack() as opened:
        answer = await opened.enter_async_context(client.stream(target, body.headers.items()))
        return PassedOn(answer, opened.pop_all())


class PassedOn(StreamingResponse):
    """The answer of a server, which is let go of whether it was taken or not."""

    def __init__(self, answer: Answer, opened: AsyncExitStack):
        headers = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
        # A page of theirs is none of ours: what it would run must not run as who asks here.
        headers["Content-Security-Policy"] = SANDBOX
        super().__init__(answer.pieces(), answer.status, headers)
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        async with self._opened:
            await super().__call__(scope, receive, send)


async def qido(call: Call) -> Response:
    """Search a server, and return what it finds by tags with their names."""
    server = call.node.web_servers.get(call.path("id"))
    body = bodies.as_form(bodies.parsed(await bodies.read_text(call)), AskBody)
    headers = {"Accept": web_servers.DICOM_JSON} | body.headers
    async with web_servers.client_of(call.node, server) as client:
        target = web_servers.target(body.uri, body.arguments)
        answer = await client.ask("GET", target, headers=headers.items())
    return json_response(msgspec.json.encode(readable(server, answer)))


def readable(server: WebServer, answer: bytes) -> list[dict[str, Any]]:
    """Return results in DICOM JSON as clients of Orthanc read them.

    Raises PeerProtocolError if they are none.
    """
    try:
        found = msgspec.json.decode(answer or b"[]", type=list[dict[Tag, dict[str, Any]]])
        return [
            {tag: named(tag, attribute) for tag, attribute in sorted(result.items())}
            for result in found
        ]
    except (msgspec.DecodeError, AttributeError, TypeError, ValueError, RecursionError):
        raise PeerProtocolError(f"{server.url} answered a search with no DICOM JSON") from None


def named(tag: str, attribute: dict[str, Any]) -> dict[str, Any]:
    """Return an attribute with its number and name; of several values the text between strokes."""
    number = int(tag, 16)
    found: dict[str, Any] = {
        "Element": number & 0xFFFF,
        "Group": number >> 16,
        "Name": elements.keyword(number) or "",
    }
    values = [plain(value) for value in attribute.get("Value") or []]
    if any(value != "" for value in values):
        found["Value"] = values[0] if len(values) == 1 else "\\".join(map(str, values))
    found["vr"] = attribute.get("vr", "UN")
    return found


def plain(value: Any) -> Any:
    """Return a value; of a name its first form; of none, and of items, nothing."""
    if isinstance(value, dict):
        value = value.get("Alphabetic")
    return "" if value is None else value


async def stow(call: Call) -> Response:
    """Send resources to a server."""
    name = call.path("id")
    call.node.web_servers.get(name)
    body = bodies.as_form(bodies.parsed(await bodies.read_text(call)), StowBody)
    wanted = WebStore(
        server=name,
        resources=sorted(body.resources),
        instances=await sending.instances_of(call.node, body.resources, call.caller),
        headers=sorted(body.headers),
        arguments=body.arguments,
        permissive=body.permissive,
    )
    by_level: dict[str, list[str]] = {}
    for public_id in wanted.resources:
        level = resources.level_of(call.archive, public_id, call.caller)
        by_level.setdefault(KINDS[level], []).append(public_id)
    return await answer_job(
        call,
        body,
        web_storing.TYPE,
        msgspec.to_builtins(wanted),
        destination=web_servers.slot(name),
        show=web_storing.shown(wanted, by_level),
        secret=body.headers or None,
    )


async def retrieve(call: Call) -> Response:
    """Fetch studies, series and instances from a server into the archive."""
    body = bodies.as_form(bodies.parsed(await bodies.read_text(call)), RetrieveBody)
    return await fetch(call, body, [each.path() for each in body.resources], True)


async def wado(call: Call) -> Response:
    """Fetch what is at a path of a server into the archive."""
    body = bodies.as_form(bodies.parsed(await bodies.read_text(call)), WadoBody)
    return await fetch(call, body, [web_servers.target(body.uri, {})], False)


async def fetch(
    call: Call, body: RetrieveBody | WadoBody, paths: list[str], waits_by_default: bool
) -> Response:
    """Submit the job that fetches resources."""
    name = call.path("id")
    call.node.web_servers.get(name)
    wanted = WebRetrieve(
        server=name,
        paths=paths,
        headers=sorted(body.headers),
        arguments=body.arguments,
        permissive=body.permissive,
    )
    return await answer_job(
        call,
        body,
        web_retrieving.TYPE,
        msgspec.to_builtins(wanted),
        destination=web_servers.slot(name),
        show=web_retrieving.shown(web_retrieving.State()) if paths else {},
        waits_by_default=waits_by_default,
        secret=body.headers or None,
    )


async def delete(call: Call) -> Response:
    """Delete a study, series or instance of a server that takes DELETE."""
    server = call.node.web_servers.get(call.path("id"))
    if not server.has_delete:
        raise BadBody(f"server {server.name} is not said to take DELETE: HasDelete")
    body = bodies.parsed(await bodies.read_text(call))
    names = LEVELS.get(body.get("Level", "")) if isinstance(body, dict) else None
    uids = [str(body.get(name, "")) for name in names or ()]
    if not names or not all(uids):
        raise BadBody("the body is an object with Level (Study, Series, Instance) and its UIDs")
    async with web_servers.client_of(call.node, server) as client:
        await client.ask("DELETE", path_of(uids))
    return encoded({})
