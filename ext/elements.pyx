# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The packed element table of the scanner as Python tuples.

A row is 24 bytes, little endian, without padding: u32 tag (group << 16 | element), 2 bytes VR,
u16 depth (0 at top level), u64 offset of the value, u64 its length. ``UNDEFINED`` in the length
field stands for an undefined length (PS3.5 §7.1.2).

The work here is building Python objects, which is why it is Cython and not Rust: one pass, no
intermediate object per field. ``vna._elements_twin`` does the same in plain Python; one suite
tests both.
"""

from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

ROW_BYTES = 24
UNDEFINED = 0xFFFF_FFFF_FFFF_FFFF

cdef enum:
    WIDTH = 24

# The VRs of PS3.5 §6.2, so that the usual row allocates no string of its own.
cdef dict KNOWN_VRS = {
    vr.encode(): vr
    for vr in (
        "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN "
        "UR US UT UV"
    ).split()
}


cdef inline uint16_t u16(const uint8_t* at) noexcept nogil:
    return at[0] | (<uint16_t>at[1] << 8)


cdef inline uint32_t u32(const uint8_t* at) noexcept nogil:
    return u16(at) | (<uint32_t>u16(at + 2) << 16)


cdef inline uint64_t u64(const uint8_t* at) noexcept nogil:
    return u32(at) | (<uint64_t>u32(at + 4) << 32)


cdef inline str vr_text(const uint8_t* at):
    cdef bytes raw = at[:2]
    known = KNOWN_VRS.get(raw)
    return <str>known if known is not None else raw.decode("latin-1")


cdef inline void put(object row, Py_ssize_t index, object value):
    Py_INCREF(value)  # PyTuple_SET_ITEM steals the reference that Cython still counts as its own
    PyTuple_SET_ITEM(row, index, value)


def unpack_elements(const uint8_t[::1] table not None):
    """Return ``[(tag, vr, depth, offset, length), ...]`` of a packed table.

    ``length`` is None where it is undefined. Raises ValueError if the table is no whole number of
    rows.
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
    cdef uint64_t length
    for index in range(count):
        row = PyTuple_New(5)
        put(row, 0, u32(at))
        put(row, 1, vr_text(at + 4))
        put(row, 2, u16(at + 6))
        put(row, 3, u64(at + 8))
        length = u64(at + 16)
        put(row, 4, None if length == <uint64_t>0xFFFFFFFFFFFFFFFF else length)
        Py_INCREF(row)
        PyList_SET_ITEM(rows, index, row)
        at += WIDTH
    return rows
