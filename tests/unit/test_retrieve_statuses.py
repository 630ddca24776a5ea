"""How queries and retrievals end: over requests and a core in memory."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from vna.dimse import query_retrieve as qr
from vna.errors import Busy, IdentifierMismatch, StorageFailed, VnaError
from vna.services.caller import Caller
from vna.services.modalities import Modalities
from vna.settings import Dicom, Modality, Settings

VIEWER = Modality(name="viewer", aet="VIEWER", host="10.1.1.1", port=11112)
SELECTED = [{"ID": f"id{n}", "SOPInstanceUID": f"1.2.{n}"} for n in range(4)]


class FakeRequest:
    """A request whose answers are kept."""

    association = 1
    sop_class_uid = "1.2.840.10008.5.1.4.1.2.2.2"
    transfer_syntax_uid = "1.2.840.10008.1.2.1"
    data_set = b"identifier"

    def __init__(self, destination="VIEWER", extended=b"", found=None, stored=None):
        self.caller = Caller(
            way_in="dimse", address="10.1.1.1", calling_ae_title="VIEWER", called_ae_title="TRIAL"
        )
        self.command = {"MoveDestination": destination, "MessageID": 7}
        self.extended = extended
        self.answers, self.options = [], None
        self._found, self._stored = found, stored
        self.is_cancelled = asyncio.Event()

    def encoded(self, data_set):
        return json.dumps(data_set).encode()

    async def respond(self, command, data_set=None):
        self.answers.append((command, data_set))

    finish = respond

    async def find(self, options):
        self.options = options
        if isinstance(self._found, Exception):
            raise self._found
        return {"answers": 1, "end": self._found}

    async def store(self, instances, tenant):
        self.options = (instances, tenant)
        return self._stored

    async def cancelled(self):
        await self.is_cancelled.wait()
        return "cancel"

    def until_cancelled(self):
        from vna.dimse.serving import Request

        return Request.until_cancelled(self)


class FakeSending:
    """A batch that goes through `steps` of its progress, one at each look."""

    def __init__(self, batch, steps):
        self.batch, self._steps, self.cancels = batch, list(steps), 0
        self.is_done = asyncio.Event()

    def progress(self):
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if len(self._steps) == 1:
            self.is_done.set()
        return json.dumps(step).encode()

    def wait(self, seen):
        return ("wait", self)

    def cancel(self):
        self.cancels += 1


def progress(remaining, completed=0, warning=0, failures=()):
    """Return what a batch tells."""
    failed = [{"id": each, "sop_instance_uid": "", "status": None} for each in failures]
    counts = {"remaining": remaining, "completed": completed, "warning": warning}
    return counts | {"failed": len(failed), "failures": failed}


def a_node(selected=SELECTED, steps=(), **dicom):
    """Return a node whose core selects these and sends in these steps."""
    node = SimpleNamespace(sending=None)

    def send(batch):
        node.sending = FakeSending(json.loads(batch), steps)
        return node.sending

    def select(identifier, transfer_syntax_uid, options):
        return ("select", selected)

    async def result(handle):
        what, value = handle
        if isinstance(value, Exception):
            raise value
        if what == "select":
            return json.dumps(value).encode()
        await value.is_done.wait()
        return b""

    def begun(handle):
        # As of the archive: who asks is known from the call on.
        return asyncio.ensure_future(result(handle))

    core = SimpleNamespace(send=send, select_instances=select)
    settings = Settings(dicom=Dicom(**dicom))
    node.archive = SimpleNamespace(core=core, result=begun, settings=settings)
    node.modalities = Modalities([VIEWER], lambda: None)
    return node


def run(service, node, request):
    """Let a service answer, and return its answers as (status, rest, identifier)."""

    async def inner():
        await service(node, request)

    asyncio.run(inner())
    return [(command.pop("Status"), command, data) for command, data in request.answers]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(qr, "TELL_S", 0.002)
    monkeypatch.setattr(qr, "CANCEL_S", 0.05)


@pytest.mark.parametrize(
    ("end", "options", "status"),
    [
        ("done", {}, 0x0000),
        ("cancelled", {}, 0xFE00),
        ("limit", {}, 0xA700),
        ("limit", {"find_limit_status": "orthanc"}, 0xFE00),
        (IdentifierMismatch("no level"), {}, 0xA900),
        (Busy("too many"), {}, 0xA700),
        (VnaError("broken"), {}, 0xC000),
    ],
)
def test_a_query_ends_with_a_status_of_its_service(end, options, status):
    request = FakeRequest(found=end)
    assert [each[0] for each in run(qr.find, a_node(**options), request)] == [status]


def test_a_query_is_what_was_negotiated_in_the_name_that_was_called():
    request = FakeRequest(found="done", extended=b"\x01\x01\x00\x01")
    run(qr.find, a_node(find_limit=9), request)
    assert request.options == {
        "tenant": 1,
        "label": None,
        "model": "study",
        "relational": True,
        "combined_date_time": True,
        "timezone": True,
        "limit": 9,
        "retrieve_ae_title": "TRIAL",
        "unsupported_warning": True,
    }


@pytest.mark.parametrize(
    ("selected", "destination", "status"),
    [
        (SELECTED, "NOWHERE", 0xA801),
        (IdentifierMismatch("no UID"), "VIEWER", 0xA900),
        (StorageFailed("no disk"), "VIEWER", 0xA700),
        (VnaError("broken"), "VIEWER", 0xA701),
    ],
)
def test_a_move_that_cannot_begin_says_why(selected, destination, status):
    for options, expected in [({}, status), ({"move_failure_status": "orthanc"}, 0xC000)]:
        node = a_node(selected, **options)
        answers = run(qr.move, node, FakeRequest(destination))
        assert [each[0] for each in answers] == [expected]
        assert node.sending is None


@pytest.mark.parametrize(
    ("last", "status", "failed"),
    [
        (progress(0, 4), 0x0000, None),
        (progress(0, 3, warning=1), 0xB000, None),
        (progress(0, 2, failures=["id1", "id3"]), 0xB000, ["1.2.1", "1.2.3"]),
        (
            progress(0, failures=["id0", "id1", "id2", "id3"]),
            0xA702,
            [f"1.2.{n}" for n in range(4)],
        ),
    ],
)
def test_a_move_ends_with_what_became_of_its_instances(last, status, failed):
    node = a_node(steps=[progress(4), progress(3, 1), last])
    *pending, (end, counts, data) = run(qr.move, node, FakeRequest())
    assert (end, {each[0] for each in pending}) == (status, {0xFF00})
    assert "NumberOfRemainingSuboperations" not in counts
    assert counts["NumberOfCompletedSuboperations"] == last["completed"]
    assert counts["NumberOfFailedSuboperations"] == last["failed"]
    named = json.loads(data)["00080058"]["Value"] if data else None
    assert named == failed
    batch = node.sending.batch
    assert batch["move_originator"] == {"ae_title": "VIEWER", "message_id": 7}
    assert (batch["host"], batch["called_ae_title"]) == ("10.1.1.1", "VIEWER")
    assert batch["instances"] == ["id0", "id1", "id2", "id3"]


def test_a_move_of_nothing_succeeds_without_an_association():
    node = a_node(selected=[])
    ((status, counts, _),) = run(qr.move, node, FakeRequest())
    assert (status, counts["NumberOfCompletedSuboperations"]) == (0, 0)
    assert node.sending is None


def test_a_cancelled_move_tells_what_is_left():
    async def inner():
        node = a_node(steps=[progress(3, 1)] * 50)
        request = FakeRequest()
        moving = asyncio.create_task(qr.move(node, request))
        await asyncio.sleep(0.01)
        request.is_cancelled.set()
        await moving
        return node, request.answers

    node, answers = asyncio.run(inner())
    command, _ = answers[-1]
    assert command["Status"] == 0xFE00
    assert command["NumberOfRemainingSuboperations"] == 3
    assert command["NumberOfCompletedSuboperations"] == 1
    assert node.sending.cancels


def test_a_move_whose_peer_has_gone_sends_no_more():
    class Gone(FakeRequest):
        async def respond(self, command, data_set=None):
            raise ConnectionError

    node = a_node(steps=[progress(4), progress(3, 1), *[progress(2, 2)] * 50])
    with pytest.raises(ConnectionError):
        run(qr.move, node, Gone())
    assert node.sending.cancels


@pytest.mark.parametrize(
    ("stored", "status"),
    [
        ({"completed": 4, "failed": 0, "warning": 0, "failed_ids": [], "cancelled": False}, 0),
        (
            {"completed": 3, "failed": 1, "warning": 0, "failed_ids": ["id2"], "cancelled": False},
            0xB000,
        ),
        (
            {"completed": 1, "failed": 0, "warning": 0, "failed_ids": [], "cancelled": True},
            0xFE00,
        ),
    ],
)
def test_a_get_ends_with_what_became_of_its_instances(stored, status):
    request = FakeRequest(stored=stored)
    ((end, counts, data),) = run(qr.get, a_node(), request)
    assert end == status
    assert counts.get("NumberOfRemainingSuboperations") == (3 if stored["cancelled"] else None)
    assert bool(data) == bool(stored["failed_ids"])
    assert request.options == (["id0", "id1", "id2", "id3"], 1)
