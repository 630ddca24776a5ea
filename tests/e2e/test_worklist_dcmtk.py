"""The same worklist files served by us and by DCMTK's wlmscpfs, asked the same by findscu."""

import itertools
import shutil
import socket
import subprocess
import time

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from support_ports import free_port

NAMES = ["Doe^John", "Doe^Jane", "DOE^JOHN", "Roe^Ann", "Smith^O'Neil"]
# Name, id, date and modality of a query; what is asked for, an empty key, is always answered.
QUERIES = [
    {},
    {"PatientName": "Doe*"},
    {"PatientName": "Doe^J?n?"},
    {"PatientName": "*Ann"},
    {"PatientID": "P3"},
    {"AccessionNumber": "A1?"},
    {"Modality": "MR"},
    {"ScheduledStationAETitle": "ST1"},
    {"ScheduledProcedureStepStartDate": "20261102"},
    {"ScheduledProcedureStepStartDate": "20261102-20261104"},
    {"ScheduledProcedureStepStartDate": "-20261102"},
    {"ScheduledProcedureStepStartDate": "20261104-"},
    {"Modality": "CT", "PatientName": "D*", "ScheduledProcedureStepStartDate": "20261101-20261105"},
]
IN_STEP = {"Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate"}


def an_item(number):
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 100"
    item.AccessionNumber = f"A{number}"
    item.PatientName, item.PatientID = NAMES[number % len(NAMES)], f"P{number}"
    item.PatientBirthDate, item.PatientSex = "19700101", "O"
    item.StudyInstanceUID = f"1.2.840.55.{number + 1}"
    item.RequestedProcedureID, item.RequestedProcedureDescription = f"R{number}", "Thorax"
    step = Dataset()
    step.Modality = ["CT", "MR"][number % 2]
    step.ScheduledStationAETitle = f"ST{number % 3}"
    step.ScheduledProcedureStepStartDate = f"202611{1 + number % 5:02d}"
    step.ScheduledProcedureStepStartTime = "0930"
    step.ScheduledPerformingPhysicianName = "Who^Doctor"
    step.ScheduledProcedureStepDescription = "Thorax"
    step.ScheduledProcedureStepID = f"S{number}"
    item.ScheduledProcedureStepSequence = [step]
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
    item.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
    return item


@pytest.fixture(scope="module")
def both(start_server, tmp_path_factory):
    """Serve one folder twice; gives AE title and port of each."""
    root = tmp_path_factory.mktemp("worklists")
    files = root / "files" / "VNA"
    files.mkdir(parents=True)
    (files / "lockfile").touch()
    for number in range(20):
        pydicom.dcmwrite(files / f"{number}.wl", an_item(number), enforce_file_format=True)
    (root / "vna.toml").write_text(
        f'[dicom]\nunknown_callers = ["worklist"]\n[worklist]\nfolder = "{root / "files"}"\n',
        encoding="utf-8",
    )
    server = start_server(f"--config={root / 'vna.toml'}", root=root / "data")
    port = free_port()
    path = shutil.which("wlmscpfs")
    assert path, "wlmscpfs is missing: install dcmtk, as make test does"
    command = [path, "-q", "-dfp", str(root / "files"), str(port)]
    peer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.02)
    yield server.dicom_port, port
    peer.terminate()
    peer.wait()


def answers(dcmtk, port, keys, folder):
    """Return what findscu gets: scheduled step by accession number."""
    folder.mkdir()
    asked = dict.fromkeys(["AccessionNumber", "PatientName", "PatientID"], "")
    step = dict.fromkeys([*sorted(IN_STEP), "ScheduledProcedureStepID"], "")
    for name, value in keys.items():
        (step if name in IN_STEP else asked)[name] = value
    paths = [f"{name}={value}" for name, value in asked.items()]
    paths += [f"ScheduledProcedureStepSequence[0].{name}={value}" for name, value in step.items()]
    told = dcmtk(
        "findscu",
        "-W",
        "-X",
        "-od",
        str(folder),
        "-aec",
        "VNA",
        *itertools.chain.from_iterable(("-k", path) for path in paths),
        "127.0.0.1",
        str(port),
    )
    assert told.returncode == 0, told.stderr
    found = {}
    for path in folder.glob("*.dcm"):
        answer = pydicom.dcmread(path)
        (one,) = answer.ScheduledProcedureStepSequence
        found[answer.AccessionNumber] = (
            str(answer.PatientName),
            answer.PatientID,
            *(one.get(name) for name in step),
        )
    return found


@pytest.mark.parametrize("keys", QUERIES, ids=lambda keys: "-".join(keys) or "everything")
def test_both_answer_the_same(both, dcmtk, tmp_path, keys):
    ours, theirs = (
        answers(dcmtk, port, keys, tmp_path / name)
        for name, port in zip(("ours", "theirs"), both, strict=True)
    )
    assert ours
    # PS3.4 C.2.2.2.1: names may match whatever their case, and ours do; wlmscpfs takes it exactly.
    ours = {
        number: answer
        for number, answer in ours.items()
        if not ("PatientName" in keys and answer[0].isupper() and number not in theirs)
    }
    assert ours == theirs
