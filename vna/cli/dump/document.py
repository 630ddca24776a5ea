"""The dump for programs: one JSON document, written as the file is read."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from vna.cli.dump.filters import level_of
from vna.cli.dump.values import (
    MAX_TEXT_BYTES,
    NUMBERS,
    ONE_VALUE_VRS,
    PIECE_BYTES,
    TEXT_VRS,
    has_value,
    numbers,
    text,
)
from vna.services.elements import ElementReader, Row, tag_text

if TYPE_CHECKING:
    from vna.cli.dump import Found

# Longer values are left out unless --full asks for them.
SHORT_BYTES = 4096
BELOW = {"element": "elements", "item": "items", "fragment": "fragments"}


def write(reader: ElementReader, name: str, found: Found, *, full: bool) -> None:
    """Write the document."""
    head = {
        "file": name,
        "bytes": reader.file_bytes,
        "transfer_syntax_uid": reader.transfer_syntax_uid,
        "data_set_offset": reader.data_set_offset,
        "is_deflated": reader.is_deflated,
    }
    out(dumps(head).removesuffix("}"))
    out(',\n"meta": [')
    tree(found.meta(), full=full)
    out('],\n"elements": [')
    tree(found.data_set(), full=full)
    error = reader.error and dict(zip(("message", "code", "offset"), reader.error, strict=True))
    out(f'],\n"error": {dumps(error)}}}\n')


def tree(rows: Iterable[Row], *, full: bool) -> None:
    """Write rows as objects, each with those below it."""
    # Levels of the objects that are not closed, each with whether it has a list of others.
    above: list[tuple[int, bool]] = []
    is_first = True
    for row in rows:
        level = level_of(row)
        while above and above[-1][0] >= level:
            out("]}" if above.pop()[1] else "}")
        if above and not above[-1][1]:
            above[-1] = (above[-1][0], True)
            out(f', "{BELOW[row.kind]}": [')
        elif not is_first:
            out(",")
        is_first = False
        out(f"\n{dumps(head_of(row)).removesuffix('}')}")
        value(row, full=full)
        above.append((level, False))
    while above:
        out("]}" if above.pop()[1] else "}")


def head_of(row: Row) -> dict[str, Any]:
    """Return what is said of a row besides its value."""
    head: dict[str, Any] = {}
    if row.kind == "element":
        head |= {"tag": tag_text(row.tag), "vr": row.vr, "name": row.name}
        if row.creator:
            head["creator"] = row.creator
    return head | {"offset": row.offset, "value_offset": row.value_offset, "length": row.length}


def value(row: Row, *, full: bool) -> None:
    """Write the value into the object of its row: a list of texts or numbers, or base64."""
    if not has_value(row):
        return
    length = row.length or 0
    if row.vr in TEXT_VRS and length <= (MAX_TEXT_BYTES if full else SHORT_BYTES):
        whole = text(row, None)
        values = [whole] if row.vr in ONE_VALUE_VRS else whole.split("\\")
        out(f', "value": {dumps(values if whole else [])}')
    elif row.vr in NUMBERS and (full or length <= SHORT_BYTES):
        out(', "value": [')
        separator = ""
        for piece in read(row):
            found = [one if is_finite(one) else str(one) for one in numbers(row, piece)]
            if found:
                out(separator + dumps(found)[1:-1])
                separator = ", "
        out("]")
    elif full:
        out(', "base64": "')
        for piece in read(row):
            out(base64.b64encode(piece).decode())
        out('"')


def read(row: Row) -> Iterable[bytes]:
    """Yield the bytes of a value in pieces that end between numbers."""
    end = row.value_offset + (row.length or 0)
    for offset in range(row.value_offset, end, PIECE_BYTES):
        yield row.read(offset, min(PIECE_BYTES, end - offset))


def is_finite(number: float | str) -> bool:
    """Whether JSON has this number."""
    return isinstance(number, str) or math.isfinite(number)


def dumps(document: Any) -> str:
    """Return the JSON of something small."""
    return json.dumps(document, ensure_ascii=False)


def out(piece: str) -> None:
    """Write a piece of the document."""
    print(piece, end="")
