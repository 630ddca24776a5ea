"""The rewriting engine against pydicom and dcmodify: the same edits give the same data sets.

Of pydicom's packaged files all are edited; of the folder of shared test data (`VNA_SHARED`, else
`shared` beside the repository) as well, with pixel data of up to some MB.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.tag import Tag
from support_dciodvfy import DCIODVFY
from test_reencode_pydicom import BROKEN, DEFLATED, differences, read, values
from test_scan_pydicom import NO_ORACLE, PACKAGED, SHARED, dicom_files

from vna import _core, testing
from vna.errors import EncodingError

KEY = "000102030405060708090a0b0c0d0e0f"
UIDS = {"Study": 0x0020000D, "Series": 0x0020000E, "Instance": 0x00080018}
NAME, BIRTH_DATE, DESCRIPTION, COMMENTS = 0x00100010, 0x00100030, 0x00081030, 0x00204000
REFERENCED_IMAGES, REFERENCED_UID = 0x00081140, 0x00081155
MAX_BYTES = 2_000_000
NAMED_CHARSETS = [
    path
    for path in sorted((PACKAGED / "charset_files").glob("chr*.dcm"))
    if "SQEncoding" not in path.name  # which name nobody
]


def rewritten(data: bytes, recipe: dict[str, object], scope=()) -> bytes:
    return _core.rewrite_file(json.dumps(recipe), data, scope=list(scope))


def edited(found: dict[int, object]) -> dict[int, object]:
    """What pydicom found, with the edits of RECIPE made in its dictionaries."""
    found = {tag: value for tag, value in found.items() if tag not in (BIRTH_DATE, COMMENTS)}
    found |= {NAME: b"Doe^Jane", DESCRIPTION: b"New", 0x00280030: b"1\\1"}
    images = found.get(REFERENCED_IMAGES)
    if isinstance(images, list):
        images = [{t: v for t, v in item.items() if t != REFERENCED_UID} for item in images]
        if images:
            images[0] |= {0x00081150: b"1.2.3"}
        found[REFERENCED_IMAGES] = images
    return found


RECIPE = {
    "remove": [
        "PatientBirthDate",
        "0020,4000",
        "ReferencedImageSequence[*].ReferencedSOPInstanceUID",
        "PatientName",
    ],
    "replace": {
        "PatientName": "Doe^Jane",
        "0008-1030": "New",
        "(0028,0030)": "1\\1",
        "ReferencedImageSequence[0].00081150": "1.2.3",
    },
}


def check(data: bytes) -> list[str]:
    """Return how the file that RECIPE makes differs from the one that pydicom would make."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = read(data)
        after = read(rewritten(data, RECIPE))
        found = differences(edited(values(before)), values(after))
        # UN of defined length that PS3.6 knows to be a sequence is written as what it is.
        found = [one for one in found if "b'\\xfe\\xff\\x00\\xe0" not in one or "7fe00010" in one]
        meta, kept = after.file_meta, before.file_meta
        if "TransferSyntaxUID" in kept:
            found += [] if meta.TransferSyntaxUID == kept.TransferSyntaxUID else ["syntax"]
        if after.get("SOPInstanceUID"):
            same = meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
            found += [] if same else ["(0002,0003) is not that of the data set"]
    return found


def is_edited(data: bytes) -> bool:
    """Whether we read the file at all; deflated ones are inflated before they are edited."""
    try:
        rewritten(data, {})
    except EncodingError as error:
        assert error.code in BROKEN | {"frames.deflated", "inflate.corrupt"}, error
        return False
    return True


@pytest.mark.parametrize("path", dicom_files(PACKAGED), ids=lambda p: str(p.relative_to(PACKAGED)))
def test_packaged_files_are_edited_as_pydicom_would(path):
    data = path.read_bytes()
    if is_edited(data):
        assert not check(data)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared test data")
def test_shared_files_are_edited_as_pydicom_would():
    failures = {}
    for path in dicom_files(SHARED):
        name = str(path.relative_to(SHARED))
        if name in NO_ORACLE or path.stat().st_size > MAX_BYTES or "dicom-fuzzing" in name:
            continue
        data = path.read_bytes()
        try:
            found = check(data)
        except EncodingError:
            continue
        if found:
            failures[name] = found
    assert not failures


@pytest.mark.parametrize("path", NAMED_CHARSETS, ids=lambda path: path.name)
def test_names_of_each_character_set_stay_what_they_are_beside_one_that_it_lacks(path):
    data = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = str(read(data).PatientName)
        after = read(rewritten(data, {"replace": {"StudyDescription": "Ƿ頭𝄞"}}))
        assert str(after.PatientName) == name
        assert after.StudyDescription == "Ƿ頭𝄞"
        assert after.SpecificCharacterSet in {"ISO_IR 192", "GB18030"}  # which hold everything


@settings(max_examples=60, deadline=None)
@given(
    file=testing.transfer_syntaxes()
    .filter(lambda uid: uid != DEFLATED)
    .flatmap(lambda uid: testing.files(transfer_syntax_uid=uid)),
    picks=st.lists(st.integers(0, 60), max_size=6),
)
def test_any_elements_are_removed_as_pydicom_would(file, picks):
    before = values(read(file.data))
    kept = {*UIDS.values(), 0x00100020, 0x00080005}
    tags = [tag for tag in before if tag not in kept]
    gone = {tags[pick % len(tags)] for pick in picks} if tags else set()
    recipe = {"remove": [f"{int(tag):08x}" for tag in gone]}
    left = {tag: value for tag, value in before.items() if tag not in gone}
    assert not differences(left, values(read(rewritten(file.data, recipe))))


def test_new_uids_are_those_of_all_references_within_the_scope():
    name = get_testdata_file("rtplan.dcm")
    data = Path(name).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = read(data)
    referenced = before.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID
    scope = [(level, before[tag].value) for level, tag in UIDS.items()] + [("Instance", referenced)]
    recipe = {"key": KEY, "level": "Study"}
    after = read(rewritten(data, recipe, scope))
    new = {level: after[tag].value for level, tag in UIDS.items()}
    assert all(uid.startswith("2.25.") for uid in new.values())
    moved = after.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID
    assert moved != referenced
    assert moved.startswith("2.25.")
    assert rewritten(data, recipe, scope) == rewritten(data, recipe, scope)
    outside = read(rewritten(data, recipe))
    kept = outside.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID
    assert kept == referenced


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "rtplan.dcm", "JPEG2000.dcm", "MR_small_bigendian.dcm"]
)
def test_dcmodify_makes_the_same_of_the_same_paths(name, tmp_path):
    tool = shutil.which("dcmodify")
    assert tool is not None, "make setup installs DCMTK"
    path = tmp_path / name
    path.write_bytes(Path(get_testdata_file(name)).read_bytes())
    ours = rewritten(
        path.read_bytes(),
        {
            "remove": ["StudyTime", "ReferencedStructureSetSequence[0].0008,1150"],
            "replace": {
                "PatientName": "Doe^Jane",
                "0010,0030": "19700101",
                "BeamSequence[*].BeamName": "B",
                "BeamSequence[0].ControlPointSequence[0].NominalBeamEnergy": "7",
            },
        },
    )
    edits = ["-i", "PatientName=Doe^Jane", "-i", "(0010,0030)=19700101", "-ea", "StudyTime"]
    if name == "rtplan.dcm":
        edits += ["-e", "ReferencedStructureSetSequence[0].(0008,1150)"]
        edits += ["-m", "BeamSequence[*].BeamName=B"]
        edits += ["-m", "BeamSequence[0].ControlPointSequence[0].NominalBeamEnergy=7"]
    subprocess.run([tool, "-q", "-nb", "-imt", *edits, path], check=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = values(read(path.read_bytes()))
        padding = {tag: value for tag, value in values(read(ours)).items() if tag == 0xFFFCFFFC}
        assert not differences(theirs | padding, values(read(ours)))  # dcmodify leaves it out


def test_dciodvfy_finds_no_more_wrong_than_before(tmp_path):
    def errors(data):
        (tmp_path / "file.dcm").write_bytes(data)
        done = subprocess.run([DCIODVFY, tmp_path / "file.dcm"], capture_output=True, check=False)
        lines = (done.stdout + done.stderr).decode("latin-1").splitlines()
        return {line for line in lines if line.startswith("Error")}

    told = {"at": "20260102030405", "system": "VNA", "source": "", "reason": "CORRECT"}
    recipe = {"key": KEY, "level": "Patient", "replace": {"PatientName": "A^B"}}
    for name in ("CT_small.dcm", "rtplan.dcm", "JPEG2000.dcm", "reportsi.dcm"):
        data = Path(get_testdata_file(name)).read_bytes()
        for form in (recipe, {**recipe, "original_attributes": told}):
            assert errors(rewritten(data, form)) <= errors(data), name


def test_private_elements_without_a_dictionary_keep_their_bytes():
    data = Path(get_testdata_file("nested_priv_SQ.dcm")).read_bytes()
    assert not differences(values(read(data)), values(read(rewritten(data, {}))))
    gone = read(rewritten(data, {"remove_private": True}))
    assert not [tag for tag in gone._dict if Tag(tag).is_private]
    assert all(dictionary_has_tag(tag) and dictionary_VR(tag) for tag in gone._dict)
