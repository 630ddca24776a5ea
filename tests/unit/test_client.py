"""`vna.open` on a folder, and on servers that answer as they should not."""

import asyncio
import datetime
import gc
import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

import vna
from vna.client import Instance, Patient, Series, Study
from vna.client import local as local_module
from vna.client.archive import _text
from vna.client.remote import Remote, as_error
from vna.errors import (
    AlreadyOpen,
    BadRequest,
    Busy,
    Closed,
    Conflict,
    EncodingError,
    NotAllowed,
    NotFound,
    OutOfRange,
    SettingsError,
    TooLarge,
    Unreachable,
    VnaError,
)

CT = Path(get_testdata_file("CT_small.dcm"))


@pytest.fixture
def archive(tmp_path):
    with vna.open(tmp_path / "archive", create=True) as archive:
        yield archive


def made(**attributes):
    """A data set like the CT sample, with other identity."""
    dataset = pydicom.dcmread(CT)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def test_a_file_is_stored_found_and_read(archive):
    stored = archive.store(CT)
    assert stored.status == "Success"
    (study,) = archive.find("study", PatientName="compressedsamples*")
    assert (type(study), study.StudyDate, study.uid) == (Study, "20040119", study.StudyInstanceUID)
    (series,) = study.series()
    (instance,) = series.instances()
    assert (type(series), type(instance)) == (Series, Instance)
    assert instance == stored.instance
    assert instance.file() == CT.read_bytes()
    assert instance.dataset() == pydicom.dcmread(CT)
    assert "PixelData" not in instance.dataset(header=True)
    assert np.array_equal(instance.array(), pydicom.dcmread(CT).pixel_array)
    assert instance.array(rescale=True).min() == instance.array().min() - 1024
    assert instance.simplified_tags()["Modality"] == "CT"
    assert (instance.patient, instance.study, instance.series) == (study.patient, study, series)
    assert list(archive) == [study.patient]


def test_a_second_store_of_the_same_says_so(archive):
    data = CT.read_bytes()
    assert archive.store(data).status == "Success"
    assert archive.store(memoryview(data)).status == "AlreadyStored"


def test_a_data_set_is_stored_as_a_file(archive):
    dataset = made(SOPInstanceUID="1.2.3.4", PatientID="of a data set")
    instance = archive.store(dataset).instance
    assert instance.patient.uid == "of a data set"
    assert instance.dataset() == dataset


def test_what_is_no_dicom_is_refused_by_name(archive):
    with pytest.raises(EncodingError):
        archive.store(b"no DICOM at all" * 100)
    with pytest.raises(BadRequest, match="list is nothing to store"):
        archive.store([])


def test_lists_and_searches_come_a_page_at_a_time(archive, monkeypatch):
    monkeypatch.setattr("vna.client.archive.PAGE", 2)
    for number in range(5):
        archive.store(made(SOPInstanceUID=f"1.2.{number}", StudyInstanceUID=f"1.3.{number}"))
    asked = []
    page, find = archive._backend.page, archive._backend.find

    def counting_page(level, since, limit):
        asked.append((since, limit))
        return page(level, since, limit)

    def counting_find(request):
        asked.append((request["Since"], request["Limit"]))
        return find(request)

    monkeypatch.setattr(archive._backend, "page", counting_page)
    monkeypatch.setattr(archive._backend, "find", counting_find)
    studies = archive.studies()
    assert asked == []
    next(studies)
    assert asked == [(0, 2)]
    assert len(list(studies)) == 4
    assert asked == [(0, 2), (2, 2), (4, 2)]
    asked.clear()
    assert len({study.id for study in archive.find("studies", PatientID="*")}) == 5
    assert len(list(archive.find("study", limit=3))) == 3
    assert asked == [(0, 2), (2, 2), (4, 2), (0, 2), (2, 1)]


def test_keys_are_written_as_c_find_writes_them():
    assert _text(datetime.date(2026, 11, 5)) == "20261105"
    assert _text(datetime.datetime(2026, 11, 5, 7, 8, 9)) == "20261105070809"
    assert _text(["CT", "MR"]) == "CT\\MR"
    assert (_text(512), _text(None), _text("A*")) == ("512", "", "A*")


def test_a_search_that_is_none_names_what_is_wrong(archive):
    with pytest.raises(BadRequest, match="level is 'picture'"):
        archive.find("picture")
    with pytest.raises(BadRequest, match="Shoesize"):
        list(archive.find("study", Shoesize="44"))


def test_a_resource_is_got_by_its_id_at_any_level(archive):
    instance = archive.store(CT).instance
    for resource in (instance, instance.series, instance.study, instance.patient):
        assert archive.get(resource.id) == resource
    with pytest.raises(NotFound, match="no study has the id"):
        archive.get(instance.id, "study")
    with pytest.raises(NotFound, match=r"series or instance has the id 'x/\.\./y'"):
        archive.get("x/../y")


def test_resources_are_counted_and_looked_up_by_their_identifiers(archive):
    instance = archive.store(CT).instance
    archive.store(made(SOPInstanceUID="1.2.3"))
    assert archive.count("instance", SOPInstanceUID=["1.2.3", "1.2.4"]) == 1
    assert archive.count("study", PatientID="1*", StudyDate=datetime.date(2004, 1, 19)) == 1
    assert archive.lookup(instance.uid) == [instance]
    assert archive.lookup("1CT1") == [instance.patient]
    assert archive.lookup("nobody") == []


def test_deleting_the_last_instance_deletes_its_parents(archive):
    instance = archive.store(CT).instance
    patient = instance.patient
    archive.delete(instance.id)
    assert list(archive.patients()) == []
    with pytest.raises(NotFound):
        patient.refresh()


def test_labels_are_given_and_taken_and_found(archive):
    study = archive.store(CT).instance.study
    assert study.labels() == []
    study.label("teaching", "b")
    study.label("b")
    assert study.labels() == ["b", "teaching"]
    assert list(archive.find("study", options={"Labels": ["b"]})) == [study]
    study.unlabel("b", "never")
    assert study.labels() == ["teaching"]
    with pytest.raises(OutOfRange, match="64 letters"):
        study.label("a b")
    study.delete()
    with pytest.raises(NotFound):
        study.label("b")


def test_metadata_is_a_mapping_and_changed_by_who_has_seen_it(archive):
    study = archive.store(CT).instance.study
    assert study.metadata["LastUpdate"] == dict(study.metadata)["LastUpdate"]
    assert "1024" not in study.metadata
    study.metadata["1024"] = "größer"
    assert (study.metadata["1024"], study.metadata.get("1025")) == ("größer", None)
    first = study.metadata.entry("1024")
    second = study.metadata.put("1024", "seen", seen=first.revision)
    assert second.number == first.revision.number + 1
    with pytest.raises(Conflict):
        study.metadata.put("1024", "late", seen=first.revision)
    with pytest.raises(Conflict):
        study.metadata.delete("1024", seen=first.revision)
    assert study.metadata["1024"] == "seen"
    del study.metadata["1024"]
    assert "1024" not in list(study.metadata)
    for missing in (study.metadata.entry, study.metadata.__delitem__):
        with pytest.raises(KeyError, match="1024"):
            missing("1024")
    with pytest.raises(NotAllowed):
        study.metadata["LastUpdate"] = "now"
    study.delete()
    with pytest.raises(NotFound):
        study.metadata.get("1024")


def test_attachments_are_put_read_and_deleted(archive, tmp_path):
    stored = archive.store(CT)
    report = bytes(range(256)) * 9000
    study, path = stored.instance.study, tmp_path / "report"
    path.write_bytes(report)
    assert list(stored.instance.attachments) == ["dicom"]
    assert stored.instance.attachments["dicom"].read() == CT.read_bytes()
    revision = study.attachments.put("1024", path)
    attached = study.attachments["1024"]
    assert (attached.size, attached.read(), attached.revision) == (len(report), report, revision)
    attached.verify()
    attached.save(path.with_suffix(".copy"))
    assert path.with_suffix(".copy").read_bytes() == report
    later = study.attachments.put("1024", b"", seen=revision)
    assert (later.number, study.attachments["1024"].read()) == (revision.number + 1, b"")
    with pytest.raises(Conflict):
        study.attachments.put("1024", b"late", seen=revision)
    del study.attachments["1024"]
    assert dict(study.attachments) == {}
    for missing in (study.attachments.__getitem__, study.attachments.__delitem__):
        with pytest.raises(KeyError):
            missing("1024")
    with pytest.raises(NotAllowed):
        stored.instance.attachments.put("dicom", b"")


def test_copies_have_no_notes_of_users_and_what_is_changed_in_place_keeps_its_own(
    tmp_path, monkeypatch
):
    # As of Orthanc 1.12.7, asked the same.
    monkeypatch.setenv("VNA__STORAGE__DUPLICATES", "if-changed")
    with vna.open(tmp_path, create=True) as archive:
        instance = archive.store(CT).instance
        for each in (instance, instance.series, instance.study):
            each.metadata["1024"] = "mine"
            each.attachments.put("1025", b"mine")
        copy = instance.study.modify(replace={"StudyDescription": "x"})
        [copied] = copy.instances()
        assert not any("1024" in each.metadata for each in (copied, copied.series, copy))
        assert [*copied.attachments, *copied.series.attachments, *copy.attachments] == ["dicom"]
        uids = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
        instance.series.modify(replace={"SeriesDescription": "y"}, keep=uids, force=True)
        assert instance.simplified_tags()["SeriesDescription"] == "y"
        for each in (instance, instance.series, instance.study):
            assert each.metadata["1024"] == "mine"
            assert each.attachments["1025"].read() == b"mine"


def test_tenants_of_a_folder_are_archives_of_their_own(tmp_path):
    with vna.open(tmp_path, create=True) as one, vna.open(tmp_path, tenant=2) as two:
        stored = one.store(CT).instance
        assert list(two.instances()) == []
        with pytest.raises(NotFound):
            two.get(stored.id)
        two.store(CT)
        stored.delete()
        assert two.statistics()["CountInstances"] == 1
        assert one.statistics()["CountInstances"] == 0


def test_a_wrong_name_of_a_tag_tells_the_right_ones(archive):
    instance = archive.store(CT).instance
    with pytest.raises(AttributeError, match=r"its main tags are .*SOPInstanceUID"):
        instance.SopInstanceUid  # noqa: B018
    assert "InstanceNumber" in dir(instance)


def test_what_a_notebook_shows_holds_no_patient_data(archive):
    instance = archive.store(made(PatientName="Planted^Name", PatientID="PLANTED")).instance
    shown = repr([instance, instance.series, instance.study, instance.patient, archive])
    assert "lanted" not in shown.lower()


def test_bytes_are_read_from_anywhere(archive):
    instance, data = archive.store(CT).instance, CT.read_bytes()
    assert instance.size == len(data)
    assert instance.read(128, 4) == b"DICM"
    assert instance.read(len(data) - 2, 100) == data[-2:]
    assert instance.read(len(data), 1) == b""
    assert b"".join(instance.pieces()) == data


def test_a_file_that_fails_half_way_leaves_nothing(archive, tmp_path, monkeypatch):
    instance = archive.store(CT).instance

    def broken():
        yield b"half"
        raise OSError("gone")

    monkeypatch.setattr(instance, "pieces", broken)
    with pytest.raises(OSError, match="gone"):
        instance.save(tmp_path / "out.dcm")
    assert not list(tmp_path.glob("out*"))


def test_looking_for_an_archive_makes_none(tmp_path):
    with pytest.raises(NotFound, match=r"no archive in .*nowhere; create=True makes one"):
        vna.open(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())


def test_a_folder_may_be_opened_again_in_one_process(tmp_path):
    first = vna.open(tmp_path, create=True)
    second = vna.open(tmp_path)
    first.close()
    first.close()
    assert second.statistics()["CountPatients"] == 0
    with pytest.raises(Closed):
        first.statistics()
    second.close()
    assert not local_module._open


def test_a_forgotten_archive_gives_its_folder_free(tmp_path):
    vna.open(tmp_path, create=True)
    gc.collect()
    assert not local_module._open


def test_another_process_that_has_the_folder_is_named(tmp_path):
    program = f"import vna; a = vna.open({str(tmp_path)!r}, create=True); print('open'); input()"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(AlreadyOpen):
            vna.open(tmp_path)
        # It ends without closing: the folder is free all the same, and nothing is complained of.
        other.communicate(b"\n", timeout=30)
        assert other.returncode == 0
    vna.open(tmp_path).close()


async def test_it_works_where_a_loop_runs(tmp_path):
    """As in a notebook: the loop of the caller is not needed, nor in the way."""
    with vna.open(tmp_path, create=True) as archive:
        archive.store(CT)
        assert [type(patient) for patient in archive] == [Patient]
    await asyncio.sleep(0)


def test_threads_share_an_archive(archive):
    uids = [f"1.2.{number}" for number in range(24)]
    found = []

    def work(uids):
        for uid in uids:
            instance = archive.store(made(SOPInstanceUID=uid)).instance
            found.append((instance.uid, len(instance.file()) > 1000))

    threads = [threading.Thread(target=work, args=(uids[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted((uid, True) for uid in uids)


def test_importing_vna_imports_nothing_of_it():
    program = (
        "import sys, vna; "
        "print(sorted(name for name in sys.modules if name.startswith('vna') or name in "
        "('pydicom', 'numpy', 'asyncio', 'http'))); print('open' in dir(vna)); vna.open; "
        "print('pydicom' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["['vna']", "True", "False"], done.stderr


class Odd(http.server.BaseHTTPRequestHandler):
    """Answers every request as `answers` says, by path."""

    protocol_version = "HTTP/1.1"
    answers: dict = {}  # noqa: RUF012
    seen: list = []  # noqa: RUF012

    def do_GET(self):
        self.seen.append((self.path, dict(self.headers)))
        status, body, extra = self.answers.get(self.path, (404, b"", {}))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **extra}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def odd():
    """A server that answers as it is told."""
    Odd.answers, Odd.seen = {"/statistics": (200, b"{}", {})}, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("body", "problem"),
    [(b"<html>", "with no JSON"), (b"{}", "not as an archive does"), (b"[1]", "not as an archive")],
)
def test_a_server_that_is_no_archive_is_told(odd, body, problem):
    Odd.answers["/patients?expand&since=0&limit=500"] = (200, body, {})
    with vna.open(f"http://{odd}") as archive, pytest.raises(Unreachable, match=problem):
        list(archive.patients())


def test_an_answer_that_ends_early_is_no_file(odd):
    Odd.answers["/instances/x"] = (200, b'{"ID": "x"}', {})
    Odd.answers["/instances/x/file"] = (
        200,
        b"half",
        {"Content-Length": "8", "Connection": "close"},
    )
    with vna.open(f"http://{odd}") as archive:
        instance = archive.get("x", "instance")
        with pytest.raises(Unreachable):
            instance.file()
        # The next request has a connection of its own.
        assert archive.get("x", "instance") == instance


def test_a_server_without_ranges_gives_parts_all_the_same(odd):
    Odd.answers["/instances/x"] = (200, b'{"ID": "x", "FileSize": 10}', {})
    Odd.answers["/instances/x/file"] = (200, b"0123456789", {})
    with vna.open(f"http://{odd}") as archive:
        instance = archive.get("x", "instance")
        assert [instance.read(0, 3), instance.read(4, 2), instance.read(8, 9)] == [
            b"012",
            b"45",
            b"89",
        ]
        assert Odd.seen[-1][1]["Range"] == "bytes=8-16"


def test_name_and_password_of_the_address_are_sent_and_not_shown(odd):
    with vna.open(f"http://ann:s%40cret@{odd}") as archive:
        assert "s%40cret" not in repr(archive)
        assert "cret" not in repr(archive)
    assert Odd.seen[0][1]["Authorization"] == "Basic YW5uOnNAY3JldA=="


def test_nobody_at_the_address_is_told():
    with pytest.raises(Unreachable, match=r"http://127.0.0.1:9 does not answer as an archive"):
        vna.open("http://127.0.0.1:9")
    for wrong in ("http://", "http://a:b:c", "http://host:port"):
        with pytest.raises(SettingsError):
            Remote(wrong)


def test_error_answers_are_raised_as_what_they_are():
    def answer(status, **body):
        return as_error(status, json.dumps(body).encode())

    assert type(answer(404, Details="no such study")) is NotFound
    assert str(answer(404, Details="no such study")) == "no such study"
    assert type(answer(503, Details="", Code="busy")) is Busy
    assert answer(400, Details="x", Code="header.truncated").code == "header.truncated"
    assert type(answer(400, Details="x")) is BadRequest
    assert type(answer(400, Details="x", Code="encoding")) is EncodingError
    assert type(as_error(413, b"<html>")) is TooLarge
    assert type(as_error(500, b"")) is VnaError
    assert str(as_error(502, b"")) == "HTTP status 502"


def test_a_closed_remote_archive_says_so(odd):
    archive = vna.open(f"http://{odd}")
    archive.close()
    with pytest.raises(Closed):
        archive.statistics()


def test_a_header_is_read_without_the_pixels(archive, monkeypatch):
    instance = archive.store(made(SOPInstanceUID="1.2", PixelData=bytes(1 << 20))).instance
    read, kept = [], archive._backend.read

    def counting(public_id, offset, length):
        read.append(length)
        return kept(public_id, offset, length)

    monkeypatch.setattr(archive._backend, "read", counting)
    assert instance.dataset(header=True).SOPInstanceUID == "1.2"
    assert read == [64 << 10]
