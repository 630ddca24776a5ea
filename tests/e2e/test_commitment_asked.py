"""Storage commitment: peers that ask us, on one association and on two, and after a crash."""

import contextlib
import threading
import time

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import CTImageStorage, MRImageStorage, generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from support import awake, make_instance
from support_ports import free_port

PUSH, INSTANCE = StorageCommitmentPushModel, StorageCommitmentPushModelInstance
WAIT_S = 60


@pytest.fixture(scope="module")
def start_archive(start_server, tmp_path_factory):
    """Start archives that know one modality, at a port that nobody listens on yet."""

    def start(root=None, port=None):
        root = root or tmp_path_factory.mktemp("keeper")
        port = port or free_port()
        (root / "vna.toml").write_text(
            f"""
[jobs]
retry_delay_s = 0.2

[[dicom.ae_titles]]
aet = "KEEPER"

[[dicom.modalities]]
name = "ct"
aet = "CT01"
host = "127.0.0.1"
port = {port}
timeout_s = 2.0
""",
            encoding="utf-8",
        )
        server = start_server(f"--config={root / 'vna.toml'}", root=root / "data")
        server.folder, server.modality_port = root, port
        return server

    return start


@pytest.fixture(scope="module")
def keeper(start_archive):
    return start_archive()


def store(server, count=3):
    """Store instances and return their UIDs."""
    files = [make_instance(number=number, size=4096) for number in range(count)]
    for file in files:
        server.upload(file)
    return [pydicom.dcmread(DicomBytesIO(file)).SOPInstanceUID for file in files]


def references(uids, sop_class=CTImageStorage):
    found = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        found.append(item)
    return found


class Reports:
    """What comes as N-EVENT-REPORT, by transaction."""

    def __init__(self, statuses=()):
        self._statuses = list(statuses)
        self._came = threading.Condition()
        self.reports = []

    def take(self, event):
        """Keep a report; a handler of pynetdicom."""
        with self._came:
            called = event.assoc.acceptor.primitive or event.assoc.requestor.primitive
            self.reports.append((event.event_type, event.event_information, called))
            self._came.notify_all()
            return (self._statuses.pop(0) if self._statuses else 0x0000), None

    def of(self, transaction):
        """Wait for the report of a transaction."""
        deadline = time.monotonic() + WAIT_S
        with self._came:
            while True:
                for event_type, information, _ in self.reports:
                    if information.TransactionUID == transaction:
                        return event_type, information
                assert self._came.wait(deadline - time.monotonic()), "no report came"


@contextlib.contextmanager
def modality(port, reports):
    """Run what takes reports on associations of the archive's."""
    ae = AE(ae_title="CT01")
    ae.add_supported_context(PUSH, scu_role=False, scp_role=True)
    handlers = [(evt.EVT_N_EVENT_REPORT, reports.take)]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    try:
        yield
    finally:
        server.shutdown()


def ask(server, items, reports=None, calling="CT01", transaction=None, called="KEEPER"):
    """Ask for commitment; returns the transaction and the association, which stays open."""
    ae = AE(ae_title=calling)
    ae.add_requested_context(PUSH)
    handlers = [(evt.EVT_N_EVENT_REPORT, reports.take)] if reports else []
    association = ae.associate(
        server.dicom_host, server.dicom_port, ae_title=called, evt_handlers=handlers
    )
    assert association.is_established
    request = Dataset()
    request.TransactionUID = transaction or generate_uid()
    request.ReferencedSOPSequence = items
    status, _ = association.send_n_action(request, 1, PUSH, INSTANCE)
    assert status.Status == 0
    return request.TransactionUID, association


def uids_of(sequence):
    return [item.ReferencedSOPInstanceUID for item in sequence]


def test_what_is_stored_is_committed_on_the_same_association(keeper):
    uids, reports = store(keeper), Reports()
    transaction, association = ask(keeper, references(uids), reports)
    event_type, information = reports.of(transaction)
    association.release()
    assert (event_type, information.RetrieveAETitle) == (1, "KEEPER")
    assert uids_of(information.ReferencedSOPSequence) == uids
    assert "FailedSOPSequence" not in information


def test_who_has_released_gets_the_report_on_an_association_of_ours(keeper):
    uids, reports = store(keeper), Reports()
    with modality(keeper.modality_port, reports):
        transaction, association = ask(keeper, references(uids))
        association.release()
        event_type, information = reports.of(transaction)
    assert event_type == 1
    assert uids_of(information.ReferencedSOPSequence) == uids


def test_what_is_not_kept_is_reported_with_the_reason(keeper):
    (uid, other), reports = store(keeper, 2), Reports()
    missing = generate_uid()
    items = references([uid, missing]) + references([other], MRImageStorage)
    transaction, association = ask(keeper, items, reports)
    event_type, information = reports.of(transaction)
    association.release()
    assert event_type == 2
    assert uids_of(information.ReferencedSOPSequence) == [uid]
    reasons = {
        item.ReferencedSOPInstanceUID: item.FailureReason for item in information.FailedSOPSequence
    }
    assert reasons == {missing: 0x0112, other: 0x0119}


def test_damaged_bytes_are_never_committed(start_archive):
    server = start_archive()
    pattern = bytes(range(256)) * 16
    sound, damaged = (make_instance(PixelData=pattern, PatientComments=name) for name in "AB")
    for file in (sound, damaged):
        server.upload(file)
    uids = [pydicom.dcmread(DicomBytesIO(file)).SOPInstanceUID for file in (sound, damaged)]
    harm(server.root, uids[1], pattern)
    reports = Reports()
    transaction, association = ask(server, references(uids), reports)
    event_type, information = reports.of(transaction)
    association.release()
    assert event_type == 2
    assert uids_of(information.ReferencedSOPSequence) == [uids[0]]
    (failed,) = information.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (uids[1], 0x0110)
    server.kill()


def harm(root, uid, pattern):
    """Change a byte of the pixel data of an instance where it is stored."""
    for path in root.rglob("*"):
        data = path.read_bytes() if path.is_file() and "control" not in path.parts else b""
        at = data.find(pattern, data.find(uid.encode()))
        if uid.encode() in data and at > 0:
            with path.open("r+b") as file:
                file.seek(at + 1000)
                file.write(b"\xa5")
            return
    raise AssertionError("its bytes were not found")


@pytest.mark.parametrize("status", [0x0110, 0x0213])
def test_a_report_that_is_refused_is_tried_again(keeper, status):
    uids, reports = store(keeper, 1), Reports([status])
    with modality(keeper.modality_port, reports):
        transaction, association = ask(keeper, references(uids))
        association.release()
        reports.of(transaction)
        end = time.monotonic() + WAIT_S
        while len(reports.reports) < 2:
            assert time.monotonic() < end
            time.sleep(0.02)
    assert {information.TransactionUID for _, information, _ in reports.reports} == {transaction}


def test_a_transaction_that_is_repeated_is_reported_again(keeper):
    uids, reports = store(keeper, 1), Reports()
    for _ in range(2):
        transaction, association = ask(keeper, references(uids), reports, transaction="1.2.3.4.5")
        reports.of(transaction)
        association.release()
        reports.reports.clear()


def test_kill_9_loses_no_report(start_archive):
    server = start_archive()
    uids, reports = store(server), Reports()
    transaction, association = ask(server, references(uids))
    # Answered: it is on the disk. Nobody listens where the report should go.
    server.kill()
    association.abort()
    again = start_archive(server.folder, server.modality_port)
    with modality(server.modality_port, reports):
        event_type, information = reports.of(transaction)
    assert event_type == 1
    assert uids_of(information.ReferencedSOPSequence) == uids
    assert again.stop() == 0


def test_requests_that_are_none_are_refused(keeper):
    ae = AE(ae_title="CT01")
    ae.add_requested_context(PUSH)
    association = ae.associate(keeper.dicom_host, keeper.dicom_port, ae_title="KEEPER")
    whole = Dataset()
    whole.TransactionUID = generate_uid()
    whole.ReferencedSOPSequence = references(["1.2.3"])
    no_transaction, empty = Dataset(), Dataset()
    no_transaction.ReferencedSOPSequence = references(["1.2.3"])
    empty.TransactionUID = generate_uid()
    nameless = Dataset()
    nameless.TransactionUID = generate_uid()
    nameless.ReferencedSOPSequence = [Dataset()]
    for request, action, instance, expected in [
        (whole, 2, INSTANCE, 0x0123),
        (whole, 1, "1.2.3", 0x0112),
        (no_transaction, 1, INSTANCE, 0x0115),
        (empty, 1, INSTANCE, 0x0115),
        (nameless, 1, INSTANCE, 0x0115),
    ]:
        status, _ = awake(association).send_n_action(request, action, PUSH, instance)
        assert status.Status == expected, (request, action, instance)
    association.release()
