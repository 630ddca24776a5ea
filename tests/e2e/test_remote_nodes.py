"""Remote nodes of others, as clients of our HTTP interface reach them: DCMTK and pynetdicom."""

import io
import json
import threading
import time

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom import evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from support import Server, data_set_bytes, make_instance
from support_cli import vna
from support_remote import Wire, dcmqrscp, node_of_pynetdicom, storescp, wlmscpfs

STUDY = "1.2.826.0.1.3680043.8.498.1"
SERIES = f"{STUDY}.1"


@pytest.fixture
def server(tmp_path):
    running = Server(tmp_path / "data").start()
    yield running
    if running.process.poll() is None:
        running.stop()


def ask(server, path, body=b"", status=200):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = server.http.post(path, content=content)
    assert answer.status_code == status, (path, answer.status_code, answer.text)
    return answer.json()


def know(server, name, aet, port, **options):
    body = {"AET": aet, "Host": "127.0.0.1", "Port": port, **options}
    answer = server.http.put(f"/modalities/{name}", content=json.dumps(body))
    assert answer.status_code == 200, answer.text


def study_of(server, count):
    """Store a study of small instances; returns its files by SOP Instance UID."""
    files = {}
    for number in range(1, count + 1):
        file = make_instance(STUDY, SERIES, number=number)
        server.upload(file)
        files[uid_of(file)] = file
    return files


def uid_of(file):
    return str(pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True).SOPInstanceUID)


def study_id(server):
    [study] = server.get("/studies")
    return study


def until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def job(server, job_id, *states):
    """Wait until a job is in one of the states and return what is known of it."""
    found = {}

    def arrived():
        found.update(server.get(f"/jobs/{job_id}"))
        return found["State"] in states

    until(arrived, found)
    return found


def received(folder):
    """Return the data sets that storescp wrote, by SOP Instance UID."""
    files = [path for path in folder.iterdir() if path.name != "storescp.log"]
    return {uid_of(path.read_bytes()): data_set_bytes(path.read_bytes()) for path in files}


def test_what_is_sent_arrives_bit_for_bit(server, tmp_path):
    files = study_of(server, 12)
    with storescp(tmp_path / "sink", "+B") as sink:
        know(server, "sink", "SINK", sink.port, Parallel=2)
        assert ask(server, "/modalities/sink/echo") == {}
        sent = ask(server, "/modalities/sink/store", study_id(server).encode())
        assert (sent["InstancesCount"], sent["FailedInstancesCount"]) == (12, 0)
        straight = make_instance()
        told = ask(server, "/modalities/sink/store-straight", straight)
        assert told == {"SOPClassUID": CTImageStorage, "SOPInstanceUID": uid_of(straight)}
    files[uid_of(straight)] = straight
    assert received(tmp_path / "sink") == {uid: data_set_bytes(file) for uid, file in files.items()}
    assert server.get("/statistics")["CountInstances"] == 12


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Run a server, and DCMTK's archive with a study that the server sent to it."""
    folder = tmp_path_factory.mktemp("archives")
    server = Server(folder / "data", "--set=jobs.retry_delay_s=0.1").start()
    with dcmqrscp(folder / "archive", server.dicom_port) as archive:
        know(server, "archive", "QRSCP", archive.port)
        archive.files = study_of(server, 40)
        ask(server, "/modalities/archive/store", study_id(server).encode())
        yield server, archive
        server.stop()


@pytest.fixture
def emptied(archives):
    """Return both, the server without what the archive has."""
    server, archive = archives
    know(server, "archive", "QRSCP", archive.port)
    forget(server)
    return server, archive


def forget(server):
    for study in server.get("/studies"):
        server.http.delete(f"/studies/{study}")
    assert server.get("/statistics")["CountInstances"] == 0


def stored(server):
    """Return the data sets that the server has, by SOP Instance UID."""
    files = [server.file(each) for each in server.get("/instances")]
    return {uid_of(file): data_set_bytes(file) for file in files}


def sent_to(archive):
    return {uid: data_set_bytes(file) for uid, file in archive.files.items()}


def test_what_is_found_at_a_remote_archive_is_fetched(emptied):
    server, archive = emptied
    body = {"Level": "Study", "Query": {"PatientName": "Test*", "StudyInstanceUID": ""}}
    query = ask(server, "/modalities/archive/query", body)["Path"]
    assert server.get(f"{query}/answers") == ["0"]
    [answer] = server.get(f"{query}/answers?expand&simplify")
    assert (answer["PatientName"], answer["StudyInstanceUID"]) == ("Test^Person", STUDY)
    below = ask(server, f"{query}/answers/0/query-series", {})["Path"]
    [series] = server.get(f"{below}/answers?expand&simplify")
    assert series["SeriesInstanceUID"] == SERIES
    instances = ask(server, f"{below}/answers/0/query-instances", {})["Path"]
    assert len(server.get(f"{instances}/answers")) == 40
    for method in ("C-MOVE", "C-GET"):
        forget(server)
        ask(server, f"{query}/answers/0/retrieve", {"RetrieveMethod": method})
        assert stored(server) == sent_to(archive)


@pytest.mark.parametrize("service", ["move", "get"])
def test_every_level_is_fetched(emptied, service):
    server, archive = emptied
    keys = {
        "PatientID": "P1",
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "SOPInstanceUID": next(iter(archive.files)),
    }
    counts = {}
    for needed, level in enumerate(("Patient", "Study", "Series", "Instance"), 1):
        resource = dict(list(keys.items())[:needed])
        body = {"Level": level, "Resources": [resource]}
        ask(server, f"/modalities/archive/{service}", body)
        counts[level] = server.get("/statistics")["CountInstances"]
        forget(server)
    assert counts == {"Patient": 40, "Study": 40, "Series": 40, "Instance": 1}


@pytest.mark.parametrize("service", ["move", "get"])
def test_a_retrieve_over_a_cut_network_brings_what_is_missing_and_nothing_twice(emptied, service):
    server, archive = emptied
    with Wire(archive.port) as wire:
        know(server, "archive", "QRSCP", wire.port)
        resource = {"StudyInstanceUID": STUDY}
        body = {"Level": "Study", "Resources": [resource], "Synchronous": False}
        begun = ask(server, f"/modalities/archive/{service}", body)["ID"]
        until(lambda: server.get("/statistics")["CountInstances"] > 5, "nothing comes")
        wire.cut()
        job(server, begun, "Success")
    assert stored(server) == sent_to(archive)


def collecting(into, delay_s=0.0, gate=None):
    """Return a handler of C-STORE that notes what comes."""

    def handle(event):
        if gate is not None:
            gate.wait(30)
        time.sleep(delay_s)
        into.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    return [(evt.EVT_C_STORE, handle)]


def test_a_send_that_was_killed_goes_on_after_the_start(server, tmp_path):
    files = study_of(server, 260)
    came = []
    handlers = collecting(came, 0.002)
    with node_of_pynetdicom([CTImageStorage], handlers) as port:
        know(server, "peer", "PEER", port)
        body = {"Resources": [study_id(server)], "Synchronous": False}
        begun = ask(server, "/modalities/peer/store", body)["ID"]
        until(lambda: len(came) > 210, "nothing goes")
        server.kill()
        again = Server(server.root).start()
        try:
            done = job(again, begun, "Success")
        finally:
            again.stop()
    assert done["Content"]["FailedInstancesCount"] == 0
    assert set(came) == set(files)
    # The part that was on its way is not known to have arrived.
    assert len(came) < 260 + 60


def test_a_send_over_a_cut_network_sends_what_is_missing(server):
    files = study_of(server, 60)
    came = []
    with (
        node_of_pynetdicom([CTImageStorage], collecting(came, 0.005)) as port,
        Wire(port) as wire,
    ):
        know(server, "peer", "PEER", wire.port)
        body = {"Resources": [study_id(server)], "Synchronous": False}
        begun = ask(server, "/modalities/peer/store", body)["ID"]
        until(lambda: len(came) > 20, "nothing goes")
        wire.cut()
        job(server, begun, "Success")
        assert wire.connections > 1
    assert set(came) == set(files)
    assert len(came) - len(files) <= 1  # the one whose answer was lost


@pytest.mark.parametrize("what", ["store", "move"])
def test_a_peer_that_never_answers_holds_up_nobody_and_is_let_go(server, tmp_path, what):
    study_of(server, 3)
    gate = threading.Event()

    def silent(event):
        gate.wait(60)
        yield 0

    handlers = [*collecting([], gate=gate), (evt.EVT_C_MOVE, silent)]
    contexts = [CTImageStorage, StudyRootQueryRetrieveInformationModelMove]
    with (
        node_of_pynetdicom(contexts, handlers) as port,
        storescp(tmp_path / "sink") as sink,
    ):
        know(server, "silent", "SILENT", port)
        know(server, "sink", "SINK", sink.port)
        body = {"Resources": [study_id(server)], "Synchronous": False}
        if what == "move":
            body |= {"Level": "Study", "Resources": [{"StudyInstanceUID": STUDY}]}
        begun = [ask(server, f"/modalities/silent/{what}", body)["ID"] for _ in range(5)]
        sent = ask(server, "/modalities/sink/store", study_id(server).encode())
        assert sent["FailedInstancesCount"] == 0
        for each in begun:
            assert server.http.post(f"/jobs/{each}/cancel").status_code == 200
            ended = server.get(f"/jobs/{each}")
            assert (ended["State"], ended["ErrorCode"]) == ("Failure", 37)
        gate.set()


def test_what_a_peer_answers_is_told(server):
    def refuse(event):
        refusal = Dataset()
        refusal.Status, refusal.ErrorComment = 0xA700, "no room today"
        return refusal

    def find(event):
        yield 0xC001, None

    handlers = [(evt.EVT_C_STORE, refuse), (evt.EVT_C_FIND, find)]
    contexts = [CTImageStorage, StudyRootQueryRetrieveInformationModelFind, Verification]
    study_of(server, 1)
    with node_of_pynetdicom(contexts, handlers) as port:
        know(server, "peer", "PEER", port)
        refused = ask(server, "/modalities/peer/store", study_id(server).encode(), 500)
        assert refused["ErrorPayload"]["Content"]["DimseErrorStatus"] == 0xA700
        assert "no room today" in refused["Details"]
        failed = server.get("/jobs?expand")[-1]
        assert (failed["State"], failed["ErrorCode"]) == ("Failure", 9)
        assert failed["DimseErrorStatus"] == 0xA700
        unable = ask(server, "/modalities/peer/query", {"Level": "Study"}, 500)
        assert unable["ErrorPayload"]["Content"]["DimseErrorStatus"] == 0xC001
        unable = ask(server, "/modalities/peer/query", {"Level": "Patient"}, 500)
        assert unable["Code"] == "context.refused"


def test_a_worklist_of_a_remote_node_is_read(server, tmp_path):
    folder = tmp_path / "worklists"
    (folder / "WL").mkdir(parents=True)
    (folder / "WL" / "lockfile").touch()
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 100"
    item.PatientID, item.PatientName, item.AccessionNumber = "P7", "Müller^Änne", "A7"
    item.StudyInstanceUID, item.RequestedProcedureID = generate_uid(), "R7"
    step = Dataset()
    step.Modality, step.ScheduledStationAETitle = "CT", "CT01"
    step.ScheduledProcedureStepStartDate = "20261125"
    step.ScheduledProcedureStepStartTime = "101010"
    step.ScheduledPerformingPhysicianName, step.ScheduledProcedureStepID = "", "S7"
    item.ScheduledProcedureStepSequence = [step]
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
    item.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    pydicom.dcmwrite(folder / "WL" / "item.wl", item, enforce_file_format=True)
    asked = {
        "PatientName": "",
        "PatientID": "",
        "ScheduledProcedureStepSequence": [{"Modality": "CT", "ScheduledProcedureStepID": ""}],
    }
    with wlmscpfs(folder) as running:
        know(server, "ris", "WL", running.port)
        [found] = ask(server, "/modalities/ris/find-worklist", asked)
        assert (found["PatientName"], found["PatientID"]) == ("Müller^Änne", "P7")
        assert found["ScheduledProcedureStepSequence"][0]["ScheduledProcedureStepID"] == "S7"
        asked["ScheduledProcedureStepSequence"][0]["Modality"] = "MR"
        assert ask(server, "/modalities/ris/find-worklist", asked) == []


def test_commands_reach_remote_nodes_through_the_server(emptied, tmp_path):
    server, archive = emptied
    root = f"--root={server.root}"
    with storescp(tmp_path / "sink") as sink:
        added = ["modality", "add", "sink", "SINK", "127.0.0.1", str(sink.port)]
        assert vna(*added, root).returncode == 0
        assert vna("modality", "echo", root).stdout.count("answers in") == 2
        fetched = vna("query", "archive", "study", f"StudyInstanceUID={STUDY}", "--retrieve", root)
        assert (fetched.returncode, STUDY in fetched.stdout) == (0, True)
        assert stored(server) == sent_to(archive)
        sent = vna("send", "sink", study_id(server), root)
        assert (sent.returncode, sent.stdout) == (0, "40 instances sent to sink\n")
    assert len(received(tmp_path / "sink")) == 40
    failed = vna("send", "sink", study_id(server), root)
    assert (failed.returncode, "refused" in failed.stderr) == (1, True)


def test_what_a_node_does_not_take_as_it_is_is_reencoded_if_it_may_be(server):
    study_of(server, 2)  # in Explicit VR Little Endian
    came = []
    contexts = [(CTImageStorage, ImplicitVRLittleEndian)]
    with node_of_pynetdicom(contexts, collecting(came)) as port:
        know(server, "peer", "PEER", port, AllowTranscoding=False)
        refused = ask(server, "/modalities/peer/store", study_id(server).encode(), 500)
        assert (refused["Code"], came) == ("context.refused", [])
        assert ExplicitVRLittleEndian in refused["Details"]
        know(server, "peer", "PEER", port)
        sent = ask(server, "/modalities/peer/store", study_id(server).encode())
    assert (sent["FailedInstancesCount"], len(came)) == (0, 2)
