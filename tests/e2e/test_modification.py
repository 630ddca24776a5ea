"""Modification and anonymization of what is stored: what comes out, what is told, what is kept."""

import io
import json

import numpy as np
import pydicom
import pytest
from support import make_instance
from support_changing import TAGS, changes, count, files_of, post, store_study, wait

UIDS = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
ONE = {"patients": "Patient", "studies": "Study", "series": "Series"}
PARENT = {"patients": "ParentPatient", "studies": "ParentStudy", "series": "ParentSeries"}


def test_an_instance_is_given_as_a_file_and_not_stored(server):
    one = server.upload(make_instance(patient="FILE", **TAGS))
    before = count(server)
    path = f"/instances/{one['ID']}/modify"
    body = {"Replace": {"PatientName": "New^Name"}, "Remove": ["AccessionNumber"]}
    answer = server.http.post(path, json=body)
    assert answer.headers["content-type"] == "application/dicom"
    old = pydicom.dcmread(io.BytesIO(server.file(one["ID"])))
    new = pydicom.dcmread(io.BytesIO(answer.content))
    assert (new.PatientName, new.PixelData) == ("New^Name", old.PixelData)
    assert "AccessionNumber" not in new
    assert new.SOPInstanceUID not in ("", old.SOPInstanceUID)
    assert new.SeriesInstanceUID == old.SeriesInstanceUID
    assert new.file_meta.MediaStorageSOPInstanceUID == new.SOPInstanceUID
    body = {"Keep": ["SOPInstanceUID"], "Force": True, "Transcode": "1.2.840.10008.1.2"}
    kept = pydicom.dcmread(io.BytesIO(server.http.post(path, json=body).content))
    assert kept.SOPInstanceUID == old.SOPInstanceUID
    assert kept.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"
    nobody = pydicom.dcmread(
        io.BytesIO(server.http.post(path.replace("modify", "anonymize"), json={}).content)
    )
    assert nobody.PatientIdentityRemoved == "YES"
    assert nobody.PatientID != old.PatientID
    assert nobody.StudyInstanceUID != old.StudyInstanceUID
    assert count(server) == before


def test_the_quality_of_a_lossy_result_is_that_asked_for(server):
    rows, columns = np.mgrid[:128, :128]
    noise = np.random.default_rng(1).integers(0, 60, (128, 128))
    dataset = pydicom.dcmread(io.BytesIO(make_instance(patient="QUALITY", **TAGS)))
    dataset.Rows = dataset.Columns = 128
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = (rows + columns // 2 + noise).astype("u1").tobytes()
    dataset["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    one = server.upload(buffer.getvalue())
    lossy = {"Transcode": "1.2.840.10008.1.2.4.50"}

    def size(**body):
        answer = server.http.post(f"/instances/{one['ID']}/modify", json=lossy | body)
        assert answer.status_code == 200, answer.text
        return len(pydicom.dcmread(io.BytesIO(answer.content)).PixelData)

    assert size(LossyQuality=20) < size() < size(LossyQuality=98)
    done = post(server, f"/series/{one['ParentSeries']}/modify", LossyQuality=20, **lossy)
    [file] = files_of(server, "series", done["ID"]).values()
    assert len(file.PixelData) == size(LossyQuality=20)
    for wrong in (0, 101, "ninety"):
        post(server, f"/instances/{one['ID']}/modify", 400, LossyQuality=wrong, **lossy)


@pytest.mark.parametrize("level", ["patients", "studies", "series"])
def test_a_modified_copy_has_new_identifiers_from_its_level_on_down(server, level):
    stored = store_study(server, f"COPY-{level}")
    source = stored[0][PARENT[level]]
    old = files_of(server, level, source)
    feed = len(changes(server))
    done = post(server, f"/{level}/{source}/modify", Replace={"InstitutionName": "Elsewhere"})
    assert done["Type"] == ONE[level]
    assert done["Path"] == f"/{level}/{done['ID']}"
    assert (done["InstancesCount"], done["FailedInstancesCount"]) == (len(old), 0)
    assert done["IsAnonymization"] is False
    assert done["ParentResources"] == [source]
    assert (done["ID"] == source) == (level == "patients")
    resource = server.get(f"/{level}/{done['ID']}")
    if level != "patients":
        assert resource["ModifiedFrom"] == source
        new = files_of(server, level, done["ID"])
        assert new.keys() == old.keys()
        first = UIDS.index("SeriesInstanceUID" if level == "series" else "StudyInstanceUID")
        for key, file in new.items():
            assert file.InstitutionName == "Elsewhere"
            assert file.PixelData == old[key].PixelData
            assert file.PatientID == old[key].PatientID
            for index, name in enumerate(UIDS):
                assert (file[name].value == old[key][name].value) == (index < first)
    told = [change for change in changes(server)[feed:] if change[0].startswith("Modified")]
    assert told == [(f"Modified{ONE[level]}", done["ID"])]


def test_an_anonymized_study_is_of_another_patient_and_its_references_are_closed(server):
    uid = "1.2.826.0.1.3680043.8.498.7"
    target = make_instance(patient="REFERENCES", SOPInstanceUID=uid, **TAGS)
    study = pydicom.dcmread(io.BytesIO(target)).StudyInstanceUID
    first = server.upload(target)
    reference = pydicom.Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    reference.ReferencedSOPInstanceUID = uid
    server.upload(
        make_instance(study, patient="REFERENCES", number=2, ReferencedImageSequence=[reference])
    )
    done = post(server, f"/studies/{first['ParentStudy']}/anonymize")
    assert done["IsAnonymization"] is True
    assert server.get(f"/studies/{done['ID']}")["AnonymizedFrom"] == first["ParentStudy"]
    files = list(files_of(server, "studies", done["ID"]).values())
    assert len({file.PatientID for file in files}) == 1
    assert {file.PatientID for file in files}.isdisjoint({"REFERENCES"})
    [refers] = [file for file in files if "ReferencedImageSequence" in file]
    [is_meant] = [file for file in files if "ReferencedImageSequence" not in file]
    found = refers.ReferencedImageSequence[0].ReferencedSOPInstanceUID
    assert found == is_meant.SOPInstanceUID != uid
    assert ("AnonymizedStudy", done["ID"]) in changes(server)
    assert b"REFERENCES" not in b"".join(
        server.file(each["ID"]) for each in server.get(f"/studies/{done['ID']}/instances")
    )


def test_who_anonymized_what_is_in_the_log(server):
    [stored] = store_study(server, "AUDIT", 1, 1)
    done = post(server, f"/studies/{stored['ParentStudy']}/anonymize")
    [line] = [
        line
        for line in server.output().splitlines()
        if "resources anonymized" in line and stored["ParentStudy"] in line
    ]
    assert done["ID"] in line
    assert "profile=2023b" in line
    assert "AUDIT" not in line


def test_labels_go_along_if_asked(server):
    [stored] = store_study(server, "LABELS", 1, 1)
    for level, name in PARENT.items():
        server.http.put(f"/{level}/{stored[name]}/labels/of-{level}")
    for verb in ("modify", "anonymize"):
        path = f"/studies/{stored['ParentStudy']}/{verb}"
        without, with_them = post(server, path), post(server, path, KeepLabels=True)
        assert server.get(f"/studies/{without['ID']}/labels") == []
        assert server.get(f"/studies/{with_them['ID']}/labels") == ["of-studies"]
        [series] = server.get(f"/studies/{with_them['ID']}")["Series"]
        assert server.get(f"/series/{series}/labels") == ["of-series"]
        assert server.get(f"/patients/{with_them['PatientID']}/labels") == ["of-patients"]


def test_a_source_that_is_not_kept_is_gone_when_the_copy_is_there(server):
    stored = store_study(server, "MOVED")
    before, source = count(server), stored[0]["ParentStudy"]
    done = post(server, f"/studies/{source}/modify", KeepSource=False)
    assert server.http.get(f"/studies/{source}").status_code == 404
    assert len(files_of(server, "studies", done["ID"])) == len(stored)
    assert count(server) == before


def test_in_place_modification_needs_leave_to_replace_what_is_stored(server, start_server):
    keep = {"Keep": UIDS, "Force": True, "Replace": {"StudyDescription": "corrected"}}
    stored = store_study(server, "PLACE")
    source = f"/studies/{stored[0]['ParentStudy']}/modify"
    assert post(server, source, 400, **keep)["OrthancStatus"] == 8
    other = start_server("--set=storage.duplicates=if-changed")
    stored = store_study(other, "PLACE")
    study = stored[0]["ParentStudy"]
    source = f"/studies/{study}/modify"
    assert post(other, source, 400, KeepSource=False, **keep)["OrthancStatus"] == 8
    done = post(other, source, **keep)
    assert (done["ID"], count(other)) == (study, len(stored))
    assert server.http.get("/health/live").status_code == 200
    for file in files_of(other, "studies", study).values():
        assert file.StudyDescription == "corrected"
        [original] = file.OriginalAttributesSequence
        assert original.ModifiedAttributesSequence[0].StudyDescription == TAGS["StudyDescription"]


def test_a_study_cannot_get_half_of_the_tags_of_another_patient(server):
    one, other = store_study(server, "ONE", 1, 1), store_study(server, "OTHER", 1, 1)
    path = f"/studies/{one[0]['ParentStudy']}/modify"
    refused = post(server, path, 400, Replace={"PatientID": "OTHER"}, Force=True)
    assert refused["OrthancStatus"] == 8
    whole = {"PatientID": "OTHER", "PatientName": "Test^Person"}
    whole |= {name: TAGS[name] for name in ("PatientBirthDate", "PatientSex")}
    done = post(server, path, Replace=whole, Force=True, KeepSource=False)
    assert done["PatientID"] == other[0]["ParentPatient"]
    assert server.http.get(f"/patients/{one[0]['ParentPatient']}").status_code == 404


def test_many_resources_are_changed_by_one_job(server):
    studies = [store_study(server, f"BULK{number}", 1, 2) for number in range(2)]
    chosen = [studies[0][0]["ParentStudy"], studies[1][0]["ID"]]
    done = post(server, "/tools/bulk-anonymize", Resources=chosen)
    assert done["InstancesCount"] == 3
    assert done["ParentResources"] == sorted(chosen)
    made = done["Resources"]
    assert [each["Type"] for each in made] == ["Instance"] * 3 + ["Series"] * 2 + ["Study"] * 2 + [
        "Patient"
    ] * 2
    assert all(server.http.get(each["Path"]).status_code == 200 for each in made)
    done = post(server, "/tools/bulk-modify", Resources=chosen, Level="Series")
    assert {each["ID"] for each in done["Resources"] if each["Type"] == "Study"} == {
        study[0]["ParentStudy"] for study in studies
    }
    assert post(server, "/tools/bulk-modify", Resources=[])["Resources"] == []
    assert post(server, "/tools/bulk-modify", 404, Resources=["nope"])["OrthancStatus"] == 17


def test_jobs_are_asynchronous_if_asked(server):
    [stored] = store_study(server, "LATER", 1, 1)
    path = f"/studies/{stored['ParentStudy']}/anonymize"
    started = post(server, path, Asynchronous=True, Priority=7, UserData={"a": 1})
    assert started["Path"] == f"/jobs/{started['ID']}"
    job = wait(server, started["ID"])
    assert (job["Type"], job["State"]) == ("ResourceModification", "Success")
    assert (job["Priority"], job["UserData"]) == (7, {"a": 1})
    content = job["Content"]
    assert content["Type"] == "Study"
    assert server.get(content["Path"])["ID"] == content["ID"]
    assert "key" not in json.dumps(job).lower()


@pytest.mark.parametrize(
    ("body", "status", "number"),
    [
        (b"", 400, 15),
        (b"[]", 400, 15),
        (b'{"Replace": []}', 400, 8),
        (b'{"Remove": "x"}', 400, 8),
        (b'{"Replace": {"Nope": "x"}}', 400, 27),
        (b'{"Replace": {"PatientID": "x"}}', 400, 8),
        (b'{"Keep": ["SOPInstanceUID"]}', 400, 8),
        (b'{"Remove": ["StudyInstanceUID"], "Force": true}', 400, 8),
        (b'{"Replace": {"Rows": "x"}}', 400, 15),
        (b'{"Replace": {"PatientName": 1}}', 400, 5),
        (b'{"Force": "x"}', 400, 15),
        (b'{"Transcode": "1.2.3"}', 400, 15),
        (b'{"Transcode": 5}', 400, 15),
        (b'{"Replace": {"ReferencedStudySequence.PatientID": "x"}}', 400, 3),
    ],
)
@pytest.mark.parametrize("level", ["instances", "studies"])
def test_what_cannot_be_done_is_refused_with_orthancs_number(server, level, body, status, number):
    one = server.upload(make_instance(patient="REFUSED"))
    before = count(server)
    public_id = one["ID"] if level == "instances" else one["ParentStudy"]
    answer = server.http.post(f"/{level}/{public_id}/modify", content=body)
    assert (answer.status_code, answer.json()["OrthancStatus"]) == (status, number), answer.text
    assert count(server) == before


def test_an_unknown_profile_or_resource_is_refused(server):
    one = server.upload(make_instance(patient="REFUSED"))
    path = f"/studies/{one['ParentStudy']}/anonymize"
    assert post(server, path, 400, DicomVersion="2030")["OrthancStatus"] == 3
    for level in ("patients", "studies", "series", "instances"):
        assert post(server, f"/{level}/nope/anonymize", 404)["OrthancStatus"] == 17
