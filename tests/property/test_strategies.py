"""The strategies of `vna.testing`: what they give is what others read, here and elsewhere."""

import io
import warnings
from dataclasses import replace

import pydicom
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pydicom.encaps import generate_fragments
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from scanned import scanned

from vna import _core, testing
from vna.testing.model import EXPLICIT_VR_BIG_ENDIAN, PIXEL_DATA, SPECIFIC_CHARACTER_SET
from vna.testing.values import OPAQUE, TEXT
from vna.testing.writer import as_readable

# Whole files are slow to make: drawing one takes milliseconds.
slow = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def readable(file):
    """What a reader can know of a file, with its fragments as the scanner gives them."""
    encoding = testing.Encoding.of(file.transfer_syntax_uid, file.oddities)
    model = as_readable(file.data_set, encoding)
    if PIXEL_DATA not in model or isinstance(model[PIXEL_DATA].value, bytes):
        return model
    frames = model[PIXEL_DATA].value
    padded = [part + b"\0" * (len(part) % 2) for frame in frames.frames for part in frame]
    return model.with_elements(replace(model[PIXEL_DATA], value=padded))


def without_padding(data_set):
    """The same without the padding that a reader cannot tell from a value."""
    elements = []
    for element in data_set:
        value = element.value
        if element.vr == "SQ":
            value = tuple(map(without_padding, value))
        elif isinstance(value, bytes):
            value = value.rstrip(b"\0")
        elements.append(replace(element, value=value))
    return replace(data_set, elements=tuple(elements))


def without_offset_table(data_set):
    if PIXEL_DATA in data_set and isinstance(data_set[PIXEL_DATA].value, list):
        pixel_data = data_set[PIXEL_DATA]
        return data_set.with_elements(replace(pixel_data, value=pixel_data.value[1:]))
    return data_set


def differences(found, expected):
    """The elements that are not as expected: (found, expected)."""
    ours, theirs = without_padding(without_offset_table(found)), without_padding(expected)
    tags = sorted({element.tag for element in (*ours, *theirs)})
    pairs = [tuple(each.get(tag) for each in (ours, theirs)) for tag in tags]
    # By repr, since NaN is not itself and 0.0 is -0.0.
    return [pair for pair in pairs if repr(pair[0]) != repr(pair[1])]


@slow
@given(file=testing.files())
def test_the_scanner_finds_what_a_valid_file_says(file):
    assert not differences(scanned(file.data), readable(file))


@slow
@given(file=testing.files(tolerated=True))
def test_the_scanner_finds_what_a_file_of_the_field_says(file):
    assert not differences(scanned(file.data), readable(file))


def switches(data_set):
    """Whether text in it may switch between character sets (PS3.5 §6.1.2.5)."""
    sets = [each for each in data_set.walk() if each.tag == SPECIFIC_CHARACTER_SET]
    return any("ISO 2022" in term for each in sets for term in each.value)


def without_empty_sequences(data_set):
    """The same with private sequences without items as pydicom sees them in implicit VR."""
    elements = []
    for element in data_set:
        if element.vr == "SQ":
            items = tuple(map(without_empty_sequences, element.items))
            element = replace(element, value=items)
            if element.is_private and not items:
                element = replace(element, vr="UN", value=b"")
        elements.append(element)
    return replace(data_set, elements=tuple(elements))


def without_text(data_set):
    """The same without values in the Specific Character Set."""
    elements = []
    for element in data_set:
        value = element.value
        if element.vr == "SQ":
            value = tuple(map(without_text, value))
        elements.append(replace(element, value=() if element.vr in TEXT else value))
    return replace(data_set, elements=tuple(elements))


@slow
@given(file=testing.files())
def test_pydicom_finds_what_a_valid_file_says(file):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that pydicom would write otherwise
        found = testing.from_pydicom(pydicom.dcmread(io.BytesIO(file.data)))
    found, expected = map(without_empty_sequences, (found, readable(file)))
    if switches(expected):
        # pydicom leaves escapes to ISO-IR 58 where they are, and takes the first character set of
        # several for ISO 8859-1. The scanner is held to the model above.
        found, expected = without_text(found), without_text(expected)
    if PIXEL_DATA in found and found[PIXEL_DATA].undefined_length:
        fragments = list(generate_fragments(found[PIXEL_DATA].value))
        found = found.with_elements(replace(found[PIXEL_DATA], value=fragments))
    assert not differences(found, expected)


@slow
@given(
    data_set=testing.data_sets().filter(lambda data_set: not switches(data_set)),
    # pydicom leaves the words of opaque values as they are, so not in big endian.
    syntax=st.sampled_from(testing.UNCOMPRESSED[:2]),
)
def test_the_writer_writes_what_pydicom_writes(data_set, syntax):
    encoding = testing.Encoding.of(syntax)
    theirs = DicomBytesIO()
    theirs.is_implicit_VR, theirs.is_little_endian = encoding.implicit, not encoding.big_endian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dataset(theirs, testing.to_pydicom(data_set))
    assert testing.write_data_set(data_set, encoding) == theirs.getvalue()


@given(data=st.data(), character_set=testing.character_sets())
def test_text_is_written_as_others_read_it(data, character_set):
    text = data.draw(testing.texts(character_set))
    encoded = character_set.encode(text)
    assert _core.decode_text(encoded, terms=character_set.terms, vr="LO") == text


@pytest.mark.parametrize("vr", [vr for vr in testing.VRS if vr not in OPAQUE])
def test_every_vr_has_tags_and_legal_values(vr):
    @settings(max_examples=20, deadline=None)
    @given(element=testing.elements(vr))
    def check(element):
        for value in element.value:
            pydicom.valuerep.validate_value(vr, value, pydicom.config.RAISE)

    check()


def test_every_oddity_occurs_and_none_unasked():
    found = set()

    @settings(slow, database=None)
    @given(odd=testing.files(tolerated=True))
    def look(odd):
        found.update(odd.oddities)

    # As many as it takes for the rarest of them, which is drawn once in some fifty files.
    for number in range(10):
        seed(number)(look)()
        if found >= set(testing.ODDITIES):
            break
    assert found == set(testing.ODDITIES)


def test_big_endian_words_change_places():
    element = testing.Element(0x7FE0_0010, "OW", b"\1\2\3\4")
    written = testing.write_data_set(
        testing.DataSet((element,)), testing.Encoding.of(EXPLICIT_VR_BIG_ENDIAN)
    )
    assert written.endswith(b"\2\1\4\3")
