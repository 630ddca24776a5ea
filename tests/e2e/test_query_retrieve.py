"""C-FIND, C-MOVE and C-GET, asked by DCMTK and pynetdicom, moved to both."""

import contextlib
import shutil
import socket
import subprocess
import threading
import time

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, StoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from support import awake, make_instance
from support_ports import free_port

FIND, GET, MOVE = (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
INSTANCES = 12


@pytest.fixture(scope="module")
def ports():
    return {name: free_port() for name in ("viewer", "dead", "silent", "picky")}


@pytest.fixture(scope="module")
def pacs(start_server, tmp_path_factory, ports):
    root = tmp_path_factory.mktemp("pacs")
    modalities = "".join(
        f"""
[[dicom.modalities]]
name = "{name}"
aet = "{name.upper()}"
host = "127.0.0.1"
port = {port}
timeout_s = 2.0
"""
        for name, port in ports.items()
    )
    (root / "vna.toml").write_text(modalities, encoding="utf-8")
    server = start_server(f"--config={root / 'vna.toml'}", root=root / "data")
    server.study = "1.2.840.99.1"
    server.sent = {}
    for number in range(INSTANCES):
        data = make_instance(
            server.study, f"{server.study}.{number % 2}", "P1", number + 1, AccessionNumber="A1"
        )
        server.upload(data)
        instance = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
        server.sent[instance.SOPInstanceUID] = data
    server.upload(make_instance("1.2.840.99.2", None, "P2", AccessionNumber="A2"))
    return server


def associate(server, *sop_classes, calling="VIEWER", **options):
    ae = AE(ae_title=calling)
    for sop_class in sop_classes:
        ae.add_requested_context(sop_class)
    association = ae.associate(server.dicom_host, server.dicom_port, ae_title="VNA", **options)
    assert association.is_established
    return association


def identifier(level="STUDY", **keys):
    data_set = Dataset()
    data_set.QueryRetrieveLevel = level
    for name, value in keys.items():
        setattr(data_set, name, value)
    return data_set


def find(server, data_set, sop_class=FIND):
    association = associate(server, sop_class)
    *pending, (last, _) = awake(association).send_c_find(data_set, sop_class)
    association.release()
    return [answer for _, answer in pending], last.Status


@contextlib.contextmanager
def destination(port, handle_store=None, contexts=StoragePresentationContexts):
    """Run a storage SCP that keeps what it gets, with its C-STORE requests."""
    got = []

    def keep(event):
        got.append((event.dataset, event.request))
        return handle_store(len(got)) if handle_store else 0x0000

    ae = AE(ae_title="VIEWER")
    ae.supported_contexts = contexts
    server = ae.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)]
    )
    try:
        yield got
    finally:
        server.shutdown()


def move(server, data_set, to="VIEWER", sop_class=MOVE):
    """Return all statuses of a C-MOVE and its last identifier."""
    association = associate(server, sop_class)
    answers = list(association.send_c_move(data_set, to, sop_class))
    association.release()
    return [status for status, _ in answers], answers[-1][1]


def test_studies_are_found_with_what_is_counted(pacs):
    keys = {"StudyInstanceUID": "", "PatientID": "", "NumberOfStudyRelatedInstances": ""}
    found, status = find(pacs, identifier(**keys, ModalitiesInStudy="CT"))
    assert status == 0
    counts = {answer.PatientID: int(answer.NumberOfStudyRelatedInstances) for answer in found}
    assert counts == {"P1": INSTANCES, "P2": 1}
    assert {answer.RetrieveAETitle for answer in found} == {"VNA"}
    patients, status = find(
        pacs,
        identifier("PATIENT", PatientID="P*"),
        PatientRootQueryRetrieveInformationModelFind,
    )
    assert (sorted(each.PatientID for each in patients), status) == (["P1", "P2"], 0)


def test_an_identifier_that_does_not_fit_is_refused(pacs):
    assert find(pacs, identifier("SERIES", SeriesInstanceUID=""))[1] == 0xA900
    assert find(pacs, identifier("NONSENSE", StudyInstanceUID=""))[1] == 0xA900


@pytest.mark.parametrize(("limit_status", "last"), [("standard", 0xA700), ("orthanc", 0xFE00)])
def test_above_the_limit_a_query_ends_as_configured(start_server, limit_status, last, tmp_path):
    (tmp_path / "vna.toml").write_text(
        f"""
[dicom]
find_limit = 3
find_limit_status = "{limit_status}"
unknown_callers = ["echo", "store", "find", "worklist"]
""",
        encoding="utf-8",
    )
    server = start_server(f"--config={tmp_path / 'vna.toml'}", root=tmp_path / "data")
    for number in range(4):
        server.upload(make_instance(patient=f"P{number}"))
        step = {"ScheduledProcedureStepID": f"S{number}"}
        tags = {"PatientID": f"P{number}", "ScheduledProcedureStepSequence": [step]}
        assert server.http.post("/worklists/create", json={"Tags": tags}).status_code == 200
    found, status = find(server, identifier(StudyInstanceUID=""))
    assert (len(found), status) == (3, last)
    assert find(server, identifier(StudyInstanceUID="", PatientID="P1"))[1] == 0
    worklist = "1.2.840.10008.5.1.4.31"
    step = Dataset()
    step.ScheduledProcedureStepID = ""
    query = Dataset()
    query.PatientID, query.ScheduledProcedureStepSequence = "", [step]
    found, status = find(server, query, worklist)
    assert (len(found), status) == (3, last)
    assert server.stop() == 0


def test_a_study_is_moved_with_its_originator_named(pacs, ports):
    with destination(ports["viewer"]) as got:
        statuses, _ = move(pacs, identifier(StudyInstanceUID=pacs.study))
    last = statuses[-1]
    assert (last.Status, last.NumberOfCompletedSuboperations) == (0, INSTANCES)
    assert (last.NumberOfFailedSuboperations, last.NumberOfWarningSuboperations) == (0, 0)
    assert "NumberOfRemainingSuboperations" not in last
    assert all(status.Status == 0xFF00 for status in statuses[:-1])
    assert {data_set.SOPInstanceUID for data_set, _ in got} == set(pacs.sent)
    for data_set, request in got:
        original = pydicom.dcmread(
            pydicom.filebase.DicomBytesIO(pacs.sent[data_set.SOPInstanceUID])
        )
        assert data_set.PixelData == original.PixelData
        assert request.MoveOriginatorApplicationEntityTitle == "VIEWER"
        assert request.MoveOriginatorMessageID == 1


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        (
            identifier(
                "SERIES", StudyInstanceUID="1.2.840.99.1", SeriesInstanceUID="1.2.840.99.1.0"
            ),
            6,
        ),
        (identifier("STUDY", StudyInstanceUID=["1.2.840.99.1", "1.2.840.99.2"]), INSTANCES + 1),
        (identifier("STUDY", AccessionNumber="A2"), 1),
        (identifier("STUDY", StudyInstanceUID="1.2.3.4.5"), 0),
    ],
)
def test_every_level_lists_and_accession_numbers_are_moved(pacs, ports, asked, count):
    with destination(ports["viewer"]) as got:
        statuses, _ = move(pacs, asked)
    assert (statuses[-1].Status, len(got)) == (0, count)
    assert statuses[-1].NumberOfCompletedSuboperations == count


def test_moves_that_cannot_begin_are_refused_with_the_reason(pacs):
    asked = identifier(StudyInstanceUID=pacs.study)
    assert [each.Status for each in move(pacs, asked, "NOWHERE")[0]] == [0xA801]
    assert move(pacs, identifier("STUDY"))[0][-1].Status == 0xA900
    statuses, failed = move(pacs, asked, "DEAD")
    assert (statuses[-1].Status, statuses[-1].NumberOfFailedSuboperations) == (0xA702, INSTANCES)
    assert set(failed.FailedSOPInstanceUIDList) == set(pacs.sent)


def test_instances_that_are_refused_are_named(pacs, ports):
    with destination(ports["viewer"], lambda count: 0xA700 if count % 4 == 0 else 0) as got:
        statuses, failed = move(pacs, identifier(StudyInstanceUID=pacs.study))
    last = statuses[-1]
    assert last.Status == 0xB000
    assert last.NumberOfCompletedSuboperations + last.NumberOfFailedSuboperations == INSTANCES
    refused = [data_set.SOPInstanceUID for at, (data_set, _) in enumerate(got, 1) if at % 4 == 0]
    assert last.NumberOfFailedSuboperations == len(refused)
    assert sorted(failed.FailedSOPInstanceUIDList) == sorted(refused)


def test_clients_of_orthanc_may_have_its_one_status(start_server, tmp_path, ports):
    (tmp_path / "vna.toml").write_text(
        f"""
[dicom]
move_failure_status = "orthanc"

[[dicom.modalities]]
name = "viewer"
aet = "VIEWER"
host = "127.0.0.1"
port = {ports["dead"]}
timeout_s = 2.0
""",
        encoding="utf-8",
    )
    server = start_server(f"--config={tmp_path / 'vna.toml'}", root=tmp_path / "data")
    server.upload(make_instance("1.2.840.99.3"))
    asked = identifier(StudyInstanceUID="1.2.840.99.3")
    for to in ("NOWHERE", "VIEWER"):
        assert move(server, asked, to)[0][-1].Status == 0xC000
    assert server.stop() == 0


def test_a_cancelled_move_ends_with_what_is_left(pacs, ports):
    def slowly(count):
        time.sleep(0.3)
        return 0

    with destination(ports["viewer"], slowly) as got:
        association = associate(pacs, MOVE)
        asked = identifier(StudyInstanceUID=pacs.study)
        answers = []
        cancelled_at = None
        for status, _ in association.send_c_move(asked, "VIEWER", MOVE, msg_id=7):
            answers.append(status)
            if status.Status == 0xFF00 and cancelled_at is None:
                cancelled_at = time.monotonic()
                association.send_c_cancel(7, query_model=MOVE)
        association.release()
    last = answers[-1]
    assert last.Status == 0xFE00
    assert last.NumberOfRemainingSuboperations > 0
    total = (
        last.NumberOfRemainingSuboperations
        + last.NumberOfCompletedSuboperations
        + last.NumberOfFailedSuboperations
    )
    assert total == INSTANCES
    assert len(got) < INSTANCES


def test_a_move_goes_on_after_its_association_was_cut(pacs, ports):
    cut = []

    def abort_once(event):
        if len(cut) == 0 and len(got) == 5:
            cut.append(event.assoc)
            event.assoc.abort()
        got.append(event.dataset.SOPInstanceUID)
        return 0x0000

    got = []
    ae = AE(ae_title="VIEWER")
    ae.supported_contexts = StoragePresentationContexts
    handlers = [(evt.EVT_C_STORE, abort_once)]
    server = ae.start_server(("127.0.0.1", ports["viewer"]), block=False, evt_handlers=handlers)
    try:
        statuses, _ = move(pacs, identifier(StudyInstanceUID=pacs.study))
    finally:
        server.shutdown()
    assert cut
    assert (statuses[-1].Status, statuses[-1].NumberOfCompletedSuboperations) == (0, INSTANCES)
    assert set(got) == set(pacs.sent)
    # Sent again is only what was not answered.
    assert len(got) == INSTANCES + 1


def test_a_destination_that_never_answers_holds_up_nobody(pacs, ports):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", ports["silent"]))
        silent.listen(64)
        asked = identifier(StudyInstanceUID=pacs.study)
        stuck = []
        threads = [
            threading.Thread(target=lambda: stuck.append(move(pacs, asked, "SILENT")[0][-1]))
            for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        with destination(ports["viewer"]) as got:
            assert move(pacs, asked)[0][-1].Status == 0
            assert len(got) == INSTANCES
        assert find(pacs, identifier(StudyInstanceUID=""))[1] == 0
        assert pacs.get("/statistics")["CountStudies"] == 2
        assert not stuck, "the others were served while these waited"
        for thread in threads:
            thread.join()
    assert [status.Status for status in stuck] == [0xA702] * 10


def test_a_study_is_got_on_the_association_itself(pacs):
    got = []

    def keep(event):
        got.append(event.dataset.SOPInstanceUID)
        return 0x0000

    ae = AE(ae_title="VIEWER")
    ae.add_requested_context(GET)
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = ae.associate(
        pacs.dicom_host,
        pacs.dicom_port,
        ae_title="VNA",
        ext_neg=[build_role(CTImageStorage, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )
    asked = identifier(StudyInstanceUID=pacs.study)
    *_, (last, _) = awake(association).send_c_get(asked, GET)
    assert (last.Status, last.NumberOfCompletedSuboperations) == (0, INSTANCES)
    assert sorted(got) == sorted(pacs.sent)
    *_, (last, _) = awake(association).send_c_get(identifier(StudyInstanceUID="1.2.3"), GET)
    assert last.Status == 0
    *_, (last, _) = awake(association).send_c_get(identifier("SERIES"), GET)
    assert last.Status == 0xA900
    association.release()


def test_a_cancelled_get_ends_with_what_is_left(pacs):
    got = []

    def slowly(event):
        got.append(event.dataset.SOPInstanceUID)
        if len(got) == 2:
            event.assoc.send_c_cancel(9, query_model=GET)
        time.sleep(0.1)
        return 0x0000

    ae = AE(ae_title="VIEWER")
    ae.add_requested_context(GET)
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = ae.associate(
        pacs.dicom_host,
        pacs.dicom_port,
        ae_title="VNA",
        ext_neg=[build_role(CTImageStorage, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, slowly)],
    )
    asked = identifier(StudyInstanceUID=pacs.study)
    *_, (last, _) = awake(association).send_c_get(asked, GET, msg_id=9)
    association.release()
    assert last.Status == 0xFE00
    assert last.NumberOfRemainingSuboperations == INSTANCES - len(got)
    assert last.NumberOfCompletedSuboperations == len(got) < INSTANCES


def test_what_the_peer_cannot_take_fails_and_is_named(pacs):
    association = associate(pacs, GET)
    *_, (last, failed) = awake(association).send_c_get(identifier(StudyInstanceUID=pacs.study), GET)
    association.release()
    assert (last.Status, last.NumberOfFailedSuboperations) == (0xA702, INSTANCES)
    assert set(failed.FailedSOPInstanceUIDList) == set(pacs.sent)


def test_dcmtk_finds_gets_and_moves(pacs, ports, dcmtk, tmp_path):
    where = ["-aet", "VIEWER", "-aec", "VNA", "127.0.0.1", str(pacs.dicom_port)]
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={pacs.study}"]
    told = dcmtk("findscu", "-v", "-S", *keys, "-k", "PatientID", *where)
    assert told.returncode == 0, told.stderr
    assert "[P1" in told.stderr + told.stdout
    (tmp_path / "got").mkdir()
    told = dcmtk("getscu", "-S", "-od", str(tmp_path / "got"), *keys, *where)
    assert told.returncode == 0, told.stderr
    assert len(list((tmp_path / "got").iterdir())) == INSTANCES
    (tmp_path / "moved").mkdir()
    storescp = subprocess.Popen(
        [shutil.which("storescp"), "-od", str(tmp_path / "moved"), str(ports["viewer"])]
    )
    try:
        until_listening(ports["viewer"])
        told = dcmtk("movescu", "-S", "-aem", "VIEWER", *keys, *where)
        assert told.returncode == 0, told.stderr
    finally:
        storescp.terminate()
        storescp.wait()
    moved = [pydicom.dcmread(path) for path in (tmp_path / "moved").iterdir()]
    assert {each.SOPInstanceUID for each in moved} == set(pacs.sent)


def until_listening(port):
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < end
        time.sleep(0.02)
