"""Both servers, loaded alike, and what they answered; the peers on the DICOM network.

A real Orthanc has to be there in CI.
"""

import sys
from pathlib import Path

import pytest
import requests_notes
from support import Server
from support_comparison import Comparison
from support_matrix import shown, table
from support_network import Ours, Study
from support_orthanc import STABLE_AGE_S, Orthanc, peer_program, private_dictionary, program
from support_peers import Pynetdicom, dcmqrscp, storescp
from support_ports import free_port

# What the end of a run says of the comparison; `.ci/run` looks for it.
SAID = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """Run our server and the peer, both empty."""
    executable = peer_program()
    dictionary = private_dictionary(executable)
    theirs = Orthanc(
        executable, tmp_path_factory.mktemp("orthanc"), dictionary, **requests_notes.THEIRS
    )
    folder = tmp_path_factory.mktemp("archive")
    configuration = folder / "vna.toml"
    configuration.write_text(dictionary.ours + requests_notes.OURS)
    ours = Server(
        folder / "data",
        f"--config={configuration}",
        "--set=dicom.log_exported_resources=true",
        f"--set=storage.stable_age_s={STABLE_AGE_S}",
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


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    return Study(folder)


@pytest.fixture(scope="session")
def ours(tmp_path_factory):
    """Run our server, which knows the clients among the peers."""
    server = Server(tmp_path_factory.mktemp("ours") / "data")
    try:
        us = Ours(server.start())
        for title in ("SCU", "FINDSCU", "GETSCU", "MOVESCU"):
            us.know(title.lower(), title, free_port())
        yield us
    finally:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def destination(ours, tmp_path_factory):
    folder = tmp_path_factory.mktemp("storescp")
    peer = storescp(folder)
    ours.know("storescp", "STORESCP", peer.port)
    yield peer
    peer.stop()


@pytest.fixture(scope="session")
def archive(ours, tmp_path_factory):
    """DCMTK's archive."""
    peer = dcmqrscp(tmp_path_factory.mktemp("dcmqrscp"), ours.port)
    ours.know("dcmqr", "DCMQR", peer.port)
    yield peer
    peer.stop()


@pytest.fixture(scope="session")
def pynet(ours):
    peer = Pynetdicom(ours.port)
    ours.know("pynet", peer.title, peer.port)
    yield peer
    peer.stop()


@pytest.fixture(scope="session")
def orthanc(ours, tmp_path_factory):
    """Orthanc with its worklist plugin, knowing us as vna."""
    executable = program()
    root = tmp_path_factory.mktemp("orthanc")
    worklists = root / "worklists"
    worklists.mkdir()
    plugin = Path(executable).parent / "usr/share/orthanc/plugins/libModalityWorklists.so"
    peer = Orthanc(
        executable,
        root,
        DicomAet="ORTHANC",
        DicomModalities={"vna": {"AET": "VNA", "Host": "127.0.0.1", "Port": ours.port}},
        DicomPort=free_port(),
        DicomServerEnabled=True,
        Plugins=[str(plugin)],
        Worklists={"Enable": True, "Database": str(worklists)},
    )
    peer.start()
    peer.worklists = worklists
    ours.know("orthanc", "ORTHANC", peer.settings["DicomPort"])
    yield peer
    peer.stop()


def pytest_collection_modifyitems(items):
    """Look at the table of the network when all of it has been shown."""
    items.sort(key=lambda item: item.name == "test_every_cell_of_the_table_is_shown")


def summary(config):
    """Return lines of what was compared, and with whom."""
    lines = table() if shown else []
    codecs = sys.modules.get("support_codecs_table")
    if codecs is not None and codecs.shown:
        lines += codecs.table()
    if said := config.stash.get(SAID, None):
        lines.append(said)
    return lines


def pytest_sessionfinish(session):
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["summary"] = summary(session.config)


def pytest_terminal_summary(terminalreporter, config):
    for line in summary(config):
        terminalreporter.write_line(line)
