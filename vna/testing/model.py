"""Data sets as values: what a file says, apart from how its bytes say it.

Two readers agree if they find the same model. Nothing here knows the archive's own encoding code,
so what `vna.testing.writer` makes of a model is an oracle for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

SPECIFIC_CHARACTER_SET = 0x0008_0005
PIXEL_DATA = 0x7FE0_0010

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"

# All that leave pixel data as they are (PS3.5 §A.1 to §A.3, §A.5).
UNCOMPRESSED = (
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
)


@dataclass(frozen=True)
class Fragments:
    """Encapsulated pixel data (PS3.5 §A.4): the fragments of each frame, without padding."""

    frames: tuple[tuple[bytes, ...], ...]
    has_offset_table: bool = False


# Text VRs: one `str` a value. AT and integers: `int`. FL, FD: `float`. Opaque VRs: `bytes` as they
# are in little endian. SQ: its items.
Value: TypeAlias = (
    "tuple[str, ...] | tuple[int, ...] | tuple[float, ...] | bytes | tuple[DataSet, ...]"
    " | Fragments"
)


@dataclass(frozen=True)
class Element:
    """A data element; `undefined_length` is how a sequence is written (PS3.5 §7.5)."""

    tag: int
    vr: str
    value: Value
    undefined_length: bool = False

    @property
    def is_private(self) -> bool:
        """Whether its group is odd (PS3.5 §7.8)."""
        return bool(self.tag >> 16 & 1)

    @property
    def items(self) -> tuple[DataSet, ...]:
        """The items of a sequence."""
        assert self.vr == "SQ", f"{self.vr} has no items"
        return self.value  # type: ignore[return-value]

    def __repr__(self) -> str:
        length = ", undefined_length=True" if self.undefined_length else ""
        return f"Element(0x{self.tag:08X}, {self.vr!r}, {self.value!r}{length})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # else hypothesis writes tags as decimal numbers


@dataclass(frozen=True)
class DataSet:
    """Elements in the order of their tags; as an item perhaps of undefined length."""

    elements: tuple[Element, ...]
    undefined_length: bool = False

    def __repr__(self) -> str:
        length = ", undefined_length=True" if self.undefined_length else ""
        return f"DataSet({self.elements!r}{length})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def __iter__(self) -> Iterator[Element]:
        return iter(self.elements)

    def __len__(self) -> int:
        return len(self.elements)

    def __contains__(self, tag: object) -> bool:
        return any(element.tag == tag for element in self.elements)

    def __getitem__(self, tag: int) -> Element:
        if (element := self.get(tag)) is None:
            raise KeyError(f"0x{tag:08X}")
        return element

    def get(self, tag: int) -> Element | None:
        """The element of a tag, if it is there."""
        return next((element for element in self.elements if element.tag == tag), None)

    def text(self, tag: int) -> str:
        """The values of a text element as one string, as a file holds them; "" if absent."""
        return "\\".join(map(str, self[tag].value)) if tag in self else ""  # type: ignore[arg-type]

    def with_elements(self, *elements: Element) -> DataSet:
        """The same with `elements` in their places; of one that was there before the new one."""
        by_tag = {element.tag: element for element in (*self.elements, *elements)}
        return replace(self, elements=tuple(by_tag[tag] for tag in sorted(by_tag)))

    def walk(self) -> Iterator[Element]:
        """Every element at every depth, in the order of their bytes."""
        for element in self.elements:
            yield element
            if element.vr == "SQ":
                for item in element.items:
                    yield from item.walk()


@dataclass(frozen=True)
class File:
    """A PS3.10 file and what it says."""

    data: bytes = field(repr=False)
    data_set: DataSet
    transfer_syntax_uid: str
    # What of `vna.testing.oddities` its bytes have.
    oddities: frozenset[str] = frozenset()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        odd = f", {set(self.oddities)}" if self.oddities else ""
        printer.text(f"File({self.transfer_syntax_uid}, {self.data_set!r}{odd})")

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID (0008,0018)."""
        return self.data_set.text(0x0008_0018)
