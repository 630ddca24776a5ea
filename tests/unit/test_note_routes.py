"""Ranges, conditions and names of notes, as requests and configurations write them."""

import pytest

from vna.errors import OutOfRange, RangeNotSatisfiable, SettingsError
from vna.rest.notes import byte_range, named
from vna.services.notes import Revision
from vna.settings import load

REFUSED = [
    "bytes=",
    "bytes=5",
    "bytes=0-1,3-4",
    "lines=0-3",
    "Bytes=0-4",
    "bytes=5-2",
    "bytes=120-",
]
REFUSED += ["bytes=-120", "bytes=0-120", "bytes=1000-"]


class FakeCall:
    """A request with one header."""

    def __init__(self, **headers):
        self.request = self
        self.headers = headers


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-4", (0, 5)),
        ("bytes= 0 - 4 ", (0, 5)),
        ("bytes=5-", (5, 120)),
        ("bytes=-3", (0, 4)),
        ("bytes=-0", (0, 1)),
        ("bytes=-", (0, 120)),
        ("bytes=a-b", (0, 120)),
        ("bytes=119-119", (119, 120)),
    ],
)
def test_ranges_are_read_as_clients_of_orthanc_know_them(header, part):
    assert byte_range(header, 120) == part


@pytest.mark.parametrize("header", REFUSED)
def test_a_range_that_is_not_there_is_refused(header):
    with pytest.raises(RangeNotSatisfiable):
        byte_range(header, 120)


def test_nothing_has_no_range():
    with pytest.raises(RangeNotSatisfiable):
        byte_range("bytes=0-0", 0)


@pytest.mark.parametrize("text", ['"3-ab"', "3-ab", ' "3-ab" '])
def test_a_revision_is_named_with_or_without_quotes(text):
    assert named(FakeCall(**{"If-Match": text}), "If-Match") == Revision(3, "ab")


@pytest.mark.parametrize(
    "text", ["", "*", "abc", '"abc"', '"0"', '"x-y"', '"-1-aa"', "9" * 40 + "-a"]
)
def test_what_names_no_revision_is_refused(text):
    with pytest.raises(OutOfRange):
        named(FakeCall(**{"If-Match": text}), "If-Match")


def test_nobody_needs_to_name_a_revision():
    assert named(FakeCall(), "If-Match") is None


def loaded(tmp_path, text):
    config = tmp_path / "vna.toml"
    config.write_text(text)
    return load(file=config)


def test_types_have_one_name_and_one_number(tmp_path):
    one = '[[notes.metadata]]\nname = "a"\nnumber = 1024\n'
    assert loaded(tmp_path, one).notes.metadata[0].number == 1024
    for other in ('name = "a"\nnumber = 1025', 'name = "b"\nnumber = 1024'):
        with pytest.raises(SettingsError, match=r"notes\.metadata"):
            loaded(tmp_path, f"{one}[[notes.metadata]]\n{other}\n")


@pytest.mark.parametrize(
    ("name", "number"), [("7", 1024), ("a", 1023), ("a", 65536), ("a/b", 1024)]
)
def test_no_type_has_a_name_that_is_a_number_or_a_number_of_the_archive(tmp_path, name, number):
    text = f'[[notes.attachments]]\nname = "{name}"\nnumber = {number}\n'
    with pytest.raises(SettingsError):
        loaded(tmp_path, text)
