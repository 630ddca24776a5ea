"""Remote nodes as Orthanc writes them, in its configuration and over HTTP.

Members that there are not here are let pass, as there.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import field

from vna.errors import BadBody, OutOfRange
from vna.settings.dicom import Manufacturer, Modality, RetrieveMethod
from vna.settings.dicomweb import WebServer
from vna.settings.peers import Peer

T = TypeVar("T")

# Names that former releases had for the ways of manufacturers.
FORMER_MANUFACTURERS: dict[str, Manufacturer] = {
    "AgfaImpax": "GenericNoWildcardInDates",
    "ClearCanvas": "Generic",
    "Dcm4Chee": "Generic",
    "EFilm2": "Generic",
    "MedInria": "Generic",
    "SyngoVia": "GenericNoWildcardInDates",
}
RETRIEVE_METHODS: dict[str, RetrieveMethod | None] = {
    "C-MOVE": "c-move",
    "C-GET": "c-get",
    "SystemDefault": None,
}


class ModalityBody(msgspec.Struct, kw_only=True):
    """What a remote node is."""

    aet: str = field(name="AET")
    host: str = field(name="Host")
    port: int = field(name="Port")
    manufacturer: str = field(name="Manufacturer", default="Generic")
    allow_echo: bool = field(name="AllowEcho", default=True)
    allow_find: bool = field(name="AllowFind", default=True)
    allow_find_worklist: bool = field(name="AllowFindWorklist", default=True)
    allow_get: bool = field(name="AllowGet", default=True)
    allow_move: bool = field(name="AllowMove", default=True)
    allow_store: bool = field(name="AllowStore", default=True)
    allow_storage_commitment: bool = field(name="AllowStorageCommitment", default=True)
    # Both halves of storage commitment have a switch there; here they go together.
    allow_n_action: bool = field(name="AllowNAction", default=True)
    allow_event_report: bool = field(name="AllowEventReport", default=True)
    allow_mpps: bool = field(name="AllowMpps", default=True)
    transcoding: bool = field(name="AllowTranscoding", default=True)
    tls: bool = field(name="UseDicomTls", default=False)
    local_aet: str = field(name="LocalAet", default="")
    timeout_s: float = field(name="Timeout", default=0)
    retrieve_method: str = field(name="RetrieveMethod", default="SystemDefault")
    parallel: int = field(name="Parallel", default=1)

    def modality(self, name: str) -> Modality:
        """Return the node; raises OutOfRange, naming what is wrong."""
        commitment = (
            self.allow_storage_commitment and self.allow_n_action and self.allow_event_report
        )
        fields = {
            "name": name,
            "aet": self.aet.strip(),
            "host": self.host,
            "port": self.port,
            "manufacturer": FORMER_MANUFACTURERS.get(self.manufacturer, self.manufacturer),
            "allow_echo": self.allow_echo,
            "allow_find": self.allow_find,
            "allow_find_worklist": self.allow_find_worklist,
            "allow_get": self.allow_get,
            "allow_move": self.allow_move,
            "allow_store": self.allow_store,
            "allow_storage_commitment": commitment,
            "allow_mpps": self.allow_mpps,
            "transcoding": self.transcoding,
            "tls": self.tls,
            "local_aet": self.local_aet.strip() or None,
            "timeout_s": self.timeout_s or None,
            "retrieve_method": retrieve_method(self.retrieve_method),
            "parallel": self.parallel,
        }
        try:
            return msgspec.convert(fields, Modality)
        except msgspec.ValidationError as error:
            raise OutOfRange(f"modality {name}: {error}", "modality.bad") from None


class PeerBody(msgspec.Struct, kw_only=True):
    """What a remote archive is; members that are null are not given."""

    url: str | None = field(name="Url", default=None)
    # The description of the interface writes it so.
    upper_url: str | None = field(name="URL", default=None)
    username: str | None = field(name="Username", default=None)
    password: str | None = field(name="Password", default=None)
    headers: dict[str, str] | None = field(name="HttpHeaders", default=None)
    certificate: str | None = field(name="CertificateFile", default=None)
    private_key: str | None = field(name="CertificateKeyFile", default=None)
    private_key_password: str | None = field(name="CertificateKeyPassword", default=None)
    timeout_s: float | None = field(name="Timeout", default=None)
    pkcs11: bool = field(name="Pkcs11", default=False)
    parallel: int | None = field(name="Parallel", default=None)

    def peer(self, name: str) -> Peer:
        """Return the peer; raises BadBody, naming what is wrong."""
        if self.pkcs11:
            raise BadBody(f"peer {name}: Pkcs11 is not spoken here; use CertificateFile")
        url = self.url or self.upper_url
        if not url:
            raise BadBody(f"peer {name}: Url is missing")
        fields = {
            "name": name,
            "url": url if url.endswith("/") else f"{url}/",
            "username": self.username,
            "password": self.password,
            "headers": self.headers,
            "certificate": self.certificate,
            "private_key": self.private_key,
            "private_key_password": self.private_key_password,
            "timeout_s": self.timeout_s or None,
            "parallel": self.parallel,
        }
        given = {key: value for key, value in fields.items() if value is not None}
        try:
            return msgspec.convert(given, Peer)
        except msgspec.ValidationError as error:
            raise BadBody(f"peer {name}: {error}", "peer.bad") from None


class WebServerBody(msgspec.Struct, kw_only=True):
    """What a remote DICOMweb server is; members that are null are not given."""

    url: str | None = field(name="Url", default=None)
    username: str | None = field(name="Username", default=None)
    password: str | None = field(name="Password", default=None)
    headers: dict[str, str] | None = field(name="HttpHeaders", default=None)
    certificate: str | None = field(name="CertificateFile", default=None)
    private_key: str | None = field(name="CertificateKeyFile", default=None)
    private_key_password: str | None = field(name="CertificateKeyPassword", default=None)
    timeout_s: float | None = field(name="Timeout", default=None)
    pkcs11: bool = field(name="Pkcs11", default=False)
    has_delete: bool | None = field(name="HasDelete", default=None)
    any_transfer_syntax: bool | None = field(name="HasWadoRsUniversalTransferSyntax", default=None)

    def server(self, name: str) -> WebServer:
        """Return the server; raises BadBody, naming what is wrong."""
        if self.pkcs11:
            raise BadBody(f"server {name}: Pkcs11 is not spoken here; use CertificateFile")
        if not self.url:
            raise BadBody(f"server {name}: Url is missing")
        fields = msgspec.structs.asdict(self) | {"name": name, "timeout_s": self.timeout_s or None}
        del fields["pkcs11"]
        given = {key: value for key, value in fields.items() if value is not None}
        try:
            return msgspec.convert(given, WebServer)
        except msgspec.ValidationError as error:
            raise BadBody(f"server {name}: {error}", "dicomweb.bad_server") from None


def web_server(value: Any, name: str) -> WebServer:
    """Return the server that JSON describes: an object, or URL, user and password.

    Raises BadBody.
    """
    if isinstance(value, list):
        if len(value) not in (1, 3):
            raise BadBody("a server is a list of URL, or of URL, user and password, or an object")
        value = dict(zip(("Url", "Username", "Password"), value, strict=False))
    return as_form(value, WebServerBody).server(name)


def as_form(value: Any, form: type[T]) -> T:
    """Return JSON as `form`; numbers and switches may be written as text. Raises BadBody."""
    try:
        return msgspec.convert(value, form, strict=False)
    except msgspec.ValidationError as error:
        raise BadBody(f"the body is not what this takes: {error}") from None


def modality(value: Any, name: str) -> Modality:
    """Return the node that JSON describes: an object, or AET, host, port and manufacturer.

    Raises BadBody, OutOfRange.
    """
    if isinstance(value, list):
        if not 3 <= len(value) <= 4:
            raise BadBody("a modality is a list of AET, host, port and manufacturer, or an object")
        value = dict(zip(("AET", "Host", "Port", "Manufacturer"), value, strict=False))
    return as_form(value, ModalityBody).modality(name)


def peer(value: Any, name: str) -> Peer:
    """Return the peer that JSON describes: an object, or URL, user and password.

    Raises BadBody.
    """
    if isinstance(value, list):
        if len(value) not in (1, 3):
            raise BadBody("a peer is a list of URL, or of URL, user and password, or an object")
        value = dict(zip(("Url", "Username", "Password"), value, strict=False))
    return as_form(value, PeerBody).peer(name)


def retrieve_method(text: str) -> RetrieveMethod | None:
    """Return how to fetch; None as is configured. Raises OutOfRange."""
    if text not in RETRIEVE_METHODS:
        raise OutOfRange(
            f"RetrieveMethod is {text[:64]!r}; it takes C-MOVE, C-GET or SystemDefault"
        )
    return RETRIEVE_METHODS[text]
