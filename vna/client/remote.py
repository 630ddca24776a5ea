"""An archive behind an address: ours, or another one with the same interface."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, urlsplit

from vna import errors
from vna.client.backend import PIECE_BYTES, Document
from vna.client.notes import Metadatum, Revision
from vna.errors import Closed, JobFailed, SettingsError, Unreachable, VnaError
from vna.services import running

if TYPE_CHECKING:
    from ssl import SSLContext

    from vna.services.changes import Wanted

Body = bytes | BinaryIO | None

TIMEOUT_S = 120.0
# Between two looks at a job.
FIRST_LOOK_S, LAST_LOOK_S = 0.02, 1.0


class Remote:
    """An archive over HTTP, on one kept connection for each thread that asks.

    A name and password in the address (``http://ann:secret@host``), or in the environment as
    ``VNA_CREDENTIALS=ann:secret``, are sent as Basic authentication; `authorization` instead of
    them, if there is one. `trust` says which certificate it must have, else those who sign for the
    whole system do.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        authorization: str | None = None,
        trust: SSLContext | None = None,
    ):
        try:
            parts = urlsplit(url)
            self._address = (parts.hostname or "", parts.port)
        except ValueError:
            raise SettingsError(f"{url!r} is no address") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError(f"{url!r} is no http:// or https:// address")
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
        self._is_secure = parts.scheme == "https"
        self._trust = trust
        self._base = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._headers: dict[str, str] = {}
        shown = authorization or running.given_authorization(parts.username, parts.password)
        if shown is not None:
            self._headers["Authorization"] = shown
        self._own = threading.local()
        self._lock = threading.Lock()
        self._connections: set[http.client.HTTPConnection] = set()
        self._is_closed = False

    def statistics(self) -> Document:
        """Return counts and sizes."""
        return self._document("GET", "/statistics")

    def resource(self, level: str, public_id: str) -> Document:
        """Return one resource; raises NotFound."""
        return self._document("GET", f"/{level}/{_part(public_id)}")

    def page(self, level: str, since: int, limit: int) -> list[Document]:
        """Return a page of all resources of a level."""
        return self._documents("GET", f"/{level}?expand&since={since}&limit={limit}")

    def children(self, level: str, public_id: str, child_level: str) -> list[Document]:
        """Return what of `child_level` is below a resource."""
        return self._documents("GET", f"/{level}/{_part(public_id)}/{child_level}")

    def parent(self, level: str, public_id: str, parent_level: str) -> Document:
        """Return the resource of `parent_level` that this one is in."""
        singular = {"patients": "patient", "studies": "study", "series": "series"}[parent_level]
        return self._document("GET", f"/{level}/{_part(public_id)}/{singular}")

    def find(self, request: Document) -> list[Document]:
        """Return what `POST /tools/find` answers."""
        body = json.dumps(request).encode()
        return self._documents("POST", "/tools/find", body, "application/json")

    def count(self, request: Document) -> int:
        """Return how many match; the request as of `find`."""
        body = json.dumps(request).encode()
        path = "/tools/count-resources"
        return int(self._document("POST", path, body, "application/json")["Count"])

    def lookup(self, identifier: str) -> list[Document]:
        """Return what has an identifier of DICOM, at any level: `ID` and `Type`."""
        return self._documents("POST", "/tools/lookup", identifier.encode(), "text/plain")

    def tags(self, public_id: str) -> Document:
        """Return the tags of an instance by name."""
        return self._document("GET", f"/instances/{_part(public_id)}/simplified-tags")

    def size(self, public_id: str) -> int:
        """Return how many bytes the file of an instance has."""
        return int(self.resource("instances", public_id)["FileSize"])

    def read(self, public_id: str, offset: int, length: int) -> bytes:
        """Return bytes of the file of an instance, fewer at its end."""
        if length <= 0:
            return b""
        wanted = {"Range": f"bytes={offset}-{offset + length - 1}"}
        with self._answer("GET", _file(public_id), headers=wanted) as answer:
            if answer.status == 206:
                return answer.read()
            # A server without ranges sends the whole from the beginning: no more of it is read.
            _read(answer, offset)
            return _read(answer, length)

    def pieces(self, public_id: str) -> Iterator[bytes]:
        """Yield the file of an instance from beginning to end."""
        with self._answer("GET", _file(public_id)) as answer:
            while piece := _read(answer, PIECE_BYTES):
                yield piece

    def archive(self, ids: Sequence[str], options: Document) -> Iterator[bytes]:
        """Yield a ZIP archive of resources."""
        wanted = {**options, "Resources": list(ids)}
        path = "/tools/create-media" if wanted.pop("Media", False) else "/tools/create-archive"
        body = json.dumps(wanted).encode()
        headers = {"Content-Type": "application/json"}
        with self._answer("POST", path, body, headers) as answer:
            while piece := answer.read(PIECE_BYTES):
                yield piece

    def store(self, data: bytes) -> Document:
        """Store a file and return the upload answer once it is safe."""
        return self._document("POST", "/instances", data, "application/dicom")

    def labels(self, level: str, public_id: str) -> list[str]:
        """Return the labels of a resource."""
        return [str(one) for one in self._json("GET", _labels(level, public_id), None, "")]

    def set_label(self, level: str, public_id: str, label: str, has: bool) -> None:
        """Give a resource a label, or take it."""
        path = f"{_labels(level, public_id)}/{_part(label)}"
        with self._answer("PUT" if has else "DELETE", path) as answer:
            answer.read()

    def metadata(self, level: str, public_id: str) -> dict[str, str]:
        """Return the metadata of a resource."""
        return self._document("GET", f"/{level}/{_part(public_id)}/metadata?expand")

    def metadatum(self, level: str, public_id: str, name: str) -> Metadatum:
        """Return one value of it; raises NotFound."""
        with self._answer("GET", _note(level, public_id, "metadata", name)) as answer:
            value = answer.read().decode("utf-8", "replace")
            return Metadatum(value, Revision.of_etag(answer.headers["ETag"]))

    def put_metadatum(
        self, level: str, public_id: str, name: str, value: str, seen: Revision | None
    ) -> Revision | None:
        """Set one value of it, if `seen` is its revision."""
        path = _note(level, public_id, "metadata", name)
        return self._put(path, value.encode(), {"Content-Type": "text/plain"}, seen)

    def delete_metadatum(
        self, level: str, public_id: str, name: str, seen: Revision | None
    ) -> None:
        """Delete one value of it, if `seen` is its revision."""
        self._delete(_note(level, public_id, "metadata", name), seen)

    def attachments(self, level: str, public_id: str) -> list[str]:
        """Return the names of the attachments of a resource."""
        path = f"/{level}/{_part(public_id)}/attachments"
        return [str(one) for one in self._json("GET", path, None, "")]

    def attachment(self, level: str, public_id: str, name: str) -> tuple[Document, Revision | None]:
        """Return what is to be said of an attachment, and its revision; raises NotFound."""
        path = f"{_note(level, public_id, 'attachments', name)}/info"
        with self._answer("GET", path) as answer:
            told: Document = json.loads(answer.read())
            return told, Revision.of_etag(answer.headers["ETag"])

    def attachment_pieces(self, level: str, public_id: str, name: str) -> Iterator[bytes]:
        """Yield an attachment from beginning to end."""
        path = f"{_note(level, public_id, 'attachments', name)}/data"
        with self._answer("GET", path) as answer:
            while piece := _read(answer, PIECE_BYTES):
                yield piece

    def put_attachment(
        self, level: str, public_id: str, name: str, file: BinaryIO, seen: Revision | None
    ) -> Revision | None:
        """Attach what is in a file, if `seen` is the revision of what is there."""
        length = file.seek(0, io.SEEK_END)
        file.seek(0)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        return self._put(_note(level, public_id, "attachments", name), file, headers, seen)

    def delete_attachment(
        self, level: str, public_id: str, name: str, seen: Revision | None
    ) -> None:
        """Delete an attachment, if `seen` is its revision."""
        self._delete(_note(level, public_id, "attachments", name), seen)

    def verify_attachment(self, level: str, public_id: str, name: str) -> None:
        """Compare an attachment with its MD5; raises StorageFailed."""
        path = f"{_note(level, public_id, 'attachments', name)}/verify-md5"
        with self._answer("POST", path, b"") as answer:
            answer.read()

    def _put(
        self, path: str, body: Body, headers: dict[str, str], seen: Revision | None
    ) -> Revision | None:
        with self._answer("PUT", path, body, headers | _if_match(seen)) as answer:
            answer.read()
            return Revision.of_etag(answer.headers["ETag"])

    def _delete(self, path: str, seen: Revision | None) -> None:
        with self._answer("DELETE", path, None, _if_match(seen)) as answer:
            answer.read()

    def change(self, level: str, public_id: str, verb: str, wanted: Wanted) -> Document:
        """Modify or anonymize (`verb`) a patient, study or series; return what the job shows."""
        path = f"/{level}/{_part(public_id)}/{verb}"
        body = json.dumps({**_body(wanted), "Asynchronous": True}).encode()
        job = self._document("POST", path, body, "application/json")["ID"]
        pause_s = FIRST_LOOK_S
        while True:
            found = self._document("GET", f"/jobs/{_part(job)}")
            if found["State"] == "Success":
                content: Document = found["Content"]
                return content
            if found["State"] == "Failure":
                reason = found.get("ErrorDetails") or found["ErrorDescription"]
                raise JobFailed(f"job {job}: {reason}")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_LOOK_S)

    def rewritten(self, public_id: str, verb: str, wanted: Wanted) -> bytes:
        """Return the file that an instance becomes; nothing is stored."""
        path = f"/instances/{_part(public_id)}/{verb}"
        body, headers = json.dumps(_body(wanted)).encode(), {"Content-Type": "application/json"}
        with self._answer("POST", path, body, headers) as answer:
            return answer.read()

    def delete(self, level: str, public_id: str) -> Document:
        """Delete a resource with all below it."""
        return self._document("DELETE", f"/{level}/{_part(public_id)}")

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            self._is_closed = True
            connections, self._connections = self._connections, set()
        for connection in connections:
            connection.close()

    def _document(
        self, method: str, path: str, body: bytes | None = None, kind: str = ""
    ) -> Document:
        found = self._json(method, path, body, kind)
        if not isinstance(found, dict):
            raise Unreachable(f"{self.name} answers {path} not as an archive does")
        return found

    def _documents(
        self, method: str, path: str, body: bytes | None = None, kind: str = ""
    ) -> list[Document]:
        found = self._json(method, path, body, kind)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise Unreachable(f"{self.name} answers {path} not as an archive does")
        return found

    def _json(self, method: str, path: str, body: bytes | None, kind: str) -> Any:
        headers = {"Content-Type": kind} if kind else {}
        with self._answer(method, path, body, headers) as answer:
            content = answer.read()
        try:
            return json.loads(content)
        except ValueError:
            raise Unreachable(f"{self.name} answers {path} with no JSON") from None

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: Body = None,
        headers: dict[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and give its answer; raises what it stands for if that is an error.

        The connection is kept if all of the answer was read.
        """
        try:
            answer = self._send(method, path, body, self._headers | (headers or {}))
            try:
                if answer.status >= 300:
                    raise as_error(answer.status, answer.read())
                yield answer
            finally:
                if not answer.isclosed():
                    self._drop()
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            why = str(error) or type(error).__name__
            raise Unreachable(f"{self.name} does not answer as an archive: {why}") from error

    def _send(
        self, method: str, path: str, body: Body, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        connection, is_kept = self._connection()
        try:
            return self._exchange(connection, method, path, body, headers)
        except (ConnectionError, http.client.RemoteDisconnected):
            # A server may close a kept connection whenever it likes. Sending again is safe: what is
            # stored or deleted already is answered so.
            if not is_kept:
                raise
        self._drop()
        if body is not None and not isinstance(body, bytes):
            body.seek(0)
        connection, _ = self._connection()
        return self._exchange(connection, method, path, body, headers)

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Body,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        # A server that refuses a body by its head answers and reads no further: the answer tells
        # more than the pipe that broke.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, self._base + path, body, headers)
        return connection.getresponse()

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        """Return this thread's connection, and whether it was used before."""
        kept: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        connection: http.client.HTTPConnection
        with self._lock:
            if self._is_closed:
                raise Closed(f"{self.name}: the archive was closed")
            if kept is not None:
                return kept, True
            if self._is_secure:
                connection = http.client.HTTPSConnection(
                    *self._address, timeout=self._timeout_s, context=self._trust
                )
            else:
                connection = http.client.HTTPConnection(*self._address, timeout=self._timeout_s)
            self._connections.add(connection)
        self._own.connection = connection
        return connection, False

    def _drop(self) -> None:
        """Close this thread's connection; the next request opens another."""
        connection = getattr(self._own, "connection", None)
        self._own.connection = None
        if connection is not None:
            with self._lock:
                self._connections.discard(connection)
            connection.close()


def _body(wanted: Wanted) -> Document:
    from msgspec import to_builtins

    body: Document = to_builtins(wanted)
    return body


def _part(public_id: str) -> str:
    return quote(public_id, safe="")


def _labels(level: str, public_id: str) -> str:
    return f"/{level}/{_part(public_id)}/labels"


def _note(level: str, public_id: str, kind: str, name: str) -> str:
    return f"/{level}/{_part(public_id)}/{kind}/{_part(name)}"


def _if_match(seen: Revision | None) -> dict[str, str]:
    return {} if seen is None else {"If-Match": seen.etag}


def _file(public_id: str) -> str:
    return f"/instances/{_part(public_id)}/file"


def _read(answer: http.client.HTTPResponse, length: int) -> bytes:
    """Read so many bytes, fewer at the end; raises IncompleteRead if that is not the announced."""
    found = answer.read(length) if length else b""
    if len(found) < length and answer.length:
        raise http.client.IncompleteRead(found, answer.length)
    return found


def as_error(status: int, content: bytes) -> VnaError:
    """Return the error that an answer describes."""
    try:
        described = json.loads(content)
        reason = str(described.get("Details") or described.get("Message"))
        code = str(described.get("Code") or "")
    except (ValueError, AttributeError):
        reason, code = content[:200].decode("utf-8", "replace"), ""
    kind = _kind(status, code)
    return kind(reason or f"HTTP status {status}", code or None)


def _kind(status: int, code: str) -> type[VnaError]:
    """Return the class that an error answer stands for: that of its code, else of its status."""
    known = [
        found
        for found in vars(errors).values()
        if isinstance(found, type) and issubclass(found, VnaError) and found is not VnaError
    ]
    for found in known:
        if code and found.code == code:
            return found
    if status == 500:
        return VnaError
    return next((found for found in known if found.http_status == status), VnaError)
