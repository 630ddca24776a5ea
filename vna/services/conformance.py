"""What is said of ourselves, from what holds now (PS3.2): sections of text and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from vna import _core
from vna.services import acceptance
from vna.version import version

if TYPE_CHECKING:
    from vna.services.node import Node
    from vna.settings import Dicom, Settings

QUERY_RETRIEVE = {
    "Patient Root": "1.2.840.10008.5.1.4.1.2.1",
    "Study Root": "1.2.840.10008.5.1.4.1.2.2",
    "Patient/Study Only (retired)": "1.2.840.10008.5.1.4.1.2.3",
}
# As provider (SCP) and as user (SCU) of the service.
OTHERS = {
    "Verification": "1.2.840.10008.1.1",
    "Modality Worklist": "1.2.840.10008.5.1.4.31",
    "Modality Performed Procedure Step": "1.2.840.10008.3.1.2.3.3",
    "Storage Commitment Push Model": "1.2.840.10008.1.20.1",
}
BOTH = "SCP, SCU"
YES_NO = {True: "yes", False: "no"}


class Section(NamedTuple):
    """A part of the statement.

    Attributes
    ----------
    title : str
        What it is about.
    text : str
        A paragraph before the table.
    columns : tuple of str
        Heads of the columns; without any there is no table.
    rows : tuple of tuple of str
        As many cells as columns each.
    """

    title: str
    text: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def heading() -> str:
    """Return the title of the statement."""
    return f"DICOM conformance statement of VNA {version()}"


def sections(node: Node) -> list[Section]:
    """Return what holds of the DICOM network, character sets and security."""
    settings = node.archive.settings
    return [
        network(settings.dicom),
        services(),
        storage(node),
        transfer_syntaxes(node),
        Section(
            "Character sets",
            "Read: all of PS3.3 C.12.1.1.2. Written: what the text needs, else ISO_IR 192.",
        ),
        security(settings),
    ]


def network(dicom: Dicom) -> Section:
    """Return where associations are accepted, and their bounds (PS3.8)."""
    titles = [dicom.aet, *(each.aet for each in dicom.ae_titles)]
    listens = f"{dicom.host} port {dicom.port}" if dicom.enabled else "no"
    rows = (
        ("AE titles", ", ".join(titles)),
        ("Listens", listens),
        ("Called AE title must be ours", YES_NO[dicom.check_called_aet]),
        ("Callers that are not known may", ", ".join(dicom.unknown_callers) or "nothing"),
        ("Largest PDU received", f"{dicom.max_pdu_bytes} bytes"),
        ("Associations at a time", str(dicom.max_associations)),
        ("Asynchronous operations", "not negotiated: one at a time"),
    )
    return Section("DICOM network", columns=("Property", "Value"), rows=rows)


def services() -> Section:
    """Return the SOP classes that are no storage classes (PS3.4)."""
    rows = [(name, uid, BOTH) for name, uid in OTHERS.items()]
    for model, root in QUERY_RETRIEVE.items():
        for number, service in enumerate(("FIND", "MOVE", "GET"), 1):
            rows.append((f"{model} {service}", f"{root}.{number}", BOTH))
    return Section("Services", columns=("SOP class", "UID", "As"), rows=tuple(rows))


def storage(node: Node) -> Section:
    """Return the storage SOP classes that are taken (PS3.4 B.5)."""
    unknown = node.archive.settings.dicom.accept_unknown_sop_classes
    also = "Those that the standard does not name are taken too." if unknown else ""
    rows = tuple((name_of(uid), uid) for uid in acceptance.sop_classes(node))
    return Section("Storage SOP classes, as SCP and SCU", also, ("SOP class", "UID"), rows)


def transfer_syntaxes(node: Node) -> Section:
    """Return the transfer syntaxes that are taken, and what is done with their frames (PS3.5)."""
    import json

    codecs = {syntax["uid"]: syntax for syntax in json.loads(_core.pixel_syntaxes())}
    rows = []
    for uid in acceptance.transfer_syntaxes(node):
        codec = codecs.get(uid, {})
        frames = [said for said in ("decodes", "encodes") if codec.get(said)]
        rows.append((name_of(uid), uid, ", ".join(frames) or "kept as they are"))
    return Section(
        "Transfer syntaxes in which instances are taken",
        columns=("Transfer syntax", "UID", "Frames"),
        rows=tuple(rows),
    )


def security(settings: Settings) -> Section:
    """Return how both ways in are guarded (PS3.15 Annex B)."""
    http, dicom = settings.http, settings.dicom
    rows = (
        ("DICOM over TLS", YES_NO[dicom.tls]),
        ("Certificates of DICOM peers", dicom.tls_client_certificates),
        ("User identity of DICOM peers", dicom.user_identity),
        ("HTTP over TLS", YES_NO[http.tls]),
        ("Certificates of HTTP clients", http.tls_client_certificates),
        ("HTTP authentication", http.authentication),
        ("Oldest TLS", settings.tls.minimum_version),
        ("De-identification", "PS3.15 Annex E, Basic Application Level Profile and options"),
    )
    return Section("Security", columns=("Property", "Value"), rows=rows)


@cache
def names() -> dict[str, str]:
    """Return the names of UIDs (PS3.6 Table A-1), as far as known."""
    text = resources.files("vna.services").joinpath("uid_names.tsv").read_text("utf-8")
    return dict(line.split("\t", 1) for line in text.splitlines())


def name_of(uid: str) -> str:
    """Return the name of a UID, or nothing."""
    return names().get(uid, "")


def statement(node: Node) -> str:
    """Return what holds of the DICOM network as text."""
    return as_text(sections(node))


def as_text(parts: Iterable[Section]) -> str:
    """Return sections as text for people with a terminal."""
    return "\n".join(lines(parts)) + "\n"


def lines(parts: Iterable[Section]) -> Iterator[str]:
    """Yield the lines of sections."""
    yield from ("", heading(), "=" * len(heading()))
    for part in parts:
        yield from ("", part.title, "-" * len(part.title), "")
        if part.text:
            yield f"  {part.text}"
        if part.columns:
            yield from table([part.columns, *part.rows])


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows as lines with columns below one another."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()
