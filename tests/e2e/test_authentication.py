"""Users of a running server: made beside it, asked for by it, known to its commands."""

import io
import json
import socket
import subprocess
import time
from types import SimpleNamespace

import httpx
import pydicom
import pytest
from support import VNA, ct_small, make_instance
from support_sending import certify
from support_store import bodies

import vna
from vna.errors import NotAllowed, Unauthenticated

PASSWORD = "correct horse"


def command(server, *arguments, password=None, environment=None):
    return subprocess.run(
        [VNA, *arguments, f"--root={server.root}"],
        input=None if password is None else password + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        cwd=server.root.parent,
        env=environment,
    )


def user(server, verb, *arguments, password=None):
    done = command(server, "user", verb, *arguments, password=password)
    assert done.returncode == 0, done.stderr
    return done.stdout


def add(server, name, *arguments):
    return user(server, "add", name, "--password-stdin", *arguments, password=PASSWORD)


def until(server, status, path="/studies", **options):
    """Ask until the server has noticed what became of its users."""
    end = time.monotonic() + 60
    while (answer := server.http.get(path, **options)).status_code != status:
        assert time.monotonic() < end, answer.text
        time.sleep(0.02)
    return answer


@pytest.fixture
def server(start_server):
    server = start_server()
    server.instance = server.upload(ct_small())["ID"]
    return server


def test_a_running_server_asks_as_soon_as_there_is_a_user_and_no_more_when_there_is_none(server):
    assert server.http.get("/studies").status_code == 200
    add(server, "ann")
    refused = until(server, 401)
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert server.http.get("/health/live").status_code == 200
    user(server, "remove", "ann")
    until(server, 200)


def test_what_the_core_answers_is_for_users_too(server):
    add(server, "ann", "--role=read")
    add(server, "bob", "--role=read")
    until(server, 401)
    paths = [f"/instances/{server.instance}{tail}" for tail in ("", "/file", "/tags")]
    ann = ("ann", PASSWORD)
    for path in paths:
        assert server.http.get(path).status_code == 401
        for _ in range(3):  # by Python the first time, by the core afterwards
            assert server.http.get(path, auth=ann).status_code == 200
        assert server.http.get(path, auth=("ann", PASSWORD + "!")).status_code == 401
        assert server.http.get(path).status_code == 401
    # Another user's change lets all be found out anew; a new password ends the old one.
    user(server, "passwd", "ann", "--password-stdin", password="another secret")
    until(server, 401, paths[0], auth=ann)
    assert server.http.get(paths[0], auth=("ann", "another secret")).status_code == 200
    assert server.http.get(paths[0], auth=("bob", PASSWORD)).status_code == 200


def test_roles_are_kept_to(server):
    add(server, "ann", "--role=read")
    until(server, 401)
    with httpx.Client(base_url=server.url, auth=("ann", PASSWORD)) as ann:
        find = {"Level": "Study", "Query": {}}
        assert ann.post("/tools/find", json=find).status_code == 200
        assert ann.post("/instances", content=make_instance()).status_code == 403
        assert ann.delete(f"/instances/{server.instance}").status_code == 403
        user(server, "role", "ann", "write")
        end = time.monotonic() + 60
        while ann.post("/instances", content=make_instance()).status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert ann.post("/tools/compact", json={}).status_code == 403


def test_who_stores_over_dicomweb_is_known_and_may(server):
    add(server, "ann", "--role=read")
    add(server, "bob", "--role=write")
    until(server, 401)

    def store(auth):
        body, content_type = bodies(file := make_instance())
        headers = {"Content-Type": content_type}
        url = f"{server.url}/dicom-web/studies"
        return file, httpx.post(url, content=body, headers=headers, auth=auth).status_code

    ann, bob = ("ann", PASSWORD), ("bob", PASSWORD)
    for _ in range(3):  # by Python the first time, by the core afterwards
        assert store(None)[1] == 401
        assert server.http.get(f"/instances/{server.instance}", auth=ann).status_code == 200
        assert store(ann)[1] == 403
        file, status = store(bob)
        assert status == 200
        uid = pydicom.dcmread(io.BytesIO(file)).SOPInstanceUID
        (found,) = server.http.post("/tools/lookup", content=uid, auth=bob).json()
        user_of = f"/instances/{found['ID']}/metadata/HttpUsername"
        assert server.http.get(user_of, auth=bob).text == "bob"


def test_a_large_upload_without_a_password_is_refused_before_it_is_sent(server):
    add(server, "ann")
    until(server, 401)
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as wire:
        wire.sendall(
            b"POST /instances HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
        )
        assert wire.recv(12) == b"HTTP/1.1 401"


def test_commands_of_the_owner_and_scripts_work_with_users(server, tmp_path):
    add(server, "ann", "--role=read")
    until(server, 401)
    found = command(server, "find", "instance", "--ids")
    assert found.stdout.split() == [server.instance]
    file = tmp_path / "made.dcm"
    file.write_bytes(make_instance())
    assert command(server, "import", str(file)).returncode == 0
    with vna.open(server.root) as archive:
        assert archive.statistics()["CountInstances"] == 2
    with vna.open(server.url.replace("//", f"//ann:{PASSWORD}@")) as archive:
        assert archive.statistics()["CountInstances"] == 2
        with pytest.raises(NotAllowed):
            archive.store(make_instance())
    with pytest.raises(Unauthenticated):
        vna.open(server.url)


def test_an_address_needs_name_and_password(server, monkeypatch):
    add(server, "ann", "--role=read")
    until(server, 401)
    asked = ("find", "instance", "--ids", f"--url={server.url}")
    refused = command(server, *asked)
    assert refused.returncode == 1
    assert "say whose request it is" in refused.stderr
    monkeypatch.setenv("VNA_CREDENTIALS", f"ann:{PASSWORD}")
    assert command(server, *asked).stdout.split() == [server.instance]


def test_the_list_of_users_tells_no_password(server):
    add(server, "ann", "--role=read", "--tenant=3")
    (ann,) = json.loads(user(server, "list", "--json"))
    ann.pop("created")
    assert ann == {"name": "ann", "role": "read", "tenant": 3}
    assert "ann" in user(server, "list")
    again = command(server, "user", "add", "ann", "--password-stdin", password=PASSWORD)
    assert (again.returncode, "already" in again.stderr) == (1, True)
    for arguments in (("role", "ann", "root"), ("add", "a:b", "--password-stdin")):
        assert command(server, "user", *arguments, password=PASSWORD).returncode == 2
    assert command(server, "user", "remove", "eve").returncode == 3


def test_nobody_listens_beyond_loopback_before_there_is_a_user(start_server, tmp_path):
    root = tmp_path / "data"
    refused = subprocess.run(
        [VNA, "serve", f"--root={root}", "--http-host=0.0.0.0", "--http-port=0"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert refused.returncode == 2
    assert "vna user add" in refused.stderr
    add(SimpleNamespace(root=root), "ann")
    server = start_server("--http-host=0.0.0.0", root=root)
    port = server.url.rpartition(":")[2]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/studies").status_code == 401
        answer = client.get("/system", auth=("ann", PASSWORD))
        assert answer.json()["IsHttpServerSecure"] is False
    assert "in the clear" in server.output()


def test_commands_of_the_owner_know_the_server_by_its_certificate(start_server, tmp_path):
    certificate, key = certify(tmp_path, "archive.example")
    tls = ("--set=http.tls=true", f"--set=tls.certificate={certificate}")
    server = start_server(*tls, f"--set=tls.private_key={key}")
    add(server, "ann")
    assert server.url.startswith("https://")
    with httpx.Client(base_url=server.url, verify=False, auth=("ann", PASSWORD)) as client:
        assert client.get("/system").json()["IsHttpServerSecure"] is True
    file = tmp_path / "made.dcm"
    file.write_bytes(make_instance())
    imported = command(server, "import", str(file))
    assert imported.returncode == 0, imported.stderr
    assert len(command(server, "find", "instance", "--ids").stdout.split()) == 1
    with vna.open(server.root) as archive:
        assert archive.statistics()["CountInstances"] == 1
    # Nobody signed for it whom the system trusts.
    refused = command(server, "find", "instance", f"--url={server.url}")
    assert (refused.returncode, "certificate" in refused.stderr) == (4, True)


def test_an_idle_server_with_users_has_not_imported_what_compares_passwords(start_server, tmp_path):
    root = tmp_path / "data"
    add(SimpleNamespace(root=root), "ann")
    server = start_server(root=root, environment={"PYTHONPROFILEIMPORTTIME": "1"})
    assert server.http.get("/studies").status_code == 401
    assert " argon2" not in server.output()
    assert server.http.get("/studies", auth=("ann", PASSWORD)).status_code == 200
    assert " argon2" in server.output()
