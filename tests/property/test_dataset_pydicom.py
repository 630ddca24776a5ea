"""`vna.dcmread` against `pydicom.dcmread`: one suite for the kernel and its twin.

Element by element before anything is converted, again after all of it is, and the bytes when saved
before and after.
"""

import io
import os
import warnings

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from test_scan_pydicom import NO_ORACLE, PACKAGED, REFUSED, SHARED, cases, dicom_files

import vna.dataset
from vna import _dataset, _dataset_twin, testing
from vna.errors import EncodingError

TWINS = {"cython": _dataset.Document, "python": _dataset_twin.Document}

# All files of the shared data rather than some.
SLOW = os.environ.get("VNA_SLOW_TESTS") == "1"


@pytest.fixture(params=TWINS)
def read(request, monkeypatch):
    """`vna.dcmread` by one of the twins."""
    monkeypatch.setattr(vna.dataset, "Document", TWINS[request.param])
    return vna.dataset.dcmread


def read_theirs(data, **options):
    """What pydicom reads, but for what it makes of stray delimiters and of zeros behind the end."""
    found = pydicom.dcmread(io.BytesIO(data), force=True, **options)
    for tag in [tag for tag in found._dict if tag.group == 0xFFFE or tag == 0]:
        del found._dict[tag]
    return found


def outcome(function):
    """What a call returns, or the type of what it raises."""
    try:
        return function()
    except Exception as error:
        return type(error)


def unread(ours, theirs, where=""):
    """Compare two data sets before anything is converted; yields what differs."""
    # pydicom converts these while it reads.
    read_early = {0x0008_0005, 0x0002_0010, 0x0002_0000, *list(theirs.keys())[:1]}
    their_tags = list(theirs.keys())
    if list(ours.keys()) != their_tags:
        yield f"{where}: {set(ours.keys()) ^ set(their_tags)} only on one side"
    for tag in ours.keys() & set(their_tags) - read_early:
        a, b = ours._dict[tag], theirs._dict[tag]
        if isinstance(b, DataElement):
            if not isinstance(a, DataElement) or (a.VR, a.is_undefined_length) != (b.VR, True):
                yield f"{where}{tag}: {a}, pydicom {b}"
        elif isinstance(a, DataElement):
            yield f"{where}{tag}: {a}, pydicom raw"
        else:
            plain = [a.tag, a.VR, a.length, a.value, *a[5:]]
            if plain != [b.tag, b.VR, b.length, b.value, *b[5:]] or a.value_tell != b.value_tell:
                yield f"{where}{tag}: {str(a)[:200]}, pydicom {str(b)[:200]}"


ABOUT_A_DATA_SET = (
    "is_undefined_length_sequence_item",
    "original_encoding",
    "original_character_set",
    "_parent_encoding",
    "_character_set",
)


def converted(ours, theirs, where="", *, depth=0):
    """Compare two data sets with all in them converted; yields what differs."""
    names = (*ABOUT_A_DATA_SET, "seq_item_tell", "file_tell") if depth == 1 else ABOUT_A_DATA_SET
    for name in names:
        a, b = getattr(ours, name), getattr(theirs, name)
        if a != b:
            yield f"{where}{name}: {a}, pydicom {b}"
    for tag in theirs._dict:
        a, b = outcome(lambda tag=tag: ours[tag]), outcome(lambda tag=tag: theirs[tag])
        if isinstance(a, type) or isinstance(b, type):
            if a is not b:
                yield f"{where}{tag}: {a}, pydicom {b}"
            continue
        about = ("VR", "is_undefined_length", "private_creator", "validation_mode", "name")
        for name in about:
            if getattr(a, name) != getattr(b, name):
                yield f"{where}{tag} {name}: {getattr(a, name)}, pydicom {getattr(b, name)}"
        if a.VR != "SQ":
            if repr(a.value) != repr(b.value):
                yield f"{where}{tag}: {a}, pydicom {b}"
            continue
        if type(a.value) is not type(b.value) or len(a.value) != len(b.value):
            yield f"{where}{tag}: {a.value!r}, pydicom {b.value!r}"
            continue
        if b.value and a.value.is_undefined_length != b.value.is_undefined_length:
            yield f"{where}{tag} is_undefined_length: {a.value.is_undefined_length}"
        for number, (item, other) in enumerate(zip(a.value, b.value, strict=True)):
            yield from converted(item, other, f"{where}{tag}[{number}].", depth=depth + 1)


def saved(dataset):
    """The bytes that a data set is saved as."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=False)
    return buffer.getvalue()


def check(read, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = read(data), read_theirs(data)
        assert not list(unread(ours, theirs))
        assert not list(unread(ours.file_meta, theirs.file_meta, "meta "))
        for name in ("preamble", "is_implicit_VR", "is_little_endian", "fileobj_type", "filename"):
            assert getattr(ours, name) == getattr(theirs, name), name
        assert vars(ours).keys() == vars(theirs).keys()
        # Of others: saving changes a data set.
        assert outcome(lambda: saved(read(data))) == outcome(lambda: saved(read_theirs(data)))
        assert not list(converted(ours.file_meta, theirs.file_meta, "meta "))
        assert not list(converted(ours, theirs))
        assert outcome(lambda: saved(ours)) == outcome(lambda: saved(theirs))
        # True, but where the last of the values cannot be converted.
        again = read_theirs(data)
        assert outcome(lambda: ours == theirs) == outcome(lambda: again == theirs)


@pytest.mark.parametrize("path", cases(PACKAGED))
def test_packaged_files_read_as_pydicom_reads_them(path, read):
    name = str(path.relative_to(PACKAGED))
    if name in REFUSED:
        with pytest.raises(EncodingError):
            read(path)
    else:
        check(read, path.read_bytes())


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared test data")
@pytest.mark.parametrize(
    "folder", sorted(p.name for p in SHARED.iterdir() if p.is_dir()) if SHARED.is_dir() else []
)
def test_shared_files_read_as_pydicom_reads_them(folder, read):
    # Some of a folder: each is read and saved some ten times.
    paths = dicom_files(SHARED, SHARED / folder)
    if not SLOW:
        paths = [path for path in paths if path.stat().st_size < 600_000]
        paths = paths[:: len(paths) // 24 + 1]
    failures = []
    for path in paths:
        name = str(path.relative_to(SHARED))
        short = name.removeprefix("pydicom/")
        if name in NO_ORACLE or short in REFUSED or path.suffix == ".rle":
            continue
        try:
            check(read, path.read_bytes())
        except AssertionError as error:
            failures.append(f"{name}: {str(error)[:500]}")
    assert not failures


slow = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@slow
@given(file=testing.files(), twin=st.sampled_from(sorted(TWINS)))
def test_any_valid_file_is_read_as_pydicom_reads_it(file, twin):
    check(by(twin), file.data)


@slow
@given(file=testing.files(tolerated=True), twin=st.sampled_from(sorted(TWINS)))
def test_any_file_of_the_field_is_read_as_pydicom_reads_it(file, twin):
    check(by(twin), file.data)


def by(twin):
    """`vna.dcmread` by a twin, for tests that hypothesis runs many times."""

    def read(data):
        kept = vna.dataset.Document
        vna.dataset.Document = TWINS[twin]
        try:
            return vna.dataset.dcmread(data)
        finally:
            vna.dataset.Document = kept

    return read
