"""The same Store requests to a real Orthanc with its DICOMweb plugin, and to us (PS3.18 §10.5)."""

import io
import os

import httpx
import pydicom
import pytest
from pydicom.uid import generate_uid
from support import Server, make_instance
from support_orthanc import NoPeer, Orthanc, dicomweb_plugin, program
from support_store import JSON_TYPE, Module, bodies, related

pytestmark = pytest.mark.peer

STUDIES = "/dicom-web/studies"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    try:
        executable = program()
    except NoPeer as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(f"{reason}; nothing was compared")
    ours = Server(tmp_path_factory.mktemp("archive") / "data").start()
    theirs = Orthanc(executable, tmp_path_factory.mktemp("orthanc"), **dicomweb_plugin(executable))
    try:
        yield ours, theirs.start()
    finally:
        theirs.stop()
        ours.stop()


def told(server, body, content_type, study=None):
    path = f"{STUDIES}/{study}" if study else STUDIES
    headers = {"Content-Type": content_type, "Accept": JSON_TYPE}
    return httpx.post(f"{server.url}{path}", content=body, headers=headers, timeout=60)


def uids(data):
    data_set = pydicom.dcmread(io.BytesIO(data), specific_tags=["SOPInstanceUID"])
    return data_set.SOPInstanceUID


@pytest.mark.parametrize("quoted", [True, False])
def test_both_store_the_same_and_tell_it_alike(both, quoted):
    study = generate_uid()
    files = [make_instance(study=study, number=number) for number in range(3)]
    body, content_type = bodies(*files, quoted=quoted)
    ours, theirs = (Module(told(server, body, content_type)) for server in both)
    assert ours.status == theirs.status == 200
    assert set(ours.stored_uids) == set(theirs.stored_uids) == {uids(file) for file in files}
    # Below the address of either server the paths are the same.
    paths = [{httpx.URL(item["00081190"][0]).path for item in it.stored} for it in (ours, theirs)]
    assert paths[0] == paths[1]
    assert httpx.URL(ours.url).path == httpx.URL(theirs.url).path
    for file in files:
        for server in both:
            found = httpx.post(
                f"{server.url}/tools/find",
                json={"Level": "Instance", "Query": {"SOPInstanceUID": uids(file)}},
            ).json()
            assert httpx.get(f"{server.url}/instances/{found[0]}/file").content == file


def test_both_refuse_what_is_of_another_study_and_store_the_rest(both):
    study = generate_uid()
    mine, other = make_instance(study=study), make_instance()
    body, content_type = bodies(mine, other)
    for server in both:
        module = Module(told(server, body, content_type, study))
        # PS3.18 Table 10.5.3-1 has 202 where some were stored; Orthanc answers 409.
        assert module.status == (202 if server is both[0] else 409)
        assert module.stored_uids == [uids(mine)]
        assert set(module.failed) == {uids(other)}


def test_both_refuse_what_is_no_store_request(both):
    for server in both:
        for body, content_type in ((b"x", "text/plain"), related(of="image/png")):
            assert told(server, body, content_type).status_code in {400, 415}
