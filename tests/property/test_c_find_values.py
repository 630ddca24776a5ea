"""Values of all VRs, in all character sets, as C-FIND answers tell them from stored headers."""

import asyncio
import warnings

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from small_archives import SYNTAXES, Opened, decoded, encoded

from vna.testing import files, from_pydicom
from vna.testing.values import TEXT

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SPECIFIC_CHARACTER_SET, SOP_INSTANCE_UID = 0x0008_0005, 0x0008_0018
QUERY_RETRIEVE_LEVEL = 0x0008_0052
# What the archive says of itself and counts, whatever a header says (PS3.4 §C.3.4, §C.4.1.1.3.2).
COMPUTED = {0x0008_0054, 0x0008_0056, 0x0008_0061, 0x0008_0062} | {
    0x0020_0000 | element for element in (0x1200, 0x1202, 0x1204, 0x1206, 0x1208, 0x1209)
}
# Bulk data, and what nobody describes.
NOT_ASKED = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}


def is_asked(element):
    group = element.tag >> 16
    if (
        element.tag in {SPECIFIC_CHARACTER_SET, QUERY_RETRIEVE_LEVEL, 0x0008_0201} | COMPUTED
        or group % 2
        or not element.tag & 0xFFFF
    ):
        return False
    return element.vr not in NOT_ASKED


def identifier(asked, uid, syntax):
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "IMAGE"
    for element in asked:
        dataset.add_new(element.tag, element.vr, [] if element.vr == "SQ" else None)
    dataset.SOPInstanceUID = uid
    return encoded(dataset, syntax)


def said(element):
    """Return what an element says: padding says nothing, nor does the character set of an item.

    Private elements in Implicit VR are bytes of which nobody knows what they say.
    """
    if element.vr == "SQ":
        return [
            {
                one.tag: said(one)
                for one in item.elements
                if one.tag != SPECIFIC_CHARACTER_SET and not one.is_private
            }
            for item in element.items
        ]
    if element.vr in TEXT:
        return [text.strip(" \0") for text in element.value]
    return element.value.rstrip(b"\0") if isinstance(element.value, bytes) else element.value


async def compare(stored, syntax):
    asked = {element.tag: element for element in stored.data_set.elements if is_asked(element)}
    async with Opened([stored.data]) as opened:
        body = identifier(asked.values(), stored.sop_instance_uid, syntax)
        (found,) = await opened.c_find(body, syntax)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = from_pydicom(decoded(found, syntax))
    told = {element.tag: element for element in answer.elements}
    assert asked.keys() <= told.keys()
    for tag, element in asked.items():
        assert said(told[tag]) == said(element), f"{tag:08X} {element.vr}"


@given(stored=files(), syntax=st.sampled_from(SYNTAXES))
@settings(
    max_examples=30,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_an_answer_says_what_the_stored_header_says(stored, syntax):
    asyncio.run(compare(stored, syntax))
