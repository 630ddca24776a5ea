"""ZIP archives and media: what is in them, their names, and what happens if somebody goes away."""

import http.client
import io
import json
import os
import shutil
import subprocess
import time
import zipfile
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pydicom
import pytest
from pydicom.fileset import FileSet
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, generate_uid
from support import make_instance
from support_cli import vna
from support_samples import packaged

import vna as package

# pydicom warns of values that break the standard, as many here do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

JPEG_LS = "1.2.840.10008.1.2.4.80"
LONG = os.environ.get("VNA_LONG_ARCHIVES") == "1"


@pytest.fixture(scope="module")
def stored(start_server):
    """Run a server with all that pydicom brings along; its files by the id of the instance."""
    server = start_server()
    files = {}
    for sample in packaged():
        data = sample.read()
        answer = server.http.post("/instances", content=data)
        if answer.status_code == 200 and answer.json()["Status"] == "Success":
            files[answer.json()["ID"]] = data
    server.files = files
    assert len(files) > 100
    return server


def fetch(server, path, **options):
    answer = server.http.request(options.pop("method", "GET"), path, **options)
    assert answer.status_code == 200, (path, answer.text)
    assert answer.headers["content-type"] == "application/zip"
    return answer.content


def opened(data):
    """Return an archive that two readers find whole: Python's, and unzip where there is one."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    return archive


def below(server, level, public_id):
    return [one["ID"] for one in server.get(f"/{level}/{public_id}/instances")]


def all_of(server):
    return ",".join(server.get("/patients"))


def test_an_archive_has_each_file_as_it_was_stored_under_a_name_of_its_own(stored):
    for patient in stored.get("/patients"):
        archive = opened(fetch(stored, f"/patients/{patient}/archive"))
        found = sorted(archive.read(entry) for entry in archive.infolist())
        assert found == sorted(stored.files[one] for one in below(stored, "patients", patient))
        names = [name.lower() for name in archive.namelist()]
        assert len({*names}) == len(names)
        for name in archive.namelist():
            assert name.isascii()
            assert name.count("/") == 3
            assert name.endswith(".dcm")
            assert not any(part.startswith(".") for part in name.split("/"))
        assert len({name.split("/")[0] for name in names}) == 1


def test_names_tell_people_what_is_in_an_archive(start_server):
    server = start_server()
    study = generate_uid()
    for series, modality in (
        (generate_uid(), "CT"),
        (generate_uid(), "MR"),
        (generate_uid(), "CT"),
    ):
        for number in (7, 3):
            server.upload(
                make_instance(
                    study, series, "4711", number, Modality=modality, PatientName="Núñez^Ana=山田",
                    SpecificCharacterSet="ISO_IR 192", AccessionNumber="A1",
                    StudyDescription="Knee/left", SeriesDescription="axial",
                )
            )  # fmt: skip
    ident = server.get("/studies")[0]
    names = opened(fetch(server, f"/studies/{ident}/archive")).namelist()
    folder = "4711 Nez Ana/A1 Kneeleft"
    assert names == [
        f"{folder}/{series}/{kind}00000{number}.dcm"
        for series, kind in (("CT axial", "CT"), ("MR axial", "MR"), ("CT axial-2", "CT"))
        for number in (3, 7)
    ]
    names = opened(fetch(server, f"/studies/{ident}/archive?utf8")).namelist()
    assert names[0] == "4711 Núñez Ana 山田/A1 Knee left/CT axial/CT000003.dcm"
    answer = server.http.get(f"/studies/{ident}/archive")
    assert answer.headers["content-disposition"] == f'filename="{ident}.zip"'
    answer = server.http.get(f"/studies/{ident}/archive", params={"filename": 'a"\r\nX-Evil: 1'})
    assert answer.headers["content-disposition"] == 'filename="aX-Evil: 1"'
    assert "x-evil" not in answer.headers


def test_no_tag_leads_out_of_the_folder_that_an_archive_is_unpacked_to(start_server, tmp_path):
    server = start_server()
    for hostile in (
        "..",
        "../../up",
        "/etc/passwd",
        "C:\\x",
        ".",
        "CON",
        "a\\..\\..\\b",
        "\u202egpj.exe",
    ):
        server.upload(
            make_instance(
                patient=f"{hostile}", PatientName=hostile, AccessionNumber=hostile[:16],
                StudyDescription=hostile, SeriesDescription=hostile, Modality="..",
                SpecificCharacterSet="ISO_IR 192",
            )
        )  # fmt: skip
    for query in ("", "&utf8"):
        archive = opened(fetch(server, f"/tools/create-archive?resources={all_of(server)}{query}"))
        for name in archive.namelist():
            assert "\\" not in name
            assert "\u202e" not in name
            parts = name.split("/")
            assert len(parts) == 4
            assert not any(part.startswith(".") or not part for part in parts)
        assert len(archive.namelist()) == len(server.get("/instances"))


def test_resources_of_any_level_go_together_and_each_instance_once(stored):
    instance = next(iter(stored.files))
    study = stored.get(f"/instances/{instance}/study")["ID"]
    series = stored.get(f"/instances/{instance}/series")["ID"]
    archive = opened(
        fetch(stored, "/tools/create-archive", method="POST", json=[instance, series, study, study])
    )
    assert len(archive.namelist()) == len(below(stored, "studies", study))
    assert opened(fetch(stored, "/tools/create-archive?resources=")).namelist() == []
    answer = stored.http.get(f"/tools/create-archive?resources={study},nothing")
    assert (answer.status_code, answer.json()["Code"]) == (404, "not_found")
    assert stored.http.get(f"/series/{study}/archive").status_code == 404
    assert stored.http.get("/tools/create-archive").status_code == 400
    head = stored.http.head(f"/studies/{study}/archive")
    assert (head.status_code, head.content, "content-length" in head.headers) == (200, b"", False)


def test_a_medium_has_a_dicomdir_that_leads_to_every_file(stored, tmp_path, dcmtk):
    data = fetch(stored, f"/tools/create-media?resources={all_of(stored)}")
    opened(data).extractall(tmp_path)
    medium = FileSet(tmp_path / "DICOMDIR")
    assert len(medium) == len(stored.files)
    files = sorted(stored.files.values())
    written = []
    for instance in medium:
        path = tmp_path.joinpath(*instance.ReferencedFileID)
        assert all(len(part) <= 8 and part.isupper() for part in instance.ReferencedFileID)
        file = pydicom.dcmread(path, stop_before_pixels=True)
        assert instance.ReferencedSOPInstanceUIDInFile == file.SOPInstanceUID
        assert instance.StudyInstanceUID == file.StudyInstanceUID
        assert instance.SeriesInstanceUID == file.SeriesInstanceUID
        assert instance.ReferencedTransferSyntaxUIDInFile == file.file_meta.TransferSyntaxUID
        written.append(path.read_bytes())
    # Files that lack preamble or File Meta Information have them on a medium (PS3.10 §7.1), before
    # what was stored; all others are as they were stored.
    assert all(data[128:132] == b"DICM" for data in written)
    assert {data for data in files if data[128:132] == b"DICM"} <= {*written}
    for bare in (data for data in files if data[128:132] != b"DICM"):
        assert sum(data.endswith(bare) for data in written) == 1
    kinds = {
        record.DirectoryRecordType
        for record in pydicom.dcmread(tmp_path / "DICOMDIR").DirectoryRecordSequence
    }
    assert kinds >= {"PATIENT", "STUDY", "SERIES", "IMAGE", "RT DOSE", "RT PLAN", "SR DOCUMENT"}
    # DCMTK follows every offset.
    dump = dcmtk("dcmdump", "+P", "0004,1500", str(tmp_path / "DICOMDIR"))
    assert (dump.returncode, dump.stderr) == (0, "")
    assert dump.stdout.count("0004,1500") == len(stored.files)


def test_more_is_said_of_a_medium_if_wanted(start_server):
    server = start_server()
    server.upload(make_instance(PatientSex="O", SeriesDescription="axial"))
    study = server.get("/studies")[0]

    def said(path):
        directory = opened(fetch(server, path)).read("DICOMDIR")
        records = pydicom.dcmread(io.BytesIO(directory)).DirectoryRecordSequence
        return {element.keyword for record in records for element in record}

    few = said(f"/studies/{study}/media")
    assert "SeriesDescription" not in few
    more = {"SeriesDescription", "PatientSex", "Rows", "Columns"}
    assert said(f"/studies/{study}/media?extended") >= few | more
    assert said(f"/tools/create-media-extended?resources={study}") >= few | more


def test_files_are_brought_into_the_transfer_syntax_that_is_asked_for(stored):
    path = f"/tools/create-archive?resources={all_of(stored)}&transcode="
    for syntax in (ImplicitVRLittleEndian, JPEG_LS):
        archive = opened(fetch(stored, f"{path}{syntax}"))
        found = {archive.read(entry) for entry in archive.infolist()}
        for one, data in stored.files.items():
            answer = stored.http.get(f"/instances/{one}/file?transcode={syntax}")
            # What there is no way for is in the archive as it is stored.
            assert (answer.content if answer.status_code == 200 else data) in found, one
    for wrong in ("1.2.3", "", ExplicitVRBigEndian[:-1]):
        assert stored.http.get(f"{path}{wrong}").status_code == 400


def test_a_medium_of_transcoded_files_names_what_is_in_them(start_server):
    server = start_server()
    server.upload(make_instance(size=32_768))
    patient = server.get("/patients")[0]
    lossy = "1.2.840.10008.1.2.4.91"
    archive = opened(fetch(server, f"/patients/{patient}/media?transcode={lossy}"))
    file = pydicom.dcmread(io.BytesIO(archive.read("IMAGES/IM0")))
    records = pydicom.dcmread(io.BytesIO(archive.read("DICOMDIR"))).DirectoryRecordSequence
    assert (
        file.file_meta.TransferSyntaxUID == records[-1].ReferencedTransferSyntaxUIDInFile == lossy
    )
    assert records[-1].ReferencedSOPInstanceUIDInFile == file.SOPInstanceUID
    assert (
        file.SOPInstanceUID != server.get("/instances?expand")[0]["MainDicomTags"]["SOPInstanceUID"]
    )


def large(server, instances=24, size=1_100_000):
    """Store a series of more bytes than sockets hold; return its id."""
    study, series = generate_uid(), generate_uid()
    for number in range(instances):
        stored = server.upload(make_instance(study, series, number=number, size=size))
    return stored["ParentSeries"]


def begin(server, path):
    """Ask for an archive and take its first bytes alone."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    connection.connect()
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200
    return connection, answer, answer.read(10_000)


def test_what_is_deleted_meanwhile_is_still_in_the_archive(start_server):
    server = start_server()
    series = large(server)
    connection, answer, first = begin(server, f"/series/{series}/archive")
    with closing(connection):
        assert server.http.delete(f"/series/{series}").status_code == 200
        assert len(opened(first + answer.read()).namelist()) == 24


def test_an_archive_breaks_off_if_the_bytes_of_an_instance_go_meanwhile(start_server):
    # Each of them is in a file of its own, which goes soon.
    server = start_server("--set=storage.large_object_bytes=65536")
    series = large(server)
    connection, answer, _ = begin(server, f"/series/{series}/archive")
    with closing(connection):
        assert server.http.delete(f"/series/{series}").status_code == 200
        assert server.http.post("/tools/erase", json={"All": True}).status_code == 200
        end = time.monotonic() + 60
        while sum(path.stat().st_size for path in server.root.rglob("*")) > 10_000_000:
            assert time.monotonic() < end
            time.sleep(0.02)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()


def used(server):
    text = server.http.get("/metrics").text
    line = next(line for line in text.splitlines() if line.startswith("vna_archives_used_bytes "))
    return int(float(line.split()[1]))


def until_nothing_is_held(server):
    end = time.monotonic() + 60
    while used(server):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_who_goes_away_or_cancels_ends_the_work(start_server):
    server = start_server()
    series = large(server)
    connection, _, _ = begin(server, f"/series/{series}/archive")
    assert used(server) > 0
    connection.close()
    until_nothing_is_held(server)
    started = server.http.post(f"/series/{series}/archive", json={"Asynchronous": True}).json()
    assert server.http.post(f"{started['Path']}/cancel").status_code == 200
    assert "canceled" in finished(server, started["Path"])["ErrorDescription"]
    until_nothing_is_held(server)
    assert not any((server.root / "control" / "outputs").glob("*"))


def finished(server, path):
    end = time.monotonic() + 60
    while (job := server.get(path))["State"] not in {"Success", "Failure"}:
        assert time.monotonic() < end, job
        time.sleep(0.01)
    return job


def test_a_job_leaves_an_archive_to_be_fetched(stored):
    patient = stored.get("/patients")[0]
    body = {"Asynchronous": True, "UserData": {"a": 1}, "Filename": 'my"\r\n.zip', "Priority": 3}
    for kind, level in (("Archive", "archive"), ("Media", "media")):
        started = stored.http.post(f"/patients/{patient}/{level}", json=body).json()
        job = finished(stored, started["Path"])
        count = len(below(stored, "patients", patient))
        assert (job["Type"], job["State"], job["UserData"]) == (kind, "Success", {"a": 1})
        assert job["Content"]["InstancesCount"] == count
        answer = stored.http.get(f"{started['Path']}/archive")
        assert answer.headers["content-disposition"] == 'filename="my.zip"'
        assert answer.headers["content-type"] == "application/zip"
        assert str(len(answer.content)) == job["Content"]["ArchiveSize"]
        assert len(opened(answer.content).namelist()) == count + (kind == "Media")
        part = stored.http.get(f"{started['Path']}/archive", headers={"Range": "bytes=2-3"})
        assert (part.status_code, part.content) == (206, answer.content[2:4])
        assert stored.http.delete(f"{started['Path']}/archive").status_code == 200
        assert stored.http.get(f"{started['Path']}/archive").status_code == 404
    refused = stored.http.post("/tools/create-archive", json={"Resources": ["x"], **body})
    assert refused.status_code == 404


def test_an_output_that_is_too_long_fails_its_job_and_leaves_nothing(start_server):
    server = start_server("--set=jobs.output_bytes=1048576", "--set=jobs.retries=0")
    server.upload(make_instance(size=2_000_000))
    patient = server.get("/patients")[0]
    started = server.http.post(f"/patients/{patient}/archive", json={"Asynchronous": True}).json()
    job = finished(server, started["Path"])
    assert job["State"] == "Failure"
    assert "jobs.output_bytes" in job["ErrorDetails"]
    assert list((server.root / "control" / "outputs").iterdir()) == []


def test_the_command_and_the_client_write_archives(start_server, tmp_path):
    server = start_server()
    data = make_instance(StudyDescription="Knee")
    study = server.upload(data)["ParentStudy"]
    uid = pydicom.dcmread(io.BytesIO(data)).StudyInstanceUID
    target = tmp_path / "study.zip"

    def written():
        done = vna("archive", uid, "-o", target, "--root", server.root, "--force", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"file": str(target), "bytes": target.stat().st_size}
        with zipfile.ZipFile(target) as archive:
            assert archive.read("P1 Test Person/Knee/CT/CT000001.dcm") == data

    written()
    done = vna("archive", study, "-o", tmp_path / "disk.zip", "--media", "--url", server.url)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "disk.zip") as archive:
        assert archive.namelist() == ["IMAGES/IM0", "DICOMDIR"]
    with package.open(server.url) as archive:
        found = b"".join(archive.archive(archive.find("study"), utf8=True))
        assert opened(found).namelist() == ["P1 Test Person/Knee/CT/CT000001.dcm"]
    again = vna("archive", study, "-o", target, "--url", server.url)
    assert again.returncode != 0
    assert "--force" in again.stderr
    nothing = vna("archive", "nothing", "-o", tmp_path / "no.zip", "--url", server.url)
    assert nothing.returncode != 0
    assert not list(tmp_path.glob("no.zip*"))
    server.stop()
    written()  # of the folder


def test_an_archive_is_an_upload_that_brings_all_back(stored, start_server):
    other = start_server()
    for path in ("create-archive", "create-media"):
        data = fetch(stored, f"/tools/{path}?resources={all_of(stored)}")
        answer = other.http.post(
            "/instances", content=data, headers={"Content-Type": "application/zip"}
        )
        assert answer.status_code == 200, answer.text
        assert {*other.get("/instances")} == {*stored.files}


def of_five_gib():
    """Yield a video of 5 GiB of zeros, and say how long it is."""
    video = make_instance(number=70_001, size=2, Modality="XC")
    head = video[: video.index(b"\xe0\x7f\x10\x00OW")].replace(
        b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4.102\0"
    )
    group_length = int.from_bytes(head[140:144], "little") + 4
    syntax_at = head.index(b"\x02\x00\x10\x00UI") + 6
    head = b"".join(
        (
            head[:140],
            group_length.to_bytes(4, "little"),
            head[144:syntax_at],
            (24).to_bytes(2, "little"),
            head[syntax_at + 2 :],
        )
    )
    yield head + b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0"
    zeros = bytes(1 << 20)
    for _ in range(5):
        yield b"\xfe\xff\x00\xe0" + (1 << 30).to_bytes(4, "little")
        for _ in range(1024):
            yield zeros
    yield b"\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.mark.skipif(not LONG, reason="VNA_LONG_ARCHIVES=1 asks for it")
def test_more_entries_and_bytes_than_the_first_zip_could_count(start_server, tmp_path):
    server = start_server(
        "--set=uploads.max_unpacked_bytes=8000000000",
        "--set=uploads.max_entries=100000",
        "--set=archives.deflate_level=0",
    )
    study, series = generate_uid(), generate_uid()
    packed = tmp_path / "many.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(70_000):
            archive.writestr(str(number), make_instance(study, series, number=number, size=2))
    for content in (of_five_gib(), packed.open("rb")):
        answer = server.http.post("/instances", content=content, timeout=900)
        assert answer.status_code == 200, answer.text[:1000]
    before = rss_kib(server)
    for path in ("create-archive", "create-media"):
        target = tmp_path / f"{path}.zip"
        url = f"/tools/{path}?resources={all_of(server)}"
        with server.http.stream("GET", url, timeout=900) as answer, target.open("wb") as file:
            assert answer.status_code == 200
            for piece in answer.iter_bytes():
                file.write(piece)
        assert target.stat().st_size > 5 << 30
        for command in (["unzip", "-tqq", target], ["zipinfo", "-h", target], ["7z", "t", target]):
            if shutil.which(command[0]):
                done = subprocess.run(command, capture_output=True, check=False)
                assert done.returncode == 0, (command, done.stdout[-500:], done.stderr[-500:])
        with zipfile.ZipFile(target) as archive:
            assert len(archive.namelist()) == 70_001 + (path == "create-media")
            assert archive.testzip() is None
        target.unlink()
    assert rss_kib(server) - before < 150_000


def rss_kib(server):
    """Return the most memory that a server has had."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
