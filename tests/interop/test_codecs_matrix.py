"""Every codec, both ways, with decoders and encoders that nobody here wrote.

What we encode they decode, and what they encode we decode, over bit depths, signs, colours and odd
sizes. The table codec x direction x oracle is printed at the end; an empty cell fails.
"""

import functools

import numpy as np
import pytest
from support_codecs import (
    BASELINE,
    DEFLATED,
    EXTENDED,
    HTJ2K,
    HTJ2K_LOSSLESS,
    HTJ2K_RPCL,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_LS,
    JPEG_LS_NEAR,
    JPEG_XL,
    JPEG_XL_LOSSLESS,
    JPEGS,
    LOSSLESS,
    LOSSLESS_SV1,
    LOSSY,
    NEAR,
    ORACLES,
    PROGRESSIVE,
    RLE,
    SPECTRAL,
    SYNTAXES,
    Case,
    NotAskedError,
    as_case,
    case_of,
    first_frame,
    samples,
    smooth,
    we_decode,
    we_encode,
)
from support_codecs_table import DIRECTIONS, NOT_THERE, UNLIKE, shown, unlike

pytestmark = pytest.mark.peers

GREY_8 = Case(17, 31, 8, 8)
EVEN_8 = Case(12, 26, 8, 8)
GREY_12 = Case(16, 33, 12, 16)
SIGNED_12 = Case(9, 23, 12, 16, signed=True)
GREY_10 = Case(7, 13, 10, 16)
GREY_16 = Case(19, 11, 16, 16)
SIGNED_16 = Case(5, 37, 16, 16, signed=True)
GREY_32 = Case(5, 9, 32, 32)
RGB_8 = Case(15, 22, 8, 8, colour="RGB")
RGB_16 = Case(11, 13, 16, 16, colour="RGB")
YBR_8 = Case(13, 18, 8, 8, colour="YBR_FULL")
PALETTE_8 = Case(6, 10, 8, 8, colour="PALETTE COLOR")
ONE = Case(1, 1, 8, 8)
LARGE_12 = Case(67, 45, 12, 16)
LARGE_RGB = Case(33, 50, 8, 8, colour="RGB")
ROW = Case(1, 5, 16, 16)

EVERY = [
    GREY_8,
    GREY_12,
    SIGNED_12,
    GREY_10,
    GREY_16,
    SIGNED_16,
    RGB_8,
    PALETTE_8,
    ONE,
    ROW,
]
CASES = {
    RLE: [*EVERY, GREY_32, RGB_16, YBR_8],
    DEFLATED: [*EVERY, GREY_32, RGB_16, YBR_8],
    BASELINE: [GREY_8, EVEN_8, RGB_8],
    EXTENDED: [GREY_12],
    SPECTRAL: [GREY_8],
    PROGRESSIVE: [GREY_8],
    LOSSLESS: EVERY,
    LOSSLESS_SV1: [*EVERY, RGB_16],
    JPEG_LS: [*EVERY, RGB_16],
    JPEG_LS_NEAR: [GREY_8, GREY_12, GREY_16, RGB_8],
    JPEG_2000_LOSSLESS: [*EVERY, RGB_16, LARGE_12, LARGE_RGB],
    JPEG_2000: [GREY_8, GREY_12, RGB_8, LARGE_12, LARGE_RGB],
    HTJ2K_LOSSLESS: [*EVERY, RGB_16],
    HTJ2K_RPCL: [GREY_8, GREY_12, SIGNED_16, RGB_8, LARGE_12],
    HTJ2K: [GREY_8, GREY_12, RGB_8, LARGE_12, LARGE_RGB],
    JPEG_XL_LOSSLESS: [GREY_8, GREY_12, GREY_16, RGB_8, RGB_16],
    JPEG_XL: [GREY_8, RGB_8],
}
# How far decoders of one lossy codestream may be apart, in parts of the range of values. ISO
# 10918-2 allows an error of one in each quantized DCT coefficient; of samples that is a level or
# two of 8 bits. The wavelets of JPEG 2000 are rounded once, at the end.
TOLERANCE = {JPEG_2000: 1 / 255, HTJ2K: 1 / 255, JPEG_XL: 3 / 255}
DCT_TOLERANCE = 2 / 255


def far_apart(uid, case, left, right):
    """Return how far values differ that should be the same, and by how much they may."""
    mask = (1 << case.stored) - 1
    if uid not in LOSSY:
        # Codestreams without a sign are read as without one by some: the bits are what counts.
        left, right = left.astype(np.int64) & mask, right.astype(np.int64) & mask
        return int(np.abs(left - right).max()), 0
    found = np.abs(left.astype(np.int64) - right.astype(np.int64)).max()
    return int(found), max(1, int(mask * TOLERANCE.get(uid, DCT_TOLERANCE)))


def image(uid, case):
    return smooth(case) if uid in LOSSY else samples(case)


def check(uid, case, left, right, oracle):
    assert left.shape == right.shape, f"{left.shape} is not {right.shape}"
    found, allowed = far_apart(uid, case, left, right)
    if (uid, oracle) in SAME_LIBRARY:
        allowed = 0
    assert found <= allowed, f"{found} apart, {allowed} allowed"


# Their decoder is ours: not a value may differ.
SAME_LIBRARY = {
    (BASELINE, "imagecodecs"),
    (EXTENDED, "imagecodecs"),
    (SPECTRAL, "imagecodecs"),
    (PROGRESSIVE, "imagecodecs"),
    (JPEG_2000, "imagecodecs"),
}


def resembles(uid, case, original, decoded):
    """Whether what a lossy encoder made still shows the image."""
    if uid == JPEG_LS_NEAR:
        return int(np.abs(original.astype(np.int64) - decoded.astype(np.int64)).max()) <= NEAR
    if uid not in LOSSY:
        return np.array_equal(original, decoded)
    span = (1 << case.stored) - 1
    return (
        float(np.sqrt(np.mean((original.astype(float) - decoded.astype(float)) ** 2))) < span / 30
    )


def colour_of(case):
    return "stored" if case.colour.startswith("YBR") else "rgb"


@functools.cache
def ours(uid, case):
    """Return image, codestream and what it holds, what we decode of it: checked against itself."""
    original = image(uid, case)
    codestream, described = we_encode(uid, case, original, near=NEAR, ratio=4.0)
    held = as_case(case, described)
    decoded = we_decode(uid, held, codestream, colour=colour_of(case))
    assert resembles(uid, case, original, decoded), "not what we encoded"
    stored = we_decode(uid, held, codestream, colour="stored")
    return codestream, held, decoded, stored


def encoded_by_us():
    return [uid for uid in CASES if SYNTAXES[uid]["encodes"]]


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.name)
@pytest.mark.parametrize("uid", encoded_by_us(), ids=lambda uid: SYNTAXES[uid]["name"])
def test_what_we_encode_others_decode_to_the_same(uid, oracle):
    def compare(case):
        codestream, held, decoded, stored = ours(uid, case)
        theirs = oracle.decode(uid, held, codestream)
        converted = oracle.name == "imagecodecs" and uid in JPEGS
        check(uid, case, decoded if converted else stored, theirs, oracle.name)

    all_cases(uid, "they decode", oracle, compare, lambda: oracle.decode(uid, CASES[uid][0], b""))


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.name)
@pytest.mark.parametrize("uid", CASES, ids=lambda uid: SYNTAXES[uid]["name"])
def test_what_others_encode_we_decode_to_the_same(uid, oracle):
    def encode(case):
        return oracle.encode(uid, case, image(uid, case))

    def compare(case):
        made = encode(case)
        held = case if isinstance(made, bytes) else case_of(made)
        codestream = first_frame(made)
        if oracle.name == "DCMTK" and uid in LOSSY:
            # It widens the range of values first: what it decodes itself is what is in there.
            decoded = we_decode(uid, held, codestream, colour="stored")
            check(uid, case, decoded, oracle.decode(uid, held, codestream), oracle.name)
            return
        decoded = we_decode(uid, held, codestream, colour=colour_of(case))
        assert resembles(uid, case, image(uid, case), decoded), "not what was encoded"

    all_cases(uid, "they encode", oracle, compare, lambda: encode(CASES[uid][0]))


def all_cases(uid, direction, oracle, compare, ask):
    """Fill a cell of the table: every case is compared, or is known to be unlike."""
    cell = (SYNTAXES[uid]["name"], direction, oracle.name)
    if cell in NOT_THERE:
        if not NOT_THERE[cell].startswith("we "):
            with pytest.raises(NotAskedError):
                ask()
        return
    wrong = {}
    for case in CASES[uid]:
        if unlike(uid, case, direction, oracle.name):
            continue
        try:
            compare(case)
        except Exception as error:
            wrong[str(case)] = str(error).strip().partition("\n")[0]
    assert wrong == {}, cell
    shown.add(cell)


def test_every_entry_of_what_is_unlike_was_met():
    assert [entry for entry in UNLIKE if not entry.met] == []


def test_every_cell_of_the_table_of_codecs_is_shown():
    names = [SYNTAXES[uid]["name"] for uid in CASES]
    wanted = {
        (name, way, oracle.name) for name in names for way in DIRECTIONS for oracle in ORACLES
    }
    assert wanted - shown - set(NOT_THERE) == set()
    assert set(NOT_THERE) & shown == set()
