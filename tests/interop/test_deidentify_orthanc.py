"""What each DicomVersion removes, empties and replaces, here and at a real Orthanc.

Every attribute of the dictionary is asked about. Differences are in differences_deidentify.toml,
with reasons.
"""

import io
import json
import tomllib
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import DicomDictionary, RepeatersDictionary, keyword_for_tag
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from support_orthanc import Orthanc, peer_program

from vna import _core

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore::UserWarning")]

VERSIONS = ("2008", "2017c", "2021b", "2023b")
INTENDED = tomllib.loads(Path(__file__).with_name("differences_deidentify.toml").read_text())
KEY = "00112233445566778899aabbccddeeff"
EXPLICIT, SECONDARY_CAPTURE = "1.2.840.10008.1.2.1", "1.2.840.10008.5.1.4.1.1.7"
# What an instance needs.
NEEDED = {
    0x0008_0005: "ISO_IR 100",
    0x0008_0016: SECONDARY_CAPTURE,
    0x0008_0018: "1.2.3.4",
    0x0010_0020: "P1",
    0x0020_000D: "1.2.3.5",
    0x0020_000E: "1.2.3.6",
}
# Of File Meta Information, of commands, and pixels.
OTHER_GROUPS = {0x0000, 0x0002, 0x7FE0, 0xFFFE}
AT_ONCE = 400
VALUES = {
    "AE": "AETITLE", "AS": "033Y", "AT": 0x0010_0010, "CS": "CODE", "DA": "19770317", "DS": "7.25",
    "DT": "19770317101112.5", "FL": 7.25, "FD": 7.25, "IS": "77", "LO": "Long", "LT": "Text",
    "OB": b"12345678", "OD": b"12345678", "OF": b"12345678", "OL": b"12345678", "OV": b"12345678",
    "OW": b"12345678", "PN": "Doe^John", "SH": "Short", "SL": 77, "SS": 77, "ST": "Text", "SV": 77,
    "TM": "101112", "UC": "Chars", "UI": "1.2.3.7", "UL": 77, "UN": b"12345678", "UR": "http://x",
    "US": 77, "UT": "Text", "UV": 77,
}  # fmt: skip


def attributes():
    """Return every attribute with its VR; of a repeating group the first."""
    found = {int(mask.replace("x", "0"), 16): row for mask, row in RepeatersDictionary.items()}
    found |= DicomDictionary
    vrs = {tag: row[0].partition(" or ")[0] for tag, row in found.items()}
    wanted = {
        tag: vr
        for tag, vr in vrs.items()
        if vr in {*VALUES, "SQ"} and tag >> 16 not in OTHER_GROUPS and tag not in NEEDED
    }
    return sorted(wanted.items())


def instance(wanted, number):
    """Return a file that has some attributes."""
    data_set = Dataset()
    for tag, vr in wanted:
        item = Dataset()
        item.PatientSpeciesDescription = "Homo sapiens"  # stays anywhere but in what is made up
        data_set.add_new(tag, vr, [item] if vr == "SQ" else VALUES[vr])
    for tag, value in NEEDED.items():
        data_set.add_new(tag, DicomDictionary[tag][0], value)
    data_set.SOPInstanceUID = f"1.2.3.4.{number}"
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = EXPLICIT
    data_set.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    written = io.BytesIO()
    data_set.save_as(written, enforce_file_format=True)
    return written.getvalue()


def fates(before, after):
    """Return what became of each attribute."""
    old, new = (pydicom.dcmread(io.BytesIO(data)) for data in (before, after))

    def fate(element):
        now = new.get(element.tag)
        if now is None:
            return "removed"
        if now.is_empty:
            return "emptied"
        return "kept" if now.value == element.value else "replaced"

    return {int(element.tag): fate(element) for element in old}


class Theirs:
    """A real Orthanc, asked about any number of attributes."""

    def __init__(self, http):
        self.http = http
        self.uploads = 0

    def fates(self, wanted, version):
        """Return what becomes of attributes; `failed` of one with which nothing is answered."""
        self.uploads += 1
        data = instance(wanted, self.uploads)
        public_id = self.http.post("/instances", content=data).json()["ID"]
        answer = self.http.post(f"/instances/{public_id}/anonymize", json={"DicomVersion": version})
        self.http.delete(f"/instances/{public_id}")
        if answer.status_code == 200:
            return fates(data, answer.content)
        if len(wanted) == 1:
            return {wanted[0][0]: "failed"}
        half = len(wanted) // 2
        return self.fates(wanted[:half], version) | self.fates(wanted[half:], version)


def ours(wanted, version):
    data = instance(wanted, 0)
    recipe = {"key": KEY, "profile": {"version": version}}
    return fates(data, _core.rewrite_file(json.dumps(recipe), data))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    orthanc = Orthanc(peer_program(), tmp_path_factory.mktemp("orthanc"))
    try:
        yield Theirs(orthanc.start().http)
    finally:
        orthanc.stop()


def differences(version, theirs):
    wanted = attributes()
    assert len(wanted) > 4000
    found = {}
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        our, their = ours(some, version), theirs.fates(some, version)
        found |= {
            tag: (our[tag], their[tag]) for tag in our if our[tag] != their.get(tag, our[tag])
        }
    return found


def named(tag):
    return keyword_for_tag(Tag(tag)) or f"{tag:08x}"


def test_each_version_does_what_it_does_at_orthanc_or_there_is_a_reason(theirs):
    unmet = {entry["reason"] for entry in INTENDED["difference"]}
    unexplained = {}
    for version in VERSIONS:
        for tag, (our, their) in differences(version, theirs).items():
            for entry in INTENDED["difference"]:
                is_meant = (
                    version in entry.get("versions", VERSIONS)
                    and (our, their) == (entry["ours"], entry["theirs"])
                    and named(tag) in entry.get("attributes", [named(tag)])
                )
                if is_meant:
                    unmet.discard(entry["reason"])
                    break
            else:
                unexplained.setdefault((our, their), {}).setdefault(version, []).append(named(tag))
    assert unexplained == {}
    assert unmet == set(), "entries that no longer differ"
