"""Real servers on free ports, and DICOM files to send to them."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

VNA = Path(sys.executable).with_name("vna")
# A loaded machine starts slowly; what the start costs is measured in test_idle.py.
START_S = 120


class Server:
    """One `vna serve` on a folder, with free ports."""

    def __init__(self, root, *flags, environment=None):
        self.root = Path(root)
        self.flags = flags
        self.environment = environment or {}
        self.process = None
        self.log = b""

    def start(self):
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "server.json").unlink(missing_ok=True)
        self.log_file = (self.root.parent / f"{self.root.name}.log").open("ab")
        clean = {key: value for key, value in os.environ.items() if not key.startswith("VNA__")}
        self.process = subprocess.Popen(
            [
                VNA,
                "serve",
                f"--root={self.root}",
                "--http-port=0",
                "--dicom-host=127.0.0.1",
                "--dicom-port=0",
                *self.flags,
            ],
            stdout=self.log_file,
            stderr=subprocess.STDOUT,
            env=clean | self.environment,
            cwd=self.root.parent,
        )
        end = time.monotonic() + START_S
        while not (self.root / "server.json").exists():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < end, self.output()
            time.sleep(0.005)
        announced = json.loads((self.root / "server.json").read_text())
        self.url = announced["http"]
        self.dicom_host, self.dicom_port = announced["dicom"]
        self.http = httpx.Client(base_url=self.url, timeout=60)
        return self

    def output(self):
        return (self.root.parent / f"{self.root.name}.log").read_text(errors="replace")

    def get(self, path, **options):
        answer = self.http.get(path, **options)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def upload(self, data):
        answer = self.http.post("/instances", content=data)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def file(self, public_id):
        answer = self.http.get(f"/instances/{public_id}/file")
        assert answer.status_code == 200, (public_id, answer.text)
        return answer.content

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)
        self.http.close()

    def stop(self):
        """Stop as an operator does; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.http.close()
        return status


def ct_small():
    """Return a real CT slice of 16 bit that pydicom brings along."""
    return Path(get_testdata_file("CT_small.dcm")).read_bytes()


def make_instance(study=None, series=None, patient="P1", number=1, size=64, **attributes):
    """Return a made-up CT instance as a PS3.10 file."""
    instance = Dataset()
    instance.PatientID = patient
    instance.PatientName = "Test^Person"
    instance.SOPClassUID = CTImageStorage
    instance.SOPInstanceUID = generate_uid()
    instance.StudyInstanceUID = study or generate_uid()
    instance.SeriesInstanceUID = series or generate_uid()
    instance.Modality = "CT"
    instance.InstanceNumber = str(number)
    columns = next(count for count in range(min(size // 2, 1000), 0, -1) if size % (2 * count) == 0)
    instance.Rows, instance.Columns = size // 2 // columns, columns
    instance.BitsAllocated = instance.BitsStored = 16
    instance.HighBit = 15
    instance.PixelRepresentation = 0
    instance.SamplesPerPixel = 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.PixelData = os.urandom(size)
    instance["PixelData"].VR = "OW"
    for name, value in attributes.items():
        setattr(instance, name, value)
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.file_meta.MediaStorageSOPClassUID = instance.SOPClassUID
    instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, instance, enforce_file_format=True)
    return buffer.getvalue()


def awake(association):
    """Return the association when pynetdicom's reactor runs again after the call before.

    Still waking up, it would take the answer of a fast server for itself ("Received unexpected
    C-STORE service message").
    """
    while association._is_paused and association.is_established:
        time.sleep(0.0005)
    return association


def send(association, data_set):
    """C-STORE `data_set` over pynetdicom and return the answer's status set."""
    return awake(association).send_c_store(data_set)


def data_set_bytes(file):
    """Return what follows the file meta information: the data set as it is encoded."""
    assert file[128:132] == b"DICM"
    # (0002,0000) UL 4: the length of the rest of group 2 (PS3.10 §7.1).
    length = int.from_bytes(file[140:144], "little")
    return file[144 + length :]
