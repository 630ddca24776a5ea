"""DICOM JSON and XML of real files against pydicom and DCMTK, and back into files.

pydicom's packaged files are always there; the folder of shared test data adds its own.
"""

from __future__ import annotations

import base64
import json
import math
import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
import test_scan_pydicom
from test_scan_pydicom import PACKAGED, SHARED, cases, dicom_files
from web_models import uris

from vna import _core
from vna.errors import EncodingError

Json = dict[str, Any]

# A value that pydicom does not give.
REFUSED: Json = {}


def ours(data: bytes) -> Json:
    return json.loads(_core.dicom_json(data, bulk_threshold=None, bulk_uri="."))


def theirs(dataset: pydicom.Dataset) -> Json:
    """pydicom's JSON but for the values that it refuses."""
    found: Json = {}
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            if element.VR == "SQ":
                found[f"{tag:08X}"] = {"vr": "SQ", "Value": [theirs(item) for item in element]}
            else:
                found[f"{tag:08X}"] = element.to_json_dict(None, 1 << 40)
                if "InlineBinary" in found[f"{tag:08X}"] and not dataset.original_encoding[1]:
                    # Given as it stands; JSON has little endian (PS3.18 F.2.7).
                    found[f"{tag:08X}"] = REFUSED
        except (ValueError, TypeError, OverflowError, AttributeError, NotImplementedError):
            found[f"{tag:08X}"] = REFUSED
    return found


def read(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path, force=True)


@pytest.fixture(autouse=True)
def anything_goes(monkeypatch):
    """Values that break the standard are given as they are, as we give them."""
    warnings.simplefilter("ignore")
    settings = pydicom.config.settings
    monkeypatch.setattr(settings, "reading_validation_mode", pydicom.config.IGNORE)
    monkeypatch.setattr(settings, "writing_validation_mode", pydicom.config.IGNORE)


def value(vr: str, one: Any) -> Any:
    """One value in the form that both agree on."""
    if vr in {"DS", "IS", "SV", "UV", "FL", "FD"} and one is not None:
        try:
            number = float(one)
        except ValueError:
            return str(one).strip()
        return "NaN" if math.isnan(number) else number
    if vr == "PN":
        groups = {key: text.rstrip("\0 ^").lstrip("\0 ") for key, text in (one or {}).items()}
        return {key: text for key, text in groups.items() if text} or None
    if isinstance(one, str):
        return one.strip("\0 ") or None
    return one


def values(vr: str, found: list) -> list:
    found = [value(vr, one) for one in found]
    return [] if found in ([None], [{}]) else found


def compare(our: Json, their: Json, path: str = "") -> list[str]:
    """What differs between a data set of ours and pydicom's."""
    differences = []
    for tag in sorted(our.keys() | their.keys()):
        if tag.endswith("0000") or tag[:4] in {"0002", "FFFE"}:
            continue  # group lengths have no place in JSON, the others none in a data set
        where = f"{path}{tag}"
        if tag not in our:
            if tag == "00080005":
                continue  # a data set that came through JSON names its set
            differences.append(f"{where} only in pydicom")
        elif tag not in their:
            differences.append(f"{where} only here: {our[tag]}")
        elif their[tag] is not REFUSED:
            differences += compare_attribute(our[tag], their[tag], where)
    return differences


def compare_attribute(our: Json, their: Json, where: str) -> list[str]:
    if our["vr"] != their["vr"]:
        # pydicom has dictionaries of private elements; "US or OW" is OW in implicit VR.
        private = int(where[-5], 16) % 2 == 1
        same = private or {our["vr"], their["vr"]} <= {"OB", "OW", "US", "UN", "SQ"}
        return [] if same else [f"{where} is {our['vr']}, in pydicom {their['vr']}"]
    if our["vr"] == "SQ":
        mine, others = our.get("Value", []), their.get("Value", [])
        if len(mine) != len(others):
            return [f"{where} has {len(mine)} items, in pydicom {len(others)}"]
        differences = []
        for number, (one, other) in enumerate(zip(mine, others, strict=True)):
            differences += compare(one, other, f"{where}/{number}/")
        return differences
    if "BulkDataURI" in our:
        return []
    if where.endswith("00080005"):
        return [] if our["Value"] == ["ISO_IR 192"] else [f"{where} is {our}"]
    mine, others = (values(our["vr"], it.get("Value", [])) for it in (our, their))
    if mine != others and not is_undecodable(others):
        return [f"{where} ({our['vr']}) {mine!r:.80}, in pydicom {others!r:.80}"]
    mine, others = (binary(it) for it in (our, their))
    return [] if mine == others else [f"{where} has other bytes"]


def binary(attribute: Json) -> bytes:
    found = base64.b64decode(attribute.get("InlineBinary", ""))
    return found + b"\0" * (len(found) % 2)


def is_undecodable(found: list) -> bool:
    """Whether a reader saw bytes that are no text, or XML had no way to say what it saw."""
    return "\ufffd" in json.dumps(found, ensure_ascii=False)


def check_file(path: Path) -> list[str]:
    data = path.read_bytes()
    try:
        our = ours(data)
    except EncodingError:
        return []  # tests of the scanner list what is refused, and why
    return compare(our, theirs(read(path))) + round_trip(data)


def round_trip(data: bytes) -> list[str]:
    """What a file loses on its way through each model; bulk data goes beside it."""
    json_text = _core.dicom_json(data, bulk_threshold=None)
    bulk_data = dict.fromkeys(uris(json.loads(json_text)), b"\x01\x02")
    through_json = _core.file_from_json(json_text, bulk_data=bulk_data)
    through_xml = _core.file_from_xml(
        _core.dicom_xml(data, bulk_threshold=None), bulk_data=bulk_data
    )
    first = ours(through_json)
    return compare(ours(data), first) + compare(first, ours(through_xml))


# Files that pydicom reads otherwise than we do, and why.
NO_ORACLE = {
    # pydicom does not know ISO_IR 203, and takes escape sequences of others for text.
    "derived-charsets/latin9.dcm",
    "derived-charsets/multi_2022.dcm",
    "derived-charsets/zh_2022_58.dcm",
    # Takes a private DS for FD.
    "derived-transfer-syntaxes/gray_1.2.840.10008.1.2_ImplicitVRLE.dcm",
} | test_scan_pydicom.NO_ORACLE

# Of the files of a folder, which resemble each other, so many are read.
FILES_OF_A_FOLDER = 12


@pytest.mark.parametrize("path", cases(PACKAGED))
def test_packaged_files_have_the_json_that_pydicom_gives(path):
    if str(path.relative_to(PACKAGED)) in NO_ORACLE:
        assert not round_trip(path.read_bytes())
    else:
        assert not check_file(path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared test data")
@pytest.mark.parametrize(
    "folder", sorted(p.name for p in SHARED.iterdir() if p.is_dir()) if SHARED.is_dir() else []
)
def test_shared_files_have_the_json_that_pydicom_gives(folder):
    files = [path for path in dicom_files(SHARED, SHARED / folder) if path.suffix != ".rle"]
    small = [path for path in files if path.stat().st_size < 1_000_000]
    if folder != "dicom-fuzzing-corpus":
        small = small[:: max(1, len(small) // FILES_OF_A_FOLDER)]
    failures = []
    for path in small:
        name = str(path.relative_to(SHARED))
        if name.removeprefix("pydicom/") not in NO_ORACLE:
            failures += [f"{name}: {difference}" for difference in check_file(path)]
    assert not failures


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared test data")
def test_texts_of_every_character_set_are_utf_8():
    folder = SHARED / "derived-charsets"
    cases = json.loads((folder / "expected.json").read_text())
    keywords = {"StudyDescription": "00081030", "InstitutionName": "00080080"}
    for case in cases:
        found = ours((folder / case["file"]).read_bytes())
        groups = found["00100010"]["Value"][0].values()
        assert "=".join(groups) == case["PatientName"], case["file"]
        for keyword, tag in keywords.items():
            shown = found[tag].get("Value", [""])
            assert shown == [case[keyword]], case["file"]
    assert len(cases) > 20
