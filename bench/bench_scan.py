"""Header scan of 10,000 files in memory on one thread, beside pydicom and `dicom-object`.

Feeds in the headers (all up to the pixel data) of pydicom's packaged CT, MR and other images, each
a copy of its own in memory. Every reader gives each top-level element with tag, VR, offset (not
dicom-object) and length, and the indexed tags as text; that they find the same is asserted before
the clock starts. The figures are headers/s, the ratios those of the times, each the best of some
rounds.

    python bench/bench_scan.py [--headers 10000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import struct
import subprocess
import tempfile
import time
import warnings
from io import BytesIO
from pathlib import Path

import pydicom
import pydicom.data
from pydicom.dataelem import RawDataElement

from vna import _core

ROOT = Path(__file__).parents[1]
ROW = struct.Struct("<I2sHQIBBxx")
SAMPLES = [
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_implicit.dcm",
    "JPEG2000.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "examples_palette.dcm",
    "rtdose.dcm",
]


def header_of(path: Path) -> bytes:
    """The file up to its pixel data."""
    data = path.read_bytes()
    pixel_data = _core.read_instance(data)["pixel_data"]
    return data[: pixel_data[2]]


def indexed_tags(header: bytes) -> list[int]:
    return sorted(_core.read_instance(header)["tags"])


def read_with_pydicom(header: bytes, indexed: list[int]) -> tuple[list, list]:
    """What the benchmark times: all elements, the indexed ones as text."""
    dataset = pydicom.dcmread(BytesIO(header), stop_before_pixels=True)
    elements = []
    for element in dataset._dict.values():
        if isinstance(element, RawDataElement):
            elements.append((int(element.tag), element.VR, element.value_tell, element.length))
        else:
            elements.append((int(element.tag), element.VR, element.file_tell, None))
    texts = []
    for tag in indexed:
        value = dataset[tag].value
        many = isinstance(value, pydicom.multival.MultiValue)
        texts.append("\\".join(map(str, value)) if many else "" if value is None else str(value))
    return elements, texts


def assert_same(header: bytes) -> None:
    indexed = indexed_tags(header)
    elements, texts = read_with_pydicom(header, indexed)
    ours = {row[0]: row for row in ROW.iter_unpack(_core.scan(header, extent="top_level"))}
    assert set(ours) == {tag for tag, *_ in elements}
    for tag, vr, offset, length in elements:
        if length is not None:
            assert (ours[tag][3], ours[tag][4]) == (offset, length)
        assert vr is None or ours[tag][1].decode() == vr
    read = _core.read_instance(header)["tags"]
    for tag, text in zip(indexed, texts, strict=True):
        assert read[tag] == text.strip() or as_numbers(read[tag]) == as_numbers(text), hex(tag)


def as_numbers(text: str) -> list[float] | None:
    try:
        return [float(value) for value in text.split("\\")]
    except ValueError:
        return None


def best_of(rounds: int, work) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def rust_times(headers: list[bytes], rounds: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder) / "headers.pack"
        with pack.open("wb") as file:
            for header in headers:
                file.write(struct.pack("<I", len(header)) + header)
        command = ["cargo", "run", "--release", "--quiet", "-p", "vna-bench-scan", "--"]
        done = subprocess.run(
            [*command, str(pack), str(rounds)],
            cwd=ROOT,
            # Else dicom-object walks the stack for errors that it makes on its way.
            env=os.environ | {"RUST_BACKTRACE": "0"},
            check=True,
            capture_output=True,
            text=True,
        )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headers", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")

    folder = Path(pydicom.data.__file__).parent / "test_files"
    samples = [header_of(folder / name) for name in SAMPLES]
    for sample in samples:
        assert_same(sample)
    headers = [bytes(bytearray(samples[i % len(samples)])) for i in range(arguments.headers)]
    indexed = [indexed_tags(sample) for sample in samples]
    counts = _core.scan_headers(headers)
    assert len(counts) == len(headers)

    ours = best_of(arguments.rounds, lambda: _core.scan_headers(headers))
    theirs = best_of(
        1,
        lambda: [read_with_pydicom(h, indexed[i % len(samples)]) for i, h in enumerate(headers)],
    )
    only_read = best_of(
        1, lambda: [pydicom.dcmread(BytesIO(h), stop_before_pixels=True) for h in headers]
    )
    rust = rust_times(headers, arguments.rounds)
    figures = {
        "headers": len(headers),
        "bytes": sum(map(len, headers)),
        "elements_per_header": sum(elements for elements, _ in counts) / len(headers),
        "indexed_per_header": sum(tags for _, tags in counts) / len(headers),
        "vna_per_s": len(headers) / ours,
        "vna_rust_per_s": len(headers) / rust["vna_dicom_s"],
        "dicom_object_per_s": len(headers) / rust["dicom_object_s"],
        "pydicom_per_s": len(headers) / theirs,
        "ratio_to_pydicom": theirs / ours,
        "ratio_to_pydicom_reading_only": only_read / ours,
        "ratio_to_dicom_object": rust["dicom_object_s"] / rust["vna_dicom_s"],
        "pydicom": pydicom.__version__,
        "dicom_object": "0.10.1",
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    for name, value in figures.items():
        print(f"{name:>30}  {value:,.1f}" if isinstance(value, float) else f"{name:>30}  {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
