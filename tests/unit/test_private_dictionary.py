"""Private elements of the configuration: in tags, in names, in what is written."""

import io
import json

import pydicom
import pytest
from pydicom.data import get_testdata_file

from vna import _core
from vna.errors import BadRequest, SettingsError
from vna.services.archive import Archive, TagsRequest
from vna.services.caller import Caller
from vna.services.query import find
from vna.settings import Given, build

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
ELEMENTS = [
    {"tag": "0031,0001", "vr": "US", "name": "ScannerMode", "creator": "ACME 1.0"},
    {"tag": "0031,1002", "vr": "LO", "name": "ScannerRoom", "creator": "ACME 1.0"},
]


@pytest.fixture(autouse=True)
def no_private_dictionary():
    yield
    _core.set_private_dictionary([])


def image(transfer_syntax_uid=IMPLICIT):
    """Return a CT image with elements in the second private block of its group."""
    image = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    image.private_block(0x0031, "OTHER", create=True).add_new(1, "UN", b"\1\0")
    block = image.private_block(0x0031, "ACME 1.0", create=True)
    block.add_new(1, "US", 258)
    block.add_new(2, "LO", "two")
    out = io.BytesIO()
    pydicom.dcmwrite(out, image)
    return _core.reencode(out.getvalue(), transfer_syntax_uid=transfer_syntax_uid)


CALLER = Caller(way_in="python")


def settings(root, elements):
    given = [
        Given("storage.root", str(root), "test", False),
        Given("dictionary.private", elements, "test", False),
    ]
    return build(given)


async def test_an_archive_knows_the_private_elements_of_its_configuration(tmp_path):
    archive = Archive(settings(tmp_path / "data", ELEMENTS))
    archive.attach()
    try:
        stored = json.loads(await archive.store(image(), CALLER))
        simplified = json.loads(
            await archive.tags("instances", stored["ID"], TagsRequest(form="simplified"), CALLER)
        )
        assert simplified["ScannerMode"] == "258"
        assert simplified["ScannerRoom"] == "two"
        full = json.loads(await archive.tags("instances", stored["ID"], TagsRequest(), CALLER))
        assert full["0031,1101"] == {
            "Name": "ScannerMode",
            "PrivateCreator": "ACME 1.0",
            "Type": "String",
            "Value": "258",
        }
        assert full["0031,1001"]["Name"] == "Unknown Tag & Data"
    finally:
        await archive.stop()


async def test_a_private_element_is_searched_by_its_name(tmp_path):
    # A query has a tag and no creator: the block is the one of the configuration.
    archive = Archive(settings(tmp_path / "data", [ELEMENTS[0] | {"tag": "0031,1101"}]))
    archive.attach()
    try:
        stored = json.loads(await archive.store(image(), CALLER))
        for value, expected in (("258", [stored["ID"]]), ("259", [])):
            query = {"Level": "Instance", "Query": {"ScannerMode": value}}
            assert json.loads(await find(archive, query, CALLER)) == expected
        with pytest.raises(BadRequest):
            await find(archive, {"Level": "Instance", "Query": {"ScannerRoom": "two"}}, CALLER)
    finally:
        await archive.stop()


def test_names_and_vrs_are_those_of_the_creator():
    _core.set_private_dictionary([(0x00310001, "US", "ScannerMode", "ACME 1.0")])
    assert _core.keyword(0x00314201, creator="ACME 1.0") == "ScannerMode"
    assert _core.keyword(0x00314201, creator="OTHER") is None
    assert _core.keyword(0x00314201) is None
    assert _core.tag_for_keyword("ScannerMode") == 0x00311001
    explicit = pydicom.dcmread(io.BytesIO(_core.reencode(image(), transfer_syntax_uid=EXPLICIT)))
    assert explicit.get_item(0x00311101).VR == "US"
    assert explicit.get_item(0x00311001).VR == "UN"
    assert explicit.get_item(0x00311102).VR == "UN"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "PatientName"}, "PS3.6"),
        ({"name": "ScannerRoom"}, "the name of two elements"),
        ({"tag": "0031,1002"}, "the tag and creator of another one"),
    ],
)
def test_a_dictionary_that_contradicts_itself_or_the_standard_keeps_the_archive_closed(
    tmp_path, wrong, message
):
    elements = [ELEMENTS[1], ELEMENTS[0] | wrong]
    with pytest.raises(SettingsError, match=message):
        Archive(settings(tmp_path / "data", elements))


def test_a_vr_that_does_not_exist_is_refused_with_the_configuration(tmp_path):
    with pytest.raises(SettingsError, match=r"dictionary\.private"):
        settings(tmp_path, [ELEMENTS[0] | {"vr": "ZZ"}])
