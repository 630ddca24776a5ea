"""The model as bytes (PS3.5 §7, PS3.10 §7): plain, slow, and nothing shared with the archive."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from vna.testing.model import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    PIXEL_DATA,
    SPECIFIC_CHARACTER_SET,
    DataSet,
    Element,
    Fragments,
)
from vna.testing.texts import DEFAULT, CharacterSet
from vna.testing.values import FLOATS, INTEGERS, OPAQUE, TEXT

UNDEFINED = 0xFFFF_FFFF
ITEM = 0xFFFE_E000
ITEM_END = 0xFFFE_E00D
SEQUENCE_END = 0xFFFE_E0DD
# All other VRs have a length field of four bytes behind two zeros (PS3.5 §7.1.2).
SHORT = frozenset(
    "AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()  # noqa: SIM905
)
IMPLEMENTATION_CLASS_UID = "1.2.826.0.1.3680043.9.7433.1.1"


@dataclass(frozen=True)
class Encoding:
    """How elements are written: the form of the VR, the order of bytes, and habits of writers."""

    implicit: bool = False
    big_endian: bool = False
    # See `vna.testing.oddities`.
    oddities: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, transfer_syntax_uid: str, oddities: Iterable[str] = ()) -> Encoding:
        """The encoding that a transfer syntax stands for (PS3.5 §10), with some oddities."""
        oddities = frozenset(oddities)
        declared_implicit = transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
        return cls(
            declared_implicit != ("other_vr_form" in oddities),
            transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN,
            oddities,
        )

    @property
    def order(self) -> str:
        """The order of bytes as `struct` has it."""
        return ">" if self.big_endian else "<"

    def tag(self, tag: int) -> bytes:
        """A tag."""
        return struct.pack(f"{self.order}HH", tag >> 16, tag & 0xFFFF)

    def header(self, tag: int, vr: str, length: int) -> bytes:
        """Tag, VR and length field of an element."""
        if self.implicit or not vr:
            return self.tag(tag) + struct.pack(f"{self.order}I", length)
        head = self.tag(tag) + vr.encode("ascii")
        if vr in SHORT:
            return head + struct.pack(f"{self.order}H", length)
        return head + b"\0\0" + struct.pack(f"{self.order}I", length)


def write_data_set(
    data_set: DataSet, encoding: Encoding, character_set: CharacterSet = DEFAULT
) -> bytes:
    """Encode a data set; `character_set` is that of the data set around it (PS3.5 §6.1.2.3)."""
    if SPECIFIC_CHARACTER_SET in data_set:
        character_set = CharacterSet(data_set.text(SPECIFIC_CHARACTER_SET))
    groups: dict[int, bytes] = {}
    for element in data_set:
        group = element.tag >> 16
        groups[group] = groups.get(group, b"") + write_element(element, encoding, character_set)
    if "group_lengths" in encoding.oddities:
        for group, content in groups.items():
            length = struct.pack(f"{encoding.order}I", len(content))
            groups[group] = encoding.header(group << 16, "UL", 4) + length + content
    return b"".join(groups.values())


def write_element(element: Element, encoding: Encoding, character_set: CharacterSet) -> bytes:
    """Encode an element with its value."""
    if isinstance(element.value, Fragments):
        header = encoding.header(element.tag, element.vr, UNDEFINED)
        return header + encapsulate(element.value, encoding)
    if element.vr == "SQ":
        return _write_sequence(element, encoding, character_set)
    value = _padded(element.vr, write_value(element, encoding, character_set), encoding.oddities)
    vr = element.vr
    if vr in SHORT and len(value) > 0xFFFF:
        vr = "UN"  # PS3.5 §6.2.2, note on long values
    return encoding.header(element.tag, vr, len(value)) + value


def write_value(element: Element, encoding: Encoding, character_set: CharacterSet) -> bytes:
    """Encode the value of an element that is no sequence, without padding."""
    vr, value = element.vr, element.value
    if vr in OPAQUE:
        assert isinstance(value, bytes)
        return _swapped(value, OPAQUE[vr]) if encoding.big_endian else value
    assert isinstance(value, tuple)
    if vr == "AT":
        return b"".join(encoding.tag(int(tag)) for tag in value)  # type: ignore[arg-type]
    if code := INTEGERS.get(vr) or FLOATS.get(vr):
        return struct.pack(f"{encoding.order}{len(value)}{code}", *value)
    text = "\\".join(map(str, value))
    delimiters = "\\^=" if vr == "PN" else "\\"
    return (character_set if vr in TEXT else DEFAULT).encode(text, delimiters=delimiters)


def _swapped(value: bytes, width: int) -> bytes:
    words = [value[at : at + width][::-1] for at in range(0, len(value), width)]
    return b"".join(words)


def _padded(vr: str, value: bytes, oddities: frozenset[str]) -> bytes:
    if len(value) % 2 == 0 or "odd_lengths" in oddities:
        return value
    if vr in OPAQUE:
        return value + b"\0"
    with_nul = (vr == "UI") != ("wrong_padding" in oddities)
    return value + (b"\0" if with_nul else b" ")


def _write_sequence(element: Element, encoding: Encoding, character_set: CharacterSet) -> bytes:
    inner = encoding
    vr = "SQ"
    if "sequences_in_un" in encoding.oddities and element.is_private and not encoding.implicit:
        # Of unknown VR and undefined length: implicit VR little endian inside (PS3.5 §6.2.2).
        vr, inner = "UN", Encoding(implicit=True, oddities=encoding.oddities)
    undefined = element.undefined_length or vr == "UN"
    # The delimiters are those of the sequence's own encoding, which UN leaves for good.
    items = b"".join(_write_item(item, inner, character_set) for item in element.items)
    if undefined:
        items += inner.tag(SEQUENCE_END) + bytes(4)
    return encoding.header(element.tag, vr, UNDEFINED if undefined else len(items)) + items


def _write_item(item: DataSet, encoding: Encoding, character_set: CharacterSet) -> bytes:
    content = write_data_set(item, encoding, character_set)
    if item.undefined_length:
        end = encoding.tag(ITEM_END) + bytes(4)
        return encoding.header(ITEM, "", UNDEFINED) + content + end
    return encoding.header(ITEM, "", len(content)) + content


def as_readable(
    data_set: DataSet, encoding: Encoding, character_set: CharacterSet = DEFAULT
) -> DataSet:
    """Return what a reader can know of a data set that is written in `encoding`.

    Implicit VR does not say what a private element is: its bytes are all that is left, unless
    undefined length shows a sequence.
    """
    if SPECIFIC_CHARACTER_SET in data_set:
        character_set = CharacterSet(data_set.text(SPECIFIC_CHARACTER_SET))
    return replace(
        data_set,
        elements=tuple(_readable(element, encoding, character_set) for element in data_set),
    )


def _readable(element: Element, encoding: Encoding, character_set: CharacterSet) -> Element:
    if element.vr == "SQ":
        hides = "sequences_in_un" in encoding.oddities and element.is_private
        if hides and not encoding.implicit:
            encoding = replace(encoding, implicit=True, big_endian=False)
            element = replace(element, undefined_length=True)
        if encoding.implicit and element.is_private and not element.undefined_length:
            content = _write_sequence(element, encoding, character_set)[8:]
            return Element(element.tag, "UN", content)
        items = tuple(as_readable(item, encoding, character_set) for item in element.items)
        return replace(element, value=items)
    if element.tag == PIXEL_DATA and encoding.implicit:
        return replace(element, vr="OW")  # PS3.5 §A.1
    is_creator = element.tag & 0xFFFF < 0x100
    if is_creator or not (encoding.implicit and element.is_private):
        return element
    value = _padded(element.vr, write_value(element, encoding, character_set), encoding.oddities)
    return Element(element.tag, "UN", value)


def encapsulate(fragments: Fragments, encoding: Encoding) -> bytes:
    """Encode encapsulated pixel data from the Basic Offset Table to the delimiter (PS3.5 §A.4)."""
    offsets, items, at = [], b"", 0
    for frame in fragments.frames:
        offsets.append(at)
        for fragment in frame:
            fragment += b"\0" * (len(fragment) % 2)
            items += encoding.header(ITEM, "", len(fragment)) + fragment
            at += 8 + len(fragment)
    table = struct.pack(f"<{len(offsets)}I", *offsets) if fragments.has_offset_table else b""
    table = encoding.header(ITEM, "", len(table)) + table
    return table + items + encoding.tag(SEQUENCE_END) + bytes(4)


def write_file(data_set: DataSet, transfer_syntax_uid: str, oddities: Iterable[str] = ()) -> bytes:
    """Encode a PS3.10 file, or with some oddities what passes for one."""
    oddities = frozenset(oddities)
    encoding = Encoding.of(transfer_syntax_uid, oddities)
    content = write_data_set(data_set, encoding)
    if "trailing_zeros" in oddities:
        content += bytes(64)
    if transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        content = squeeze.compress(content) + squeeze.flush()
        content += b"\0" * (len(content) % 2)
    if "no_meta" in oddities:
        return content
    meta = write_meta(data_set, transfer_syntax_uid, oddities)
    return (b"" if "no_preamble" in oddities else bytes(128) + b"DICM") + meta + content


def write_meta(data_set: DataSet, transfer_syntax_uid: str, oddities: frozenset[str]) -> bytes:
    """Encode the File Meta Information (PS3.10 §7.1)."""
    fields = [
        Element(0x0002_0001, "OB", b"\0\1"),
        Element(0x0002_0002, "UI", (data_set.text(0x0008_0016),)),
        Element(0x0002_0003, "UI", (data_set.text(0x0008_0018),)),
        Element(0x0002_0010, "UI", (transfer_syntax_uid,)),
        Element(0x0002_0012, "UI", (IMPLEMENTATION_CLASS_UID,)),
    ]
    content = b"".join(write_element(element, Encoding(), DEFAULT) for element in fields)
    if "no_meta_length" in oddities:
        return content
    length = Element(0x0002_0000, "UL", (len(content),))
    return write_element(length, Encoding(), DEFAULT) + content
