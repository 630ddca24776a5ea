from typing import Final

ROW_BYTES: Final[int]
UNDEFINED: Final[int]

def unpack_elements(
    table: bytes | bytearray | memoryview,
) -> list[tuple[int, str, int, int, int | None, int, int]]: ...
