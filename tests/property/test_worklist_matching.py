"""Data sets that are matched by the rules of C-FIND, as worklists are, against an oracle."""

import asyncio
import struct
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import is_universal, matches
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian
from small_archives import SCRIPTS, SYNTAXES, Opened, decoded, encoded

from vna.errors import EncodingError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
STEPS = "ScheduledProcedureStepSequence"
OF_STEP = {
    "Modality": ["CT", "MR"],
    "ScheduledStationAETitle": ["CT01", "ct01", ["CT01", "CT02"]],
    "ScheduledProcedureStepStartDate": ["20240101", "20240102", "20240201"],
    "ScheduledProcedureStepStartTime": ["0800", "083015", "12"],
    "ScheduledPerformingPhysicianName": ["Roe^Jane", ""],
}
OF_ITEM = {
    "PatientID": ["P1", "p2", "P30"],
    "AccessionNumber": ["A1", "A2", ""],
    "RequestedProcedureID": ["R1", None],
}
KEYS = {
    "ScheduledProcedureStepStartDate": ["", "20240101", "20240101-20240131", "-20240101"],
    "ScheduledProcedureStepStartTime": ["", "08", "0800-0900", "1100-"],
    "ScheduledStationAETitle": ["", "CT01", "CT*", "CT0?"],
    "ScheduledPerformingPhysicianName": ["", "roe*", "*"],
    "PatientID": ["", "P1", "P*", "P1\\P30"],
    "PatientName": ["", "*", *(name for name, _, _ in SCRIPTS)],
    "AccessionNumber": ["", "A1"],
    "RequestedProcedureID": ["", "R1"],
    "Modality": ["", "CT", "CT\\MR"],
}


def said(known):
    return st.fixed_dictionaries({name: st.sampled_from(values) for name, values in known.items()})


def dataset_of(values):
    dataset = Dataset()
    for name, value in values.items():
        if value is not None:
            setattr(dataset, name, value)
    return dataset


@st.composite
def worklist_items(draw):
    name, _, sets = draw(st.sampled_from(SCRIPTS))
    item = dataset_of(draw(said(OF_ITEM)) | {"PatientName": name})
    if terms := draw(st.sampled_from(sets)):
        item.SpecificCharacterSet = terms.split("\\")
    steps = draw(st.lists(said(OF_STEP), min_size=1, max_size=2))
    setattr(item, STEPS, Sequence([dataset_of(step) for step in steps]))
    return item


@st.composite
def worklist_queries(draw):
    def keys(known):
        names = draw(st.lists(st.sampled_from(sorted(known)), max_size=3, unique=True))
        return {name: draw(st.sampled_from(KEYS[name])) for name in names}

    return SimpleNamespace(
        item=keys({*OF_ITEM, "PatientName"}),
        step=draw(st.none() | st.just(keys(OF_STEP))),
        syntax=draw(st.sampled_from(SYNTAXES)),
        told_in=draw(st.sampled_from(SYNTAXES)),
    )


def is_match(dataset, keys):
    return all(
        is_universal(key) or matches(dataset.get(tag_for_keyword(name)), key, folded=False)
        for name, key in keys.items()
    )


def split(out):
    while out:
        number, length = struct.unpack_from("<II", out)
        yield number, out[8 : 8 + length]
        out = out[8 + length :]


def texts(dataset, names):
    return {name: str(dataset.get(name) or "") for name in names}


async def compare(opened, all_items, query):
    identifier = dataset_of({"SpecificCharacterSet": "ISO_IR 192"} | query.item)
    if query.step is not None:
        setattr(identifier, STEPS, Sequence([dataset_of(query.step)]))
    begun = opened.archive.core.match_data_sets(
        encoded(identifier, query.syntax),
        query.syntax,
        [encoded(item, ExplicitVRLittleEndian) for item in all_items],
        query.told_in,
    )
    found = dict(split(await opened.archive._json(begun)))
    for item in all_items:
        item.decode()
    expected = {}
    for number, item in enumerate(all_items):
        steps = [step for step in item[STEPS].value if is_match(step, query.step or {})]
        if is_match(item, query.item) and (steps or not asks(query.step)):
            expected[number] = steps
    assert sorted(found) == sorted(expected)
    for number, answer in found.items():
        told, item = decoded(answer, query.told_in), all_items[number]
        names = {*query.item, *([STEPS] if query.step is not None else [])}
        assert {element.keyword for element in told} - {"SpecificCharacterSet"} == names
        assert texts(told, query.item) == texts(item, query.item)
        if query.step is not None:
            # Steps without keys are told whole.
            inside = query.step or OF_STEP
            assert [texts(step, inside) for step in told[STEPS].value] == [
                texts(step, inside) for step in expected[number]
            ]


def asks(step):
    return any(not is_universal(key) for key in (step or {}).values())


@pytest.fixture(scope="module")
def compared():
    """Run comparisons in one archive, which nothing is stored in."""
    with asyncio.Runner() as runner:
        opened = Opened([])
        runner.run(opened.__aenter__())
        yield lambda *asked: runner.run(compare(opened, *asked))
        runner.run(opened.__aexit__())


@given(all_items=st.lists(worklist_items(), max_size=8), query=worklist_queries())
@settings(max_examples=40, deadline=None)
def test_worklist_items_match_by_the_rules_of_c_find(compared, all_items, query):
    compared(all_items, query)


def test_a_worklist_item_that_is_no_data_set_is_an_error():
    async def run():
        async with Opened([]) as opened:
            begun = opened.archive.core.match_data_sets(
                b"", ExplicitVRLittleEndian, [b"\x10\x00\x10\x00PN\xff\x00"], ExplicitVRLittleEndian
            )
            with pytest.raises(EncodingError):
                await opened.archive._json(begun)

    asyncio.run(run())
