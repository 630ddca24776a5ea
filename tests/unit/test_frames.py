"""Frame tables: where each frame lies, or an error where nothing says so."""

import os
import struct
import warnings
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.pixels.utils import get_expected_length

from vna import _core
from vna.errors import EncodingError

PACKAGED = Path(pydicom.data.__file__).parent / "test_files"
SHARED = Path(os.environ.get("VNA_SHARED", Path(__file__).parents[3] / "shared")) / "data"
JPEG = "1.2.840.10008.1.2.4.50"
J2K = "1.2.840.10008.1.2.4.90"
RLE = "1.2.840.10008.1.2.5"
MPEG = "1.2.840.10008.1.2.4.102"
PRIVATE = "1.2.3.4.5"
NATIVE = "1.2.840.10008.1.2.1"


def image(pixel_data: bytes, *, syntax: str, frames: int | None, **attributes) -> bytes:
    """A file of this pixel data. Explicit VR; `syntax` is only named."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID = dataset.StudyInstanceUID = dataset.SeriesInstanceUID = "1.2"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 2, 3, 1
    dataset.BitsAllocated = 8
    dataset.PhotometricInterpretation = "MONOCHROME2"
    if frames is not None:
        dataset.NumberOfFrames = frames
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = pixel_data
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = syntax != NATIVE
    buffer = DicomBytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()


def frames_of(data: bytes) -> list[bytes]:
    ranges = _core.frame_ranges(data)
    return [b"".join(data[start:end] for start, end in fragments) for fragments in ranges]


def refusal(data: bytes) -> str:
    with pytest.raises(EncodingError) as caught:
        _core.frame_ranges(data)
    assert caught.value.offset is not None
    return caught.value.code


def jpeg(body: bytes) -> bytes:
    """What begins and ends as a JPEG codestream, of even length."""
    body = body.replace(b"\xff", b"\xfe")
    return b"\xff\xd8\xff\xe0" + body + b"\0" * (len(body) % 2) + b"\xff\xd9"


def j2k(body: bytes) -> bytes:
    body = body.replace(b"\xff", b"\xfe")
    return b"\xff\x4f\xff\x51" + body + b"\0" * (len(body) % 2) + b"\xff\xd9"


def item(value: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value


def items(*fragments: bytes, table: bytes = b"") -> bytes:
    return item(table) + b"".join(map(item, fragments))


body = st.binary(min_size=4, max_size=60)


@given(
    bodies=st.lists(body, min_size=1, max_size=6),
    fragments=st.integers(1, 4),
    has_bot=st.booleans(),
    make=st.sampled_from([(jpeg, JPEG), (j2k, J2K)]),
)
def test_frames_of_many_fragments_join_back(bodies, fragments, has_bot, make):
    codestream, syntax = make
    frames = [codestream(body * 4) for body in bodies]
    value = encapsulate(frames, fragments_per_frame=fragments, has_bot=has_bot)
    data = image(value, syntax=syntax, frames=len(frames))
    assert frames_of(data) == frames


@given(bodies=st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=6))
def test_an_extended_offset_table_also_gives_the_length_without_padding(bodies):
    value, offsets, _ = encapsulate_extended(bodies)
    lengths = struct.pack(f"<{len(bodies)}Q", *map(len, bodies))
    data = image(
        value,
        syntax=PRIVATE,
        frames=len(bodies),
        ExtendedOffsetTable=offsets,
        ExtendedOffsetTableLengths=lengths,
    )
    assert frames_of(data) == bodies


@given(
    frames=st.integers(1, 9), bits=st.sampled_from([1, 8, 16, 32]), samples=st.sampled_from([1, 3])
)
def test_native_frames_are_cut_by_their_size(frames, bits, samples):
    total = (2 * 3 * bits * samples * frames + 7) // 8
    pixels = bytes(i % 251 for i in range(total + total % 2))
    data = image(pixels, syntax=NATIVE, frames=frames, BitsAllocated=bits, SamplesPerPixel=samples)
    ranges = _core.frame_ranges(data)
    start = len(data) - len(pixels)
    size = 2 * 3 * bits * samples
    assert ranges == [
        [(start + n * size // 8, start + -(-(n + 1) * size // 8))] for n in range(frames)
    ]


A, B, C = jpeg(b"a" * 20), jpeg(b"b" * 30), jpeg(b"c" * 40)


@pytest.mark.parametrize(
    "table",
    [
        struct.pack("<3L", 0, 1, 2),  # points between items
        struct.pack("<3L", 0, 0, 0),
        struct.pack("<2L", 0, len(A) + 8),  # one entry too few
        struct.pack("<3L", 0, len(A) // 2 + 8, len(A) + 16),  # at the second half of a frame
        b"\1\2\3\4\5\6",
    ],
    ids=["between", "zeros", "short", "inside", "odd"],
)
def test_a_false_offset_table_is_seen_and_codestreams_decide(table):
    half = len(A) // 2
    fragments = items(A[:half], A[half:], B, C, table=table)
    assert frames_of(image(fragments, syntax=JPEG, frames=3)) == [A, B, C]


def test_a_false_table_of_an_unknown_codestream_is_an_error():
    fragments = items(b"aa", b"bb", b"cc", b"dd", table=struct.pack("<3L", 0, 5, 20))
    assert refusal(image(fragments, syntax=PRIVATE, frames=3)) == "frames.offset_table"


def test_without_table_an_unknown_codestream_is_cut_only_where_there_is_no_choice():
    assert frames_of(image(items(b"aa", b"bb"), syntax=PRIVATE, frames=2)) == [b"aa", b"bb"]
    assert frames_of(image(items(b"aa", b"bb"), syntax=PRIVATE, frames=1)) == [b"aabb"]
    three = items(b"aa", b"bb", b"cc")
    assert refusal(image(three, syntax=PRIVATE, frames=2)) == "frames.undecidable"
    assert refusal(image(three, syntax=PRIVATE, frames=4)) == "frames.count"


def test_fragments_and_codestreams_that_contradict_number_of_frames_are_an_error():
    assert refusal(image(items(A, B), syntax=JPEG, frames=3)) == "frames.count"
    assert refusal(image(items(A, B, C), syntax=JPEG, frames=2)) == "frames.count"
    assert refusal(image(items(A, B), syntax=JPEG, frames=None)) == "frames.count"
    assert refusal(image(items(), syntax=JPEG, frames=1)) == "frames.count"
    # As many fragments as frames, but they are halves of one codestream and a whole.
    half = items(A[:20], A[20:], B)
    assert refusal(image(half, syntax=JPEG, frames=3)) == "frames.count"


def test_one_frame_may_have_many_fragments():
    fragments = items(A[:10], A[10:20], A[20:])
    assert frames_of(image(fragments, syntax=JPEG, frames=1)) == [A]
    assert frames_of(image(fragments, syntax=JPEG, frames=None)) == [A]


def test_a_thumbnail_at_the_start_of_a_fragment_is_no_frame():
    whole = jpeg(b"x" * 8)[:-2] + jpeg(b"thumb") + b"yy\xff\xd9"
    at = whole.index(jpeg(b"thumb"))
    fragments = items(whole[:at], whole[at:], B)
    assert frames_of(image(fragments, syntax=JPEG, frames=2)) == [whole, B]


def test_rle_has_one_fragment_a_frame():
    assert frames_of(image(items(b"aa", b"bb"), syntax=RLE, frames=2)) == [b"aa", b"bb"]
    assert refusal(image(items(b"aa", b"bb", b"cc"), syntax=RLE, frames=2)) == "frames.count"


def test_frames_of_a_video_stream_cannot_be_told_apart():
    assert refusal(image(items(b"aa", b"bb"), syntax=MPEG, frames=2)) == "frames.undecidable"


def test_pixel_data_that_is_too_short_or_not_there_is_an_error():
    assert refusal(image(bytes(16), syntax=NATIVE, frames=3)) == "frames.too_short"
    assert refusal(image(bytes(18), syntax=NATIVE, frames=3, Rows=0)) == "frames.missing_attribute"
    huge = image(bytes(18), syntax=NATIVE, frames=2**31 - 1)
    assert refusal(huge) == "budget.frames"
    plain = image(bytes(18), syntax=NATIVE, frames=3)
    assert refusal(plain[: plain.rindex(b"\xe0\x7f\x10\x00")]) == "frames.no_pixel_data"
    assert refusal(plain[:-1]) == "header.truncated"


def test_an_open_fragment_is_an_error():
    data = image(items(A, B), syntax=JPEG, frames=2)
    assert refusal(data[:-8]) == "header.truncated"  # without the sequence delimiter
    assert refusal(data[:-20]) == "header.truncated"


def oracle(dataset: Dataset) -> list[bytes]:
    """The frames as pydicom finds them."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is not None and dataset["PixelData"].is_undefined_length:
        table = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
        extended = table if all(table) else None
        value = dataset.PixelData
        return list(generate_frames(value, number_of_frames=frames, extended_offsets=extended))
    length = get_expected_length(dataset, unit="bytes") // frames
    value = dataset.PixelData
    if (
        dataset.PhotometricInterpretation == "YBR_FULL_422"
        and len(value) == length * frames * 3 // 2
    ):
        length = len(value) // frames  # subsampled by name alone
    return [value[n * length : (n + 1) * length] for n in range(frames)]


# Files that we refuse: error and why.
REFUSED = {
    "MR_truncated.dcm": ("header.truncated", "62 bytes short"),
    "meta_missing_tsyntax.dcm": ("frames.missing_attribute", "pixel data without Rows"),
    "nested_priv_SQ.dcm": ("frames.missing_attribute", "pixel data without Rows"),
    "image_dfl.dcm": ("frames.deflated", "the file holds no frame's bytes"),
    "video_1.2.840.10008.1.2.4.100_MPEG2MainMain.dcm": ("frames.undecidable", "one stream"),
    "video_1.2.840.10008.1.2.4.102.1_FragmentableMPEG4HP41.dcm": ("frames.undecidable", "a stream"),
    "video_1.2.840.10008.1.2.4.102_MPEG4HP41.dcm": ("frames.undecidable", "one stream"),
    "video_1.2.840.10008.1.2.4.107_HEVCMain51.dcm": ("frames.undecidable", "one stream"),
    "pixel_length_over_end.dcm": ("header.truncated", "2 GiB in 1 kB"),
    "cut_mid_pixels.dcm": ("header.truncated", "cut off"),
}


# pydicom cannot read these, or not their frames.
UNREADABLE = {
    "badVR.dcm",  # Number of Frames is 1A
    "no_meta.dcm",  # begins with a byte too many
    "not_dicom.dcm",
    "cut_empty.dcm",
    "cut_one_byte.dcm",
    "deflate_bomb_64MiB.dcm",
}


def check(path: Path) -> bool:
    """Whether the file has pixel data that both read, alike."""
    data = path.read_bytes()
    if path.name in UNREADABLE:
        return False
    if "ReferencedDeflate" in path.name or "DeflatedExplicit" in path.name:
        assert refusal(data) == "frames.deflated"
        return False
    if path.name in REFUSED:
        assert refusal(data) == REFUSED[path.name][0]
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        # Frames of one bit are cut at bits, which pydicom's functions do not.
        if "PixelData" not in dataset or dataset.get("BitsAllocated") == 1 or not dataset.PixelData:
            return False
        assert frames_of(data) == oracle(dataset), path
    return True


def test_frames_of_packaged_files_are_those_that_pydicom_finds():
    assert sum(map(check, sorted(PACKAGED.glob("*.dcm")))) > 50


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared test data")
def test_frames_of_shared_files_are_those_that_pydicom_finds():
    checked = 0
    for path in sorted(SHARED.rglob("*.dcm")):
        if "dicom-fuzzing-corpus" not in path.parts:
            checked += check(path)
    assert checked > 500
