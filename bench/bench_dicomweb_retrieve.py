"""WADO-RS: how fast metadata, frames and instances come, against Orthanc with its DICOMweb plugin.

Feeds in one series of 1,000 CT images (0.53 MB each) and one object of 256 frames (512 x 512 x 16
bits, native), the same to both servers, and asks them in turn, in the same run:

- metadata of single instances, of the whole series, frame 1 of single instances, whole instances,
  and a random frame of the 256: over 1 and 4 kept connections, each waiting for its answer;
- cold: the server restarted and the pages of its files dropped from memory, then the metadata of
  the series once, and the time to the first byte of the whole study;
- 50 viewers at once: each takes the metadata of the series and then 20 frames.

`per s` is answers per second, `CPU/1000` the server's processor seconds for 1,000 answers, `PSS`
its memory, the highest sample; `x` is VNA's rate over Orthanc's. Before anything is timed an answer
of each kind is compared with what the generator sent. Generator and servers share the processors.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import random
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pydicom
from bench_rest import identities, measure, summary
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from servers import (
    MemorySampler,
    OrthancWeb,
    Server,
    Vna,
    drop_cached,
    loadgen,
    loadgen_program,
    machine,
    send,
)

SLICES = 1_000
CT = {"kind": "ct", "seed": 7, "per_series": SLICES, "per_study": 1, "count": SLICES}
FRAMES, ROWS = 256, 512
JSON = "application/dicom+json"
PLAIN_FRAMES = 'multipart/related; type="application/octet-stream"'
INSTANCES = 'multipart/related; type="application/dicom"'
VIEWERS, FRAMES_OF_VIEWER = 50, 20

Request = dict[str, str]


class OrthancDicomweb(OrthancWeb):
    """The peer with its plugin, whose cache of metadata is on."""

    more: ClassVar = {"EnableMetadataCache": True}


def of_series(identity: dict[str, str]) -> str:
    study, series = identity["study_instance_uid"], identity["series_instance_uid"]
    return f"/dicom-web/studies/{study}/series/{series}"


def of_instance(identity: dict[str, str]) -> str:
    return f"{of_series(identity)}/instances/{identity['sop_instance_uid']}"


def multi_frame() -> tuple[dict[str, str], bytes]:
    """Return an object of many frames; each begins with its number."""
    found = Dataset()
    found.PatientID, found.PatientName = "FRAMES", "Load^Generator"
    found.SOPClassUID = uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    for number, keyword in enumerate(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")):
        setattr(found, keyword, f"1.2.826.0.1.3680043.10.1.{number + 1}")
    found.Modality, found.NumberOfFrames = "OT", str(FRAMES)
    found.Rows = found.Columns = ROWS
    found.BitsAllocated = found.BitsStored = 16
    found.HighBit, found.PixelRepresentation, found.SamplesPerPixel = 15, 0, 1
    found.PhotometricInterpretation = "MONOCHROME2"
    noise = random.Random(5).randbytes(2 * ROWS * ROWS - 2)
    found.PixelData = b"".join(n.to_bytes(2, "little") + noise for n in range(1, FRAMES + 1))
    found["PixelData"].VR = "OW"
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, found, enforce_file_format=True)
    identity = {
        "study_instance_uid": str(found.StudyInstanceUID),
        "series_instance_uid": str(found.SeriesInstanceUID),
        "sop_instance_uid": str(found.SOPInstanceUID),
    }
    return identity, buffer.getvalue()


def fetch(server: Server, path: str, accept: str) -> tuple[bytes, float, float]:
    """Return a body, the seconds until its first byte, and those until its last.

    After a restart Orthanc now and then fails to read what its plugin has cached, and then writes
    it anew: who gets 500 asks once more.
    """
    try:
        return fetch_once(server, path, accept)
    except AssertionError:
        time.sleep(1)
        return fetch_once(server, path, accept)


def fetch_once(server: Server, path: str, accept: str) -> tuple[bytes, float, float]:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=120)
    began = time.monotonic()
    connection.request("GET", path, headers={"Accept": accept})
    answer = connection.getresponse()
    first = answer.read(1)
    first_s = time.monotonic() - began
    assert answer.status == 200, (path, answer.status, answer.read(300))
    body = first + answer.read()
    connection.close()
    return body, first_s, time.monotonic() - began


@dataclass
class Asked:
    """A server that holds the data, and what is known of it."""

    program: Path
    server: Server
    ct: list[dict[str, str]]
    frames: dict[str, str]

    def get(self, path: str, accept: str) -> bytes:
        return fetch(self.server, path, accept)[0]

    def instance_metadata(self) -> list[Request]:
        identity = self.ct[3]
        [found] = json.loads(self.get(f"{of_instance(identity)}/metadata", JSON))
        assert found["00080018"]["Value"] == [identity["sop_instance_uid"]], found
        return [{"path": f"{of_instance(one)}/metadata", "accept": JSON} for one in self.ct]

    def series_metadata(self) -> list[Request]:
        path = f"{of_series(self.ct[0])}/metadata"
        found = json.loads(self.get(path, JSON))
        uids = {one["00080018"]["Value"][0] for one in found}
        assert uids == {one["sop_instance_uid"] for one in self.ct}, len(uids)
        return [{"path": path, "accept": JSON}]

    def frame(self) -> list[Request]:
        identity, pixels = self.ct[7], 512 * 512 * 2
        with tempfile.NamedTemporaryFile() as out:
            loadgen(self.program, "dump", **CT, first=7, out=out.name)
            wanted = out.read()[-pixels:]
        assert wanted in self.get(f"{of_instance(identity)}/frames/1", PLAIN_FRAMES)
        return [{"path": f"{of_instance(one)}/frames/1", "accept": PLAIN_FRAMES} for one in self.ct]

    def instance(self) -> list[Request]:
        identity = self.ct[7]
        with tempfile.NamedTemporaryFile() as out:
            loadgen(self.program, "dump", **CT, first=7, out=out.name)
            assert out.read() in self.get(of_instance(identity), INSTANCES)
        return [{"path": of_instance(one), "accept": INSTANCES} for one in self.ct]

    def random_frame(self) -> list[Request]:
        path = f"{of_instance(self.frames)}/frames"
        body = self.get(f"{path}/200", PLAIN_FRAMES)
        assert b"\r\n\r\n\xc8\x00" in body, body[:300]
        numbers = random.Random(1).sample(range(1, FRAMES + 1), FRAMES)
        return [{"path": f"{path}/{number}", "accept": PLAIN_FRAMES} for number in numbers]


@dataclass(frozen=True)
class Load:
    name: str
    requests: Callable[[Asked], list[Request]]
    asked: str = ""


LOADS = [
    Load("metadata instance", Asked.instance_metadata, "10"),
    Load("metadata 1,000 slices", Asked.series_metadata, "10; p50 < 10 ms"),
    Load("frame", Asked.frame, "3"),
    Load("whole instance", Asked.instance, "3"),
    Load("random frame of 256", Asked.random_frame, "3; p95 < 5 ms"),
]


def cold(asked: Asked) -> None:
    server = asked.server
    for what, path, accept in (
        ("metadata of the series", f"{of_series(asked.ct[0])}/metadata", JSON),
        ("study", of_series(asked.ct[0]).partition("/series/")[0], INSTANCES),
    ):
        server.stop()
        drop_cached(server.root)
        server.start()
        _, first_s, all_s = fetch(server, path, accept)
        _, warm_first_s, warm_s = fetch(server, path, accept)
        cold_ms, warm_ms = (first_s * 1000, all_s * 1000), (warm_first_s * 1000, warm_s * 1000)
        print(
            f"{server.name}: {what}, first byte and last: cold {cold_ms[0]:.1f} and "
            f"{cold_ms[1]:.0f} ms, warm {warm_ms[0]:.1f} and {warm_ms[1]:.0f} ms",
            flush=True,
        )


def viewers(asked: Asked) -> None:
    failures: list[str] = []
    waits: list[float] = []

    def view(number: int) -> None:
        try:
            asked_for = [(f"{of_series(asked.ct[0])}/metadata", JSON)]
            chosen = random.Random(number).sample(asked.ct, FRAMES_OF_VIEWER)
            asked_for += [(f"{of_instance(one)}/frames/1", PLAIN_FRAMES) for one in chosen]
            waits.extend(fetch(asked.server, *each)[2] for each in asked_for)
        except Exception as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=view, args=(number,)) for number in range(VIEWERS)]
    began = time.monotonic()
    with MemorySampler(asked.server) as memory:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    waits.sort()
    print(
        f"{asked.server.name}: {VIEWERS} viewers: {len(failures)} failures, "
        f"{time.monotonic() - began:.1f} s, p95 {waits[len(waits) * 95 // 100] * 1000:.0f} ms, "
        f"PSS {memory.max_bytes / 1e6:.0f} MB {failures[:1]}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--servers", default="orthanc,vna", help="which, in turn (%(default)s)")
    parser.add_argument("--clients", default="1,4", help="connections at a time (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="length of each (%(default)s)")
    parser.add_argument("--json", type=Path, help="write all reports to this file")
    arguments = parser.parse_args()
    program = loadgen_program()
    facts = machine()
    print("; ".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
    made: dict[str, Callable[[], Server]] = {
        "orthanc": lambda: OrthancDicomweb(threads=4),
        "vna": Vna,
    }
    ct = identities(program, CT)
    frames, file = multi_frame()
    servers = [made[name]() for name in arguments.servers.split(",")]
    runs: list[dict[str, Any]] = []
    try:
        holders = []
        for server in servers:
            server.start()
            send(program, server, associations=4, **CT)
            connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=120)
            connection.request("POST", "/instances", file)
            assert connection.getresponse().status == 200
            print(f"{server.name} {server.version()}, settings {json.dumps(server.settings())}")
            holders.append(Asked(program, server, ct, frames))
        for holder in holders:
            cold(holder)
        for load in LOADS:
            requests = [load.requests(holder) for holder in holders]
            for clients in map(int, arguments.clients.split(",")):
                for _ in range(arguments.rounds):
                    for server, asked in zip(servers, requests, strict=True):
                        report = measure(program, server, asked, clients, arguments.seconds)
                        runs.append(report | {"load": load.name, "asked": load.asked})
                        latency = report["latency_ms"]
                        print(
                            f"{load.name} x{clients} {server.name}: "
                            f"{report['per_second']:,.0f}/s, latency {json.dumps(latency)}, "
                            f"others used {report['foreign_processors']:.2f} processors",
                            flush=True,
                        )
        for holder in holders:
            viewers(holder)
    finally:
        for server in servers:
            server.remove()
    print("\n" + summary(runs))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": facts, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
