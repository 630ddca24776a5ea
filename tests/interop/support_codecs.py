"""Decoders and encoders that nobody here wrote, each asked in the same words.

A `Case` is what the samples of a frame are; `samples` makes some. An oracle decodes or encodes one
frame: imagecodecs takes codestreams; DCMTK, GDCM and pydicom take files.
"""

import concurrent.futures
import io
import json
import multiprocessing
import shutil
import subprocess
import tempfile
import warnings
import zlib
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import get_decoder, get_encoder
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from vna import _core
from vna.pixels import as_array

RLE = "1.2.840.10008.1.2.5"
BASELINE = "1.2.840.10008.1.2.4.50"
EXTENDED = "1.2.840.10008.1.2.4.51"
SPECTRAL = "1.2.840.10008.1.2.4.53"
PROGRESSIVE = "1.2.840.10008.1.2.4.55"
LOSSLESS = "1.2.840.10008.1.2.4.57"
LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"
HTJ2K = "1.2.840.10008.1.2.4.203"
JPEG_XL_LOSSLESS = "1.2.840.10008.1.2.4.110"
JPEG_XL_JPEG = "1.2.840.10008.1.2.4.111"
JPEG_XL = "1.2.840.10008.1.2.4.112"
DEFLATED = "1.2.840.10008.1.2.8.1"
UNCOMPRESSED = "1.2.840.10008.1.2.1.98"

JPEGS = {BASELINE, EXTENDED, SPECTRAL, PROGRESSIVE, LOSSLESS, LOSSLESS_SV1}
JPEG_2000S = {JPEG_2000_LOSSLESS, JPEG_2000}
HTJ2KS = {HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K}
JPEG_XLS = {JPEG_XL_LOSSLESS, JPEG_XL_JPEG, JPEG_XL}
LOSSY = {BASELINE, EXTENDED, SPECTRAL, PROGRESSIVE, JPEG_2000, HTJ2K, JPEG_XL, JPEG_XL_JPEG}

SYNTAXES = {one["uid"]: one for one in json.loads(_core.pixel_syntaxes())}

NEAR = 2


class NotAskedError(Exception):
    """The oracle does not do this; the message says why."""


class Case(NamedTuple):
    """What the samples of a frame are."""

    rows: int
    columns: int
    stored: int
    allocated: int
    signed: bool = False
    colour: str = "MONOCHROME2"

    @property
    def samples_per_pixel(self):
        return 1 if self.colour.startswith(("MONO", "PALETTE")) else 3

    @property
    def shape(self):
        more = (3,) if self.samples_per_pixel == 3 else ()
        return (self.rows, self.columns, *more)

    @property
    def dtype(self):
        return np.dtype(f"<{'i' if self.signed else 'u'}{max(self.allocated // 8, 1)}")

    @property
    def format(self):
        """Return it as the bindings take it."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "samples_per_pixel": self.samples_per_pixel,
            "bits_allocated": self.allocated,
            "bits_stored": self.stored,
            "sample": "signed" if self.signed else "unsigned",
            "planar": False,
            "photometric": self.colour,
        }

    def __str__(self):
        sign = "signed" if self.signed else "unsigned"
        size = f"{self.rows}x{self.columns}"
        return f"{self.colour} {size}, {self.stored} of {self.allocated} bits {sign}"


def samples(case, seed=0):
    """Return an image: a slope with some noise on it, a flat part, and both extremes."""
    random = np.random.default_rng([seed, case.rows, case.columns, case.stored])
    low = -(1 << (case.stored - 1)) if case.signed else 0
    span = (1 << case.stored) - 1
    y, x = np.mgrid[0 : case.rows, 0 : case.columns]
    slope = (x + 2 * y) / max(case.columns + 2 * case.rows - 3, 1)
    image = np.stack([np.roll(slope, 3 * n, axis=1) for n in range(case.samples_per_pixel)], -1)
    image = low + image * span + random.normal(0, max(span / 100, 0.6), image.shape)
    image = np.clip(np.rint(image), low, low + span).astype(np.int64)
    image[: case.rows // 4] = low + span // 3
    image.reshape(-1)[0] = low
    image.reshape(-1)[-1] = low + span
    return image.reshape(case.shape).astype(case.dtype)


def smooth(case):
    """Return an image without edges, as lossy codecs are made for."""
    low = -(1 << (case.stored - 1)) if case.signed else 0
    span = (1 << case.stored) - 1
    y, x = np.mgrid[0 : case.rows, 0 : case.columns]
    wave = np.stack(
        [np.sin(x / (9 + n)) * np.cos(y / (11 - n)) for n in range(case.samples_per_pixel)], -1
    )
    image = np.rint(low + span * (0.5 + 0.35 * wave)).astype(np.int64)
    return image.reshape(case.shape).astype(case.dtype)


def pack(case, pixels):
    """Return the bytes of native pixel data: one-bit pixels packed."""
    if case.allocated == 1:
        return np.packbits(pixels.reshape(-1), bitorder="little").tobytes()
    return pixels.astype(case.dtype).tobytes()


def we_encode(uid, case, pixels, **options):
    """Return our codestream of a frame, and what it holds."""
    codestream, described = _core.encode_frame(
        pack(case, pixels),
        json.dumps(case.format).encode(),
        transfer_syntax_uid=uid,
        options_json=json.dumps(options).encode(),
    )
    return codestream, json.loads(described)


def we_decode(uid, case, codestream, colour="rgb", **changed):
    """Return what we make of a codestream, as an array."""
    described = json.dumps(case.format | changed).encode()
    found, described = _core.decode_frame(
        codestream, described, transfer_syntax_uid=uid, colour=colour
    )
    return as_array(found, json.loads(described))


def as_case(case, described):
    """Return the case with what an encoder says that its codestream has."""
    return case._replace(
        stored=described["bits_stored"],
        allocated=described["bits_allocated"],
        signed=described["sample"] == "signed",
        colour=described["photometric"],
    )


def data_set(uid, case, frames, *, planar=0):
    """Return a data set of encoded or native frames."""
    made = pydicom.Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = uid
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = SecondaryCaptureImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3.4"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.5"
    made.PatientID = "CODEC"
    made.Modality = "OT"
    made.Rows, made.Columns = case.rows, case.columns
    made.SamplesPerPixel = case.samples_per_pixel
    made.PhotometricInterpretation = case.colour
    if case.samples_per_pixel > 1:
        made.PlanarConfiguration = planar
    made.BitsAllocated, made.BitsStored, made.HighBit = (
        case.allocated,
        case.stored,
        case.stored - 1,
    )
    made.PixelRepresentation = int(case.signed)
    if case.colour == "PALETTE COLOR":
        for colour in ("Red", "Green", "Blue"):
            setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
            setattr(made, f"{colour}PaletteColorLookupTableData", bytes(512))
    if len(frames) > 1:
        made.NumberOfFrames = len(frames)
    if UID(uid).is_encapsulated:
        made.PixelData = encapsulate(list(frames))
        made["PixelData"].VR = "OB"
        made["PixelData"].is_undefined_length = True
    else:
        value = b"".join(frames)
        made.PixelData = value + b"\0" * (len(value) % 2)
        made["PixelData"].VR = "OW" if case.allocated > 8 else "OB"
    return made


def file_of(made):
    """Return the bytes of a PS3.10 file."""
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()


# imagecodecs


def imagecodecs_decode(uid, case, codestream):
    if uid in JPEGS:
        # Asked for RGB it converts what the codestream calls, or libjpeg takes for, YCbCr.
        space = {"RGB": "RGB", "YBR_FULL": "YCBCR", "YBR_FULL_422": "YCBCR"}.get(case.colour)
        lossless = uid in (LOSSLESS, LOSSLESS_SV1)
        how = {"colorspace": space, "outcolorspace": "RGB"} if space and not lossless else {}
        return imagecodecs.jpeg8_decode(codestream, **how)
    if uid in (JPEG_LS, JPEG_LS_NEAR):
        return imagecodecs.jpegls_decode(codestream)
    if uid in JPEG_2000S:
        return imagecodecs.jpeg2k_decode(codestream)
    if uid in HTJ2KS:
        return imagecodecs.htj2k_decode(codestream)
    if uid in JPEG_XLS:
        return imagecodecs.jpegxl_decode(codestream)
    if uid == DEFLATED:
        return np.frombuffer(zlib.decompress(codestream, -15), case.dtype).reshape(case.shape)
    if uid == RLE:
        planes = imagecodecs.dicomrle_decode(codestream, case.dtype)
        planes = np.frombuffer(planes, case.dtype)[: int(np.prod(case.shape))]
        if case.samples_per_pixel == 1:
            return planes.reshape(case.shape)
        return np.moveaxis(planes.reshape(3, case.rows, case.columns), 0, 2)
    raise NotAskedError(f"imagecodecs does not read {uid}")


def imagecodecs_encode(uid, case, pixels):
    bits = pixels.view(f"u{pixels.itemsize}")
    masked = bits & bits.dtype.type((1 << case.stored) - 1)
    if uid in (BASELINE, EXTENDED, SPECTRAL, PROGRESSIVE):
        return imagecodecs.jpeg8_encode(
            pixels, level=95, bitspersample=None if case.stored == 8 else case.stored
        )
    if uid in (LOSSLESS, LOSSLESS_SV1):
        return imagecodecs.jpeg8_encode(
            masked,
            lossless=True,
            predictor=1 if uid == LOSSLESS_SV1 else 6,
            bitspersample=case.stored,
        )
    if uid == JPEG_LS:
        return imagecodecs.jpegls_encode(masked)
    if uid == JPEG_LS_NEAR:
        return imagecodecs.jpegls_encode(masked, level=NEAR)
    if uid in JPEG_2000S:
        lossless = uid == JPEG_2000_LOSSLESS
        return imagecodecs.jpeg2k_encode(
            pixels,
            level=0 if lossless else 60,
            codecformat="j2k",
            bitspersample=case.stored,
            reversible=lossless,
        )
    if uid in HTJ2KS:
        lossless = uid != HTJ2K
        return imagecodecs.htj2k_encode(
            pixels, reversible=lossless, level=None if lossless else 1 / 2048
        )
    if uid in (JPEG_XL_LOSSLESS, JPEG_XL):
        how = {"lossless": True} if uid == JPEG_XL_LOSSLESS else {"distance": 0.5}
        return imagecodecs.jpegxl_encode(
            masked, bitspersample=case.stored, usecontainer=False, **how
        )
    if uid == DEFLATED:
        deflate = zlib.compressobj(9, wbits=-15)
        return deflate.compress(pixels.tobytes()) + deflate.flush()
    raise NotAskedError(f"imagecodecs does not write {uid}")


# DCMTK


def dcmtk(program, *arguments, made):
    """Run a program of DCMTK over a data set and return the one that it writes."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.dcm"), Path(folder, "after.dcm")
        before.write_bytes(made if isinstance(made, bytes) else file_of(made))
        command = [shutil.which(program), *arguments, str(before), str(after)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise ValueError(f"{program}: {done.stderr.strip()}")
        return pydicom.dcmread(io.BytesIO(after.read_bytes()))


DCMTK_DECODERS = dict.fromkeys(JPEGS, "dcmdjpeg") | {
    RLE: "dcmdrle",
    JPEG_LS: "dcmdjpls",
    JPEG_LS_NEAR: "dcmdjpls",
}
DCMTK_ENCODERS = {
    RLE: ("dcmcrle",),
    BASELINE: ("dcmcjpeg", "+eb", "+q", "95"),
    EXTENDED: ("dcmcjpeg", "+ee", "+q", "95"),
    SPECTRAL: ("dcmcjpeg", "+es", "+q", "95"),
    PROGRESSIVE: ("dcmcjpeg", "+ep", "+q", "95"),
    LOSSLESS: ("dcmcjpeg", "+el", "+sv", "6"),
    LOSSLESS_SV1: ("dcmcjpeg", "+e1"),
    JPEG_LS: ("dcmcjpls", "+el"),
    JPEG_LS_NEAR: ("dcmcjpls", "+en", "+md", str(NEAR)),
}


def dcmtk_decode(uid, case, codestream):
    if uid not in DCMTK_DECODERS:
        raise NotAskedError(f"DCMTK does not read {uid}")
    # Colours as they are: it would convert them to RGB.
    as_they_are = ["+cn"] if uid in JPEGS else []
    return native(dcmtk(DCMTK_DECODERS[uid], *as_they_are, made=data_set(uid, case, [codestream])))


def native(made):
    """Return what is in native pixel data, read by hand: colours interleaved, as they are."""
    case = case_of(made)
    count = int(np.prod(case.shape))
    pixels = np.frombuffer(made.PixelData, case.dtype)[:count]
    if case.samples_per_pixel == 3 and made.PlanarConfiguration == 1:
        return np.moveaxis(pixels.reshape(3, case.rows, case.columns), 0, 2)
    return pixels.reshape(case.shape)


def case_of(made):
    return Case(
        made.Rows,
        made.Columns,
        made.BitsStored,
        made.BitsAllocated,
        made.PixelRepresentation == 1,
        made.PhotometricInterpretation,
    )


def dcmtk_encode(uid, case, pixels):
    if uid not in DCMTK_ENCODERS:
        raise NotAskedError(f"DCMTK does not write {uid}")
    made = data_set(ExplicitVRLittleEndian, case, [pack(case, pixels)])
    return dcmtk(*DCMTK_ENCODERS[uid], made=made)


# GDCM


def gdcm_change(made, uid):
    """Return a data set that GDCM has written in another transfer syntax.

    It ends its process on what it does not expect, so it has one of its own.
    """
    global gdcm_process
    if gdcm_process is None:
        spawn = multiprocessing.get_context("spawn")
        gdcm_process = concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn)
    try:
        changed = gdcm_process.submit(in_gdcm, file_of(made), str(uid)).result(timeout=60)
    except concurrent.futures.process.BrokenProcessPool:
        gdcm_process = None
        raise ValueError("GDCM has ended its process") from None
    return pydicom.dcmread(io.BytesIO(changed))


gdcm_process = None


def in_gdcm(data, uid):
    import gdcm

    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    with tempfile.TemporaryDirectory() as folder:
        before, after = str(Path(folder, "before.dcm")), str(Path(folder, "after.dcm"))
        Path(before).write_bytes(data)
        reader = gdcm.ImageReader()
        reader.SetFileName(before)
        if not reader.Read():
            raise ValueError("GDCM cannot read it")
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(uid)))
        if uid == BASELINE:
            lossy = gdcm.JPEGCodec()
            lossy.SetLossless(False)
            lossy.SetQuality(95)
            change.SetUserCodec(lossy)
        change.SetInput(reader.GetImage())
        if not change.Change():
            raise ValueError(f"GDCM cannot change it to {uid}")
        writer = gdcm.ImageWriter()
        writer.SetFileName(after)
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        if not writer.Write():
            raise ValueError("GDCM cannot write it")
        return Path(after).read_bytes()


GDCM_SYNTAXES = {
    RLE,
    BASELINE,
    EXTENDED,
    LOSSLESS,
    LOSSLESS_SV1,
    JPEG_LS,
    JPEG_LS_NEAR,
    JPEG_2000_LOSSLESS,
    JPEG_2000,
}


def gdcm_decode(uid, case, codestream):
    if uid not in GDCM_SYNTAXES:
        raise NotAskedError(f"GDCM does not read {uid}")
    return native(gdcm_change(data_set(uid, case, [codestream]), str(ExplicitVRLittleEndian)))


def gdcm_encode(uid, case, pixels):
    if uid not in GDCM_SYNTAXES - {EXTENDED}:
        raise NotAskedError(f"GDCM does not write {uid}")
    made = data_set(ExplicitVRLittleEndian, case, [pack(case, pixels)])
    return gdcm_change(made, uid)


# pydicom


# GDCM is asked by itself.
PLUGINS = (
    {RLE: "pydicom", BASELINE: "pillow"}
    | dict.fromkeys((JPEG_LS, JPEG_LS_NEAR), "pyjpegls")
    | dict.fromkeys(JPEG_2000S | HTJ2KS, "pylibjpeg")
)


def pydicom_decode(uid, case, codestream):
    try:
        plugin = PLUGINS[uid]
        decoder = get_decoder(UID(uid))
    except (KeyError, NotImplementedError) as why:
        raise NotAskedError(str(why)) from None
    made = data_set(uid, case, [codestream])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return decoder.as_array(made, raw=True, decoding_plugin=plugin)[0]


def pydicom_encode(uid, case, pixels):
    made = data_set(ExplicitVRLittleEndian, case, [pack(case, pixels)])
    how = {"encoding_plugin": PLUGINS.get(uid, "")}
    if uid == JPEG_LS_NEAR:
        how["jls_error"] = NEAR
    if uid == JPEG_2000:
        how["j2k_psnr"] = [60]
    try:
        get_encoder(UID(uid))
        made.compress(UID(uid), generate_instance_uid=False, **how)
    except NotImplementedError as why:
        raise NotAskedError(str(why)) from None
    return made


class Oracle(NamedTuple):
    """What decodes (uid, case, codestream) to an array and encodes (uid, case, pixels)."""

    name: str
    decode: object
    encode: object


ORACLES = [
    Oracle("imagecodecs", imagecodecs_decode, imagecodecs_encode),
    Oracle("DCMTK", dcmtk_decode, dcmtk_encode),
    Oracle("GDCM", gdcm_decode, gdcm_encode),
    Oracle("pydicom", pydicom_decode, pydicom_encode),
]


def first_frame(made):
    """Return the codestream of the first frame of what an oracle wrote."""
    return made if isinstance(made, bytes) else get_frame(made.PixelData, 0, number_of_frames=1)
