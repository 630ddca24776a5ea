"""Pictures: how fast frames are decoded, rendered and encoded, against Orthanc in the same run.

Feeds in 24 images each of four kinds, made here: CT (512 x 512, 16 bits, native), MR (256 x 256,
12 bits, native), US (640 x 480 RGB, JPEG baseline) and CT in lossless JPEG 2000, which an Orthanc
without plugins cannot decode. Then asks for `/preview` and `/rendered` of one after the other, over
1 and 4 kept connections, in turn of both servers; and of VNA alone for thumbnails, of images that
it has none of yet and of images that it has.

`cold` is the first picture of each image by a server that was just started, its files not in the
page cache: the median over the images, in milliseconds.

The figures: `per s` is answers per second; `CPU/1000` the server's processor seconds for 1,000
answers, of all its processes, those of codecs included; `PSS` its memory, the highest sample; `x`
VNA's rate over Orthanc's, of the medians of the rounds, and for `cold` Orthanc's time over VNA's.
Generator and servers share the processors.

Before anything is timed, pictures of both servers are decoded and compared with each other.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from bench_rest import measure
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    MRImageStorage,
    UltrasoundImageStorage,
    generate_uid,
)
from servers import Orthanc, Server, Vna, drop_cached, loadgen_program, machine
from tables import Run, by, by_server, median, megabytes, ratio, table

from vna import _core

IMAGES = 24
ROUTES = ("preview", "rendered")
ASKED = "10"
# By name: a server that holds the images, and their paths by kind.
Holders = dict[str, tuple[Server, dict[str, list[str]]]]
Pixels = np.ndarray[Any, np.dtype[Any]]


def phantom(rows: int, columns: int, number: int, depth: int) -> Pixels:
    """Return an image as scanners make them: air around a body with organs, and noise on all."""
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    noise = np.random.default_rng(number).normal(0, depth / 200, (rows, columns))
    body = depth * 0.5 * (x**2 + y**2 < 0.8)
    organs = sum(
        depth * 0.06 * ((x - dx) ** 2 + (y - dy) ** 2 < 0.03)
        for dx, dy in ((0.4, 0), (-0.4, 0.1), (0, 0.4), (0.01 * number, -0.4))
    )
    return np.clip(body + organs + noise, 0, depth - 1)


def image(sop_class: UID, pixels: Pixels, number: int, **attributes: Any) -> Dataset:
    instance = Dataset()
    instance.PatientID, instance.PatientName = "BENCH", "Bench^Pictures"
    instance.SOPClassUID, instance.SOPInstanceUID = sop_class, generate_uid()
    instance.StudyInstanceUID, instance.InstanceNumber = "1.2.826.0.1.3680043.10.1", number
    instance.SeriesInstanceUID = f"1.2.826.0.1.3680043.10.1.{attributes.pop('series')}"
    instance.Rows, instance.Columns = pixels.shape[:2]
    instance.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    instance.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    instance.BitsAllocated = instance.BitsStored = 8 * pixels.itemsize
    instance.PixelRepresentation = 0
    for name, value in attributes.items():
        setattr(instance, name, value)
    instance.HighBit = instance.BitsStored - 1
    instance.PixelData = pixels.tobytes()
    instance["PixelData"].VR = "OW" if pixels.itemsize == 2 else "OB"
    return instance


def encoded(instance: Dataset, syntax: UID) -> bytes:
    """Return the file in a transfer syntax, its pixels encoded by our own codecs."""
    if syntax != ExplicitVRLittleEndian:
        told = {
            "rows": instance.Rows,
            "columns": instance.Columns,
            "samples_per_pixel": instance.SamplesPerPixel,
            "bits_allocated": instance.BitsAllocated,
            "bits_stored": instance.BitsStored,
            "sample": "unsigned",
            "planar": False,
            "photometric": instance.PhotometricInterpretation,
        }
        codestream, found = _core.encode_frame(
            instance.PixelData, json.dumps(told).encode(), transfer_syntax_uid=syntax
        )
        instance.PixelData = encapsulate([codestream])
        instance["PixelData"].VR = "OB"
        instance.PhotometricInterpretation = json.loads(found)["photometric"]
    if instance.SamplesPerPixel == 3:
        instance.PlanarConfiguration = 0
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = syntax
    instance.file_meta.MediaStorageSOPClassUID = instance.SOPClassUID
    instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, instance, enforce_file_format=True)
    return buffer.getvalue()


def ct(number: int, syntax: UID = ExplicitVRLittleEndian, series: int = 1) -> bytes:
    pixels = phantom(512, 512, number, 2500).astype("<u2")
    hounsfield = {"RescaleIntercept": -1024, "RescaleSlope": 1, "Modality": "CT"}
    window = {"WindowCenter": 40, "WindowWidth": 400}
    made = image(CTImageStorage, pixels, number, series=series, **hounsfield, **window)
    return encoded(made, syntax)


def ct_jpeg2000(number: int) -> bytes:
    return ct(number, JPEG2000Lossless, 4)


def mr(number: int) -> bytes:
    pixels = phantom(256, 256, number, 4096).astype("<u2")
    told = {"BitsStored": 12, "Modality": "MR", "WindowCenter": 1000, "WindowWidth": 2000}
    return encoded(image(MRImageStorage, pixels, number, series=2, **told), ExplicitVRLittleEndian)


def us(number: int) -> bytes:
    gray = phantom(480, 640, number, 256)
    pixels = np.stack([gray, gray * 0.9, gray * 0.7], axis=-1).astype("u1")
    made = image(UltrasoundImageStorage, pixels, number, series=3, Modality="US")
    return encoded(made, JPEGBaseline8Bit)


KINDS: dict[str, Callable[[int], bytes]] = {
    "CT": ct,
    "MR": mr,
    "US RGB JPEG": us,
    "CT JPEG 2000": ct_jpeg2000,
}


def fill(server: Server, files: dict[str, list[bytes]]) -> dict[str, list[str]]:
    """Store all files; returns the paths of the instances by kind."""
    paths: dict[str, list[str]] = {}
    for kind, held in files.items():
        for data in held:
            connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
            connection.request("POST", "/instances", data)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, f"{server.name} refused a {kind}: {body[:200]!r}"
            paths.setdefault(kind, []).append(f"/instances/{json.loads(body)['ID']}")
            connection.close()
    return paths


def shown(server: Server, path: str) -> Pixels:
    status, body = server.get(path)
    assert status == 200, f"{server.name}: {path} answered {status}: {body[:200]!r}"
    return np.array(Image.open(io.BytesIO(body))).astype(int)


def check(holders: Holders, kind: str, route: str) -> set[str]:
    """Compare a picture of all servers; returns the servers that can make it."""
    able = {
        name: shown(server, f"{paths[kind][3]}/{route}")
        for name, (server, paths) in holders.items()
        if server.get(f"{paths[kind][3]}/{route}")[0] == 200
    }
    assert "vna" not in holders or "vna" in able, f"VNA makes no {route} of {kind}"
    pictures = list(able.values())
    for one in pictures:
        assert one.shape == pictures[0].shape
        assert np.ptp(one) > 100, f"{route} of {kind} shows nothing"
        assert np.abs(one - pictures[0]).max() <= 3, f"{route} of {kind} differs"
    return set(able)


def cold_ms(server: Server, paths: list[str]) -> float:
    """Return the median time of the first picture of each image, the page cache being empty."""
    server.stop()
    drop_cached(server.root)
    server.start()
    server.settle()
    times = []
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    for path in paths:
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, f"{server.name}: {path} answered {answer.status}"
    connection.close()
    return statistics.median(times)


def warm_table(runs: list[Run]) -> str:
    figures = ("per s", "p50 ms", "CPU/1000 s", "PSS MB", "x", "asked")
    rows = [
        [
            load, clients, name, f"{median(mine, 'per_second'):,.0f}",
            f"{median([run['latency_ms'] for run in mine], 'p50'):.2f}",
            f"{median(mine, 'cpu_seconds_per_1000'):.2f}", megabytes(mine),
            ratio(mine, peers, "per_second"), ASKED if peers else "",
        ]
        for (load, clients), of_load in by(runs, "load", "clients")
        for name, mine, peers in by_server(of_load)
    ]  # fmt: skip
    return table(("picture", "clients", "server"), figures, rows)


def cold_table(cold: list[Run]) -> str:
    rows = [
        [load, name, f"{median(mine, 'ms'):.2f}", ratio(peers, mine, "ms") if peers else ""]
        for (load,), of_load in by(cold, "load")
        for name, mine, peers in by_server(of_load)
    ]
    return table(("cold picture", "server"), ("ms", "x"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--servers", default="orthanc,vna", help="which, in turn (%(default)s)")
    parser.add_argument("--clients", default="1,4", help="connections at a time (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument("--seconds", type=int, default=1, help="length of each (%(default)s)")
    parser.add_argument("--json", type=Path, help="write all reports to this file")
    arguments = parser.parse_args()
    program = loadgen_program()
    facts = machine()
    print("; ".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
    made: dict[str, Callable[[], Server]] = {"orthanc": lambda: Orthanc(threads=4), "vna": Vna}
    servers = [made[name]() for name in arguments.servers.split(",")]
    files = {kind: [make(number) for number in range(IMAGES)] for kind, make in KINDS.items()}
    runs: list[dict[str, Any]] = []
    cold: list[dict[str, Any]] = []

    def ask_for(server: Server, load: str, asked: list[str], clients: int) -> None:
        requests = [{"path": path} for path in asked]
        report = measure(program, server, requests, clients, arguments.seconds)
        runs.append(report | {"load": load})
        print(f"{load} x{clients} {server.name}: {report['per_second']:,.0f}/s", flush=True)

    try:
        holders: Holders = {}
        for server in servers:
            server.start()
            holders[server.name] = (server, fill(server, files))
            print(f"{server.name} {server.version()}, settings {json.dumps(server.settings())}")
        for kind in KINDS:
            for route in ROUTES:
                able = check(holders, kind, route)
                for clients in map(int, arguments.clients.split(",")):
                    for _ in range(arguments.rounds):
                        for name, (server, paths) in holders.items():
                            if name in able:
                                asked = [f"{path}/{route}" for path in paths[kind]]
                                ask_for(server, f"{route} of {kind}", asked, clients)
            for name, (server, paths) in holders.items():
                if name in able:
                    found = cold_ms(server, [f"{path}/preview" for path in paths[kind]])
                    cold.append({"load": f"preview of {kind}", "server": name, "ms": found})
        if "vna" in holders:
            server, paths = holders["vna"]
            for kind in KINDS:
                asked = [f"{path}/thumbnail" for path in paths[kind]]
                first = cold_ms(server, asked)
                cold.append({"load": f"thumbnail of {kind}", "server": "vna", "ms": first})
                ask_for(server, f"thumbnail of {kind}, kept", asked, 1)
    finally:
        for server in servers:
            server.remove()
    print("\n" + warm_table(runs) + "\n\n" + cold_table(cold))
    if arguments.json:
        reports = {"machine": facts, "runs": runs, "cold": cold}
        arguments.json.write_text(json.dumps(reports, indent=1))


if __name__ == "__main__":
    main()
