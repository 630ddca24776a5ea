"""The peer: a real Orthanc on free ports, run from the packages that ext/orthanc.sh unpacks."""

import contextlib
import json
import os
import socket
import subprocess
import time
from pathlib import Path

import httpx

REPOSITORY = Path(__file__).resolve().parents[2]
START_S = 60
# Nothing becomes stable while we compare: when it does is a matter of the clock.
STABLE_AGE_S = 86_400


class NoPeer(Exception):
    """There is no Orthanc to compare with, and why."""


def program():
    """Return the program to run as PROGRAM CONFIG.json; raises NoPeer."""
    if wanted := os.environ.get("VNA_ORTHANC"):
        return wanted
    installing = ["bash", str(REPOSITORY / "ext/orthanc.sh")]
    done = subprocess.run(installing, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise NoPeer(done.stderr.strip() or f"ext/orthanc.sh ended with {done.returncode}")
    return done.stdout.strip()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Orthanc:
    """One Orthanc with empty storage below `root`, and nobody asked who he is."""

    def __init__(self, executable, root):
        self.executable = executable
        self.root = Path(root)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process = None

    def start(self):
        configuration = self.root / "orthanc.json"
        storage = str(self.root / "data")
        settings = {
            "AuthenticationEnabled": False,
            "DicomServerEnabled": False,
            "HttpPort": int(self.url.rpartition(":")[2]),
            "IndexDirectory": storage,
            "Plugins": [],
            "RemoteAccessAllowed": False,
            "StableAge": STABLE_AGE_S,
            "StorageDirectory": storage,
        }
        configuration.write_text(json.dumps(settings))
        self.log = (self.root / "orthanc.log").open("wb")
        self.process = subprocess.Popen(
            [self.executable, str(configuration)],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=os.environ | self.dictionary(),
        )
        self.http = httpx.Client(base_url=self.url, timeout=60)
        end = time.monotonic() + START_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                self.version = self.http.get("/system").json()["Version"]
                return self
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < end, self.output()
            time.sleep(0.02)

    def dictionary(self):
        """Return what makes it know the standard's elements alone.

        Which private ones are known is a matter of configuration, and ours has none here.
        """
        standard = Path(self.executable).parent / "usr/share/dcmtk/dicom.dic"
        return {"DCMDICTPATH": str(standard)} if standard.exists() else {}

    def output(self):
        return (self.root / "orthanc.log").read_text(errors="replace")

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.http.close()
        self.log.close()
