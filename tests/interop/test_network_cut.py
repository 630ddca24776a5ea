"""A network that breaks in the middle of a long move: nothing is missing then, nothing twice."""

import contextlib

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove
from support import Server, make_instance
from support_network import UNCOMPRESSED, Ours, associate
from support_peers import until
from support_ports import free_port
from support_proxy import Proxy

pytestmark = pytest.mark.peers

IMAGES = 1_000
IMAGE_BYTES = 4_000
# In the middle of an instance each, some hundred instances apart.
CUTS = [100 * IMAGE_BYTES + 1_234, 300 * IMAGE_BYTES + 77, 200 * IMAGE_BYTES + 3_000]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Run two archives and a study of many images in the first."""
    folders = [tmp_path_factory.mktemp(name) / "data" for name in ("from", "to")]
    servers = [Server(folder).start() for folder in folders]
    source, sink = map(Ours, servers)
    study, series = generate_uid(), generate_uid()
    parts = [
        (f"f{number}", make_instance(study=study, series=series, number=number, size=IMAGE_BYTES))
        for number in range(IMAGES)
    ]
    for start in range(0, IMAGES, 100):
        some = [("file", (name, data)) for name, data in parts[start : start + 100]]
        assert source.server.http.post("/instances", files=some).status_code == 200
    yield source, sink, study
    for server in servers:
        server.stop()


def held(archive):
    return archive.server.get("/statistics")["CountInstances"]


@pytest.mark.parametrize("cuts", [CUTS])
def test_a_move_goes_on_over_cuts_with_nothing_missing_and_nothing_twice(archives, cuts):
    source, sink, study = archives
    with contextlib.closing(contextlib.ExitStack()) as stack:
        proxy = Proxy(sink.port, cuts)
        stack.callback(proxy.stop)
        source.know("sink", "SINK", proxy.port)
        source.know("scu", "SCU", free_port())
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = study
        model = StudyRootQueryRetrieveInformationModelMove
        association = associate(source, (model, UNCOMPRESSED))
        responses = [status for status, _ in association.send_c_move(identifier, "SINK", model)]
        association.release()
    assert responses[-1].Status == 0, responses[-1]
    assert responses[-1].NumberOfCompletedSuboperations == IMAGES
    assert held(sink) == IMAGES
    assert proxy.connections > len(cuts)
    remaining = [status.NumberOfRemainingSuboperations for status in responses[:-1]]
    assert remaining == sorted(remaining, reverse=True)
    assert set(sink.server.get("/instances")) == set(source.server.get("/instances"))


def test_a_retrieve_job_goes_on_over_cuts_with_nothing_missing_and_nothing_twice(archives):
    """We ask the other archive to move to us; the connection over which it sends breaks."""
    source, sink, study = archives
    sink.server.http.delete(f"/studies/{sink.server.get('/studies')[0]}")
    with contextlib.closing(contextlib.ExitStack()) as stack:
        answers = Proxy(sink.port, CUTS)
        stack.callback(answers.stop)
        asks = Proxy(source.port, [])
        stack.callback(asks.stop)
        source.know("sink", "VNA", answers.port)
        sink.know("source", "VNA", asks.port)
        sink.post(
            "/modalities/source/move",
            {"Level": "Study", "Resources": [{"StudyInstanceUID": study}], "Synchronous": True},
        )
        until(lambda: held(sink) == IMAGES, "all of the study")
    assert set(sink.server.get("/instances")) == set(source.server.get("/instances"))
