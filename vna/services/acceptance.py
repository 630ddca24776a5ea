"""Which SOP classes and transfer syntaxes the DICOM listener takes, changed at run time."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec

from vna import _core

if TYPE_CHECKING:
    from vna.services.node import Node

# A pattern of no UID: an empty list means all in the configuration, and none at run time.
NONE = "0"


def transfer_syntaxes(node: Node) -> list[str]:
    """Return the transfer syntaxes in which instances are taken."""
    accepted = node.archive.settings.dicom.accepted_transfer_syntaxes
    return matching(_core.transfer_syntaxes(), accepted or ["*"])


def is_transfer_syntax(uid: str) -> bool:
    """Whether a UID is that of a transfer syntax which the standard names."""
    return uid in _core.transfer_syntaxes()


def sop_classes(node: Node) -> list[str]:
    """Return the SOP classes of the standard that are taken."""
    dicom = node.archive.settings.dicom
    rejected = set(matching(_core.storage_sop_classes(), dicom.rejected_sop_classes))
    accepted = matching(_core.storage_sop_classes(), dicom.accepted_sop_classes or ["*"])
    return sorted(uid for uid in accepted if uid not in rejected)


def matching(uids: list[str], patterns: list[str]) -> list[str]:
    """Return the UIDs that one of the patterns is for, in the order of their numbers."""
    found = [uid for uid in uids if any(fnmatchcase(uid, pattern) for pattern in patterns)]
    return sorted(found, key=lambda uid: [int(part) for part in uid.split(".")])


def set_transfer_syntaxes(node: Node, patterns: list[str]) -> None:
    """Take instances in these alone, from the next association on and until the next start."""
    change(node, accepted_transfer_syntaxes=patterns or [NONE])


def set_unknown_sop_classes(node: Node, accepted: bool) -> None:
    """Take SOP classes that the standard does not name, or not; for as long."""
    change(node, accept_unknown_sop_classes=accepted)


def change(node: Node, **fields: Any) -> None:
    """Change settings of the listener."""
    settings = node.archive.settings
    dicom = msgspec.structs.replace(settings.dicom, **fields)
    node.archive.settings = msgspec.structs.replace(settings, dicom=dicom)
    node.publish_policy()
