"""Values as text (PS3.5 §6.2), a piece at a time where they are long."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from vna.services.elements import Row, decode_text, tag_text

TEXT_VRS = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI",
     "UR", "UT")
)  # fmt: skip
# Texts with one value, in which a backslash is a character.
ONE_VALUE_VRS = frozenset(("LT", "ST", "UR", "UT"))
NUMBERS = {
    "US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q",
    "FL": "f", "FD": "d", "OF": "f", "OD": "d", "AT": "HH",
}  # fmt: skip
# Bytes of a word that is shown in hexadecimal.
WORDS = {"OB": 1, "UN": 1, "OW": 2, "OL": 4, "OV": 8}

# A text is decoded whole, since code extensions reach from its beginning to its end.
MAX_TEXT_BYTES = 16 << 20
# Read at once of a value of numbers: a whole number of each kind.
PIECE_BYTES = 48 << 10


def has_value(row: Row) -> bool:
    """Whether a row has a value that is no items."""
    return row.kind == "element" and row.vr != "SQ" and row.length is not None


def pieces(row: Row, limit: int | None = None) -> Iterator[str]:
    """Yield a value as text: all of it, or at least as much as fills `limit` characters."""
    if not has_value(row) or not row.length:
        return
    if row.vr in TEXT_VRS:
        yield text(row, limit)
        return
    done, shown, separator = 0, 0, ""
    # The shortest number and its separator are two characters.
    wanted = row.length if limit is None else min(row.length, max(8, 8 * limit))
    while done < wanted and (limit is None or shown <= limit):
        value = row.read(row.value_offset + done, min(PIECE_BYTES, wanted - done))
        if not value:
            return
        piece = "\\".join(words(row, value))
        yield separator + piece
        done, shown, separator = done + len(value), shown + len(piece) + 1, "\\"


def text(row: Row, limit: int | None) -> str:
    """Return a text value, decoded and without its padding."""
    length = row.length or 0
    # Four bytes for a character, and room for the escape sequences between them.
    wanted = MAX_TEXT_BYTES if limit is None else min(MAX_TEXT_BYTES, 8 * limit + 64)
    value = row.read(row.value_offset, min(length, wanted))
    decoded = decode_text(value, terms=row.charset, vr=row.vr)
    return decoded if length > wanted else decoded.rstrip(" \0")


def numbers(row: Row, value: bytes) -> list[int | float] | list[str]:
    """Return the numbers of a value; bytes behind the last whole one are left out."""
    order = ">" if row.is_big_endian else "<"
    form = struct.Struct(order + NUMBERS[row.vr])
    whole = value[: len(value) - len(value) % form.size]
    if row.vr == "AT":
        return [tag_text(group << 16 | element) for group, element in form.iter_unpack(whole)]
    return [number for (number,) in form.iter_unpack(whole)]


def words(row: Row, value: bytes) -> list[str]:
    """Return the numbers of a value as texts, those of bulk data in hexadecimal."""
    if row.vr in {"FL", "OF"}:
        return [short_float(float(number)) for number in numbers(row, value)]
    if row.vr in NUMBERS:
        return [str(number) for number in numbers(row, value)]
    size = WORDS.get(row.vr, 1)
    order = slice(None) if row.is_big_endian else slice(None, None, -1)
    return [value[at : at + size][order].hex() for at in range(0, len(value), size)]


def short_float(number: float) -> str:
    """Return the shortest text that gives the same 32-bit float back."""
    for digits in range(6, 9):
        candidate = f"{number:.{digits}g}"
        if struct.pack("<f", float(candidate)) == struct.pack("<f", number):
            return candidate
    return f"{number:.9g}"
