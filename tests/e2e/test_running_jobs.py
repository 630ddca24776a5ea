"""Jobs of a running server: peers that never answer, a long queue, the command line."""

import io
import json
import socket
import subprocess
import time
import uuid

import pydicom
import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage
from support import VNA, ct_small, make_instance, send
from support_remote import node_of_pynetdicom

from vna.control import Control, control_file
from vna.jobs import queue

STUCK_PEERS = 25
STUCK_JOBS = 50
QUEUED = 10_000


@pytest.fixture
def server(start_server):
    server = start_server()
    server.instance = server.upload(ct_small())["ID"]
    return server


@pytest.fixture
def silent():
    """Give a port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener.getsockname()[1]


def know(server, name, port):
    body = {"AET": "PEER", "Host": "127.0.0.1", "Port": port, "Timeout": 600}
    assert server.http.put(f"/modalities/{name}", json=body).status_code == 200


def begin(server, name, **switches):
    body = {"Resources": [server.instance], "Asynchronous": True, **switches}
    answer = server.http.post(f"/modalities/{name}/store", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["ID"]


def until(server, job_id, *states):
    end = time.monotonic() + 60
    while True:
        job = server.get(f"/jobs/{job_id}")
        if job["State"] in states:
            return job
        assert time.monotonic() < end, job
        time.sleep(0.01)


def test_fifty_stuck_jobs_hold_up_nobody_and_are_cancelled(server, silent):
    for peer in range(STUCK_PEERS):
        know(server, f"stuck{peer}", silent)
    stuck = [begin(server, f"stuck{number % STUCK_PEERS}") for number in range(STUCK_JOBS)]
    for job_id in stuck:
        until(server, job_id, "Running")
    # A job more for one of them has to wait for it, and others do not.
    waiting = begin(server, "stuck0")
    handlers = [(evt.EVT_C_STORE, lambda event: 0x0000)]
    with node_of_pynetdicom([CTImageStorage], handlers) as port:
        know(server, "good", port)
        answer = server.http.post("/modalities/good/store", content=server.instance)
        assert (answer.status_code, answer.json()["FailedInstancesCount"]) == (200, 0)
    entity = AE("MODALITY")
    entity.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.1")
    association = entity.associate(server.dicom_host, server.dicom_port)
    data_set = pydicom.dcmread(io.BytesIO(make_instance()))
    assert send(association, data_set).Status == 0
    association.release()
    assert server.get("/statistics")["CountInstances"] == 2
    find = {"Level": "Instance", "Query": {}}
    assert len(server.http.post("/tools/find", json=find).json()) == 2
    states = {job["ID"]: job["State"] for job in server.get("/jobs?expand")}
    assert [states[job_id] for job_id in stuck] == ["Running"] * STUCK_JOBS
    assert states[waiting] == "Pending"
    for job_id in [*stuck, waiting]:
        assert server.http.post(f"/jobs/{job_id}/cancel").json() == {}
        job = server.get(f"/jobs/{job_id}")
        assert (job["State"], job["ErrorCode"]) == ("Failure", 37)


def test_a_server_with_stuck_jobs_stops_and_takes_them_up_again(server, silent, start_server):
    know(server, "stuck", silent)
    job_id = begin(server, "stuck", UserData={"why": "test"})
    until(server, job_id, "Running")
    assert server.stop() == 0
    again = start_server(root=server.root)
    job = until(again, job_id, "Running")
    assert job["UserData"] == {"why": "test"}
    again.http.post(f"/jobs/{job_id}/cancel")


def queued(root, count):
    """Put jobs into the queue of a server that does not run, of a destination of their own."""

    def insert(connection):
        for number in range(count):
            job = queue.Submission(
                id=str(uuid.uuid4()),
                tenant=1,
                user="",
                type="DicomModalityStore",
                priority=0,
                destination="modality:later",
                content="{}",
                shown=json.dumps({"Description": "REST API", "InstancesCount": number}),
                user_data=None,
                created_us=1_700_000_000_000_000 + number,
                run_after_us=4_000_000_000_000_000,
                retries_left=0,
                secret=None,
            )
            queue.insert(connection, job)

    control = Control(control_file(str(root)))
    control.run_blocking(insert)
    control.close()


def test_a_long_queue_is_listed_whole_or_by_page(server, start_server):
    assert server.stop() == 0
    queued(server.root, QUEUED)
    again = start_server(root=server.root)
    ids = again.get("/jobs")
    assert len(set(ids)) == QUEUED
    expanded = again.get("/jobs?expand")
    assert [job["ID"] for job in expanded] == ids
    assert [job["Content"]["InstancesCount"] for job in expanded] == list(range(QUEUED))
    page = again.get("/jobs?expand&since=5000&limit=10")
    assert [job["ID"] for job in page] == ids[5000:5010]
    assert again.upload(make_instance())["Status"] == "Success"
    assert f'vna_jobs{{state="Pending"}} {QUEUED}\n' in again.http.get("/metrics").text


def command(server, *arguments, status=0):
    done = subprocess.run(
        [VNA, "jobs", *arguments, f"--root={server.root}"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=server.root.parent,
    )
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def test_jobs_are_seen_and_told_what_to_do_on_the_command_line(server, silent):
    know(server, "stuck", silent)
    job_id = begin(server, "stuck")
    until(server, job_id, "Running")
    (listed,) = json.loads(command(server, "list", "--json"))
    assert (listed["ID"], listed["State"]) == (job_id, "Running")
    assert job_id in command(server, "list", "--state=running")
    command(server, "pause", job_id)
    assert "State: Paused" in command(server, "show", job_id)
    (cancelled,) = json.loads(command(server, "cancel", job_id, "--json"))
    assert (cancelled["State"], cancelled["ErrorCode"]) == ("Failure", 37)
    assert "paused" in command(server, "resume", job_id, status=2)
    assert "no job" in command(server, "show", str(uuid.uuid4()), status=3)
    assert server.stop() == 0
    assert "no server" in command(server, "list", status=4)
