"""Requests that Python answers: find and get through the core, cancelled, failing, left alone."""

import asyncio
import json
import threading
import time
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    ModalityPerformedProcedureStep,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from support import awake, make_instance

from vna.dimse import serving
from vna.dimse.serving import C_FIND, C_GET, C_MOVE, CANCEL, N_CREATE, PENDING, Serving
from vna.errors import OutOfStorage
from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.services.node import Node
from vna.settings import build, gather

FIND = str(StudyRootQueryRetrieveInformationModelFind)
GET = str(StudyRootQueryRetrieveInformationModelGet)
MOVE = str(StudyRootQueryRetrieveInformationModelMove)
MPPS = str(ModalityPerformedProcedureStep)
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
CALLER = Caller(way_in="python")
OPTIONS = {"tenant": 1, "model": "study", "retrieve_ae_title": "HERE"}


async def find(node, request):
    found = await request.find(OPTIONS)
    status = {"done": 0, "cancelled": CANCEL, "limit": 0xA700, "ended": 0}[found["end"]]
    await request.finish({"Status": status})


async def get(node, request):
    handle = node.archive.core.select_instances(
        request.data_set, request.transfer_syntax_uid, b'{"model": "study", "relational": true}'
    )
    selected = json.loads(await node.archive._json(handle))
    got = await request.store([one["ID"] for one in selected], tenant=1)
    failed = request.encoded({"00080058": {"vr": "UI", "Value": got["failed_uids"]}})
    status = CANCEL if got["cancelled"] else 0xB000 if got["failed"] else 0
    counts = {
        "NumberOfCompletedSuboperations": got["completed"],
        "NumberOfFailedSuboperations": got["failed"],
        "NumberOfWarningSuboperations": got["warning"],
    }
    await request.finish({"Status": status, **counts}, failed if got["failed"] else None)


async def move(node, request):
    """Tells that one is left, until it is cancelled."""
    cancelled = asyncio.ensure_future(request.cancelled())
    while not cancelled.done():
        await request.respond({"Status": PENDING, "NumberOfRemainingSuboperations": 1})
        await asyncio.wait({cancelled}, timeout=0.02)
    assert cancelled.result() == "cancel"
    await request.finish({"Status": CANCEL, "NumberOfRemainingSuboperations": 1})


async def create(node, request):
    what = request.identifier().get("00400254", {}).get("Value", [""])[0]
    if what == "full":
        raise OutOfStorage("no room for it")
    if what == "broken":
        raise ZeroDivisionError
    if what == "silent":
        return
    await request.finish({"Status": 0})


class Running:
    """A node on a loop of its own."""

    def __init__(self, root):
        flags = {
            "storage.root": str(root),
            "dicom.host": "127.0.0.1",
            "dicom.port": "0",
            "dicom.unknown_callers": "echo,store,find,move,get,mpps",
        }
        self.settings = build(gather(None, {}, flags).values())
        self.ready, self.done = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()))
        self.thread.start()
        assert self.ready.wait(30)

    async def run(self):
        self.loop, self.stopping = asyncio.get_running_loop(), asyncio.Event()
        archive = Archive(self.settings)
        archive.attach()
        self.node = Node(archive)
        self.host, self.port = Serving(self.node).listen()
        self.ready.set()
        await self.stopping.wait()
        await archive.stop(5)

    def store(self, *files):
        for data in files:
            stored = asyncio.run_coroutine_threadsafe(
                self.node.archive.store(data, CALLER), self.loop
            )
            stored.result(30)

    def stop(self):
        self.loop.call_soon_threadsafe(self.stopping.set)
        self.thread.join(30)
        assert not self.thread.is_alive()


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    kept = dict(serving._handlers)
    serving._handlers.clear()
    serving.register(FIND, [C_FIND], find)
    serving.register(GET, [C_GET], get)
    serving.register(MOVE, [C_MOVE], move)
    serving.register(MPPS, [N_CREATE], create)
    running = Running(tmp_path_factory.mktemp("requests") / "data")
    files = [make_instance(study="1.2.3", series="1.2.3.4", number=n, size=4096) for n in range(20)]
    running.store(*files)
    running.files = {dcmread(BytesIO(file)).SOPInstanceUID: file for file in files}
    yield running
    running.stop()
    serving._handlers.clear()
    serving._handlers.update(kept)


def associate(node, *uids, roles=(), handlers=(), storage=(EXPLICIT,)):
    ae = AE(ae_title="ANY")
    contexts = [build_context(uid, IMPLICIT) for uid in uids]
    contexts += [build_context(role.sop_class_uid, list(storage)) for role in roles]
    association = ae.associate(
        node.host,
        node.port,
        contexts=contexts,
        ext_neg=list(roles),
        evt_handlers=list(handlers),
    )
    assert association.is_established
    return association


def identifier(level="IMAGE", **keys):
    query = Dataset()
    query.QueryRetrieveLevel = level
    query.StudyInstanceUID = "1.2.3"
    for name, value in keys.items():
        setattr(query, name, value)
    return query


def test_a_query_is_answered_from_the_index(node):
    association = associate(node, FIND)
    query = identifier(SeriesInstanceUID="1.2.3.4", SOPInstanceUID="", InstanceNumber="")
    answers = list(awake(association).send_c_find(query, FIND))
    assert [status.Status for status, _ in answers] == [PENDING] * 20 + [0]
    assert {answer.SOPInstanceUID for _, answer in answers[:-1]} == set(node.files)
    assert {answer.RetrieveAETitle for _, answer in answers[:-1]} == {"HERE"}
    wrong = list(awake(association).send_c_find(identifier(level="NONSENSE"), FIND))
    assert [status.Status for status, _ in wrong] == [0xA900]
    assert "NONSENSE" in wrong[0][0].ErrorComment
    association.release()


def retrieve(node, roles, cancel_after=None, storage=(EXPLICIT,)):
    """Return what came, the last response, and its data set."""
    came = {}

    def keep(event):
        came[event.request.AffectedSOPInstanceUID] = event
        if len(came) == cancel_after:
            event.assoc.send_c_cancel(1, query_model=GET)
            time.sleep(0.2)  # the cancel is read before our response
        return 0x0000

    association = associate(
        node, GET, roles=roles, handlers=[(evt.EVT_C_STORE, keep)], storage=storage
    )
    last, data_set = list(awake(association).send_c_get(identifier("STUDY"), GET))[-1]
    association.release()
    return came, last, data_set


def test_instances_are_fetched_on_the_same_association(node):
    came, last, _ = retrieve(node, [build_role(CTImageStorage, scp_role=True)])
    assert (last.Status, last.NumberOfCompletedSuboperations) == (0, 20)
    assert set(came) == set(node.files)
    for uid, event in came.items():
        assert event.dataset == dcmread(BytesIO(node.files[uid]))


def test_instances_are_encoded_as_the_peer_takes_them(node):
    role = build_role(CTImageStorage, scp_role=True)
    came, last, _ = retrieve(node, [role], storage=(IMPLICIT,))
    assert (last.Status, last.NumberOfCompletedSuboperations) == (0, 20)
    for uid, event in came.items():
        assert event.context.transfer_syntax == IMPLICIT
        assert event.dataset.PixelData == dcmread(BytesIO(node.files[uid])).PixelData


def test_a_cancelled_retrieval_ends_with_what_is_done(node):
    came, last, _ = retrieve(node, [build_role(CTImageStorage, scp_role=True)], cancel_after=3)
    assert last.Status == CANCEL
    assert 3 <= last.NumberOfCompletedSuboperations < 20
    assert len(came) == last.NumberOfCompletedSuboperations


def test_instances_that_no_context_takes_are_failed_suboperations(node):
    enhanced = build_role("1.2.840.10008.5.1.4.1.1.2.1", scp_role=True)
    came, last, failed = retrieve(node, [enhanced])
    assert not came
    assert (last.Status, last.NumberOfFailedSuboperations) == (0xB000, 20)
    assert set(failed.FailedSOPInstanceUIDList) == set(node.files)


def test_a_request_is_cancelled_while_it_is_served(node):
    association = associate(node, MOVE)
    responses = association.send_c_move(identifier("STUDY"), "ANY", MOVE)
    assert next(responses)[0].Status == PENDING
    association.send_c_cancel(1, query_model=MOVE)
    assert [status.Status for status, _ in responses][-1] == CANCEL
    association.release()


@pytest.mark.parametrize(
    ("what", "status"), [("", 0), ("full", 0xA700), ("broken", 0x0110), ("silent", 0x0110)]
)
def test_what_a_service_raises_is_the_status(node, what, status):
    association = associate(node, MPPS)
    step = Dataset()
    step.PerformedProcedureStepDescription = what
    answer, _ = association.send_n_create(step, MPPS, "1.2.3.4.5")
    assert answer.Status == status
    association.release()


def test_a_request_without_a_handler_is_refused(node):
    association = associate(node, MPPS)
    step = Dataset()
    step.PerformedProcedureStepDescription = "changed"
    answer, _ = association.send_n_set(step, MPPS, "1.2.3.4.5")
    assert answer.Status == 0x0122
    association.release()


def test_who_goes_away_in_the_middle_leaves_the_server_well(node):
    for _ in range(5):
        association = associate(node, MOVE)
        responses = association.send_c_move(identifier("STUDY"), "ANY", MOVE)
        next(responses)
        association.abort()
    association = associate(node, FIND)
    answers = list(awake(association).send_c_find(identifier("STUDY"), FIND))
    assert [status.Status for status, _ in answers] == [PENDING, 0]
    association.release()


def test_dcmtk_asks_and_fetches(node, dcmtk, tmp_path):
    to = ("127.0.0.1", str(node.port))
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3")
    asked = dcmtk("findscu", "-v", "-S", *keys, "-k", "NumberOfStudyRelatedInstances", *to)
    assert asked.returncode == 0, asked.stderr
    assert "[20]" in asked.stdout + asked.stderr
    fetched = dcmtk("getscu", "-S", *keys, "-od", str(tmp_path), *to)
    assert fetched.returncode == 0, fetched.stderr
    files = {data.SOPInstanceUID: data for data in map(dcmread, tmp_path.iterdir())}
    assert set(files) == set(node.files)
    for uid, file in files.items():
        assert file == dcmread(BytesIO(node.files[uid]))
