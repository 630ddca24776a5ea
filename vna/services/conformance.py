"""What is said of ourselves on the DICOM network, from what holds now (PS3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from vna.services import acceptance
from vna.version import version

if TYPE_CHECKING:
    from vna.services.node import Node

QUERY_RETRIEVE = {
    "Patient Root": "1.2.840.10008.5.1.4.1.2.1",
    "Study Root": "1.2.840.10008.5.1.4.1.2.2",
    "Patient/Study Only (retired)": "1.2.840.10008.5.1.4.1.2.3",
}
# By what is done with them, as provider (SCP) and as user (SCU) of the service.
OTHERS = {
    "Verification": ("1.2.840.10008.1.1", True, True),
    "Modality Worklist": ("1.2.840.10008.5.1.4.31", True, True),
    "Modality Performed Procedure Step": ("1.2.840.10008.3.1.2.3.3", True, True),
    "Storage Commitment Push Model": ("1.2.840.10008.1.20.1", True, True),
}
WIDTH = 48


def statement(node: Node) -> str:
    """Return the statement as text."""
    return "\n".join(lines(node)) + "\n"


def lines(node: Node) -> Iterator[str]:
    """Yield its lines."""
    dicom = node.archive.settings.dicom
    yield from title(f"DICOM conformance statement of VNA {version()}", "=")
    titles = [dicom.aet, *(each.aet for each in dicom.ae_titles)]
    yield f"AE titles: {', '.join(titles)}"
    yield f"Listens: {f'{dicom.host} port {dicom.port}' if dicom.enabled else 'no'}"
    yield f"Largest PDU received: {dicom.max_pdu_bytes} bytes"
    yield f"Associations at a time: {dicom.max_associations}"
    yield f"TLS: {'yes' if dicom.tls else 'no'}"
    yield from title("Services", "-")
    yield f"  {'SOP class':<{WIDTH}}  {'UID':<32}  as"
    for name, (uid, is_provider, is_user) in OTHERS.items():
        yield row(name, uid, is_provider, is_user)
    for model, root in QUERY_RETRIEVE.items():
        for number, service in enumerate(("FIND", "MOVE", "GET"), 1):
            yield row(f"{model} {service}", f"{root}.{number}", True, True)
    yield from title("Storage SOP classes, as SCP and SCU", "-")
    yield from listed(acceptance.sop_classes(node))
    if dicom.accept_unknown_sop_classes:
        yield "  and those that the standard does not name"
    yield from title("Transfer syntaxes in which instances are taken", "-")
    yield from listed(acceptance.transfer_syntaxes(node))
    yield from title("Character sets", "-")
    yield "  Read: all of PS3.3 C.12.1.1.2. Written: what the text needs, else ISO_IR 192."


def title(text: str, line: str) -> list[str]:
    """Return a heading."""
    return ["", text, line * len(text), ""]


def row(name: str, uid: str, is_provider: bool, is_user: bool) -> str:
    """Return what is done with a SOP class."""
    roles = [role for role, does in (("SCP", is_provider), ("SCU", is_user)) if does]
    return f"  {name:<{WIDTH}}  {uid:<32}  {', '.join(roles)}"


def listed(uids: Iterable[str]) -> Iterator[str]:
    """Return UIDs, one a line."""
    return (f"  {uid}" for uid in uids)
