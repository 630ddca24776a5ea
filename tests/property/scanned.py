"""What `vna._core.scan` finds, as a model of `vna.testing`."""

import struct

from vna import _core, _elements
from vna.testing import DataSet, Element
from vna.testing.model import PIXEL_DATA, SPECIFIC_CHARACTER_SET
from vna.testing.values import FLOATS, INTEGERS, ONE_VALUE, OPAQUE, TEXT

ITEM = 0xFFFE_E000


def scanned(data):
    """Return the data set of a file as the scanner finds it.

    Encapsulated pixel data is a list of its fragments, the Basic Offset Table first.
    """
    rows = _elements.unpack_elements(_core.scan(data))
    return Tree(rows, _core.data_set(data)).data_set(0, "")


class Tree:
    """The rows of a scan, taken one by one."""

    def __init__(self, rows, data):
        self.rows = rows[::-1]
        self.data = data

    def data_set(self, depth, terms, undefined_length=False):
        elements = {}
        while self.rows and self.rows[-1][2] == depth and self.rows[-1][0] != ITEM:
            element = self.element(depth, terms)
            elements[element.tag] = element
            if element.tag == SPECIFIC_CHARACTER_SET:
                terms = "\\".join(element.value)
        # Group lengths say nothing of the patient.
        found = [element for tag, element in sorted(elements.items()) if tag & 0xFFFF]
        return DataSet(tuple(found), undefined_length)

    def element(self, depth, terms):
        tag, vr, _, offset, length, _, encoding = self.rows.pop()
        items, fragments = [], []
        while self.rows and self.rows[-1][2] == depth + 1:
            _, item_vr, _, item_offset, item_length, _, _ = self.rows.pop()
            if item_vr == "OB":
                fragments.append(self.data[item_offset : item_offset + item_length])
            else:
                items.append(self.data_set(depth + 1, terms, item_length is None))
        if tag == PIXEL_DATA and length is None:
            return Element(tag, vr, fragments, True)
        if vr == "SQ" or length is None:
            return Element(tag, "SQ", tuple(items), length is None)
        value = self.data[offset : offset + length]
        return Element(tag, vr, decoded(value, vr, terms, ">" if encoding == 2 else "<"))


def decoded(value, vr, terms, order):
    if vr in OPAQUE:
        width = OPAQUE[vr] if order == ">" else 1
        return b"".join(value[at : at + width][::-1] for at in range(0, len(value), width))
    if vr == "AT":
        return tuple(g << 16 | e for g, e in struct.iter_unpack(f"{order}HH", value))
    if code := INTEGERS.get(vr) or FLOATS.get(vr):
        return tuple(number for (number,) in struct.iter_unpack(order + code, value))
    text = _core.decode_text(value, terms=terms if vr in TEXT else "", vr=vr).rstrip(" \0")
    if not text:
        return ()
    return (text,) if vr in ONE_VALUE else tuple(text.split("\\"))
