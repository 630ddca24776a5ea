"""Pixels of DICOM files as numpy arrays, by the archive's own codecs: `pixel_array` for scripts."""

from __future__ import annotations

import json
import os
from typing import IO, TYPE_CHECKING, Any

from vna import _core

try:
    import numpy as np
except ImportError as error:
    raise ImportError("arrays need numpy: pip install 'vna[dicom]'", name="numpy") from error

if TYPE_CHECKING:
    import numpy.typing as npt

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]

# So many frames are asked for at once: what is decoded is held twice for a moment.
FRAMES_AT_ONCE = 16
KINDS = {"unsigned": "u", "signed": "i", "float": "f"}


def pixel_array(
    source: Source, frame: int | None = None, *, colour: str = "rgb"
) -> npt.NDArray[Any]:
    """Return the pixels of a DICOM file, of one frame (from 0) or of all.

    Every image transfer syntax is decoded; nothing but numpy is needed for it. Values are the
    stored ones, as `pydicom.pixels.pixel_array` has them: of Pixel Representation and Bits Stored,
    one-bit pixels as 0 and 1, no rescale, no palette.

    Parameters
    ----------
    source : path, bytes, or file object
        The file, as a path, as its bytes, or as something with ``read``.
    frame : int, optional
        Which frame; all of them if it is not given, then with one more dimension if there are
        several.
    colour : str, optional
        ``rgb``: YCbCr becomes RGB. ``stored``: colours as the file has them, with every sample of
        subsampled ones given.

    Returns
    -------
    numpy.ndarray
        Of shape ``(rows, columns)`` or ``(rows, columns, samples)``, with frames in front.

    Raises
    ------
    UnsupportedImage
        If there is no picture in it (video too is none), or it is damaged; `code` says how.
    EncodingError
        If it is no DICOM.
    BadRequest
        If there is no such frame.
    OSError
        If the path cannot be read.

    Examples
    --------
    >>> from vna import pixel_array
    >>> pixel_array("enhanced.dcm", 3).max()  # doctest: +SKIP
    4095
    """
    data = _bytes_of(source)
    if frame is not None:
        [(samples, description)] = _core.decode_frames(data, frames=[frame], colour=colour)
        return as_array(samples, json.loads(description)).copy()
    count = _core.number_of_frames(data)
    whole: npt.NDArray[Any] | None = None
    for first in range(0, count, FRAMES_AT_ONCE):
        numbers = list(range(first, min(first + FRAMES_AT_ONCE, count)))
        decoded = _core.decode_frames(data, frames=numbers, colour=colour)
        for number, (samples, description) in zip(numbers, decoded, strict=True):
            pixels = as_array(samples, json.loads(description))
            if count == 1:
                return pixels.copy()
            if whole is None:
                whole = np.empty((count, *pixels.shape), pixels.dtype)
            whole[number] = pixels
    assert whole is not None, "an image without frames is an error before"
    return whole


def as_array(samples: bytes, described: dict[str, Any]) -> npt.NDArray[Any]:
    """Return what `vna._core.decode_frame` gave as an array; it cannot be written to."""
    shape = [described["rows"], described["columns"]]
    if described["samples_per_pixel"] > 1:
        shape.append(described["samples_per_pixel"])
    allocated, stored = described["bits_allocated"], described["bits_stored"]
    if allocated == 1:
        packed = np.frombuffer(samples, np.uint8)
        count = int(np.prod(shape))
        return np.unpackbits(packed, count=count, bitorder="little").reshape(shape)
    kind = np.dtype(f"<{KINDS[described['sample']]}{allocated // 8}")
    pixels = np.frombuffer(samples, kind).reshape(shape)
    if stored < allocated and kind.kind != "f":
        # What is in the other bits does not count: old overlays, or the sign not carried on.
        unused = allocated - stored
        pixels = (pixels << unused) >> unused
    return pixels


def _bytes_of(source: Source) -> bytes:
    if isinstance(source, bytes):
        return source
    if isinstance(source, (bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            return file.read()
    return source.read()
