"""Clients of Orthanc get from us what they get from it, but for what differences.toml lists."""

import pytest
from support_compare import intended, report, unlisted
from support_comparison import GROUPS

pytestmark = pytest.mark.peer


@pytest.mark.parametrize("group", ["corpus", *GROUPS])
def test_answers_are_those_of_orthanc_but_for_listed_differences(comparison, group):
    left = unlisted(comparison.differences[group], intended())
    assert not left, report(left)


def test_every_listed_difference_is_one_still(comparison):
    entries = intended()
    unlisted(comparison.all_differences(), entries)
    there = comparison.collections() | {""}
    gone = [str(entry) for entry in entries if not entry.used and entry.collection in there]
    assert not gone, "to be removed from differences.toml:\n" + "\n".join(gone)


def test_every_listed_difference_has_a_reason():
    assert all(len(entry.reason.split()) >= 3 for entry in intended())
