"""Pixels of a file, by decoders that are not ours."""

import io
import zlib

import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import generate_frames
from pydicom.pixels import convert_color_space

# What pydicom has no decoder for.
ENCAPSULATED_UNCOMPRESSED, DEFLATED_FRAME = "1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.8.1"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"


def pixels_of(file):
    """Return the samples of an object, colours as RGB, by decoders that are not ours."""
    data_set = pydicom.dcmread(io.BytesIO(file))
    uid = data_set.file_meta.TransferSyntaxUID
    if uid in (ENCAPSULATED_UNCOMPRESSED, DEFLATED_FRAME):
        (frame,) = generate_frames(data_set.PixelData, number_of_frames=1)
        if uid == DEFLATED_FRAME:
            frame = zlib.decompressobj(-15).decompress(frame)
        shape = (data_set.Rows, data_set.Columns, data_set.SamplesPerPixel)
        count = int(np.prod(shape))
        pixels = np.frombuffer(frame, f"<u{data_set.BitsAllocated // 8}", count)
        pixels = pixels.reshape(shape)[..., 0] if shape[2] == 1 else pixels.reshape(shape)
        if data_set.PhotometricInterpretation.startswith("YBR_FULL"):
            pixels = convert_color_space(pixels, "YBR_FULL", "RGB")
        return pixels
    if uid == JPEG_EXTENDED and data_set.BitsStored > 8:
        (frame,) = generate_frames(data_set.PixelData, number_of_frames=1)
        return imagecodecs.jpeg8_decode(frame)
    return data_set.pixel_array
