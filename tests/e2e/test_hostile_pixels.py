"""Pixel data that someone broke on purpose, sent to a running server that is then asked for it."""

import io
import json
import random
import re
import signal
import os
import time
from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian
from support import make_instance

from vna import _core

ROWS, COLUMNS = 24, 40
FORMATS = [
    {"bits_allocated": 8, "bits_stored": 8, "samples_per_pixel": 1, "photometric": "MONOCHROME2"},
    {"bits_allocated": 16, "bits_stored": 12, "samples_per_pixel": 1, "photometric": "MONOCHROME2"},
    {"bits_allocated": 8, "bits_stored": 8, "samples_per_pixel": 3, "photometric": "RGB"},
]
DATA = Path(__file__).parents[2] / "core-rs" / "codec" / "tests" / "data"
# What we do not encode, another encoder did.
OTHERS = {
    "1.2.840.10008.1.2.4.53": "spectral_12.jpg",
    "1.2.840.10008.1.2.4.55": "progressive_8.jpg",
    "1.2.840.10008.1.2.4.110": "rgb_8.jxl",
    "1.2.840.10008.1.2.4.111": "rgb_recompressed.jxl",
    "1.2.840.10008.1.2.4.112": "rgb_lossy.jxl",
}
