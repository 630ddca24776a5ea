"""Both servers, loaded alike, and what they answered; a real Orthanc has to be there in CI."""

import os

import pytest
from support import Server
from support_comparison import Comparison
from support_orthanc import NoPeer, Orthanc, private_dictionary, program

# What the end of a run says of the comparison; `.ci/run` looks for it.
SAID = pytest.StashKey[str]()


def peer_program():
    """Return the peer's program; without one there is nothing to test, which fails in CI."""
    try:
        return program()
    except NoPeer as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(f"{reason}; nothing was compared")


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """Run our server and the peer, both empty."""
    executable = peer_program()
    dictionary = private_dictionary(executable)
    theirs = Orthanc(executable, tmp_path_factory.mktemp("orthanc"), dictionary)
    folder = tmp_path_factory.mktemp("archive")
    configuration = folder / "vna.toml"
    configuration.write_text(dictionary.ours)
    ours = Server(
        folder / "data", f"--config={configuration}", "--set=dicom.log_exported_resources=true"
    )
    try:
        yield ours.start(), theirs.start()
    finally:
        theirs.stop()
        if ours.process is not None and ours.process.poll() is None:
            ours.stop()


@pytest.fixture(scope="session")
def comparison(servers, request):
    """Ask both servers everything; each test looks at its part of the answers."""
    ours, theirs = servers
    found = Comparison(ours.http, theirs.http)
    found.run()
    request.config.stash[SAID] = f"compared with Orthanc {theirs.version}: {found.summary()}"
    return found


def pytest_terminal_summary(terminalreporter, config):
    if said := config.stash.get(SAID, None):
        terminalreporter.write_line(said)
