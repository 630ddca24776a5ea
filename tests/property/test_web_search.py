"""Searches of DICOMweb in small archives against an oracle that looks at every data set.

It is the oracle of C-FIND: what matches is the same (PS3.18 §8.3.4.1.1), relational, with dates and
times together as moments. Answers come back as DICOM JSON and XML; pydicom reads them.
"""

import asyncio
import json
import xml.etree.ElementTree as ET
from types import SimpleNamespace
from urllib.parse import quote, urlencode

import pytest
from find_oracle import Oracle, item_values, matching_items, value_of
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from small_archives import (
    COMPUTED,
    CREATOR,
    LEVEL_OF,
    LEVELS,
    PRIVATE,
    SEQUENCE,
    UNIQUE,
    Opened,
    archives,
    searches,
)

from vna.services import query
from vna.services.caller import Caller

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
WITHOUT_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
CALLER = Caller(way_in="dicomweb")
ROOT = "https://pacs.example/dicom-web"
NAMES = {"STUDY": "Study", "SERIES": "Series", "IMAGE": "Instance"}
# What every result has, with a value or without (PS3.18 tables 10.6.3-3 to 10.6.3-5).
REQUIRED = {
    "STUDY": "StudyDate StudyTime AccessionNumber ModalitiesInStudy ReferringPhysicianName "
    "RetrieveURL PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyID "
    "NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances",
    "SERIES": "Modality RetrieveURL SeriesInstanceUID SeriesNumber NumberOfSeriesRelatedInstances",
    "IMAGE": "SOPClassUID SOPInstanceUID RetrieveURL InstanceNumber",
}


@st.composite
def web_searches(draw):
    """Return a search as C-FIND has it, and how it is written as the query of a URL."""
    asked = draw(searches().filter(lambda search: search.level != "PATIENT"))
    depth = LEVELS.index(asked.level)
    within = {}
    for name in UNIQUE[1:depth]:
        uid = asked.keys.get(name)
        if uid and "\\" not in uid and len(within) == UNIQUE.index(name) - 1:
            within[name] = uid  # the path says it
    shown = [name for name, level in LEVEL_OF.items() if LEVELS.index(level) <= depth]
    shown = sorted(set(shown) - {PRIVATE})
    free = sorted(set(shown) - set(UNIQUE) - set(asked.keys))
    return SimpleNamespace(
        level=asked.level,
        keys=asked.keys,
        combined=True,
        within=within,
        by_tag=draw(st.booleans()),
        with_commas=draw(st.booleans()),
        fields=draw(st.lists(st.sampled_from([*shown, "all"]), max_size=3, unique=True)),
        empties=draw(st.sets(st.sampled_from(free), max_size=1) if free else st.just(set())),
        offset=draw(st.integers(0, 3)),
        limit=draw(st.none() | st.integers(0, 4)),
    )


def parameters(search):
    """Return the parameters of a search."""

    def attribute(name):
        return f"{tag_for_keyword(name):08X}" if search.by_tag else name

    found = []
    for name, key in search.keys.items():
        if name in search.within:
            continue
        if name == PRIVATE:
            found += [("00090010", CREATOR), ("00091001", key)]
        elif name == SEQUENCE:
            inner = key or {}
            found += [
                (f"{attribute(SEQUENCE)}.{attribute(one)}", value) for one, value in inner.items()
            ] or [(attribute(SEQUENCE), "")]
        else:
            if name in UNIQUE[1:] and search.with_commas:
                key = key.replace("\\", ",")
            found.append((attribute(name), key))
    fields = [name if name == "all" else attribute(name) for name in search.fields]
    joined = [",".join(fields)] if search.with_commas else fields
    found += [("includefield", each) for each in joined if each]
    if search.empties:
        found += [("emptyvaluematching", "true")]
        found += [(attribute(name), '""') for name in sorted(search.empties)]
    return found


class Web(Opened):
    """An archive that is searched as over DICOMweb."""

    async def search(self, search, page=(), boundary=None):
        text = urlencode([*parameters(search), *page], quote_via=quote)
        within = [search.within.get(name, "") for name in UNIQUE[1:3]]
        asked = query.WebSearch(NAMES[search.level], *within, text)
        return await query.web_search(self.archive, asked, ROOT, CALLER, boundary)


async def compare(files, asked):
    async with Web(files) as opened:
        oracle = Oracle(files)
        for search in asked:
            expected = answers_with(oracle, search)
            found = await opened.search(search)
            answers = [Dataset.from_json(one) for one in json.loads(found.body)]
            paths = [web_path(answer) for answer in answers]
            depth = LEVELS.index(search.level)
            assert sorted(paths) == sorted(one[1 : depth + 1] for one in expected), search
            assert found.results == len(answers)
            firsts = {one[1:]: first for one, (first, _) in expected.items()}
            for answer in answers:
                compare_answer(oracle, search, answer, firsts[web_path(answer)])
            await compare_page(opened, search, answers)
            await compare_xml(opened, search, answers)
            await compare_fuzzy(opened, search, paths)


def answers_with(oracle, search):
    """Return what the oracle finds, without what has a value where none is asked for."""
    return {
        one: (first, lower)
        for one, (first, lower) in oracle.answers(search).items()
        if not any(first.get(name) for name in search.empties)
    }


async def compare_fuzzy(opened, search, paths):
    """Assert that what matches is similar too, and that only names are similar."""
    found = await opened.search(search, [("fuzzymatching", "true")])
    similar = {web_path(Dataset.from_json(one)) for one in json.loads(found.body)}
    key = search.keys.get("PatientName", "")
    # A pattern is one of letters, and no word that could sound like another.
    if not set("*?=") & set(key):
        assert similar >= set(paths), search
    if not key.strip("*"):
        assert similar == set(paths), search


def web_path(answer):
    """Return the UIDs from the study down by the address of a result."""
    return tuple(answer.RetrieveURL.removeprefix(f"{ROOT}/").split("/")[1::2])


def compare_answer(oracle, search, answer, first):
    """Assert that a result says what the standard wants, and what was asked for."""
    depth = LEVELS.index(search.level)
    required = set(REQUIRED[search.level].split())
    if search.level != "STUDY" and "StudyInstanceUID" not in search.within:
        required |= set(REQUIRED["STUDY"].split())
    told = {element.keyword for element in answer}
    required |= (set(search.fields) | search.empties) - {"all"}
    assert required <= told, (required - told, search)
    for name in sorted((told | set(search.keys)) & (set(LEVEL_OF) | set(COMPUTED))):
        of = COMPUTED[name][0] if name in COMPUTED else LEVEL_OF[name]
        if name != PRIVATE and LEVELS.index(of) > depth:
            assert name not in told, (name, search)
        elif name in COMPUTED:
            assert value_of(answer, name) == str(oracle.computed(name, first)), (name, search)
        elif name == SEQUENCE:
            asked = search.keys.get(SEQUENCE) or {}
            names = set(asked) or {"RequestedProcedureID"}
            items = matching_items(first, asked) if SEQUENCE in search.keys else first.get(SEQUENCE)
            expected = item_values(items or [], names)
            assert item_values(answer.get(SEQUENCE) or [], names) == expected, search
        elif depth == 3 or name != PRIVATE:
            assert same(value_of(answer, name), value_of(first, name)), (name, search)
    if "ModalitiesInStudy" in told:
        modalities = oracle.computed("ModalitiesInStudy", first)
        assert value_of(answer, "ModalitiesInStudy") == "\\".join(modalities), search


def same(told, stored):
    """Whether a value is the stored one: JSON has numbers, of which 02 is 2."""
    if told == stored:
        return True
    try:
        return [float(one) for one in told.split("\\")] == [
            float(one) for one in stored.split("\\")
        ]
    except ValueError:
        return False


async def compare_page(opened, search, answers):
    """Assert that a page is a part of the whole, and that it is told when it is not all."""
    page = [("offset", search.offset)]
    end = len(answers)
    if search.limit is not None:
        page.append(("limit", search.limit))
        end = search.offset + search.limit
    found = await opened.search(search, page)
    shown = [Dataset.from_json(one) for one in json.loads(found.body)]
    assert shown == answers[search.offset : end], search
    assert bool(found.warnings) == (end < len(answers)), search


async def compare_xml(opened, search, answers):
    """Assert that XML says the same as JSON."""
    found = await opened.search(search, boundary="of-parts")
    assert found.results == len(answers)
    if not answers:
        assert found.body == b""
        return
    first, *parts, last = found.body.split(b"--of-parts")
    assert (first, last, len(parts)) == (b"", b"--\r\n", len(answers))
    for part, answer in zip(parts, answers, strict=True):
        head, _, body = part.partition(b"\r\n\r\n")
        assert head == b"\r\nContent-Type: application/dicom+xml"
        root = ET.fromstring(body)
        told = [attribute.get("keyword") for attribute in root]
        assert [name for name in told if name] == [
            keyword_for_tag(element.tag) for element in answer if element.keyword
        ]


@given(files=archives(), asked=st.lists(web_searches(), min_size=20, max_size=20))
@settings(max_examples=6, deadline=None, phases=WITHOUT_SHRINKING)
def test_results_are_those_of_a_look_at_every_data_set(files, asked):
    asyncio.run(compare(files, asked))
