"""Which tests share a process, what they leave to the next one, and what all say at the end."""

import os
from pathlib import PurePath

import pytest

# What the tests said of themselves: each process that ran some tells the one that started it.
SUMMARY = pytest.StashKey[list[str]]()

# What takes longest, in this order: begun last, it would keep one process busy and the others idle.
LONG = (
    "comparison",
    "tests/e2e/test_commands.py",
    "tests/e2e/test_find_and_get.py",
    "tests/e2e/test_authentication.py",
    "tests/interop/test_codecs_corpus.py",
    "tests/e2e/test_recompression.py",
    "tests/property/test_dataset_pydicom.py",
    "tests/e2e/test_logs.py",
    "tests/e2e/test_dicomweb_storing.py",
    "tests/interop/test_transcoding_table.py",
    "tests/interop/test_pictures_orthanc.py",
    "tests/interop/test_cornerstone.py",
    "tests/e2e/test_real_data.py",
    "network",
    "tests/property/test_rewriting_pydicom.py",
    "tests/property/test_reencode_pydicom.py",
    "tests/e2e/test_hostile.py",
    "tests/e2e/test_openapi_requests.py",
    "tests/unit/test_wheel.py",
)


def group_of(nodeid):
    """Return what a test stays together with: its file, all of the network, the comparison."""
    file = PurePath(nodeid.partition("::")[0])
    if file.stem.startswith("test_network_"):
        return "network"  # they fill one table
    if file.stem in {"test_orthanc", "test_orthanc_generated"}:
        return "comparison"  # they ask the same two servers
    return str(file)


@pytest.fixture(scope="module", autouse=True)
def _left_as_found():
    """See that no module changes what all tests of a process share: which comes next is chance."""
    before = os.environ["PATH"], os.getcwd()
    yield
    assert (os.environ["PATH"], os.getcwd()) == before


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # in the order of the tests, not by their number

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid)

    return Groups(config, log)


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):  # one of several processes
        rank = {group: number for number, group in enumerate(LONG)}
        items.sort(key=lambda item: rank.get(group_of(item.nodeid), len(LONG)))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    lines = getattr(node, "workeroutput", {}).get("summary", [])
    node.config.stash.setdefault(SUMMARY, []).extend(lines)


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(SUMMARY, []):
        terminalreporter.write_line(line)
