"""An archive kept in check: stability, bounds, read-only mode, deletion of many, metrics."""

import random
import threading
import time

import httpx
import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from support import make_instance, send
from support_cli import vna
from support_ports import free_port
from test_commitment_asked import Reports, ask, references

QUICK = "--set=storage.stable_age_s=1"
KNOWN_SENDERS = "--set=dicom.unknown_callers=echo"


def told(server, prefix="Stable"):
    """What the feed tells of a kind, as (type, id)."""
    changes = server.get("/changes?limit=100000")["Changes"]
    return [(c["ChangeType"], c["ID"]) for c in changes if c["ChangeType"].startswith(prefix)]


def until(check, seconds=60):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def patient_ids(server):
    found = server.get("/patients?expand")
    return sorted(patient["MainDicomTags"]["PatientID"] for patient in found)


def store_status(server, file, calling="SENDER"):
    """The status that a C-STORE is answered with."""
    entity = AE(calling)
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = entity.associate(server.dicom_host, server.dicom_port, ae_title="VNA")
    assert association.is_established
    status = send(association, dcmread(DicomBytesIO(file)))
    association.release()
    return status.Status


def test_stability_is_told_once_over_a_kill_and_a_rebuild(start_server):
    server = start_server(QUICK)
    study = generate_uid()
    stored = server.upload(make_instance(study))
    assert server.get(f"/studies/{stored['ParentStudy']}")["IsStable"] is False
    server.kill()
    server.start()
    expected = [
        ("StableSeries", stored["ParentSeries"]),
        ("StableStudy", stored["ParentStudy"]),
        ("StablePatient", stored["ParentPatient"]),
    ]
    until(lambda: told(server) == expected)
    assert server.get(f"/studies/{stored['ParentStudy']}")["IsStable"] is True
    server.kill()
    server.start()
    assert server.stop() == 0
    assert vna("reindex", "--root", server.root).returncode == 0
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")
    server.start()
    time.sleep(1.5)
    assert told(server) == expected
    other = server.upload(make_instance(study))
    assert server.get(f"/series/{stored['ParentSeries']}")["IsStable"] is True
    until(lambda: ("StableSeries", other["ParentSeries"]) in told(server))
    names = ["StableSeries", "StableStudy", "StablePatient"]
    until(lambda: [name for name, _ in told(server)] == names * 2)


def test_a_series_is_complete_when_all_that_it_announced_is_there(start_server):
    server = start_server()
    study, series = generate_uid(), generate_uid()
    announced = {"ImagesInAcquisition": 2, "NumberOfTemporalPositions": 1}
    stored = server.upload(make_instance(study, series, number=1, **announced))
    assert server.get(f"/series/{stored['ParentSeries']}")["Status"] == "Missing"
    server.upload(make_instance(study, series, number=2, **announced))
    assert server.get(f"/series/{stored['ParentSeries']}")["Status"] == "Complete"
    until(lambda: told(server, "Completed") == [("CompletedSeries", stored["ParentSeries"])])


def test_the_oldest_patient_makes_room_for_the_next(start_server):
    server = start_server(
        KNOWN_SENDERS, "--set=storage.maximum_patients=2", "--set=storage.maximum_mode=recycle"
    )
    until(lambda: "recycling begins" in server.output())
    for patient in ("P1", "P2"):
        server.upload(make_instance(patient=patient))
    server.upload(make_instance(patient="P1"))  # P2 is the older one now
    server.upload(make_instance(patient="P3"))
    assert patient_ids(server) == ["P1", "P3"]
    assert server.get("/tools/deleted") == [], "nothing is kept of who makes room"
    system = server.get("/system")
    assert (system["MaximumPatientCount"], system["MaximumStorageMode"]) == (2, "Recycle")
    server.kill()
    server.start()
    until(lambda: server.output().count("recycling begins") == 2)
    server.upload(make_instance(patient="P4"))
    assert patient_ids(server) == ["P3", "P4"]


@pytest.mark.parametrize(
    ("bound", "first", "second"),
    [("maximum_patients=1", 64, 64), ("maximum_bytes=9000", 5000, 5000)],
)
def test_what_a_bound_has_no_room_for_is_refused(start_server, bound, first, second):
    server = start_server(f"--set=storage.{bound}")
    stored = make_instance(patient="P1", size=first)
    server.upload(stored)
    answer = server.http.post("/instances", content=make_instance(patient="P2", size=second))
    assert (answer.status_code, answer.json()["OrthancStatus"]) == (507, 19), answer.text
    assert store_status(server, make_instance(patient="P2", size=second)) == 0xA700
    assert server.upload(stored)["Status"] == "AlreadyStored"
    assert patient_ids(server) == ["P1"]
    one = server.get("/patients")[0]
    assert server.http.delete(f"/patients/{one}").status_code == 200
    server.upload(make_instance(patient="P2", size=second))
    assert "vna_without_room_total 2" in server.http.get("/metrics").text


def test_what_we_committed_ourselves_to_keep_makes_no_room(start_server, tmp_path):
    (tmp_path / "vna.toml").write_text(
        f"""
[storage]
maximum_patients = 1
maximum_mode = "recycle"
[dicom]
unknown_callers = []
[[dicom.modalities]]
name = "ct"
aet = "CT01"
host = "127.0.0.1"
port = {free_port()}
""",
        encoding="utf-8",
    )
    server = start_server(f"--config={tmp_path / 'vna.toml'}", root=tmp_path / "data")
    until(lambda: "recycling begins" in server.output())
    file = make_instance(patient="KEPT")
    server.upload(file)
    reports = Reports()
    uid = dcmread(DicomBytesIO(file)).SOPInstanceUID
    transaction, association = ask(server, references([uid]), reports, called="VNA")
    assert reports.of(transaction)[0] == 1
    association.release()

    def refused():
        answer = server.http.post("/instances", content=make_instance(patient="NEXT"))
        return answer.status_code == 507 and patient_ids(server) == ["KEPT"]

    assert refused()
    # So it is after a start, and with an index that knows of no commitment.
    assert server.stop() == 0
    assert vna("reindex", "--root", server.root).returncode == 0
    server.start()
    assert refused()
    until(lambda: server.output().count("recycling begins") == 2)
    assert refused()


def test_recycling_does_not_start_while_strangers_may_store(tmp_path):
    bounded = ("--set=storage.maximum_bytes=1000000", "--set=storage.maximum_mode=recycle")
    refused = vna("serve", "--root", tmp_path / "data", *bounded)
    assert refused.returncode != 0
    assert "dicom.unknown_callers" in refused.stderr
    assert "storage.maximum_mode" in refused.stderr


def test_a_read_only_archive_reads_and_refuses_the_rest(start_server):
    server = start_server(QUICK)
    file = make_instance()
    stored = server.upload(file)
    until(lambda: len(told(server)) == 3)
    assert server.stop() == 0
    server.flags = [*server.flags, "--set=storage.read_only=true"]
    server.start()
    instance = f"/instances/{stored['ID']}"
    assert server.file(stored["ID"]) == file
    assert server.get("/system")["ReadOnly"] is True
    for method, path, body in (
        ("POST", "/instances", make_instance()),
        ("POST", "/instances", file),
        ("DELETE", instance, None),
        ("PUT", f"/studies/{stored['ParentStudy']}/labels/x", b""),
        ("POST", "/tools/bulk-delete", b'{"Resources": ["%s"]}' % stored["ID"].encode()),
    ):
        answer = server.http.request(method, path, content=body)
        assert (answer.status_code, answer.json()["OrthancStatus"]) == (405, 22), (method, path)
    assert store_status(server, file) == 0x0124
    assert store_status(server, make_instance()) == 0x0124
    assert server.get("/statistics")["CountInstances"] == 1


def test_many_resources_are_deleted_by_id_or_by_level_and_id(start_server):
    server = start_server()
    stored = [server.upload(make_instance(patient=f"P{n}")) for n in range(4)]

    def delete(*resources):
        return server.http.post("/tools/bulk-delete", json={"Resources": list(resources)})

    answer = delete(
        stored[0]["ParentSeries"],
        stored[0]["ID"],  # goes with the one before
        {"Level": "Study", "ID": stored[1]["ParentStudy"]},
        "no-such-id",
        {"Level": "Patient", "ID": stored[2]["ParentStudy"]},  # of no patient
    )
    assert (answer.status_code, answer.content) == (200, b"")
    assert patient_ids(server) == ["P2", "P3"]
    for wrong in ([1], [{"Level": "Image", "ID": "x"}], [{"ID": "x"}]):
        assert delete(*wrong).status_code == 400
    for body in (b"[]", b"{}", b"no JSON", b'{"Resources": "x"}'):
        assert server.http.post("/tools/bulk-delete", content=body).status_code == 400
    assert patient_ids(server) == ["P2", "P3"]


def test_how_much_is_logged_is_set_while_it_runs(start_server):
    server = start_server()

    def level(name="", value=None):
        path = f"/tools/log-level{name}"
        if value is None:
            return server.http.get(path).text
        return server.http.put(path, content=value).status_code

    assert level() == level("-http") == "default"
    assert level("-http", "trace") == 200
    assert (level("-http"), level("-dicom"), level()) == ("trace", "default", "trace")
    assert level("", "verbose") == 200
    assert level("-http") == level("-lua") == "verbose"
    assert (level("", "nonsense"), level("-jobs", ""), level("-nope", "trace")) == (400, 400, 404)
    assert level("", "default") == 200
    assert level("-sqlite") == "default"


def test_metrics_tell_durations_by_route_and_what_clients_of_orthanc_read(start_server):
    server = start_server()
    stored = server.upload(make_instance())
    server.http.get(f"/instances/{stored['ID']}/file")
    assert store_status(server, make_instance()) == 0
    own = server.http.get("/metrics").text
    assert 'vna_http_request_seconds_count{method="POST",route="/instances"} 1' in own
    assert "vna_c_store_seconds_count 1" in own
    assert "vna_commit_seconds_count 2" in own
    assert "vna_http_plain_request_seconds_count 1" in own
    theirs = server.http.get("/tools/metrics-prometheus")
    assert theirs.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = dict(
        line.split(" ")[:2] for line in theirs.text.splitlines() if line.startswith("orthanc_")
    )
    assert (values["orthanc_count_instances"], values["orthanc_jobs_pending"]) == ("2", "0")
    assert values["orthanc_last_change"] == str(server.get("/changes?last")["Last"])
    assert server.http.put("/tools/metrics", content="0").status_code == 200
    assert server.http.get("/tools/metrics").text == "0"
    assert server.http.get("/tools/metrics-prometheus").text == ""
    assert server.http.put("/tools/metrics", content="x").status_code == 400


def test_kill_9_in_the_middle_of_recycling_leaves_whole_patients_within_the_bound(start_server):
    server = start_server(
        KNOWN_SENDERS,
        "--set=storage.maximum_patients=3",
        "--set=storage.maximum_mode=recycle",
        "--set=storage.segment_bytes=1048576",
        "--set=storage.large_object_bytes=500000",
    )
    chance = random.Random(7)
    size = 5  # instances of a patient, all in one series
    for number in range(3):
        until(lambda n=number: server.output().count("recycling begins") == n + 1)
        stored = {}

        def work(url, stored=stored, number=number):
            with httpx.Client(base_url=url, timeout=60) as http:
                for patient in range(1000):
                    series, study = generate_uid(), generate_uid()
                    name = f"R{number}-{patient}"
                    for _ in range(size):
                        file = make_instance(study, series, patient=name, size=20_000)
                        try:
                            answer = http.post("/instances", content=file)
                        except httpx.HTTPError:
                            return  # the kill
                        assert answer.status_code == 200, answer.text
                        stored[name] = stored.get(name, 0) + 1

        thread = threading.Thread(target=work, args=(server.http.base_url,))
        thread.start()
        time.sleep(chance.uniform(0.5, 1.5))
        server.kill()
        thread.join()
        server.start()
        held = {}
        for patient in server.get("/patients?expand"):
            statistics = server.get(f"/patients/{patient['ID']}/statistics")
            held[patient["MainDicomTags"]["PatientID"]] = statistics["CountInstances"]
        assert 1 <= len(held) <= 3, held
        last = list(stored)[-1]
        for name, count in held.items():
            # What was answered last may have been followed by one that was not answered any more.
            expected = {stored.get(name, 0), stored.get(name, 0) + (name == last)}
            assert count in expected or name not in stored, (name, held, stored)
        assert last in held
    assert server.stop() == 0
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")


def test_bytes_of_who_made_room_leave_the_disk(start_server):
    server = start_server(
        KNOWN_SENDERS,
        "--set=storage.maximum_bytes=3000000",
        "--set=storage.maximum_mode=recycle",
        "--set=storage.segment_bytes=1048576",
        "--set=storage.large_object_bytes=500000",
    )
    until(lambda: "recycling begins" in server.output())
    for patient in range(12):
        for _ in range(3):
            server.upload(make_instance(patient=f"P{patient}", size=300_000))
        assert int(server.get("/statistics")["TotalDiskSize"]) <= 3_000_000

    def on_disk():
        return sum(
            path.stat().st_size for path in (server.root / "log").rglob("*") if path.is_file()
        )

    # Packs of patients who went are dropped whole; the bound and two segments are what may be left.
    until(lambda: on_disk() < 3_000_000 + 4 * 1_048_576, 30)
    assert patient_ids(server) == ["P10", "P11", "P9"]


def test_a_large_object_without_room_leaves_nothing_behind(start_server):
    server = start_server(
        "--set=storage.maximum_bytes=1000000", "--set=storage.large_object_bytes=65536"
    )
    answer = server.http.post("/instances", content=make_instance(size=2_000_000))
    assert answer.status_code == 507
    blobs = server.root / "log" / "blobs"
    until(lambda: not any(path.is_file() for path in blobs.rglob("*")))
