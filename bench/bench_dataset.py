"""`vna.dcmread` beside `pydicom.dcmread`: from bytes in memory to a data set, and to its values.

Feeds in a CT and an MR image of pydicom's (their headers alone, and the CT whole with 512 x 512
pixels), an enhanced CT of 1,000 frames with their functional groups (in sequences of undefined
length, and of defined), an RT structure set of 20 regions with 100 contours each, and a
segmentation of 200 frames. The last four are made here, since none of that size may be packaged.

Each is read and then nothing is looked at, five values (those that tell a viewer what it has), or
every value at every depth. That both read the same is asserted before the clock starts. The figures
are the time for one, the best of some rounds; a ratio above 1 says that `vna.dcmread` is faster.
Looking at a value is pydicom's work in both, so the more is looked at, the less is gained.

    python bench/bench_dataset.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pydicom
import pydicom.data
from pydicom import Dataset
from pydicom.sequence import Sequence

import vna
from vna import _core, _dataset_twin
from vna import dataset as bridge

SAMPLES = Path(pydicom.data.__file__).parent / "test_files"
FIVE = ("PatientID", "StudyInstanceUID", "Modality", "Rows", "SOPInstanceUID")
# Of one round; few files take long, many are short.
ROUND_S = 0.25


def whole(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def with_pixels(name: str, size: int) -> bytes:
    dataset = pydicom.dcmread(SAMPLES / name)
    dataset.Rows = dataset.Columns = int((size // 2) ** 0.5)
    dataset.PixelData = bytes(size)
    return whole(dataset)


def sequence(items: list[Dataset], *, undefined: bool) -> Sequence:
    for item in items:
        item.is_undefined_length_sequence_item = undefined
    found = Sequence(items)
    found.is_undefined_length = undefined
    return found


def put(dataset: Dataset, keyword: str, items: list[Dataset], *, undefined: bool) -> None:
    setattr(dataset, keyword, sequence(items, undefined=undefined))
    dataset[keyword].is_undefined_length = undefined


def item(**values: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def functional_groups(number: int, *, undefined: bool) -> Dataset:
    group = Dataset()
    index = [1, 1, number + 1]
    content = item(DimensionIndexValues=index, StackID="1", InStackPositionNumber=number + 1)
    position = item(ImagePositionPatient=[f"{-200 + number * 0.5:.4f}", "-180.25", "12.5"])
    put(group, "FrameContentSequence", [content], undefined=undefined)
    put(group, "PlanePositionSequence", [position], undefined=undefined)
    measures = item(PixelSpacing=["0.5", "0.5"], SliceThickness="0.5")
    put(group, "PixelMeasuresSequence", [measures], undefined=undefined)
    lut = item(RescaleIntercept="-1024", RescaleSlope="1", RescaleType="HU")
    put(group, "PixelValueTransformationSequence", [lut], undefined=undefined)
    return group


def base() -> Dataset:
    dataset = pydicom.dcmread(SAMPLES / "CT_small.dcm")
    del dataset.PixelData
    return dataset


def enhanced(frames: int, *, undefined: bool, modality: str = "CT") -> bytes:
    dataset = base()
    dataset.Modality = modality
    dataset.NumberOfFrames = frames
    groups = [functional_groups(number, undefined=undefined) for number in range(frames)]
    put(dataset, "PerFrameFunctionalGroupsSequence", groups, undefined=undefined)
    return whole(dataset)


def structure_set(regions: int, contours: int) -> bytes:
    dataset = base()
    dataset.Modality = "RTSTRUCT"
    names = [item(ROINumber=n, ROIName=f"region {n}") for n in range(regions)]
    put(dataset, "StructureSetROISequence", names, undefined=False)
    outline = [f"{value / 7:.3f}" for value in range(3 * 60)]
    found = []
    for number in range(regions):
        one = item(ReferencedROINumber=number, ROIDisplayColor=[255, 0, 0])
        drawn = [
            item(
                ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=60, ContourData=outline
            )
            for _ in range(contours)
        ]
        put(one, "ContourSequence", drawn, undefined=False)
        found.append(one)
    put(dataset, "ROIContourSequence", found, undefined=False)
    return whole(dataset)


def cases() -> dict[str, tuple[bytes, bool]]:
    """Name -> the file, and whether only its header is read."""
    return {
        "CT header": ((SAMPLES / "CT_small.dcm").read_bytes(), True),
        "MR header": ((SAMPLES / "MR_small.dcm").read_bytes(), True),
        "CT, 512 x 512": (with_pixels("CT_small.dcm", 512 * 512 * 2), False),
        "enhanced CT, 1,000 frames": (enhanced(1000, undefined=True), False),
        "the same, defined lengths": (enhanced(1000, undefined=False), False),
        "RTSTRUCT, 2,000 contours": (structure_set(20, 100), False),
        "SEG, 200 frames": (enhanced(200, undefined=True, modality="SEG"), False),
    }


def look_at_five(dataset: Dataset) -> list[object]:
    return [dataset.get(keyword) for keyword in FIVE]


def look_at_all(dataset: Dataset) -> int:
    return sum(1 for element in dataset.iterall() if element.value is not None)


LOOKS: dict[str, Callable[[Dataset], object]] = {
    "nothing": lambda dataset: None,
    "five": look_at_five,
    "all": look_at_all,
}


def seconds(work: Callable[[], object], rounds: int) -> float:
    """The time of one call: the best of some rounds of as many as fill them."""
    start = time.perf_counter()
    work()
    count = max(1, int(ROUND_S / (time.perf_counter() - start)))
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        start = time.perf_counter()
        for _ in range(count):
            work()
        best = min(best, (time.perf_counter() - start) / count)
    return best


def assert_same(data: bytes, header: bool) -> None:
    ours = vna.dcmread(data, stop_before_pixels=header)
    theirs = pydicom.dcmread(BytesIO(data), stop_before_pixels=header)
    assert ours == theirs
    for look in LOOKS.values():
        assert look(ours) == look(theirs)


def measure(data: bytes, header: bool, rounds: int) -> dict[str, dict[str, float]]:
    found = {}
    for name, look in LOOKS.items():
        ours = seconds(lambda look=look: look(vna.dcmread(data, stop_before_pixels=header)), rounds)
        theirs = seconds(
            lambda look=look: look(pydicom.dcmread(BytesIO(data), stop_before_pixels=header)),
            rounds,
        )
        found[name] = {"vna_us": ours * 1e6, "pydicom_us": theirs * 1e6, "ratio": theirs / ours}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    assert not _core.DEBUG
    if bridge.Document is _dataset_twin.Document:
        raise SystemExit("the kernel is not built: these would be the figures of its twin")

    heading = "".join(f"{f'{name}: vna':>15} {'pydicom':>11} {'ratio':>6}" for name in LOOKS)
    print(f"times in us\n{'':<27}{heading}")
    figures: dict[str, object] = {
        "pydicom": pydicom.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    for name, (data, header) in cases().items():
        assert_same(data, header)
        figures[name] = found = measure(data, header, arguments.rounds)
        columns = "".join(
            f"{each['vna_us']:>15,.0f} {each['pydicom_us']:>11,.0f} {each['ratio']:>6.1f}"
            for each in found.values()
        )
        print(f"{name:<27}{columns}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
