"""The ASGI application: the route table served, every error in one form.

Around each request, in this order: headers that every answer carries, spoofed methods, the guard
against other sites' pages, and the translation of errors.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
import traceback
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from vna.errors import BadRequest, Busy, NotAllowed, NotFound, VnaError
from vna.rest import access
from vna.rest.cors import Cors, Headers
from vna.rest.durations import Durations
from vna.rest.errors import bare, error_response
from vna.rest.requests import BodyBudget, Call, Handler
from vna.rest.router import Router
from vna.rest.routes import table
from vna.services.node import Node
from vna.settings import Dicomweb, is_loopback

logger = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SPOOFED = frozenset({"PUT", "DELETE"})
NO_SNIFFING = (b"x-content-type-options", b"nosniff")
# Names by which requests call us: a client uses one, and to tell whether it is ours takes as long
# as to find a route.
KNOWN_NAMES = 256


class Route(NamedTuple):
    """A path of the table, and what answers it by method."""

    path: str
    handlers: dict[str, Handler]


class Application:
    """The HTTP way in of one node."""

    def __init__(self, node: Node):
        self.node = node
        archive = node.archive
        self._running: set[asyncio.Task[object]] = set()
        self._ending = False
        self.budget = BodyBudget(archive.settings.limits.http_body_bytes)
        http = archive.settings.http
        # None: any. Who listens wider is called by names that we cannot know.
        wide = not http.is_local or "*" in http.allowed_hosts
        self.known_hosts = None if wide else frozenset(name.lower() for name in http.allowed_hosts)
        self.cors = Cors(http.cors_origins)
        self.operations = operations(archive.settings.dicomweb)
        node.users.on_change(archive.authenticate_http)
        self.durations = Durations()
        self.router: Router[Route] = Router()
        for path, handlers in self.operations.items():
            self.router.add(path, Route(path, handlers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"no {scope['type']} here")
        secure = Answer(send, self.cors.headers(header(scope, b"origin")))
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
        try:
            await self._answer(scope, receive, secure)
        except asyncio.CancelledError:
            if not self._ending or secure.started:
                raise
            await error_response(Busy("the server is stopping"), scope["method"], scope["path"])(
                scope, receive, secure
            )
        finally:
            if task is not None:
                self._running.discard(task)

    def end_requests(self) -> None:
        """Answer what still runs with 503; for the end of the time that it has to finish."""
        self._ending = True
        for task in self._running:
            task.cancel()

    async def _answer(self, scope: Scope, receive: Receive, secure: Answer) -> None:
        try:
            if self.known_hosts is not None:
                refuse_other_hosts(scope, self.known_hosts)
            scope = spoof_method(scope)
            if await self._preflight(scope, receive, secure):
                return
            listed = self.cors.is_listed(header(scope, b"origin"))
            if scope["method"] not in SAFE_METHODS and not listed:
                refuse_other_sites(scope)
            await self._identify(scope)
            await self._route(scope, receive, secure)
        except VnaError as error:
            if error.http_status >= 500:
                logger.error(
                    "request failed",
                    extra={"uri": scope["path"], "code": error.code, "reason": str(error)},
                )
            # Futures and the frames that wait for them hold each other, and with them a large body
            # until the collector comes, unless the frames let go now.
            traceback.clear_frames(error.__traceback__)
            if secure.started:
                raise  # only a broken connection still tells the client
            answer = self._refusal(error, scope)
            await answer(scope, receive, secure)
        except (ClientDisconnect, ConnectionError):
            # Nobody is there any more to whom anything could be told.
            logger.debug("the client went away", extra={"uri": scope["path"]})
        except Exception:
            logger.exception("request failed", extra={"uri": scope["path"]})
            if secure.started:
                raise
            unforeseen = VnaError("see the server's log")
            await self._refusal(unforeseen, scope)(scope, receive, secure)

    async def _preflight(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer what a browser asks before a request of another site's page; tell if it was."""
        if scope["method"] != "OPTIONS" or not self.cors:
            return False
        found = self.router.find(scope["path"])
        answer = self.cors.preflight(scope, found[0].handlers if found else ())
        if answer is not None:
            await answer(scope, receive, send)
        return answer is not None

    def _refusal(self, error: VnaError, scope: Scope) -> Response:
        """Return the answer for an error, without what it says of it if that is wanted so."""
        answer = error_response(error, scope["method"], scope["path"])
        if self.node.archive.settings.http.describe_errors:
            return answer
        return bare(answer)

    async def _identify(self, scope: Scope) -> None:
        """Note whose request this is, before anything of its body is read.

        Raises Unauthenticated if somebody must say who he is and did not, NotAllowed if he may not.
        """
        users, path = self.node.users, scope["path"]
        authorization = header(scope, b"authorization")
        must_say = users.are_required or access.names_tenant(authorization)
        if not must_say or path in access.OPEN:
            return
        address = scope["client"][0] if scope["client"] else ""
        user = await access.identify(users, self.node.archive, authorization, address)
        dicomweb_root = self.node.archive.settings.dicomweb.root
        access.require_right(user, scope["method"], path, dicomweb_root)
        scope["user"] = user

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the operation answer that the request names; HEAD is GET without its body."""
        found = self.router.find(scope["path"])
        if found is None:
            raise NotFound(f"there is no {scope['path']}", "route.unknown")
        route, scope["path_params"] = found
        handlers = route.handlers
        method = scope["method"]
        handler = handlers.get("GET" if method == "HEAD" else method)
        if handler is None and method == "OPTIONS" and self._is_dicomweb(route.path):
            handler = self.operations[self.node.archive.settings.dicomweb.root]["OPTIONS"]
            scope["vna.route"] = route.path
        if handler is None:
            if method == "OPTIONS":  # what a resource can do, where that is asked (RFC 9110 §9.3.7)
                refusal = Response(None, 204, headers={"Allow": allow(handlers)})
            else:
                refusal = Response(None, 405, headers={"Allow": ",".join(sorted(handlers))})
            await refusal(scope, receive, send)
            return
        started = time.perf_counter()
        try:
            await self.run(handler, scope, receive, bodiless(send) if method == "HEAD" else send)
        finally:
            self.durations.record(method, route.path, time.perf_counter() - started)

    def _is_dicomweb(self, path: str) -> bool:
        return path.startswith(f"{self.node.archive.settings.dicomweb.root}/")

    @property
    def active_requests(self) -> int:
        """How many are being answered."""
        return len(self._running)

    async def run(self, handler: Handler, scope: Scope, receive: Receive, send: Send) -> None:
        """Let `handler` answer."""
        answer = await handler(Call(Request(scope, receive), self.node, self.budget, self))
        await answer(scope, receive, send)


def operations(dicomweb: Dicomweb) -> dict[str, dict[str, Handler]]:
    """Return the handlers of the table by path and method."""
    by_path: dict[str, dict[str, Handler]] = {}
    for entry in table(dicomweb):
        by_path.setdefault(entry.path, {})[entry.method] = entry.handler
    return by_path


class Answer:
    """`send` with the headers that every answer carries; knows whether the answer has begun."""

    def __init__(self, send: Send, more: Headers):
        self._send = send
        self._more = more
        self.started = False

    async def __call__(self, message: Message) -> None:
        """Send one part of the answer."""
        if message["type"] == "http.response.start":
            self.started = True
            message["headers"] = [
                *message.get("headers", ()),
                NO_SNIFFING,
                *self._more,
            ]
        await self._send(message)


def allow(methods: Iterable[str]) -> str:
    """Return the value of `Allow` for a path with these methods in its table."""
    found = {*methods, "OPTIONS"}
    if "GET" in found:
        found.add("HEAD")
    return ", ".join(sorted(found))


def bodiless(send: Send) -> Send:
    """Return `send` without bodies; the headers still tell their length."""

    async def silent(message: Message) -> None:
        if message["type"] == "http.response.body":
            if message.get("more_body"):
                return
            message = {**message, "body": b""}
        await send(message)

    return silent


def header(scope: Scope, name: bytes) -> str | None:
    """Return a header of the request, or None."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1")
    return None


def spoof_method(scope: Scope) -> Scope:
    """Return the scope with the method meant: some clients can say only GET and POST."""
    wanted: str | None = None
    if scope["method"] == "GET" and b"_method=" in scope["query_string"]:
        wanted = parse_qs(scope["query_string"].decode("latin-1")).get("_method", [""])[-1]
    elif scope["method"] == "POST":
        wanted = header(scope, b"x-http-method-override")
    if not wanted:
        return scope
    if wanted.upper() not in SPOOFED:
        raise BadRequest(f"the method meant is {wanted[:16]!r}; PUT and DELETE can be said so")
    return {**scope, "method": wanted.upper()}


def refuse_other_sites(scope: Scope) -> None:
    """Raise NotAllowed if the page of another site made a browser send this.

    Such a request reaches us on loopback without any password, so `evil.example` could delete
    studies of whoever visits it. Programs other than browsers send neither header.
    """
    site = header(scope, b"sec-fetch-site")
    origin = header(scope, b"origin")
    foreign = site in {"cross-site", "same-site"}
    if site is None and origin is not None:
        try:
            foreign = urlsplit(origin).netloc != header(scope, b"host")
        except ValueError:  # an address that is none, such as http://[x
            foreign = True
    if foreign:
        raise NotAllowed(f"a page of another site ({origin or site}) may not change the archive")


@functools.lru_cache(KNOWN_NAMES)
def host_name(host: str) -> tuple[str, bool]:
    """Return the name in a Host header without its port, and whether it means this machine."""
    name = host.lower().rsplit(":", 1)[0] if not host.endswith("]") else host.lower()
    return name, is_loopback(name)


def refuse_other_hosts(scope: Scope, known: frozenset[str]) -> None:
    """Raise NotAllowed if the request calls us by a name that is not ours.

    A page of `evil.example` whose name was pointed at 127.0.0.1 after it was loaded counts as ours
    to the browser; only the Host header still tells.
    """
    host = header(scope, b"host")
    if not host:
        return
    name, ours = host_name(host)
    if not ours and name not in known:
        raise NotAllowed(
            f"the request calls this server {name!r}, which listens on loopback only; "
            f"if a proxy sends it, add the name to http.allowed_hosts"
        )
