"""The first thing a user does: send, see it listed, get every byte back."""

import hashlib
import io
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pydicom
import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import Verification
from support import VNA, ct_small, data_set_bytes, make_instance, send


def public_id(*values):
    digest = hashlib.sha1("|".join(values).encode()).hexdigest()
    return "-".join(digest[at : at + 8] for at in range(0, 40, 8))


def identity(file):
    found = pydicom.dcmread(DicomBytesIO(file), stop_before_pixels=True)
    return (
        str(found.PatientID),
        str(found.StudyInstanceUID),
        str(found.SeriesInstanceUID),
        str(found.SOPInstanceUID),
    )


def associate(server, contexts, title="TEST"):
    entity = AE(ae_title=title)
    for sop_class, syntax in contexts:
        entity.add_requested_context(sop_class, syntax)
    association = entity.associate(server.dicom_host, server.dicom_port, ae_title="VNA")
    assert association.is_established
    return association


def test_an_upload_is_listed_at_four_levels_and_comes_back_bit_for_bit(server):
    data = ct_small()
    answer = server.upload(data)
    values = identity(data)
    ids = [public_id(*values[:count]) for count in (1, 2, 3, 4)]
    assert [answer[key] for key in ("ParentPatient", "ParentStudy", "ParentSeries", "ID")] == ids
    assert answer["Path"] == f"/instances/{ids[3]}"
    assert answer["Status"] == "Success"
    for level, one in zip(("patients", "studies", "series", "instances"), ids, strict=True):
        assert one in server.get(f"/{level}")
        assert server.get(f"/{level}/{one}")["ID"] == one
    assert server.file(ids[3]) == data
    assert server.get(f"/instances/{ids[3]}")["FileSize"] == len(data)


def test_the_same_bytes_again_are_already_stored(server):
    data = make_instance()
    assert server.upload(data)["Status"] == "Success"
    before = server.get("/statistics")
    again = server.upload(data)
    assert again["Status"] == "AlreadyStored"
    assert server.get("/statistics") == before


def test_other_bytes_under_the_same_uid_do_not_replace_the_first(server):
    first = make_instance(patient="TWICE")
    values = pydicom.dcmread(DicomBytesIO(first))
    second = make_instance(
        study=values.StudyInstanceUID,
        series=values.SeriesInstanceUID,
        patient="TWICE",
        SOPInstanceUID=values.SOPInstanceUID,
    )
    one = server.upload(first)["ID"]
    answer = server.upload(second)
    assert (answer["ID"], answer["Status"]) == (one, "AlreadyStored")
    assert server.file(one) == first


def test_relatives_of_a_resource(server):
    study, series = generate_uid(), generate_uid()
    ids = [server.upload(make_instance(study, series, "KIN", number))["ID"] for number in (1, 2, 3)]
    instance = server.get(f"/instances/{ids[0]}")
    series_id = instance["ParentSeries"]
    assert server.get(f"/instances/{ids[0]}/series")["ID"] == series_id
    patient = server.get(f"/instances/{ids[0]}/patient")
    assert patient["MainDicomTags"]["PatientID"] == "KIN"
    children = server.get(f"/series/{series_id}/instances")
    assert {child["ID"] for child in children} == set(ids)
    assert set(server.get(f"/series/{series_id}/instances?expand=false")) == set(ids)
    assert set(server.get(f"/patients/{patient['ID']}/instances?expand=false")) == set(ids)


def test_pages_of_a_list_join_to_the_whole(start_server):
    server = start_server()
    study = generate_uid()
    ids = {server.upload(make_instance(study, patient="PAGES"))["ID"] for _ in range(7)}
    pages = [server.get(f"/instances?since={since}&limit=3") for since in (0, 3, 6, 9)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert {one for page in pages for one in page} == ids
    expanded = server.get("/instances?expand&since=0&limit=3")
    assert [one["ID"] for one in expanded] == pages[0]


def test_tags_are_those_of_the_file(server):
    one = server.upload(ct_small())["ID"]
    found = server.get(f"/instances/{one}/tags")
    assert found["0010,0010"] == {
        "Name": "PatientName",
        "Type": "String",
        "Value": "CompressedSamples^CT1",
    }
    assert server.get(f"/instances/{one}/simplified-tags")["Modality"] == "CT"


def test_deleting_goes_down_and_takes_empty_parents_along(start_server):
    server = start_server()
    study = generate_uid()
    first = server.upload(make_instance(study, patient="GONE"))
    second = server.upload(make_instance(study, patient="GONE"))
    answer = server.http.delete(f"/series/{first['ParentSeries']}")
    assert answer.json()["RemainingAncestor"]["ID"] == first["ParentStudy"]
    assert server.http.get(f"/instances/{first['ID']}").status_code == 404
    assert server.http.get(f"/instances/{first['ID']}/file").status_code == 404
    assert server.http.delete(f"/instances/{second['ID']}").json() == {"RemainingAncestor": None}
    assert server.get("/patients") == []
    assert server.get("/statistics")["CountInstances"] == 0
    assert server.http.delete(f"/instances/{second['ID']}").status_code == 404


def test_changes_tell_everything_once_in_order(start_server):
    server = start_server()
    study, series = generate_uid(), generate_uid()
    for _ in range(2):
        server.upload(make_instance(study, series, "NEWS"))
    found = server.get("/changes")
    types = [change["ChangeType"] for change in found["Changes"]]
    assert types == ["NewInstance", "NewSeries", "NewStudy", "NewPatient", "NewInstance"]
    numbers = [change["Seq"] for change in found["Changes"]]
    assert numbers == sorted(set(numbers))
    assert found["Done"] is True
    assert found["Last"] == numbers[-1]
    page = server.get(f"/changes?since={numbers[1]}&limit=2")
    assert [change["Seq"] for change in page["Changes"]] == numbers[2:4]
    assert page["Done"] is False


@pytest.mark.parametrize(
    "body",
    [
        b"no DICOM at all",
        bytes(132),
        bytes(128) + b"DICM",
        ct_small()[:400],
        bytes(128) + b"DICM" + b"\xff" * 300,
    ],
    ids=["text", "zeros", "only-preamble", "cut-short", "claims-4-GB"],
)
def test_what_is_no_dicom_is_refused_by_name_and_leaves_nothing(server, body):
    before = server.get("/statistics")
    answer = server.http.post("/instances", content=body)
    assert answer.status_code == 400
    assert answer.json()["OrthancStatus"] == 15
    assert answer.json()["Code"]
    assert server.get("/statistics") == before


def test_echo_and_store_of_dcmtk(server, dcmtk, tmp_path):
    address = (server.dicom_host, str(server.dicom_port))
    echo = dcmtk("echoscu", "-aec", "VNA", *address)
    assert echo.returncode == 0, echo.stdout + echo.stderr
    data = make_instance(patient="DCMTK", size=50_000)
    file = tmp_path / "one.dcm"
    file.write_bytes(data)
    sent = dcmtk("storescu", "-aec", "VNA", *address, str(file))
    assert sent.returncode == 0, sent.stdout + sent.stderr
    stored = server.file(public_id(*identity(data)))
    # The data set as it was received; preamble and meta information are the archive's.
    assert data_set_bytes(stored) == data_set_bytes(data)


def test_echo_and_store_of_pynetdicom_in_both_little_endian_syntaxes(server):
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        data_set = pydicom.dcmread(DicomBytesIO(make_instance(patient="PYNET")))
        contexts = [(CTImageStorage, syntax), (Verification, syntax)]
        association = associate(server, contexts)
        assert association.send_c_echo().Status == 0x0000
        if syntax == ImplicitVRLittleEndian:
            buffer = DicomBytesIO()
            data_set.file_meta.TransferSyntaxUID = syntax
            data_set.save_as(buffer, implicit_vr=True, little_endian=True)
            data_set = pydicom.dcmread(DicomBytesIO(buffer.getvalue()))
        assert send(association, data_set).Status == 0x0000
        association.release()
        buffer = DicomBytesIO()
        data_set.save_as(buffer, enforce_file_format=True)
        stored = server.file(public_id(*identity(buffer.getvalue())))
        assert data_set_bytes(stored) == data_set_bytes(buffer.getvalue())
        meta = pydicom.dcmread(DicomBytesIO(stored), stop_before_pixels=True).file_meta
        assert meta.TransferSyntaxUID == syntax
        assert meta.SourceApplicationEntityTitle == "TEST"


def test_a_data_set_that_is_not_the_one_announced_is_refused(server):
    data_set = pydicom.dcmread(DicomBytesIO(make_instance(patient="LIAR")))
    association = associate(server, [(CTImageStorage, ExplicitVRLittleEndian)])
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = data_set.SOPClassUID
    request.AffectedSOPInstanceUID = generate_uid()
    request.Priority = 2
    request.DataSet = io.BytesIO(encode(data_set, False, True))
    context = association.accepted_contexts[0].context_id
    # As pynetdicom's own calls do: else its reactor may take the answer.
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.01)
    association.dimse.send_msg(request, context)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.release()
    assert answer.Status == 0xA900
    assert server.http.get(f"/patients/{public_id('LIAR')}").status_code == 404


def test_many_associations_and_uploads_at_a_time(start_server):
    server = start_server()
    study = generate_uid()
    files = [make_instance(study, patient="MANY", number=n, size=4096) for n in range(120)]

    def over_dicom(part):
        association = associate(server, [(CTImageStorage, ExplicitVRLittleEndian)])
        for data in part:
            assert send(association, pydicom.dcmread(DicomBytesIO(data))).Status == 0x0000
        association.release()

    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(over_dicom, files[at::8]) for at in range(4)]
        done += [threads.submit(server.upload, data) for at in range(4, 8) for data in files[at::8]]
        for one in done:
            one.result()
    assert server.get("/statistics")["CountInstances"] == len(files)
    for data in files:
        stored = server.file(public_id(*identity(data)))
        assert data_set_bytes(stored) == data_set_bytes(data)


def test_a_large_object_is_streamed_and_read_by_range(start_server):
    server = start_server("--set=storage.large_object_bytes=1000000")
    data = make_instance(patient="LARGE", size=12_000_000)
    one = server.upload(data)["ID"]
    assert server.file(one) == data
    part = server.http.get(f"/instances/{one}/file", headers={"Range": "bytes=-1000"})
    assert (part.status_code, part.content) == (206, data[-1000:])
    etag = part.headers["etag"]
    same = server.http.get(f"/instances/{one}/file", headers={"If-None-Match": etag})
    assert same.status_code == 304


def test_uvicorn_serves_the_same(start_server):
    server = start_server("--set=http.server=uvicorn")
    data = make_instance(size=3_000_000)
    assert server.file(server.upload(data)["ID"]) == data
    assert server.http.put("/instances").status_code == 405
    assert server.stop() == 0


def test_import_works_beside_a_server_and_without_one(start_server, tmp_path):
    files = [make_instance(patient="DISK", number=number) for number in range(5)]
    folder = tmp_path / "media" / "deep"
    folder.mkdir(parents=True)
    for number, data in enumerate(files):
        (folder / f"{number}.dcm").write_bytes(data)
    (folder / "notes.txt").write_text("no DICOM")

    server = start_server()

    def vna_import():
        return subprocess.run(
            [VNA, "import", f"--root={server.root}", str(tmp_path / "media")],
            capture_output=True,
            text=True,
            timeout=60,
        )

    done = vna_import()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 stored" in done.stdout
    assert "1 refused" in done.stdout
    assert "notes.txt: not stored" in done.stderr
    assert server.get("/statistics")["CountInstances"] == 5
    assert server.stop() == 0

    more = make_instance(patient="DISK", number=9)
    (folder / "9.dcm").write_bytes(more)
    done = vna_import()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 stored" in done.stdout
    assert "5 duplicate" in done.stdout
    server.start()
    for data in [*files, more]:
        assert server.file(public_id(*identity(data))) == data


def test_what_comes_again_over_dicom_writes_no_record_and_leaves_no_file(start_server):
    server = start_server("--set=storage.large_object_bytes=65536")
    files = [pydicom.dcmread(io.BytesIO(make_instance(size=size))) for size in (1_000, 200_000)]
    contexts = [(CTImageStorage, ExplicitVRLittleEndian)]

    def committed():
        lines = server.http.get("/metrics").text.splitlines()
        [value] = [line for line in lines if line.startswith("vna_committed_records_total")]
        return int(value.split()[1])

    def held():
        blobs = [path for path in (server.root / "log").rglob("*") if path.is_file()]
        return len(blobs), server.get("/statistics")

    association = associate(server, contexts)
    for file in files:
        assert send(association, file).Status == 0
    before = committed(), held()
    for file in files:
        assert send(association, file).Status == 0
    assert (committed(), held()) == before
    # With other bytes it is another version, and recorded.
    files[0].ImageComments = "changed"
    assert send(association, files[0]).Status == 0
    association.release()
    assert committed() == before[0] + 1
