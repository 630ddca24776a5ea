"""Associations that we request and on which Python asks: pynetdicom or silence answers."""

import asyncio
import contextlib
import json
import socket
import threading

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode as encode_data_set
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from support import data_set_bytes, make_instance
from support_sending import Silent, encode, open_archive, spec

from vna.errors import (
    AssociationAborted,
    AssociationRejected,
    BadRequest,
    ContextRefused,
    PeerClosed,
    PeerFailed,
    PeerProtocolError,
    PeerTimeout,
    PeerUnreachable,
)

FIND, MOVE, GET = (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelGet,
)
C_FIND, C_MOVE, C_GET, C_ECHO = 0x20, 0x21, 0x10, 0x30


@pytest.fixture
async def archive(tmp_path):
    async with open_archive(tmp_path / "data") as opened:
        yield opened


def context(sop_class, *syntaxes, scu=True, scp=False):
    return {
        "sop_class_uid": sop_class,
        "transfer_syntaxes": list(syntaxes or (ExplicitVRLittleEndian, ImplicitVRLittleEndian)),
        "scu": scu,
        "scp": scp,
    }


def identifier(**elements):
    found = Dataset()
    for name, value in elements.items():
        setattr(found, name, value)
    return encode_data_set(found, is_implicit_vr=False, is_little_endian=True)


@contextlib.contextmanager
def serving(*contexts, title="SINK", **handlers):
    """Run a pynetdicom SCP; handlers are named by the event."""
    entity = AE(ae_title=title)
    entity.require_called_aet = title != "SINK"
    for one in contexts:
        sop_class, roles = one if isinstance(one, tuple) else (one, {})
        entity.add_supported_context(
            sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian], **roles
        )
    bound = [(getattr(evt, name), handler) for name, handler in handlers.items()]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=bound)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


class Asking:
    """A peer, awaited."""

    def __init__(self, archive, port, *contexts, **more):
        self.archive = archive
        self.core = archive.core.peer(encode(spec(port, contexts=contexts, **more)))

    async def open(self):
        return json.loads(await self.archive.result(self.core.open()))

    async def request(self, sop_class, data_set=None, **command):
        handle = self.core.request(sop_class, encode(command), data_set)
        return json.loads(await self.archive.result(handle))

    async def response(self, timeout_s=10):
        answer = await self.archive.result(self.core.response(timeout_s))
        line, _, data = answer.partition(b"\n")
        return json.loads(line), data

    async def cancel(self, message_id):
        await self.archive.result(self.core.cancel(message_id))

    async def release(self):
        await self.archive.result(self.core.release())


async def test_echo_tells_who_the_peer_is(archive):
    with serving(Verification) as port:
        asking = Asking(archive, port, context(Verification))
        opened = await asking.open()
        assert opened["implementation_version_name"].startswith("PYNETDICOM")
        assert opened["max_pdu_bytes"] == 16382
        assert [one["transfer_syntax_uid"] for one in opened["contexts"]] == [
            ExplicitVRLittleEndian
        ]
        assert await asking.request(Verification, CommandField=C_ECHO) == {
            "message_id": 1,
            "context_id": 1,
        }
        command, data = await asking.response()
        assert (command["Status"], command["MessageIDBeingRespondedTo"], data) == (0, 1, b"")
        await asking.release()
        with pytest.raises(PeerClosed):
            await asking.request(Verification, CommandField=C_ECHO)


async def test_more_answers_than_anybody_reads_wait_at_the_peer(archive):
    given = []

    def find(event):
        for number in range(3000):
            given.append(number)
            answer = Dataset()
            answer.PatientID = f"P{number}"
            answer.PatientComments = "x" * 9000
            yield 0xFF00, answer

    with serving(FIND, EVT_C_FIND=find) as port:
        asking = Asking(archive, port, context(FIND))
        await asking.open()
        query = identifier(QueryRetrieveLevel="STUDY", PatientID="")
        asked = await asking.request(FIND, query, CommandField=C_FIND)
        for number in range(100):
            command, data = await asking.response()
            assert command["Status"] == 0xFF00
            answer = pydicom.dcmread(DicomBytesIO(data), force=True)
            assert answer.PatientID == f"P{number}"
        before = len(given)
        assert before < 3000
        await asking.cancel(asked["message_id"])
        while command["Status"] == 0xFF00:
            command, _ = await asking.response()
        assert command["Status"] in (0x0000, 0xFE00)
        await asking.release()


async def test_what_a_peer_sends_for_c_get_is_stored_and_counted(archive):
    files = [make_instance(number=number, size=size) for number, size in enumerate((64, 900_000))]

    def get(event):
        yield len(files)
        for file in files:
            yield 0xFF00, pydicom.dcmread(DicomBytesIO(file))

    contexts = (GET, (CTImageStorage, {"scu_role": True, "scp_role": True}))
    with serving(*contexts, EVT_C_GET=get) as port:
        asking = Asking(archive, port, context(GET), context(CTImageStorage, scu=False, scp=True))
        opened = await asking.open()
        assert opened["roles"] == [{"sop_class_uid": CTImageStorage, "scu": False, "scp": True}]
        query = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")
        await asking.request(GET, query, CommandField=C_GET)
        command = {"Status": 0xFF00}
        while command["Status"] == 0xFF00:
            command, _ = await asking.response()
        assert (command["Status"], command["NumberOfCompletedSuboperations"]) == (0, 2)
        received = json.loads(asking.core.received())
        assert (received["stored"], received["refused"]) == (2, 0)
        await asking.release()
    assert json.loads(archive.core.statistics(1))["CountInstances"] == 2
    for file in files:
        uid = str(pydicom.dcmread(DicomBytesIO(file)).SOPInstanceUID)
        found = json.loads(await archive.result(archive.core.lookup(1, uid)))
        stored = archive.core.open_file(1, found[0]["ID"])
        whole = await archive.result(stored.read(0, stored.size))
        assert data_set_bytes(whole) == data_set_bytes(file)


async def test_a_move_tells_its_progress(archive):
    def move(event):
        yield None, None  # an unknown destination

    with serving(MOVE, EVT_C_MOVE=move) as port:
        asking = Asking(archive, port, context(MOVE))
        await asking.open()
        query = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")
        await asking.request(MOVE, query, CommandField=C_MOVE, MoveDestination="NOWHERE")
        command, _ = await asking.response()
        assert command["Status"] == 0xA801
        await asking.release()


async def test_n_services_go_both_ways(archive):
    seen = {}

    def create(event):
        seen["create"] = event.attribute_list.PerformedProcedureStepStatus
        return 0x0000, event.attribute_list

    def act(event):
        seen["action"] = (event.action_type, event.action_information.TransactionUID)
        report = Dataset()
        report.TransactionUID = event.action_information.TransactionUID

        def later():
            status, _ = event.assoc.send_n_event_report(
                report, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1"
            )
            seen["report"] = status.Status

        threading.Timer(0.1, later).start()
        return 0x0000, None

    handlers = {"EVT_N_CREATE": create, "EVT_N_ACTION": act}
    with serving(ModalityPerformedProcedureStep, StorageCommitmentPushModel, **handlers) as port:
        asking = Asking(
            archive,
            port,
            context(ModalityPerformedProcedureStep),
            context(StorageCommitmentPushModel),
        )
        await asking.open()
        step = identifier(PerformedProcedureStepStatus="IN PROGRESS")
        await asking.request(
            ModalityPerformedProcedureStep, step, CommandField=0x140, AffectedSOPInstanceUID="1.2.3"
        )
        command, _ = await asking.response()
        assert (command["Status"], seen["create"]) == (0, "IN PROGRESS")
        await asking.request(
            StorageCommitmentPushModel,
            identifier(TransactionUID="1.2.9"),
            CommandField=0x130,
            RequestedSOPInstanceUID="1.2.840.10008.1.20.1.1",
            ActionTypeID=1,
        )
        command, _ = await asking.response()
        assert (command["Status"], seen["action"]) == (0, (1, "1.2.9"))
        command, data = await asking.response()
        assert (command["CommandField"], command["EventTypeID"]) == (0x100, 1)
        report = pydicom.dcmread(DicomBytesIO(data), force=True)
        assert report.TransactionUID == "1.2.9"
        await asking.request(
            StorageCommitmentPushModel,
            CommandField=0x8100,
            MessageIDBeingRespondedTo=command["MessageID"],
            AffectedSOPInstanceUID=command["AffectedSOPInstanceUID"],
            EventTypeID=1,
            Status=0,
        )
        await asking.release()
    assert seen["report"] == 0


async def test_extended_negotiation_and_user_identity_reach_the_peer(archive):
    seen = {}

    def extended(event):
        seen["extended"] = dict(event.app_info)
        return {FIND: b"\x01\x00"}

    def user(event):
        seen["user"] = (event.user_id_type, event.primary_field, event.secondary_field)
        return True, b""

    handlers = {"EVT_SOP_EXTENDED": extended, "EVT_USER_ID": user}
    with serving(FIND, **handlers) as port:
        asking = Asking(
            archive,
            port,
            context(FIND),
            extended={FIND: [1, 1, 1]},
            user={"type": 2, "primary": "anna", "secondary": "secret", "response": True},
        )
        opened = await asking.open()
        await asking.release()
    assert seen["extended"] == {FIND: b"\x01\x01\x01"}
    assert seen["user"] == (2, b"anna", b"secret")
    assert opened["extended"] == {FIND: [1, 0]}


async def test_every_refusal_says_who_and_why(archive):
    with serving(Verification, title="OTHER") as port:
        asking = Asking(archive, port, context(Verification))
        with pytest.raises(AssociationRejected, match="called AE title not recognized") as rejected:
            await asking.open()
        error = rejected.value
        assert (error.result, error.source, error.reason) == (1, 1, 7)
        assert not error.is_transient
        with pytest.raises(AssociationRejected):
            await asking.request(Verification, CommandField=C_ECHO)
    with serving(Verification) as port:
        asking = Asking(archive, port, context(Verification), context(FIND))
        opened = await asking.open()
        assert len(opened["contexts"]) == 1
        with pytest.raises(ContextRefused, match=FIND):
            await asking.request(FIND, identifier(PatientID="1"), CommandField=C_FIND)
        with pytest.raises(BadRequest, match="CommandField"):
            await asking.request(Verification, MessageID=7)
        await asking.request(Verification, CommandField=C_ECHO)
        assert (await asking.response())[0]["Status"] == 0
        await asking.release()
    slow = r"accept or reject the association within 0\.2 s"
    with Silent() as silent, pytest.raises(PeerTimeout, match=slow):
        await Asking(archive, silent.port, context(Verification), timeout_s=0.2).open()
    with pytest.raises(PeerUnreachable):
        await Asking(archive, 1, context(Verification)).open()
    with pytest.raises(PeerUnreachable, match=r"no-such-host\.invalid"):
        await Asking(archive, 1, context(Verification), host="no-such-host.invalid").open()


async def test_a_peer_that_aborts_or_stays_silent_is_told_apart(archive):
    def abort(event):
        event.assoc.abort()
        return 0x0000

    def wait(event):
        threading.Event().wait(1)
        return 0x0000

    with serving(Verification, EVT_C_ECHO=abort) as port:
        asking = Asking(archive, port, context(Verification))
        await asking.open()
        await asking.request(Verification, CommandField=C_ECHO)
        with pytest.raises(AssociationAborted) as aborted:
            await asking.response()
        assert aborted.value.source == 0
    with serving(Verification, EVT_C_ECHO=wait) as port:
        asking = Asking(archive, port, context(Verification))
        await asking.open()
        await asking.request(Verification, CommandField=C_ECHO)
        with pytest.raises(PeerTimeout, match=r"answer the request within 0\.1 s"):
            await asking.response(0.1)
        assert (await asking.response())[0]["Status"] == 0, "late, but it came"
        waiting = asyncio.ensure_future(asking.response())
        await asyncio.sleep(0)
        asking.core.abort()
        with pytest.raises(PeerClosed):
            await asyncio.wait_for(waiting, 60)


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (b"", PeerClosed),
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", PeerProtocolError),
        (b"\x02\x00\x7f\xff\xff\xff", PeerProtocolError),
        (b"\x02\x00\x00\x00\x00\x04\x00\x01\x00\x00", PeerProtocolError),
        (b"\x04\x00\x00\x00\x00\x08\x00\x00\x00\x04\x01\x03\x00\x00", PeerProtocolError),
        (b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x01", AssociationAborted),
        (b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x02", AssociationRejected),
    ],
)
async def test_whatever_a_peer_answers_is_a_named_error(archive, answer, raised):
    async def serve(reader, writer):
        await reader.read(100)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(raised) as error:
            await Asking(archive, port, context(Verification)).open()
        assert isinstance(error.value, PeerFailed)


async def test_an_address_that_nobody_answers_at_takes_no_thread(archive):
    with socket.socket() as full:
        # A listener whose queue is full lets connections hang.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        asked = [Asking(archive, port, context(Verification), timeout_s=1) for _ in range(50)]
        results = await asyncio.gather(*(one.open() for one in asked), return_exceptions=True)
        assert all(isinstance(result, PeerTimeout) for result in results)
