"""Soak: whether a server under a mixed DICOMweb load for a long time holds more and more memory.

A few clients store studies of many sizes and transfer syntaxes, and ask for metadata, frames,
pictures of many kinds and sizes, searches, bulk data and ZIP archives; they change studies, send
them to the server itself by jobs, and delete them, so that a bounded number is there. What they ask
is random and told by `--seed`. A round is 45 s of load, jobs that end, and 15 s of rest, in which
the server can give back what it freed; each prints

- requests so far, and those whose answer was not one that it may be (their last is shown);
- PSS and RSS of the server in MB as the load ended and after the rest, and PSS of its helpers;
- of the rest: what the heaps of malloc hold (`heaps`), other anonymous memory, large allocations
  and stacks among it (`other`), and pages of files (`files`); threads and descriptors.

At the end: the slopes of the second half, in MB an hour. It measures the program that VNA_BIN
names, else that of the repository, and is not one of the benchmarks that `python -m bench` runs.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import random
import re
import statistics
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pydicom
from bench_pictures import encoded, image, phantom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalMammographyXRayImageStorageForPresentation,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    MRImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    RLELossless,
    UltrasoundImageStorage,
)
from servers import Vna, machine, process_tree, public_id, read_or_empty

LOAD_S, REST_S = 45.0, 15.0
# What jobs may still need after the load.
MOST_JOBS_S = 120.0
MOST_STUDIES = 40
MOST_REQUESTS = 1_000_000
PATIENT = "SOAK"
# Each file is made once and then given UIDs of the same length.
MADE = {"study": "7" * 12, "series": "8" * 12, "instance": "9" * 12}
PREFIX = "1.2.826.0.1.3680043.10.1."
WEB = "/dicom-web"
JSON, XML = "application/dicom+json", "application/dicom+xml"
OCTETS = 'multipart/related; type="application/octet-stream"'
AS_STORED = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
PLAIN = 'multipart/related; type="application/dicom"'
BOUNDARY = "soak-5b2f"
PICTURES = ("image/jpeg", "image/png", "image/gif", "image/jp2")
VIEWPORTS = ("64,64", "256,256", "512,512", "1024,768", "2000,2000")
# What an answer may be: of what another client deletes meanwhile too, and of what memory or places
# are taken for.
EXPECTED = {200, 202, 206, 304, 404, 406, 410, 503}


class Kind(NamedTuple):
    """A kind of instance: its file, and how many of them a series gets at most."""

    name: str
    file: bytes
    frames: int
    most: int
    is_deflated: bool = False


class Stored(NamedTuple):
    """A series of a study of its own that was stored."""

    kind: Kind
    study: str
    series: str
    instances: list[str]

    @property
    def id(self) -> str:
        return public_id({"patient_id": PATIENT, "study_instance_uid": self.study}, 2)

    def path(self, *, series: bool = True, instance: str = "") -> str:
        path = f"{WEB}/studies/{self.study}"
        if series:
            path += f"/series/{self.series}"
        return f"{path}/instances/{instance}" if instance else path


def kinds() -> list[Kind]:
    """Return what is stored."""
    ct = phantom(512, 512, 1, 2500).astype("<u2")
    mr = phantom(256, 256, 2, 4096).astype("<u2")
    gray = phantom(480, 640, 3, 256)
    us = np.stack([gray, gray * 0.9, gray * 0.7], axis=-1).astype("u1")
    mg = phantom(3328, 2560, 4, 4096).astype("<u2")
    scans = [
        ("CT", CTImageStorage, ct, ExplicitVRLittleEndian, 30),
        ("CT JPEG 2000", CTImageStorage, ct, JPEG2000Lossless, 12),
        ("CT HTJ2K", CTImageStorage, ct, HTJ2KLossless, 12),
        ("CT RLE", CTImageStorage, ct, RLELossless, 12),
        ("MR", MRImageStorage, mr, ExplicitVRLittleEndian, 100),
        ("MR JPEG-LS", MRImageStorage, mr, JPEGLSLossless, 30),
        ("US JPEG", UltrasoundImageStorage, us, JPEGBaseline8Bit, 10),
        ("MG", DigitalMammographyXRayImageStorageForPresentation, mg, ExplicitVRLittleEndian, 2),
        ("MG JPEG-LS", DigitalMammographyXRayImageStorageForPresentation, mg, JPEGLSLossless, 2),
    ]
    made = [
        Kind(name, file_of(image(sop_class, pixels, 1, series=1), syntax), 1, most)
        for name, sop_class, pixels, syntax, most in scans
    ]
    deflated = file_of(image(MRImageStorage, mr, 1, series=1), ExplicitVRLittleEndian)
    made.append(Kind("MR deflated", deflated, 1, 20, is_deflated=True))
    made.append(Kind("40 frames", file_of(frames(ct, 40), ExplicitVRLittleEndian), 40, 2))
    made.append(Kind("PDF", file_of(document(), ExplicitVRLittleEndian), 0, 3))
    return made


def frames(pixels: Any, count: int) -> Dataset:
    sop_class = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    made = image(sop_class, pixels, 1, series=1, NumberOfFrames=str(count), Modality="OT")
    made.PixelData = pixels.tobytes() * count
    return made


def document() -> Dataset:
    made = Dataset()
    made.PatientName, made.SOPClassUID, made.Modality = (
        "Soak^Document",
        EncapsulatedPDFStorage,
        "DOC",
    )
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocument = b"%PDF-1.4\n" + os.urandom(300_000 - 9)
    return made


def file_of(made: Dataset, syntax: UID) -> bytes:
    """Return the file, its UIDs being those that are replaced."""
    made.PatientID = PATIENT
    made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID = (
        PREFIX + number for number in MADE.values()
    )
    made.StudyDate, made.AccessionNumber = "20260101", "A1"
    if "PixelData" in made:
        return encoded(made, syntax)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()


def numbered(kind: Kind, study: int, number: int) -> bytes:
    """Return a file of a kind under UIDs of its own."""
    file = kind.file
    for name, value in (("study", study), ("series", study), ("instance", number)):
        file = file.replace((PREFIX + MADE[name]).encode(), uid(name, value).encode())
    if not kind.is_deflated:
        return file
    end = 144 + int.from_bytes(file[140:144], "little")
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(file[end:]) + packer.flush()
    # Its UID is two characters and a pad byte longer; what says how long group 0002 is follows.
    plain, syntax = (
        each + "\0" * (len(each) % 2)
        for each in (str(ExplicitVRLittleEndian), str(DeflatedExplicitVRLittleEndian))
    )
    head = file[:end].replace(
        b"UI" + len(plain).to_bytes(2, "little") + plain.encode(),
        b"UI" + len(syntax).to_bytes(2, "little") + syntax.encode(),
    )
    length = (len(head) - 144).to_bytes(4, "little")
    return head[:140] + length + head[144:] + packed + b"\0" * (len(packed) % 2)


def uid(name: str, value: int) -> str:
    """Return the UID of a study, series or instance."""
    first = 1 + list(MADE).index(name)
    return f"{PREFIX}{first}{value:011d}"


class Client(threading.Thread):
    """Asks one thing after the other for as long as there is load."""

    def __init__(self, soak: Soak, number: int, seed: int):
        super().__init__(daemon=True)
        self.soak, self.random = soak, random.Random(f"{seed}-{number}")
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", soak.server.http_port, timeout=300
        )

    def run(self) -> None:
        asks: list[Callable[[Stored], None]]
        asks = [self.metadata, self.frames, self.rendered, self.thumbnail, self.search]
        asks += [self.retrieve, self.bulk_data, self.zip, self.wado_uri, self.job]
        weights = [8, 8, 16, 4, 6, 2, 2, 1, 4, 1]
        for _ in range(MOST_REQUESTS):
            if not self.soak.load.is_set():
                self.connection.close()  # the server closes what rests
            self.soak.load.wait()
            if self.soak.has_ended:
                return
            try:
                here = self.soak.any(self.random)
                if here is None or self.random.random() < 0.04:
                    self.store()
                else:
                    self.random.choices(asks, weights)[0](here)
            except (OSError, http.client.HTTPException) as error:
                self.soak.count("connection", f"{type(error).__name__}: {error}")
                self.connection.close()

    def ask(
        self, method: str, path: str, accept: str = "*/*", body: bytes | None = None, **headers: str
    ) -> int:
        told = {"Accept": accept} | {name.replace("_", "-"): to for name, to in headers.items()}
        self.connection.request(method, path, body, told)
        answer = self.connection.getresponse()
        said = answer.read(300)
        while answer.read(1 << 20):
            pass
        is_expected = answer.status in EXPECTED
        shown = "" if is_expected else f"{method} {path} {accept} {answer.status} {said!r}"
        self.soak.count(str(answer.status), shown)
        return answer.status

    def store(self) -> None:
        kind = self.random.choice(self.soak.kinds)
        study, first = self.soak.numbers(kind.most)
        numbers = range(first, first + self.random.randint(1, kind.most))
        head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        parts = (head + numbered(kind, study, number) + b"\r\n" for number in numbers)
        body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
        content_type = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        if self.ask("POST", f"{WEB}/studies", JSON, body, Content_Type=content_type) == 200:
            instances = [uid("instance", number) for number in numbers]
            self.soak.keep(Stored(kind, uid("study", study), uid("series", study), instances))
        for old in self.soak.too_many():
            self.ask("DELETE", f"/studies/{old.id}")

    def one(self, here: Stored) -> str:
        return here.path(instance=self.random.choice(here.instances))

    def metadata(self, here: Stored) -> None:
        path = self.random.choice(
            [self.one(here), self.one(here), here.path(), here.path(series=False)]
        )
        form = self.random.choice([JSON, JSON, 'multipart/related; type="application/dicom+xml"'])
        packed = self.random.choice(["identity", "gzip"])
        self.ask("GET", f"{path}/metadata", form, Accept_Encoding=packed)

    def frames(self, here: Stored) -> None:
        most = max(here.kind.frames, 1)
        numbers = sorted(
            self.random.sample(range(1, most + 1), self.random.randint(1, min(most, 8)))
        )
        listed = ",".join(map(str, numbers))
        accept = self.random.choice([OCTETS, AS_STORED])
        self.ask("GET", f"{self.one(here)}/frames/{listed}", accept)

    def rendered(self, here: Stored) -> None:
        path = self.one(here)
        if here.kind.frames > 1 and self.random.random() < 0.5:
            path += f"/frames/{self.random.randint(1, here.kind.frames)}"
        query = []
        if self.random.random() < 0.7:
            query.append(f"viewport={self.random.choice(VIEWPORTS)}")
        if self.random.random() < 0.5:
            level, width = self.random.randint(0, 2000), self.random.randint(1, 3000)
            query.append(f"window={level},{width},linear")
        if self.random.random() < 0.3:
            query.append(f"quality={self.random.randint(10, 100)}")
        if self.random.random() < 0.2:
            query.append("annotation=patient,technique")
        form = self.random.choice([*PICTURES[:2], *PICTURES])
        self.ask("GET", f"{path}/rendered?{'&'.join(query)}", form)

    def thumbnail(self, here: Stored) -> None:
        path = self.random.choice([self.one(here), here.path(), here.path(series=False)])
        size = self.random.choice(["", "?viewport=64,64", "?viewport=300,300"])
        self.ask("GET", f"{path}/thumbnail{size}", "image/jpeg")

    def search(self, here: Stored) -> None:
        study, number = here.study, self.random.randint(0, 99)
        asked = [
            f"studies?PatientID={PATIENT}&limit=20&offset={number}",
            f"studies?StudyInstanceUID={study}&includefield=all",
            f"studies?PatientName=Bench*&ModalitiesInStudy=CT&fuzzymatching=true&limit={number}",
            f"studies/{study}/series?includefield=00081190",
            f"studies/{study}/instances?limit=50",
            f"instances?StudyDate=20250101-20270101&InstanceNumber=1&limit={number}",
        ]
        form = self.random.choice([JSON, JSON, 'multipart/related; type="application/dicom+xml"'])
        self.ask("GET", f"{WEB}/{self.random.choice(asked)}", form)

    def retrieve(self, here: Stored) -> None:
        path = self.random.choice([self.one(here), self.one(here), here.path()])
        self.ask("GET", path, self.random.choice([DICOM, DICOM, PLAIN]))

    def bulk_data(self, here: Stored) -> None:
        kind = self.random.choice(["pixeldata", "bulkdata"])
        self.ask("GET", f"{self.one(here)}/{kind}", AS_STORED)

    def zip(self, here: Stored) -> None:
        if self.random.random() < 0.5:
            self.ask("GET", f"/studies/{here.id}/archive")
        else:
            self.ask("GET", here.path(series=False), "application/zip")

    def wado_uri(self, here: Stored) -> None:
        instance = self.random.choice(here.instances)
        path = f"/wado?requestType=WADO&studyUID={here.study}&seriesUID={here.series}"
        form = self.random.choice(["image/jpeg", "image/png", "application/dicom"])
        self.ask("GET", f"{path}&objectUID={instance}&contentType={form}", "*/*")

    def job(self, here: Stored) -> None:
        asked: list[tuple[str, dict[str, Any]]] = [
            (f"/studies/{here.id}/archive", {"Asynchronous": True}),
            (f"/studies/{here.id}/media", {"Asynchronous": True}),
            (f"/studies/{here.id}/anonymize", {"Asynchronous": True}),
            (f"/studies/{here.id}/modify", {"Replace": {"StudyDescription": "Soak"}}),
            (f"{WEB}/servers/self/stow", {"Resources": [here.id]}),
            (f"{WEB}/servers/self/retrieve", {"Resources": [{"Study": here.study}]}),
        ]
        path, body = self.random.choice(asked)
        self.ask("POST", path, "application/json", json.dumps(body).encode())


class Soak:
    """What the clients share."""

    def __init__(self, server: Vna):
        self.server, self.kinds = server, kinds()
        self.load = threading.Event()
        self.has_ended = False
        self.answers: Counter[str] = Counter()
        self.unexpected: list[str] = []
        self._lock = threading.Lock()
        self._here: list[Stored] = []
        self._study = self._instance = 0

    def any(self, choice: random.Random) -> Stored | None:
        with self._lock:
            return choice.choice(self._here) if self._here else None

    def numbers(self, most: int) -> tuple[int, int]:
        """Return the number of the next study, and that of its first instance."""
        with self._lock:
            self._study, first = self._study + 1, self._instance
            self._instance += most
            return self._study, first

    def keep(self, stored: Stored) -> None:
        with self._lock:
            self._here.append(stored)

    def too_many(self) -> list[Stored]:
        """Return the oldest studies beyond the bound, which are to be deleted."""
        with self._lock:
            too_many = len(self._here) - MOST_STUDIES
            old, self._here = self._here[: max(too_many, 0)], self._here[max(too_many, 0) :]
            return old

    def count(self, answer: str, unexpected: str = "") -> None:
        with self._lock:
            self.answers[answer] += 1
            if unexpected:
                self.unexpected.append(unexpected)

    def finish_jobs(self) -> None:
        """Wait until no job is at work."""
        end = time.monotonic() + MOST_JOBS_S
        while time.monotonic() < end:
            states = {job["State"] for job in self.server.get_json("/jobs?expand")}
            if not states & {"Running", "Pending"}:
                return
            time.sleep(0.2)

    def forget_others(self) -> None:
        """Delete what jobs made, and the jobs themselves."""
        there = self.server.get_json("/studies")
        with self._lock:
            mine = {stored.id for stored in self._here}
        for one in there:
            if one not in mine:
                self.server.request("DELETE", f"/studies/{one}")
        for job in self.server.get_json("/jobs"):
            self.server.request("DELETE", f"/jobs/{job}/archive")


class Memory(NamedTuple):
    """What a process holds, in MB."""

    pss: float
    rss: float
    heaps: float
    other: float
    files: float

    @staticmethod
    def of(pid: int) -> Memory:
        kb: Counter[str] = Counter()
        for begin, name, told in mappings(pid):
            kb["pss"] += told["Pss"]
            kb["rss"] += told["Rss"]
            # A heap of malloc but the first begins where 64 MiB do (HEAP_MAX_SIZE of glibc).
            is_heap = name == "[heap]" or (not name and begin % (64 << 20) == 0)
            kb["heaps" if is_heap else "other"] += told["Anonymous"]
            kb["files"] += told["Rss"] - told["Anonymous"]
        return Memory(*(kb[name] / 1024 for name in Memory._fields))


def mappings(pid: int) -> Iterator[tuple[int, str, dict[str, int]]]:
    """Yield where each mapping of a process begins, its name, and its sizes in KB."""
    for text in re.split(
        r"^(?=[0-9a-f]+-[0-9a-f]+ )", read_or_empty(f"/proc/{pid}/smaps"), flags=re.M
    ):
        if not text:
            continue
        head, _, rest = text.partition("\n")
        words = head.split(maxsplit=5)
        told = {name: int(kb) for name, kb in re.findall(r"^(\w+): +(\d+) kB", rest, re.M)}
        yield int(words[0].partition("-")[0], 16), words[5] if len(words) > 5 else "", told


def slope(hours: list[float], values: list[float]) -> str:
    """Return how the second half of `values` grows."""
    half = len(values) // 2
    if len(values) - half < 2:
        return "no slope yet"
    found = statistics.linear_regression(hours[half:], values[half:]).slope
    return f"{found:+.1f} MB/h in the second half"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=int, default=40, help="how long (%(default)s)")
    parser.add_argument("--clients", type=int, default=4, help="at a time (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of what is asked (%(default)s)")
    arguments = parser.parse_args()
    print("; ".join(f"{name}: {value}" for name, value in machine().items()), flush=True)
    server = Vna(
        VNA__STORAGE__UNDELETE_HOURS="0",
        VNA__JOBS__HISTORY="20",
        VNA__JOBS__OUTPUT_BYTES=str(1 << 30),
    )
    with server:
        url = f"http://127.0.0.1:{server.http_port}{WEB}/"
        server.request("PUT", f"{WEB}/servers/self", json.dumps({"Url": url}))
        soak = Soak(server)
        clients = [Client(soak, number, arguments.seed) for number in range(arguments.clients)]
        for client in clients:
            client.start()
        loaded: list[Memory] = []
        rested: list[Memory] = []
        hours: list[float] = []
        began = time.monotonic()
        print("minute requests unexpected | PSS RSS loaded | PSS RSS rested | helpers | "
              "heaps other files | threads fds", flush=True)  # fmt: skip
        while not hours or hours[-1] * 60 < arguments.minutes:
            soak.load.set()
            time.sleep(LOAD_S)
            loaded.append(before := Memory.of(server.pid))
            soak.load.clear()
            soak.finish_jobs()
            time.sleep(REST_S)
            rested.append(now := Memory.of(server.pid))
            hours.append((time.monotonic() - began) / 3600)
            helpers = sum(Memory.of(pid).pss for pid in process_tree(server.pid)[1:])
            threads = len(os.listdir(f"/proc/{server.pid}/task"))
            descriptors = len(os.listdir(f"/proc/{server.pid}/fd"))
            print(f"{hours[-1] * 60:5.1f} {soak.answers.total():7} {len(soak.unexpected):3} | "
                  f"{before.pss:5.0f} {before.rss:5.0f} | {now.pss:5.0f} {now.rss:5.0f} | "
                  f"{helpers:4.0f} | {now.heaps:5.0f} {now.other:5.0f} {now.files:5.0f} | "
                  f"{threads:3} {descriptors:3}", flush=True)  # fmt: skip
            for said in soak.unexpected[-2:]:
                print(f"    {said[:300]}", flush=True)
            soak.forget_others()
        soak.has_ended = True
        soak.load.set()
        for client in clients:
            client.join(60)
        print(
            "\nanswers: "
            + ", ".join(f"{many} x {what}" for what, many in soak.answers.most_common())
        )
        for name in Memory._fields:
            ends = [getattr(each, name) for each in rested]
            said = f"at most {max(ends):.0f} MB, last {ends[-1]:.0f}, {slope(hours, ends)}"
            print(f"{name} after rests: {said}")
        peaks = [each.pss for each in loaded]
        print(f"PSS under load: at most {max(peaks):.0f} MB, {slope(hours, peaks)}")
        if soak.unexpected:
            sys.exit(f"{len(soak.unexpected)} unexpected answers")


if __name__ == "__main__":
    main()
