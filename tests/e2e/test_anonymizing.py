"""De-identification over REST: no canary is left in what comes out, nor in names of files."""

import io
import zipfile

import pydicom
import pytest
from pydicom.uid import generate_uid
from support import make_instance
from support_changing import post, wait

CANARIES = {
    "PatientName": "Kanariev^Anna",
    "PatientID": "KANARI-1",
    "PatientComments": "Kanari lives here",
    "AccessionNumber": "KANARI-2",
    "StudyDescription": "Study of Kanari",
    "SeriesDescription": "Series of Kanari",
    "ProtocolName": "Protocol Kanari",
    "InstitutionName": "Kanari Hospital",
    "StationName": "KANARI-3",
    "ReferringPhysicianName": "Kanari^Doctor",
}


def with_canaries(study):
    """Return a file that says the name in many places, also outside its data set."""
    data_set = pydicom.dcmread(io.BytesIO(make_instance(study)))
    for keyword, canary in CANARIES.items():
        setattr(data_set, keyword, canary)
    block = data_set.private_block(0x0099, "KANARI", create=True)
    block.add_new(1, "LT", "Kanari, private")
    data_set.Manufacturer = "ACME\0Kanari"
    data_set.preamble = b"Kanari".ljust(128, b"\0")
    data_set.file_meta.SourceApplicationEntityTitle = "KANARI-4"
    written = io.BytesIO()
    data_set.save_as(written)
    return written.getvalue()


@pytest.fixture
def study(server):
    uid = generate_uid()
    for _ in range(2):
        stored = server.upload(with_canaries(uid))
    return stored["ParentStudy"]


def test_an_archive_of_an_anonymized_study_names_nobody(server, study):
    done = post(server, f"/studies/{study}/anonymize")
    archive = server.http.get(f"/studies/{done['ID']}/archive")
    with zipfile.ZipFile(io.BytesIO(archive.content)) as packed:
        names = packed.namelist()
        files = [packed.read(name) for name in names]
    assert len(files) == 2
    for text in (*names, *(file.decode("latin-1") for file in files)):
        assert "kanari" not in text.lower()
    media = server.http.get(f"/studies/{done['ID']}/media?extended=1")
    with zipfile.ZipFile(io.BytesIO(media.content)) as packed:
        assert all(b"kanari" not in packed.read(name).lower() for name in packed.namelist())


def test_options_of_the_profile_are_taken_and_those_that_nobody_can_do_refused(server, study):
    done = post(server, f"/studies/{study}/anonymize", Options=["RetainInstitutionIdentity"])
    [instance, *_] = server.get(f"/studies/{done['ID']}/instances")
    kept = pydicom.dcmread(io.BytesIO(server.file(instance["ID"])))
    assert kept.InstitutionName == "Kanari Hospital"
    assert [code.CodeValue for code in kept.DeidentificationMethodCodeSequence] == [
        "113100",
        "113112",
    ]
    answer = server.http.post(f"/studies/{study}/anonymize", json={"Options": ["CleanDescriptors"]})
    assert answer.status_code == 400
    assert "CleanDescriptors" in answer.json()["Details"]


def test_text_in_pixels_that_nobody_cleans_is_told_of(server):
    uid, before = generate_uid(), server.output().count("pixels were not cleaned")
    for said in ({"BurnedInAnnotation": "YES"}, {"BurnedInAnnotation": "NO"}, {}, {}):
        stored = server.upload(make_instance(uid, **said))
    of = f"/studies/{stored['ParentStudy']}"
    yes, unsaid = post(server, f"{of}/anonymize")["Warnings"]
    assert yes.startswith("1 of the instances have text burned into their pixels")
    assert unsaid.startswith("2 of the instances do not say")
    # Who is modified still looks as before; that nothing is said of it is no news.
    done = post(server, f"{of}/modify", Replace={"PatientName": "Nobody"}, Asynchronous=True)
    assert wait(server, done["ID"])["Content"]["Warnings"] == [yes]
    clean = server.upload(make_instance(BurnedInAnnotation="NO"))
    assert "Warnings" not in post(server, f"/studies/{clean['ParentStudy']}/anonymize")
    answer = server.http.post(f"/instances/{clean['ID']}/anonymize", json={})
    assert answer.status_code == 200
    assert server.output().count("pixels were not cleaned") == before + 2
    assert "burned_in=1 unsaid=2" in server.output()
    answer = server.http.post(f"/instances/{stored['ID']}/anonymize", json={})
    assert answer.status_code == 200
    assert server.output().count("pixels were not cleaned") == before + 3
