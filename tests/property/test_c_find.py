"""C-FIND answers of small archives against an oracle that looks at every data set.

The identifiers go in, and the answers come back, in each transfer syntax and in many character
sets; pydicom reads them. The oracle knows PS3.4 §C and nothing of the archive.
"""

import asyncio
import io
import json
import struct
import tempfile
import zlib
from types import SimpleNamespace

import pydicom
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from oracle import is_universal, matches, texts_of
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.settings import Settings, Storage

# What fails is small as it is, and each try opens an archive.
WITHOUT_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]
LEVELS = ["PATIENT", "STUDY", "SERIES", "IMAGE"]
UNIQUE = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
CREATOR = "VNA TEST"

# Wildcards and ranges are no values, of which pydicom warns.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

# Names, a description in the same script, and the character sets that can say them.
SCRIPTS = [
    ("Smith^John", "Chest CT", ["", "ISO_IR 100", "ISO_IR 144", "ISO_IR 192"]),
    ("Müller^Jörg", "Schädel", ["ISO_IR 100", "ISO_IR 148", "ISO_IR 192"]),
    ("Dvořák^Tomáš", "Hrudník", ["ISO_IR 101", "ISO_IR 192"]),
    ("Διονύσιος", "Θώρακας", ["ISO_IR 126", "ISO_IR 192"]),
    ("Люкceмбypг", "Грудь", ["ISO_IR 144", "ISO_IR 192"]),
    ("قباني^لنزار", "صدر", ["ISO_IR 127", "ISO_IR 192"]),
    (
        "Yamada^Tarou=山田^太郎=やまた^たろう",
        "胸部",
        ["\\ISO 2022 IR 87", "ISO 2022 IR 13\\ISO 2022 IR 87", "ISO_IR 192"],
    ),
    ("Hong^Gildong=洪^吉洞=홍^길동", "흉부", ["\\ISO 2022 IR 149", "ISO_IR 192"]),
    ("Wang^XiaoDong=王^小东", "胸部", ["GB18030", "GBK", "ISO_IR 192"]),
]
NAMES = [name for name, _, _ in SCRIPTS]
DESCRIPTIONS = [description for _, description, _ in SCRIPTS]

# What each level says. The index keeps some of it, the rest stands in stored headers alone.
ATTRIBUTES = {
    "PATIENT": {
        "PatientBirthDate": ["19450101", "19460615", ""],
        "EthnicGroup": ["A", "b", None],
    },
    "STUDY": {
        "StudyDate": ["20040101", "20040119", "20050202", ""],
        "StudyTime": ["0730", "073015", "235959", None],
        "AccessionNumber": ["A1", "a2", "A10", ""],
        "PatientAge": ["048Y", "010M", None],
    },
    "SERIES": {
        "Modality": ["CT", "MR", "US"],
        "SeriesDescription": ["axial", "Coronal", None],
        "SeriesNumber": ["1", "02", "10", None],
        "SoftwareVersions": [["V1", "V2"], "v1", None],
    },
    "IMAGE": {
        "InstanceNumber": ["1", "2", "3", None],
        "ImageType": [["ORIGINAL", "PRIMARY"], ["DERIVED", "SECONDARY", "MPR"], None],
        "Rows": [64, 128, None],
        "SliceThickness": ["5", "5.0", "2.5", None],
        "ContentDate": ["20040101", "20040119", None],
        "ContentTime": ["0730", "12", None],
    },
}
LEVEL_OF = {name: level for level, names in ATTRIBUTES.items() for name in names}
LEVEL_OF |= dict(zip(UNIQUE, LEVELS, strict=True))
LEVEL_OF |= {"PatientName": "PATIENT", "StudyDescription": "STUDY"}
SEQUENCE, PRIVATE = "RequestAttributesSequence", "private"
LEVEL_OF |= {SEQUENCE: "SERIES", PRIVATE: "IMAGE"}
ITEM_VALUES = {
    "RequestedProcedureID": ["RP1", "RP2", None],
    "ScheduledProcedureStepDescription": ["Thorax", "thorax p.a.", None],
}
COMPUTED = {
    "NumberOfPatientRelatedStudies": ("PATIENT", "STUDY"),
    "NumberOfPatientRelatedSeries": ("PATIENT", "SERIES"),
    "NumberOfPatientRelatedInstances": ("PATIENT", "IMAGE"),
    "NumberOfStudyRelatedSeries": ("STUDY", "SERIES"),
    "NumberOfStudyRelatedInstances": ("STUDY", "IMAGE"),
    "NumberOfSeriesRelatedInstances": ("SERIES", "IMAGE"),
}


def described(level):
    """Return the strategy for what one entity of a level says."""
    return st.fixed_dictionaries(
        {name: st.sampled_from(values) for name, values in ATTRIBUTES[level].items()}
    )


ITEMS = st.lists(
    st.fixed_dictionaries({name: st.sampled_from(known) for name, known in ITEM_VALUES.items()}),
    max_size=2,
)


@st.composite
def archives(draw):
    """Return the files of a small archive, in the order of arrival."""
    found = []
    for patient in range(draw(st.integers(1, 3))):
        name, description, sets = draw(st.sampled_from(SCRIPTS))
        of_patient = draw(described("PATIENT")) | {"PatientID": f"P{patient}", "PatientName": name}
        for study in range(draw(st.integers(1, 2))):
            of_study = draw(described("STUDY")) | {"StudyInstanceUID": f"1.{patient}.{study}"}
            of_study["StudyDescription"] = draw(st.sampled_from([description, "Knee?", None]))
            for series in range(draw(st.integers(1, 2))):
                uid = f"1.{patient}.{study}.{series}"
                of_series = draw(described("SERIES")) | {"SeriesInstanceUID": uid}
                of_series[SEQUENCE] = draw(st.none() | ITEMS)
                for instance in range(draw(st.integers(1, 2))):
                    own = draw(described("IMAGE")) | {"SOPInstanceUID": f"{uid}.{instance}"}
                    own["SpecificCharacterSet"] = draw(st.sampled_from(sets))
                    own[PRIVATE] = draw(st.sampled_from(["alpha", "Beta", None]))
                    own["block"] = draw(st.booleans())
                    found.append(of_patient | of_study | of_series | own)
    return [written(values) for values in draw(st.permutations(found))]


def written(values):
    """Return the file of an instance."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = values["SpecificCharacterSet"].split("\\")
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    others = {"SpecificCharacterSet", SEQUENCE, PRIVATE, "block"}
    for name, value in values.items():
        if value is not None and name not in others:
            setattr(dataset, name, value)
    if values[SEQUENCE] is not None:
        dataset.RequestAttributesSequence = items(values[SEQUENCE])
    if values["block"]:  # so that blocks have other numbers in other files
        dataset.private_block(0x0009, "OTHER", create=True).add_new(1, "LO", "nobody asks")
    if values[PRIVATE] is not None:
        dataset.private_block(0x0009, CREATOR, create=True).add_new(1, "LO", values[PRIVATE])
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def items(all_values):
    found = []
    for values in all_values:
        item = Dataset()
        for name, value in values.items():
            if value is not None:
                setattr(item, name, value)
        found.append(item)
    return Sequence(found)


@st.composite
def keys(draw, name, level):
    """Return a key: nothing, a value that occurs, a piece of it with wildcards, a list, a range."""
    if name == SEQUENCE:
        asked = st.fixed_dictionaries(
            {},
            optional={
                name: st.sampled_from(["", "*", *filter(None, known)])
                for name, known in ITEM_VALUES.items()
            },
        )
        return draw(st.none() | asked)
    if draw(st.booleans()) or name in COMPUTED:
        return ""
    if name in UNIQUE[1:]:
        known = ["1.0.0", "1.0.0.0", "1.0.0.1", "1.1.0.0", "1.0.0.0.0", "1.1.0.1.1", "1.0", "9"]
        return "\\".join(draw(st.lists(st.sampled_from(known), min_size=1, max_size=3)))
    known = {
        "PatientID": ["P0", "P1", "P7"],
        "PatientName": NAMES,
        "StudyDescription": [*DESCRIPTIONS, "Knee?"],
        PRIVATE: ["alpha", "Beta"],
        "ModalitiesInStudy": ["CT", "MR"],
    }.get(name) or ATTRIBUTES[LEVEL_OF[name]][name]
    value = shown(draw(st.sampled_from([one for one in known if one])))
    if name.endswith("Date"):
        form = draw(st.sampled_from(["{}", "-{}", "{}-", "20040110-20040601", "19450101-{}"]))
        return form.format(value)
    if name.endswith("Time"):
        return draw(st.sampled_from(["{}", "-{}", "{}-", "07-08", "0730-{}"])).format(value)
    if name in {"Rows", "InstanceNumber", "SeriesNumber", "SliceThickness"}:
        return value
    start, end = sorted(draw(st.tuples(st.integers(0, len(value)), st.integers(0, len(value)))))
    changed = draw(st.sampled_from([str, str.upper]))(value)
    form = draw(st.sampled_from(["{0}", "{0}", "*{1}*", "{1}*", "{2}", "*"]))
    return form.format(changed, changed[start:end], changed[:start] + "?" + changed[start + 1 :])


def shown(value):
    """Return a value as a key has it."""
    return "\\".join(value) if isinstance(value, list) else str(value)


@st.composite
def searches(draw):
    level = draw(st.sampled_from(LEVELS))
    known = sorted(LEVEL_OF) + sorted(COMPUTED) + ["ModalitiesInStudy"]
    names = draw(st.lists(st.sampled_from(known), max_size=5, unique=True))
    own = UNIQUE[LEVELS.index(level)]
    asked = {name: draw(keys(name, level)) for name in names}
    asked |= {name: asked.get(name, "") for name in UNIQUE[: LEVELS.index(own_level(own)) + 1]}
    sets = [
        sets
        for name, description, sets in SCRIPTS
        if all(is_in_script(value, name, description) for value in asked.values())
    ]
    return SimpleNamespace(
        level=level,
        keys=asked,
        syntax=draw(st.sampled_from(SYNTAXES)),
        character_set=draw(st.sampled_from(sets[0] if sets else ["ISO_IR 192"])),
        combined=draw(st.booleans()),
    )


def own_level(name):
    return LEVEL_OF[name]


def is_in_script(value, name, description):
    """Whether a script has all characters of a key."""
    letters = set(name + name.upper() + description + description.upper())
    return not isinstance(value, str) or all(c.isascii() or c in letters for c in value)


def identifier(search):
    """Return a search as an identifier, encoded by pydicom."""
    dataset = Dataset()
    if search.character_set:
        dataset.SpecificCharacterSet = search.character_set.split("\\")
    dataset.QueryRetrieveLevel = search.level
    for name, key in search.keys.items():
        if name == PRIVATE:
            dataset.private_block(0x0009, CREATOR, create=True).add_new(1, "LO", key)
        elif name == SEQUENCE:
            dataset.RequestAttributesSequence = items([] if key is None else [key])
        elif name == "Rows":
            dataset.Rows = int(key) if key else None
        else:
            setattr(dataset, name, key)
    return encoded(dataset, search.syntax)


def encoded(dataset, syntax):
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax.is_implicit_VR
    buffer.is_little_endian = syntax.is_little_endian
    write_dataset(buffer, dataset)
    plain = buffer.getvalue()
    if not syntax.is_deflated:
        return plain
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(plain) + compressor.flush()


def decoded(data, syntax):
    if syntax.is_deflated:
        data = zlib.decompress(data, -zlib.MAX_WBITS)
    dataset = read_dataset(io.BytesIO(data), syntax.is_implicit_VR, syntax.is_little_endian)
    dataset.decode()
    return dataset


class Oracle:
    """Answers by looking at each data set."""

    def __init__(self, files):
        self.datasets = [pydicom.dcmread(io.BytesIO(file)) for file in files]
        for dataset in self.datasets:
            dataset.decode()

    def answers(self, search):
        """Return of each resource that matches its path, and the data sets it may be told from."""
        depth = LEVELS.index(search.level)
        resources = {}
        for dataset in self.datasets:
            resources.setdefault(path(dataset, depth), []).append(dataset)
        found = {}
        for one, inside in resources.items():
            lower = self.lower(search, inside, depth)
            if lower and self.is_match(search, inside, depth):
                found[one] = (inside[0], lower)
        return found

    def is_match(self, search, inside, depth):
        asked = {}
        for name, key in search.keys.items():
            if name == "ModalitiesInStudy":
                if not self.has_modality(inside, key, depth):
                    return False
            elif name not in COMPUTED and LEVELS.index(LEVEL_OF[name]) <= depth:
                asked[name] = key
        return all_match(inside[0], asked, search.combined)

    def has_modality(self, inside, key, depth):
        study = inside[0].StudyInstanceUID
        of_study = [one for one in self.datasets if one.StudyInstanceUID == study]
        # Above a study: one that has it.
        return is_universal(key) or any(
            matches(one["Modality"], key, folded=False) for one in (of_study if depth else inside)
        )

    @staticmethod
    def lower(search, inside, depth):
        """Return the instances that match what is asked of lower levels."""
        asked = {
            name: key
            for name, key in search.keys.items()
            if name in LEVEL_OF and LEVELS.index(LEVEL_OF[name]) > depth
        }
        if not any(is_asked(key) for key in asked.values()):
            return inside[:1]
        # A level has the values of the first instance of its resource.
        lowest = max(LEVELS.index(LEVEL_OF[name]) for name, key in asked.items() if is_asked(key))
        firsts = {}
        for dataset in inside:
            firsts.setdefault(path(dataset, lowest), dataset)
        return [one for one in firsts.values() if all_match(one, asked, False)]

    def computed(self, name, dataset):
        """Return the value of a computed key."""
        if name == "ModalitiesInStudy":
            study = dataset.StudyInstanceUID
            return sorted({o.Modality for o in self.datasets if o.StudyInstanceUID == study})
        of, what = (LEVELS.index(level) for level in COMPUTED[name])
        own = path(dataset, of)
        return len({path(one, what) for one in self.datasets if path(one, of) == own})


def path(dataset, depth):
    return tuple(str(dataset[UNIQUE[at]].value) for at in range(depth + 1))


def is_asked(key):
    """Whether a key restricts what matches."""
    if isinstance(key, dict):
        return any(not is_universal(inner) for inner in key.values())
    return key is not None and not is_universal(key)


def element_of(dataset, name):
    if name != PRIVATE:
        return dataset.get(tag_for_keyword(name))
    try:
        return dataset.private_block(0x0009, CREATOR)[1]
    except KeyError:
        return None


def all_match(dataset, asked, combined):
    asked = {name: key for name, key in asked.items() if is_asked(key)}
    if combined:
        for prefix in ("Study", "Content"):
            date, time = asked.get(f"{prefix}Date", ""), asked.get(f"{prefix}Time", "")
            if form(date) and form(date) == form(time):
                del asked[f"{prefix}Date"], asked[f"{prefix}Time"]
                if not moment_matches(dataset, prefix, date, time):
                    return False
    return all(one_matches(dataset, name, key) for name, key in asked.items())


def form(key):
    """Return which bounds a range has, None if it is none."""
    low, dash, high = key.partition("-")
    return (bool(low), bool(high)) if dash else None


def moment_matches(dataset, prefix, date, time):
    day, hour = (dataset.get(f"{prefix}{what}") for what in ("Date", "Time"))
    if not day:
        return False
    (first_day, _, last_day), (first_hour, _, last_hour) = date.partition("-"), time.partition("-")
    # A day without a time is all of its moments.
    low, high = (day + hour.ljust(6, "0"),) * 2 if hour else (day + "000000", day + "235959")
    first = first_day + first_hour.ljust(6, "0") if first_day else ""
    last = last_day + last_hour.ljust(6, "9") if last_day else "9"
    return first <= high and low <= last


def one_matches(dataset, name, key):
    if name != SEQUENCE:
        return matches(element_of(dataset, name), key, folded=False)
    return bool(matching_items(dataset, key))


def matching_items(dataset, asked):
    return [
        item
        for item in dataset.get(SEQUENCE) or []
        if all(
            matches(item.get(tag_for_keyword(name)), key, folded=False)
            for name, key in asked.items()
            if not is_universal(key)
        )
    ]


def value_of(answer, name):
    """Return a value of an answer or a data set, in a form that can be compared."""
    element = element_of(answer, name)
    if element is None or element.VM == 0:
        return ""
    value = element.value
    if isinstance(value, bytes):  # a private one in Implicit VR
        return value.decode().strip()
    return "\\".join(texts_of(element)[1])


def item_values(all_items, names):
    """Return what items say: of these names, or all."""
    return [
        {
            element.keyword: str(element.value)
            for element in item
            if (names is None or element.keyword in names) and element.value
        }
        for item in all_items
    ]


class Opened:
    """An archive with some files in it."""

    def __init__(self, files):
        self.files = files

    async def __aenter__(self):
        self.folder = tempfile.TemporaryDirectory()
        root = f"{self.folder.name}/archive"
        self.archive = Archive(Settings(storage=Storage(root=root)))
        self.archive.attach()
        for file in self.files:
            await self.archive.store(file, Caller(way_in="rest"))
        return self

    async def __aexit__(self, *_):
        await self.archive.stop()
        self.folder.cleanup()

    async def c_find(self, asked, syntax, **options):
        body = json.dumps({"relational": True, "model": "patient", **options}).encode()
        out = await self.archive._json(self.archive.core.c_find(asked, syntax, body))
        answers = []
        while out:
            (length,) = struct.unpack_from("<I", out)
            answers.append(out[4 : 4 + length])
            out = out[4 + length :]
        return answers


async def compare(files, asked):
    async with Opened(files) as opened:
        oracle = Oracle(files)
        for search in asked:
            found = await opened.c_find(
                identifier(search), search.syntax, combined_date_time=search.combined
            )
            answers = [decoded(answer, search.syntax) for answer in found]
            expected = oracle.answers(search)
            depth = LEVELS.index(search.level)
            assert sorted(path(answer, depth) for answer in answers) == sorted(expected), search
            for answer in answers:
                compare_answer(oracle, search, answer, *expected[path(answer, depth)])


def compare_answer(oracle, search, answer, first, lower):
    """Assert that an answer says what was asked for, no more, and each of it rightly."""
    asked = {"private" if name == PRIVATE else name for name in search.keys}
    extra = {"QueryRetrieveLevel", "RetrieveAETitle", "SpecificCharacterSet"}
    told = {element.keyword or "private" for element in answer}
    assert asked <= told <= asked | extra, search
    assert answer.QueryRetrieveLevel == search.level
    texts = " ".join(str(element.value) for element in answer)
    assert ("SpecificCharacterSet" in answer) == (not texts.isascii()), search
    depth = LEVELS.index(search.level)
    is_lower = [
        name for name in search.keys if name in LEVEL_OF and LEVELS.index(LEVEL_OF[name]) > depth
    ]
    has_keys_below = any(is_asked(search.keys[name]) for name in is_lower)
    for name in search.keys:
        if name in COMPUTED or name == "ModalitiesInStudy":
            of = COMPUTED.get(name, ("STUDY",))[0]
            expected = oracle.computed(name, first) if LEVELS.index(of) <= depth else ""
            expected = "\\".join(expected) if isinstance(expected, list) else str(expected)
            assert value_of(answer, name) == expected, (name, search)
        elif name not in is_lower:
            assert is_told(answer, first, name, search.keys[name]), (name, search)
    if has_keys_below:
        # All that is told of lower levels comes from one resource that matches.
        assert any(
            all(is_told(answer, one, name, search.keys[name]) for name in is_lower) for one in lower
        ), search
    else:
        for name in is_lower:
            if name in UNIQUE:
                assert value_of(answer, name) == ""
            else:
                assert is_told(answer, first, name, search.keys[name]), (name, search)


def is_told(answer, dataset, name, key):
    """Whether an answer has the value of a data set."""
    if name != SEQUENCE:
        return value_of(answer, name) == value_of(dataset, name)
    told = item_values(answer.get(SEQUENCE) or [], None)
    if not key:
        return told == item_values(dataset.get(SEQUENCE) or [], None)
    return told == item_values(matching_items(dataset, key), set(key))


@given(files=archives(), asked=st.lists(searches(), min_size=25, max_size=25))
@settings(max_examples=15, deadline=None, phases=WITHOUT_SHRINKING)
def test_answers_are_those_of_a_look_at_every_data_set(files, asked):
    asyncio.run(compare(files, asked))
