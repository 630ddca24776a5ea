"""C-FIND answers of small archives against an oracle that looks at every data set.

The identifiers go in, and the answers come back, in each transfer syntax and in many character
sets; pydicom reads them. The oracle knows PS3.4 §C and nothing of the archive.
"""

import asyncio
import io

import pydicom
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from oracle import is_universal, matches, texts_of
from pydicom.datadict import tag_for_keyword
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
    decoded,
    identifier,
    searches,
)

# Wildcards and ranges are no values, of which pydicom warns.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

# What fails is small as it is, and each try opens an archive.
WITHOUT_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]


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
