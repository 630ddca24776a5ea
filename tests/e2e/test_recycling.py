"""Archives that are full: who is protected stays, and nothing is lost but what recycling took."""

import random
import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from support import make_instance
from support_cli import vna
from test_keep import patient_ids, store_status, until

CONFIGURATION = """
[storage]
maximum_mode = "recycle"
undelete_hours = 0
[dicom]
unknown_callers = ["echo"]
[[dicom.modalities]]
name = "ct"
aet = "SENDER"
host = "127.0.0.1"
port = 1
"""


@pytest.fixture(scope="module")
def recycle(tmp_path_factory):
    """The flags with which the oldest make room, and one may store over DICOM."""
    path = tmp_path_factory.mktemp("configuration") / "vna.toml"
    path.write_text(CONFIGURATION)
    return (f"--config={path}",)


def upload(server, patient, **options):
    """Store an instance; return the answer."""
    return server.http.post("/instances", content=make_instance(patient=patient, **options))


def protect(server, patient, is_protected=True):
    path = f"/patients/{patient}/protected"
    body = b"1" if is_protected else b"0"
    assert server.http.put(path, content=body).status_code == 200
    assert server.http.get(path).content == body


def begun(server, times=1):
    until(lambda: server.output().count("recycling begins") == times)
    return server


def test_who_is_protected_stays_and_whoever_else_is_the_oldest_goes(start_server, recycle):
    server = begun(start_server(*recycle, "--set=storage.maximum_patients=2"))
    kept = upload(server, "KEPT").json()["ParentPatient"]
    protect(server, kept)
    for patient in ("P1", "P2"):
        assert upload(server, patient).status_code == 200
        assert patient_ids(server) == ["KEPT", patient]
    query = {"Level": "Patient", "Query": {}, "ResponseContent": ["IsProtected"]}
    found = server.http.post("/tools/find", json=query).json()
    assert {one["ID"]: one["IsProtected"] for one in found}[kept] is True
    # So it is after a crash, and with an index that is built anew.
    server.kill()
    begun(server.start(), 2)
    assert upload(server, "P3").status_code == 200
    assert server.stop() == 0
    assert vna("reindex", "--root", server.root).returncode == 0
    begun(server.start(), 3)
    assert server.http.get(f"/patients/{kept}/protected").text == "1"
    assert upload(server, "P4").status_code == 200
    assert patient_ids(server) == ["KEPT", "P4"]

    # If nobody may go nothing comes, over REST nor DICOM; of those who are there it does.
    [other] = set(server.get("/patients")) - {kept}
    protect(server, other)
    answer = upload(server, "P5")
    assert (answer.status_code, answer.json()["OrthancStatus"]) == (507, 19)
    assert store_status(server, make_instance(patient="P5")) == 0xA700
    assert upload(server, "KEPT").status_code == 200
    assert server.http.delete(f"/patients/{other}").status_code == 200
    assert upload(server, "P5").status_code == 200
    protect(server, kept, is_protected=False)
    assert upload(server, "P6").status_code == 200
    assert upload(server, "P7").status_code == 200
    assert patient_ids(server) == ["P6", "P7"]
    assert server.http.get(f"/patients/{kept}/protected").status_code == 400


class Uploads:
    """Several senders at a time, who store instances of the same patients; some over DICOM."""

    def __init__(self, server, senders, each):
        self.server = server
        self.answered = []
        self.sizes = {}
        self.refused = 0
        self.most = {"CountPatients": 0, "TotalDiskSize": 0}
        with ThreadPoolExecutor(senders + 1) as pool:
            sent = [pool.submit(self.send, number, each) for number in range(senders)]
            sent.append(pool.submit(self.send, senders, each // 5, True))
            while not all(each.done() for each in sent):
                self.look()
        for each in sent:
            each.result()
        self.look()

    def look(self):
        found = self.server.get("/statistics")
        for name, most in self.most.items():
            self.most[name] = max(most, int(found[name]))

    def send(self, sender, count, over_dicom=False):
        chance = random.Random(sender)
        with httpx.Client(base_url=self.server.url, timeout=60) as http:
            for _ in range(count):
                patient = f"P{chance.randrange(12)}"
                size = chance.choice([2_000, 20_000, 90_000])  # the last has a file of its own
                file = make_instance(patient=patient, size=size)
                if over_dicom:
                    status = {0: 200, 0xA700: 507}[store_status(self.server, file)]
                else:
                    status = http.post("/instances", content=file).status_code
                assert status in (200, 507)
                if status == 507:
                    self.refused += 1
                else:
                    uid = dcmread(DicomBytesIO(file)).SOPInstanceUID
                    self.answered.append(uid)
                    self.sizes[uid] = size

    def present(self):
        """The instances that are there, by SOP Instance UID, and their sizes as stored."""
        found = self.server.get("/instances?expand")
        return {one["MainDicomTags"]["SOPInstanceUID"]: one["FileSize"] for one in found}


BYTES, PATIENTS = 1_000_000, 6
BOUNDS = (
    f"--set=storage.maximum_bytes={BYTES}",
    f"--set=storage.maximum_patients={PATIENTS}",
    "--set=storage.segment_bytes=1048576",
    "--set=storage.large_object_bytes=65536",
)


@pytest.fixture
def full(start_server):
    """A server with bounds in which a patient is protected: it, and what it has of that patient."""

    def start(*flags):
        server = start_server(*flags, *BOUNDS)
        if "reject" not in "".join(flags):
            begun(server)
        kept = make_instance(patient="KEPT", size=20_000)
        stored = server.upload(kept)
        protect(server, stored["ParentPatient"])
        path = f"/patients/{stored['ParentPatient']}/attachments/1024"
        assert server.http.put(path, content=b"a report").status_code == 200
        return server, stored["ID"], kept

    return start


def test_concurrent_uploads_stay_in_the_bounds_and_lose_only_what_recycling_took(full, recycle):
    server, kept_id, kept = full(*recycle)
    uploads = Uploads(server, senders=3, each=25)
    assert uploads.most["CountPatients"] <= PATIENTS
    assert uploads.most["TotalDiskSize"] <= BYTES
    present = uploads.present()
    assert server.file(kept_id) == kept
    # Every byte that was answered for is there, or was told to be recycled.
    recycled = [
        int(found) for found in re.findall(r"patient recycled.*bytes=(\d+)", server.output())
    ]
    assert len(recycled) > 5, "it was not full for long"
    missing = set(uploads.answered) - set(present)
    assert set(present) <= {*uploads.answered, dcmread(DicomBytesIO(kept)).SOPInstanceUID}
    overhead = len(kept) - 20_000  # of a file beside its pixels, give or take a digit
    lost = sum(uploads.sizes[uid] + overhead for uid in missing)
    assert abs(lost - sum(recycled)) < 100 * len(missing)
    assert len(uploads.answered) > 70
    # Nothing of those who are there is half there, also with an index that is built anew.
    assert server.stop() == 0
    assert vna("reindex", "--root", server.root).returncode == 0
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")
    server.start()
    assert uploads.present() == present


def test_concurrent_uploads_are_refused_when_the_bounds_are_reached_and_nobody_goes(full):
    server, kept_id, kept = full("--set=storage.maximum_mode=reject")
    uploads = Uploads(server, senders=3, each=25)
    assert uploads.most["CountPatients"] <= PATIENTS
    assert uploads.most["TotalDiskSize"] <= BYTES
    assert uploads.refused > 10
    present = uploads.present()
    assert server.file(kept_id) == kept
    assert set(present) == {*uploads.answered, dcmread(DicomBytesIO(kept)).SOPInstanceUID}
    # It is as full as it can be: what is as small as that finds room only if it is of who is there.
    assert server.get("/statistics")["CountPatients"] == PATIENTS
    assert "patient recycled" not in server.output()
    assert server.stop() == 0
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")
