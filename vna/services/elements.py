"""The elements of a file with what is known of them from those before: names, sets, places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from vna._core import (
    ElementReader,
    decode_text,
    keyword,
    set_private_dictionary,
    tag_for_keyword,
)
from vna.settings import PrivateElement

try:
    from vna._elements import ROW_BYTES, unpack_elements
except ImportError:  # no kernel was built
    from vna._elements_twin import ROW_BYTES, unpack_elements

ITEM = 0xFFFE_E000
SPECIFIC_CHARACTER_SET = 0x0008_0005
# Longest text of (0008,0005) and of a private creator that counts: both are of some ten characters.
NAME_BYTES = 1024
# Rows unpacked at once.
ROWS = 4096

Kind = Literal["element", "item", "fragment"]
ReadValue = Callable[[int, int], bytes]


@dataclass(slots=True)
class Row:
    """An element, item or fragment.

    Attributes
    ----------
    depth : int
        Sequences around it; an item counts the one that it belongs to.
    offset : int
        Where its header begins.
    number : int
        Of items and fragments: which one it is, from 0.
    charset : str
        Specific Character Set (0008,0005) in force.
    creator : str
        Of private elements: who reserved the block (PS3.5 §7.8), empty if nobody did.
    """

    kind: Kind
    tag: int
    vr: str
    depth: int
    offset: int
    value_offset: int
    length: int | None
    is_big_endian: bool
    read: ReadValue
    number: int = 0
    name: str = ""
    charset: str = ""
    creator: str = ""


def know_private(elements: Iterable[PrivateElement]) -> None:
    """Make the private elements of a configuration those that this process knows."""
    set_private_dictionary(
        [(int(e.tag.replace(",", ""), 16), e.vr, e.name, e.creator) for e in elements]
    )


@dataclass(slots=True)
class DataSet:
    """What the elements of one data set or item say of those that follow."""

    charset: str
    creators: dict[tuple[int, int], str] = field(default_factory=dict)


def rows(tables: Iterable[bytes], read: ReadValue) -> Iterator[Row]:
    """Yield the rows of element tables (`vna._core.scan`), of which values are had by `read`."""
    around = [DataSet("")]
    numbers: dict[int, int] = {}
    for table in tables:
        for start in range(0, len(table), ROWS * ROW_BYTES):
            part = table[start : start + ROWS * ROW_BYTES]
            for tag, vr, depth, offset, length, header, encoding in unpack_elements(part):
                row = Row("element", tag, vr, depth, offset - header, offset, length,
                          encoding == 2, read)  # fmt: skip
                if tag == ITEM:
                    row.kind = "fragment" if vr else "item"
                    row.number = numbers[depth] = numbers.get(depth, -1) + 1
                    del around[depth:]
                    around.append(DataSet(around[-1].charset))
                    row.charset = around[-1].charset
                else:
                    numbers.pop(depth + 1, None)
                    del around[depth + 1 :]
                    describe(row, around[-1])
                yield row


def describe(row: Row, here: DataSet) -> None:
    """Name an element, and note what it says of the others."""
    row.charset = here.charset
    group, element = row.tag >> 16, row.tag & 0xFFFF
    if not element:
        row.name = keyword(row.tag) or "GroupLength"
    elif group % 2 == 0:
        row.name = keyword(row.tag) or ""
        if row.tag == SPECIFIC_CHARACTER_SET:
            here.charset = short_text(row)
    elif 0x10 <= element <= 0xFF:
        row.name = "PrivateCreator"
        here.creators[group, element] = short_text(row)
    else:
        row.creator = here.creators.get((group, element >> 8), "")
        row.name = keyword(row.tag, creator=row.creator) or ""


def short_text(row: Row) -> str:
    """Return the text of an element that others depend on."""
    length = min(NAME_BYTES, NAME_BYTES if row.length is None else row.length)
    value = row.read(row.value_offset, length)
    return decode_text(value, terms="", vr="LO").strip(" \0")


def tag_text(tag: int) -> str:
    """Return a tag as the standard writes it."""
    return f"{tag >> 16:04X},{tag & 0xFFFF:04X}"


__all__ = [
    "ElementReader",
    "Kind",
    "ReadValue",
    "Row",
    "decode_text",
    "keyword",
    "know_private",
    "rows",
    "tag_for_keyword",
    "tag_text",
]
