"""Studies that are made to be changed, and looking at what became of them."""

import io
import time

import pydicom
from pydicom.uid import generate_uid
from support import make_instance

TAGS = {
    "AccessionNumber": "A1",
    "InstitutionName": "General Hospital",
    "PatientBirthDate": "19500102",
    "PatientSex": "F",
    "ReferringPhysicianName": "Referring^Physician",
    "StudyDate": "20200102",
    "StudyDescription": "a study",
    "StudyID": "S1",
}
END_S = 60


def make_study(patient, series=2, instances=3, **tags):
    """Yield the files of a study."""
    study = generate_uid()
    for number in range(series):
        series_uid = generate_uid()
        for one in range(instances):
            wanted = {**TAGS, "SeriesDescription": f"series {number}", **tags}
            yield make_instance(study, series_uid, patient, number=one + 1, **wanted)


def store_study(server, patient, series=2, instances=3, **tags):
    """Store a study; return its upload answers, in order."""
    return [server.upload(file) for file in make_study(patient, series, instances, **tags)]


def files_of(server, level, public_id):
    """Return the data sets below a resource by what stays of them: series and number."""
    found = {}
    for instance in server.get(f"/{level}/{public_id}/instances"):
        file = pydicom.dcmread(io.BytesIO(server.file(instance["ID"])))
        key = (str(file.get("SeriesDescription", "")), int(file.InstanceNumber))
        assert key not in found, f"{key} is there twice"
        found[key] = file
    return found


def pixels_of(server, level, public_id):
    """Return the pixel data below a resource, in no order."""
    found = []
    for instance in server.get(f"/{level}/{public_id}/instances"):
        file = pydicom.dcmread(io.BytesIO(server.file(instance["ID"])))
        found.append(file.PixelData)
    return found


def post(server, path, status=200, **body):
    answer = server.http.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def wait(server, job_id, states=("Success", "Failure")):
    end = time.monotonic() + END_S
    while True:
        job = server.get(f"/jobs/{job_id}")
        if job["State"] in states:
            return job
        assert time.monotonic() < end, job
        time.sleep(0.02)


def wait_until_it_is_in_the_middle(server, job_id):
    """Wait until a job has done a part of its work; it must not have ended."""
    end = time.monotonic() + END_S
    while True:
        job = server.get(f"/jobs/{job_id}")
        if job["State"] == "Running" and 0 < job["Progress"] < 100:
            return
        assert job["State"] in ("Pending", "Running"), job
        assert time.monotonic() < end, job
        time.sleep(0.002)


def changes(server, since=0):
    """Return (type, id) of the change feed."""
    page = server.get(f"/changes?since={since}&limit=100000")
    return [(change["ChangeType"], change["ID"]) for change in page["Changes"]]


def count(server):
    return server.get("/statistics")["CountInstances"]
