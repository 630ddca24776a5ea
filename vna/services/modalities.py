"""Remote DICOM nodes, and how one request wants one of them called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from vna.errors import UnknownModality
from vna.services.known import Known
from vna.settings import AeTitle, Modality

if TYPE_CHECKING:
    from vna.services.node import Node


class Modalities(Known[Modality]):
    """The remote DICOM nodes that this one knows.

    Parameters
    ----------
    configured : iterable of Modality
        Those of the configuration.
    publish : callable
        Called after every change: the policy table has the modalities too.
    """

    noun = "modality"
    unknown = UnknownModality

    def __init__(self, configured: Iterable[Modality], publish: Callable[[], None]):
        super().__init__(Modality, configured, publish)

    def by_ae_title(self, ae_title: str, host: str | None = None) -> Modality | None:
        """Return the node with an AE title: the one at `host` if several share it, or the first.

        Only if nobody has it as it is written, upper and lower case are the same: peers that
        change the case are too common to be refused.
        """
        wanted = ae_title.strip()
        same = [each for each in self.all() if each.aet.strip() == wanted]
        if not same:
            folded = wanted.casefold()
            same = [each for each in self.all() if each.aet.strip().casefold() == folded]
        at_host = [each for each in same if each.host == host]
        return next(iter(at_host or same), None)


class Contact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A remote node and how one request wants it called; what it does not say is configured.

    Kept with jobs and queries: what is changed of the modality meanwhile holds for them too.
    """

    modality: str
    host: str | None = None
    port: int | None = None
    called_ae_title: AeTitle | None = None
    calling_ae_title: AeTitle | None = None
    timeout_s: float | None = None

    def modality_of(self, node: Node) -> Modality:
        """Return the remote node as it is to be called; raises UnknownModality."""
        said: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "aet": self.called_ae_title,
            "local_aet": self.calling_ae_title,
            "timeout_s": self.timeout_s,
        }
        changes = {name: value for name, value in said.items() if value is not None}
        return msgspec.structs.replace(node.modalities.get(self.modality), **changes)
