"""The HTTP server: what it answers alone, how it reads bodies, connections that misbehave."""

import concurrent.futures
import json
import re
import socket
import time
from pathlib import Path

import httpx
import pytest
from support import ct_small, make_instance

# The application answers what has a parameter; the server itself only the plainest requests.
BY_THE_APPLICATION = "?unknown=parameter"
PLAIN = [
    "/instances/{id}",
    "/instances/{id}/tags",
    "/instances/{id}/simplified-tags",
    "/instances/{id}/file",
    "/series/{ParentSeries}",
    "/studies/{ParentStudy}",
    "/patients/{ParentPatient}",
]
# What depends on when the answer is sent, and how its length is told.
VOLATILE = {"date"}


@pytest.fixture(scope="module")
def stored(server):
    answer = server.upload(ct_small())
    return answer | {"id": answer["ID"]}


def raw(server, text, *, timeout=60):
    """Send bytes on a connection of their own and return all that comes back until it closes."""
    with socket.create_connection(("127.0.0.1", server.http.base_url.port), timeout) as connection:
        connection.sendall(text)
        received = b""
        while piece := connection.recv(1 << 16):
            received += piece
        return received


def headers_of(answer):
    return {name: value for name, value in answer.headers.items() if name not in VOLATILE}


@pytest.mark.parametrize("path", PLAIN)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_server_answers_as_the_application_does(server, stored, path, method):
    path = path.format_map(stored)
    alone = server.http.request(method, path)
    asked = server.http.request(method, path + BY_THE_APPLICATION)
    assert alone.status_code == asked.status_code == 200
    assert alone.content == asked.content
    assert headers_of(alone) == headers_of(asked)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/instances/{id}/file", {"Range": "bytes=0-9"}, 206),
        ("/instances/{id}/file", {"If-Match": '"other"'}, 412),
        ("/instances/{id}/file", {"Accept": "image/png"}, 200),
        ("/instances/{id}", {"Host": "evil.example"}, 403),
        ("/instances/{id}/file", {"Host": "evil.example"}, 403),
        ("/instances/{id}", {"Host": "[::1]:8042"}, 200),
        ("/instances/{id}", {"Host": "LOCALHOST"}, 200),
        ("/instances/{id}/", {}, 200),
        ("/series/{id}", {}, 404),
        ("/instances/no-id", {}, 404),
    ],
)
def test_what_is_not_plain_is_decided_by_the_application(server, stored, path, headers, status):
    answer = server.http.get(path.format_map(stored), headers=headers)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_deleted_instance_is_not_answered_any_more(server):
    public_id = server.upload(make_instance())["ID"]
    assert server.http.get(f"/instances/{public_id}").status_code == 200
    server.http.delete(f"/instances/{public_id}")
    for what in ("", "/file", "/tags", "/simplified-tags"):
        answer = server.http.get(f"/instances/{public_id}{what}")
        assert (answer.status_code, answer.json()["HttpStatus"]) == (404, 404)


def test_requests_behind_one_another_on_a_connection_are_answered_in_order(server, stored):
    public_id = stored["id"]
    asked = [f"/instances/{public_id}", "/system", f"/instances/{public_id}/tags", "/nothing"]
    text = "".join(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n" for path in asked)
    text += "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", raw(server, text.encode()))
    assert statuses == [b"200", b"200", b"200", b"404", b"200"]


def test_http_1_0_and_absolute_targets_are_understood(server, stored):
    path = f"/instances/{stored['id']}"
    old = raw(server, f"GET {path} HTTP/1.0\r\n\r\n".encode())
    assert old.startswith(b"HTTP/1.0 200")
    request = f"GET http://localhost{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert raw(server, request.encode()).startswith(b"HTTP/1.1 200")


def test_escapes_in_a_path_are_read(server, stored):
    public_id = stored["id"]
    escaped = "".join(f"%{ord(letter):02X}" for letter in public_id)
    answer = server.http.get(f"/instances/{escaped}")
    assert answer.json()["ID"] == public_id


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
        b"POST /instances HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    ],
    ids=["no request", "header", "long target", "many headers", "length", "TLS"],
)
def test_what_is_no_http_is_refused_and_the_server_lives(server, text):
    received = raw(server, text)
    assert not received or re.match(rb"HTTP/1\.1 4\d\d", received)
    assert server.get("/health/live") == {"live": True}


def test_a_chunked_body_is_stored_as_one_with_a_length(server):
    data = make_instance(size=200_000)
    pieces = (data[at : at + 9999] for at in range(0, len(data), 9999))
    answer = server.http.post("/instances", content=pieces)
    assert answer.json()["Status"] == "Success"
    assert server.file(answer.json()["ID"]) == data


def test_a_client_that_waits_for_leave_to_send_gets_it(server):
    data = make_instance()
    head = (
        "POST /instances HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Length: {len(data)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.http.base_url.port), 60) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(data)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_a_refusal_comes_while_the_body_is_still_being_sent(start_server):
    server = start_server("--set", "uploads.max_object_bytes=100000")
    head = (
        "POST /instances HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/dicom\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.http.base_url.port), 60) as connection:
        connection.sendall(head.encode())
        # Never ended: only what it holds so far decides.
        connection.sendall(b"1000\r\n" + bytes(0x1000) + b"\r\n")
        connection.sendall(b"40000\r\n" + bytes(0x40000) + b"\r\n")
        answer = connection.recv(1 << 16)
    assert re.match(rb"HTTP/1\.1 4\d\d", answer)
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["HttpError"]


def test_a_client_that_does_not_read_holds_little_memory_and_nobody_up(start_server):
    server = start_server()
    public_id = server.upload(make_instance(size=60_000_000))["ID"]
    server.file(public_id)  # what one answer takes has been taken
    before = resident_kb(server)
    request = f"GET /instances/{public_id}/file HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    port = server.http.base_url.port
    stalled = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(20)]
    try:
        for connection in stalled:
            connection.sendall(request)
        time.sleep(1)
        assert server.file(public_id) is not None
        # 20 files of 60 MB; a connection holds a few pieces of 256 KiB.
        assert resident_kb(server) - before < 100 * 1024
    finally:
        for connection in stalled:
            connection.close()


def test_a_client_that_goes_away_is_no_failure_of_the_server(start_server):
    server = start_server("--set", "log.level=info")
    for _ in range(8):
        server.upload(make_instance(size=6_000_000))
    port = server.http.base_url.port
    ask = b"GET /instances?expand&full HTTP/1.1\r\nHost: localhost\r\n\r\n"
    public_id = server.get("/instances")[0]
    # By the application, which streams it.
    part = f"GET /instances/{public_id}/file HTTP/1.1\r\nHost: localhost\r\nRange: bytes=1-\r\n\r\n"
    for text in (ask, part.encode()):
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            connection.sendall(text)
            assert connection.recv(100).startswith(b"HTTP/1.1 20")
    time.sleep(0.5)
    assert server.get("/health/live") == {"live": True}
    assert "Traceback" not in server.output()
    assert "error" not in server.output()


def test_connections_beyond_the_bound_wait_for_one_to_end(start_server):
    server = start_server("--set", "http.max_connections=2")
    server.http.close()  # the fixture's own connection is one of them
    port = server.http.base_url.port
    first, second = (socket.create_connection(("127.0.0.1", port), 60) for _ in range(2))
    ask = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for connection in (first, second):
        connection.sendall(ask)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    with first, socket.create_connection(("127.0.0.1", port), 60) as third:
        third.sendall(ask)
        third.settimeout(0.5)
        with pytest.raises(TimeoutError):
            third.recv(1000)
        second.close()
        third.settimeout(60)
        assert third.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_client_that_sends_no_request_is_let_go(start_server):
    server = start_server("--set", "http.head_timeout_s=0.5")
    # Without the setting it would be a minute.
    answer = raw(server, b"GET /system HTTP/1.1\r\nHo", timeout=50)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408")


def test_many_clients_at_once_are_answered_right(server, stored):
    paths = [path.format_map(stored) for path in PLAIN] + ["/system", "/statistics", "/no"]
    right = {path: server.http.get(path) for path in paths}

    def ask(number):
        path = paths[number % len(paths)]
        with httpx.Client(base_url=server.url, timeout=60) as http:
            for _ in range(5):
                answer = http.get(path)
                assert answer.status_code == right[path].status_code
                assert answer.content == right[path].content
        return True

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(64)))


def resident_kb(server):
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)[1])
