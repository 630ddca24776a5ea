"""What the bridge promises beyond being the same: nothing is made before it is asked for."""

import copy
import io
import pickle
import subprocess
import sys
import threading

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileDataset
from pydicom.hooks import hooks, raw_element_value

import vna
import vna.dataset
from vna import _dataset, _dataset_twin
from vna._dataset_elements import ScannedElement, ScannedSequence
from vna.errors import EncodingError

TWINS = {"cython": _dataset.Document, "python": _dataset_twin.Document}


@pytest.fixture(params=TWINS, autouse=True)
def _twin(request, monkeypatch):
    monkeypatch.setattr(vna.dataset, "Document", TWINS[request.param])


def nested(depth, *, undefined_length):
    """A file with sequences in sequences."""
    inner = pydicom.Dataset()
    inner.PatientName = "Innermost"
    for _ in range(depth):
        outer = pydicom.Dataset()
        inner.is_undefined_length_sequence_item = undefined_length
        outer.ContentSequence = [inner, inner]
        outer["ContentSequence"].is_undefined_length = undefined_length
        outer.ContentSequence.is_undefined_length = undefined_length
        inner = outer
    inner.SOPClassUID = inner.SOPInstanceUID = "1.2.3"
    buffer = io.BytesIO()
    inner.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=False)
    return buffer.getvalue()


def sample(name):
    return open(get_testdata_file(name), "rb").read()


def test_items_are_made_when_a_sequence_is_looked_into():
    for undefined, kind in ((True, ScannedSequence), (False, ScannedElement)):
        dataset = vna.dcmread(nested(3, undefined_length=undefined))
        assert type(dataset.get_item("ContentSequence")) is kind
        assert dataset.ContentSequence[1].ContentSequence[0].ContentSequence[0].PatientName == (
            "Innermost"
        )
        assert type(dataset.get_item("ContentSequence")) is DataElement
        assert type(dataset.ContentSequence[0].get_item("ContentSequence")) is kind


def test_long_values_are_cut_out_when_they_are_asked_for():
    dataset = vna.dcmread(sample("CT_small.dcm"))
    raw = dataset.get_item("PixelData")
    assert type(raw) is ScannedElement
    assert raw.value == pydicom.dcmread(get_testdata_file("CT_small.dcm")).PixelData
    assert type(raw._replace(VR="OB")) is RawDataElement
    assert raw._replace(VR="OB").value == raw.value


def test_a_sequence_that_was_looked_into_can_be_changed_and_saved():
    dataset = vna.dcmread(nested(2, undefined_length=True))
    dataset.ContentSequence[0].ContentSequence[1].PatientName = "Changed"
    del dataset.ContentSequence[1]
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=False)
    again = pydicom.dcmread(io.BytesIO(buffer.getvalue()), force=True)
    assert len(again.ContentSequence) == 1
    assert again.ContentSequence[0].ContentSequence[1].PatientName == "Changed"


@pytest.mark.parametrize("undefined", [True, False])
def test_data_sets_are_copied_and_pickled(undefined):
    data = nested(2, undefined_length=undefined)
    theirs = pydicom.dcmread(io.BytesIO(data), force=True)
    assert copy.deepcopy(vna.dcmread(data)) == theirs
    found = vna.dcmread(data)
    # Without the buffer: pydicom's own do not always survive it.
    found.buffer = None
    assert pickle.loads(pickle.dumps(found)) == theirs


def test_a_pickle_needs_pydicom_alone():
    found = vna.dcmread(nested(2, undefined_length=True))
    found.buffer = None
    assert b"vna" not in pickle.dumps(found)


def test_pixels_come_out_as_pydicom_gives_them():
    for name in (
        "CT_small.dcm",
        "MR_small_bigendian.dcm",
        "image_dfl.dcm",
        "SC_rgb_rle_2frame.dcm",
    ):
        ours, theirs = vna.dcmread(sample(name)), pydicom.dcmread(get_testdata_file(name))
        assert np.array_equal(ours.pixel_array, theirs.pixel_array)


def test_compressed_frames_are_decompressed_in_place():
    dataset = vna.dcmread(sample("SC_rgb_rle_2frame.dcm"))
    dataset.decompress()
    assert not dataset.file_meta.TransferSyntaxUID.is_compressed
    assert len(dataset.PixelData) == 2 * 100 * 100 * 3


def test_private_blocks_are_found_by_creator():
    dataset = vna.dcmread(sample("CT_small.dcm"))
    block = dataset.private_block(0x0009, "GEMS_IDEN_01")
    assert block[0x01].value == "GE_GENESIS_FF"


def test_the_header_of_a_path_is_read_no_further_than_the_pixel_data(tmp_path):
    data = sample("CT_small.dcm")
    pixels = data.index(b"\xe0\x7f\x10\x00OW")
    path = tmp_path / "cut.dcm"
    path.write_bytes(data[: pixels + 14])
    ours = vna.dcmread(path, stop_before_pixels=True)
    theirs = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    assert ours == theirs
    assert "PixelData" not in ours
    assert (ours.filename, ours.buffer) == (str(path), None)


def test_a_header_longer_than_the_first_part_is_read_to_its_end(tmp_path):
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.add_new(0x0029_1001, "OB", bytes(200_000))
    path = tmp_path / "long.dcm"
    dataset.save_as(path)
    parts = []

    def read(offset, length):
        parts.append(length)
        return path.read_bytes()[offset : offset + length]

    found = vna.dataset.read_head(read, path.stat().st_size)
    assert len(found[0x0029_1001].value) == 200_000
    assert "PixelData" not in found
    assert sum(parts) <= path.stat().st_size
    assert len(parts) > 1


def test_a_data_set_without_pixel_data_has_a_header_of_all_of_it(tmp_path):
    path = get_testdata_file("rtplan.dcm")
    assert vna.dcmread(path, stop_before_pixels=True) == pydicom.dcmread(path)


def test_every_cut_of_a_header_reads_as_the_whole(tmp_path):
    """However the first part ends: inside a header, a value, or between two elements."""
    data = sample("MR_small.dcm")
    expected = list(pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True).keys())
    for first in range(1, 700, 7):
        given = iter([first])

        def read(offset, length, given=given):
            return data[offset : offset + min(length, next(given, length))]

        assert list(vna.dataset.read_head(read, len(data)).keys()) == expected


def test_what_is_damaged_is_named_with_its_place():
    with pytest.raises(EncodingError) as caught:
        vna.dcmread(sample("CT_small.dcm")[:-1000])
    assert caught.value.code == "header.truncated"
    assert caught.value.offset


def test_a_file_object_is_read():
    data = sample("CT_small.dcm")
    assert vna.dcmread(io.BytesIO(data)) == pydicom.dcmread(io.BytesIO(data))
    assert vna.dcmread(memoryview(data)).buffer.getvalue() == data


def test_a_hook_of_somebody_else_makes_it_slower_and_no_different():
    data = nested(2, undefined_length=False)
    kept = hooks.raw_element_value
    hooks.register_callback("raw_element_value", raw_element_value)
    try:
        found = vna.dcmread(data)
        assert found == pydicom.dcmread(io.BytesIO(data), force=True)
    finally:
        hooks.register_callback("raw_element_value", kept)


def test_threads_that_look_into_one_sequence_see_the_same_items():
    for _ in range(20):
        dataset = vna.dcmread(nested(1, undefined_length=True))
        element = dataset["ContentSequence"]
        start, seen = threading.Barrier(4), []

        def look(element=element, start=start, seen=seen):
            start.wait()
            seen.append(element.value)

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [value is seen[0] for value in seen] == [True] * 4


def test_a_table_with_a_torn_row_is_named():
    for document in TWINS.values():
        with pytest.raises(ValueError, match="element table is 25 bytes, 1 more"):
            document(b"", bytes(25))


def test_a_table_that_points_outside_the_data_gives_no_bytes_of_others():
    row = (0x0010_0010).to_bytes(4, "little") + b"PN\0\0" + (2**40).to_bytes(8, "little")
    row += (8).to_bytes(4, "little") + bytes([8, 1, 0, 0])
    for document in TWINS.values():
        elements, *_ = document(b"short", row).data_set("iso8859")
        assert elements[0x0010_0010].value == b""


def test_without_pydicom_the_error_says_what_to_install():
    program = "import sys; sys.modules['pydicom'] = None; import vna; vna.dcmread(b'')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ImportError: data sets need pydicom: pip install 'vna[dicom]'" in done.stderr


def test_it_is_a_file_dataset_and_nothing_else():
    assert type(vna.dcmread(sample("CT_small.dcm"))) is FileDataset
