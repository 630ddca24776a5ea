"""The model as a pydicom data set and back: a second opinion on what a file says."""

from __future__ import annotations

from typing import Any

from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.encaps import encapsulate
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from vna.testing.model import DataSet, Element, Fragments, Value
from vna.testing.values import FLOATS, INTEGERS, OPAQUE


def to_pydicom(data_set: DataSet) -> Dataset:
    """Return the same as pydicom has it; `Dataset.save_as` then writes it.

    Raises ValueError for encapsulated frames of more than one fragment, which pydicom does not
    write as they are.
    """
    found = Dataset()
    found.is_undefined_length_sequence_item = data_set.undefined_length
    for element in data_set:
        value: Any = element.value
        if element.vr == "SQ":
            value = Sequence([to_pydicom(item) for item in element.items])
            value.is_undefined_length = element.undefined_length
        elif isinstance(value, Fragments):
            value = _encapsulated(value)
        elif isinstance(value, bytes):
            value += b"\0" * (len(value) % 2)  # pydicom leaves UN as it is
        elif isinstance(value, tuple) and len(value) < 2:
            value = value[0] if value else None
        elif isinstance(value, tuple):
            value = list(value)
        known = DataElement(element.tag, element.vr, value)
        known.is_undefined_length = element.undefined_length
        found.add(known)
    return found


def _encapsulated(fragments: Fragments) -> bytes:
    if any(len(frame) != 1 for frame in fragments.frames):
        raise ValueError("pydicom writes one fragment a frame")
    frames = [frame[0] for frame in fragments.frames]
    return bytes(encapsulate(frames, has_bot=fragments.has_offset_table))


def from_pydicom(dataset: Dataset) -> DataSet:
    """Return what a data set that pydicom has read says.

    Encapsulated pixel data stays the bytes that it is in the file: which fragments make a frame is
    for the reader of frames to say.
    """
    _, little_endian = dataset.original_encoding
    elements = tuple(_element(element, big_endian=little_endian is False) for element in dataset)
    return DataSet(elements, bool(dataset.is_undefined_length_sequence_item))


def _element(element: DataElement, *, big_endian: bool) -> Element:
    tag, vr = int(element.tag), str(element.VR)
    undefined = bool(element.is_undefined_length)
    if vr == "SQ":
        undefined = getattr(element.value, "is_undefined_length", undefined)
        items = tuple(from_pydicom(item) for item in element.value)
        return Element(tag, vr, items, undefined)
    return Element(tag, vr, _value(vr, element.value, big_endian=big_endian), undefined)


def _value(vr: str, value: Any, *, big_endian: bool) -> Value:
    if vr in OPAQUE or isinstance(value, bytes):
        value = bytes(value or b"")
        width = OPAQUE.get(vr, 1)
        if big_endian and width > 1:
            words = [value[at : at + width][::-1] for at in range(0, len(value), width)]
            value = b"".join(words)
        return bytes(value)
    if value is None or value == "":
        return ()
    many = list(value) if isinstance(value, (list, MultiValue)) else [value]
    if vr in INTEGERS or vr == "AT":
        return tuple(int(one) for one in many)
    if vr in FLOATS:
        return tuple(float(one) for one in many)
    return tuple(str(one) for one in many)
