"""C-FIND of images, in both roles, with each peer."""

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)
from support_matrix import cell
from support_network import (
    STUDY_KEYS,
    UNCOMPRESSED,
    Study,
    associate,
    found_by_orthanc,
    found_by_us,
    run,
    upload_to_orthanc,
)

pytestmark = [pytest.mark.peer, pytest.mark.peers]

# Query.


def found_by_findscu(ours, model, study, folder):
    run(
        "findscu", model, "-aec", "VNA", "-X", *STUDY_KEYS, "-k", f"StudyInstanceUID={study.uid}",
        "-k", "PatientName", "-k", "NumberOfStudyRelatedInstances", "-k", "PatientID=P1",
        ours.host, ours.port, folder=folder,
    )  # fmt: skip
    answers = [pydicom.dcmread(path, force=True) for path in sorted(Path(folder).glob("rsp*.dcm"))]
    assert [one.StudyInstanceUID for one in answers] == [study.uid]
    assert answers[0].PatientName == "Test^Person"
    assert answers[0].NumberOfStudyRelatedInstances == len(study.files)


@cell("C-FIND Patient Root", "SCP", "DCMTK")
def test_findscu_finds_in_the_patient_root(ours, study, tmp_path):
    ours.upload(study)
    found_by_findscu(ours, "-P", study, tmp_path)


@cell("C-FIND Study Root", "SCP", "DCMTK")
def test_findscu_finds_in_the_study_root(ours, study, tmp_path):
    ours.upload(study)
    found_by_findscu(ours, "-S", study, tmp_path)


def found_by_pynetdicom(ours, uid, study):
    ours.upload(study)
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.PatientID = "P1"
    identifier.StudyInstanceUID = study.uid
    identifier.SeriesInstanceUID = ""
    identifier.Modality = "CT"
    association = associate(ours, (uid, UNCOMPRESSED))
    responses = list(association.send_c_find(identifier, uid))
    association.release()
    assert [status.Status for status, _ in responses] == [0xFF00, 0]
    assert responses[0][1].SeriesInstanceUID == study.data_sets[0].SeriesInstanceUID


@cell("C-FIND Patient Root", "SCP", "pynetdicom")
def test_pynetdicom_finds_in_the_patient_root(ours, study):
    found_by_pynetdicom(ours, PatientRootQueryRetrieveInformationModelFind, study)


@cell("C-FIND Study Root", "SCP", "pynetdicom")
def test_pynetdicom_finds_in_the_study_root(ours, study):
    found_by_pynetdicom(ours, StudyRootQueryRetrieveInformationModelFind, study)


@cell("C-FIND Patient Root", "SCP", "Orthanc")
def test_orthanc_finds_patients(ours, orthanc, tmp_path):
    # It asks the patient root at the level of patients alone.
    ours.upload(Study(tmp_path, patient="PATIENT-ROOT"))
    _, answers = found_by_orthanc(orthanc, "Patient", {"PatientID": "PATIENT-ROOT"})
    assert [one["PatientID"] for one in answers] == ["PATIENT-ROOT"]


@cell("C-FIND Study Root", "SCP", "Orthanc")
def test_orthanc_finds_studies(ours, orthanc, study):
    ours.upload(study)
    _, answers = found_by_orthanc(orthanc, "Study", {"StudyInstanceUID": study.uid})
    assert [one["StudyInstanceUID"] for one in answers] == [study.uid]


@cell("C-FIND Patient Root", "SCU", "DCMTK")
def test_we_find_patients_of_dcmqrscp(ours, archive, tmp_path):
    found = Study(tmp_path, patient="DCMQR-PATIENT")
    run("storescu", "-aec", "DCMQR", "127.0.0.1", archive.port, *found.files)
    _, answers = found_by_us(ours, "dcmqr", "Patient", {"PatientID": "DCMQR-PATIENT"})
    assert [one["PatientID"] for one in answers] == ["DCMQR-PATIENT"]


@cell("C-FIND Study Root", "SCU", "DCMTK")
def test_we_find_studies_of_dcmqrscp(ours, archive, study):
    run("storescu", "-aec", "DCMQR", "127.0.0.1", archive.port, *study.files)
    _, answers = found_by_us(ours, "dcmqr", "Study", {"StudyInstanceUID": study.uid})
    assert [one["StudyInstanceUID"] for one in answers] == [study.uid]


@cell("C-FIND Patient Root", "SCU", "pynetdicom")
def test_we_find_patients_of_pynetdicom(ours, pynet, study):
    for data_set in study.data_sets:
        pynet.stored[data_set.SOPInstanceUID] = data_set
    _, answers = found_by_us(ours, "pynet", "Patient", {"PatientID": "P1"})
    assert "P1" in {one["PatientID"] for one in answers}


@cell("C-FIND Study Root", "SCU", "pynetdicom")
def test_we_find_studies_of_pynetdicom(ours, pynet, study):
    for data_set in study.data_sets:
        pynet.stored[data_set.SOPInstanceUID] = data_set
    _, answers = found_by_us(ours, "pynet", "Study", {"StudyInstanceUID": study.uid})
    assert [one["StudyInstanceUID"] for one in answers] == [study.uid]


@cell("C-FIND Patient Root", "SCU", "Orthanc")
def test_we_find_patients_of_orthanc(ours, orthanc, tmp_path):
    upload_to_orthanc(orthanc, Study(tmp_path, patient="ORTHANC-PATIENT"))
    _, answers = found_by_us(ours, "orthanc", "Patient", {"PatientID": "ORTHANC-*"})
    assert [one["PatientID"] for one in answers] == ["ORTHANC-PATIENT"]


@cell("C-FIND Study Root", "SCU", "Orthanc")
def test_we_find_studies_of_orthanc(ours, orthanc, study):
    upload_to_orthanc(orthanc, study)
    _, answers = found_by_us(ours, "orthanc", "Study", {"StudyInstanceUID": study.uid})
    assert [one["StudyInstanceUID"] for one in answers] == [study.uid]
