"""Starting, stopping, being killed; the index lost; the folder taken."""

import json
import re
import shutil
import signal
import socket
import subprocess
import time
import tomllib

import pytest
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from support import VNA, make_instance
from support_wire import ASSOCIATE_RJ, Wire, request


def vna(*arguments):
    return subprocess.run([VNA, *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_in_order(start_server, signal_):
    server = start_server()
    one = server.upload(data := make_instance())["ID"]
    server.process.send_signal(signal_)
    assert server.process.wait(60) == 0, server.output()
    assert not (server.root / "server.json").exists()
    server.start()
    assert server.file(one) == data


def test_an_idle_connection_does_not_hold_up_the_end(start_server):
    server = start_server("--set=limits.shutdown_s=600")
    server.get("/system")  # the client keeps its connection
    assert server.stop() == 0


@pytest.mark.parametrize("kind", ["core", "uvicorn"])
def test_an_upload_that_hangs_is_refused_at_the_end_of_its_time(start_server, kind):
    server = start_server("--set=limits.shutdown_s=1", f"--set=http.server={kind}")
    with half_an_upload(server) as sender:
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started > 0.9
        assert b" 503 " in sender.recv(1000)
    assert "Traceback" not in server.output()


def test_stopping_refuses_new_associations_and_waits_for_nobody_beyond_its_time(start_server):
    server = start_server("--set=limits.shutdown_s=4")
    scu = AE()
    scu.add_requested_context(Verification)
    with half_an_upload(server):
        idle = scu.associate(server.dicom_host, server.dicom_port)
        assert idle.is_established
        server.process.send_signal(signal.SIGTERM)
        wait_for_log(server, "stopping")
        # On the wire: pynetdicom takes a rejection that comes at once for a lost connection.
        with Wire(server) as late:
            late.send(request())
            assert late.receive().kind == ASSOCIATE_RJ
        assert server.process.wait(60) == 0
        idle.abort()


def wait_for_log(server, text):
    end = time.monotonic() + 60
    while text not in server.output():
        assert time.monotonic() < end, server.output()
        time.sleep(0.01)


def test_a_second_signal_ends_at_once(start_server):
    server = start_server("--set=limits.shutdown_s=600")
    with half_an_upload(server):
        server.process.send_signal(signal.SIGTERM)
        wait_for_log(server, "told to stop")
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 130
    assert not (server.root / "server.json").exists()


def half_an_upload(server):
    """Return a connection that has announced more than it sends."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    sender = socket.create_connection((host, int(port)))
    sender.sendall(b"POST /instances HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nx")
    end = time.monotonic() + 60
    # What is held for it: the byte that came, or what the core may hold of it.
    while not re.search(r"^vna_http_body_bytes [1-9]", server.http.get("/metrics").text, re.M):
        assert time.monotonic() < end
        time.sleep(0.01)
    return sender


def test_what_was_answered_is_there_after_kill_9(start_server):
    server = start_server()
    files = {}
    for number in range(20):
        data = make_instance(number=number, size=20_000)
        files[server.upload(data)["ID"]] = data
    gone = next(iter(files))
    assert server.http.delete(f"/instances/{gone}").status_code == 200
    del files[gone]
    changes = server.get("/changes?limit=1000000")
    assert len(changes["Changes"]) > len(files)
    server.kill()
    server.start()
    for one, data in files.items():
        assert server.file(one) == data
    assert server.http.get(f"/instances/{gone}").status_code == 404
    assert server.get("/changes?limit=1000000") == changes


def test_the_index_can_be_lost_and_deletions_stay(start_server):
    server = start_server()
    study = generate_uid()
    kept = make_instance(study, patient="KEEP")
    one = server.upload(kept)["ID"]
    gone = server.upload(make_instance(study, patient="KEEP"))["ID"]
    assert server.http.delete(f"/instances/{gone}").status_code == 200
    before = {path: server.get(path) for path in ("/instances", "/statistics", "/patients?expand")}
    assert server.stop() == 0

    indexes = [path for path in server.root.iterdir() if path.name.startswith("index")]
    assert indexes
    for path in indexes:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = vna("reindex", f"--root={server.root}")
    assert done.returncode == 0, done.stdout + done.stderr
    checked = vna("check", f"--root={server.root}")
    assert checked.returncode == 0, checked.stdout + checked.stderr

    server.start()
    after = {path: server.get(path) for path in before}
    for patients in (before["/patients?expand"], after["/patients?expand"]):
        for patient in patients:
            patient.pop("IsStable", None)
    assert after == before
    assert server.file(one) == kept
    assert server.http.get(f"/instances/{gone}").status_code == 404


def test_a_flipped_bit_is_found_by_check(start_server):
    server = start_server()
    data = make_instance(size=20_000)
    server.upload(data)
    assert server.stop() == 0
    clean = vna("check", f"--root={server.root}")
    assert clean.returncode == 0, clean.stdout + clean.stderr

    needle = data[-5000:]
    (holder,) = [
        path for path in server.root.rglob("*") if path.is_file() and needle in path.read_bytes()
    ]
    content = bytearray(holder.read_bytes())
    content[content.index(needle) + 2500] ^= 1
    holder.write_bytes(content)

    damaged = vna("check", f"--root={server.root}", "--json")
    assert damaged.returncode == 1
    assert len(json.loads(damaged.stdout)["problems"]) == 1


def test_a_second_opener_of_the_folder_is_refused(start_server):
    server = start_server()
    for command in ("serve", "reindex", "check"):
        flags = ["--http-port=0", "--dicom-port=0"] if command == "serve" else []
        done = vna(command, f"--root={server.root}", *flags)
        assert done.returncode == 4, (command, done.stdout, done.stderr)
        assert done.stderr.startswith("vna: ")
        assert "Traceback" not in done.stderr
    assert server.get("/health/ready")["ready"] is True


def test_a_port_that_is_taken_is_told_before_the_archive_is_opened(start_server, tmp_path):
    server = start_server()
    port = server.url.rpartition(":")[2]
    done = vna("serve", f"--root={tmp_path / 'other'}", f"--http-port={port}")
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("kind", ["core", "uvicorn"])
def test_several_addresses_are_listened_on_and_let_go_together(start_server, kind):
    server = start_server("--http-host=127.0.0.1,127.0.0.2", f"--set=http.server={kind}")
    port = int(server.url.rpartition(":")[2])
    for host in ("127.0.0.1", "127.0.0.2"):
        with socket.create_connection((host, port), timeout=60) as client:
            client.sendall(b"GET /system HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.3", port), timeout=60)
    assert server.stop() == 0
    for host in ("127.0.0.1", "127.0.0.2"):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, port), timeout=60)


def test_one_address_that_is_taken_ends_the_start(tmp_path):
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        at = (f"--http-port={port}", "--http-host=127.0.0.1,127.0.0.2")
        done = vna("serve", f"--root={tmp_path / 'other'}", *at)
    assert done.returncode == 2
    assert f"http.port: cannot listen on 127.0.0.2 port {port}" in done.stderr


def test_a_dicom_port_that_is_taken_ends_the_start(start_server, tmp_path):
    port = start_server().dicom_port
    flags = ["--http-port=0", "--dicom-host=127.0.0.1", f"--dicom-port={port}"]
    done = vna("serve", f"--root={tmp_path / 'other'}", *flags)
    assert done.returncode == 2
    assert f"vna: dicom.port: cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_one_message(tmp_path):
    done = vna("serve", f"--root={tmp_path}", "--set=dicom.aett=X")
    assert done.returncode == 2
    assert done.stderr == (
        "vna: dicom.aett (flag dicom.aett): unknown key; did you mean dicom.aet?\n"
    )


def test_http_beyond_loopback_needs_permission(tmp_path):
    done = vna("serve", f"--root={tmp_path}", "--http-host=0.0.0.0")
    assert done.returncode == 2
    assert "there is no user yet" in done.stderr


def test_the_printed_configuration_is_one_that_is_read(tmp_path):
    printed = vna("config", "--explain", "--set=dicom.aet=PRINTED")
    assert printed.returncode == 0
    file = tmp_path / "vna.toml"
    file.write_text(printed.stdout)
    again = vna("config", "--explain", f"--config={file}")
    assert tomllib.loads(again.stdout) == tomllib.loads(printed.stdout)
    assert 'aet = "PRINTED"' in again.stdout
    assert f"# Set by: {file}" in again.stdout


def test_logs_name_no_patient(start_server):
    server = start_server("--set=log.level=debug", "--set=log.format=json")
    server.upload(make_instance(patient="SECRET-4711", PatientName="Secret^Name"))
    server.http.post("/instances", content=make_instance(patient="SECRET-4711")[:700])
    assert server.stop() == 0
    output = server.output()
    assert "SECRET-4711" not in output
    assert "Secret" not in output
    for line in output.splitlines():
        assert json.loads(line)["message"]
