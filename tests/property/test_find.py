"""Searches of small archives against an oracle that looks at every data set.

The oracle knows PS3.4 §C.2.2.2 and nothing of the archive: it compares values that pydicom reads
from the files that were stored.
"""

import asyncio
import io
import json
import tempfile
from dataclasses import dataclass
from types import SimpleNamespace

import pydicom
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from oracle import is_universal, matches
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from vna.services import query
from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.settings import Index, Settings, Storage

# What fails is small as it is, and each try opens an archive.
WITHOUT_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
LEVELS = ["Patient", "Study", "Series", "Instance"]
UIDS = [None, "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]

# What each level says: half of it the index keeps, the other half stands in stored headers alone.
ATTRIBUTES = {
    "Patient": {
        "PatientName": ["Müller^Hans", "MULLER^Anna", "Smith^John", "Smithson^Joan", ""],
        "PatientBirthDate": ["19450101", "19460615", ""],
        "EthnicGroup": ["A", "b", None],
    },
    "Study": {
        "StudyDate": ["20040101", "20040119", "20050202", ""],
        "StudyDescription": ["Chest CT", "CHEST", "Abdomen [a]", "Knee?", None],
        "AccessionNumber": ["A1", "a2", "A10", ""],
        "PatientAge": ["048Y", "010M", None],
    },
    "Series": {
        "Modality": ["CT", "MR", "US"],
        "SeriesDescription": ["axial", "Coronal", None],
        "SeriesNumber": ["1", "02", "10", None],
        "SoftwareVersions": [["V1", "V2"], "v1", None],
    },
    "Instance": {
        "InstanceNumber": ["1", "2", "3", None],
        "ImageType": [["ORIGINAL", "PRIMARY"], ["DERIVED", "SECONDARY", "MPR"], None],
        "Rows": [64, 128, None],
        "SliceThickness": ["5", "5.0", "2.5", None],
    },
}
LEVEL_OF = {name: level for level, names in ATTRIBUTES.items() for name in names}
LEVEL_OF |= dict(zip(UIDS[1:], LEVELS[1:], strict=True)) | {"PatientID": "Patient"}
PRIVATE = "0009,1001"
LEVEL_OF[PRIVATE] = "Instance"
PRIVATE_VALUES = ["alpha", "Beta", None]


def described(level):
    """Return the strategy for what one entity of a level says."""
    return st.fixed_dictionaries(
        {name: st.sampled_from(values) for name, values in ATTRIBUTES[level].items()}
    )


@st.composite
def archives(draw):
    """Return the data sets of a small archive, in the order of arrival."""
    found = []
    for patient in range(draw(st.integers(1, 3))):
        of_patient = draw(described("Patient")) | {"PatientID": f"P{patient}"}
        for study in range(draw(st.integers(1, 2))):
            of_study = draw(described("Study")) | {"StudyInstanceUID": f"1.{patient}.{study}"}
            for series in range(draw(st.integers(1, 2))):
                uid = f"1.{patient}.{study}.{series}"
                of_series = draw(described("Series")) | {"SeriesInstanceUID": uid}
                for instance in range(draw(st.integers(1, 2))):
                    own = draw(described("Instance")) | {"SOPInstanceUID": f"{uid}.{instance}"}
                    own[PRIVATE] = draw(st.sampled_from(PRIVATE_VALUES))
                    found.append(of_patient | of_study | of_series | own)
    return draw(st.permutations(found))


def written(values):
    """Return the file of an instance."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    for name, value in values.items():
        if value is not None and name != PRIVATE:
            setattr(dataset, name, value)
    if values[PRIVATE] is not None:
        dataset.private_block(0x0009, "VNA TEST", create=True).add_new(1, "LO", values[PRIVATE])
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


class Oracle:
    """Finds by looking at each data set."""

    def __init__(self, files):
        self.datasets = [pydicom.dcmread(io.BytesIO(file)) for file in files]

    def find(self, level, keys, folded=True):
        """Return what matches, as (PatientID, UIDs down to the level), in the order of arrival."""
        depth = LEVELS.index(level)
        resources = {}
        for dataset in self.datasets:
            resources.setdefault(self.path(dataset, depth), []).append(dataset)
        return [
            path for path, inside in resources.items() if self.is_match(depth, inside, keys, folded)
        ]

    @staticmethod
    def path(dataset, depth):
        return (dataset.PatientID, *(str(dataset[UIDS[at]].value) for at in range(1, depth + 1)))

    @staticmethod
    def is_match(depth, inside, keys, folded):
        own, lower = {}, {}
        for name, key in keys.items():
            if not is_universal(key):
                at = LEVELS.index(LEVEL_OF[name])
                (own if at <= depth else lower)[name] = key
        first = inside[0]
        if not all(matches(element_of(first, name), key, folded) for name, key in own.items()):
            return False
        # One resource of the lowest level must match all that is asked of lower ones.
        return not lower or any(
            all(matches(element_of(dataset, name), key, folded) for name, key in lower.items())
            for dataset in inside
        )


def element_of(dataset, name):
    return dataset.get((0x0009, 0x1001) if name == PRIVATE else tag_for_keyword(name))


def shown(value):
    """Return a value as a key has it."""
    return "\\".join(value) if isinstance(value, list) else str(value)


@st.composite
def texts(draw, name):
    """Return a key: a value that occurs, or a piece of it with wildcards, a list, a range."""
    if name == PRIVATE:
        all_values = PRIVATE_VALUES
    elif name in ATTRIBUTES[LEVEL_OF[name]]:
        all_values = ATTRIBUTES[LEVEL_OF[name]][name]
    elif name == "PatientID":
        all_values = ["P0", "P1", "P7"]
    else:
        all_values = ["1.0.0", "1.0.0.0", "1.0.0.1", "1.0.0.0.0", "1.1.0.1.1", "9"]
    value = shown(draw(st.sampled_from([one for one in all_values if one])))
    if name.endswith("Date"):
        form = draw(st.sampled_from(["{}", "-{}", "{}-", "20040110-20040601", "19450101-{}"]))
        return form.format(value)
    if name.endswith("UID"):
        other = shown(draw(st.sampled_from(all_values)))
        return draw(st.sampled_from([value, f"{value}\\{other}"]))
    start, end = sorted(draw(st.tuples(st.integers(0, len(value)), st.integers(0, len(value)))))
    changed = draw(st.sampled_from([str, str.upper, str.lower]))(value)
    form = draw(st.sampled_from(["{0}", "{0}", "*{1}*", "{1}*", "*{1}", "{2}", "{0}\\x", "", "*"]))
    return form.format(changed, changed[start:end], changed[:start] + "?" + changed[start + 1 :])


@st.composite
def searches(draw):
    names = draw(st.lists(st.sampled_from(sorted(LEVEL_OF)), max_size=3, unique=True))
    return SimpleNamespace(
        level=draw(st.sampled_from(LEVELS)),
        keys={name: draw(texts(name)) for name in names},
        page=draw(st.tuples(st.integers(0, 3), st.integers(1, 3))),
    )


@dataclass
class Opened:
    archive: Archive

    async def find(self, **request):
        return json.loads(await query.find(self.archive, request, Caller(way_in="rest")))

    async def count(self, **request):
        body = json.dumps(request).encode()
        found = await query.count_json(self.archive, body, Caller(way_in="rest"))
        return json.loads(found)["Count"]


# What the index keeps only if it is told to, and its level.
UNINDEXED = {
    "EthnicGroup": "patient",
    "PatientAge": "study",
    "SoftwareVersions": "series",
    "ImageType": "instance",
    "Rows": "instance",
    "SliceThickness": "instance",
    PRIVATE: "instance",
}


@st.composite
def index_tags(draw):
    """Return tags that are indexed from the beginning, and those that are later, and how far."""
    names = draw(st.permutations(sorted(UNINDEXED)))
    first, last = sorted(draw(st.tuples(st.integers(0, 7), st.integers(0, 7))))
    return SimpleNamespace(
        configured=names[:first],
        later=names[first:last],
        after=draw(st.integers(0, 4)),
        filled=draw(st.sampled_from([0, 1, 1000])),
    )


def configured(names):
    """Return the settings that name tags."""
    levels = {f"{level}_tags": [] for level in ("patient", "study", "series", "instance")}
    for name in names:
        levels[f"{UNINDEXED[name]}_tags"].append(name)
    return Index(**levels)


async def add_tags(archive, tags):
    """Let tags be indexed while the archive runs, and read some of what is there again."""
    for name in tags.later:
        await archive.result(archive.core.add_index_tag(name, UNINDEXED[name]))
    for _ in range(tags.filled):
        if await archive.result(archive.core.fill_index_tags(3)) == b"false":
            break


async def compare(files, asked, tags):
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            storage=Storage(root=f"{folder}/archive"), index=configured(tags.configured)
        )
        archive = Archive(settings)
        archive.attach()
        try:
            paths = {}
            for position, file in enumerate(files):
                if position == tags.after:
                    await add_tags(archive, tags)
                stored = json.loads(await archive.store(file, Caller(way_in="rest")))
                path = Oracle.path(pydicom.dcmread(io.BytesIO(file)), 3)
                ids = ("ParentPatient", "ParentStudy", "ParentSeries", "ID")
                for depth, member in enumerate(ids):
                    paths[stored[member]] = path[: depth + 1]
            opened, oracle = Opened(archive), Oracle(files)
            for search in asked:
                await compare_one(opened, oracle, paths, search)
        finally:
            await archive.stop()


async def compare_one(opened, oracle, paths, search):
    wanted = sorted(oracle.find(search.level, search.keys))
    request = {"Level": search.level, "Query": search.keys}
    found = await opened.find(**request)
    assert sorted(paths[one] for one in found) == wanted, search
    assert await opened.count(**request) == len(wanted), search
    since, limit = search.page
    page = await opened.find(**request, Since=since, Limit=limit)
    assert page == found[since : since + limit], search
    shown = await opened.find(**request, ResponseContent=["MainDicomTags"])
    assert [one["ID"] for one in shown] == found, search


@given(
    instances=archives(),
    asked=st.lists(searches(), min_size=20, max_size=20),
    tags=index_tags(),
)
@settings(max_examples=14, deadline=None, phases=WITHOUT_SHRINKING)
def test_a_search_finds_what_a_look_at_every_data_set_finds(instances, asked, tags):
    files = [written(values) for values in instances]
    asyncio.run(compare(files, asked, tags))
