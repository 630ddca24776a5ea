"""Storage commitment that we ask of peers: their reports on either association."""

import threading
import time

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from support import make_instance

PUSH, INSTANCE = StorageCommitmentPushModel, StorageCommitmentPushModelInstance
WAIT_S = 60


class Keeper:
    """A storage commitment SCP that reports as a test says."""

    def __init__(self):
        self.archive = None
        self.refuses = 0
        self.failing = set()
        self.reports_on = "same"
        self.asked = []
        self.answers = []
        ae = AE(ae_title="KEEPER")
        ae.add_supported_context(PUSH)
        self._to_report = None
        handlers = [(evt.EVT_N_ACTION, self.take), (evt.EVT_PDU_SENT, self.answered)]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self._server.socket.getsockname()[1]

    def take(self, event):
        """Take a request, which is reported on once it is answered."""
        request = event.action_information
        self.asked.append(request)
        if not self.refuses and self.reports_on != "never":
            self._to_report = event.assoc, request
        return self.refuses, None

    def answered(self, event):
        """Report from another thread."""
        if self._to_report is not None:
            threading.Thread(target=self.report, args=self._to_report).start()
            self._to_report = None

    def report(self, association, request):
        """Report on the association of the request, or on another."""
        kept, failed = [], []
        for item in request.ReferencedSOPSequence:
            if item.ReferencedSOPInstanceUID in self.failing:
                item.FailureReason = 0x0112
                failed.append(item)
            else:
                kept.append(item)
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        if kept:
            report.ReferencedSOPSequence = kept
        if failed:
            report.FailedSOPSequence = failed
        if self.reports_on != "same":
            ae = AE(ae_title="KEEPER")
            ae.add_requested_context(PUSH)
            association = ae.associate(
                self.archive.dicom_host,
                self.archive.dicom_port,
                ext_neg=[build_role(PUSH, scp_role=True)],
            )
        status, _ = association.send_n_event_report(report, 2 if failed else 1, PUSH, INSTANCE)
        self.answers.append(status.Status if "Status" in status else None)
        if self.reports_on != "same":
            association.release()

    def stop(self):
        """Stop it."""
        self._server.shutdown()


@pytest.fixture(scope="module")
def pair(start_server, tmp_path_factory):
    keeper = Keeper()
    root = tmp_path_factory.mktemp("asking")
    (root / "vna.toml").write_text(
        f"""
[[dicom.modalities]]
name = "keeper"
aet = "KEEPER"
host = "127.0.0.1"
port = {keeper.port}
timeout_s = 2.0
""",
        encoding="utf-8",
    )
    keeper.archive = start_server(f"--config={root / 'vna.toml'}", root=root / "data")
    yield keeper.archive, keeper
    keeper.stop()


@pytest.fixture
def keeper(pair):
    pair[1].__dict__.update(refuses=0, failing=set(), reports_on="same", asked=[], answers=[])
    return pair[1]


def stored(archive, count=2):
    """Store instances; returns their UIDs by public id."""
    files = [make_instance(number=number) for number in range(count)]
    return {
        archive.upload(file)["ID"]: pydicom.dcmread(DicomBytesIO(file)).SOPInstanceUID
        for file in files
    }


def ask(archive, **body):
    answer = archive.http.post("/modalities/keeper/storage-commitment", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["Path"] == f"/storage-commitment/{answer.json()['ID']}"
    return answer.json()["Path"]


def until_reported(archive, path):
    end = time.monotonic() + WAIT_S
    while (report := archive.get(path))["Status"] == "Pending":
        assert time.monotonic() < end, report
        time.sleep(0.02)
    return report


def until(said):
    end = time.monotonic() + WAIT_S
    while not said():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("reports_on", ["same", "another"])
def test_the_report_is_taken_on_whichever_association_it_comes(pair, keeper, reports_on):
    archive, _ = pair
    keeper.reports_on = reports_on
    uids = stored(archive)
    report = until_reported(archive, ask(archive, Resources=list(uids)))
    assert (report["Status"], report["RemoteAET"], report["Failures"]) == ("Success", "KEEPER", [])
    assert {each["SOPInstanceUID"] for each in report["Success"]} == set(uids.values())
    until(lambda: keeper.answers)
    assert keeper.answers == [0x0000]


def test_what_the_peer_does_not_keep_is_told_with_the_reason(pair, keeper):
    archive, _ = pair
    uids = stored(archive)
    keeper.failing = {next(iter(uids.values()))}
    path = ask(archive, Resources=list(uids))
    report = until_reported(archive, path)
    assert report["Status"] == "Failure"
    (failure,) = report["Failures"]
    assert (failure["SOPInstanceUID"], failure["FailureReason"]) == (*keeper.failing, 0x0112)
    assert len(report["Success"]) == 1
    assert archive.http.post(f"{path}/remove").status_code == 409
    assert all(archive.http.get(f"/instances/{each}").status_code == 200 for each in uids)


def test_what_was_committed_can_be_removed(pair, keeper):
    archive, _ = pair
    uids = stored(archive)
    path = ask(archive, Resources=list(uids))
    until_reported(archive, path)
    assert archive.http.post(f"{path}/remove").status_code == 200
    assert all(archive.http.get(f"/instances/{each}").status_code == 404 for each in uids)
    assert archive.http.get(path).status_code == 404


def test_a_report_that_does_not_come_is_pending(pair, keeper):
    archive, _ = pair
    keeper.reports_on = "never"
    path = ask(archive, DicomInstances=[["1.2.840.10008.5.1.4.1.1.2", "1.2.3"]])
    assert archive.get(path)["Status"] == "Pending"
    assert archive.http.post(f"{path}/remove").status_code == 409
    (request,) = keeper.asked
    assert request.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3"


def test_a_request_that_the_peer_refuses_fails(pair, keeper):
    archive, _ = pair
    keeper.refuses = 0x0213
    body = {"DicomInstances": [["1.2.840.10008.5.1.4.1.1.2", "1.2.3"]]}
    answer = archive.http.post("/modalities/keeper/storage-commitment", json=body)
    assert answer.status_code == 500, answer.text
    assert answer.json()["ErrorPayload"]["Content"]["DimseErrorStatus"] == 0x0213
    (request,) = keeper.asked
    path = f"/storage-commitment/{request.TransactionUID}"
    assert archive.http.get(path).status_code == 404


def test_reports_that_nobody_asked_for_are_refused(keeper):
    keeper.reports_on = "another"
    request = Dataset()
    request.TransactionUID = "1.2.3.4.5.6"
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2", "1.2.3"
    request.ReferencedSOPSequence = [item]
    keeper.report(None, request)
    assert keeper.answers == [0x0115]


def test_an_archive_asks_an_archive(pair, keeper, start_server, tmp_path):
    """The same on both ends: what one has sent, the other has read again."""
    archive, _ = pair
    (tmp_path / "vna.toml").write_text(
        f"""
[dicom]
aet = "OTHER"

[[dicom.modalities]]
name = "vna"
aet = "VNA"
host = "127.0.0.1"
port = {archive.dicom_port}
""",
        encoding="utf-8",
    )
    other = start_server(f"--config={tmp_path / 'vna.toml'}", root=tmp_path / "data")
    known = {"AET": "OTHER", "Host": "127.0.0.1", "Port": other.dicom_port}
    assert archive.http.put("/modalities/other", json=known).status_code == 200
    uids = stored(archive)
    body = {"Resources": list(uids), "StorageCommitment": True, "Synchronous": True}
    sent = archive.http.post("/modalities/other/store", json=body)
    assert sent.status_code == 200, sent.text
    shown = [archive.get(f"/jobs/{each}")["Content"] for each in archive.get("/jobs")]
    (transaction,) = {
        each["StorageCommitmentTransactionUID"]
        for each in shown
        if "StorageCommitmentTransactionUID" in each
    }
    until(lambda: archive.http.get(f"/storage-commitment/{transaction}").status_code == 200)
    report = until_reported(archive, f"/storage-commitment/{transaction}")
    assert report["Status"] == "Success"
    assert {each["SOPInstanceUID"] for each in report["Success"]} == set(uids.values())
    assert other.stop() == 0
