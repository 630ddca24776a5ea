"""One suite for the kernel and its twin."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna import _elements, _elements_twin

TWINS = [_elements, _elements_twin]
IDS = ["cython", "python"]

row = st.tuples(
    st.integers(0, 0xFFFF_FFFF),
    st.one_of(st.sampled_from([b"PN", b"UI", b"OB", b"SQ"]), st.binary(min_size=2, max_size=2)),
    st.integers(0, 0xFFFF),
    st.integers(0, 2**64 - 1),
    st.one_of(st.just(2**64 - 1), st.integers(0, 2**64 - 1)),
)


def pack(rows):
    return b"".join(struct.pack("<I2sHQQ", *fields) for fields in rows)


@pytest.mark.parametrize("twin", TWINS, ids=IDS)
@given(rows=st.lists(row, max_size=20))
def test_every_field_of_every_row_comes_back(twin, rows):
    expected = [
        (tag, vr.decode("latin-1"), depth, offset, None if length == 2**64 - 1 else length)
        for tag, vr, depth, offset, length in rows
    ]
    assert twin.unpack_elements(pack(rows)) == expected


@pytest.mark.parametrize("twin", TWINS, ids=IDS)
@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_any_contiguous_buffer_is_read(twin, wrap):
    table = pack([(0x0010_0010, b"PN", 0, 140, 12)])
    assert twin.unpack_elements(wrap(table)) == [(0x0010_0010, "PN", 0, 140, 12)]


@pytest.mark.parametrize("twin", TWINS, ids=IDS)
@pytest.mark.parametrize("extra", [1, 23])
def test_a_torn_row_is_named_not_dropped(twin, extra):
    with pytest.raises(ValueError, match=f"element table is {24 + extra} bytes, {extra} more"):
        twin.unpack_elements(bytes(24 + extra))


@pytest.mark.parametrize("twin", TWINS, ids=IDS)
def test_both_declare_the_same_row(twin):
    assert (twin.ROW_BYTES, twin.UNDEFINED) == (24, 2**64 - 1)


def test_results_of_the_kernel_own_their_references():
    table = pack([(1, b"PN", 0, 2**40, 2**41)] * 1000)
    first = _elements.unpack_elements(table)
    for _ in range(50):
        _elements.unpack_elements(table)
    assert first == _elements.unpack_elements(table)
    assert first[0][1] == "PN"
