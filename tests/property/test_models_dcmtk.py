"""DICOM JSON and XML beside those of DCMTK, which `make test` installs."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess

import pytest
from test_models_pydicom import Json, compare, ours
from test_scan_pydicom import PACKAGED

from vna import _core

# Of each kind of object and encoding, with the character sets that DCMTK reads without help.
FILES = [
    "charset_files/chrArab.dcm",
    "charset_files/chrFrenMulti.dcm",
    "charset_files/chrGerm.dcm",
    "charset_files/chrGreek.dcm",
    "charset_files/chrHbrw.dcm",
    "charset_files/chrRuss.dcm",
    "test_files/CT_small.dcm",
    "test_files/ExplVR_BigEnd.dcm",
    "test_files/MR_small_bigendian.dcm",
    "test_files/MR_small_implicit.dcm",
    "test_files/image_dfl.dcm",
    "test_files/liver_1frame.dcm",
    "test_files/nested_priv_SQ.dcm",
    "test_files/reportsi.dcm",
    "test_files/rtdose.dcm",
    "test_files/rtplan.dcm",
    "test_files/rtstruct.dcm",
    "test_files/test-SR.dcm",
    "test_files/waveform_ecg.dcm",
]


def run(tool: str, *arguments: str) -> bytes:
    path = shutil.which(tool)
    assert path, f"{tool} is missing: install dcmtk, as make test does"
    done = subprocess.run([path, "--quiet", *arguments], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def single_precision(number: float) -> float:
    """Return the float that a number stands for; DCMTK prints nine digits of it."""
    (found,) = struct.unpack("f", struct.pack("f", number))
    return found


def comparable(found: Json, *, binary: bool) -> Json:
    """Leave out what DCMTK gives otherwise, and why ours is right is tested elsewhere."""
    kept = {}
    for tag, attribute in found.items():
        # DCMTK has dictionaries of private elements.
        if tag[3] in "13579BDF" and attribute["vr"] != "SQ":
            continue
        one = dict(attribute)
        if one["vr"] == "SQ":
            one["Value"] = [comparable(item, binary=binary) for item in one.get("Value", [])]
        elif one["vr"] == "FL":
            one["Value"] = [single_precision(number) for number in one.get("Value", [])]
        elif not binary:
            # In XML it gives binary values big endian, in JSON little endian as we do.
            one.pop("InlineBinary", None)
        kept[tag] = one
    return kept


@pytest.mark.parametrize("name", FILES)
def test_json_is_that_of_dcm2json(name):
    path = PACKAGED / name
    theirs = json.loads(run("dcm2json", "--encode-extended", str(path)))
    found = compare(
        comparable(ours(path.read_bytes()), binary=True), comparable(theirs, binary=True)
    )
    assert not found


@pytest.mark.parametrize("name", FILES)
def test_xml_of_dcm2xml_is_read_and_says_what_ours_says(name):
    path = PACKAGED / name
    native = ["--native-format", "--encode-base64", "--load-all"]
    theirs = ours(_core.file_from_xml(run("dcm2xml", *native, str(path))))
    found = compare(
        comparable(ours(path.read_bytes()), binary=False), comparable(theirs, binary=False)
    )
    assert not found
