"""The peer: a real Orthanc on free ports, run from the packages that ext/orthanc.sh unpacks."""

import contextlib
import json
import os
import re
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from support_ports import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
START_S = 120
# Nothing becomes stable while we compare: when it does is a matter of the clock.
STABLE_AGE_S = 86_400


class NoPeer(Exception):
    """There is no Orthanc to compare with, and why."""


def program():
    """Return the program to run as PROGRAM CONFIG.json; raises NoPeer."""
    installing = ["bash", str(REPOSITORY / "ext/orthanc.sh")]
    done = subprocess.run(installing, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise NoPeer(done.stderr.strip() or f"ext/orthanc.sh ended with {done.returncode}")
    return done.stdout.strip()


def dicomweb_plugin(executable):
    """Return the settings that load the DICOMweb plugin."""
    plugin = Path(executable).parent / "usr/share/orthanc/plugins/libOrthancDicomWeb.so"
    return {"Plugins": [str(plugin)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}


def peer_program():
    """Return the peer's program; without one there is nothing to test, which fails in CI."""
    try:
        return program()
    except NoPeer as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(f"{reason}; nothing was compared")


class Dictionary(NamedTuple):
    """Private elements that both servers are to know, as each of them is told."""

    ours: str  # a configuration
    theirs: str  # lines of a DCMTK dictionary


def private_dictionary(executable):
    """Return the private elements of the peer's own dictionary whose names are unique words.

    A line of it is `(gggg,"CREATOR",ee)`, VR, name, multiplicity and version, with tabs between.
    """
    folder = Path(executable).parent / "usr/share/dcmtk"
    texts = [(folder / name).read_text() for name in ("private.dic", "dicom.dic")]
    lines, standard = ([line.split("\t") for line in text.splitlines()] for text in texts)
    names = (line[2].removeprefix("RETIRED_") for line in (*lines, *standard) if len(line) > 2)
    times = Counter(names)
    ours, theirs = [], []
    for line in lines:
        found = re.fullmatch(r'\((\w{4}),"(.{1,64})",(\w\w)\)', line[0])
        if not found or not line[1].isupper() or times[line[2]] > 1 or " " in line[2]:
            continue
        group, creator, element = found.groups()
        known = {"tag": f"{group},00{element}", "vr": line[1], "name": line[2], "creator": creator}
        ours.append(", ".join(f"{key} = {json.dumps(value)}" for key, value in known.items()))
        theirs.append("\t".join(line))
    entries = "".join(f"    {{ {one} }},\n" for one in ours)
    return Dictionary(f"[dictionary]\nprivate = [\n{entries}]\n", "\n".join(theirs) + "\n")


class Orthanc:
    """One Orthanc with empty storage below `root`, and nobody asked who he is.

    `settings` are keys of its configuration that are not as all have them here.
    """

    def __init__(self, executable, root, dictionary=None, **settings):
        self.executable = executable
        self.dictionary = dictionary or Dictionary("", "")
        self.settings = settings
        self.root = Path(root)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process = None

    def start(self, **options):
        """Start it; `options` are those of the client that asks it."""
        configuration = self.root / "orthanc.json"
        storage = str(self.root / "data")
        settings = {
            "AuthenticationEnabled": False,
            "DicomAet": "VNA",
            "DicomServerEnabled": False,
            "LogExportedResources": True,
            "HttpPort": int(self.url.rpartition(":")[2]),
            "IndexDirectory": storage,
            # By itself it closes a connection after a second: on a loaded machine, at any moment.
            "KeepAliveTimeout": 60,
            "Plugins": [],
            "RemoteAccessAllowed": False,
            "StableAge": STABLE_AGE_S,
            "StorageDirectory": storage,
            **self.settings,
        }
        configuration.write_text(json.dumps(settings))
        private = self.root / "private.dic"
        private.write_text(self.dictionary.theirs)
        standard = Path(self.executable).parent / "usr/share/dcmtk/dicom.dic"
        self.log = (self.root / "orthanc.log").open("wb")
        self.process = subprocess.Popen(
            [self.executable, str(configuration)],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"DCMDICTPATH": f"{standard}:{private}"},
        )
        self.http = httpx.Client(base_url=self.url, timeout=60, **options)
        end = time.monotonic() + START_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                self.version = self.http.get("/system").json()["Version"]
                return self
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < end, self.output()
            time.sleep(0.02)

    def output(self):
        return (self.root / "orthanc.log").read_text(errors="replace")

    def stop(self):
        if self.process is None:
            return
        self.http.close()  # before it: it waits for those that may ask again
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
