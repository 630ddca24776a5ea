"""Headers of jobs for DICOMweb servers: the job has them as long as it needs them, nobody else."""

import json
import time

import pytest
from support import make_instance
from support_peers_http import Stub

HERE = "/dicom-web/servers/there"
SECRET = "Bearer 5e6c9d-a-token-that-nobody-else-may-see"
HEADERS = {"Authorization": SECRET, "X-Site": "four"}


class Remote(Stub):
    """A server that stores what it is sent, or answers with the status that it was told."""

    def __init__(self):
        super().__init__(self._answer)
        self.status = 200
        self.seen = []

    def _answer(self, request, body):
        self.seen.append({name: request.headers.get(name) for name in HEADERS})
        request.answer(self.status, b"{}")
        return True


@pytest.fixture(scope="module")
def remote():
    with Remote() as remote:
        yield remote


@pytest.fixture(scope="module")
def server(start_server, remote):
    server = start_server("--set=jobs.retry_delay_s=0.3", "--set=log.level=debug")
    server.instance = server.upload(make_instance())["ID"]
    answer = server.http.put(HERE, json={"Url": f"{remote.url}/dicom-web/"})
    assert answer.status_code == 200, answer.text
    return server


@pytest.fixture(autouse=True)
def fresh(remote):
    remote.seen.clear()
    remote.status = 200


def ask(server, action, **more):
    """Begin a job and return its id."""
    body = {"HttpHeaders": HEADERS, "Asynchronous": True, **more}
    answer = server.http.post(f"{HERE}/{action}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["ID"]


def until(server, job_id, *states):
    end = time.monotonic() + 60
    while (found := server.get(f"/jobs/{job_id}"))["State"] not in states:
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


def is_kept(server, secret=SECRET):
    """Whether a secret is anywhere in the files of the archive."""
    files = [path for path in server.root.rglob("*") if path.is_file()]
    assert any(path.parent.name == "control" for path in files)
    return any(secret.encode() in path.read_bytes() for path in files)


def is_told(server, job_id):
    """Whether the server says the secret to anybody."""
    paths = ("/jobs?expand", f"/jobs/{job_id}", "/dicom-web/servers?expand", "/metrics", "/exports")
    texts = [server.http.get(path).text for path in paths]
    return any("a-token-that" in text for text in [*texts, server.output()])


def test_a_job_that_waits_has_its_headers_after_a_kill_and_forgets_them_at_its_end(server, remote):
    remote.status = 503
    job = ask(server, "stow", Resources=[server.instance])
    until(server, job, "Retry")
    assert is_kept(server)
    assert not is_told(server, job)
    server.kill()
    remote.status = 200
    server.start()
    assert until(server, job, "Success", "Failure")["State"] == "Success"
    assert remote.seen[-1] == HEADERS
    assert not is_kept(server)
    assert not is_told(server, job)


def test_a_job_that_failed_forgets_them_and_says_so_when_it_is_resubmitted(server, remote):
    remote.status = 403
    wanted = [{"Study": "1.2.3"}]
    job = ask(server, "retrieve", Resources=wanted)
    assert until(server, job, "Success", "Failure")["State"] == "Failure"
    assert remote.seen == [HEADERS]
    assert not is_kept(server)
    assert server.http.post(f"/jobs/{job}/resubmit").status_code == 200
    end = time.monotonic() + 60
    while "forgotten" not in (found := server.get(f"/jobs/{job}"))["ErrorDetails"]:
        assert time.monotonic() < end, found
        time.sleep(0.02)
    assert "Authorization, X-Site" in found["ErrorDetails"]
    assert "dicomweb.servers" in found["ErrorDetails"]
    assert remote.seen == [HEADERS]
    assert not is_told(server, job)


def test_a_job_that_was_cancelled_forgets_them(server, remote):
    remote.status = 503
    job = ask(server, "wado", Uri="/studies/1.2.3")
    until(server, job, "Retry")
    assert is_kept(server)
    assert server.http.post(f"/jobs/{job}/cancel").status_code == 200
    assert until(server, job, "Failure")["ErrorCode"] != 0
    assert not is_kept(server)
    # One without headers of its own can be resubmitted as ever.
    remote.status = 403
    plain = ask(server, "wado", Uri="/studies/1.2.3", HttpHeaders={})
    until(server, plain, "Failure")
    count = len(remote.seen)
    assert server.http.post(f"/jobs/{plain}/resubmit").status_code == 200
    end = time.monotonic() + 60
    while len(remote.seen) == count:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_who_waits_for_the_end_leaves_none_either(server, remote):
    body = {"Resources": [server.instance], "HttpHeaders": HEADERS}
    answer = server.http.post(f"{HERE}/stow", json=body)
    assert answer.status_code == 200, answer.text
    assert SECRET not in json.dumps(answer.json())
    assert remote.seen == [HEADERS]
    assert not is_kept(server)


def test_a_server_that_is_changed_or_forgotten_leaves_no_password_behind(server):
    there = "/dicom-web/servers/other"
    for password, method in ((SECRET, "PUT"), (f"{SECRET}-2", "PUT"), (None, "DELETE")):
        body = {"Url": "http://127.0.0.1:1/", "Username": "u", "Password": password}
        answer = server.http.request(method, there, json=body if password else None)
        assert answer.status_code == 200, answer.text
        assert is_kept(server, f'"{SECRET}"') == (password == SECRET)
        assert is_kept(server, f'"{SECRET}-2"') == (password == f"{SECRET}-2")
