"""The re-encoder against pydicom: what it writes, pydicom reads as it reads what came.

pydicom's packaged files go from each uncompressed transfer syntax to each other; those of the
folder of shared test data (`VNA_SHARED`, else `shared` beside the repository) to one other each,
so that all of them together stay fast. DCMTK's `dcmdump` and `dcmconv`, where they are installed,
say the same of a few.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import warnings
import zlib
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from scanned import scanned
from test_scan_pydicom import NO_ORACLE, PACKAGED, SHARED, dicom_files
from test_strategies import differences as model_differences
from test_strategies import readable, slow

from vna import _core, testing
from vna.errors import EncodingError, NotImplementedYet
from vna.testing.model import PIXEL_DATA
from vna.testing.writer import as_readable

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, BIG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
UNCOMPRESSED = (IMPLICIT, EXPLICIT, DEFLATED, BIG)

UNITS = {
    "US": 2, "SS": 2, "OW": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4,
    "FD": 8, "OD": 8, "OV": 8, "SV": 8, "UV": 8,
}  # fmt: skip


def read(data: bytes) -> pydicom.FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(data), force=True)


def written_vr(raw: RawDataElement) -> str:
    """The VR that the bytes of a value are written for."""
    if raw.VR is not None:
        return raw.VR
    try:
        return dictionary_VR(raw.tag)
    except KeyError:
        return "UN"


def little_endian(raw: RawDataElement) -> bytes:
    value = raw.value or b""
    unit = UNITS.get(written_vr(raw).split(" or ")[-1], 1)
    whole = len(value) // unit * unit
    if raw.is_little_endian or unit == 1:
        return value
    units = [value[at : at + unit][::-1] for at in range(0, whole, unit)]
    return b"".join(units) + value[whole:]


def values(data_set: pydicom.Dataset) -> dict[int, object]:
    """What a data set holds, as pydicom found it, without decoding: padding off, little endian."""
    found: dict[int, object] = {}
    for tag in data_set._dict:
        # Group lengths count bytes of one encoding; a delimiter is no element but in pydicom.
        if tag.element == 0 or tag.group == 0xFFFE:
            continue
        raw = data_set.get_item(tag)
        is_raw = isinstance(raw, RawDataElement)
        if tag == 0x00280103:  # decoded early in one encoding, late in another
            found[tag] = data_set[tag].value
            continue
        if is_raw and written_vr(raw) != "SQ":
            found[tag] = little_endian(raw).rstrip(b"\0 ")
            continue
        element = data_set[tag] if is_raw else raw
        if element.VR == "SQ" or isinstance(element.value, pydicom.Sequence):
            found[tag] = [values(item) for item in element.value]
        else:  # what pydicom decodes while it reads
            found[tag] = element.value if element.value not in ("", None) else b""
    return found


def differences(before: dict[int, object], after: dict[int, object], path: str = "") -> list[str]:
    found = [f"{path}{tag:08x} is not on both sides" for tag in before.keys() ^ after.keys()]
    for tag in before.keys() & after.keys():
        ours, theirs = after[tag], before[tag]
        if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
            for number, (item, other) in enumerate(zip(ours, theirs, strict=True)):
                found += differences(other, item, f"{path}{tag:08x}[{number}].")
        elif ours != theirs and not (ours in (b"", []) and theirs in (b"", [])):
            found.append(f"{path}{tag:08x} {theirs!r:.80} became {ours!r:.80}")
    return found


def vr_differences(before: pydicom.Dataset, after: pydicom.Dataset) -> list[str]:
    """Where Implicit VR leaves a choice, pydicom chooses while it decodes."""
    found = []
    for tag in after._dict:
        raw = after.get_item(tag)
        if tag.is_private or not isinstance(raw, RawDataElement) or raw.VR in (None, "UN", "SQ"):
            continue
        if tag.element == 0 or tag not in before._dict:
            continue
        if tag in (0x7FE00010, 0x00283006):  # we say OB of bytes; LUT Data is OW here, rarely US
            continue
        try:
            expected = before[tag].VR
        except Exception:  # a value that pydicom does not decode
            continue
        if expected != raw.VR:
            found.append(f"{tag} is {raw.VR}, pydicom says {expected}")
    return found


def check(data: bytes, target: str) -> None:
    """Raises AssertionError if `data` written in `target` holds anything else than before."""
    out = _core.reencode(data, transfer_syntax_uid=target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, after = read(data), read(out)
        assert after.file_meta.TransferSyntaxUID == target
        found = differences(values(before), values(after))
        kept = {e.tag: e.value for e in before.file_meta if e.tag.element not in (0, 0x10)}
        meta = {e.tag: e.value for e in after.file_meta}
        found += [f"meta {tag} is {meta.get(tag)!r}" for tag in kept if meta.get(tag) != kept[tag]]
        if before.original_encoding[0] and target != IMPLICIT:
            found += vr_differences(before, after)
    assert not found, found
    if target == DEFLATED:
        stream = zlib.decompressobj(wbits=-15)
        stream.decompress(out[144 + int.from_bytes(out[140:144], "little") :])  # behind (0002,0000)
        assert stream.eof
    assert len(out) % 2 == 0


def refusal(data: bytes) -> str | None:
    """The code of the error if a file is damaged or not native."""
    try:
        for target in (IMPLICIT, EXPLICIT):  # one of them is not what it is in
            _core.reencode(data, transfer_syntax_uid=target)
    except (EncodingError, NotImplementedYet) as error:
        return error.code
    return None


def transfer_syntax_uid(data: bytes) -> str:
    return _core.read_file(data)[0]


# Why some packaged files are not read at all: `test_scan_pydicom.REFUSED` says which.
BROKEN = {"header.truncated", "value.beyond_parent"}
PACKAGED_FILES = [path for path in dicom_files(PACKAGED) if path.stat().st_size < 3_000_000]


@pytest.mark.parametrize("path", PACKAGED_FILES, ids=lambda path: str(path.relative_to(PACKAGED)))
def test_packaged_files_hold_the_same_in_every_syntax(path):
    data = path.read_bytes()
    refused = refusal(data)
    if refused is not None:
        assert refused in {"transcode.unsupported", *BROKEN}
        return
    for target in UNCOMPRESSED:
        if target != transfer_syntax_uid(data):
            check(data, target)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared test data")
@pytest.mark.parametrize(
    "folder", sorted(p.name for p in SHARED.iterdir() if p.is_dir()) if SHARED.is_dir() else []
)
def test_shared_files_hold_the_same_in_another_syntax(folder):
    targets = cycle(UNCOMPRESSED)
    failures = []
    for path in dicom_files(SHARED, SHARED / folder):
        name = str(path.relative_to(SHARED))
        if name in NO_ORACLE or path.stat().st_size > 3_000_000:
            continue
        data = path.read_bytes()
        if refusal(data) is not None:
            continue
        own = transfer_syntax_uid(data)
        target = next(uid for uid in targets if uid != own)
        try:
            check(data, target)
        except AssertionError as error:
            failures.append(f"{name} to {target}: {error}")
    assert not failures


# Tag and VR of elements that both dictionaries know, and private ones that neither does.
TEXTS = ((0x00080060, "CS"), (0x00100010, "PN"), (0x00100020, "LO"), (0x0040A160, "UT"))
TEXTS += ((0x00204000, "LT"), (0x00080119, "UC"), (0x00091010, "UN"))
NUMBERS = ((0x00280010, "US"), (0x00181147, "CS"), (0x00089459, "FL"), (0x00189087, "FD"))
NUMBERS += ((0x00280009, "AT"), (0x7FE00001, "OV"), (0x00660040, "OL"), (0x60003000, "OW"))
SEQUENCES = ((0x00081140, "SQ"), (0x0040A730, "SQ"))

text = st.binary(max_size=40) | st.binary(min_size=1, max_size=1).map(lambda b: b * 70_000)
units = st.lists(st.binary(min_size=8, max_size=8), max_size=6).map(b"".join)


@st.composite
def data_sets(draw, depth: int = 3) -> list:
    """Elements as `write_file` takes them, each tag once."""
    kinds = TEXTS + NUMBERS + (SEQUENCES if depth else ())
    elements = []
    for tag, vr in draw(st.lists(st.sampled_from(kinds), max_size=6, unique=True)):
        if vr == "SQ":
            value = draw(st.lists(data_sets(depth - 1), max_size=3))
        else:
            value = draw(text if (tag, vr) in TEXTS else units)
        elements.append((tag, vr, value))
    return elements


def expected(elements: list) -> dict[int, object]:
    return {
        tag: [expected(item) for item in value] if vr == "SQ" else value.rstrip(b"\0 ")
        for tag, vr, value in elements
    }


@settings(max_examples=150, deadline=None)
@given(data_sets(), st.sampled_from(UNCOMPRESSED), st.sampled_from(UNCOMPRESSED))
def test_what_is_written_pydicom_reads_as_it_is(elements, first, second):
    data = _core.write_file(elements, transfer_syntax_uid=first)
    assert not differences(expected(elements), values(read(data)))
    again = _core.reencode(data, transfer_syntax_uid=second)
    assert not differences(expected(elements), values(read(again)))


def native_files():
    syntaxes = st.sampled_from(testing.UNCOMPRESSED)
    return syntaxes.flatmap(lambda uid: testing.files(tolerated=True, transfer_syntax_uid=uid))


def comparable(data_set, *, undefined_length: bool = False):
    """The same with sequences of one form, and without what another encoding cannot say."""
    elements = []
    for element in data_set:
        changed = element
        if element.vr == "SQ":
            items = tuple(
                comparable(item, undefined_length=undefined_length) for item in element.items
            )
            changed = replace(element, value=items, undefined_length=undefined_length)
        elif element.tag == PIXEL_DATA:
            changed = replace(element, vr="OW")  # or OB, if they are bytes
        elif element.tag == 0x00189445:  # PS3.6 names it without a VR, pydicom with one
            changed = replace(element, vr="UN")
        if changed.vr == "UN":
            changed = replace(changed, value=changed.value.rstrip(b"\0 "))
        elements.append(changed)
    return replace(data_set, elements=tuple(elements), undefined_length=undefined_length)


@slow
@given(file=native_files(), target=st.sampled_from(testing.UNCOMPRESSED))
def test_a_file_of_the_field_says_the_same_in_every_syntax(file, target):
    out = _core.reencode(file.data, transfer_syntax_uid=target)
    if target == file.transfer_syntax_uid:
        assert out == file.data
        return
    # Sequences leave with undefined lengths, which show them where no VR does.
    leaves = comparable(readable(file), undefined_length=True)
    expected = as_readable(leaves, testing.Encoding.of(target))
    assert not model_differences(comparable(scanned(out)), comparable(expected))


def plain_data_set(path: Path, folder: Path) -> bytes:
    """The data set as DCMTK writes it: Implicit VR, defined lengths, no group lengths."""
    out = folder / "plain.dcm"
    subprocess.run(["dcmconv", "-q", "+ti", "+e", "-g", path, out], check=True, timeout=30)
    data = out.read_bytes()
    return data[144 + int.from_bytes(data[140:144], "little") :]


@pytest.mark.skipif(shutil.which("dcmconv") is None, reason="DCMTK is not installed")
@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_bigendian.dcm",
        "rtplan.dcm",
        "liver_1frame.dcm",
        "image_dfl.dcm",
        "test-SR.dcm",
        "waveform_ecg.dcm",
        "examples_palette.dcm",
        "DICOMDIR-bigEnd",
    ],
)
def test_dcmtk_makes_the_same_of_what_came_and_of_what_leaves(name, tmp_path):
    path = next(PACKAGED.rglob(name))
    data = path.read_bytes()
    before = plain_data_set(path, tmp_path)
    for target in UNCOMPRESSED:
        ours = tmp_path / "ours.dcm"
        ours.write_bytes(_core.reencode(data, transfer_syntax_uid=target))
        assert plain_data_set(ours, tmp_path) == before
