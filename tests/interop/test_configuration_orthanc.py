"""One configuration file starts a real Orthanc and us, and both answer alike."""

import contextlib
import json
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from support import VNA
from support_orthanc import peer_program
from support_ports import free_port

from vna.settings import build
from vna.settings.orthanc import files, read

pytestmark = pytest.mark.peer

# What a department has in its file: comments, variables, nodes, users.
SITE = """
/* Our department */
{
  "Name" : "${SITE_NAME:-Radiology} 1", // shown in lists
  "DicomAet" : "RADIOLOGY",
  "DicomServerEnabled" : true,
  "DicomPort" : %(dicom)d,
  "HttpPort" : %(http)d,
  "StorageDirectory" : "db", "IndexDirectory" : "db",
  "RemoteAccessAllowed" : false,
  "AuthenticationEnabled" : true,
  "RegisteredUsers" : { "alice" : "short", "bob" : "p:w/ü" },
  "DicomModalities" : {
    "ct" : [ "CT01", "10.0.0.1", 104 ],
    "pacs" : { "AET" : "PACS", "Host" : "pacs", "Port" : "11112", "Manufacturer" : "GE",
               "AllowFind" : false, "Timeout" : 7, "RetrieveMethod" : "C-GET", },
  },
  "OrthancPeers" : {
    "backup" : [ "http://10.0.0.2:8042/", "carol", "secret" ],
    "plain" : [ "http://10.0.0.3" ]
  },
  "OverwriteInstances" : true,
  "IngestTranscoding" : "1.2.840.10008.1.2.4.80",
  "DicomDefaultRetrieveMethod" : "C-GET",
  "DicomAlwaysAllowStore" : false,
  "TcpNoDelay" : true
}
"""
ALIKE = ("DicomAet", "DicomPort", "HttpPort", "Name", "OverwriteInstances", "IngestTranscoding")
# DefaultRetrieveMethod is not among them: 1.12.7 always answers C-MOVE.
# Settings of a node that there are more of here, or fewer.
OURS_ALONE = {"AllowMpps", "Parallel"}


@contextlib.contextmanager
def started(folder, text, *command):
    """Run a server on the file, which says on which port; gives its address."""
    file = folder / "site.json"
    file.write_text(text)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command[:-1], f"{command[-1]}{file}"], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield f"http://127.0.0.1:{json_of(text)['HttpPort']}", process
        finally:
            process.terminate()
            process.wait(60)


def orthanc(folder, text):
    return started(folder, text, peer_program(), "")


def vna(folder, text):
    return started(folder, text, VNA, "serve", "--dicom-host=127.0.0.1", "--orthanc-config=")


def json_of(text):
    return json.loads(files.TOKEN.sub(files.blanked, files.substituted(text, {}, [])))


def answers(url, process):
    """Return what a server says of itself, as alice and as bob, once it answers."""
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(httpx.TransportError):
            anybody = httpx.get(f"{url}/system", timeout=30)
            break
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    found = {"anybody": anybody.status_code}
    found["wrong"] = httpx.get(f"{url}/system", auth=("alice", "wrong"), timeout=30).status_code
    with httpx.Client(base_url=url, auth=("bob", "p:w/ü"), timeout=60) as bob:
        found["bob"] = bob.get("/statistics").status_code
    with httpx.Client(base_url=url, auth=("alice", "short"), timeout=60) as alice:
        system = alice.get("/system").json()
        found |= {key: system[key] for key in ALIKE}
        for kind in ("modalities", "peers"):
            nodes = alice.get(f"/{kind}?expand").json()
            found[kind] = {
                name: {key: value for key, value in node.items() if key not in OURS_ALONE}
                for name, node in nodes.items()
            }
    return found


def test_the_same_file_starts_both_and_they_answer_alike(tmp_path):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    ours.mkdir()
    text = SITE % {"dicom": free_port(), "http": free_port()}
    with orthanc(theirs, text) as (url, process):
        expected = answers(url, process)
    with vna(ours, text) as (url, process):
        found = answers(url, process)
    assert process.returncode == 0
    assert (ours / "db-vna/control").is_dir()
    for part, answer in expected.items():
        assert found[part] == answer, part
    assert expected["anybody"] == expected["wrong"] == 401


def test_the_file_that_orthanc_generates_is_ours_too(tmp_path):
    """It names all keys that Orthanc has, at their defaults, with comments."""
    file = tmp_path / "Configuration.json"
    subprocess.run(
        [peer_program(), f"--config={file}"], check=True, capture_output=True, timeout=60
    )
    site = read([file], lambda password: f"$argon2id${password}", {}, tmp_path / "none")
    assert len(site.notes) > 90
    asked = [note.key for note in site.notes if not note.is_quiet]
    # What has no default at which it asks for nothing.
    assert set(asked) == {"DeidentifyLogsDicomVersion", "Warnings"}
    settings = build(site.given)
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 8042)
    assert (settings.dicom.aet, settings.http.name) == ("ORTHANC", "MyOrthanc")
    assert settings.storage.root == str(tmp_path / "OrthancStorage-vna")
    packaged = sorted((peer_folder() / "etc/orthanc").glob("*.json"))
    assert packaged
    build(read([peer_folder() / "etc/orthanc"], lambda _: "$argon2id$x", {}).given)


def peer_folder():
    return Path(peer_program()).parent
