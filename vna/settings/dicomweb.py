"""[dicomweb]: the studies service of PS3.18."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from vna.settings.fields import Section

# Segments of letters that no client, proxy or log has to escape.
Root = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._~-]+)+$", max_length=128)]
Network = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$")]


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
    max_results: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Most results of a search; who needs more asks for the next page",
        ),
    ] = 10_000
