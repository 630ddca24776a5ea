"""Whole objects in other transfer syntaxes, as pydicom, DCMTK and dciodvfy read them."""

import io
import itertools
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import pixel_array
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid
from support_dciodvfy import DCIODVFY

from vna import _core
from vna.errors import UnsupportedImage, VnaError

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, BIG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
NATIVE = (IMPLICIT, EXPLICIT, DEFLATED, BIG)
RLE, JPEG, JPEG12 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
JPEG_14, JPEG_SV1 = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
JPEGLS, JPEGLS_NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
J2K, J2K_LOSSY = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
HTJ2K, HTJ2K_RPCL, HTJ2K_LOSSY = (f"1.2.840.10008.1.2.4.20{number}" for number in (1, 2, 3))
LOSSLESS = (RLE, JPEG_14, JPEG_SV1, JPEGLS, J2K, HTJ2K, HTJ2K_RPCL)
LOSSY = (JPEG, JPEG12, JPEGLS_NEAR, J2K_LOSSY, HTJ2K_LOSSY)
# What says how pixels are encoded, and so may change with their encoding.
OF_PIXELS = {"PixelData", "PhotometricInterpretation", "PlanarConfiguration"}
OF_LOSS = {"LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"}
OF_DERIVATION = OF_LOSS | {
    "DerivationCodeSequence",
    "DerivationDescription",
    "ImageType",
    "SOPInstanceUID",
    "SourceImageSequence",
}
FILES = (
    "CT_small.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_small_odd.dcm",
    "JPGLosslessP14SV1_1s_1f_8b.dcm",
    "JPEG-LL.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "image_dfl.dcm",
    "emri_small_jpeg_2k_lossless.dcm",
    "examples_palette.dcm",
    "liver_1frame.dcm",
    "examples_ybr_color.dcm",
)


def transcoded(data, uid, **options):
    json_options = json.dumps(options).encode() if options else None
    return _core.transcode(data, transfer_syntax_uid=uid, options_json=json_options)


def read(data):
    return pydicom.dcmread(io.BytesIO(data))


def changed(before, after):
    """Return the keywords of elements that are not the same in both data sets."""
    uid = after.file_meta.TransferSyntaxUID
    different = set()
    for tag in {element.tag for element in itertools.chain(before, after)}:
        one, other = before.get(tag), after.get(tag)
        # Group lengths are retired (PS3.5 §7.2) and go where the encoding changes. Implicit VR has
        # none for private elements, and pydicom leaves words in the byte order of the file.
        if one == other or tag.element == 0 or (uid == IMPLICIT and tag.is_private):
            continue
        if one and other and one.VR == "OW" and BIG in (uid, before.file_meta.TransferSyntaxUID):
            continue
        different.add(pydicom.datadict.keyword_for_tag(tag) or str(tag))
    return different


def image(*, frames=1, bits=(16, 12), signed=False, colours="MONOCHROME2", planar=0, size=(5, 7)):
    """Return a Secondary Capture of random pixels as a file in Explicit VR Little Endian."""
    allocated, stored = bits
    samples = 1 if colours in {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"} else 3
    count = frames * size[0] * size[1] * samples
    random = np.random.default_rng([frames, *bits, signed, planar])
    low, high = (-(1 << stored - 1), 1 << stored - 1) if signed else (0, 1 << stored)
    values = random.integers(low, high, count)
    ds = Dataset()
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.3" if frames > 1 else "1.2.840.10008.5.1.4.1.1.7"
    ds.SOPInstanceUID = generate_uid(entropy_srcs=["instance", str(bits)])
    ds.PatientName, ds.PatientID = "Doe^Jane", "1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.4"
    ds.Modality, ds.ImageType = "OT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Rows, ds.Columns = size
    ds.SamplesPerPixel, ds.PhotometricInterpretation = samples, colours
    if samples == 3:
        ds.PlanarConfiguration = planar
    if frames > 1:
        ds.NumberOfFrames = frames
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = allocated, stored, stored - 1
    ds.PixelRepresentation = int(signed)
    if colours == "PALETTE COLOR":
        for colour in ("Red", "Green", "Blue"):
            setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [1 << stored, 0, 16])
            table = random.integers(0, 1 << 16, 1 << stored, dtype="u2").tobytes()
            setattr(ds, f"{colour}PaletteColorLookupTableData", table)
    if allocated == 1:
        pixels = np.packbits(values.astype("u1"), bitorder="little").tobytes()
    else:
        pixels = values.astype(f"{'i' if signed else 'u'}{allocated // 8}").tobytes()
    ds.PixelData = pixels + b"\0" * (len(pixels) % 2)
    ds["PixelData"].VR = "OB" if allocated <= 8 else "OW"
    ds.add_new(0x00991001, "LO", "private, and kept")
    ds.add_new(0xFFFCFFFC, "OB", b"\0" * 6)
    return saved(ds, EXPLICIT)


def saved(ds, uid):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = uid
    out = io.BytesIO()
    file = FileDataset(out, ds, file_meta=meta, preamble=b"\0" * 128)
    file.save_as(out, enforce_file_format=True)
    return out.getvalue()


def shown(ds):
    """Return the pixels of a data set; colours as RGB."""
    return pixel_array(ds, raw=False)


@pytest.mark.parametrize("name", FILES)
def test_real_files_keep_pixels_and_header_in_every_lossless_syntax(name):
    data = Path(get_testdata_file(name)).read_bytes()
    before = read(data)
    own = before.file_meta.TransferSyntaxUID
    expected, tried = shown(before), 0
    for uid in (*NATIVE, *LOSSLESS):
        try:
            out = transcoded(data, uid)
        except UnsupportedImage as error:
            assert before.BitsAllocated == 1, error
            continue
        after = read(out)
        tried += 1
        assert after.file_meta.TransferSyntaxUID == uid
        may_change = OF_PIXELS | (OF_LOSS if own in {JPEG, JPEG12} else set())
        assert changed(before, after) <= may_change, uid
        found = shown(after)
        assert found.shape == expected.shape
        # Another reader's rounding, where colours were taken from codestreams with loss.
        assert np.abs(found.astype(int) - expected.astype(int)).max() <= (own in {JPEG, JPEG12})
    assert tried >= 4


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize(
    "form",
    [
        {"bits": (8, 8)},
        {"bits": (16, 12), "signed": True},
        {"bits": (16, 16), "colours": "MONOCHROME1"},
        {"bits": (8, 8), "colours": "RGB", "planar": 1},
        {"bits": (8, 8), "colours": "YBR_FULL"},
        {"bits": (8, 8), "colours": "PALETTE COLOR"},
        {"bits": (1, 1), "size": (3, 5)},
        {"bits": (32, 32)},
    ],
    ids=str,
)
def test_generated_images_go_there_and_back_from_every_syntax(form, frames):
    data = image(frames=frames, **form)
    before = read(data)
    expected = pixel_array(before, raw=True)
    forms = {EXPLICIT: data}
    for uid in (*NATIVE, *LOSSLESS):
        try:
            forms[uid] = transcoded(data, uid)
        except UnsupportedImage as error:
            assert form["bits"] in {(1, 1), (32, 32)}, (uid, error)
    assert len(forms) >= 4
    for uid, out in forms.items():
        after = read(out)
        assert changed(before, after) <= OF_PIXELS, uid
        # Other readers take 1 and 32 bits in fewer syntaxes, or turn them otherwise.
        if form["bits"] not in {(1, 1), (32, 32)} or uid in {EXPLICIT, IMPLICIT, DEFLATED}:
            assert np.array_equal(pixel_array(after, raw=True), expected), uid
        back = read(transcoded(out, EXPLICIT))
        assert np.array_equal(pixel_array(back, raw=True), expected), uid
        assert back.PhotometricInterpretation == before.PhotometricInterpretation
        assert len(back.PixelData) == len(before.PixelData)
    # From each compressed one to the next, without a native one between them.
    compressed = [uid for uid in forms if uid not in NATIVE]
    for one, other in itertools.pairwise([*compressed, *compressed[:1]]):
        across = read(transcoded(transcoded(forms[one], other), EXPLICIT))
        assert np.array_equal(pixel_array(across, raw=True), expected), (one, other)


def test_samples_with_more_bits_than_bits_stored_says_stay_as_they_are():
    ds = read(image(frames=3, bits=(16, 12)))
    pixels = np.frombuffer(ds.PixelData, "u2").copy()
    pixels[40] |= 0xF000  # an overlay in the spare bits, which begins in the second frame
    ds.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    data = saved(ds, EXPLICIT)
    for uid in (JPEG_SV1, JPEGLS, J2K, RLE):
        out = transcoded(data, uid)
        assert read(out).BitsStored == 12
        back = np.frombuffer(read(transcoded(out, EXPLICIT)).PixelData, "u2")
        assert np.array_equal(back, np.frombuffer(ds.PixelData, "u2")), uid


@pytest.mark.parametrize("uid", LOSSY)
def test_lossy_compression_makes_a_derived_instance(uid):
    form = {"bits": (16, 12)} if uid == JPEG12 else {"bits": (8, 8), "colours": "RGB"}
    if not _core.can_transcode(EXPLICIT, uid):
        pytest.fail(f"{uid} is not written")
    data = image(frames=2, size=(64, 48), **form)
    with pytest.raises(UnsupportedImage, match="another instance") as refused:
        transcoded(data, uid)
    assert refused.value.code == "transcode.new_uid"
    out = transcoded(data, uid, allow_new_uid=True)
    assert transcoded(data, uid, allow_new_uid=True) == out
    before, after = read(data), read(out)
    assert changed(before, after) <= OF_PIXELS | OF_DERIVATION
    assert after.SOPInstanceUID.startswith("2.25.")
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert list(after.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
    assert after.LossyImageCompression == "01"
    encoded = sum(map(len, generate_frames(after.PixelData, number_of_frames=2)))
    assert float(after.LossyImageCompressionRatio) == pytest.approx(
        len(before.PixelData) / encoded, rel=0.01
    )
    assert after.DerivationCodeSequence[0].CodeValue == "113040"
    source = after.SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121320"
    # The history stays when it is decompressed, and grows when it is compressed once more.
    native = read(transcoded(out, EXPLICIT))
    assert native.SOPInstanceUID == after.SOPInstanceUID
    assert native.LossyImageCompressionMethod == after.LossyImageCompressionMethod
    again = read(transcoded(out, JPEGLS_NEAR, allow_new_uid=True, near=3))
    if uid != JPEGLS_NEAR:
        assert list(again.LossyImageCompressionMethod)[1] == "ISO_14495_1"
        assert len(again.LossyImageCompressionRatio) == 2
        assert len(again.SourceImageSequence) == 2


def test_frame_types_of_an_enhanced_image_say_derived_too():
    ds = read(image(frames=2, bits=(8, 8)))
    item, functional = Dataset(), Dataset()
    item.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    functional.MRImageFrameTypeSequence = Sequence([item])
    ds.SharedFunctionalGroupsSequence = Sequence([functional])
    out = read(transcoded(saved(ds, EXPLICIT), JPEG, allow_new_uid=True))
    groups = out.SharedFunctionalGroupsSequence[0].MRImageFrameTypeSequence[0]
    assert list(groups.FrameType) == ["DERIVED", "PRIMARY", "VOLUME", "NONE"]


def test_frames_in_several_fragments_without_an_offset_table_are_decompressed():
    data = image(frames=3, bits=(16, 16), size=(40, 31))
    ds = read(data)
    frames = list(generate_frames(read(transcoded(data, JPEGLS)).PixelData, number_of_frames=3))
    ds.PixelData = encapsulate(frames, fragments_per_frame=4, has_bot=False)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    fragmented = saved(ds, JPEGLS)
    for uid in (EXPLICIT, RLE):
        found = read(transcoded(fragmented, uid))
        assert np.array_equal(pixel_array(found, raw=True), pixel_array(read(data), raw=True))


def test_an_icon_stays_if_it_is_native_and_goes_if_it_is_encapsulated():
    ds = read(image(bits=(8, 8)))
    icon = Dataset()
    icon.Rows = icon.Columns = 2
    icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME2"
    icon.BitsAllocated = icon.BitsStored = 8
    icon.HighBit, icon.PixelRepresentation, icon.PixelData = 7, 0, b"icon"
    icon["PixelData"].VR = "OB"
    ds.IconImageSequence = Sequence([icon])
    kept = read(transcoded(saved(ds, EXPLICIT), JPEGLS))
    assert kept.IconImageSequence[0].PixelData == b"icon"
    icon.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    icon["PixelData"].is_undefined_length = True
    kept.IconImageSequence = Sequence([icon])
    assert "IconImageSequence" not in read(transcoded(saved(kept, JPEGLS), EXPLICIT))


@pytest.mark.parametrize(
    ("name", "uid", "code"),
    [
        ("reportsi.dcm", RLE, "transcode.no_pixel_data"),
        ("CT_small.dcm", "1.2.840.10008.1.2.4.100", "transcode.unsupported"),
        ("CT_small.dcm", "1.2.3.4", "transcode.unsupported"),
        ("CT_small.dcm", JPEG, "transcode.new_uid"),
        ("examples_palette.dcm", JPEG, "transcode.palette"),
        ("MR_truncated.dcm", RLE, "header.truncated"),
    ],
)
def test_what_has_no_way_is_refused_by_name(name, uid, code):
    data = Path(get_testdata_file(name)).read_bytes()
    with pytest.raises(VnaError) as refused:
        transcoded(data, uid, **({"allow_new_uid": True} if code != "transcode.new_uid" else {}))
    assert refused.value.code == code


def test_dciodvfy_finds_no_more_wrong_than_before(tmp_path):
    def errors(data):
        (tmp_path / "file.dcm").write_bytes(data)
        done = subprocess.run([DCIODVFY, tmp_path / "file.dcm"], capture_output=True, check=False)
        lines = (done.stdout + done.stderr).decode("latin-1").splitlines()
        return {line for line in lines if line.startswith("Error")}

    for name in ("CT_small.dcm", "examples_rgb_color.dcm"):
        data = Path(get_testdata_file(name)).read_bytes()
        before = errors(data)
        # It does not read what is deflated as a whole.
        for uid in (IMPLICIT, EXPLICIT, BIG, *LOSSLESS, *LOSSY):
            try:
                out = transcoded(data, uid, allow_new_uid=True)
            except UnsupportedImage as error:
                assert uid in LOSSY, error  # 16 bits with a sign, for one, are none of JPEG's
                continue
            assert errors(out) <= before, (name, uid)


@pytest.mark.parametrize(
    ("uid", "tool"),
    [
        (RLE, "dcmdrle"),
        (JPEG_14, "dcmdjpeg"),
        (JPEG_SV1, "dcmdjpeg"),
        (JPEGLS, "dcmdjpls"),
    ],
)
def test_dcmtk_reads_what_we_compress(uid, tool, tmp_path):
    tool = shutil.which(tool)
    assert tool is not None, "make setup installs DCMTK"
    for form in ({"bits": (16, 12)}, {"bits": (8, 8), "colours": "RGB"}):
        data = image(frames=3, size=(33, 21), **form)
        (tmp_path / "in.dcm").write_bytes(transcoded(data, uid))
        subprocess.run([tool, tmp_path / "in.dcm", tmp_path / "out.dcm"], check=True)
        found = pixel_array(tmp_path / "out.dcm", raw=True)
        assert np.array_equal(found, pixel_array(read(data), raw=True))


MEASURED = """
import json, resource, sys
from vna import _core
source, target, uid, folder = sys.argv[1:]
options = {"held_bytes": 8 << 20, "folder": folder}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
_core.transcode_file(source, target, transfer_syntax_uid=uid,
    options_json=json.dumps(options).encode())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_an_object_that_is_larger_than_memory_streams_both_ways(tmp_path):
    frames, size = 160, 1 << 20
    header = read(image(frames=2, bits=(8, 8), size=(1024, 1024)))
    header.NumberOfFrames = frames
    header.PixelData = b""
    del header[0xFFFCFFFC]
    data = saved(header, EXPLICIT)
    large, packed, back = tmp_path / "large.dcm", tmp_path / "rle.dcm", tmp_path / "back.dcm"
    with open(large, "wb") as file:
        file.write(data[:-4] + (frames * size).to_bytes(4, "little"))
        file.truncate(len(data) + frames * size)
    for source, target, uid in ((large, packed, RLE), (packed, back, EXPLICIT)):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(MEASURED), source, target, uid, tmp_path],
            capture_output=True,
            check=True,
        )
        assert int(done.stdout) << 10 < frames * size / 3
    with open(back, "rb") as file:
        assert len(file.read()) >= frames * size
    with open(packed, "rb") as file:
        assert pydicom.dcmread(file, stop_before_pixels=True).NumberOfFrames == frames
