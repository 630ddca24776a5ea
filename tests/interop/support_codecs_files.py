"""The matrix codec x samples x container form: what fills a cell, and why some have nothing.

Codestreams come from encoders that nobody here wrote, containers from pydicom.
"""

import zlib
from typing import NamedTuple

import imagecodecs
import numpy as np
from pydicom.encaps import encapsulate, encapsulate_extended
from support_codecs import (
    BASELINE,
    DEFLATED,
    EXTENDED,
    HTJ2KS,
    JPEG_2000S,
    JPEG_LS,
    JPEG_LS_NEAR,
    JPEG_XL,
    JPEG_XL_JPEG,
    JPEG_XL_LOSSLESS,
    JPEG_XLS,
    LOSSLESS,
    LOSSLESS_SV1,
    LOSSY,
    PROGRESSIVE,
    RLE,
    SPECTRAL,
    UNCOMPRESSED,
    Case,
    data_set,
    first_frame,
    imagecodecs_encode,
    pack,
    pydicom_encode,
    samples,
    smooth,
)

DCT = {BASELINE, EXTENDED, SPECTRAL, PROGRESSIVE, JPEG_XL_JPEG}
NATIVE = {DEFLATED, UNCOMPRESSED}
# Few rows of few columns, odd ones where that is allowed; what encoders take at least.
CODECS = [
    RLE,
    BASELINE,
    EXTENDED,
    SPECTRAL,
    PROGRESSIVE,
    LOSSLESS,
    LOSSLESS_SV1,
    JPEG_LS,
    JPEG_LS_NEAR,
    *sorted(JPEG_2000S),
    *sorted(HTJ2KS),
    *sorted(JPEG_XLS),
    DEFLATED,
    UNCOMPRESSED,
]


def grey(stored, allocated, *, signed=False, colour="MONOCHROME2"):
    return Case(9, 13, stored, allocated, signed, colour)


def coloured(stored, allocated, colour):
    # Chroma that is halved has an even number of columns.
    return Case(9, 14, stored, allocated, colour=colour)


SAMPLES = [
    grey(1, 1),
    grey(5, 8),
    grey(8, 8),
    grey(8, 8, colour="MONOCHROME1"),
    grey(8, 8, signed=True),
    grey(10, 16),
    grey(12, 16),
    grey(12, 16, colour="MONOCHROME1"),
    grey(12, 16, signed=True),
    grey(16, 16),
    grey(16, 16, signed=True),
    grey(32, 32),
    grey(32, 32, signed=True),
    grey(8, 8, colour="PALETTE COLOR"),
    grey(16, 16, colour="PALETTE COLOR"),
    coloured(8, 8, "RGB"),
    coloured(12, 16, "RGB"),
    coloured(16, 16, "RGB"),
    coloured(8, 8, "YBR_FULL"),
    coloured(8, 8, "YBR_FULL_422"),
    coloured(8, 8, "YBR_RCT"),
    coloured(8, 8, "YBR_ICT"),
    coloured(8, 8, "XYB"),
]


def why_empty(uid, case, form):
    """Say what forbids a cell, or that nobody writes it; None of one that is to be filled."""
    if form.name.startswith("fragments") and uid in ONE_FRAGMENT:
        return ONE_FRAGMENT[uid]
    clauses = [
        (case.colour in ("YBR_RCT", "YBR_ICT"), ybr_of_jpeg_2000(uid, case)),
        (
            case.colour == "XYB" and uid != JPEG_XL,
            "XYB is what lossy JPEG XL has (PS3.3 §C.7.6.3.1.2)",
        ),
        (
            case.allocated == 1 and uid not in NATIVE,
            "JPEG, JPEG-LS, RLE have no packed pixels (PS3.5 §8.2); nobody writes others",
        ),
        (
            case.allocated == 32 and uid not in NATIVE,
            "JPEG, JPEG-LS, RLE have 16 bits at most (PS3.5 §8.2); nobody writes others",
        ),
        (
            case.signed and uid in DCT,
            "DCT has no sign (PS3.5 Table 8.2.1-1)",
        ),
        (
            case.signed and uid in (JPEG_LS_NEAR, JPEG_XL),
            "it has no sign, and what is nearly the bits of a negative number is not nearly that",
        ),
        (
            case.colour == "PALETTE COLOR" and uid in LOSSY | {JPEG_LS_NEAR},
            "a number of a colour is not changed a little (PS3.5 §8.2)",
        ),
        (
            uid in DCT and case.stored > (12 if uid == EXTENDED else 8),
            "DCT has 8 bits, extended 12 (PS3.5 Table 8.2.1-1)",
        ),
        (
            uid in DCT and case.stored < 8,
            "DCT has 8 or 12 bits (PS3.5 Table 8.2.1-1)",
        ),
        (
            uid == EXTENDED and case.stored not in (8, 12),
            "DCT has 8 or 12 bits (PS3.5 Table 8.2.1-1)",
        ),
        (
            uid == EXTENDED and case.stored == 12 and case.samples_per_pixel == 3,
            "12 bits of DCT are grey (PS3.5 Table 8.2.1-1)",
        ),
        (
            uid == JPEG_XL and case.colour in ("RGB", "YBR_FULL", "YBR_FULL_422"),
            "what a lossy encoder makes of colours is XYB",
        ),
        (
            case.colour == "YBR_FULL_422" and uid not in DCT | NATIVE,
            "chroma is halved by DCT or in native frames (PS3.5 §8.2.1)",
        ),
        (
            case.colour == "YBR_FULL" and uid in (*JPEG_2000S, *HTJ2KS, JPEG_XL_LOSSLESS),
            "they have transforms of their own: RGB, YBR_RCT, YBR_ICT, XYB (PS3.5 §8.2.4)",
        ),
    ]
    return next((why for applies, why in clauses if applies and why), None)


# Their frames stand in one fragment each.
ONE_FRAGMENT = {
    RLE: "a frame of RLE is one fragment (PS3.5 §A.4.2)",
    DEFLATED: "a deflated frame is one fragment (PS3.5 §A.4.12)",
    UNCOMPRESSED: "an uncompressed frame is one fragment (PS3.5 §A.4.11)",
}


def ybr_of_jpeg_2000(uid, case):
    if uid not in JPEG_2000S | HTJ2KS:
        return "a transform of JPEG 2000 (PS3.3 §C.7.6.3.1.2)"
    if (uid in LOSSY) != (case.colour == "YBR_ICT"):
        return "YBR_RCT is reversible, YBR_ICT is not (PS3.3 §C.7.6.3.1.2)"
    return None


def image(uid, case, number):
    """Return frame `number`: of what is compressed with loss a smooth one."""
    case = case._replace(
        colour="RGB" if case.colour in ("YBR_RCT", "YBR_ICT", "XYB") else case.colour
    )
    if uid in LOSSY:
        return np.roll(smooth(case), number, axis=1)
    made = samples(case, seed=number)
    return made & 1 if case.allocated == 1 else made


def encoded(uid, case, planar, pixels):
    """Return the codestream of a frame from an encoder that nobody here wrote."""
    if uid in NATIVE:
        native = native_frame(case, planar, pixels)
        if uid == UNCOMPRESSED:
            return native
        deflate = zlib.compressobj(wbits=-15)
        return deflate.compress(native) + deflate.flush()
    if uid == RLE:
        # Of five bits it would say no; the header has no part in the codestream.
        whole = case._replace(stored=case.allocated)
        return first_frame(pydicom_encode(uid, whole, pixels))
    if uid in DCT and case.samples_per_pixel == 3:
        space = "RGB" if case.colour == "RGB" else "YCBCR"
        subsampling = "422" if case.colour == "YBR_FULL_422" else "444"
        made = imagecodecs.jpeg8_encode(
            pixels, level=95, colorspace="RGB", outcolorspace=space, subsampling=subsampling
        )
        return imagecodecs.jpegxl_encode_jpeg(made) if uid == JPEG_XL_JPEG else made
    if uid == JPEG_XL_JPEG:
        return imagecodecs.jpegxl_encode_jpeg(imagecodecs.jpeg8_encode(pixels, level=95))
    if uid in JPEG_2000S:
        return imagecodecs.jpeg2k_encode(
            pixels,
            level=0 if uid not in LOSSY else 60,
            codecformat="j2k",
            bitspersample=case.stored,
            reversible=uid not in LOSSY,
            mct=case.colour in ("YBR_RCT", "YBR_ICT"),
        )
    if uid in HTJ2KS:
        lossless = uid not in LOSSY
        return imagecodecs.htj2k_encode(
            pixels,
            reversible=lossless,
            level=None if lossless else 1 / 2048,
            rgb=case.colour in ("YBR_RCT", "YBR_ICT"),
        )
    if uid in (LOSSLESS, LOSSLESS_SV1) and case.samples_per_pixel == 3:
        # Neither converted nor halved, whatever the samples are called.
        return imagecodecs.jpeg8_encode(
            pixels,
            lossless=True,
            predictor=1 if uid == LOSSLESS_SV1 else 6,
            bitspersample=case.stored,
            colorspace="RGB",
            outcolorspace="RGB",
        )
    return imagecodecs_encode(uid, case, pixels)


def native_frame(case, planar, pixels):
    if case.colour == "YBR_FULL_422":
        y, chroma = pixels[..., 0], pixels[:, ::2, 1:]
        return np.dstack([y[:, ::2], y[:, 1::2], chroma]).tobytes()
    if planar:
        pixels = np.moveaxis(pixels, 2, 0)
    return pack(case, pixels)


def expected(uid, case, pixels):
    """Return what is in a codestream without loss: halved chroma stands for two pixels."""
    if uid in NATIVE and case.colour == "YBR_FULL_422":
        pixels = pixels.copy()
        pixels[:, 1::2, 1:] = pixels[:, ::2, 1:]
    return pixels


class Form(NamedTuple):
    """A way to put codestreams into a value, and how many frames it is shown with."""

    name: str
    frames: int

    def __str__(self):
        return self.name

    def put(self, made, codestreams):
        match self.name:
            case "extended offsets":
                value, offsets, lengths = encapsulate_extended(codestreams)
                made.ExtendedOffsetTable, made.ExtendedOffsetTableLengths = offsets, lengths
            case "basic offsets":
                value = encapsulate(codestreams)
            case "no offsets" | "one frame":
                value = encapsulate(codestreams, has_bot=False)
            case "fragments, basic offsets":
                value = encapsulate(codestreams, fragments_per_frame=3)
            case "fragments of one frame, no offsets":
                value = encapsulate(codestreams, fragments_per_frame=3, has_bot=False)
        made.PixelData = value


FORMS = [
    Form("extended offsets", 3),
    Form("basic offsets", 3),
    Form("no offsets", 3),
    Form("one frame", 1),
    Form("fragments, basic offsets", 2),
    Form("fragments of one frame, no offsets", 1),
]


def header_of(uid, case, planar, frames):
    """Return the data set without its pixels."""
    made = data_set(uid, case, [b"\0\0"], planar=planar)
    if frames > 1:
        made.NumberOfFrames = frames
    return made
