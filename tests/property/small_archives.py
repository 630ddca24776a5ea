"""Small archives and identifiers that search them, in bytes as pydicom writes and reads them."""

import io
import json
import struct
import tempfile
import zlib
from types import SimpleNamespace

from hypothesis import strategies as st
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

SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]
LEVELS = ["PATIENT", "STUDY", "SERIES", "IMAGE"]
UNIQUE = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
CREATOR = "VNA TEST"

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
    asked = {name: draw(keys(name, level)) for name in names}
    asked |= {name: asked.get(name, "") for name in UNIQUE[: LEVELS.index(level) + 1]}
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
