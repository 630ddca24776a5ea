"""The association policy table that the data plane decides by.

Python compiles it from the configuration and publishes it whole; the data plane swaps it in and
never asks back for the usual association (PS3.8 §9.3.4 has the reasons of a rejection).
"""

from __future__ import annotations

import msgspec

from vna.settings import Dicom


def compile_policy(dicom: Dicom) -> bytes:
    """Return the policy table for `dicom` as the core reads it."""
    return msgspec.json.encode(dicom)
