"""ZIP archives and media: how fast a study of 200 CT leaves, against Orthanc in the same run.

Feeds in one study of 200 CT images (512 x 512, 16 bits, native), made here, and asks for it with a
password, over one connection at a time, in turn of both servers: as an archive, as a medium with a
DICOMDIR, and as an archive of JPEG-LS files. Of VNA also for what the setting costs: with nothing
deflated, and with as much as Orthanc tries.

The figures: `s` is the time until the last byte, `first ms` until the first byte of the body;
`MB` the length of the archive; `CPU s` processor seconds of the server, of all its processes, those
of codecs included; `PSS` its memory, the highest sample; `x` Orthanc's time over VNA's, of the
medians of the rounds. Client and server share the processors.

Before anything is timed, archives of both servers are unpacked and compared: names and bytes.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import io
import json
import subprocess
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

from bench_pictures import ct
from servers import MemorySampler, Orthanc, Server, Vna, machine
from tables import Run, by, median, megabytes, ratio, table

IMAGES = 200
ASKED = "3"
NAME, PASSWORD = "bench", "a-password-of-the-bench"
AUTHORIZATION = "Basic " + base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
JPEG_LS = "1.2.840.10008.1.2.4.80"
LOADS = {
    "archive": "archive",
    "medium": "media",
    "archive in JPEG-LS": f"archive?transcode={JPEG_LS}",
}


class OrthancOfUsers(Orthanc):
    """The peer, asking who somebody is."""

    def settings(self) -> dict[str, Any]:
        users = {"AuthenticationEnabled": True, "RegisteredUsers": {NAME: PASSWORD}}
        return super().settings() | users

    def request(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        return ask(self, method, path, body)


class VnaOfUsers(Vna):
    """Ours, asking who somebody is."""

    def command(self) -> list[str]:
        if not self.storage().exists():
            added = [str(self.program()), "user", "add", NAME, "--role=admin", "--password-stdin"]
            added.append(f"--root={self.storage()}")
            subprocess.run(added, input=PASSWORD, text=True, check=True, capture_output=True)
        return super().command()

    def request(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        return ask(self, method, path, body)


class VnaDeflating(VnaOfUsers):
    """Ours, with another setting."""

    def __init__(self, level: int) -> None:
        super().__init__(VNA__ARCHIVES__DEFLATE_LEVEL=str(level))
        self.name = f"vna, level {level}"


def connect(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=300)


def ask(server: Server, method: str, path: str, body: str | None) -> tuple[int, bytes]:
    connection = connect(server)
    connection.request(method, path, body, {"Authorization": AUTHORIZATION})
    answer = connection.getresponse()
    return answer.status, answer.read()


def get(server: Server, path: str) -> tuple[int, bytes]:
    return ask(server, "GET", path, None)


def fill(server: Server, files: list[bytes]) -> str:
    """Store all files; returns the id of their study."""
    connection = connect(server)
    for data in files:
        connection.request("POST", "/instances", data, {"Authorization": AUTHORIZATION})
        answer = connection.getresponse()
        stored = json.loads(answer.read())
        assert answer.status == 200, f"{server.name}: {stored}"
    return str(stored["ParentStudy"])


def held(archive: bytes) -> dict[str, int]:
    """Return the checksum of each file of an archive."""
    with zipfile.ZipFile(io.BytesIO(archive)) as entries:
        return {name: zlib.crc32(entries.read(name)) for name in entries.namelist()}


def timed(server: Server, path: str) -> dict[str, Any]:
    """Fetch an archive; returns the figures."""
    connection = connect(server)
    connection.connect()
    server.settle()
    cpu_before, size = server.cpu_seconds(), 0
    with MemorySampler(server, 0.05) as memory:
        began = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": AUTHORIZATION})
        answer = connection.getresponse()
        assert answer.status == 200, f"{server.name}: {path} answered {answer.status}"
        first = answer.read(1)
        first_s = time.perf_counter() - began
        size = len(first)
        while piece := answer.read(1 << 20):
            size += len(piece)
        seconds = time.perf_counter() - began
    return {
        "server": server.name,
        "seconds": seconds,
        "first_ms": first_s * 1000,
        "bytes": size,
        "cpu_seconds": server.cpu_seconds() - cpu_before,
        "max_pss_bytes": memory.max_bytes,
    }


def summary(runs: list[Run]) -> str:
    figures = ("s", "first ms", "MB", "CPU s", "PSS MB", "x", "asked")
    rows = []
    for (load,), of_load in by(runs, "load"):
        peers = [run for run in of_load if run["server"] == "orthanc"]
        for (name,), mine in by(of_load, "server"):
            has_peer = bool(peers) and name != "orthanc"
            cells = [
                load, name, f"{median(mine, 'seconds'):.2f}", f"{median(mine, 'first_ms'):.1f}",
                f"{median(mine, 'bytes') / 1e6:.1f}", f"{median(mine, 'cpu_seconds'):.2f}",
                megabytes(mine), ratio(peers, mine, "seconds") if has_peer else "",
                ASKED if has_peer else "",
            ]  # fmt: skip
            rows.append(cells)
    return table(("200 CT", "server"), figures, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--servers", default="orthanc,vna", help="which, in turn (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument("--json", type=Path, help="write all reports to this file")
    arguments = parser.parse_args()
    names = arguments.servers.split(",")
    servers: list[Server] = [OrthancOfUsers(threads=4)] if "orthanc" in names else []
    if "vna" in names:
        servers += [VnaOfUsers(), VnaDeflating(0), VnaDeflating(6)]
    files = [ct(number) for number in range(1, IMAGES + 1)]
    runs: list[dict[str, Any]] = []
    try:
        studies = {}
        for server in servers:
            server.start()
            studies[server.name] = fill(server, files)
        archives = [
            held(server.get(f"/studies/{studies[server.name]}/archive")[1]) for server in servers
        ]
        assert all(found == archives[0] and len(found) == IMAGES for found in archives)
        for _ in range(arguments.rounds):
            for load, path in LOADS.items():
                for server in servers:
                    if server.name.startswith("vna,") and load != "archive":
                        continue
                    run = timed(server, f"/studies/{studies[server.name]}/{path}")
                    runs.append({"load": load, **run})
        versions = {server.name: server.version() for server in servers}
    finally:
        for server in servers:
            server.remove()
    facts = machine()
    print(", ".join(f"{name}: {value}" for name, value in (versions | facts).items()))
    print(f"\n{summary(runs)}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": facts, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
