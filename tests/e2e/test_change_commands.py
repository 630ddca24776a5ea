"""`vna modify` and `vna anonymize`, on files and on what is in the archive."""

import json

import pydicom
from support import make_instance
from support_cli import vna


def test_a_file_is_changed_beside_itself_and_never_another_one(tmp_path):
    source = tmp_path / "a.dcm"
    source.write_bytes(make_instance(patient="FILE", AccessionNumber="A1"))
    done = vna("modify", "--replace", "PatientName=New^Name", "--remove", "AccessionNumber", source)
    assert done.returncode == 0, done.stderr
    changed = pydicom.dcmread(tmp_path / "a.modified.dcm")
    assert changed.PatientName == "New^Name"
    assert "AccessionNumber" not in changed
    assert vna("modify", source).returncode != 0
    assert vna("anonymize", source, "-o", tmp_path / "out.dcm").returncode == 0
    assert pydicom.dcmread(tmp_path / "out.dcm").PatientIdentityRemoved == "YES"


def test_a_study_of_the_archive_becomes_another_one(server):
    stored = server.upload(make_instance(patient="COMMAND"))
    done = vna("anonymize", "--url", server.url, "--json", stored["ParentStudy"])
    assert done.returncode == 0, done.stderr
    [result] = json.loads(done.stdout)
    assert server.get(f"/studies/{result['target']}")["AnonymizedFrom"] == stored["ParentStudy"]
    refused = vna("modify", "--url", server.url, "--replace", "Nope=x", stored["ParentStudy"])
    assert refused.returncode != 0
    assert "Nope" in refused.stderr
