"""Remote DICOMweb servers: which there are, and what one request asks of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode

from vna.errors import BadBody, JobFailed, UnknownWebServer
from vna.services.known import Known
from vna.settings import WebServer

if TYPE_CHECKING:
    from vna.jobs import Job
    from vna.services.http_client import Client
    from vna.services.node import Node

DICOM_JSON = "application/dicom+json"


class WebServers(Known[WebServer]):
    """The DICOMweb servers that this node knows; `configured` are those of the configuration."""

    noun = "dicomweb_server"
    unknown = UnknownWebServer

    def __init__(self, configured: Iterable[WebServer]):
        super().__init__(WebServer, configured, lambda: None)


def client_of(node: Node, server: WebServer) -> Client:
    """Return who speaks to a server.

    Raises
    ------
    PeerTlsFailed
        If a certificate or key that it needs cannot be read.
    """
    from vna.services import http_client  # few archives call others

    peers = node.archive.settings.peers
    return http_client.Client(
        server.url,
        headers=server.headers,
        username=server.username,
        password=server.password,
        timeout_s=server.timeout_s or peers.timeout_s,
        proxy=peers.proxy,
        tls=http_client.Tls(
            verify=peers.verify,
            trusted_certificates=peers.trusted_certificates,
            minimum_version=node.archive.settings.tls.minimum_version,
            certificate=server.certificate,
            private_key=server.private_key,
            private_key_password=server.private_key_password,
        ),
    )


def slot(name: str) -> str:
    """Return whose slots jobs for a server take."""
    return f"dicomweb:{name}"


def headers_of(job: Job, names: Iterable[str]) -> dict[str, str]:
    """Return the headers that the request for a job named, which are a secret of it.

    Raises JobFailed if they were forgotten, since it had ended before it was resubmitted.
    """
    found: dict[str, str] = job.secret or {}
    if missing := [name for name in names if name not in found]:
        raise JobFailed(
            f"HttpHeaders {', '.join(missing)} of this job were forgotten when it had ended: ask "
            "for it anew, or give them to the server in its configuration (dicomweb.servers)",
            "job.forgotten",
        )
    return found


def target(uri: str, arguments: Mapping[str, str]) -> str:
    """Return the path and query of a request below the studies service.

    Raises BadBody if `uri` is no path, or one that leads out of the service: the server's password
    goes with the request.
    """
    # A server may take apart once more what was escaped, and a stroke the other way round too.
    plain = unquote(unquote(uri.partition("?")[0])).replace("\\", "/")
    leads_out = any(segment.partition(";")[0] in (".", "..") for segment in plain.split("/"))
    if any(ord(letter) <= 32 or ord(letter) > 126 for letter in uri) or "#" in uri or "//" in uri:
        leads_out = True
    if leads_out:
        raise BadBody(f"Uri is {uri[:64]!r}, no path below a DICOMweb server", "dicomweb.uri")
    path = uri if uri.startswith("/") else f"/{uri}"
    if not arguments:
        return path
    query = urlencode(arguments, quote_via=quote)
    return f"{path}{'&' if '?' in path else '?'}{query}"


__all__ = ["DICOM_JSON", "WebServers", "client_of", "headers_of", "slot", "target"]
