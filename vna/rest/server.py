"""The HTTP server inside the process: granian, or uvicorn.

The socket is ours: bound before the server starts, so that a taken port is told in our words, port
0 is resolved, and granian's SO_REUSEPORT cannot let a second server share the port unnoticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any, Protocol

from vna.errors import SettingsError
from vna.settings import Http

logger = logging.getLogger(__name__)

BACKLOG = 512
# Requests of one connection that granian hands to Python before it stops reading the socket.
BACKPRESSURE = 256
PROBE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class HttpServer(Protocol):
    """What both servers can do."""

    async def serve(self) -> None:
        """Serve until stopped."""

    def stop(self) -> None:
        """Accept nothing new, finish what runs, then let `serve` return."""


def bind(http: Http) -> socket.socket:
    """Return a listening socket for `http`; raises SettingsError if the address cannot be had."""
    host = http.host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, http.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"http.host: {http.host} cannot be listened on: {error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"http.port: cannot listen on {http.host} port {http.port}: {error.strerror}"
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
            "http.server: uvicorn is not installed; pip install 'vna[uvicorn]' or use granian"
        ) from None
    return uvicorn


def create(kind: str, application: Any, listener: socket.socket) -> HttpServer:
    """Return the server that the configuration names, not yet serving."""
    if kind == "uvicorn":
        return UvicornServer(application, listener)
    return GranianServer(application, listener)


class GranianServer:
    """granian in this process: its I/O in Rust threads, our application on the running loop."""

    def __init__(self, application: Any, listener: socket.socket):
        from granian import net
        from granian.constants import Interfaces
        from granian.http import HTTP1Settings
        from granian.server.embed import Server

        logging.getLogger("_granian").setLevel(logging.ERROR)  # says that embedding is experimental
        host, port = listener.getsockname()[:2]
        self._server: Any = Server(
            application,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            websockets=False,
            backlog=BACKLOG,
            backpressure=BACKPRESSURE,
            http1_settings=HTTP1Settings(header_read_timeout=30_000),
            log_enabled=False,
        )
        # The one thing its interface lacks: a socket that is there already.
        holder: Any = net.SocketHolder  # type: ignore[attr-defined]
        self._server._shd = holder(listener.detach(), False, BACKLOG)
        self._server._init_shared_socket = lambda: None  # type: ignore[method-assign]

    async def serve(self) -> None:
        """Serve until stopped."""
        await self._server.serve()

    def stop(self) -> None:
        """Accept nothing new, finish what runs, then let `serve` return."""
        self._server.stop()


class UvicornServer:
    """uvicorn on the running loop."""

    def __init__(self, application: Any, listener: socket.socket):
        uvicorn = uvicorn_module()
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # start and end are told by us
        self._listener = listener
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
        await self._server._serve(sockets=[self._listener])

    def stop(self) -> None:
        """Accept nothing new, finish what runs, then let `serve` return."""
        self._server.should_exit = True


async def until_answering(address: tuple[str, int], deadline_s: float = 10.0) -> None:
    """Return once the server has answered a request: connections are taken before it runs.

    Raises OSError if it does not, or answers anything but 200.
    """
    try:
        async with asyncio.timeout(deadline_s):
            reader, writer = await asyncio.open_connection(*address)
            with contextlib.closing(writer):
                writer.write(PROBE)
                status = await reader.readline()
    except TimeoutError:
        raise OSError(f"the HTTP server gave no answer within {deadline_s:g} s") from None
    if b" 200 " not in status:
        raise OSError(f"the HTTP server answered {status!r} to its first request")
