"""De-identification of what belongs together: UIDs map one to one, references stay closed, and
objects stay as valid as they were.

The objects are those of pydicom's package and of the shared data: images and what refers to them,
of radiotherapy, segmentations, reports, presentation states and key objects.
"""

import functools
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID_dictionary
from support_dciodvfy import DCIODVFY
from support_samples import collections
from test_deidentify import deidentified, read

from vna.errors import VnaError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

COLLECTIONS = ("pydicom", "derived-objects", "dicompyler-core", "highdicom", "dicomscope")
# Long pixel data makes no difference here.
LONGEST = 300 << 10


class Sample(NamedTuple):
    """One instance: its name, its data set as it was, and its file as it was and as it is."""

    name: str
    before: Dataset
    data: bytes
    made: bytes


@functools.cache
def instances():
    """Return samples that can be de-identified: their names, what they were, and what they are."""
    found = []
    for name in COLLECTIONS:
        for sample in collections().get(name, []):
            data = sample.read()
            if len(data) > LONGEST:
                continue
            before = read(data)
            if "SOPInstanceUID" not in before:
                continue
            try:
                made = deidentified(data)
            except VnaError:
                continue  # broken on purpose
            found.append(Sample(sample.name, before, data, made))
    return found


def pairs(old, new):
    """Give each UID of a data set that still has a place, with what is there now."""
    for element in old:
        now = new.get(element.tag)
        if now is None or now.is_empty:
            continue
        if element.VR == "SQ":
            for one, other in zip(element.value, now.value, strict=True):
                yield from pairs(one, other)
        elif element.VR == "UI" and not element.is_empty:
            values = element.value if element.VM > 1 else [element.value]
            others = now.value if now.VM > 1 else [now.value]
            for one, other in zip(values, others, strict=True):
                yield element, str(one), str(other)


def test_uids_map_one_to_one_and_references_stay_closed():
    assert len(instances()) > 60
    there, mapped, references = set(), {}, Counter()
    walked = []
    for _, old, _, made in instances():
        new = read(made)
        there.add(str(old.SOPInstanceUID))
        walked.append((old.get("Modality"), list(pairs(old, new))))
    for modality, found in walked:
        for element, one, other in found:
            name = f"{element.name} of a {modality}"
            if element.keyword == "SOPInstanceUID" and one in UID_dictionary:
                continue  # a copy of a colour palette that all have
            if one in UID_dictionary or "Class" in element.name or "Transfer" in element.name:
                assert other == one, name
                continue
            assert mapped.setdefault(one, other) == other, name
            if element.keyword == "ReferencedSOPInstanceUID":
                references[modality] += one in there
    new = {other for one, other in mapped.items() if one != other}
    assert len(new) == sum(one != other for one, other in mapped.items()), "two became one"
    assert not new & set(mapped), "a new UID is an old one"
    kept = {one for one, other in mapped.items() if one == other}
    assert not kept & there
    assert sum(references.values()) > 0, "nothing referred to anything"


def verdict(path):
    """Count what dciodvfy says of a file, by kind of message, without values."""
    command = [DCIODVFY, "-new", path]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    lines = [line for line in run.stderr.splitlines() if line.startswith("Error")]
    return Counter(line.split("=")[0].split("<")[0] for line in lines)


@pytest.fixture(scope="module")
def one_of_each():
    """One sample of each class and modality."""
    chosen = {}
    for name, was, data, made in instances():
        chosen.setdefault((was.get("SOPClassUID"), was.get("Modality")), (name, data, made))
    return list(chosen.values())


def test_objects_are_as_valid_as_they_were(one_of_each, tmp_path):
    assert len(one_of_each) > 10

    def compared(number):
        name, *files = one_of_each[number]
        said = []
        for file in files:
            path = tmp_path / f"{number}-{len(said)}.dcm"
            path.write_bytes(file)
            said.append(verdict(path))
        return name, said[1] - said[0]

    with ThreadPoolExecutor(2) as threads:
        worse = {
            name: more for name, more in threads.map(compared, range(len(one_of_each))) if more
        }
    assert worse == {}
