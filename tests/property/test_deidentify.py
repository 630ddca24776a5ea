"""De-identification by the profiles of PS3.15: nothing that was to go is left, wherever it hid.

Canaries are texts in every character set, put where names hide: attributes at any depth, private
ones, items that came as UN, behind a NUL, in the preamble and in File Meta Information. What the
profile does to each attribute of the dictionary is asked of Table E.1-1 as the source has it.
"""

import functools
import io
import json
import struct
import warnings
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataset import Dataset, FileMetaDataset
from test_strategies import slow

from vna import _core
from vna.errors import OutOfRange
from vna.testing import DataSet, Element, character_sets, write_file
from vna.testing.model import EXPLICIT_VR_BIG_ENDIAN
from vna.testing.values import TEXT
from vna.testing.writer import Encoding, write_data_set

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
KEY, OTHER_KEY = "00112233445566778899aabbccddeeff", "ff" * 16
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
EDITIONS = ("2008", "2017c", "2021b", "2023b", "2024b", "2026c")
TABLES = Path(__file__).parents[2] / "core-rs/dicom/src/edit/profile"

# Sequences of which the profile says nothing, and one that it says to make up.
KEPT_SEQUENCE, MADE_UP_SEQUENCE = 0x0008_2218, 0x0040_A730
REFERENCED_IMAGE_SEQUENCE = 0x0008_1140
MANUFACTURER, CODE_MEANING, TEXT_VALUE = 0x0008_0070, 0x0008_0104, 0x0040_A160
TRAILING_PADDING, UNKNOWN = 0xFFFC_FFFC, 0x0008_7777
CURVE_LABEL, OVERLAY_COMMENTS = 0x5004_2500, 0x6002_4000


def deidentified(data, *options, version="2023b", key=KEY, **more):
    """Rewrite a file by a profile."""
    recipe = {"key": key, "profile": {"version": version, "options": options}, **more}
    return _core.rewrite_file(json.dumps(recipe), data)


def read(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(data), force=True)


@functools.cache
def rows():
    """Return the rows of the tables by tag: edition and action of the basic profile."""
    found = {}
    for line in (TABLES / "e1_1.tsv").read_text().splitlines():
        if not line.startswith("#"):
            tag, edition, action, *_ = line.split("\t")
            found[tag] = (edition, action)
    for line in (TABLES / "beyond.tsv").read_text().splitlines():
        if not line.startswith("#"):
            tag, action, *_ = line.split("\t")
            found[tag] = (EDITIONS[0], action)
    return found


def has_row(tag, version):
    """Whether an edition says what to do with an attribute."""
    text = f"{tag:08x}"
    if text.startswith("50"):
        text = "50xxxxxx"
    elif text.startswith("60") and text[4:] in ("3000", "4000"):
        text = f"60xx{text[4:]}"
    edition, _ = rows().get(text, (None, None))
    return edition is not None and EDITIONS.index(edition) <= EDITIONS.index(version)


# Canaries


def identities():
    return (
        Element(0x0008_0016, "UI", (SECONDARY_CAPTURE,)),
        Element(0x0008_0018, "UI", ("1.2.3.4",)),
        Element(0x0010_0020, "LO", ("P1",)),
        Element(0x0020_000D, "UI", ("1.2.3.5",)),
        Element(0x0020_000E, "UI", ("1.2.3.6",)),
    )


@functools.cache
def hidden_tags():
    """Return attributes of text that the profile lets nobody see, with their VRs."""
    vrs = {tag: entry[0] for tag, entry in DicomDictionary.items() if entry[0] in TEXT}
    taken = {element.tag for element in identities()}
    return [
        (tag, vr) for tag, vr in sorted(vrs.items()) if has_row(tag, "2023b") and tag not in taken
    ]


@st.composite
def canaries(draw, character_set):
    """Draw a text that nothing else holds, of letters beyond ASCII where there are some."""
    alphabet = character_set.alphabet or "ABCDEFGHJKLMNPQRSTUVWXYZ"
    letters = draw(st.lists(st.sampled_from(alphabet), min_size=6, max_size=6))
    return "".join(letters)


def text(tag, vr, canary):
    """Return an element of a text."""
    return Element(tag, vr, (canary,))


@st.composite
def hiding_places(draw, character_set, canary, depth=2):
    """Draw an element that hides a canary somewhere."""
    places = ["attribute", "behind NUL", "private", "creator", "unknown", "curve", "overlay"]
    places += ["padding", "UN sequence", "document"]
    if depth:
        places += ["kept sequence", "made-up sequence", "private sequence", "code", "content"]
    place = draw(st.sampled_from(places))
    if place == "attribute":
        tag, vr = draw(st.sampled_from(hidden_tags()))
        return (text(tag, vr, canary),)
    if place in ("kept sequence", "made-up sequence", "private sequence"):
        inner = draw(hiding_places(character_set, canary, depth - 1))
        undefined = draw(st.booleans())
        item = DataSet(tuple(sorted(inner, key=lambda element: element.tag)), undefined)
        if place == "private sequence":
            creator = text(0x0099_0010, "LO", "SOMEBODY")
            return (creator, Element(0x0099_1002, "SQ", (item,), undefined))
        tag = KEPT_SEQUENCE if place == "kept sequence" else MADE_UP_SEQUENCE
        return (Element(tag, "SQ", (item,), undefined),)
    encoded = character_set.encode(canary)
    encoded += b" " * (len(encoded) % 2)
    if place == "UN sequence":
        item = DataSet((text(0x0010_4000, "LT", canary),))
        inner = write_data_set(item, Encoding(implicit=True), character_set)
        value = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
        return (Element(REFERENCED_IMAGE_SEQUENCE, "UN", value),)
    return {
        "behind NUL": (text(MANUFACTURER, "LO", f"ACME\0{canary}"),),
        "private": (text(0x0099_0010, "LO", "SOMEBODY"), text(0x0099_1001, "LT", canary)),
        "creator": (text(0x0099_0011, "LO", canary), text(0x0099_1101, "LT", "x")),
        "unknown": (text(UNKNOWN, "LO", canary),),
        "curve": (text(CURVE_LABEL, "LO", canary),),
        "overlay": (text(OVERLAY_COMMENTS, "LT", canary),),
        "padding": (Element(TRAILING_PADDING, "OB", encoded),),
        "document": (Element(0x0042_0011, "OB", encoded),),
        "code": (item_of(MADE_UP_SEQUENCE, text(CODE_MEANING, "LO", canary)),),
        "content": (item_of(KEPT_SEQUENCE, text(TEXT_VALUE, "UT", canary)),),
    }[place]


def item_of(sequence, *elements):
    return Element(sequence, "SQ", (DataSet(elements),))


@st.composite
def files_with_canaries(draw):
    """Draw a file, and the bytes of canaries that hide in it."""
    character_set = draw(character_sets())
    terms = Element(0x0008_0005, "CS", character_set.values)
    data_set = DataSet((terms,) if character_set.values else ()).with_elements(*identities())
    found = set()
    for _ in range(draw(st.integers(1, 6))):
        canary = draw(canaries(character_set))
        found.add(canary)
        data_set = data_set.with_elements(*draw(hiding_places(character_set, canary)))
    syntax = draw(st.sampled_from([IMPLICIT, EXPLICIT, EXPLICIT_VR_BIG_ENDIAN]))
    data = write_file(data_set, syntax)
    encoded = {form for canary in found for form in (character_set.encode(canary), canary.encode())}
    return data, encoded


@settings(slow, max_examples=300)
@given(files_with_canaries())
def test_no_text_survives_wherever_it_hides(drawn):
    data, hidden = drawn
    made = deidentified(data)
    assert [canary for canary in hidden if canary in made] == []
    assert read(made).PatientIdentityRemoved == "YES"


@settings(slow, max_examples=50)
@given(files_with_canaries(), st.sampled_from(EDITIONS))
def test_the_same_file_and_key_give_the_same_bytes(drawn, version):
    data, _ = drawn
    made = deidentified(data, version=version)
    assert made == deidentified(data, version=version)
    assert made != deidentified(data, version=version, key=OTHER_KEY)


def with_meta(data, canary):
    """Give a file a preamble and File Meta Information that say who sent it to whom."""
    length = struct.unpack_from("<I", data, 140)[0]
    meta, data_set = data[144 : 144 + length], data[144 + length :]
    for element, vr in ((0x0016, b"AE"), (0x0017, b"AE"), (0x0018, b"AE")):
        meta += struct.pack("<HH2sH", 2, element, vr, len(canary)) + canary
    meta += struct.pack("<HH2sHI", 2, 0x0026, b"UR", 0, len(canary)) + canary
    meta += struct.pack("<HH2sH", 2, 0x0100, b"UI", 4) + b"1.2\0"
    meta += struct.pack("<HH2sHI", 2, 0x0102, b"OB", 0, len(canary)) + canary
    head = canary.ljust(128, b"\0") + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta))
    return head + meta + data_set


def test_preamble_and_file_meta_say_nothing_of_before():
    data = with_meta(write_file(DataSet(identities()), EXPLICIT), b"KANARIEN")
    assert read(data).file_meta.PrivateInformation == b"KANARIEN"
    made = deidentified(data)
    assert b"KANARIEN" not in made
    assert made[:128] == bytes(128)
    assert {element.keyword for element in read(made).file_meta} == {
        "FileMetaInformationGroupLength",
        "FileMetaInformationVersion",
        "MediaStorageSOPClassUID",
        "MediaStorageSOPInstanceUID",
        "TransferSyntaxUID",
        "ImplementationClassUID",
        "ImplementationVersionName",
    }
    assert read(made).file_meta.MediaStorageSOPInstanceUID == read(made).SOPInstanceUID


# Every attribute of the dictionary


def value_of(vr, tag):
    """Return a value of a VR that is unlike those of other tags, as far as the VR allows it."""
    name = f"{tag:08X}"
    return {
        "AS": "033Y", "AT": 0x0010_0010, "DA": "19770317", "DS": "7.25", "DT": "19770317101112.5",
        "FL": 7.25, "FD": 7.25, "IS": "77", "TM": "101112", "UI": f"1.2.3.{tag}",
        "SL": 77, "SS": 77, "SV": 77, "UL": 77, "US": 77, "UV": 77, "UR": f"http://{name}",
        "OB": name.encode(), "OD": name.encode(), "OF": name.encode(), "OL": name.encode(),
        "OV": name.encode(), "OW": name.encode(), "UN": name.encode(),
    }.get(vr, f"K{name}")  # fmt: skip


@functools.cache
def everything():
    """Return a data set of every attribute of the dictionary, but sequences and pixels."""
    found = Dataset()
    groups = {0x0000, 0x0002, 0x7FE0, 0xFFFE}
    for tag, (vr, *_) in DicomDictionary.items():
        vr = vr.partition(" or ")[0]
        # Of some that were retired long ago not even the name is left; we do not know them either.
        nameless = not keyword_for_tag(tag)
        if tag >> 16 in groups or tag & 0xFFFF == 0 or vr in ("SQ", "NONE", "") or nameless:
            continue
        found.add_new(tag, vr, value_of(vr, tag))
    found.SpecificCharacterSet = "ISO_IR 100"
    found.SOPClassUID = SECONDARY_CAPTURE
    return found


def as_file(data_set):
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = EXPLICIT
    data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    written = io.BytesIO()
    data_set.save_as(written, enforce_file_format=True)
    return written.getvalue()


# What says what was done, and how long the document is that takes the place of another.
SAID = {0x0012_0062, 0x0012_0063, 0x0012_0064, 0x0028_0303, 0x0042_0015}


@pytest.mark.parametrize("version", EDITIONS)
def test_of_every_attribute_of_the_dictionary_those_with_a_row_go_and_the_others_stay(version):
    before = everything()
    data_set = Dataset()
    data_set.update(before)
    item = Dataset()
    item.update({tag: element for tag, element in before.items() if tag >> 16 != 0xFFFC})
    item_tag = pydicom.tag.Tag(KEPT_SEQUENCE)
    data_set.add_new(item_tag, "SQ", [item])
    made = deidentified(as_file(data_set), version=version)
    after = read(made)
    wrong = []
    for where, now in (("outermost", after), ("item", after[item_tag].value[0])):
        for element in before:
            tag = int(element.tag)
            new = now.get(element.tag)
            stays = new is not None and new.value == element.value
            if tag in SAID if where == "outermost" else tag not in item:
                continue
            if stays == has_row(tag, version):
                wrong.append((where, element.keyword, new and new.value))
    assert wrong == []
    hidden = [
        element.value.encode()
        for element in before
        if isinstance(element.value, str)
        and has_row(int(element.tag), version)
        and element.value.startswith("K")
    ]
    assert len(hidden) > 30
    assert [value for value in hidden if value in made] == []


def test_within_content_that_is_made_up_no_text_number_or_code_is_left():
    item = Dataset()
    item.update({tag: element for tag, element in everything().items() if tag >> 16 != 0xFFFC})
    data_set = as_file_with(0x0040_A730, item)
    after = read(deidentified(data_set)).ContentSequence[0]
    shape = {"CS", "IS", "AT", "SL", "SS", "SV", "UL", "US", "UV"}
    stays = {
        element.keyword
        for element in everything()
        if element.VR not in shape and after.get(element.tag) == element
    }
    classes = {keyword for keyword in stays if "SOPClass" in keyword or "UID" in keyword}
    assert stays - classes == set()


def as_file_with(sequence, item):
    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = SECONDARY_CAPTURE, "1.2.3.4"
    data_set.SpecificCharacterSet = "ISO_IR 100"
    data_set.PatientID, data_set.StudyInstanceUID = "P1", "1.2.3.5"
    data_set.SeriesInstanceUID = "1.2.3.6"
    data_set.add_new(sequence, "SQ", [item])
    return as_file(data_set)


# What it says of itself, and identities


def test_what_was_done_is_said_with_the_codes_of_the_standard():
    data = write_file(DataSet(identities()), EXPLICIT)
    options = ["RetainLongitudinalModifiedDates", "RetainDeviceIdentity"]
    said = read(deidentified(data, *options, version="2021b"))
    codes = [item.CodeValue for item in said.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107", "113109"]
    assert "PS 3.15-2021b Table E.1-1 Basic Profile" in said.DeidentificationMethod[0]
    assert said.LongitudinalTemporalInformationModified == "MODIFIED"


def test_no_conformance_is_claimed_for_what_was_kept_against_the_profile():
    data = write_file(DataSet(identities()), EXPLICIT)
    said = read(deidentified(data, keep=["PatientID"], force=True))
    assert said.PatientIdentityRemoved == "NO"
    assert "DeidentificationMethodCodeSequence" not in said
    assert said.DeidentificationMethod[-1] == "with exceptions that were asked for"


def test_pixels_that_show_a_name_are_not_said_to_be_anonymous():
    burned_in = Element(0x0028_0301, "CS", ("YES",))
    data = write_file(DataSet(identities()).with_elements(burned_in), EXPLICIT)
    made = read(deidentified(data))
    assert (made.BurnedInAnnotation, made.PatientIdentityRemoved) == ("YES", "NO")


@pytest.mark.parametrize("option", ["CleanDescriptors", "CleanPixelData", "Everything"])
def test_an_option_that_is_not_done_is_refused(option):
    data = write_file(DataSet(identities()), EXPLICIT)
    with pytest.raises(OutOfRange, match=option):
        deidentified(data, option)


@settings(slow, max_examples=50)
@given(st.dates(), st.dates(), st.text("ABC", min_size=1, max_size=3))
def test_dates_of_one_patient_are_shifted_alike(first, second, patient):
    shifts = set()
    for date in (first, second):
        written = date.strftime("%Y%m%d").rjust(8, "0")
        dates = (Element(0x0008_0020, "DA", (written,)), Element(0x0010_0020, "LO", (patient,)))
        data = write_file(DataSet(identities()).with_elements(*dates), EXPLICIT)
        made = read(deidentified(data, "RetainLongitudinalModifiedDates")).StudyDate
        if made != "19000101":  # before the year 1 there are none
            shifts.add((date - pydicom.valuerep.DA(made)).days)
    assert len(shifts) <= 1
    assert all(0 < days <= 3650 for days in shifts)


def test_patients_keep_apart_and_together():
    def identity(patient_id, name, key=KEY):
        who = (Element(0x0010_0010, "PN", (name,)), Element(0x0010_0020, "LO", (patient_id,)))
        data = write_file(DataSet(identities()).with_elements(*who), EXPLICIT)
        made = read(deidentified(data, key=key))
        return made.PatientID, str(made.PatientName)

    one = identity("P1", "Doe^John")
    assert one == identity("P1", "DOE^JOHN")
    assert (
        len({one[0], identity("P2", "Doe^John")[0], identity("P1", "Doe^John", OTHER_KEY)[0]}) == 3
    )
    assert one[1].startswith("Anonymized")
    assert identity("", "Doe^John")[0] != identity("", "Roe^Jane")[0]
