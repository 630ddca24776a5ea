"""Who asks: every service takes a caller, whichever way in the request took."""

from __future__ import annotations

from typing import Literal

import msgspec

WayIn = Literal["dimse", "rest", "dicomweb", "grpc", "cli", "python", "webdav"]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The one whose request this is, as far as the way in knows.

    Attributes
    ----------
    way_in : str
        How the request came.
    address : str
        IP address of the peer, empty for the command line.
    tenant : int
        Whose part of the archive; 1 unless configured.
    user : str
        Name of the authenticated user, empty for nobody.
    calling_ae_title : str
        AE title that a DICOM peer gave.
    called_ae_title : str
        AE title that it called.
    label : str, optional
        The label whose view that AE title is: what comes there gets it, what is seen there has it.
    """

    way_in: WayIn
    address: str = ""
    tenant: int = 1
    user: str = ""
    calling_ae_title: str = ""
    called_ae_title: str = ""
    label: str | None = None

    def to_json(self) -> bytes:
        """Return the origin that the log keeps beside the bytes."""
        return msgspec.json.encode(self)
