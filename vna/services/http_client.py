"""HTTP/1.1 to remote archives: bodies are streamed, answers have a bound, nobody waits for ever.

h11 knows the protocol (RFC 9112); sockets, TLS and time are here. An answer is read while the body
is still being sent, so that a peer which refuses early is heard, whatever it does to the rest.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import h11
import msgspec

from vna.errors import (
    PeerClosed,
    PeerFailed,
    PeerHttpRefused,
    PeerProtocolError,
    PeerTimeout,
    PeerTlsFailed,
    PeerUnreachable,
)

# What a peer says of an instance or of itself takes some KiB.
MOST_ANSWER_BYTES = 4 << 20
MOST_HEAD_BYTES = 64 << 10
READ_BYTES = 64 << 10
# Of what a peer says of its refusal, so much is told.
SHOWN_REASON = 200
# Up to here a body is compressed in memory, so that its length can be told.
HELD_BYTES = 8 << 20
MINIMUM_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
DEFAULT_PORTS = {"http": 80, "https": 443}


class Tls(NamedTuple):
    """Whom we trust, and how we show who we are; all but the first are names of PEM files."""

    verify: bool = True
    trusted_certificates: str = ""
    certificate: str = ""
    private_key: str = ""
    private_key_password: str = ""
    minimum_version: str = "1.2"


class Body(NamedTuple):
    """The body of a request; `pieces` begins anew at each call, for a connection that was lost."""

    pieces: Callable[[], AsyncIterator[bytes]]
    length: int | None
    media_type: str
    encoding: str = ""


def held(data: bytes, media_type: str, encoding: str = "") -> Body:
    """Return a body of bytes in memory."""

    async def pieces() -> AsyncIterator[bytes]:
        yield data

    return Body(pieces, len(data), media_type, encoding)


async def gzipped(body: Body) -> Body:
    """Return a body in gzip; a small one is held, so that its length is known to the peer."""

    async def pieces() -> AsyncIterator[bytes]:
        packer = zlib.compressobj(wbits=31)
        async for piece in body.pieces():
            if packed := await asyncio.to_thread(packer.compress, piece):
                yield packed
        yield await asyncio.to_thread(packer.flush)

    if body.length is None or body.length > HELD_BYTES:
        return Body(pieces, None, body.media_type, "gzip")
    return held(b"".join([piece async for piece in pieces()]), body.media_type, "gzip")


class Place(NamedTuple):
    """Where somebody listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Client:
    """Who speaks to one server; connections are kept and used again.

    ::

        async with Client("https://other.example/archive", tls=Tls()) as client:
            answer = await client.ask("GET", "/system")

    Raises
    ------
    PeerProtocolError
        If `url` or `proxy` is no address.
    PeerTlsFailed
        If a certificate or key cannot be read.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        username: str = "",
        password: str = "",
        timeout_s: float = 60.0,
        proxy: str = "",
        tls: Tls | None = None,
    ):
        parts, self._server = address(url, "http")
        self._scheme = parts.scheme
        self._base = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        if not username and parts.username:
            username, password = unquote(parts.username), unquote(parts.password or "")
        self.url = f"{self._scheme}://{self._server}{self._base}"
        self._headers = [*(headers or {}).items(), ("Accept-Encoding", "identity")]
        if username:
            self._headers.append(("Authorization", basic(username, password)))
        self._proxy: Place | None = None
        self._to_proxy: list[tuple[str, str]] = []
        if proxy:
            proxy_parts, self._proxy = address(proxy, "http")
            if proxy_parts.username:
                known = basic(unquote(proxy_parts.username), unquote(proxy_parts.password or ""))
                self._to_proxy = [("Proxy-Authorization", known)]
        self._context = context_of(tls or Tls()) if self._scheme == "https" else None
        self._idle: list[Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._idle:
            self._idle.pop().close()

    async def ask(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> bytes:
        """Send a request, with more headers than the usual, and return the body of its answer.

        Raises
        ------
        PeerUnreachable, PeerClosed, PeerTimeout, PeerTlsFailed, PeerProtocolError
            If there is no answer.
        PeerHttpRefused
            If it is one of failure, a redirection among them: who names us a peer names where.
        """
        reply = await self.reply(method, path, body, headers)
        if reply.status >= 300:
            raise self.refused(method, path, reply.status, reply.content)
        return reply.content

    async def reply(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Reply:
        """Send a request and return its answer, of whatever status; raises as `ask` without one."""
        while True:
            connection = self._idle.pop() if self._idle else await self._connect()
            was_used = connection.was_used
            try:
                request = self._request(method, path, body, headers)
                reply = await connection.exchange(request, body)
            except PeerClosed:
                connection.close()
                if was_used and not connection.has_heard:
                    continue  # it had closed before we asked: what it never read is asked again
                raise
            except BaseException:
                connection.close()
                raise
            if connection.can_go_on():
                self._idle.append(connection)
            else:
                connection.close()
            return reply

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, headers: Iterable[tuple[str, str]] = ()
    ) -> AsyncIterator[Answer]:
        """Send a GET and give its answer, whose body is read as it comes; raises as `ask`."""
        connection = await self._connect()
        try:
            answer = await connection.begin(self._request("GET", path, None, headers))
            if answer.status >= 300:
                raise self.refused("GET", path, answer.status, await answer.whole())
            yield answer
        finally:
            connection.close()

    def refused(self, method: str, path: str, status: int, content: bytes) -> PeerHttpRefused:
        """Return the error that an answer of failure is."""
        return PeerHttpRefused(
            f"{self.url} answered {method} {path} with {phrase(status)}{reason(content)}",
            status=status,
        )

    def _request(
        self, method: str, path: str, body: Body | None, more: Iterable[tuple[str, str]]
    ) -> h11.Request:
        default = self._server.port == DEFAULT_PORTS[self._scheme]
        host = str(self._server).rpartition(":")[0] if default else str(self._server)
        headers = [("Host", host), *self._headers, *more]
        target = self._base + path
        if self._proxy and not self._context:
            target = self.url + path
            headers += self._to_proxy
        if body is None:
            headers += [("Content-Length", "0")] if method == "POST" else []
        else:
            headers.append(("Content-Type", body.media_type))
            if body.encoding:
                headers.append(("Content-Encoding", body.encoding))
            if body.length is None:
                headers.append(("Transfer-Encoding", "chunked"))
            else:
                headers.append(("Content-Length", str(body.length)))
        # Of one that is given twice the last counts, however written: two would be a list.
        distinct = {name.lower(): (name, value) for name, value in headers}
        return h11.Request(method=method, target=target, headers=[*distinct.values()])

    async def _connect(self) -> Connection:
        place = self._proxy or self._server
        with told(self.url, self._timeout_s, connecting=True):
            async with asyncio.timeout(self._timeout_s):
                direct = None if self._proxy else self._context
                reader, writer = await asyncio.open_connection(
                    place.host,
                    place.port,
                    ssl=direct,
                    server_hostname=self._server.host if direct else None,
                )
                try:
                    if self._proxy and self._context:
                        await tunnel(reader, writer, self._server, self._to_proxy)
                        await writer.start_tls(self._context, server_hostname=self._server.host)
                except BaseException:
                    writer.close()
                    raise
        return Connection(reader, writer, self.url, self._timeout_s)


class Reply(NamedTuple):
    """A whole answer: its status, the media type that it names, in lower case, and its body."""

    status: int
    media_type: str
    content: bytes


class Answer(NamedTuple):
    """The head of an answer, and the connection that its body comes on.

    Attributes
    ----------
    status : int
        Of HTTP.
    headers : dict
        Names in lower case; of one that comes twice the last.
    pieces : callable
        Gives the body, once; raises as `Client.ask`.
    """

    status: int
    headers: dict[str, str]
    pieces: Callable[[], AsyncIterator[bytes]]

    @property
    def media_type(self) -> str:
        """The media type that it names, in lower case."""
        return media_type_of(self.headers.get("content-type", ""))

    async def whole(self, most: int = MOST_ANSWER_BYTES) -> bytes:
        """Return the whole body; raises PeerProtocolError if it is over `most` bytes."""
        content = bytearray()
        async for piece in self.pieces():
            content += piece
            if len(content) > most:
                raise PeerProtocolError(f"an answer is over {most} bytes")
        return bytes(content)


class Connection:
    """One connection, for one request at a time.

    Attributes
    ----------
    was_used : bool
        Whether a request was answered on it.
    has_heard : bool
        Whether anything came since the request was begun.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        url: str,
        timeout_s: float,
    ):
        self._reader, self._writer = reader, writer
        self._url, self._timeout_s = url, timeout_s
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD_BYTES)
        self._patience: asyncio.Timeout | None = None
        self.was_used = self.has_heard = False

    def close(self) -> None:
        """Let go of it."""
        self._writer.transport.abort()

    def can_go_on(self) -> bool:
        """Make it ready for the next request, if both sides want to."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self.was_used = True
        return True

    async def exchange(self, request: h11.Request, body: Body | None) -> Reply:
        """Send a request and return its answer; raises PeerFailed."""
        self.has_heard = False
        with told(self._url, self._timeout_s):
            async with asyncio.timeout(self._timeout_s) as self._patience:
                sending = asyncio.create_task(self._send(request, body))
                receiving = asyncio.create_task(self._receive())
                try:
                    await asyncio.wait({sending, receiving}, return_when="FIRST_COMPLETED")
                    if sending.done() and not receiving.done():
                        error = sending.exception()
                        # Who closes may have said why before; an error of ours ends it.
                        if error is not None and not isinstance(error, OSError):
                            raise error
                    return await receiving
                finally:
                    sending.cancel()
                    receiving.cancel()
                    await asyncio.gather(sending, receiving, return_exceptions=True)

    async def begin(self, request: h11.Request) -> Answer:
        """Send a request without a body and return the head of its answer; raises PeerFailed."""
        with told(self._url, self._timeout_s):
            async with asyncio.timeout(self._timeout_s) as self._patience:
                await self._send(request, None)
                while not isinstance(event := await self._event(), h11.Response):
                    pass
        return Answer(event.status_code, headers_of(event), self._pieces)

    async def _pieces(self) -> AsyncIterator[bytes]:
        """Yield the body of the answer; the peer has its time anew for each piece."""
        while True:
            with told(self._url, self._timeout_s):
                async with asyncio.timeout(self._timeout_s) as self._patience:
                    event = await self._event()
            if isinstance(event, h11.EndOfMessage):
                return
            if isinstance(event, h11.Data):
                yield bytes(event.data)

    def _go_on(self) -> None:
        """Give the peer its time anew: something went on."""
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time() + self._timeout_s)

    async def _send(self, request: h11.Request, body: Body | None) -> None:
        self._writer.write(self._http.send(request) or b"")
        if body is not None:
            async for piece in body.pieces():
                parts = self._http.send_with_data_passthrough(h11.Data(data=piece))
                self._writer.writelines(parts or ())
                await self._writer.drain()
                self._go_on()
        self._writer.write(self._http.send(h11.EndOfMessage()) or b"")
        await self._writer.drain()
        self._go_on()

    async def _event(self) -> Any:
        """Return the next part of the answer."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(READ_BYTES)
            if not data and self._http.their_state is h11.SEND_RESPONSE:
                raise PeerClosed(f"{self._url} closed the connection without an answer")
            self.has_heard = self.has_heard or bool(data)
            self._http.receive_data(data)
            self._go_on()
            if not data:
                return self._last_event()
        return event

    def _last_event(self) -> Any:
        """Return the end of an answer that the end of the connection is.

        Raises PeerClosed where it is none: a peer that was stopped is no peer that speaks no HTTP.
        """
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise PeerClosed(f"{self._url} broke off its answer: {error}") from None

    async def _receive(self) -> Reply:
        status, media_type, content = 0, "", bytearray()
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                status = event.status_code
                media_type = media_type_of(headers_of(event).get("content-type", ""))
            elif isinstance(event, h11.Data):
                content += event.data
                if len(content) > MOST_ANSWER_BYTES:
                    raise PeerProtocolError(f"{self._url} answered over {MOST_ANSWER_BYTES} bytes")
            elif isinstance(event, h11.EndOfMessage):
                return Reply(status, media_type, bytes(content))


def headers_of(response: h11.Response) -> dict[str, str]:
    """Return the headers of an answer; of one that comes twice the last."""
    return {name.decode("ascii"): value.decode("latin-1") for name, value in response.headers}


def media_type_of(content_type: str) -> str:
    """Return the media type that a Content-Type names, in lower case."""
    return content_type.partition(";")[0].strip().lower()


@contextlib.contextmanager
def told(url: str, timeout_s: float, *, connecting: bool = False) -> Iterator[None]:
    """Turn what sockets, TLS and h11 raise into errors that say which peer it was."""
    try:
        yield
    except PeerFailed:
        raise
    except TimeoutError:
        what = "does not accept a connection" if connecting else "did not go on"
        raise PeerTimeout(f"{url} {what} within {timeout_s:g} s") from None
    except ssl.SSLError as error:
        words = getattr(error, "verify_message", "") or error.reason or str(error)
        raise PeerTlsFailed(f"{url}: no TLS: {words}") from None
    except OSError as error:
        words = error.strerror or str(error) or repr(error)
        if connecting:
            raise PeerUnreachable(f"{url} cannot be reached: {words}") from None
        raise PeerClosed(f"{url}: the connection was lost: {words}") from None
    except h11.RemoteProtocolError as error:
        raise PeerProtocolError(f"{url} does not speak HTTP: {error}") from None


async def tunnel(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    server: Place,
    headers: list[tuple[str, str]],
) -> None:
    """Have a proxy connect us with a server (RFC 9110 §9.3.6); raises PeerHttpRefused."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD_BYTES)
    asked = h11.Request(
        method="CONNECT", target=str(server), headers=[("Host", str(server)), *headers]
    )
    writer.write(http.send(asked) or b"")
    writer.write(http.send(h11.EndOfMessage()) or b"")
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            # A byte of TLS comes only after we have begun with it.
            data = await reader.read(READ_BYTES)
            if not data:
                raise PeerClosed(f"the proxy closed the connection to {server}")
            http.receive_data(data)
        elif isinstance(event, h11.Response):
            if not 200 <= event.status_code < 300:
                raise PeerHttpRefused(
                    f"the proxy does not connect us with {server}: {phrase(event.status_code)}",
                    status=event.status_code,
                )
            return


def address(url: str, scheme: str) -> tuple[Any, Place]:
    """Return the parts of an address, which may lack its scheme; raises PeerProtocolError."""
    try:
        parts = urlsplit(url if "://" in url else f"{scheme}://{url}")
        port = parts.port or DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        parts = None
    if parts is None or not parts.hostname:
        shown = url.rpartition("@")[2][:SHOWN_REASON]
        raise PeerProtocolError(f"{shown!r} is no http:// or https:// address", "peer.bad_url")
    return parts, Place(parts.hostname, port)


def basic(username: str, password: str) -> str:
    """Return the Authorization header of a user (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode('ascii')}"


def context_of(tls: Tls) -> ssl.SSLContext:
    """Return how TLS is to be spoken; raises PeerTlsFailed, naming the file that does not do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = MINIMUM_VERSIONS[tls.minimum_version]
    if tls.trusted_certificates:
        # A certificate may be trusted itself, whoever signed it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_verify_locations(tls.trusted_certificates)
        except OSError as error:
            raise no_file(tls.trusted_certificates, "certificates", error) from None
    else:
        context.load_default_certs()
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate:
        try:
            context.load_cert_chain(
                tls.certificate,
                tls.private_key or None,
                # Asked for at the terminal otherwise.
                password=lambda: tls.private_key_password,
            )
        except (OSError, ValueError) as error:
            files = " and ".join(filter(None, (tls.certificate, tls.private_key)))
            raise no_file(files, "certificate and private key", error) from None
    return context


def no_file(name: str, what: str, error: Exception) -> PeerTlsFailed:
    """Return the error that files do not hold what they must."""
    if isinstance(error, ssl.SSLError):
        words = error.reason or str(error)
    else:
        words = getattr(error, "strerror", None) or str(error)
    return PeerTlsFailed(f"no {what} in {name}: {words}", "peer.tls_file")


def reason(content: bytes) -> str:
    """Return what an answer says of its refusal, as far as that can be told."""
    words = ""
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        told_ = msgspec.json.decode(content)
        if isinstance(told_, dict):
            words = str(told_.get("Details") or told_.get("Message") or "")
    words = "".join(letter for letter in words if letter.isprintable())[:SHOWN_REASON]
    return f": {words}" if words else ""


def phrase(status: int) -> str:
    """Return a status in words."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
