"""The elements of a scan as pydicom's: the twin of ``ext/dataset.pyx``.

Says in Python what the kernel does in C, for machines without it and for the suite that holds both
to the same answers. What is decided, and why, is described there.
"""

from __future__ import annotations

import struct
from typing import Any

from pydicom.dataelem import RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from vna._dataset_elements import (
    ELEMENT_ATTRIBUTES,
    Encodings,
    ScannedElement,
    ScannedSequence,
    character_set,
    fresh,
    validation_mode,
    vr_of_undefined_length,
)

ROW = struct.Struct("<I2sHQIBBxx")
DEPTH = struct.Struct("<6xH")
UNDEFINED = 0xFFFF_FFFF
ITEM = 0xFFFE_E000
SPECIFIC_CHARACTER_SET = 0x0008_0005
BIG_ENDIAN = 2
WAITS_FROM_BYTES = 1024


class Document:
    """The bytes and the table of one scan."""

    def __init__(self, data: bytes, table: bytes):
        if len(table) % ROW.size:
            raise ValueError(
                f"element table is {len(table)} bytes, {len(table) % ROW.size} more than a whole "
                f"number of {ROW.size}-byte rows"
            )
        self.data = data
        self.table = table
        self.count = len(table) // ROW.size
        self.character_sets: dict[bytes, list[str]] = {}

    def data_set(
        self, encodings: Encodings, *, skip_last: bool = False
    ) -> tuple[dict[BaseTag, Any], bool, bool, Encodings]:
        """Return the elements at the top, whether in implicit VR, in little endian, and in what."""
        if skip_last:
            self.count -= 1
        implicit = little = True
        if self.count:
            offset, header_length, encoding = self._row(0, 3), self._row(0, 5), self._row(0, 6)
            implicit = self.lacks_vr(offset - header_length, len(self.data), False)
            little = encoding != BIG_ENDIAN
        elements, encodings = self.elements(0, 0, implicit, little, encodings, len(self.data))
        return elements, implicit, little, encodings

    def _row(self, row: int, field: int) -> Any:
        return ROW.unpack_from(self.table, row * ROW.size)[field]

    def depth(self, row: int) -> int:
        """Return how deep a row lies; -1 behind the last."""
        if row >= self.count:
            return -1
        return int(DEPTH.unpack_from(self.table, row * ROW.size)[0])

    def end_of(self, row: int) -> int:
        """Return the row behind all that is inside a row."""
        depth, after = self.depth(row), row + 1
        while self.depth(after) > depth:
            after += 1
        return after

    def lacks_vr(self, offset: int, limit: int, otherwise: bool) -> bool:
        """Whether the element that begins at `offset` has no VR, as far as its bytes show."""
        if offset + 6 > limit:
            return otherwise
        return not all(0x40 < letter < 0x5B for letter in self.data[offset + 4 : offset + 6])

    def elements(
        self, row: int, depth: int, implicit: bool, little: bool, encodings: Encodings, limit: int
    ) -> tuple[dict[BaseTag, Any], Encodings]:
        """Return the elements of the data set that begins at `row`, and its encodings."""
        found: dict[BaseTag, Any] = {}
        while self.depth(row) == depth and self._row(row, 0) != ITEM:
            after = self.end_of(row)
            element = self._element(row, after, implicit, little, encodings, limit)
            found[element.tag] = element
            if element.tag == SPECIFIC_CHARACTER_SET and element.is_raw:
                value = element.value or b""
                if value not in self.character_sets:
                    self.character_sets[value] = character_set(element)
                encodings = self.character_sets[value]
            row = after
        return found, encodings

    def _element(
        self, row: int, after: int, implicit: bool, little: bool, encodings: Encodings, limit: int
    ) -> Any:
        number, vr_bytes, _, offset, length, header_length, encoding = ROW.unpack_from(
            self.table, row * ROW.size
        )
        tag = BaseTag(number)
        header = offset - header_length
        explicit = encoding != 0 and self.data[header + 4 : header + 6] == vr_bytes
        vr: str | None = vr_bytes.decode("latin-1") if explicit else None
        if length == UNDEFINED:
            if vr is None:
                vr = vr_of_undefined_length(number, self.data[offset : offset + 4])
            if vr in ("SQ", "UN"):
                return self._waiting_sequence(tag, offset, Place(self, row, limit), encodings)
            value: Any = self.data[offset : self._delimiter(row, after, little)]
        elif length == 0:
            value = empty_value_for_VR(vr, raw=True)
        elif after > row + 1 or length > WAITS_FROM_BYTES:
            place = Place(self, row, limit)
            fields = (tag, vr, length, place, offset, implicit, little, True, False)
            return tuple.__new__(ScannedElement, fields)
        else:
            value = self.data[offset : offset + length]
        return RawDataElement(tag, vr, length, value, offset, implicit, little)

    def _waiting_sequence(
        self, tag: BaseTag, offset: int, place: Place, encodings: Encodings
    ) -> ScannedSequence:
        element = ScannedSequence.__new__(ScannedSequence)
        element.__dict__.update(ELEMENT_ATTRIBUTES)
        element.__dict__.update(
            tag=tag,
            file_tell=offset,
            validation_mode=validation_mode(),
            _scanned=(place, encodings),
        )
        return element

    def _delimiter(self, row: int, after: int, little: bool) -> int:
        """Return where the delimiter of a value of undefined length is."""
        last_offset, last_length = self._row(after - 1, 3), self._row(after - 1, 4)
        reached = last_offset if last_length == UNDEFINED else last_offset + last_length
        tag = b"\xfe\xff\xdd\xe0" if little else b"\xff\xfe\xe0\xdd"
        at = self.data.find(tag, reached)
        return len(self.data) if at < 0 else at


class Place:
    """Where in a scan an element is."""

    def __init__(self, document: Document, row: int, limit: int):
        self.document = document
        self.row = row
        self.limit = limit

    @property
    def has_items(self) -> bool:
        """Whether the scan found items in it."""
        return self.document.depth(self.row + 1) > self.document.depth(self.row)

    def value(self) -> bytes:
        """Return its bytes."""
        offset, length = self.document._row(self.row, 3), self.document._row(self.row, 4)
        return self.document.data[offset : offset + length]

    def sequence(self, encodings: Encodings) -> Sequence:
        """Return its items; `encodings` are those of the data set that it is in."""
        document, limit = self.document, self.limit
        offset, length, encoding = (document._row(self.row, field) for field in (3, 4, 6))
        if length != UNDEFINED:
            limit = offset + length
        depth = document.depth(self.row) + 1
        items, row = [], self.row + 1
        while document.depth(row) == depth:
            items.append(_item(document, row, encoding == 0, encodings, limit))
            row += 1
            while document.depth(row) >= depth and document._row(row, 0) != ITEM:
                row = document.end_of(row)
        sequence = Sequence(items)
        sequence.is_undefined_length = length == UNDEFINED
        return sequence


def _item(
    document: Document, row: int, implicit: bool, encodings: Encodings, limit: int
) -> Dataset:
    _, _, depth, offset, length, header_length, encoding = ROW.unpack_from(
        document.table, row * ROW.size
    )
    little = encoding != BIG_ENDIAN
    implicit = implicit or document.lacks_vr(offset, limit, implicit)
    elements, own = document.elements(row + 1, depth, implicit, little, encodings, limit)
    return fresh(
        Dataset,
        _dict=elements,
        _parent_encoding=encodings,
        _read_implicit=implicit,
        _read_little=little,
        _read_charset=own,
        is_undefined_length_sequence_item=length == UNDEFINED,
        seq_item_tell=offset - header_length,
        file_tell=offset - header_length,
    )
