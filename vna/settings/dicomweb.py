"""[dicomweb]: the studies service of PS3.18."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vna.settings.fields import MIB, Section
from vna.settings.peers import HeaderName, HeaderValue, PeerName, Url

# Segments of letters that no client, proxy or log has to escape.
Root = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._~-]+)+$", max_length=128)]
Network = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$")]


class WebServer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A remote DICOMweb server: the address of its studies service, and how it knows us.

    `has_delete` says that it takes DELETE, which no standard asks of it; `any_transfer_syntax` that
    it gives files as they are stored (`transfer-syntax=*`, PS3.18 §8.7.3.5.2).
    """

    name: PeerName
    url: Url
    username: str = ""
    password: str = ""
    headers: dict[HeaderName, HeaderValue] = {}
    certificate: str = ""
    private_key: str = ""
    private_key_password: str = ""
    timeout_s: Annotated[float, Meta(gt=0, le=86400)] | None = None
    has_delete: bool = False
    any_transfer_syntax: bool = True


class Dicomweb(Section, frozen=True, kw_only=True):
    """DICOMweb: search, retrieve and store over HTTP (PS3.18)."""

    root: Annotated[Root, Meta(description="Path below which QIDO-RS, WADO-RS and STOW-RS are")] = (
        "/dicom-web"
    )
    wado_root: Annotated[Root, Meta(description="Path of WADO-URI")] = "/wado"
    public_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s\"<>\\?#]+)?$",
            max_length=512,
            description="Address of this server as clients have it, in front of dicomweb.root, for "
            "URLs in answers; empty: as each request calls it",
        ),
    ] = ""
    trusted_proxies: Annotated[
        list[Network],
        Meta(
            description="Addresses and networks of proxies whose Forwarded and X-Forwarded-* "
            "headers say how a request called us"
        ),
    ] = msgspec.field(default_factory=lambda: ["127.0.0.1", "::1"])
    delete: Annotated[
        bool,
        Meta(
            description="Answer DELETE of studies, series and instances, an extension of the "
            "standard; what is deleted can be brought back as over REST"
        ),
    ] = False
    max_results: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Most results of a search; who needs more asks for the next page",
        ),
    ] = 10_000
    servers: Annotated[
        list[WebServer],
        Meta(
            description="Remote DICOMweb servers: [[dicomweb.servers]] with name, url (of the "
            "studies service); username, password, headers that each request has; certificate, "
            "private_key, private_key_password: PEM files with which we show who we are; "
            "timeout_s; has_delete (false), any_transfer_syntax (true). What is said of all is in "
            "[peers]"
        ),
    ] = []
    store_instances: Annotated[
        int, Meta(ge=1, le=10_000, description="Instances that go in one request to store them")
    ] = 64
    store_bytes: Annotated[
        int, Meta(ge=1, description="Bytes after which such a request ends; an instance is whole")
    ] = 64 << 20
    default_transfer_syntax: Annotated[
        Literal["standard", "stored"],
        Meta(
            description="What is given where a request names no transfer syntax: that of the "
            "standard (PS3.18 §8.7.3.5: Explicit VR Little Endian), or what is stored, as Orthanc "
            "does"
        ),
    ] = "standard"
    cache_bytes: Annotated[
        int,
        Meta(
            ge=0, description="Memory for metadata of series and for frame tables; 0: none is kept"
        ),
    ] = 48 * MIB
