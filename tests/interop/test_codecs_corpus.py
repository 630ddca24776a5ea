"""Every real file with pixels: what we decode equals what others do.

Files are pydicom's own, those of pydicom-data, and the shared data where it is. Each is compared
with pydicom, in the colours that it stores and in RGB, and with what else reads its transfer
syntax. Where an oracle does otherwise, DIFFERENCES says why we are right.
"""

import gzip
import io
import json
import logging
import os
import warnings
from fnmatch import fnmatch
from pathlib import Path

import data_store
import numpy as np
import pydicom
import pytest
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from support_codecs import (
    BASELINE,
    DCMTK_DECODERS,
    HTJ2KS,
    JPEG_2000,
    JPEG_2000S,
    JPEG_LS,
    JPEG_LS_NEAR,
    JPEG_XLS,
    JPEGS,
    LOSSY,
    SYNTAXES,
    case_of,
    dcmtk,
    imagecodecs_decode,
    native,
)
from support_samples import Sample, collections, shared_data

import vna
from vna import _core
from vna.errors import EncodingError, UnsupportedImage

pytestmark = pytest.mark.peers

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# Of the shared data, what shows most for its time; with VNA_CODECS=all everything.
CHOSEN = {
    "pydicom",
    "pydicom-data",
    "derived-transfer-syntaxes",
    "dcm4che",
    "gcp-medical-imaging",
    "highdicom",
    "nema-wg04",
    "nibabel",
    "pylibjpeg-data",
}
LARGEST_BYTES = 4 << 20

# (file, oracle): why it says something else.
DIFFERENCES = {
    ("*/rtdose_expb*.dcm", "pydicom"): (
        "32 bits in OW of big endian: words of 16 bits are swapped (PS3.5 §7.3), as DCMTK does"
    ),
    ("*/SC_rgb_jpeg_lossy_gdcm.dcm", "*"): (
        "the header says RGB, the codestream is subsampled, which RGB never is: it is YCbCr"
    ),
    ("*/rgb_*.203_HTJ2K.dcm", "imagecodecs"): (
        "OpenJPH makes black of lossy values beyond white; OpenJPEG, and so pydicom, clips them"
    ),
}
# (file): why there is no picture, by our code for it.
NO_PICTURE = {
    "*/MR_truncated.dcm": "header.truncated",
    "*/meta_missing_tsyntax.dcm": "frames.missing_attribute",
    "*/nested_priv_SQ.dcm": "frames.missing_attribute",
    "*/JPEG2000-embedded-sequence-delimiter.dcm": "codec.limit",
    "derived-transfer-syntaxes/video_*": "frames.undecidable",
}


def samples():
    everything = dict(collections())
    folder = Path(data_store.__file__).parent / "data"
    everything["pydicom-data"] = [
        Sample(f"pydicom-data/{path.name}", path) for path in sorted(folder.glob("*.dcm"))
    ]
    for collection, found in everything.items():
        if collection in CHOSEN or os.environ.get("VNA_CODECS") == "all":
            for sample in found:
                if os.environ.get("VNA_CODECS") == "all" or size(sample) <= LARGEST_BYTES:
                    yield sample


def size(sample):
    return 0 if sample.member else sample.path.stat().st_size


def images():
    """Yield (name, bytes, data set) of files with pixels."""
    for sample in samples():
        data = sample.read()
        try:
            found = pydicom.dcmread(io.BytesIO(data), force=True)
            if any(keyword in found for keyword in PIXELS):
                yield sample.name, data, found
        except Exception:  # what pydicom cannot read is another test's
            continue


def reason(table, *key):
    for known, why in table.items():
        patterns = known if isinstance(known, tuple) else (known,)
        if all(fnmatch(part, pattern) for part, pattern in zip(key, patterns, strict=True)):
            return why
    return None


def ask_pydicom(found, *, raw):
    uid = found.file_meta.TransferSyntaxUID
    return get_decoder(uid).as_array(found, raw=raw)[0]


def ask_imagecodecs(found, uid):
    """The first frame, in RGB if it is JPEG."""
    codestream = get_frame(
        found.PixelData, 0, number_of_frames=int(found.get("NumberOfFrames") or 1)
    )
    return imagecodecs_decode(uid, case_of(found), codestream)


def apart(left, right, bits):
    """How far values are apart, without what is in unused bits."""
    if left.shape != right.shape:
        return f"shape {left.shape}, not {right.shape}"
    if left.dtype.kind == "f":
        return 0 if np.array_equal(left, right, equal_nan=True) else "floats"
    if np.array_equal(left, right):
        return 0
    mask = (1 << bits) - 1
    if np.array_equal(left.astype(np.int64) & mask, right.astype(np.int64) & mask):
        return 0
    return int(np.abs(left.astype(np.int64) - right.astype(np.int64)).max())


class Looked:
    """What was compared, and what was not the same."""

    def __init__(self):
        self.wrong = {}
        self.compared = {}
        self.met = set()

    def compare(self, name, oracle, ours, theirs, bits, allowed=0):
        known = reason(DIFFERENCES, name, oracle)
        try:
            found = apart(ours(), theirs(), bits)
        except (UnsupportedImage, EncodingError) as error:
            self.wrong[f"{name}, {oracle}"] = f"{error.code}: {error}"
            return
        except Exception:  # the oracle cannot
            return
        if known and found:
            self.met.add(known)
        elif isinstance(found, str) or found > allowed:
            self.wrong[f"{name}, {oracle}"] = f"{found} apart"
        else:
            self.compared[oracle] = self.compared.get(oracle, 0) + 1


@pytest.fixture(scope="module")
def looked():
    logging.disable(logging.CRITICAL)
    seen = Looked()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data, found in images():
            look(seen, name, data, found)
    logging.disable(logging.NOTSET)
    return seen


def look(seen, name, data, found):
    uid = str(found.file_meta.get("TransferSyntaxUID", "")) if "file_meta" in dir(found) else ""
    bits = found.get("BitsStored") or 64
    if code := reason(NO_PICTURE, name):
        try:
            vna.pixel_array(data)
            seen.wrong[name] = f"is decoded, though {code} was expected"
        except (UnsupportedImage, EncodingError) as error:
            if error.code != code:
                seen.wrong[name] = f"{error.code}, not {code}"
        return
    lossy = uid in LOSSY
    of_colour = found.get("SamplesPerPixel") == 3
    # GDCM and Pillow have DCTs of their own; pydicom converts colours with floating point.
    dct = 2 if lossy and uid in JPEGS else int(uid in {JPEG_2000} | HTJ2KS & LOSSY)
    seen.compare(
        name,
        "pydicom",
        lambda: vna.pixel_array(data, colour="stored"),
        lambda: ask_pydicom(found, raw=True),
        bits,
        dct,
    )
    seen.compare(
        name,
        "pydicom",
        lambda: vna.pixel_array(data),
        lambda: ask_pydicom(found, raw=False),
        bits,
        dct + 2 * of_colour,
    )
    if uid in JPEGS | {JPEG_LS, JPEG_LS_NEAR} | JPEG_2000S | HTJ2KS | JPEG_XLS:
        seen.compare(
            name,
            "imagecodecs",
            lambda: vna.pixel_array(data, 0),
            lambda: ask_imagecodecs(found, uid),
            bits,
            int(uid in HTJ2KS & LOSSY or uid in JPEG_XLS & LOSSY),
        )
    if uid in DCMTK_DECODERS and found.get("NumberOfFrames", 1) == 1:
        how = ["+cn"] if uid in JPEGS else []
        seen.compare(
            name,
            "DCMTK",
            lambda: vna.pixel_array(data, colour="stored"),
            lambda: native(dcmtk(DCMTK_DECODERS[uid], *how, made=data)),
            bits,
            dct,
        )


def test_files_decode_as_others_decode_them(looked):
    assert looked.wrong == {}


def test_every_oracle_was_asked(looked):
    assert looked.compared["pydicom"] > 200
    assert looked.compared["imagecodecs"] > 20
    assert looked.compared["DCMTK"] > 5


def test_every_difference_was_met(looked):
    if shared_data() is not None:
        assert set(DIFFERENCES.values()) - looked.met == set()


# Multi-component JPEG 2000: nobody writes it.
UNHEARD_OF = "1.2.840.10008.1.2.4.92"
EXPECTED = [
    pytest.param(uid, kind, id=f"{kind}, {syntax['name']}")
    for uid, syntax in SYNTAXES.items()
    for kind in ("gray", "rgb")
    if syntax["decodes"] and syntax["compression"] in ("none", "lossless") and uid != UNHEARD_OF
]


@pytest.mark.parametrize(("uid", "kind"), EXPECTED)
def test_lossless_files_give_the_exact_pixels_that_were_encoded(uid, kind):
    root = shared_data()
    if root is None:
        pytest.skip("the shared data is not here")
    folder = root / "derived-transfer-syntaxes"
    [path] = [path for path in folder.glob(f"{kind}_*") if path.name.split("_")[1] == uid]
    expected = gzip.decompress((folder / f"{kind}.raw.gz").read_bytes())
    assert vna.pixel_array(path).tobytes() == expected


def test_lossy_files_resemble_the_pixels_that_were_encoded():
    root = shared_data()
    if root is None:
        pytest.skip("the shared data is not here")
    folder = root / "derived-transfer-syntaxes"
    index = json.loads((folder / "index.json").read_text())
    described = {one["file"]: one for one in index}
    errors = {}
    for name, one in described.items():
        if one.get("lossless") is not False or name.startswith("video"):
            continue
        kind = name.partition("_")[0]
        raw = described[f"{kind}.raw.gz"]
        expected = np.frombuffer(
            gzip.decompress((folder / f"{kind}.raw.gz").read_bytes()), raw["dtype"]
        ).reshape(raw["shape"])
        pixels = vna.pixel_array(folder / name)
        assert pixels.shape == expected.shape, name
        # DCMTK widens the range of values before it encodes with loss.
        left, right = expected.ravel().astype(float), pixels.ravel().astype(float)
        slope, offset = np.polyfit(right, left, 1)
        away = slope * right + offset - left
        errors[name] = float(np.sqrt(np.mean(away**2)) / (4095 if kind == "gray" else 255))
    assert len(errors) >= 10
    assert {name: error for name, error in errors.items() if error > 0.03} == {}


def test_a_codec_decodes_a_file_in_memory_and_by_path_alike(tmp_path):
    data = Path(pydicom.data.get_testdata_file("SC_rgb_jpeg_dcmtk.dcm")).read_bytes()
    path = tmp_path / "one.dcm"
    path.write_bytes(data)
    assert np.array_equal(vna.pixel_array(path), vna.pixel_array(data))
    assert np.array_equal(vna.pixel_array(io.BytesIO(data)), vna.pixel_array(data))
    assert _core.number_of_frames(data) == 1
    assert BASELINE in SYNTAXES
