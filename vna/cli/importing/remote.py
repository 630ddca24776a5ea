"""Through a running server: small files together in one request, large ones as they are."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from vna.cli.importing.orthanc import inflated, is_compressed
from vna.cli.importing.sources import Source
from vna.cli.importing.summary import UNREADABLE, Answer
from vna.cli.remote import PIECE_BYTES, PIECE_S, Remote
from vna.errors import OutOfStorage, Unreachable
from vna.settings import GIB, MIB

if TYPE_CHECKING:
    from vna.cli.importing.run import Entries

# Each is a connection and a thread.
AT_ONCE = 4
# A file above this is sent as it is read, in a request of its own.
HELD_BYTES = 4 * MIB
BUSY_PAUSE_S = 1.0
# Statuses of HTTP: no room for anything; what is no fault of the request.
FULL = 507
FAILURES = 500
# The code of what Orthanc compressed and is damaged; the most that one may be, which the server
# bounds once more.
DAMAGED = "zlib.invalid"
MOST_BYTES = 8 * GIB
ZIP = (b"PK\3\4", b"PK\5\6")


class RemoteSink:
    """Stores files by sending them."""

    at_once = AT_ONCE

    def __init__(self, server: Remote):
        self._sender = Sender(server)
        self._threads = ThreadPoolExecutor(AT_ONCE)

    async def store(self, batch: list[Source]) -> list[Answer]:
        """Store files; what became of each, in their order."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._store, batch)

    async def store_entries(self, entries: Entries) -> list[Answer]:
        """Never called: archives are sent as they are, and the server unpacks them."""
        raise NotImplementedError

    async def close(self) -> None:
        """Finish what was begun."""
        self._threads.shutdown()

    def _store(self, batch: list[Source]) -> list[Answer]:
        answers: dict[Source, Answer] = {}
        together: list[tuple[Source, bytes]] = []
        for source in batch:
            try:
                with open(source.path, "rb", buffering=0) as file:
                    start = file.read(HELD_BYTES) or b""
                    if is_compressed(start):
                        answers[source] = self._send_inflated(file)
                        continue
                    if len(start) < HELD_BYTES and not start.startswith(ZIP):
                        together.append((source, start))
                        continue
                    file.seek(0)
                    answers[source] = self._sender.send_file(file, source.size)
            except OSError as error:
                answers[source] = unreadable(error)
        if together:
            found = self._sender.send_together([content for _, content in together])
            answers |= {source: told for (source, _), told in zip(together, found, strict=True)}
        return [answers[source] for source in batch]

    def _send_inflated(self, file: IO[bytes]) -> Answer:
        """Send what an Orthanc has compressed."""
        try:
            with inflated(file, MOST_BYTES) as plain:
                size = plain.seek(0, os.SEEK_END)
                return self._sender.send_file(plain, size)
        except ValueError as error:
            return {"Status": "Failure", "Code": DAMAGED, "Details": str(error)}


class Sender:
    """HTTP uploads, one kept connection for each thread."""

    def __init__(self, server: Remote):
        self._server = server
        self._path = urlsplit(server.url).path.rstrip("/") + "/instances?report"
        self._own = threading.local()

    def send_file(self, file: IO[bytes], size: int) -> Answer:
        """Send a file by itself; of a ZIP archive, `Entries` of the answer has all of it."""
        status, content = self._exchange(Body(file, size), "application/octet-stream")
        if status != 200:
            return refusal(status, content)
        found = json.loads(content)
        return {"Status": "Sent", "Entries": found} if isinstance(found, list) else found

    def send_together(self, files: list[bytes]) -> list[Answer]:
        """Send files as parts of one body; what became of each."""
        boundary = secrets.token_hex(16)
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body = b"".join(part for file in files for part in (head, file, b"\r\n"))
        body += f"--{boundary}--\r\n".encode()
        status, content = self._exchange(body, f"multipart/mixed; boundary={boundary}")
        if status == 200:
            found: list[Answer] = json.loads(content)
            if len(found) == len(files):
                return found
            status, content = 502, b"the answer is not one for each file"
        return [refusal(status, content)] * len(files)

    def _exchange(self, body: bytes | Body, media_type: str) -> tuple[int, bytes]:
        """Send a body, again after a pause for as long as the server is busy."""
        while True:
            status, content = self._try(body, media_type)
            if status != 503:
                break
            threading.Event().wait(BUSY_PAUSE_S)
        if status == FULL:
            code, reason = described(status, content)
            raise OutOfStorage(reason, code)
        return status, content

    def _try(self, body: bytes | Body, media_type: str) -> tuple[int, bytes]:
        kept = getattr(self._own, "connection", None) is not None
        try:
            return self._send(body, media_type)
        except (ConnectionError, http.client.HTTPException) as error:
            # A server may close a kept connection whenever it likes. Sending again is safe: what
            # is stored already is answered so.
            if not kept:
                raise unreachable(error) from None
        try:
            return self._send(body, media_type)
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(error) from None

    def _send(self, body: bytes | Body, media_type: str) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            length = len(body) if isinstance(body, bytes) else body.size
            content = body if isinstance(body, bytes) else body.pieces()
            headers = {"Content-Type": media_type, "Content-Length": str(length)}
            if self._server.authorization is not None:
                headers["Authorization"] = self._server.authorization
            # A server that refuses a body by its head answers and reads no further: the answer
            # tells more than the pipe that broke.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request("POST", self._path, content, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except BaseException:
            self._forget(connection)
            raise

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._server.connection(PIECE_S)
        return connection

    def _forget(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        self._own.connection = None


class Body:
    """A file as a body: as long as it was when it was found, or the request fails."""

    def __init__(self, file: IO[bytes], size: int):
        self._file = file
        self.size = size

    def pieces(self) -> Iterator[bytes]:
        """Yield the file from its start, a piece at a time."""
        self._file.seek(0)
        left = self.size
        while left:
            piece = self._file.read(min(PIECE_BYTES, left))
            if not piece:
                raise OSError("the file became shorter while it was sent")
            left -= len(piece)
            yield piece


def described(status: int, content: bytes) -> tuple[str, str]:
    """Return code and reason of an answer that refuses."""
    try:
        found = json.loads(content)
        reason = str(found.get("Details") or found.get("Message"))
        return str(found.get("Code") or f"http.{status}"), reason
    except (ValueError, AttributeError):
        return f"http.{status}", content[:200].decode("utf-8", "replace")


def refusal(status: int, content: bytes) -> Answer:
    """Return what became of a file that the server refused, or failed to store."""
    code, reason = described(status, content)
    status_word = "Failed" if status >= FAILURES else "Failure"
    return {"Status": status_word, "Code": code, "Details": reason}


def unreachable(error: Exception) -> Unreachable:
    """Return the error of a server that does not answer, or not as one."""
    # Some errors of http.client have no text.
    return Unreachable(f"the server does not answer: {error or type(error).__name__}")


def unreadable(error: OSError) -> Answer:
    """Return what became of a file that cannot be read."""
    return {"Status": "Failure", "Code": UNREADABLE, "Details": str(error)}
