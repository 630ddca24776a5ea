"""Files that others wrote: every codec x samples x planar configuration x container form.

Each is decoded as anybody would, with `vna.pixel_array(file)`, and compared with what was
encoded, with what imagecodecs makes of the codestream where there was loss, and with pydicom. A
cell without a file says what forbids it; an empty one fails. Codestreams of odd lengths, which are
padded, are among those of every codec that has them.
"""

import functools
import io
import warnings

import numpy as np
import pytest
from pydicom.pixels import pixel_array as pydicom_pixel_array
from support_codecs import (
    BASELINE,
    HTJ2K,
    JPEG_2000,
    JPEG_LS,
    JPEG_LS_NEAR,
    LOSSY,
    NEAR,
    PLUGINS,
    RLE,
    SYNTAXES,
    file_of,
    imagecodecs_decode,
)
from support_codecs_files import (
    CODECS,
    FORMS,
    SAMPLES,
    encoded,
    expected,
    header_of,
    image,
    why_empty,
)

import vna

pytestmark = pytest.mark.peers

FRAMES = max(form.frames for form in FORMS)
# How far decoders of one lossy codestream are apart, in parts of the range.
TOLERANCE = {JPEG_2000: 1 / 255}

shown, odd_lengths, asked_of_pydicom = set(), set(), set()


@functools.cache
def frames_of(uid, case, planar):
    """Return codestreams and what is in them."""
    pixels = [image(uid, case, number) for number in range(FRAMES)]
    codestreams = [encoded(uid, case, planar, one) for one in pixels]
    # imagecodecs converts all colours of HTJ2K: RGB is compared with the image.
    if uid in LOSSY and (uid, case.colour) != (HTJ2K, "RGB"):
        held = [decoded_by_others(uid, case, one) for one in codestreams]
    else:
        held = [expected(uid, case, one) for one in pixels]
    return codestreams, held


def decoded_by_others(uid, case, codestream):
    """Return the samples as RGB, or grey."""
    return imagecodecs_decode(uid, case, codestream).reshape(case.shape)


def planar_configurations(case):
    return (0, 1) if case.samples_per_pixel == 3 and case.colour != "YBR_FULL_422" else (0,)


def check(uid, case, found, wanted):
    if len(wanted) == 1:
        found = found[np.newaxis]
    wanted = np.stack(wanted)
    assert found.shape == wanted.shape, f"{found.shape} is not {wanted.shape}"
    apart = int(np.abs(found.astype(np.int64) - wanted.astype(np.int64)).max())
    allowed = 0
    if uid == JPEG_LS_NEAR:
        allowed = NEAR
    elif uid in LOSSY and not (uid == BASELINE and case.samples_per_pixel == 1):
        span = (1 << case.stored) - 1
        allowed = max(1, int(span * TOLERANCE.get(uid, 3 / 255)))
    assert apart <= allowed, f"{apart} apart, {allowed} allowed"


def pydicom_is_wrong(uid, case, planar):
    """It believes headers on where colours stand, and does not carry on the sign of JPEG-LS."""
    return (planar == 1 and uid != RLE) or (
        uid == JPEG_LS and case.signed and case.stored < case.allocated
    )


def ask_pydicom(uid, case, data, found):
    """Compare with pydicom, which gives RGB as we do."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = pydicom_pixel_array(io.BytesIO(data), decoding_plugin=PLUGINS[uid])
    except (NotImplementedError, RuntimeError):
        return  # no decoder of its own for such samples
    if uid == JPEG_LS_NEAR:
        # What is coded with more bits than are stored may come out beyond them; ours is cut off.
        half = 1 << (case.stored - 1)
        ends = (-half, half - 1) if case.signed else (0, 2 * half - 1)
        theirs = np.clip(theirs, *ends)
    apart = int(np.abs(found.astype(np.int64) - theirs.astype(np.int64)).max())
    # Conversions to RGB are rounded otherwise; of halved chroma pydicom's decoder is another.
    span = (1 << case.stored) - 1
    converts = case.colour.startswith("YBR_F")
    allowed = max(1, int(span * 3 / 255)) if uid in LOSSY or converts else 0
    assert apart <= allowed, f"{apart} apart from pydicom"
    asked_of_pydicom.add(uid)


def compare(uid, case, planar, form):
    codestreams, held = (part[: form.frames] for part in frames_of(uid, case, planar))
    made = header_of(uid, case, planar, form.frames)
    form.put(made, codestreams)
    data = file_of(made)
    is_ybr = case.colour in ("YBR_FULL", "YBR_FULL_422")
    stored = vna.pixel_array(data, colour="stored") if is_ybr and uid not in LOSSY else None
    found = vna.pixel_array(data)
    check(uid, case, found if stored is None else stored, held)
    if uid in PLUGINS and not pydicom_is_wrong(uid, case, planar):
        ask_pydicom(uid, case, data, found)
    if any(len(one) % 2 for one in codestreams):
        odd_lengths.add(uid)


@pytest.mark.parametrize("uid", CODECS, ids=lambda uid: SYNTAXES[uid]["name"])
def test_files_that_others_wrote_are_decoded_exactly(uid):
    wrong = {}
    for case in SAMPLES:
        for planar in planar_configurations(case):
            for form in FORMS:
                if why_empty(uid, case, form):
                    continue
                try:
                    compare(uid, case, planar, form)
                except Exception as error:
                    what = str(error).strip().partition("\n")[0] or type(error).__name__
                    wrong[f"{case}, planar {planar}, {form}"] = what
                else:
                    shown.add((uid, case, planar, form))
    assert wrong == {}


def test_no_cell_of_the_matrix_of_files_is_empty():
    """Read after the tests above, and with all of them."""
    every = {
        (uid, case, planar, form)
        for uid in CODECS
        for case in SAMPLES
        for planar in planar_configurations(case)
        for form in FORMS
    }
    forbidden = {cell for cell in every if why_empty(cell[0], cell[1], cell[3])}
    assert {str(cell) for cell in every - forbidden - shown} == set()
    assert forbidden & shown == set()


def test_every_codec_that_can_was_shown_with_odd_lengths():
    # Segments of RLE are padded (PS3.5 §G.4).
    assert set(CODECS) - odd_lengths == {RLE}


def test_pydicom_was_asked_of_every_codec_that_it_has():
    assert asked_of_pydicom == set(PLUGINS) & set(CODECS)


def test_the_matrix_of_files_has_every_syntax_of_single_frames():
    """Multi-component JPEG 2000 is written by nobody; video is passed through."""
    known = {
        uid
        for uid, one in SYNTAXES.items()
        if one["decodes"] and one["compression"] in ("lossless", "lossy")
    }
    missing = {SYNTAXES[uid]["name"] for uid in known - set(CODECS)}
    assert all("Multi-component" in name for name in missing), missing
