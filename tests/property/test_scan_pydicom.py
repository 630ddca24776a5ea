"""The scanner against pydicom: same tags, VRs, lengths and values, or a documented reason.

pydicom's packaged files are always there. More come from the folder of shared test data:
`VNA_SHARED`, else `shared` beside the repository.
"""

from __future__ import annotations

import os
import struct
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pydicom.data
import pydicom.multival
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.encaps import parse_fragments

from vna import _core
from vna.errors import EncodingError

ROW = struct.Struct("<I2sHQIBBxx")
UNDEFINED = 0xFFFFFFFF
ITEM = 0xFFFEE000
NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i"}
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
    if isinstance(theirs, DataElement) and ours.vr == "UN":
        return True  # pydicom looks UN up in its dictionaries when it decodes a value
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
    # pydicom takes a delimiter where none belongs for an element.
    their_tags = {int(tag) for tag in theirs._dict if tag.group != 0xFFFE}
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
        many = isinstance(element.value, (list, pydicom.multival.MultiValue))
        theirs_text = [str(value) for value in (element.value if many else [element.value])]
        if node.vr in NUMBERS and node.length:
            order = ">" if node.big_endian else "<"
            text = str(struct.unpack_from(order + NUMBERS[node.vr], data, node.offset)[0])
        agrees = text.split("\\") == theirs_text or (not text and theirs_text in (["None"], []))
        return [] if agrees else [f"{path} {text!r}, pydicom {theirs_text}"]
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
    assert not differences


# Files that we refuse and pydicom reads, each with our error and why. Of a value that is cut off
# pydicom gives what is left; a length beyond what is around it pydicom does not notice.
REFUSED: dict[str, tuple[str, str]] = {
    "test_files/MR_truncated.dcm": ("header.truncated", "pixel data is 62 bytes short"),
    "test_files/rtplan_truncated.dcm": ("header.truncated", "ends inside a sequence"),
    "test_files/dicomdirtests/DICOMDIR-nooffset": (
        "value.beyond_parent",
        "an item outgrows its sequence",
    ),
    "derived-hostile/cut_magic_only.dcm": ("header.truncated", "nothing behind DICM"),
    "derived-hostile/cut_mid_dataset.dcm": ("header.truncated", "ends inside a header"),
    "derived-hostile/cut_mid_meta.dcm": ("header.truncated", "ends inside group 2"),
    "derived-hostile/cut_mid_pixels.dcm": ("header.truncated", "pixel data is cut off"),
    "derived-hostile/cut_no_pixel_value.dcm": ("header.truncated", "pixel data has a header only"),
    "derived-hostile/deflate_bomb_64MiB.dcm": (
        "budget.inflate_ratio",
        "zeros, deflated 1000 times",
    ),
    "derived-hostile/pixel_length_over_end.dcm": (
        "header.truncated",
        "pixel data of 2 GiB in 1 kB",
    ),
}
FUZZ_REFUSED: dict[str, tuple[str, str]] = {
    "cat02_vr_mismatch/TC0233_rows_US_as_UL.dcm": ("header.truncated", "nothing behind DICM"),
    "cat03_sequence_nesting/TC0277_missing_delim.dcm": (
        "header.truncated",
        "ends inside an element",
    ),
    "cat05_transfer_syntax/TC0345_deflate_corrupt.dcm": ("header.truncated", "noise behind DICM"),
    "cat05_transfer_syntax/TC0347_deflate_truncated.dcm": ("header.truncated", "noise behind DICM"),
    "cat06_private_tags/TC0357_stray_item_tag.dcm": (
        "item.unexpected",
        "an item outside a sequence",
    ),
    "cat06_private_tags/TC0359_stray_item_delim.dcm": (
        "item.unexpected",
        "a delimiter outside an item",
    ),
    "cat06_private_tags/TC0363_tag_order_violation.dcm": (
        "header.truncated",
        "ends inside an element",
    ),
    "cat07_file_meta/TC0391_meta_glen_zero.dcm": (
        "budget.meta",
        "no VR, read as a length of 1.7 MB",
    ),
    "cat07_file_meta/TC0393_meta_glen_one.dcm": (
        "budget.meta",
        "no VR, read as a length of 1.7 MB",
    ),
    "cat07_file_meta/TC0395_meta_glen_max.dcm": (
        "budget.meta",
        "no VR, read as a length of 1.7 MB",
    ),
    "cat07_file_meta/TC0397_meta_glen_huge.dcm": (
        "budget.meta",
        "no VR, read as a length of 1.7 MB",
    ),
    "cat08_string_encoding/TC0405_latin1_utf8_payload.dcm": (
        "header.truncated",
        "ends inside an element",
    ),
    "cat09_logic_bombs/TC0445_duplicate_tags.dcm": ("header.truncated", "ends inside an element"),
}
REFUSED |= {
    f"dicom-fuzzing-corpus/fuzz_corpus_v3/{name}": found for name, found in FUZZ_REFUSED.items()
}

# Files that pydicom reads otherwise, and why. That we read them right is tested elsewhere.
NO_ORACLE = {
    # Takes DICM at byte 128, part of a value there, for the magic word.
    "dcm4che/dcm4che-test-data/src/main/resources/no_preamble_dicm_in_data",
    # Inflates 1.2.840.10008.1.2.1.99 only.
    "derived-transfer-syntaxes/gray_1.2.840.10008.1.2.4.205_JPIPHTJ2KReferencedDeflate.dcm",
    "derived-transfer-syntaxes/gray_1.2.840.10008.1.2.4.95_JPIPReferencedDeflate.dcm",
    "derived-transfer-syntaxes/rgb_1.2.840.10008.1.2.4.205_JPIPHTJ2KReferencedDeflate.dcm",
    "derived-transfer-syntaxes/rgb_1.2.840.10008.1.2.4.95_JPIPReferencedDeflate.dcm",
}


def cases(root: Path) -> list:
    return [pytest.param(path, id=str(path.relative_to(root))) for path in dicom_files(root)]


@pytest.mark.parametrize("path", cases(PACKAGED))
def test_packaged_files_read_as_pydicom_reads_them(path):
    check_file(path, str(path.relative_to(PACKAGED)))


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared test data")
@pytest.mark.parametrize(
    "folder", sorted(p.name for p in SHARED.iterdir() if p.is_dir()) if SHARED.is_dir() else []
)
def test_shared_files_read_as_pydicom_reads_them(folder):
    """One test a folder: there are 1,400 files."""
    failures = []
    for path in dicom_files(SHARED, SHARED / folder):
        name = str(path.relative_to(SHARED))
        if name in NO_ORACLE or path.suffix == ".rle":
            continue
        try:
            check_file(path, name.removeprefix("pydicom/"))
        except AssertionError as error:
            failures.append(f"{name}: {error}")
    assert not failures
