"""Which tests share a process when several run them, and what all of them say at the end."""

from pathlib import PurePath

import pytest

# What the tests said of themselves: each process that ran some tells the one that started it.
SUMMARY = pytest.StashKey[list[str]]()


def group_of(nodeid):
    """Return what a test stays together with: its file, all of the network, all beside Orthanc."""
    file = PurePath(nodeid.partition("::")[0])
    if file.stem.startswith("test_network_"):
        return "network"  # they fill one table
    if file.parent.name == "interop" and "orthanc" in file.stem:
        return "orthanc"  # they share a comparison
    return str(file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid)

    return Groups(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    lines = getattr(node, "workeroutput", {}).get("summary", [])
    node.config.stash.setdefault(SUMMARY, []).extend(lines)


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(SUMMARY, []):
        terminalreporter.write_line(line)
