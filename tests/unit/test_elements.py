"""One suite for the kernel and its twin."""

import gc
import struct
import sys

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from vna import _core, _elements, _elements_twin

TWINS = [_elements, _elements_twin]
IDS = ["cython", "python"]
UNDEFINED = 0xFFFF_FFFF

row = st.tuples(
    st.integers(0, 0xFFFF_FFFF),
    st.one_of(
        st.sampled_from([b"PN", b"UI", b"OB", b"\0\0", b"AZ", b"@Z", b"A["]),
        st.binary(min_size=2, max_size=2),
    ),
    st.integers(0, 0xFFFF),
    st.integers(0, 2**64 - 1),
    st.one_of(st.just(UNDEFINED), st.integers(0, UNDEFINED)),
    st.sampled_from([8, 12]),
    st.sampled_from([0, 1, 2]),
)


def pack(rows):
    return b"".join(struct.pack("<I2sHQIBBxx", *fields) for fields in rows)


@pytest.mark.parametrize("twin", TWINS, ids=IDS)
@given(rows=st.lists(row, max_size=20))
def test_every_field_of_every_row_comes_back(twin, rows):
    expected = [
        (
            tag,
            vr.decode("latin-1") if any(vr) else "",
            depth,
            offset,
            None if length == UNDEFINED else length,
            *rest,
        )
        for tag, vr, depth, offset, length, *rest in rows
    ]
    assert twin.unpack_elements(pack(rows)) == expected


@pytest.mark.parametrize("twin", TWINS, ids=IDS)
@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_any_contiguous_buffer_is_read(twin, wrap):
    table = pack([(0x0010_0010, b"PN", 0, 140, 12, 8, 1)])
    assert twin.unpack_elements(wrap(table)) == [(0x0010_0010, "PN", 0, 140, 12, 8, 1)]


@pytest.mark.parametrize("twin", TWINS, ids=IDS)
@pytest.mark.parametrize("extra", [1, 23])
def test_a_torn_row_is_named_not_dropped(twin, extra):
    with pytest.raises(ValueError, match=f"element table is {24 + extra} bytes, {extra} more"):
        twin.unpack_elements(bytes(24 + extra))


@pytest.mark.parametrize("twin", TWINS, ids=IDS)
def test_both_declare_the_same_row(twin):
    assert (twin.ROW_BYTES, twin.UNDEFINED) == (24, UNDEFINED)


def test_the_kernel_neither_leaks_nor_steals_references():
    table = pack([(1, b"ZZ", 0, 2**40, 2**31, 8, 1)] * 1000)
    shared = _elements.unpack_elements(table)[0][1]
    before = sys.getrefcount(shared)
    for _ in range(20):
        _elements.unpack_elements(table)
    gc.collect()
    assert sys.getrefcount(shared) == before


@pytest.mark.parametrize("twin", TWINS, ids=IDS)
def test_the_scan_of_a_real_file_reads_like_pydicom(twin):
    path = get_testdata_file("CT_small.dcm")
    with open(path, "rb") as file:
        data = file.read()
    found = {
        tag: (vr, length)
        for tag, vr, depth, _, length, _, _ in twin.unpack_elements(_core.scan(data))
        if depth == 0 and vr and tag >> 16 != 2
    }
    expected = pydicom.dcmread(path)
    assert set(found) == {int(element.tag) for element in expected}
    for element in expected:
        assert found[int(element.tag)][0] == element.VR
