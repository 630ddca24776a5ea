"""The scanner against pydicom: same tags, VRs, lengths and values in every file, or a documented reason.

pydicom's packaged files are always there. More come from the folder of shared test data: `VNA_SHARED`, else `shared`
beside the repository.
"""

from __future__ import annotations

import os
import struct
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pydicom.data
import pydicom.dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.encaps import parse_fragments

from vna import _core
from vna.errors import EncodingError

ROW = struct.Struct("<I2sHQIBBxx")
UNDEFINED = 0xFFFFFFFF
ITEM = 0xFFFEE000
PACKAGED = Path(pydicom.data.__file__).parent
SHARED = Path(os.environ.get("VNA_SHARED", Path(__file__).parents[3] / "shared")) / "data"


@dataclass
class Node:
    """An element of our scan with what belongs to it."""

    tag: int
    vr: str
    offset: int
    length: int
    big_endian: bool
    items: list[list[Node]] = field(default_factory=list)
    fragments: list[tuple[int, int]] = field(default_factory=list)


def scan_tree(data: bytes) -> list[Node]:
    """Our scan as nested data sets."""
    rows = list(ROW.iter_unpack(_core.scan(data)))
    position = 0

    def data_set(depth: int) -> list[Node]:
        nonlocal position
        nodes = []
        while position < len(rows) and rows[position][2] == depth and rows[position][0] != ITEM:
            tag, vr, _, offset, length, _, encoding = rows[position]
            node = Node(tag, vr.decode("latin-1"), offset, length, encoding == 2)
            position += 1
            while position < len(rows) and rows[position][2] == depth + 1:
                assert rows[position][0] == ITEM
                item_vr, item_offset, item_length = (rows[position][i] for i in (1, 3, 4))
                position += 1
                if item_vr == b"OB":
                    node.fragments.append((item_offset, item_length))
                else:
                    node.items.append(data_set(depth + 1))
            nodes.append(node)
        return nodes

    tree = data_set(0)
    assert position == len(rows), "every row has its place in the tree"
    return tree


def vr_agrees(ours: Node, theirs: RawDataElement | DataElement) -> bool:
    if theirs.VR is not None and not getattr(theirs, "is_implicit_VR", False):
        return ours.vr == theirs.VR or (ours.vr == "UN" and theirs.VR == "SQ")
    try:
        expected = dictionary_VR(theirs.tag)
    except KeyError:  # private and unknown: only what holds items is a sequence
        private_creator = theirs.tag.is_private_creator
        return ours.vr == ("LO" if private_creator else "UL" if theirs.tag.element == 0 else "UN")
    # In implicit VR, "US or OW" is read as OW and "US or SS" as US (PS3.5 A.1).
    return ours.vr == expected or ours.vr in expected.split(" or ")


def compare(
    ours: list[Node], theirs: pydicom.Dataset, data: bytes, path: str, *, top: bool
) -> list[str]:
    """What differs between a data set of ours and pydicom's."""
    differences = []
    by_tag = {node.tag: node for node in ours}  # pydicom keeps the last of two
    their_tags = {int(tag) for tag in theirs._dict}
    differences += [f"{path}{tag:08x} only here" for tag in by_tag.keys() - their_tags]
    differences += [f"{path}{tag:08x} only in pydicom" for tag in their_tags - by_tag.keys()]
    for tag in by_tag.keys() & their_tags:
        node = by_tag[tag]
        element = theirs.get_item(tag)
        differences += compare_element(node, element, theirs, data, f"{path}{tag:08x}", top=top)
    return differences


def compare_element(node, element, theirs, data, path, *, top):
    if not vr_agrees(node, element):
        return [f"{path} VR {node.vr}, pydicom {element.VR}"]
    if node.vr == "SQ" or node.items or (isinstance(element, DataElement) and element.VR == "SQ"):
        items = theirs[element.tag].value if node.vr == "SQ" else element.value
        if len(items) != len(node.items):
            return [f"{path} {len(node.items)} items, pydicom {len(items)}"]
        differences = []
        for number, (ours, item) in enumerate(zip(node.items, items, strict=True)):
            differences += compare(ours, item, data, f"{path}[{number}].", top=False)
        return differences
    if isinstance(element, DataElement):  # pydicom decodes what it needs while it reads
        text = data[node.offset : node.offset + node.length].decode("latin-1").strip("\0 ")
        values = [element.value] if isinstance(element.value, str) else list(element.value or [])
        return (
            [] if text.split("\\") == (values or [""]) else [f"{path} {text!r}, pydicom {values}"]
        )
    value = element.value or b""
    if node.length != (
        UNDEFINED if getattr(element, "is_undefined_length", False) else element.length
    ):
        return [f"{path} length {node.length}, pydicom {element.length}"]
    if top and element.value_tell != node.offset:
        return [f"{path} value at {node.offset}, pydicom {element.value_tell}"]
    if data[node.offset : node.offset + len(value)] != value:
        return [f"{path} values differ"]
    if node.length == UNDEFINED:
        return compare_fragments(node, value, path)
    return [] if len(value) == node.length else [f"{path} cut off in pydicom"]


def compare_fragments(node: Node, value: bytes, path: str) -> list[str]:
    count, offsets = parse_fragments(value, endianness=">" if node.big_endian else "<")
    ours = [offset - 8 - node.offset for offset, _ in node.fragments]
    return (
        [] if ours == list(offsets)[:count] else [f"{path} fragments at {ours}, pydicom {offsets}"]
    )


def read_with_pydicom(path: Path) -> pydicom.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, force=True)


def dicom_files(root: Path, below: Path | None = None) -> list[Path]:
    """Files that begin as DICOM does: with the magic word or as a bare data set of group 0008."""
    found = []
    for path in sorted((below or root).rglob("*")):
        if path.is_file() and path.stat().st_size < 40_000_000:
            with path.open("rb") as file:
                head = file.read(132)
            if head[128:] == b"DICM" or head[:2] in (b"\x08\x00", b"\x00\x08", b"\x02\x00"):
                found.append(path)
    return found


def check_file(path: Path, name: str) -> None:
    data = path.read_bytes()
    try:
        tree = scan_tree(data)
    except EncodingError as error:
        assert name in REFUSED, f"{error.code}: {error}"
        assert error.code == REFUSED[name][0]
        return
    assert name not in REFUSED, f"read, though it should be {REFUSED[name][0]}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        differences = compare(tree, read_with_pydicom(path), _core.data_set(data), "", top=True)
    expected, _ = DIFFERENT.get(name, ([], ""))
    assert sorted(differences) == sorted(expected), differences


# Files that we refuse and pydicom reads, each with our error and why. pydicom gives what is left of a cut value.
REFUSED: dict[str, tuple[str, str]] = {}

# Files that both read, and what differs for which reason.
DIFFERENT: dict[str, tuple[list[str], str]] = {}
