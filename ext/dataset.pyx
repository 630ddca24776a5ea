# cython: language_level=3, autotestdict=False, boundscheck=False, wraparound=False, initializedcheck=False
"""The elements of a scan as pydicom's, without parsing again.

The table of `vna._core.scan_file` (its row is described in ``ext/elements.pyx``) says where every
element of a file is, at every depth. From it this makes what `pydicom.dcmread` would have read:

- a value that is short becomes a `RawDataElement` with its bytes; pydicom converts them when they
  are asked for, as it does with its own;
- a long value, and a sequence of defined length, becomes a `ScannedElement`, which knows its row;
- a sequence of undefined length, which pydicom reads item by item at once, becomes a
  `ScannedSequence`, which makes its items when it is looked into.

So a data set costs its elements at the top, and a sequence its items, however much is inside them.

Where pydicom counts positions from the beginning of the sequence of defined length around them
(`file_tell`), they are counted from the beginning of the file here, as pydicom itself does outside.

The work here is building Python objects, which is why it is Cython and not Rust.
``vna._dataset_twin`` does the same in plain Python; one suite tests both.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from pydicom.dataelem import RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from vna._dataset_elements import (
    DICTIONARIES,
    ELEMENT_ATTRIBUTES,
    ScannedElement,
    ScannedSequence,
    TEMPLATES,
    character_set,
    validation_mode,
    vr_of_undefined_length,
)

cdef extern from "Python.h":
    ctypedef struct PyTypeObject
    object PyType_GenericAlloc(PyTypeObject* kind, Py_ssize_t items)
    void PyTuple_SET_ITEM(object tuple, Py_ssize_t index, object value)

cdef enum:
    WIDTH = 24
    FIELDS = 9
    LETTERS = 26
    IMPLICIT = 0
    BIG_ENDIAN = 2
    # From here on a copy of the value costs more than an object that knows where it is.
    WAITS_FROM_BYTES = 1024
    # PS3.6 has some 5,000 tags; what a hostile file invents is not remembered.
    REMEMBERED_TAGS = 16384

cdef uint32_t UNDEFINED = 0xFFFFFFFF
cdef uint32_t ITEM = 0xFFFEE000
cdef uint32_t SPECIFIC_CHARACTER_SET = 0x00080005

cdef list VRS = [chr(65 + first) + chr(65 + second) for first in range(26) for second in range(26)]
cdef dict TAGS = {}
cdef dict ITEM_ATTRIBUTES = TEMPLATES[Dataset]


cdef inline uint16_t u16(const uint8_t* at) noexcept nogil:
    return at[0] | (<uint16_t>at[1] << 8)


cdef inline uint32_t u32(const uint8_t* at) noexcept nogil:
    return u16(at) | (<uint32_t>u16(at + 2) << 16)


cdef inline uint64_t u64(const uint8_t* at) noexcept nogil:
    return u32(at) | (<uint64_t>u32(at + 4) << 32)


cdef inline bint is_letter(uint8_t byte) noexcept nogil:
    return 0x40 < byte < 0x5B


cdef inline void put(object fields, Py_ssize_t index, object value):
    Py_INCREF(value)  # PyTuple_SET_ITEM steals the reference that Cython still counts as its own
    PyTuple_SET_ITEM(fields, index, value)


cdef inline object base_tag(uint32_t number):
    found = TAGS.get(number)
    if found is None:
        found = BaseTag(number)
        if len(TAGS) < REMEMBERED_TAGS:
            TAGS[number] = found
    return found


cdef object raw_element(
    object kind, object tag, object vr, uint32_t length, object value, uint64_t offset,
    bint implicit, bint little,
):
    """Make a named tuple without going through its fields by name."""
    element = PyType_GenericAlloc(<PyTypeObject*>kind, FIELDS)
    put(element, 0, tag)
    put(element, 1, vr)
    put(element, 2, length)
    put(element, 3, value)
    put(element, 4, offset)
    put(element, 5, implicit)
    put(element, 6, little)
    put(element, 7, True)  # is_raw
    put(element, 8, False)  # is_buffered
    return element


cdef class Document:
    """The bytes and the table of one scan."""

    cdef readonly bytes data
    cdef readonly bytes table
    cdef const uint8_t* bytes_
    cdef uint64_t size
    cdef const uint8_t* rows
    cdef Py_ssize_t count
    cdef dict character_sets
    cdef dict empty_values

    def __init__(self, bytes data not None, bytes table not None):
        if len(table) % WIDTH:
            raise ValueError(
                f"element table is {len(table)} bytes, {len(table) % WIDTH} more than a whole "
                f"number of {WIDTH}-byte rows"
            )
        self.data = data
        self.table = table
        self.bytes_ = <const uint8_t*>PyBytes_AS_STRING(data)
        self.size = PyBytes_GET_SIZE(data)
        self.rows = <const uint8_t*>PyBytes_AS_STRING(table)
        self.count = len(table) // WIDTH
        self.character_sets = {}
        self.empty_values = {}

    def data_set(self, encodings, *, bint skip_last=False):
        """Return the elements at the top, whether in implicit VR, in little endian, and in what."""
        cdef bint implicit = True
        cdef bint little = True
        cdef const uint8_t* first = self.rows
        if skip_last:
            self.count -= 1
        if self.count > 0:
            implicit = self.lacks_vr(u64(first + 8) - first[20], self.size, False)
            little = first[21] != BIG_ENDIAN
        elements, encodings = self.elements(0, 0, implicit, little, encodings, self.size)
        return elements, implicit, little, encodings

    cdef inline int depth(self, Py_ssize_t row) noexcept:
        """How deep a row lies; -1 behind the last."""
        return u16(self.rows + row * WIDTH + 6) if row < self.count else -1

    cdef inline uint32_t tag(self, Py_ssize_t row) noexcept:
        return u32(self.rows + row * WIDTH)

    cdef inline Py_ssize_t end_of(self, Py_ssize_t row) noexcept:
        """The row behind all that is inside a row."""
        cdef int depth = self.depth(row)
        row += 1
        while self.depth(row) > depth:
            row += 1
        return row

    cdef bytes slice(self, uint64_t offset, uint64_t length):
        """Bytes of the data, fewer at its end."""
        if offset >= self.size:
            return b""
        length = min(length, self.size - offset)
        return PyBytes_FromStringAndSize(<const char*>self.bytes_ + offset, length)

    cdef bint lacks_vr(self, uint64_t offset, uint64_t limit, bint otherwise) noexcept:
        """Whether the element that begins at `offset` has no VR, as far as its bytes show."""
        if limit > self.size or offset + 6 > limit:
            return otherwise
        return not (is_letter(self.bytes_[offset + 4]) and is_letter(self.bytes_[offset + 5]))

    cdef object vr(self, const uint8_t* at):
        """The VR that an element's header has; None if it has none."""
        cdef uint64_t header = u64(at + 8) - at[20]
        if at[21] == IMPLICIT:
            return None
        if at[21] == BIG_ENDIAN and (
            header + 6 > self.size
            or self.bytes_[header + 4] != at[4]
            or self.bytes_[header + 5] != at[5]
        ):
            return None
        if is_letter(at[4]) and is_letter(at[5]):
            return VRS[(at[4] - 65) * LETTERS + at[5] - 65]
        return (<const char*>(at + 4))[:2].decode("latin-1")

    cdef tuple elements(
        self, Py_ssize_t row, int depth, bint implicit, bint little, object encodings,
        uint64_t limit,
    ):
        """The elements of the data set that begins at `row`, and its encodings."""
        cdef dict found = {}
        cdef Py_ssize_t after
        while self.depth(row) == depth and self.tag(row) != ITEM:
            after = self.end_of(row)
            tag = base_tag(self.tag(row))
            element = self.element(tag, row, after, implicit, little, encodings, limit)
            found[tag] = element
            if self.tag(row) == SPECIFIC_CHARACTER_SET and element.is_raw:
                value = element.value or b""
                if value not in self.character_sets:
                    self.character_sets[value] = character_set(element)
                encodings = self.character_sets[value]
            row = after
        return found, encodings

    cdef object element(
        self, object tag, Py_ssize_t row, Py_ssize_t after, bint implicit, bint little,
        object encodings, uint64_t limit,
    ):
        cdef const uint8_t* at = self.rows + row * WIDTH
        cdef uint64_t offset = u64(at + 8)
        cdef uint32_t length = u32(at + 16)
        vr = self.vr(at)
        if length == UNDEFINED:
            if vr is None:
                vr = vr_of_undefined_length(tag, self.slice(offset, 4))
            if vr == "SQ" or vr == "UN":
                return self.waiting_sequence(tag, offset, place(self, row, limit), encodings)
            value = self.slice(offset, self.delimiter(row, after, little) - offset)
        elif length == 0:
            value = self.empty_value(vr)
        elif after > row + 1 or length > WAITS_FROM_BYTES:
            waits = place(self, row, limit)
            return raw_element(ScannedElement, tag, vr, length, waits, offset, implicit, little)
        else:
            value = self.slice(offset, length)
        return raw_element(RawDataElement, tag, vr, length, value, offset, implicit, little)

    cdef object empty_value(self, object vr):
        """What pydicom has for no value; it depends on its configuration."""
        if vr not in self.empty_values:
            self.empty_values[vr] = empty_value_for_VR(vr, raw=True)
        return self.empty_values[vr]

    cdef object waiting_sequence(
        self, object tag, uint64_t offset, Place waits, object encodings
    ):
        element = ScannedSequence.__new__(ScannedSequence)
        cdef dict attributes = element.__dict__
        attributes.update(ELEMENT_ATTRIBUTES)
        attributes["tag"] = tag
        attributes["file_tell"] = offset
        attributes["validation_mode"] = validation_mode()
        attributes["_scanned"] = (waits, encodings)
        return element

    cdef uint64_t delimiter(self, Py_ssize_t row, Py_ssize_t after, bint little):
        """Where the delimiter of a value of undefined length is."""
        cdef const uint8_t* last = self.rows + (after - 1) * WIDTH
        cdef uint64_t reached = u64(last + 8)
        if u32(last + 16) != UNDEFINED:
            reached += u32(last + 16)
        found = self.data.find(b"\xfe\xff\xdd\xe0" if little else b"\xff\xfe\xe0\xdd", reached)
        return self.size if found < 0 else <uint64_t>found


cdef class Place:
    """Where in a scan an element is."""

    cdef Document document
    cdef Py_ssize_t row
    cdef uint64_t limit

    @property
    def has_items(self):
        """Whether the scan found items in it."""
        return self.document.depth(self.row + 1) > self.document.depth(self.row)

    def value(self):
        """Return its bytes."""
        cdef const uint8_t* at = self.document.rows + self.row * WIDTH
        return self.document.slice(u64(at + 8), u32(at + 16))

    def sequence(self, encodings):
        """Return its items; `encodings` are those of the data set that it is in."""
        cdef Document document = self.document
        cdef const uint8_t* at = document.rows + self.row * WIDTH
        cdef uint32_t length = u32(at + 16)
        cdef uint64_t limit = self.limit if length == UNDEFINED else u64(at + 8) + length
        cdef int depth = u16(at + 6) + 1
        cdef bint implicit = at[21] == IMPLICIT
        cdef list items = []
        cdef Py_ssize_t row = self.row + 1
        while document.depth(row) == depth:
            items.append(item(document, row, implicit, encodings, limit))
            row += 1
            while document.depth(row) >= depth and document.tag(row) != ITEM:
                row = document.end_of(row)
        sequence = Sequence(items)
        sequence.is_undefined_length = length == UNDEFINED
        return sequence


cdef Place place(Document document, Py_ssize_t row, uint64_t limit):
    cdef Place found = Place.__new__(Place)
    found.document = document
    found.row = row
    found.limit = limit
    return found


cdef object item(
    Document document, Py_ssize_t row, bint implicit, object encodings, uint64_t limit
):
    cdef const uint8_t* at = document.rows + row * WIDTH
    cdef bint little = at[21] != BIG_ENDIAN
    cdef uint64_t offset = u64(at + 8)
    implicit = implicit or document.lacks_vr(offset, limit, implicit)
    elements, own = document.elements(row + 1, u16(at + 6), implicit, little, encodings, limit)
    found = Dataset.__new__(Dataset)
    cdef dict attributes = found.__dict__  # as `fresh` does, which says why
    attributes.update(ITEM_ATTRIBUTES)
    for name in DICTIONARIES:
        attributes[name] = dict(ITEM_ATTRIBUTES[name])
    attributes["_dict"] = elements
    attributes["_parent_encoding"] = encodings
    attributes["_read_implicit"] = implicit
    attributes["_read_little"] = little
    attributes["_read_charset"] = own
    attributes["is_undefined_length_sequence_item"] = u32(at + 16) == UNDEFINED
    attributes["seq_item_tell"] = offset - at[20]
    attributes["file_tell"] = offset - at[20]
    return found
