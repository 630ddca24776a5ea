"""`vna.open`, `vna find` and `vna get` with a running server and without."""

import json
import os
import signal
import subprocess
import time

import pydicom
import pytest
from support import VNA, ct_small, make_instance
from support_cli import environment, vna

import vna as package


def stored(archive, count=3):
    """Store one study of `count` CT slices beside another patient's."""
    series = [
        make_instance(study="1.2.826.9", series="1.2.826.9.1", number=number, patient="GET")
        for number in range(count)
    ]
    for data in [*series, ct_small()]:
        archive.store(data)


@pytest.fixture(params=["server", "folder"])
def root(request, start_server, tmp_path):
    """The folder of an archive with something in it, served by a server or by nobody."""
    if request.param == "server":
        server = start_server()
        with package.open(server.url) as archive:
            stored(archive)
        return server.root
    with package.open(tmp_path / "folder", create=True) as archive:
        stored(archive)
    return tmp_path / "folder"


def test_a_folder_is_reached_through_its_server(start_server):
    server = start_server()
    with package.open(server.root) as archive:
        assert archive._backend.name == server.url
        instance = archive.store(ct_small()).instance
        assert server.get("/instances") == [instance.id]
        assert instance.file() == ct_small()
        assert instance.read(128, 4) == b"DICM"
        assert instance.dataset(header=True).Modality == "CT"
        assert [patient.uid for patient in archive] == ["1CT1"]
        assert instance.study.patient == next(archive.patients())
        archive.delete(instance)
        assert server.get("/instances") == []
    # It was only asked: it still runs.
    assert server.get("/system")


def test_a_folder_whose_server_was_killed_is_opened(start_server):
    server = start_server()
    server.upload(ct_small())
    server.kill()
    with package.open(server.root) as archive:
        assert [patient.uid for patient in archive] == ["1CT1"]


def test_an_open_folder_keeps_a_server_from_starting(tmp_path):
    with package.open(tmp_path / "archive", create=True):
        done = vna("serve", f"--root={tmp_path}/archive", "--http-port=0", "--dicom-port=0")
        assert done.returncode == 4
        assert "is open in another process" in done.stderr


def test_ids_are_found_and_their_files_got(root, tmp_path):
    found = vna("find", "study", "PatientID=GET", "--ids", f"--root={root}")
    assert (found.returncode, found.stderr) == (0, "")
    (study,) = found.stdout.split()
    out = tmp_path / "out"
    got = vna("get", study, "-o", out, f"--root={root}")
    assert (got.returncode, got.stdout) == (0, "3 written\n")
    files = sorted(out.rglob("*.dcm"))
    assert [path.parent for path in files] == [out / "1.2.826.9" / "1.2.826.9.1"] * 3
    assert {pydicom.dcmread(path).PatientID for path in files} == {"GET"}
    assert not list(out.rglob("*.partial"))

    files[0].unlink()
    again = vna("get", study, "-o", out, "--json", f"--root={root}")
    expected = {"written": 1, "already there": 2, "refused": 0, "failed": 0}
    assert json.loads(again.stdout) == expected


def test_files_are_got_by_uid_and_by_patient_id(root, tmp_path):
    got = vna("get", "1.2.826.9", "1CT1", "GET", "-o", tmp_path / "out", f"--root={root}")
    assert (got.returncode, got.stdout) == (0, "4 written\n")


def test_what_is_found_is_shown_as_table_and_as_json(root):
    shown = vna("find", "series", "PatientID=GET", f"--root={root}")
    assert shown.returncode == 0
    heading, _, row, total = shown.stdout.splitlines()
    assert heading.split() == [
        "ID",
        "Modality",
        "SeriesNumber",
        "SeriesDescription",
        "SeriesInstanceUID",
    ]
    assert row.split()[1:] == ["CT", "1.2.826.9.1"]
    assert total == "1 series"
    found = json.loads(vna("find", "series", "PatientID=GET", "--json", f"--root={root}").stdout)
    assert [each["MainDicomTags"]["SeriesInstanceUID"] for each in found] == ["1.2.826.9.1"]
    assert len(vna("find", "instance", "--ids", "--limit=2", f"--root={root}").stdout.split()) == 2


def test_finding_nothing_has_a_status_of_its_own(root):
    for form in ("--json", "--ids", None):
        options = [form] if form else []
        done = vna("find", "patient", "PatientID=NOBODY", *options, f"--root={root}")
        assert (done.returncode, done.stderr) == (3, "")
        assert done.stdout == ("[]\n" if form == "--json" else "")


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["find", "picture"], 2, "level is 'picture'"),
        (["find", "study", "PatientID"], 2, "it takes KEY=VALUE"),
        (["get", "nothing"], 3, "no patient, study, series or instance has the id 'nothing'"),
        (["get", "x", "--name={PatientID}/../../x"], 2, "names of files below the folder"),
        (["get", "x", "--name=/tmp/{PatientID}"], 2, "names of files below the folder"),
        (["get", "x", "--name={Shoesize}"], 2, "'Shoesize' is no keyword"),
        (["get", "x", "--name={PatientID!r}"], 2, "a keyword alone"),
        (["get", "x", "--name={PatientID"], 2, "--name"),
    ],
)
def test_wrong_usage_is_told_and_nothing_written(root, tmp_path, arguments, status, told):
    out = tmp_path / "out"
    folder = ["-o", out] if arguments[0] == "get" else []
    done = vna(*arguments, *folder, f"--root={root}")
    assert done.returncode == status
    assert told in done.stderr
    assert done.stdout == ""
    assert not out.exists()


def test_a_file_that_differs_is_replaced_only_by_force(root, tmp_path):
    found = vna("find", "instance", "PatientID=1CT1", "--ids", f"--root={root}").stdout.strip()
    target = tmp_path / "ct.dcm"
    target.write_bytes(b"mine")
    arguments = ["get", found, "-o", tmp_path, "--name=ct.dcm", f"--root={root}"]
    done = vna(*arguments)
    assert (done.returncode, done.stdout) == (1, "1 refused\n")
    assert "another file of 4 bytes is there" in done.stderr
    assert target.read_bytes() == b"mine"
    assert vna(*arguments, "--force").returncode == 0
    assert target.read_bytes() == ct_small()


def test_two_instances_of_one_name_are_not_written_over_each_other(root, tmp_path):
    study = vna("find", "study", "PatientID=GET", "--ids", f"--root={root}").stdout.strip()
    done = vna("get", study, "-o", tmp_path, "--name={PatientID}.dcm", f"--root={root}")
    assert (done.returncode, done.stdout) == (1, "1 written, 2 refused\n")
    assert "it is the name of" in done.stderr
    assert pydicom.dcmread(tmp_path / "GET.dcm").PatientID == "GET"


def test_values_that_are_paths_stay_names(tmp_path):
    root = tmp_path / "folder"
    with package.open(root, create=True) as archive:
        data = make_instance(patient="../../out", StationName="/etc", SeriesDescription="..\\C:")
        instance = archive.store(data).instance
    out = tmp_path / "deep" / "er"
    name = "{PatientID}/{StationName}/{SeriesDescription}/{StudyID}.dcm"
    done = vna("get", instance.id, "-o", out, f"--name={name}", f"--root={root}")
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.rglob("*.dcm")
    assert path.is_relative_to(out)
    assert ".." not in path.relative_to(out).as_posix()


def test_an_interrupted_get_leaves_whole_files_and_goes_on(tmp_path):
    root, out = tmp_path / "folder", tmp_path / "out"
    with package.open(root, create=True) as archive:
        for number in range(60):
            data = make_instance(study="1.2", number=number, patient="P", size=400_000)
            study = archive.store(data).instance.study.id
    command = [VNA, "get", study, "-o", out, f"--root={root}"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as process:
        while not list(out.rglob("*.dcm")):
            assert process.poll() is None
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
    for path in out.rglob("*.dcm"):
        pydicom.dcmread(path)
    done = vna("get", study, "-o", out, "--json", f"--root={root}")
    assert done.returncode == 0
    counts = json.loads(done.stdout)
    assert counts["written"] + counts["already there"] == 60
    assert len(list(out.rglob("*.dcm"))) == 60
