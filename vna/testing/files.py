"""Strategies for elements, data sets, pixel data and whole files."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary

from vna.testing.model import (
    JPEG_BASELINE,
    PIXEL_DATA,
    RLE_LOSSLESS,
    SPECIFIC_CHARACTER_SET,
    UNCOMPRESSED,
    DataSet,
    Element,
    File,
    Fragments,
)
from vna.testing.oddities import ODDITIES, fitting
from vna.testing.texts import DEFAULT, CharacterSet, character_sets, texts
from vna.testing.values import VRS, person_names, uids, values
from vna.testing.writer import write_file

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.7"
MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"

# Identity, and what others of the same data set depend on: set where it belongs, never at random.
RESERVED_TAGS = frozenset(
    {
        SPECIFIC_CHARACTER_SET,
        0x0008_0016,
        0x0008_0018,
        0x0010_0010,
        0x0010_0020,
        0x0020_000D,
        0x0020_000E,
        0x0010_0021,
        0x0010_0024,
    }
)
# Command, media and directory groups, pixel description, pixel data, waveforms, items.
RESERVED_GROUPS = frozenset(
    {0x0000, 0x0002, 0x0004, 0x0028, 0x5400, 0x7FE0, 0xFFFA, 0xFFFC, 0xFFFE}
)


@cache
def standard_tags(vr: str) -> tuple[int, ...]:
    """Every tag of PS3.6 that has this VR and no other, and that a strategy may use freely."""
    return tuple(
        tag
        for tag, (known, _, _, _, keyword) in sorted(DicomDictionary.items())
        # Without a keyword are elements that once were, and whose VR nobody remembers.
        if known == vr and keyword and tag not in RESERVED_TAGS and tag >> 16 not in RESERVED_GROUPS
    )


def elements(
    vr: str | None = None,
    *,
    character_set: CharacterSet = DEFAULT,
    tags: st.SearchStrategy[int] | None = None,
) -> st.SearchStrategy[Element]:
    """Strategy for standard elements with legal values, of one VR or of any but SQ.

    Parameters
    ----------
    vr : str, optional
        The VR; any if it is not given.
    character_set : CharacterSet, optional
        What text is written in; the default repertoire if it is not given.
    tags : strategy, optional
        Tags to take; those of PS3.6 with this VR if they are not given.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(elements("DA"))
    ... def test_dates_are_read(element): ...
    """
    if tags is not None:
        vrs = [vr] if vr else list(VRS)
        return st.one_of([_elements(vr, character_set, tags) for vr in vrs])
    if vr is None:
        return _standard_elements(character_set)
    return _elements(vr, character_set, st.sampled_from(standard_tags(vr)))


def _elements(
    vr: str, character_set: CharacterSet, tags: st.SearchStrategy[int]
) -> st.SearchStrategy[Element]:
    return st.builds(Element, tags, st.just(vr), values(vr, character_set))


@cache  # a strategy that is made anew for each draw costs more than the draw
def _standard_elements(character_set: CharacterSet) -> st.SearchStrategy[Element]:
    return st.one_of([elements(vr, character_set=character_set) for vr in VRS if standard_tags(vr)])


@st.composite
def private_blocks(
    draw: st.DrawFn, *, character_set: CharacterSet = DEFAULT, depth: int = 0
) -> tuple[Element, ...]:
    """Strategy for a private creator with elements of its block (PS3.5 §7.8.1)."""
    group = draw(st.integers(0x0009, 0x7FDF)) | 1
    block = draw(st.integers(0x10, 0xFF))
    creator = draw(texts(min_size=1, max_bytes=40))
    found = [Element(group << 16 | block, "LO", (creator,))]
    numbers = draw(st.lists(st.integers(0, 0xFF), unique=True, max_size=3))
    for number in sorted(numbers):
        tag = group << 16 | block << 8 | number
        if depth > 0 and draw(st.booleans()):
            found.append(draw(sequences(st.just(tag), character_set=character_set, depth=depth)))
        else:
            vr = draw(st.sampled_from(VRS))
            found.append(Element(tag, vr, draw(values(vr, character_set))))
    return tuple(found)


@st.composite
def sequences(
    draw: st.DrawFn,
    tags: st.SearchStrategy[int] | None = None,
    *,
    character_set: CharacterSet = DEFAULT,
    depth: int = 1,
) -> Element:
    """Strategy for sequences of up to three items, of defined and undefined length."""
    tag = draw(tags if tags is not None else st.sampled_from(standard_tags("SQ")))
    items = draw(st.lists(_items(character_set=character_set, depth=depth - 1), max_size=3))
    return Element(tag, "SQ", tuple(items), undefined_length=draw(st.booleans()))


@st.composite
def _items(draw: st.DrawFn, *, character_set: CharacterSet, depth: int) -> DataSet:
    own = draw(st.none() | st.none() | character_sets())  # few items have one of their own
    found = draw(
        data_sets(character_set=own or character_set, max_elements=3, max_depth=depth, own=own)
    )
    return DataSet(found.elements, undefined_length=draw(st.booleans()))


@st.composite
def data_sets(
    draw: st.DrawFn,
    *,
    character_set: CharacterSet = DEFAULT,
    max_elements: int = 6,
    max_depth: int = 2,
    private: bool = True,
    own: CharacterSet | None = None,
) -> DataSet:
    """Strategy for data sets of any content: every VR, sequences in sequences, private blocks.

    Parameters
    ----------
    character_set : CharacterSet, optional
        What text is written in. The data set does not say so itself: see `own`.
    max_elements : int, optional
        Most elements beside sequences and private blocks.
    max_depth : int, optional
        How deep sequences may lie in each other.
    private : bool, optional
        Whether there may be private elements.
    own : CharacterSet, optional
        The same as `character_set`, and the data set says so in (0008,0005).

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(data_sets(max_depth=1))
    ... def test_writing_and_reading_give_the_same(data_set): ...
    """
    character_set = own or character_set
    found = draw(st.lists(elements(character_set=character_set), max_size=max_elements))
    if max_depth > 0:
        nested = sequences(character_set=character_set, depth=max_depth)
        found += draw(st.lists(nested, max_size=2))
    if private and draw(st.booleans()):
        found += draw(private_blocks(character_set=character_set, depth=max_depth))
    if own is not None:
        found.append(Element(SPECIFIC_CHARACTER_SET, "CS", own.values))
    return DataSet(()).with_elements(*found)


@st.composite
def identities(draw: st.DrawFn, character_set: CharacterSet = DEFAULT) -> tuple[Element, ...]:
    """Strategy for what an archive files an instance under."""
    classes = [CT_IMAGE_STORAGE, MR_IMAGE_STORAGE, SECONDARY_CAPTURE_IMAGE_STORAGE]
    return (
        Element(0x0008_0016, "UI", (draw(st.sampled_from(classes)),)),
        Element(0x0008_0018, "UI", (draw(uids()),)),
        Element(0x0010_0010, "PN", (draw(person_names(character_set)),)),
        Element(0x0010_0020, "LO", draw(values("LO", character_set, max_values=1))),
        Element(0x0020_000D, "UI", (draw(uids()),)),
        Element(0x0020_000E, "UI", (draw(uids()),)),
    )


@st.composite
def native_pixel_data(draw: st.DrawFn) -> tuple[Element, ...]:
    """Strategy for an Image Pixel module (PS3.3 §C.7.6.3) with as many bytes as it says."""
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    allocated = draw(st.sampled_from([8, 16]))
    frames = draw(st.integers(1, 3))
    size = rows * columns * frames * allocated // 8
    # One byte more where they are odd: the model holds a value as it is written.
    pixels = draw(st.binary(min_size=size, max_size=size)) + b"\0" * (size % 2)
    return (
        *_image_pixel_module(rows, columns, allocated, frames),
        Element(PIXEL_DATA, "OW", pixels),
    )


@st.composite
def encapsulated_pixel_data(draw: st.DrawFn) -> tuple[Element, ...]:
    """Strategy for the same with encapsulated frames (PS3.5 §A.4); the fragments are noise."""
    fragment = st.binary(min_size=1, max_size=40)
    frame = st.lists(fragment, min_size=1, max_size=3).map(tuple)
    frames = draw(st.lists(frame, min_size=1, max_size=4).map(tuple))
    return (
        *_image_pixel_module(draw(st.integers(1, 512)), draw(st.integers(1, 512)), 8, len(frames)),
        Element(PIXEL_DATA, "OB", Fragments(frames, draw(st.booleans())), undefined_length=True),
    )


def _image_pixel_module(
    rows: int, columns: int, allocated: int, frames: int
) -> tuple[Element, ...]:
    return (
        Element(0x0028_0002, "US", (1,)),
        Element(0x0028_0004, "CS", ("MONOCHROME2",)),
        Element(0x0028_0008, "IS", (str(frames),)),
        Element(0x0028_0010, "US", (rows,)),
        Element(0x0028_0011, "US", (columns,)),
        Element(0x0028_0100, "US", (allocated,)),
        Element(0x0028_0101, "US", (allocated,)),
        Element(0x0028_0102, "US", (allocated - 1,)),
        Element(0x0028_0103, "US", (0,)),
    )


@st.composite
def instances(draw: st.DrawFn, *, encapsulated: bool = False, max_depth: int = 2) -> DataSet:
    """Strategy for data sets with identity, in any character set, some with pixel data."""
    character_set = draw(character_sets())
    own = character_set if character_set.terms else None
    data_set = draw(data_sets(own=own, max_depth=max_depth))
    pixels: tuple[Element, ...] = ()
    if encapsulated:
        pixels = draw(encapsulated_pixel_data())
    elif draw(st.booleans()):
        pixels = draw(native_pixel_data())
    return data_set.with_elements(*draw(identities(character_set)), *pixels)


def transfer_syntaxes(*, encapsulated: bool | None = None) -> st.SearchStrategy[str]:
    """Strategy for transfer syntaxes: with pixel data as it is, encapsulated, or either."""
    with_fragments = (JPEG_BASELINE, RLE_LOSSLESS)
    known = {True: with_fragments, False: UNCOMPRESSED, None: UNCOMPRESSED + with_fragments}
    return st.sampled_from(known[encapsulated])


@st.composite
def files(
    draw: st.DrawFn,
    *,
    tolerated: bool = False,
    transfer_syntax_uid: str | None = None,
    max_depth: int = 2,
) -> File:
    """Strategy for whole PS3.10 files.

    Parameters
    ----------
    tolerated : bool, optional
        Whether they may have what occurs in the field and the standard does not allow
        (`vna.testing.ODDITIES`); else all of them are valid.
    transfer_syntax_uid : str, optional
        The transfer syntax; if it is not given, one of the uncompressed, JPEG Baseline or RLE.
    max_depth : int, optional
        How deep sequences may lie in each other.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(files(tolerated=True))
    ... def test_what_the_field_sends_is_read(file):
    ...     assert my_reader(file.data).sop_instance_uid == file.sop_instance_uid
    """
    syntax = transfer_syntax_uid or draw(transfer_syntaxes())
    data_set = draw(instances(encapsulated=syntax not in UNCOMPRESSED, max_depth=max_depth))
    oddities: frozenset[str] = frozenset()
    if tolerated:
        chosen = draw(st.frozensets(st.sampled_from(sorted(ODDITIES)), min_size=1, max_size=3))
        oddities = fitting(chosen, syntax)
    return File(write_file(data_set, syntax, oddities), data_set, syntax, oddities)
