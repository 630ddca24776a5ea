"""The section of remote archives that are called over HTTP."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from vna.settings.fields import Seconds, Section

PeerName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
# What urllib can take apart; the rest is checked where the peer is called.
Url = Annotated[str, Meta(pattern=r"^https?://[!-~]{1,2000}$")]

# A token (RFC 9110 §5.6.2) that does not say where the request begins and ends.
HeaderName = Annotated[
    str,
    Meta(
        pattern=r"^(?!(?i:host|connection|content-length|transfer-encoding)$)"
        r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$"
    ),
]
HeaderValue = Annotated[str, Meta(pattern=r"^(?:[!-~](?:[\t -~]{0,8000}[!-~])?)?$")]


class Peer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A remote archive: where it is, and how it knows us."""

    name: PeerName
    url: Url
    username: str = ""
    password: str = ""
    headers: dict[HeaderName, HeaderValue] = {}
    certificate: str = ""
    private_key: str = ""
    private_key_password: str = ""
    timeout_s: Annotated[float, Meta(gt=0, le=86400)] | None = None
    parallel: Annotated[int, Meta(ge=1, le=16)] = 2


class Peers(Section, frozen=True, kw_only=True):
    """Remote archives that are called over HTTP, such as other servers of this kind."""

    known: Annotated[
        list[Peer],
        Meta(
            description="Remote archives: [[peers.known]] with name, url; username, password, "
            "headers that each request has; certificate, private_key, private_key_password: PEM "
            "files with which we show who we are; timeout_s; parallel (requests at a time, 2)"
        ),
    ] = []
    timeout_s: Annotated[
        Seconds, Meta(description="Time within which a peer must go on, and answer")
    ] = 60.0
    verify: Annotated[
        bool, Meta(description="Whether a peer must have a certificate that we trust")
    ] = True
    trusted_certificates: Annotated[
        str,
        Meta(
            description="File of the authorities that we trust for it, PEM; empty: those that the "
            "system trusts"
        ),
    ] = ""
    proxy: Annotated[
        str,
        Meta(
            pattern=r"^(http://)?[!-~]*$",
            description="Proxy between us and all peers: host:port, or user:password@host:port",
        ),
    ] = ""
