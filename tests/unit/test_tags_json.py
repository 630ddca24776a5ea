"""The tags of an instance in the three JSON forms of the REST interface."""

import json
import warnings
from io import BytesIO
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from vna import _core
from vna.errors import EncodingError

PACKAGED = Path(pydicom.data.__file__).parent / "test_files"


def file_of(dataset: Dataset, *, implicit: bool = False) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" + ("" if implicit else ".1")
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def tags(data: bytes, form: str = "full", **options) -> dict:
    def no_duplicates(pairs):
        assert len({name for name, _ in pairs}) == len(pairs), "every name once"
        return dict(pairs)

    return json.loads(_core.tags_json(data, form, **options), object_pairs_hook=no_duplicates)


def phantom() -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "Núñez^Íñigo"
    dataset.StudyDescription = ' a "b" \\c'
    dataset.Rows = 512
    dataset.PixelSpacing = [0.5, 0.25]
    dataset.FrameIncrementPointer = 0x00181063
    dataset.ReferencedImageSequence = Sequence([Dataset(), Dataset()])
    dataset.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    block = dataset.private_block(0x0029, "ACME 1.0", create=True)
    block.add_new(0x01, "LO", "private text")
    block.add_new(0x02, "OB", b"\1\2")
    dataset.RedPaletteColorLookupTableData = b"\0\1" * 8
    dataset.PixelData = b"\0" * 4
    dataset["PixelData"].VR = "OW"
    dataset.DataSetTrailingPadding = b"\0\0"
    return dataset


def test_the_full_form_names_and_types_every_element():
    assert tags(file_of(phantom())) == {
        "0008,0005": {"Name": "SpecificCharacterSet", "Type": "String", "Value": "ISO_IR 100"},
        "0008,1030": {"Name": "StudyDescription", "Type": "String", "Value": 'a "b" \\c'},
        "0008,1140": {
            "Name": "ReferencedImageSequence",
            "Type": "Sequence",
            "Value": [
                {
                    "0008,1155": {
                        "Name": "ReferencedSOPInstanceUID",
                        "Type": "String",
                        "Value": "1.2.3",
                    }
                },
                {},
            ],
        },
        "0010,0010": {"Name": "PatientName", "Type": "String", "Value": "Núñez^Íñigo"},
        "0028,0009": {"Name": "FrameIncrementPointer", "Type": "String", "Value": "0018,1063"},
        "0028,0010": {"Name": "Rows", "Type": "String", "Value": "512"},
        "0028,0030": {"Name": "PixelSpacing", "Type": "String", "Value": "0.5\\0.25"},
        "0028,1201": {"Name": "RedPaletteColorLookupTableData", "Type": "Null", "Value": None},
        "0029,0010": {"Name": "PrivateCreator", "Type": "String", "Value": "ACME 1.0"},
        "0029,1001": {
            "Name": "Unknown Tag & Data",
            "PrivateCreator": "ACME 1.0",
            "Type": "String",
            "Value": "private text",
        },
        "0029,1002": {
            "Name": "Unknown Tag & Data",
            "PrivateCreator": "ACME 1.0",
            "Type": "Null",
            "Value": None,
        },
        "7fe0,0010": {"Name": "PixelData", "Type": "Null", "Value": None},
    }


def test_what_stands_behind_the_pixel_data_comes_on_request():
    data = file_of(phantom())
    assert "fffc,fffc" not in tags(data)
    assert tags(data, whole=True)["fffc,fffc"]["Name"] == "DataSetTrailingPadding"


def test_the_short_and_the_simplified_form_hold_values_alone():
    data = file_of(phantom())
    short, simple = tags(data, "short"), tags(data, "simplify")
    assert short["0028,0010"] == simple["Rows"] == "512"
    assert short["0008,1140"] == [{"0008,1155": "1.2.3"}, {}]
    assert simple["ReferencedImageSequence"] == [{"ReferencedSOPInstanceUID": "1.2.3"}, {}]
    assert short["7fe0,0010"] is None
    assert simple["PixelData"] is None


@pytest.mark.parametrize(("length", "kind"), [(256, "String"), (257, "TooLong"), (5000, "TooLong")])
def test_a_long_value_is_marked_unless_it_is_asked_for(length, kind):
    dataset = Dataset()
    dataset.ImageComments = "x" * length
    data = file_of(dataset)
    shown = "x" * length if kind == "String" else None
    element = tags(data)["0020,4000"]
    assert element == {"Name": "ImageComments", "Type": kind, "Value": shown}
    assert tags(data, "simplify") == {"ImageComments": shown}
    asked = tags(data, ignore_length=[0x00204000])["0020,4000"]
    assert (asked["Type"], asked["Value"]) == ("String", "x" * length)


def test_many_numbers_are_a_long_value_too():
    dataset = Dataset()
    dataset.SimpleFrameList = list(range(100, 400))
    assert tags(file_of(dataset))["0008,1161"]["Type"] == "TooLong"
    dataset.SimpleFrameList = [1, 2]
    assert tags(file_of(dataset))["0008,1161"]["Value"] == "1\\2"
    dataset.SimpleFrameList = []
    assert tags(file_of(dataset))["0008,1161"] == {
        "Name": "SimpleFrameList",
        "Type": "Null",
        "Value": None,
    }


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize(("representation", "shown"), [(0, "65534"), (1, "-2")])
def test_pixel_values_have_the_sign_of_the_pixels(implicit, representation, shown):
    dataset = Dataset()
    dataset.PixelRepresentation = representation
    dataset.SmallestImagePixelValue = -2 if representation else 65534
    dataset["SmallestImagePixelValue"].VR = "SS" if representation else "US"
    data = file_of(dataset, implicit=implicit)
    assert tags(data, "simplify")["SmallestImagePixelValue"] == shown


def test_an_item_may_have_a_character_set_of_its_own():
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 144"
    item.PatientName = "Петров"
    dataset.OtherPatientIDsSequence = [item, Dataset()]
    dataset.OtherPatientIDsSequence[1].PatientName = "Müller"
    dataset.PatientComments = "é"
    simple = tags(file_of(dataset), "simplify")
    assert [item["PatientName"] for item in simple["OtherPatientIDsSequence"]] == [
        "Петров",
        "Müller",
    ]
    assert simple["PatientComments"] == "é"


def test_an_element_that_stands_twice_is_given_once():
    once = file_of(phantom())
    at = once.index(b"\x10\x00\x10\x00PN")
    end = at + 8 + int.from_bytes(once[at + 6 : at + 8], "little")
    other = once[at : at + 8] + b"X" * (end - at - 8)
    assert tags(once[:end] + other + once[end:]) == tags(once)
    unordered = once[:at] + b"\x28\x00\x02\x00US\x02\x00\x01\x00" + once[at:] + other
    assert tags(unordered, whole=True)["0010,0010"] == tags(once)["0010,0010"]


text = st.text(st.characters(codec="utf-8", exclude_characters="\\\0\x1b"), max_size=60)


@given(value=text, implicit=st.booleans())
def test_any_text_survives(value, implicit):
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.TextValue = value
    simple = tags(file_of(dataset, implicit=implicit), "simplify")
    # Leading spaces are significant in UT (PS3.5 §6.2).
    assert simple["TextValue"] == value.rstrip(" ")


@pytest.mark.parametrize("path", sorted(PACKAGED.glob("*.dcm")), ids=lambda path: path.name)
def test_packaged_files_have_the_elements_that_pydicom_finds(path):
    data = path.read_bytes()
    try:
        found = tags(data)
    except EncodingError as error:
        assert path.name in {"rtplan_truncated.dcm", "no_meta.dcm"}
        assert error.code in {"header.truncated", "file.not_dicom"}
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=False)
        expected = {
            f"{tag.group:04x},{tag.element:04x}" for tag in dataset._dict if tag <= 0x7FE00010
        }
        assert set(found) == expected
        for tag, element in found.items():
            sequence = dataset.get_item(int(tag.replace(",", ""), 16)).VR == "SQ"
            assert not sequence or element["Type"] == "Sequence"


def test_an_unknown_form_is_an_error():
    with pytest.raises(Exception, match="'simplify' are known"):
        _core.tags_json(file_of(phantom()), "long")
