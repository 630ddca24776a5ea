"""What a data set says survives every form it can take: other syntaxes, JSON, XML.

On generated files (`vna.testing`), against what they were written from.
"""

from dataclasses import replace
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scanned import scanned

from vna import _core, testing
from vna.testing.model import PIXEL_DATA, SPECIFIC_CHARACTER_SET
from vna.testing.writer import as_readable

IMPLICIT = "1.2.840.10008.1.2"

slow = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
syntaxes = st.sampled_from(testing.UNCOMPRESSED)
uncompressed = st.deferred(
    lambda: st.one_of(
        [
            testing.files(transfer_syntax_uid=uid, tolerated=tolerated)
            for uid in testing.UNCOMPRESSED
            for tolerated in (False, True)
        ]
    )
)


def readable(data_set, transfer_syntax_uid, oddities=()):
    return as_readable(data_set, testing.Encoding.of(transfer_syntax_uid, oddities))


def plain(data_set, change=lambda element: element):
    """The same without padding and without how lengths are written."""
    elements = []
    for element in data_set:
        element = change(replace(element, undefined_length=False))
        if element is None:
            continue
        value = element.value
        if element.tag == PIXEL_DATA:
            element = replace(element, vr="OW")  # from implicit VR, OB of 8 bits is right as well
        if element.is_private and not value:
            element, value = replace(element, vr="UN"), ()  # what an empty one was, is not kept
        elif element.vr == "SQ":
            value = tuple(plain(item, change) for item in value)
        elif isinstance(value, bytes):
            value = value.rstrip(b"\0 ")
        elements.append(replace(element, value=value))
    return testing.DataSet(tuple(elements))


def with_lengths(data_set, *, undefined, of_private=None):
    """The same with all sequences and items of undefined length, or none; private ones apart.

    In implicit VR, a private sequence shows as one only if its length is undefined.
    """
    of_private = undefined if of_private is None else of_private
    elements = []
    for element in data_set:
        if element.vr == "SQ":
            items = (
                with_lengths(item, undefined=undefined, of_private=of_private)
                for item in element.items
            )
            length = of_private if element.is_private else undefined
            element = replace(element, value=tuple(items), undefined_length=length)
        elements.append(element)
    return testing.DataSet(tuple(elements), undefined)


def differences(found, expected):
    """What differs, by path."""
    return list(walk(found, expected, ""))


def walk(found, expected, path):
    for tag in sorted({element.tag for element in (*found, *expected)}):
        ours, theirs = found.get(tag), expected.get(tag)
        where = f"{path}{tag:08X}"
        if ours is not None and theirs is not None and ours.vr == theirs.vr == "SQ":
            if len(ours.value) != len(theirs.value):
                yield f"{where}: {len(ours.value)} items of {len(theirs.value)}"
            for number, pair in enumerate(zip(ours.value, theirs.value, strict=False)):
                yield from walk(*pair, f"{where}[{number}].")
        elif repr(ours) != repr(theirs):  # NaN is not itself, and 0.0 is -0.0
            yield f"{where}: {ours}, expected {theirs}"


@slow
@given(file=uncompressed, syntax=syntaxes)
def test_a_file_says_the_same_in_every_transfer_syntax(file, syntax):
    there = _core.reencode(file.data, transfer_syntax_uid=syntax)
    here = readable(file.data_set, file.transfer_syntax_uid, file.oddities)
    # What is written anew gets undefined lengths: it need not be measured before.
    expected = readable(with_lengths(here, undefined=True), syntax)
    assert not differences(plain(scanned(there)), plain(expected))
    back = _core.reencode(there, transfer_syntax_uid=file.transfer_syntax_uid)
    expected = readable(expected, file.transfer_syntax_uid)
    assert not differences(plain(scanned(back)), plain(expected))


@slow
@given(file=uncompressed, syntax=syntaxes)
def test_a_file_in_memory_is_written_as_it_was_read(file, syntax):
    _, _, elements = _core.read_file(file.data)
    written = _core.write_file(elements, transfer_syntax_uid=syntax)
    here = readable(file.data_set, file.transfer_syntax_uid, file.oddities)
    # Written so that it stays a sequence to those who read it.
    expected = with_lengths(here, undefined=False, of_private=syntax == IMPLICIT)
    expected = readable(expected, syntax)
    assert not differences(plain(scanned(written)), plain(expected))


def as_model(element):
    """What JSON and XML keep of an element: numbers as such, and text that is in UTF-8."""
    if element.tag == SPECIFIC_CHARACTER_SET:
        return None
    if element.vr in ("DS", "IS"):
        return replace(element, value=tuple(Decimal(value).normalize() for value in element.value))
    return element


@slow
@given(file=uncompressed)
def test_a_data_set_comes_back_from_json(file):
    text = _core.dicom_json(file.data, bulk_threshold=None)
    back = scanned(_core.file_from_json(text))
    here = readable(file.data_set, file.transfer_syntax_uid, file.oddities)
    assert not differences(plain(back, as_model), plain(here, as_model))
    if SPECIFIC_CHARACTER_SET in back:
        assert back.text(SPECIFIC_CHARACTER_SET) == "ISO_IR 192"


@slow
@given(file=uncompressed)
def test_a_data_set_comes_back_from_xml(file):
    text = _core.dicom_xml(file.data, bulk_threshold=None)
    back = scanned(_core.file_from_xml(text))
    here = readable(file.data_set, file.transfer_syntax_uid, file.oddities)
    assert not differences(plain(back, as_model), plain(here, as_model))


@slow
@given(file=uncompressed)
def test_json_and_xml_say_the_same(file):
    from_json = _core.file_from_json(_core.dicom_json(file.data, bulk_threshold=None))
    from_xml = _core.file_from_xml(_core.dicom_xml(file.data, bulk_threshold=None))
    assert not differences(plain(scanned(from_json), as_model), plain(scanned(from_xml), as_model))
