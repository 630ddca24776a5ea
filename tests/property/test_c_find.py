"""C-FIND answers of small archives against an oracle that looks at every data set.

The identifiers go in, and the answers come back, in each transfer syntax and in many character
sets; pydicom reads them. The oracle knows PS3.4 §C and nothing of the archive.
"""

import asyncio

import pytest
from find_oracle import Oracle, is_asked, item_values, matching_items, path, value_of
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from small_archives import (
    COMPUTED,
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
