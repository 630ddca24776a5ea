"""Identifiers: what C-MOVE and C-GET select, what is refused and how, limits and time zones."""

import asyncio
import io
import json
import struct
from functools import partial

import pydicom
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from small_archives import (
    LEVELS,
    SYNTAXES,
    UNIQUE,
    Opened,
    archives,
    decoded,
    encoded,
    identifier,
    searches,
    written,
)

from vna.errors import EncodingError, IdentifierMismatch, TooLarge, VnaError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
WITHOUT_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
INSTANCE = {
    "SpecificCharacterSet": "",
    "PatientName": "Smith^John",
    "PatientID": "P0",
    "StudyInstanceUID": "1.0.0",
    "SeriesInstanceUID": "1.0.0.0",
    "SOPInstanceUID": "1.0.0.0.0",
    "RequestAttributesSequence": None,
    "private": None,
    "block": False,
}


def asked(level, **keys):
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for name, key in keys.items():
        setattr(dataset, name, key)
    return dataset


def find(files, dataset, syntax=ExplicitVRLittleEndian, **options):
    """Return the answers of an archive that has these files."""

    async def run():
        async with Opened(files) as opened:
            body = dataset if isinstance(dataset, bytes) else encoded(dataset, syntax)
            found = await opened.c_find(body, syntax, **options)
            return [decoded(answer, syntax) for answer in found]

    return asyncio.run(run())


@st.composite
def retrieves(draw):
    level = draw(st.sampled_from(LEVELS))
    known = {
        "PatientID": ["P0", "P1", "P2", "P9"],
        "StudyInstanceUID": ["1.0.0", "1.0.1", "1.1.0", "9"],
        "SeriesInstanceUID": ["1.0.0.0", "1.0.0.1", "1.1.0.0", "9"],
        "SOPInstanceUID": ["1.0.0.0.0", "1.0.0.0.1", "1.1.0.0.0", "9"],
        "AccessionNumber": ["A1", "A10", "x"],
    }
    names = draw(st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=3, unique=True))
    keys = {}
    for name in names:
        values = draw(st.lists(st.sampled_from(known[name]), min_size=1, max_size=3, unique=True))
        keys[name] = values
    return level, keys, draw(st.booleans()), draw(st.sampled_from(SYNTAXES))


def selected(datasets, level, keys, relational):
    """Return the SOP Instance UIDs that a retrieve selects; None if it is refused."""
    depth = LEVELS.index(level)
    above = [name for name in UNIQUE[: depth + 1] if name in keys]
    named = UNIQUE[depth] in keys or (level == "STUDY" and "AccessionNumber" in keys)
    if not named and not (relational and above):
        return None
    counted = above + ["AccessionNumber"] * (level == "STUDY" and "AccessionNumber" in keys)
    # A resource has what its first instance says.
    firsts = {}
    for dataset in datasets:
        firsts.setdefault(tuple(dataset[name].value for name in UNIQUE[: depth + 1]), dataset)
    return {
        dataset.SOPInstanceUID
        for dataset in datasets
        for first in [firsts[tuple(dataset[name].value for name in UNIQUE[: depth + 1])]]
        if all(first[name].value in keys[name] for name in counted)
    }


async def compare_retrieves(files, all_asked):
    async with Opened(files) as opened:
        datasets = [pydicom.dcmread(io.BytesIO(file)) for file in files]
        for level, keys, relational, syntax in all_asked:
            expected = selected(datasets, level, keys, relational)
            options = json.dumps({"model": "patient", "relational": relational}).encode()
            body = encoded(asked(level, **keys), syntax)
            begun = opened.archive.core.select_instances(body, syntax, options)
            try:
                found = json.loads(await opened.archive._json(begun))
            except IdentifierMismatch:
                assert expected is None, (level, keys, relational)
                continue
            uids = [one["SOPInstanceUID"] for one in found]
            assert expected is not None, (level, keys, relational)
            assert sorted(uids) == sorted(expected), (level, keys)
            for one in found:
                of = next(o for o in datasets if o.SOPInstanceUID == one["SOPInstanceUID"])
                for name in ("SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID"):
                    assert one[name] == of[name].value
                assert one["TransferSyntaxUID"] == of.file_meta.TransferSyntaxUID


@given(files=archives(), all_asked=st.lists(retrieves(), min_size=20, max_size=20))
@settings(max_examples=6, deadline=None, phases=WITHOUT_SHRINKING)
def test_a_retrieve_selects_what_its_unique_keys_name(files, all_asked):
    asyncio.run(compare_retrieves(files, all_asked))


def test_a_retrieve_by_wildcard_is_refused():
    async def run():
        async with Opened([]) as opened:
            for keys in ({"PatientID": "*"}, {"PatientID": "P?"}, {"AccessionNumber": "*"}):
                level = "PATIENT" if "PatientID" in keys else "STUDY"
                body = encoded(asked(level, **keys), ExplicitVRLittleEndian)
                options = b'{"model":"patient"}'
                core = opened.archive.core
                begun = core.select_instances(body, ExplicitVRLittleEndian, options)
                with pytest.raises(IdentifierMismatch):
                    await opened.archive._json(begun)

    asyncio.run(run())


@given(search=searches(), data=st.data())
@settings(max_examples=8, deadline=None, phases=WITHOUT_SHRINKING)
def test_an_identifier_that_is_cut_or_changed_is_answered_or_refused_by_name(search, data):
    whole = identifier(search)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), min_size=15, max_size=15))
    change = st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255))
    changes = data.draw(st.lists(change, min_size=15, max_size=15))
    damaged = [whole[:at] for at in cuts]
    damaged += [whole[:at] + bytes([byte]) + whole[at + 1 :] for at, byte in changes]

    async def run():
        async with Opened([written(INSTANCE)]) as opened:
            for body in damaged:
                try:
                    await opened.c_find(body, search.syntax)
                except VnaError as error:
                    assert error.dimse_status in {0xA700, 0xA900, 0xC000}
                    assert error.code.partition(".")[0] == "identifier"

    asyncio.run(run())


def element(group, number, vr, value):
    """Return an element in Explicit VR Little Endian, whatever its VR may be elsewhere."""
    if vr in {b"SQ", b"OB", b"UN", b"UT"}:
        return struct.pack("<HH2sxxI", group, number, vr, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


LEVEL = element(0x0008, 0x0052, b"CS", b"STUDY ")
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0)


def nested(depth):
    value = b""
    for _ in range(depth):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value
        value = element(0x0040, 0x0275, b"SQ", item)
    return value


@pytest.mark.parametrize(
    ("body", "error", "named"),
    [
        (b"", IdentifierMismatch, "(0008,0052)"),
        (element(0x0008, 0x0052, b"CS", b"IMAGES"), IdentifierMismatch, "IMAGES"),
        (LEVEL[:-3], EncodingError, "at byte"),
        (LEVEL + element(0x0010, 0x0010, b"US", b"\x01\x00"), EncodingError, "(0010,0010)"),
        (LEVEL + element(0x0010, 0x0010, b"SQ", ITEM), EncodingError, "PatientName"),
        (LEVEL + element(0x0040, 0x0275, b"LO", b"AB"), EncodingError, "not a sequence"),
        (LEVEL + element(0x0040, 0x0275, b"SQ", ITEM + ITEM), EncodingError, "2 items"),
        (LEVEL + nested(400), EncodingError, "nest"),
        (
            LEVEL + b"".join(element(0x0041, 0x1000 + n, b"LO", b"") for n in range(5_000)),
            TooLarge,
            "4096",
        ),
        (LEVEL + element(0x0040, 0xA160, b"UT", b"x" * (5 << 20)), TooLarge, "bytes"),
    ],
    ids=["empty", "level", "cut", "number", "sequence", "text", "items", "deep", "many", "huge"],
)
def test_an_identifier_that_is_none_is_refused_by_name(body, error, named):
    with pytest.raises(error) as caught:
        find([], body)
    assert named in str(caught.value)
    assert caught.value.code.startswith("identifier.")


@pytest.mark.parametrize(
    ("model", "dataset", "missing"),
    [
        ("study", asked("PATIENT", PatientID=""), "which this information model has not"),
        ("patient_study", asked("SERIES", SeriesInstanceUID=""), "which this information model"),
        ("study", asked("SERIES", SeriesInstanceUID=""), "StudyInstanceUID"),
        ("patient", asked("STUDY", StudyInstanceUID=""), "PatientID"),
        ("patient", asked("STUDY", PatientID="P*", StudyInstanceUID=""), "PatientID"),
        ("study", asked("IMAGE", StudyInstanceUID="1.0.0", SOPInstanceUID=""), "SeriesInstanceUID"),
        ("study", asked("SERIES", StudyInstanceUID=["1.0.0", "1.0.1"]), "StudyInstanceUID"),
    ],
)
def test_a_hierarchical_search_needs_the_unique_keys_of_all_levels_above(model, dataset, missing):
    with pytest.raises(IdentifierMismatch) as caught:
        find([], dataset, model=model, relational=False)
    assert missing in str(caught.value)
    assert "P*" not in str(caught.value)  # messages are logged, what is a patient's is not
    assert caught.value.dimse_status == 0xA900


def test_no_more_answers_are_given_than_the_limit():
    files = [
        written(INSTANCE | {"StudyInstanceUID": f"1.0.{n}", "SOPInstanceUID": f"1.0.{n}.0.0"})
        for n in range(5)
    ]
    count = partial(find, files, asked("STUDY", StudyInstanceUID=""))
    assert [len(count(limit=limit)) for limit in (0, 1, 4, 5, 6)] == [5, 1, 4, 5, 5]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_dates_and_times_are_asked_and_told_in_the_time_zone_of_the_requestor(syntax):
    stored = INSTANCE | {
        "StudyDate": "20240101",
        "StudyTime": "0030",
        "TimezoneOffsetFromUTC": "+0100",
        "ContentDate": "20240229",
        "ContentTime": "233000.5",
        "AcquisitionDateTime": "20240101003000",
    }
    keys = {
        "PatientID": "",
        "StudyInstanceUID": "",
        "TimezoneOffsetFromUTC": "-0500",
        "StudyTime": "",
        "AcquisitionDateTime": "",
        "ContentDate": "",
    }
    search = partial(find, [written(stored)], syntax=syntax)
    dataset = asked("STUDY", StudyDate="20231231", **keys)
    assert search(dataset) == []  # nothing is adjusted that was not negotiated
    (answer,) = search(dataset, timezone=True)
    assert (answer.StudyDate, answer.StudyTime) == ("20231231", "1830")
    assert answer.AcquisitionDateTime == "20231231183000"
    assert answer.ContentDate == "20240229"  # at 17:30
    assert answer.TimezoneOffsetFromUTC == "-0500"
    assert search(asked("STUDY", StudyDate="20240101", **keys), timezone=True) == []
    dataset.StudyTime = "1831-"
    assert search(dataset, timezone=True) == []
    dataset.TimezoneOffsetFromUTC = "never"
    with pytest.raises(EncodingError):
        search(dataset, timezone=True)


def test_a_sequence_is_told_whole_or_as_its_keys_ask():
    items = [
        {"RequestedProcedureID": "RP1", "ScheduledProcedureStepDescription": "a"},
        {"RequestedProcedureID": "RP2", "ScheduledProcedureStepDescription": "b"},
    ]
    search = partial(find, [written(INSTANCE | {"RequestAttributesSequence": items})])

    def told(*asked_items):
        keys = []
        for values in asked_items:
            item = Dataset()
            for name, value in values.items():
                setattr(item, name, value)
            keys.append(item)
        dataset = asked("SERIES", SeriesInstanceUID="", RequestAttributesSequence=Sequence(keys))
        return [
            [{element.keyword: element.value for element in item} for item in sequence]
            for sequence in (answer.RequestAttributesSequence for answer in search(dataset))
        ]

    assert told() == told({}) == [items]
    ids = [{"RequestedProcedureID": "RP1"}, {"RequestedProcedureID": "RP2"}]
    assert told({"RequestedProcedureID": ""}) == [ids]
    assert told({"RequestedProcedureID": "*2"}) == [ids[1:]]
    assert told({"RequestedProcedureID": "RP2", "ScheduledProcedureStepDescription": "a"}) == []


@pytest.mark.parametrize(
    ("name", "asked_in", "told_in"),
    [
        ("Smith^John", "ISO_IR 192", None),
        ("Müller^Jörg", "", "ISO_IR 100"),
        ("Müller^Jörg", "ISO_IR 192", "ISO_IR 192"),
        ("Müller^Jörg", "ISO_IR 144", "ISO_IR 100"),
        ("Люкceмбypг", "ISO_IR 144", "ISO_IR 144"),
        ("Люкceмбypг", "ISO_IR 100", "ISO_IR 192"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "\\ISO 2022 IR 87", "\\ISO 2022 IR 87"),
        ("Yamada^Tarou=山田^太郎", "ISO 2022 IR 13\\ISO 2022 IR 87", "\\ISO 2022 IR 87"),
        ("Yamada^Tarou=山田^太郎", "", "ISO_IR 192"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "\\ISO 2022 IR 149", "\\ISO 2022 IR 149"),
        ("Wang^XiaoDong=王^小东", "GB18030", "GB18030"),
    ],
)
def test_an_answer_is_in_the_character_set_of_the_requestor_if_that_has_its_texts(
    name, asked_in, told_in
):
    stored = INSTANCE | {"SpecificCharacterSet": "ISO_IR 192", "PatientName": name}
    dataset = asked("STUDY", StudyInstanceUID="", PatientName="")
    if asked_in:
        dataset.SpecificCharacterSet = asked_in.split("\\")
    (answer,) = find([written(stored)], dataset)
    assert answer.PatientName == name
    found = answer.get("SpecificCharacterSet")
    assert (found if isinstance(found, str | None) else "\\".join(found)) == told_in
