"""How remote archives are called over HTTP, with peers that are slow, rude, broken or silent."""

import asyncio
import contextlib
import gzip
import json
import ssl

import pytest
from support_certificates import PASSPHRASE, certificates_in

from vna.errors import (
    PeerClosed,
    PeerHttpRefused,
    PeerProtocolError,
    PeerTimeout,
    PeerTlsFailed,
    PeerUnreachable,
)
from vna.services import http_client
from vna.services.http_client import Body, Client, Tls, gzipped, held

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return certificates_in(tmp_path_factory.mktemp("certificates"))


async def head_of(reader):
    """Return the lines of a request before its body, the header names in lower case."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    return lines[0], {name.lower(): value for name, value in headers.items()}


async def body_of(reader, headers):
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


@contextlib.asynccontextmanager
async def peer(serve, context=None):
    """Run a peer whose connections `serve` has; gives its port."""

    async def connected(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def client(port, *, scheme="http", path="", **options):
    options.setdefault("timeout_s", 5)
    return Client(f"{scheme}://127.0.0.1:{port}{path}", **options)


def streamed(*pieces):
    async def each():
        for piece in pieces:
            yield piece

    return Body(each, None, "application/dicom")


class Recorder:
    """A peer that keeps what it is asked and answers all of it well."""

    def __init__(self, answer=OK):
        self.asked = []
        self.connections = 0
        self.answer = answer

    async def __call__(self, reader, writer):
        self.connections += 1
        while True:
            line, headers = await head_of(reader)
            self.asked.append((line, headers, await body_of(reader, headers)))
            writer.write(self.answer)
            await writer.drain()


async def test_a_request_says_who_we_are_and_goes_below_the_path_of_the_peer():
    recorder = Recorder()
    async with peer(recorder) as port:
        headers = {"Token": "hello"}
        async with client(
            port, path="/base/", headers=headers, username="ü", password="p:w"
        ) as one:
            assert await one.ask("GET", "/system") == b"{}"
            assert await one.ask("POST", "/instances", held(b"abc", "application/dicom")) == b"{}"
    (line, headers, body), (second, more, content) = recorder.asked
    assert (line, body) == ("GET /base/system HTTP/1.1", b"")
    assert headers["authorization"] == "Basic w7w6cDp3"
    assert (headers["token"], headers["host"]) == ("hello", f"127.0.0.1:{port}")
    assert (second, content) == ("POST /base/instances HTTP/1.1", b"abc")
    assert (more["content-type"], more["content-length"]) == ("application/dicom", "3")
    assert recorder.connections == 1


async def test_a_header_of_a_request_takes_the_place_of_the_usual_one():
    """Two Authorization headers are none that a server reads (RFC 9110 §5.3, §11.6.2)."""
    heads = []

    async def serve(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    asked = [("Accept", "a/b"), ("accept", "c/d"), ("AUTHORIZATION", "Bearer x")]
    async with peer(serve) as port, client(port, username="ann", password="p") as one:
        await one.ask("GET", "/", headers=asked)
    names = [line.partition(b":")[0].lower() for line in heads[0].splitlines()[1:] if line]
    assert len(names) == len(set(names))
    assert b"accept: c/d\r\n" in heads[0]
    assert b"AUTHORIZATION: Bearer x\r\n" in heads[0]


async def test_a_body_whose_length_nobody_knows_is_chunked_and_gzip_is_undone():
    recorder = Recorder()
    data = bytes(range(256)) * 4000
    async with peer(recorder) as port, client(port) as one:
        await one.ask("POST", "/instances", streamed(b"abc", b"def"))
        await one.ask("POST", "/instances", await gzipped(streamed(data[:5], data[5:])))
        await one.ask("POST", "/instances", await gzipped(held(data, "application/dicom")))
    first, second, third = recorder.asked
    assert first[2] == b"abcdef"
    assert second[1]["content-encoding"] == third[1]["content-encoding"] == "gzip"
    assert gzip.decompress(second[2]) == gzip.decompress(third[2]) == data
    assert "content-length" not in second[1]
    assert int(third[1]["content-length"]) == len(third[2]) < len(data)


async def test_a_connection_that_the_peer_closed_meanwhile_is_opened_anew():
    connections = 0

    async def once(reader, writer):
        nonlocal connections
        connections += 1
        _, headers = await head_of(reader)
        await body_of(reader, headers)
        writer.write(OK)  # and closes, though it did not say so

    async with peer(once) as port, client(port) as one:
        for _ in range(3):
            assert await one.ask("POST", "/instances", held(b"x" * 100_000, "a/b")) == b"{}"
            await asyncio.sleep(0.01)
    assert connections == 3


async def test_a_refusal_is_heard_before_the_whole_body_went():
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 100_000

    async def refuse(reader, writer):
        await head_of(reader)
        answer = json.dumps({"Details": "no room\r\nat all", "Message": "x"}).encode()
        writer.write(b"HTTP/1.1 507 Full\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        await writer.drain()
        await reader.read()  # keeps the connection, and reads on

    async with peer(refuse) as port, client(port) as one:
        with pytest.raises(
            PeerHttpRefused, match=r"507 Insufficient Storage: no roomat all"
        ) as why:
            await one.ask("POST", "/instances", Body(endless, None, "a/b"))
    assert (why.value.status, why.value.is_transient, why.value.orthanc_error) == (507, True, 9)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (b"", PeerClosed, "without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", PeerClosed, "broke off"),
        (b"220 smtp.example ESMTP\r\n\r\n", PeerProtocolError, "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, PeerProtocolError, "does not speak HTTP"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n", PeerHttpRefused,
         "302 Found"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\n[1]", PeerHttpRefused,
         "401 Unauthorized"),
        (b"HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n", PeerHttpRefused, "with 599"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (5 << 20), PeerProtocolError, "answered over 4194304"),
    ],
)  # fmt: skip
async def test_answers_that_are_none_are_told(answer, error, words):
    async def serve(reader, writer):
        await head_of(reader)
        writer.write(answer)
        await writer.drain()

    async with peer(serve) as port, client(port) as one:
        with pytest.raises(error, match=words):
            await one.ask("GET", "/system")


async def test_a_peer_that_stalls_is_given_up():
    async def silent(reader, writer):
        await reader.read()

    async def deaf(reader, writer):
        writer.transport.pause_reading()
        await asyncio.sleep(5)

    async def trickle(reader, writer):
        await head_of(reader)
        for byte in OK:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.03)

    async with peer(silent) as port, client(port, timeout_s=0.1) as one:
        with pytest.raises(PeerTimeout, match=r"did not go on within 0\.1 s"):
            await one.ask("GET", "/system")
    async with peer(deaf) as port, client(port, timeout_s=0.1) as one:
        with pytest.raises(PeerTimeout, match="did not go on"):
            await one.ask("POST", "/instances", held(b"x" * (32 << 20), "a/b"))
    # Who goes on, however slowly, is waited for: his answer has a bound in bytes.
    async with peer(trickle) as port, client(port, timeout_s=1) as one:
        assert await one.ask("GET", "/system") == b"{}"


async def test_a_peer_that_cuts_the_connection_is_told():
    async def cut(reader, writer):
        await reader.readexactly(100_000)
        writer.transport.abort()

    async with peer(cut) as port, client(port) as one:
        with pytest.raises(PeerClosed, match=r"lost|without an answer"):
            await one.ask("POST", "/instances", held(b"x" * (8 << 20), "a/b"))


async def test_an_error_of_the_source_ends_the_request():
    async def broken():
        yield b"abc"
        raise PeerUnreachable("the disk")

    async with peer(Recorder()) as port, client(port) as one:
        with pytest.raises(PeerUnreachable, match="the disk"):
            await one.ask("POST", "/instances", Body(broken, None, "a/b"))


async def test_nobody_there_and_names_that_there_are_not():
    async with client(1) as one:
        with pytest.raises(PeerUnreachable, match="cannot be reached"):
            await one.ask("GET", "/system")
    async with Client("http://name.invalid", timeout_s=30) as one:
        with pytest.raises((PeerUnreachable, PeerTimeout)):
            await one.ask("GET", "/system")


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x:99999", "http://[x", "https:///y"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(PeerProtocolError, match="is no http"):
        Client(url)
    with pytest.raises(PeerProtocolError, match="is no http"):
        Client("http://x", proxy="http://user:secret@")


async def test_a_proxy_gets_whole_addresses_and_our_name():
    recorder = Recorder()
    async with peer(recorder) as port:
        proxy = f"me:pass@127.0.0.1:{port}"
        async with Client("http://far.invalid:8042/x", proxy=proxy, timeout_s=30) as one:
            assert await one.ask("GET", "/system") == b"{}"
    line, headers, _ = recorder.asked[0]
    assert line == "GET http://far.invalid:8042/x/system HTTP/1.1"
    assert (headers["host"], headers["proxy-authorization"]) == (
        "far.invalid:8042",
        "Basic bWU6cGFzcw==",
    )


async def relay(reader, writer):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def tunneling(port, status="200 Connection established"):
    async def serve(reader, writer):
        line, _ = await head_of(reader)
        assert line.startswith("CONNECT localhost:")
        writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
        if not status.startswith("200"):
            return
        theirs, ours = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(relay(reader, ours), relay(theirs, writer))

    return serve


async def test_https_needs_a_certificate_that_is_trusted_and_may_ask_for_ours(certificates):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates.authority)
    context.load_cert_chain(certificates.server, certificates.server_key)
    context.verify_mode = ssl.CERT_REQUIRED
    ours = Tls(
        trusted_certificates=certificates.authority,
        certificate=certificates.client,
        private_key=certificates.client_key,
        private_key_password=PASSPHRASE,
    )
    recorder = Recorder()
    async with peer(recorder, context) as port:

        async def ask(tls, host="localhost", **options):
            url = f"https://{host}:{port}"
            async with Client(url, tls=tls, timeout_s=30, **options) as one:
                return await one.ask("POST", "/instances", held(b"x" * 300_000, "a/b"))

        assert await ask(ours) == b"{}"
        assert await ask(ours._replace(trusted_certificates="", verify=False)) == b"{}"
        assert await ask(ours._replace(minimum_version="1.3")) == b"{}"
        with pytest.raises(PeerTlsFailed, match=r"self.signed|local issuer"):
            await ask(ours._replace(trusted_certificates=""))
        with pytest.raises(PeerTlsFailed, match="mismatch"):
            await ask(ours, host="127.0.0.1")
        with pytest.raises((PeerTlsFailed, PeerClosed), match=r"(?i)certificate|lost|without"):
            await ask(ours._replace(certificate="", private_key=""))
        async with peer(tunneling(port)) as through:
            assert await ask(ours, proxy=f"127.0.0.1:{through}") == b"{}"
        async with peer(tunneling(port, "407 Who are you")) as through:
            with pytest.raises(PeerHttpRefused, match="407 Proxy Authentication Required"):
                await ask(ours, proxy=f"127.0.0.1:{through}")
    async with peer(Recorder()) as port:
        with pytest.raises((PeerTlsFailed, PeerClosed, PeerTimeout)):
            async with Client(f"https://localhost:{port}", tls=ours, timeout_s=1) as one:
                await one.ask("GET", "/system")


def test_files_that_do_not_do_are_named(certificates, tmp_path):
    def problem(**tls):
        with pytest.raises(PeerTlsFailed) as failed:
            http_client.context_of(Tls(**tls))
        return str(failed.value)

    nowhere = str(tmp_path / "nowhere.pem")
    assert "nowhere.pem: No such file" in problem(trusted_certificates=nowhere)
    assert "certificates in" in problem(trusted_certificates=certificates.client_key)
    assert "nowhere.pem: No such file" in problem(certificate=nowhere)
    pair = {"certificate": certificates.client, "private_key": certificates.client_key}
    assert "private key" in problem(**pair, private_key_password="wrong")
    assert "private key" in problem(**pair)
    assert "private key" in problem(**pair | {"private_key": certificates.server_key})
