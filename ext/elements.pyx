# cython: language_level=3, autotestdict=False, boundscheck=False, wraparound=False, initializedcheck=False
"""The element table of `vna._core.scan` as Python tuples.

A row is 24 bytes, little endian, `struct` format ``<I2sHQIBBxx``: tag (group << 16 | element), VR
(two NULs for items and delimiters, which have none), depth (0 at top level), offset of the value,
length field (all ones: undefined, PS3.5 §7.1.2), length of the header, and the encoding of the
element (0 implicit little endian, 1 explicit little endian, 2 explicit big endian).

The work here is building Python objects, which is why it is Cython and not Rust: one pass, no
intermediate object per field. ``vna._elements_twin`` does the same in plain Python; one suite
tests both.
"""

from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

ROW_BYTES = 24
UNDEFINED = 0xFFFF_FFFF

cdef enum:
    WIDTH = 24
    LETTERS = 26

# Two letters name a place in here: a VR needs no look-up and no string of its own.
cdef list VRS = [chr(65 + first) + chr(65 + second) for first in range(26) for second in range(26)]


cdef inline uint16_t u16(const uint8_t* at) noexcept nogil:
    return at[0] | (<uint16_t>at[1] << 8)


cdef inline uint32_t u32(const uint8_t* at) noexcept nogil:
    return u16(at) | (<uint32_t>u16(at + 2) << 16)


cdef inline uint64_t u64(const uint8_t* at) noexcept nogil:
    return u32(at) | (<uint64_t>u32(at + 4) << 32)


cdef inline object vr_text(const uint8_t* at):
    cdef unsigned int first = <unsigned int>at[0] - 65
    cdef unsigned int second = <unsigned int>at[1] - 65
    if first < LETTERS and second < LETTERS:
        return VRS[first * LETTERS + second]
    if at[0] == 0 and at[1] == 0:
        return ""
    return (<const char*>at)[:2].decode("latin-1")


cdef inline void put(object row, Py_ssize_t index, object value):
    Py_INCREF(value)  # PyTuple_SET_ITEM steals the reference that Cython still counts as its own
    PyTuple_SET_ITEM(row, index, value)


def unpack_elements(const uint8_t[::1] table not None):
    """Return ``[(tag, vr, depth, offset, length, header_length, encoding), ...]`` of a table.

    ``vr`` is empty for items and delimiters, ``length`` None where it is undefined. Raises
    ValueError if the table is no whole number of rows.
    """
    cdef Py_ssize_t size = table.shape[0]
    if size % WIDTH:
        raise ValueError(
            f"element table is {size} bytes, {size % WIDTH} more than a whole number of "
            f"{WIDTH}-byte rows"
        )
    cdef Py_ssize_t count = size // WIDTH
    cdef list rows = PyList_New(count)
    cdef const uint8_t* at = &table[0] if size else NULL
    cdef Py_ssize_t index
    cdef uint32_t length
    for index in range(count):
        row = PyTuple_New(7)
        put(row, 0, u32(at))
        put(row, 1, vr_text(at + 4))
        put(row, 2, u16(at + 6))
        put(row, 3, u64(at + 8))
        length = u32(at + 16)
        put(row, 4, None if length == <uint32_t>0xFFFFFFFF else length)
        put(row, 5, at[20])
        put(row, 6, at[21])
        Py_INCREF(row)
        PyList_SET_ITEM(rows, index, row)
        at += WIDTH
    return rows
