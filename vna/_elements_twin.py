"""The element table of `vna._core.scan` as Python tuples: the twin of ``ext/elements.pyx``.

Says in Python what the kernel does in C, for machines without it and for the suite that holds
both to the same answers. The row is described there.
"""

from __future__ import annotations

import struct

ROW = struct.Struct("<I2sHQIBBxx")
ROW_BYTES = ROW.size
UNDEFINED = 0xFFFF_FFFF

Element = tuple[int, str, int, int, int | None, int, int]


def unpack_elements(table: bytes | bytearray | memoryview) -> list[Element]:
    """Return ``[(tag, vr, depth, offset, length, header_length, encoding), ...]`` of a table.

    ``vr`` is empty for items and delimiters, ``length`` None where it is undefined. Raises
    ValueError if the table is no whole number of rows.
    """
    size = memoryview(table).nbytes
    if size % ROW_BYTES:
        raise ValueError(
            f"element table is {size} bytes, {size % ROW_BYTES} more than a whole number of "
            f"{ROW_BYTES}-byte rows"
        )
    return [
        (
            tag,
            "" if vr == b"\0\0" else vr.decode("latin-1"),
            depth,
            offset,
            None if length == UNDEFINED else length,
            header_length,
            encoding,
        )
        for tag, vr, depth, offset, length, header_length, encoding in ROW.iter_unpack(table)
    ]
