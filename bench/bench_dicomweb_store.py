"""STOW-RS: how fast CT instances are stored, against Orthanc with its DICOMweb plugin in turn.

Feeds in CT images of 0.53 MB that no server had before, as requests of one image and of 20 images
(`multipart/related; type="application/dicom"`), over 1 and 4 kept connections, each waiting for its
answer before it sends the next request. Bodies are made before anything is timed; what is timed is
from the first byte to the last answer. Both servers answer when their storage has the image: VNA
after a sync of its log, Orthanc with the sync settings that it comes with.

The figures: `per s` is instances per second; `p50` and `p99` the time of a request; `CPU/1000` the
server's processor seconds for 1,000 instances, of all its processes; `PSS` its memory, the highest
sample; `x` VNA's rate over Orthanc's, of the medians of the rounds; `asked` what is wanted of it.
Generator and servers share the processors.

Before anything is timed, an image of each server is compared with what was sent; after each run its
answers and the server's count of instances are.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import MemorySampler, OrthancWeb, Server, Vna, loadgen, loadgen_command, machine
from servers import loadgen_program as generator
from tables import Run, by, by_server, median, megabytes, ratio, table

CT = {"kind": "ct", "seed": 7, "per_series": 1, "per_study": 1, "count": 1}
PATH = "/dicom-web/studies"
BOUNDARY = "bench-0d9f1e5c"
CONTENT_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
HEAD = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
DIGITS = 9
ASKED = "3"


@dataclass
class Images:
    """One CT image, over and over under other UIDs of the same length."""

    file: bytes
    uid: bytes

    @staticmethod
    def made(program: Path) -> Images:
        words = loadgen_command(program, "identities", CT)
        identity = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
        with tempfile.NamedTemporaryFile() as out:
            loadgen(program, "dump", **CT, first=0, out=out.name)
            data_set = Path(out.name).read_bytes()
        uid = identity["sop_instance_uid"].encode()
        assert data_set.count(uid) == 1, "nothing else of the data set is that UID"
        return Images(meta_information(uid) + data_set, uid)

    def numbered(self, number: int) -> bytes:
        digits = f"{number:0{DIGITS}d}".encode()
        return self.file.replace(self.uid, self.uid[:-DIGITS] + digits)

    def body(self, numbers: list[int]) -> bytes:
        parts = (HEAD + self.numbered(number) + b"\r\n" for number in numbers)
        return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def meta_information(uid: bytes) -> bytes:
    """Return what a file has before a CT data set in Explicit VR Little Endian (PS3.10 §7.1)."""

    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        length = len(value).to_bytes(2, "little")
        return b"\2\0" + number.to_bytes(2, "little") + b"UI" + length + value

    body = b"\2\0\1\0OB\0\0\2\0\0\0\0\1"
    body += element(2, b"1.2.840.10008.5.1.4.1.1.2") + element(3, uid)
    body += element(0x10, b"1.2.840.10008.1.2.1") + element(0x12, b"1.2.3.4")
    return b"\0" * 128 + b"DICM\2\0\0\0UL\4\0" + len(body).to_bytes(4, "little") + body


class Client(threading.Thread):
    """One connection, which sends its bodies one after the other."""

    def __init__(self, server: Server, bodies: list[bytes], images: int):
        super().__init__()
        self.connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=120)
        self.bodies, self.images = bodies, images
        self.seconds: list[float] = []
        self.problem: Exception | None = None

    def run(self) -> None:
        try:
            for body in self.bodies:
                self.seconds.append(self.send(body))
        except Exception as error:
            self.problem = error
        finally:
            self.connection.close()

    def send(self, body: bytes) -> float:
        headers = {"Content-Type": CONTENT_TYPE, "Accept": "application/dicom+json"}
        began = time.perf_counter()
        self.connection.request("POST", PATH, body, headers)
        answer = self.connection.getresponse()
        told = answer.read()
        took = time.perf_counter() - began
        assert answer.status == 200, told[:500]
        stored = json.loads(told)["00081199"]["Value"]
        assert len(stored) == self.images, f"{len(stored)} of {self.images} images"
        return took


def measure(
    server: Server, images: Images, first: int, clients: int, per_request: int, count: int
) -> dict[str, Any]:
    each = count // clients // per_request
    numbers = itertools.count(first)
    at_work = [
        Client(
            server,
            [images.body(list(itertools.islice(numbers, per_request))) for _ in range(each)],
            per_request,
        )
        for _ in range(clients)
    ]
    sent = each * per_request * clients
    before = server.instances()
    cpu = server.cpu_seconds()
    with MemorySampler(server) as memory:
        began = time.perf_counter()
        for client in at_work:
            client.start()
        for client in at_work:
            client.join()
        took = time.perf_counter() - began
    for client in at_work:
        if client.problem:
            raise client.problem
    assert server.instances() == before + sent, f"{server.name}: not all that was sent is there"
    seconds = sorted(second for client in at_work for second in client.seconds)
    return {
        "server": server.name,
        "clients": clients,
        "per_request": per_request,
        "per_second": sent / took,
        "megabytes_per_second": sent * len(images.file) / took / 1e6,
        "p50_ms": 1000 * statistics.median(seconds),
        "p99_ms": 1000 * seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)],
        "cpu_seconds_per_1000": 1000 * (server.cpu_seconds() - cpu) / sent,
        "max_pss_bytes": memory.max_bytes,
    }


def check(server: Server, images: Images) -> None:
    """Store one image and compare what the server has of it."""
    Client(server, [], 1).send(images.body([0]))
    (found,) = server.get_json("/instances")
    status, file = server.get(f"/instances/{found}/file")
    assert status == 200
    assert file == images.numbered(0), f"{server.name} has other bytes"


def summary(runs: list[Run]) -> str:
    """Return the Markdown table over all loads and servers."""
    figures = ("per s", "MB/s", "p50 ms", "p99 ms", "CPU/1000 s", "PSS MB", "x", "asked")
    rows = [
        [
            per_request, clients, name, f"{median(mine, 'per_second'):,.0f}",
            f"{median(mine, 'megabytes_per_second'):,.0f}", f"{median(mine, 'p50_ms'):.1f}",
            f"{median(mine, 'p99_ms'):.1f}", f"{median(mine, 'cpu_seconds_per_1000'):.2f}",
            megabytes(mine), ratio(mine, peers, "per_second"), ASKED if name == "vna" else "",
        ]
        for (per_request, clients), of_load in by(runs, "per_request", "clients")
        for name, mine, peers in by_server(of_load)
    ]  # fmt: skip
    return table(("images a request", "clients", "server"), figures, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--servers", default="orthanc,vna", help="which, in turn (%(default)s)")
    parser.add_argument("--clients", default="1,4", help="connections at a time (%(default)s)")
    parser.add_argument("--images", default="1,20", help="of a request (%(default)s)")
    parser.add_argument("--count", type=int, default=240, help="images of a run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument("--json", type=Path, help="write all reports to this file")
    arguments = parser.parse_args()
    facts = machine()
    print("; ".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
    images = Images.made(generator())
    made = {"orthanc": lambda: OrthancWeb(threads=4), "vna": Vna}
    servers: list[Server] = [made[name]() for name in arguments.servers.split(",")]
    runs: list[dict[str, Any]] = []
    first = 1
    try:
        for server in servers:
            server.start()
            print(f"{server.name} {server.version()}, settings {json.dumps(server.settings())}")
            check(server, images)
        for per_request in map(int, arguments.images.split(",")):
            for clients in map(int, arguments.clients.split(",")):
                for _ in range(arguments.rounds):
                    for server in servers:
                        run = measure(server, images, first, clients, per_request, arguments.count)
                        first += arguments.count
                        runs.append(run)
                        print(
                            f"{per_request} a request x{clients} {server.name}: "
                            f"{run['per_second']:,.0f}/s, p50 {run['p50_ms']:.1f} ms",
                            flush=True,
                        )
    finally:
        for server in servers:
            server.remove()
    print("\n" + summary(runs))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": facts, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
