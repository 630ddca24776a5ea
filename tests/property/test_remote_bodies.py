"""Any body to any route of remote nodes gets an answer or a named refusal, and harms nothing."""

import asyncio
import json
import sys
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))
from fake_peers import NetworkedArchive

from vna.rest.app import Application
from vna.services.named_tags import data_set_of
from vna.services.node import Node
from vna.settings import Dicom, Modality, Settings, Storage

NAMES = """
    AET Host Port Manufacturer AllowEcho UseDicomTls LocalAet Timeout RetrieveMethod Parallel
    CheckFind Level Query Normalize Resources Synchronous Asynchronous Priority Permissive UserData
    TargetAet CalledAet MoveOriginatorAet MoveOriginatorID StorageCommitment Full Short Simplify
    DicomInstances PatientID StudyInstanceUID SeriesInstanceUID SOPInstanceUID 0010,0020 StudyDate
    ScheduledProcedureStepSequence PixelData Rows PrivateCreator 0009,0010 0002,0010 0008,0000
"""
PATHS = """
    echo store query move get find-worklist find find-patient find-study find-series find-instance
    storage-commitment
"""
WORDS = "7 study patient Study Patient IMAGE C-GET C-MOVE ME GE \\ * \0 é"
TEXTS = st.sampled_from(["", *WORDS.split(" ")]) | st.text(max_size=20)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES.split()) | st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=12,
)
TAGS = st.dictionaries(st.sampled_from(NAMES.split()), LEAVES | VALUES, max_size=4)
# Right as far as possible, so that what is inside is reached.
WHOLE = st.fixed_dictionaries(
    {
        "Level": st.sampled_from(["Patient", "Study", "Series", "Instance"]),
        "Query": TAGS,
        "Resources": st.lists(TAGS, max_size=3) | st.just(["7"]),
        "AET": TEXTS,
        "Host": TEXTS,
        "Port": st.integers(-1, 70_000),
    },
    optional=dict.fromkeys(("Timeout", "LocalAet", "CalledAet", "Priority", "TargetAet"), LEAVES),
)
BODIES = (VALUES | WHOLE).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30)
REQUESTS = st.tuples(
    st.sampled_from(
        [
            *(("POST", f"/modalities/pacs/{path}") for path in PATHS.split()),
            ("POST", "/tools/dicom-echo"),
            ("PUT", "/modalities/other"),
            ("PUT", "/tools/accepted-transfer-syntaxes"),
            ("PUT", "/tools/unknown-sop-class-accepted"),
            ("POST", "/queries/{query}/retrieve"),
            ("POST", "/queries/{query}/answers/0/retrieve"),
            ("POST", "/queries/{query}/answers/0/query-series"),
        ]
    ),
    BODIES,
)


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """Return a function that sends a request to a node and returns the answer."""
    root = str(tmp_path_factory.mktemp("node"))
    pacs = Modality(name="pacs", aet="PACS", host="h")
    dicom = Dicom(modalities=[pacs], max_queries=10_000)
    loop = asyncio.new_event_loop()
    node = Node(NetworkedArchive(Settings(storage=Storage(root=root), dicom=dicom)))
    node.archive.files = {"7": b""}

    def answer(command, identifier):
        if command["CommandField"] == 0x20:
            yield {"Status": 0xFF00}, data_set_of({"StudyInstanceUID": "1.2", "PatientID": "P"})
        yield {"Status": 0}, None

    node.archive.core.answer = answer

    async def commit(job):
        """Take what is to be committed."""

    node.jobs.register("StorageCommitmentScu", commit)
    transport = httpx.ASGITransport(Application(node))
    client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8042")
    loop.run_until_complete(node.start())
    first = loop.run_until_complete(
        client.post("/modalities/pacs/query", content=b'{"Level": "Study"}')
    )

    def ask(method, path, body):
        path = path.replace("{query}", first.json()["ID"])
        return loop.run_until_complete(client.request(method, path, content=body))

    yield ask
    loop.run_until_complete(client.aclose())
    loop.run_until_complete(node.stop())
    loop.close()


@settings(max_examples=200, deadline=None)
@given(request=REQUESTS)
def test_any_body_is_served_or_refused_by_name(asking, request):
    (method, path), body = request
    answer = asking(method, path, body)
    if answer.status_code == 200:
        return
    refused = answer.json()
    assert 400 <= answer.status_code < 500, (method, path, body, refused)
    assert refused["Code"] != "internal"
    assert refused["Details"]
