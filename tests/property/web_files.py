"""Files for DICOMweb: generated ones under UIDs of their own, and pictures that can be decoded."""

import io
from itertools import count
from types import SimpleNamespace

import imagecodecs
import numpy as np
import pydicom
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from vna import testing
from vna.testing.files import _image_pixel_module
from vna.testing.model import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    PIXEL_DATA,
    RLE_LOSSLESS,
    UNCOMPRESSED,
    Element,
    Fragments,
)
from vna.testing.writer import as_readable

# Without loss, so that what comes out decoded is what went in.
CODESTREAMS = {
    RLE_LOSSLESS: None,  # pydicom's own
    "1.2.840.10008.1.2.4.70": imagecodecs.ljpeg_encode,
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode,
    "1.2.840.10008.1.2.4.90": lambda each: imagecodecs.jpeg2k_encode(
        each, level=0, codecformat="j2k", reversible=True
    ),
    "1.2.840.10008.1.2.4.201": lambda each: imagecodecs.htj2k_encode(each, reversible=True),
}
UIDS = {"study": 0x0020_000D, "series": 0x0020_000E, "instance": 0x0008_0018}
ROOT = generate_uid(prefix=None)[:48]
_numbers = count(1)


def new_uid():
    """Return a UID that nobody else has."""
    return f"{ROOT}.{next(_numbers)}"


def kept(file, expected=None):
    """Return a file to store, with its UIDs, what a reader can know of it, and its frames."""
    encoding = testing.Encoding.of(file.transfer_syntax_uid, file.oddities)
    uids = {name: file.data_set.text(tag) for name, tag in UIDS.items()}
    return SimpleNamespace(
        file=file,
        data=file.data,
        syntax=file.transfer_syntax_uid,
        model=file.data_set,
        readable=as_readable(file.data_set, encoding),
        frames=frames_of(file),
        decoded=expected,
        **uids,
    )


def frames_of(file):
    """Return the frames as they are in a file: codestreams, or native pixels."""
    if PIXEL_DATA not in file.data_set:
        return []
    value = file.data_set[PIXEL_DATA].value
    if isinstance(value, Fragments):
        frames = (b"".join(fragments_of(frame)) for frame in value.frames)
        return [frame + b"\0" * (len(frame) % 2) for frame in frames]
    description = (0x0028_0010, 0x0028_0011, 0x0028_0100, 0x0028_0002)
    rows, columns, bits, samples = (int(file.data_set.text(tag)) for tag in description)
    size = rows * columns * samples * bits // 8
    frames = int(file.data_set.text(0x0028_0008) or 1)
    return [value[at * size : (at + 1) * size] for at in range(frames)]


def fragments_of(frame):
    """Return the fragments of a frame as they are in a file: of even length (PS3.5 §A.4)."""
    return [fragment + b"\0" * (len(fragment) % 2) for fragment in frame]


@st.composite
def own(draw, files, **uids):
    """Give drawn files UIDs of their own."""
    file, expected = draw(files)
    identity = {name: uids.get(name) or new_uid() for name in UIDS}
    elements = [Element(UIDS[name], "UI", (uid,)) for name, uid in identity.items()]
    data_set = file.data_set.with_elements(*elements)
    data = testing.write_file(data_set, file.transfer_syntax_uid, file.oddities)
    return kept(testing.File(data, data_set, file.transfer_syntax_uid, file.oddities), expected)


def noisy():
    """Strategy for files of any content; what they have of compressed frames is noise."""
    valid, odd = testing.files(), testing.files(tolerated=True)
    return st.one_of(valid, valid, odd).map(lambda file: (file, None))


@st.composite
def long_values(draw):
    """Strategy for values that are longer than what is given in place, or than 16 bits can say."""
    block, group = Element(0x0029_0010, "LO", ("LONG VALUES",)), 0x0029_1000
    size = draw(st.sampled_from([300, 1023, 1025, 4097, 65_534, 65_536, 100_001]))
    seed = draw(st.binary(min_size=1, max_size=9))
    octets = (seed * (size // len(seed) + 1))[:size]
    letters = draw(st.text("abc ÄΩ漢", min_size=1, max_size=5)).strip() or "a"
    numbers = draw(st.lists(st.integers(-99, 99), min_size=1, max_size=5))
    chosen = draw(st.sets(st.sampled_from(range(6)), min_size=1, max_size=3))
    each = (
        Element(group | 1, "OB", octets),
        Element(group | 2, "UN", octets),
        Element(group | 3, "OW", octets[: size // 2 * 2]),
        Element(0x0040_A160, "UT", (letters * (size // len(letters.encode())),)),
        # Of at most 65,534 bytes: what is longer has no place in their length field.
        Element(0x3006_0050, "DS", tuple(map(str, numbers * (size // 40)))),
        Element(group | 4, "FL", tuple(float(number) for number in numbers * (size // 40))),
    )
    return (block, *(each[number] for number in sorted(chosen)))


@st.composite
def long(draw):
    """Strategy for files with such values, in UTF-8."""
    syntax = draw(st.sampled_from(UNCOMPRESSED))
    data_set = draw(testing.data_sets(max_elements=3, own=testing.CharacterSet("ISO_IR 192")))
    data_set = data_set.with_elements(*draw(testing.identities()), *draw(long_values()))
    return testing.File(testing.write_file(data_set, syntax), data_set, syntax), None


@st.composite
def pictures(draw):
    """Strategy for images with true frames, and those frames as native pixels."""
    syntax = draw(st.sampled_from([*UNCOMPRESSED, *CODESTREAMS]))
    rows, columns = draw(st.integers(4, 9)), draw(st.integers(4, 9))
    dtype = draw(st.sampled_from(["u1", "<u2"]))
    count_of_frames = draw(st.integers(1, 4))
    shape = (count_of_frames, rows, columns)
    seed = draw(st.integers(0, 2**16))
    most = 256 if dtype == "u1" else 4096
    frames = np.random.default_rng(seed).integers(0, most, shape).astype(dtype)
    bits = 8 * frames.itemsize
    native = [frame.tobytes() for frame in frames]
    description = list(_image_pixel_module(rows, columns, bits, count_of_frames))
    if bits == 16:
        stored = (Element(0x0028_0101, "US", (12,)), Element(0x0028_0102, "US", (11,)))
        description = [*description, *stored]
    if syntax in UNCOMPRESSED:
        value = b"".join(native)
        pixels = Element(PIXEL_DATA, "OW", value + b"\0" * (len(value) % 2))
    else:
        # A frame of RLE is one fragment (PS3.5 §A.4.2).
        cut = None if syntax == RLE_LOSSLESS else draw(st.sampled_from([None, 20]))
        coded = [pieces(codestream(syntax, frame), cut) for frame in frames]
        value = Fragments(tuple(coded), draw(st.booleans()) or cut is not None)
        pixels = Element(PIXEL_DATA, "OB", value, undefined_length=True)
    data_set = draw(testing.data_sets(max_elements=2, max_depth=1))
    data_set = data_set.with_elements(*draw(testing.identities()), *description, pixels)
    file = testing.File(testing.write_file(data_set, syntax), data_set, syntax)
    return file, native


def pieces(data, size):
    """Cut a codestream into fragments."""
    size = size or len(data)
    return tuple(data[at : at + size] for at in range(0, len(data), size))


def codestream(syntax, frame):
    """Encode a frame with an encoder that is not ours."""
    encode = CODESTREAMS[syntax]
    if encode is not None:
        return encode(frame)
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = EXPLICIT_VR_LITTLE_ENDIAN
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID = "1.2"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = frame.shape
    dataset.BitsAllocated = dataset.BitsStored = 8 * frame.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    dataset.NumberOfFrames = 1
    dataset.PixelData = frame.tobytes() + b"\0" * (frame.nbytes % 2)
    dataset["PixelData"].VR = "OW"
    # Its own encoder: GDCM's, which it prefers, ends the process at some noise.
    dataset.compress(RLE_LOSSLESS, encoding_plugin="pydicom", generate_instance_uid=False)
    return pydicom.encaps.get_frame(dataset.PixelData, 0, number_of_frames=1)


def read(data):
    """Return what pydicom reads, without a view on whether it is allowed."""
    return pydicom.dcmread(io.BytesIO(data), force=True)
