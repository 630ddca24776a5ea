"""The packed element table of the scanner as Python tuples: the twin of ``ext/elements.pyx``.

Says in Python what the kernel does in C, for machines without it and for the suite that holds
both to the same answers. The row is described there.
"""

from __future__ import annotations

import struct

ROW = struct.Struct("<I2sHQQ")
ROW_BYTES = ROW.size
UNDEFINED = 0xFFFF_FFFF_FFFF_FFFF

Element = tuple[int, str, int, int, int | None]


def unpack_elements(table: bytes | bytearray | memoryview, /) -> list[Element]:
    """Return ``[(tag, vr, depth, offset, length), ...]`` of a packed table.

    ``length`` is None where it is undefined. Raises ValueError if the table is no whole number of
    rows.
    """
    size = memoryview(table).nbytes
    if size % ROW_BYTES:
        raise ValueError(
            f"element table is {size} bytes, {size % ROW_BYTES} more than a whole number of "
            f"{ROW_BYTES}-byte rows"
        )
    return [
        (tag, vr.decode("latin-1"), depth, offset, None if length == UNDEFINED else length)
        for tag, vr, depth, offset, length in ROW.iter_unpack(table)
    ]
