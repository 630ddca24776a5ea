"""The HTTP server inside the process: the core's own, or uvicorn.

The socket is ours: bound before the server starts, so that a taken port is told in our words and
port 0 is resolved.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

import msgspec
from starlette.types import Message, Scope

from vna.errors import Busy, SettingsError
from vna.settings import Http

if TYPE_CHECKING:
    from vna.services.archive import Archive, Exchange, Upload

logger = logging.getLogger(__name__)

BACKLOG = 512
ASGI = {"version": "3.0", "spec_version": "2.4"}
# The body of an answer comes from the core, which `message["stream"]` lets write it.
STREAM = "vna.stream"
TLS_ALERT = b"\x15"  # ContentType (RFC 8446 §5.1)
PROBE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class HttpServer(Protocol):
    """What both servers can do."""

    async def serve(self) -> None:
        """Serve until stopped."""

    def stop(self) -> None:
        """Accept nothing new, finish what runs, then let `serve` return."""


def bind(http: Http) -> list[socket.socket]:
    """Return listening sockets for `http`; raises SettingsError if an address cannot be had."""
    listeners: list[socket.socket] = []
    port = http.port
    try:
        for host in http.hosts:
            listeners.append(bind_one(host, port))
            port = listeners[0].getsockname()[1]  # a free one is the same at all addresses
    except SettingsError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def bind_one(named: str, port: int) -> socket.socket:
    """Return a listening socket at one address."""
    host = named.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"http.host: {named} cannot be listened on: {error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"http.port: cannot listen on {named} port {port}: {error.strerror}"
        ) from None
    listener.setblocking(False)
    return listener


def require(kind: str) -> None:
    """Raise SettingsError if the server that the configuration names is not installed."""
    if kind == "uvicorn":
        uvicorn_module()


def uvicorn_module() -> Any:
    """Return uvicorn, which is optional; raises SettingsError if it is not installed."""
    try:
        import uvicorn
    except ModuleNotFoundError:
        raise SettingsError(
            "http.server: uvicorn is not installed; pip install 'vna[uvicorn]' or use core"
        ) from None
    return uvicorn


def create(kind: str, application: Any, listeners: list[socket.socket]) -> HttpServer:
    """Return the server that the configuration names, not yet serving."""
    if kind == "uvicorn":
        return UvicornServer(application, listeners)
    return CoreServer(application, listeners)


class CoreServer:
    """The core's own server: connections on its threads, our application on the running loop.

    What needs no decision the core answers alone (`core-rs/node/src/http/hot.rs`).
    """

    def __init__(self, application: Any, listeners: list[socket.socket]):
        self._application = application
        self._archive: Archive = application.node.archive
        self._listeners = listeners
        self._running: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Serve until stopped."""
        http = self._archive.settings.http
        known = self._application.known_hosts
        listener = {
            "max_connections": http.max_connections,
            "head_timeout_s": http.head_timeout_s,
            "tls": http.tls,
            "tls_client_certificates": http.tls_client_certificates,
            "tls_settings": msgspec.to_builtins(self._archive.settings.http_tls()),
            "policy": {
                "known_hosts": None if known is None else sorted(known),
                "cors_origins": sorted(self._application.cors.origins),
                "body_timeout_s": http.body_timeout_s,
                "dicomweb": self._dicomweb(),
            },
        }
        # The core cannot tell the end of a connection that it outlives.
        with contextlib.suppress(Busy):
            sockets = [each.detach() for each in self._listeners]
            await self._archive.serve_http(sockets, listener, self._begin)
        if self._running:
            await asyncio.wait(self._running)

    def stop(self) -> None:
        """Accept nothing new, finish what runs, then let `serve` return."""
        self._archive.stop_http()

    def _dicomweb(self) -> dict[str, Any]:
        """Return where DICOMweb is, for plain requests, which the core answers alone."""
        settings = self._archive.settings
        return {
            "root": settings.dicomweb.root,
            "public_url": settings.dicomweb.public_url,
            "scheme": "https" if settings.http.tls else "http",
            "max_results": settings.dicomweb.max_results,
            "stored_by_default": settings.dicomweb.default_transfer_syntax == "stored",
        }

    def _begin(self, exchange: Exchange) -> None:
        task = asyncio.create_task(self._run(exchange))
        self._running.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(self._running.discard)

    async def _run(self, exchange: Exchange) -> None:
        connection = Connection(self._archive, exchange)
        try:
            await self._application(connection.scope(), connection.receive, connection.send)
        except Exception as error:
            # The application has told its own errors; what is left is that the client went away
            # or that an answer which had begun cannot go on.
            logger.debug("an HTTP request was broken off", extra={"reason": str(error)})
        finally:
            exchange.abort()  # does nothing to an answer that is whole


class Connection:
    """One exchange of the core as ASGI sees it (version 3, HTTP 2.4)."""

    def __init__(self, archive: Archive, exchange: Exchange):
        self._archive = archive
        self._scheme = "https" if archive.settings.http.tls else "http"
        self._exchange = exchange
        self._body_ended = not exchange.has_body
        self._body_told = False
        self._head: Message | None = None
        self._begun = False

    def scope(self) -> Scope:
        """Return what is known of the request before its body."""
        exchange = self._exchange
        raw_path = exchange.raw_path
        path = raw_path.decode("ascii", "replace")
        return {
            "type": "http",
            "asgi": ASGI,
            "http_version": exchange.http_version,
            "method": exchange.method,
            "scheme": self._scheme,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": exchange.query,
            "root_path": "",
            "headers": exchange.headers,
            "client": exchange.remote,
            "server": None,
            "extensions": {STREAM: {}},
            "state": {"is_gone": exchange.is_gone, "give_body": self.give_body},
        }

    async def receive(self) -> Message:
        """Return the next piece of the body; behind its end, or if it will not come, say so."""
        if self._body_ended:
            if self._body_told:
                return {"type": "http.disconnect"}
            self._body_told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        try:
            piece = await self._archive.result(self._exchange.receive())
        except ConnectionError:
            self._body_ended = self._body_told = True
            return {"type": "http.disconnect"}
        if not piece:
            self._body_ended = self._body_told = True
        return {"type": "http.request", "body": piece, "more_body": not self._body_ended}

    async def give_body(self, arriving: Upload, most: int, timeout_s: float) -> None:
        """Let `arriving` take about `most` bytes of the body, of which none come to Python."""
        await arriving.take(self._exchange, most, timeout_s)
        self._body_ended = self._body_told = arriving.is_whole and not arriving.is_over

    async def send(self, message: Message) -> None:
        """Send a part of the answer; raises OSError if nobody takes it any more."""
        if message["type"] == "http.response.start":
            self._head = message
            return
        if message["type"] == STREAM:
            await message["stream"].respond(self._exchange, *self._begin())
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if not self._begun:
            status, headers = self._begin()
            if not more:
                self._exchange.respond(status, headers, body)
                return
            self._exchange.start(status, headers)
        if body:
            await self._archive.result(self._exchange.write(body))
        if not more:
            self._exchange.finish()

    def _begin(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Return status and headers of the answer, of which nothing was sent yet."""
        if self._head is None:
            raise RuntimeError("the body of an answer comes before its head")
        status, headers = self._head["status"], list(self._head.get("headers", ()))
        self._begun = True
        if not self._body_ended:
            # Nobody reads the rest, so there is no next request on this connection.
            headers.append((b"connection", b"close"))
        return status, headers


class UvicornServer:
    """uvicorn on the running loop."""

    def __init__(self, application: Any, listeners: list[socket.socket]):
        uvicorn = uvicorn_module()
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # start and end are told by us
        self._listeners = listeners
        config = uvicorn.Config(
            application,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
        )
        self._server = uvicorn.Server(config)

    async def serve(self) -> None:
        """Serve until stopped."""
        # _serve and not serve: the latter takes the process's signals, which are the loop's here.
        await self._server._serve(sockets=self._listeners)

    def stop(self) -> None:
        """Accept nothing new, finish what runs, then let `serve` return."""
        self._server.should_exit = True


async def until_answering(
    address: tuple[str, int], deadline_s: float = 10.0, *, tls: bool = False
) -> None:
    """Return once the server has answered a request: connections are taken before it runs.

    A server that speaks `tls` answers a request in the clear with an alert: so much shows that it
    runs, and needs no TLS of ours.

    Raises OSError if it does not, or answers anything but 200.
    """
    try:
        async with asyncio.timeout(deadline_s):
            reader, writer = await asyncio.open_connection(
                *address,
            )
            with contextlib.closing(writer):
                writer.write(PROBE)
                status = await reader.readline()
    except TimeoutError:
        raise OSError(f"the HTTP server gave no answer within {deadline_s:g} s") from None
    if not (status.startswith(TLS_ALERT) if tls else b" 200 " in status):
        raise OSError(f"the HTTP server answered {status!r} to its first request")
