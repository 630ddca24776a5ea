"""Frames of any lawful kind come back as they were from every codec that is lossless."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vna import _core
from vna.errors import UnsupportedImage
from vna.pixels import as_array
from vna.services.archive import helper_command

SYNTAXES = [
    one
    for one in json.loads(_core.pixel_syntaxes())
    if one["compression"] == "lossless" and one["encodes"]
]
# Bits of a sample that each takes (PS3.5 §8.2), where it is not 2 to 16.
MOST_BITS = {"1.2.840.10008.1.2.1.98": 32, "1.2.840.10008.1.2.8.1": 32, "1.2.840.10008.1.2.5": 32}


@st.composite
def frames(draw, most_bits=16):
    """Give a format and samples of it: flat, sloped or noise, of odd sizes."""
    rows, columns = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    colours = draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2", "RGB"]))
    allocated = draw(st.sampled_from([8, 16, 32] if most_bits == 32 else [8, 16]))
    stored = draw(st.integers(2, allocated))
    signed = colours != "RGB" and draw(st.booleans())
    per_pixel = 3 if colours == "RGB" else 1
    low = -(1 << (stored - 1)) if signed else 0
    high = low + (1 << stored) - 1
    shape = (rows, columns, per_pixel)
    kind = draw(st.sampled_from(["noise", "slope", "flat"]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if kind == "noise":
        samples = random.integers(low, high, shape, endpoint=True)
    elif kind == "slope":
        samples = np.linspace(low, high, rows * columns * per_pixel).astype(np.int64)
        samples = np.clip(samples, low, high).reshape(shape)
    else:
        samples = np.full(shape, random.integers(low, high, endpoint=True))
    described = {
        "rows": rows,
        "columns": columns,
        "samples_per_pixel": per_pixel,
        "bits_allocated": allocated,
        "bits_stored": stored,
        "sample": "signed" if signed else "unsigned",
        "photometric": colours,
    }
    return described, samples.astype(f"<{'i' if signed else 'u'}{allocated // 8}")


def there_and_back(uid, described, samples, **how):
    codestream, held = _core.encode_frame(
        samples.tobytes(), json.dumps(described).encode(), transfer_syntax_uid=uid, **how
    )
    decoded, found = _core.decode_frame(codestream, held, transfer_syntax_uid=uid, **how)
    return as_array(decoded, json.loads(found))


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax["name"])
def test_frames_come_back_bit_for_bit(syntax):
    uid = syntax["uid"]

    @settings(max_examples=40, deadline=None)
    @given(frame=frames(MOST_BITS.get(uid, 16)))
    def check(frame):
        described, samples = frame
        found = there_and_back(uid, described, samples)
        assert np.array_equal(found.reshape(samples.shape), samples)

    check()


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax["name"])
def test_frames_come_back_bit_for_bit_from_helper_processes(syntax):
    described = {
        "rows": 33,
        "columns": 17,
        "samples_per_pixel": 1,
        "bits_allocated": 16,
        "bits_stored": 12,
        "sample": "signed",
        "photometric": "MONOCHROME2",
    }
    samples = np.random.default_rng(1).integers(-2048, 2047, (33, 17), "<i2", endpoint=True)
    found = there_and_back(syntax["uid"], described, samples, helper_command=helper_command())
    assert np.array_equal(found, samples)


@given(
    uid=st.sampled_from([syntax["uid"] for syntax in SYNTAXES]),
    codestream=st.binary(max_size=300),
)
@settings(max_examples=200, deadline=None)
def test_bytes_that_are_no_codestream_are_a_named_error_or_pixels(uid, codestream):
    described = {
        "rows": 9,
        "columns": 7,
        "samples_per_pixel": 1,
        "bits_allocated": 16,
        "bits_stored": 12,
        "sample": "unsigned",
        "photometric": "MONOCHROME2",
    }
    try:
        decoded, _ = _core.decode_frame(
            codestream, json.dumps(described).encode(), transfer_syntax_uid=uid
        )
    except UnsupportedImage as error:
        assert error.code.startswith("codec.")
    else:
        assert len(decoded) == 9 * 7 * 2
