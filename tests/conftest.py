"""Which tests share a process when several run them, and what all of them say at the end."""

import pytest

# What the tests said of themselves: each process that ran some tells the one that started it.
SUMMARY = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Keep together what shares servers or fills one table: a file, the network, the comparison."""
    for item in items:
        if "servers" in item.fixturenames:
            group = "orthanc"
        elif item.path.stem.startswith("test_network_"):
            group = "network"
        else:
            group = str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    lines = getattr(node, "workeroutput", {}).get("summary", [])
    node.config.stash.setdefault(SUMMARY, []).extend(lines)


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(SUMMARY, []):
        terminalreporter.write_line(line)
