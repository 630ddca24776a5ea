"""A running archive as commands use it: JSON and files over HTTP."""

from __future__ import annotations

import http.client
import json
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vna.errors import (
    BadRequest,
    Busy,
    NotAllowed,
    NotFound,
    SettingsError,
    Unauthenticated,
    Unreachable,
    VnaError,
)
from vna.services import running
from vna.settings import Settings

if TYPE_CHECKING:
    from ssl import SSLContext

# To find out whether somebody listens; and what a file may pause on its way.
ANSWER_S = 5.0
PIECE_S = 120.0
PIECE_BYTES = 1 << 20
KINDS: dict[int, type[VnaError]] = {
    400: BadRequest,
    401: Unauthenticated,
    403: NotAllowed,
    404: NotFound,
    503: Busy,
}


class Remote:
    """An archive behind a URL. A request is a connection: commands make few.

    `authorization` is shown to it, else the user in the address or in `VNA_CREDENTIALS`. `trust`
    says which certificate it must have, else those who sign for the whole system do.
    """

    def __init__(self, url: str, authorization: str | None = None, trust: SSLContext | None = None):
        try:
            parts = urlsplit(url)
            self._address = (parts.hostname or "", parts.port)
        except ValueError:
            raise SettingsError(f"--url: {shown(url)} is no address") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError(f"--url: {shown(url)} is no http:// or https:// address")
        given = running.given_authorization(parts.username, parts.password)
        self.authorization = authorization or given
        self._trust = trust
        self.url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._is_secure = parts.scheme == "https"
        self._base = parts.path.rstrip("/")

    def ask(
        self, method: str, path: str, body: Any = None, *, timeout_s: float | None = None
    ) -> Any:
        """Send a request, with a JSON body if there is one, and return the JSON of its answer.

        An answer without a body is None.

        Raises the error that the answer describes; Unreachable if it is none, or none comes.
        """
        connection, answer = self._send(method, path, body, timeout_s)
        try:
            return json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def fetch(self, path: str, into: IO[bytes]) -> None:
        """Write the body of an answer into a file, a piece at a time; raises as `ask`."""
        connection, answer = self._send("GET", path, None, PIECE_S)
        try:
            while True:
                try:
                    piece = answer.read(PIECE_BYTES)
                except (OSError, http.client.HTTPException) as error:
                    raise self._unreachable(error) from None
                if not piece:
                    return
                into.write(piece)
        finally:
            connection.close()

    def connection(self, timeout_s: float | None) -> http.client.HTTPConnection:
        """Return a new connection, to be opened when it is used."""
        if not self._is_secure:
            return http.client.HTTPConnection(*self._address, timeout=timeout_s)
        return http.client.HTTPSConnection(*self._address, timeout=timeout_s, context=self._trust)

    def _send(
        self, method: str, path: str, body: Any, timeout_s: float | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = self.connection(timeout_s)
        headers = {} if body is None else {"Content-Type": "application/json"}
        if self.authorization is not None:
            headers["Authorization"] = self.authorization
        content = None if body is None else json.dumps(body)
        try:
            connection.request(method, self._base + path, content, headers)
            answer = connection.getresponse()
            refused = answer.read() if answer.status >= 300 else None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from None
        if refused is not None:
            connection.close()
            raise as_error(answer.status, refused)
        return connection, answer

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(f"{self.url} does not answer as an archive: {error or repr(error)}")


def shown(url: str) -> str:
    """Return an address as it may be told: without a password."""
    return repr(url.rpartition("@")[2])


def as_error(status: int, content: bytes) -> VnaError:
    """Return the error that an answer describes."""
    try:
        described = json.loads(content)
        reason = str(described.get("Details") or described.get("Message"))
    except (ValueError, AttributeError):
        reason = content[:200].decode("utf-8", "replace")
    return KINDS.get(status, VnaError)(f"HTTP {status}: {reason}")


def server_of(settings: Settings, url: str | None, tenant: int = 1) -> Remote | None:
    """Return the archive at `url`, else the server of this folder; None if none answers there."""
    if url is not None:
        running.require_own_tenant(tenant)
        return Remote(url)
    announced = running.find(settings)
    if announced is None:
        return None
    local = running.local_authorization(settings, tenant)
    remote = Remote(announced, local, running.local_trust(settings))
    try:
        remote.ask("GET", "/system", timeout_s=ANSWER_S)
    except VnaError:
        return None  # left behind by a server that was killed; the lock tells if one lives
    return remote
