"""Types of values that several sections of the configuration have."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]
# PS3.5 §6.2: at most 16 characters of the default repertoire, no backslash, no control characters,
# not only spaces.
AeTitle = Annotated[str, Meta(pattern=r"^(?=.*[^ ])[ -\[\]-~]{1,16}$")]
# A UID, with wildcards or without.
UidPattern = Annotated[str, Meta(pattern=r"^[0-9.*?]{1,64}$")]
DimseService = Literal["echo", "store", "find", "worklist", "move", "get", "commitment", "mpps"]
# As clients of Orthanc know labels.
Label = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ClientCertificates = Literal["none", "optional", "required"]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name: what it resolves to may change, so it counts as wide


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One table of ``vna.toml``."""
