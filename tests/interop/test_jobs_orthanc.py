"""Jobs as clients of Orthanc read and tell them: the same work for both servers, side by side."""

import json
import os
import socket
import time

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage
from support import Server, ct_small
from support_orthanc import Dictionary, NoPeer, Orthanc, program
from support_ports import free_port

pytestmark = pytest.mark.peer

# What is never the same twice, or says in words what the rest says in numbers.
VOLATILE = {"ID", "ErrorDetails", "Timestamp", "CreationTime", "CompletionTime", "EffectiveRuntime"}
ERROR_OF_OURS = {"Code", "Details", "ErrorPayload"}
NO_JOB = "11111111-2222-3333-4444-555555555555"
VERBS = ("pause", "resume", "cancel", "resubmit")


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Run both, with one CT slice each and the same remote nodes."""
    try:
        executable = program()
    except NoPeer as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(f"{reason}; nothing was compared")
    theirs = Orthanc(executable, tmp_path_factory.mktemp("orthanc"), Dictionary("", ""))
    # What Orthanc never does is off: a failure is tried again.
    ours = Server(tmp_path_factory.mktemp("archive") / "data", "--set=jobs.retries=0")
    entity = AE("STORE")
    entity.add_supported_context(CTImageStorage, "1.2.840.10008.1.2.1")
    handlers = [(evt.EVT_C_STORE, lambda event: 0x0000)]
    storing = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    # Connections wait in its queue: they are made, and nobody says anything.
    silent = socket.create_server(("127.0.0.1", 0), backlog=128)
    ports = {
        "store": storing.socket.getsockname()[1],
        "dead": free_port(),
        "silent": silent.getsockname()[1],
    }
    both = []
    try:
        both = [ours.start(), theirs.start()]
        for server in both:
            server.http.post("/instances", content=ct_small()).raise_for_status()
            for name, port in ports.items():
                known = {"AET": name.upper(), "Host": "127.0.0.1", "Port": port, "Timeout": 600}
                server.http.put(f"/modalities/{name}", json=known).raise_for_status()
        yield both
    finally:
        silent.close()  # before them: Orthanc waits for its jobs, and its jobs for an answer
        theirs.stop()
        ours.stop()
        storing.shutdown()


def send(server, name, **body):
    (instance,) = server.http.get("/instances").json()
    wanted = {"Resources": [instance], **body}
    return server.http.post(f"/modalities/{name}/store", content=json.dumps(wanted))


def begun(server, name, **body):
    answer = send(server, name, Asynchronous=True, **body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["Path"] == f"/jobs/{answer.json()['ID']}"
    return answer.json()["ID"]


def until(server, job_id, *states):
    end = time.monotonic() + 60
    while True:
        job = server.http.get(f"/jobs/{job_id}").json()
        if job["State"] in states:
            return job
        assert time.monotonic() < end, job
        time.sleep(0.01)


def lasting(job):
    return {key: value for key, value in job.items() if key not in VOLATILE}


def test_a_job_that_succeeds_looks_the_same(servers):
    jobs = [until(each, begun(each, "store", Priority=4), "Success") for each in servers]
    ours, theirs = jobs
    assert lasting(ours) == lasting(theirs)
    assert set(theirs) <= set(ours)
    for key in ("Timestamp", "CreationTime", "CompletionTime"):
        assert len(ours[key]) == len(theirs[key])
        assert ours[key][8] == theirs[key][8] == "T"
    for each, job in zip(servers, jobs, strict=True):
        listed = each.http.get("/jobs").json()
        assert job["ID"] in listed
        expanded = each.http.get("/jobs?expand").json()
        assert [lasting(one) for one in expanded if one["ID"] == job["ID"]] == [lasting(job)]


def test_the_result_of_a_job_that_was_waited_for_is_the_same(servers):
    ours, theirs = (send(each, "store", Synchronous=True) for each in servers)
    assert ours.status_code == theirs.status_code == 200
    assert ours.json() == theirs.json()


def test_a_job_that_fails_looks_the_same(servers):
    ours, theirs = (until(each, begun(each, "dead"), "Failure") for each in servers)
    assert lasting(ours) == lasting(theirs)
    assert ours["ErrorDetails"]


def test_a_failure_that_was_waited_for_is_the_same(servers):
    ours, theirs = (send(each, "dead") for each in servers)
    assert ours.status_code == theirs.status_code == 500
    error, like = ours.json(), theirs.json()
    left = {key: value for key, value in error.items() if key not in ERROR_OF_OURS}
    like.pop("Details", None)
    assert left == like


@pytest.mark.parametrize("body", [{"Priority": "x"}, {"Priority": 1.5}])
def test_switches_of_a_wrong_kind_are_refused_by_both(servers, body):
    ours, theirs = (send(each, "store", **body) for each in servers)
    assert ours.status_code == theirs.status_code == 400


def test_what_has_ended_can_be_forgotten(servers):
    for server in servers:
        ended = begun(server, "store")
        until(server, ended, "Success")
        answer = server.http.delete(f"/jobs/{ended}")
        assert (answer.status_code, answer.content) == (200, b"")
        assert server.http.get(f"/jobs/{ended}").status_code == 404


@pytest.fixture(scope="module")
def held(servers):
    """Fill the slots of both, so that what is submitted next has to wait."""
    for server in servers:
        running = [begun(server, "silent") for _ in range(2)]
        for job_id in running:
            until(server, job_id, "Running")
    return servers


@pytest.mark.parametrize(
    "verbs",
    [
        (first, second, third)
        for first in ("pause", "cancel")
        for second in VERBS
        for third in ("resume", "resubmit")
    ],
    ids="-".join,
)
def test_a_job_that_waits_goes_through_the_same_states(held, verbs):
    traces = []
    for server in held:
        job_id = begun(server, "silent")
        trace = [until(server, job_id, "Pending")["State"]]
        for verb in verbs:
            answer = server.http.post(f"/jobs/{job_id}/{verb}", content=b"")
            job = server.http.get(f"/jobs/{job_id}").json()
            told = answer.json() if answer.status_code == 200 else None
            trace.append((answer.status_code, told, job["State"], job["ErrorCode"]))
        traces.append(trace)
        server.http.post(f"/jobs/{job_id}/cancel", content=b"")
    assert traces[0] == traces[1]


def test_a_job_that_there_is_not_is_told_so(servers):
    for path in (f"/jobs/{NO_JOB}", f"/jobs/{NO_JOB}/archive"):
        for method in ("GET", "DELETE"):
            ours, theirs = (each.http.request(method, path) for each in servers)
            assert ours.status_code == theirs.status_code == 404, (method, path)
    # Orthanc answers 400 without a word; ours says which job there is not.
    for verb in VERBS:
        ours, theirs = (each.http.post(f"/jobs/{NO_JOB}/{verb}", content=b"") for each in servers)
        assert (ours.status_code, theirs.status_code) == (404, 400)
        assert NO_JOB in ours.json()["Details"]


def test_what_has_not_ended_cannot_be_forgotten(held):
    for server in held:
        job_id = begun(server, "silent")
        assert server.http.delete(f"/jobs/{job_id}").status_code == 404
        server.http.post(f"/jobs/{job_id}/cancel", content=b"")
