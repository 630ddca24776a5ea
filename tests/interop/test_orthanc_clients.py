"""Client libraries written for Orthanc, as PyPI has them, from upload to download."""

import io
import zipfile

import pydicom
import pyorthanc
import pytest
from orthanc_api_client import OrthancApiClient
from pydicom.uid import generate_uid
from support import make_instance


def study_files(patient):
    """Return the files of a study of two series."""
    study = generate_uid()
    names = {"PatientBirthDate": "19500102", "StudyDescription": "of a client"}
    return [
        make_instance(study, series, patient, number, **names)
        for series in (generate_uid(), generate_uid())
        for number in (1, 2)
    ]


@pytest.fixture
def api(ours):
    return OrthancApiClient(ours.server.url)


@pytest.fixture
def client(ours):
    return pyorthanc.Orthanc(ours.server.url, timeout=60)


def names_in(archive):
    return zipfile.ZipFile(io.BytesIO(archive)).namelist()


def test_pyorthanc_uploads_finds_changes_and_downloads(client):
    for file in study_files("PYORTHANC"):
        client.post_instances(file)
    [study] = pyorthanc.find_studies(client, query={"PatientID": "PYORTHANC"})
    assert study.description == "of a client"
    study.add_label("teaching")
    assert study.labels == ["teaching"]
    changed = study.modify(replace={"StudyDescription": "changed"})
    assert changed.description == "changed"
    assert changed.id_ != study.id_
    nobody = study.anonymize()
    assert nobody.parent_patient.patient_id != "PYORTHANC"
    assert len(nobody.series) == 2
    job = study.anonymize_as_job()
    job.wait_until_completion(time_interval=0.1)
    assert job.state.value == "Success"
    assert len(names_in(nobody.get_zip())) == 4
    file = pydicom.dcmread(io.BytesIO(nobody.series[0].instances[0].get_dicom_file_content()))
    assert file.PatientIdentityRemoved == "YES"


def test_orthanc_api_client_uploads_finds_changes_and_downloads(api, tmp_path):
    ids = [api.upload(file)[0] for file in study_files("API")]
    [study] = api.studies.find({"PatientID": "API"})
    assert sorted(api.studies.get_instances_ids(study.orthanc_id)) == sorted(ids)
    api.studies.add_label(study.orthanc_id, "research")
    assert api.studies.get_labels(study.orthanc_id) == ["research"]
    changed = api.studies.modify(
        study.orthanc_id, replace_tags={"StudyDescription": "changed"}, delete_original=False
    )
    assert api.studies.get(changed).main_dicom_tags["StudyDescription"] == "changed"
    nobody = api.studies.anonymize(changed, delete_original=True)
    assert not api.studies.exists(changed)
    assert api.studies.get(nobody).patient_main_dicom_tags["PatientID"] != "API"
    job = api.studies.anonymize_bulk_async([study.orthanc_id])
    job.wait_completed(polling_interval=0.1)
    assert job.is_complete()
    target = tmp_path / "archive.zip"
    api.studies.download_archive(nobody, str(target))
    assert len(names_in(target.read_bytes())) == 4
    instances, series, studies, patients = api.studies.modify_bulk(
        [study.orthanc_id], replace_tags={"InstitutionName": "X"}, delete_original=False
    )
    assert (len(instances), len(series), len(studies), len(patients)) == (4, 2, 1, 1)
