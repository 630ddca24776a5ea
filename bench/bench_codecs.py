"""Frames decoded and encoded, beside imagecodecs in the same run on the same frames.

Feeds in real images of pydicom-data: a CT of 512 x 512 pixels of 14 bits in 16, an MR of 1024 x
1024 of 12 in 16, a radiograph of 1955 x 1841 of 15 in 16, and an ultrasound in RGB, four times side
by side (1280 x 960). For JPEG of 8 and of 12 bits a grey image is shifted down to so many.

Before the clock starts, what both decode is asserted equal (of lossy HTJ2K but for one level), of
lossless codecs equal to the image; of lossy ones both codestreams are made equally long (within a
tenth), and what comes of ours errs at most a tenth more. A figure is megabytes of samples a second,
the best of some rounds, of

- one thread in this process (imagecodecs told to use one, too);
- a batch over all processors: a pool of as many threads for each, with CPU seconds for one of wall;
- our helper processes, where codecs run in the server by default, one frame after the other, and in
  a batch; with the PSS of all processes after it.

The promise is a ratio of at least 0.9 for one thread in this process. On a machine that is busy
with other things `--clock cpu` takes CPU seconds for those of one thread.

    python bench/bench_codecs.py [--rounds 5] [--only jpeg-ls] [--clock cpu] [--json FILE]
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import functools
import json
import os
import platform
import resource
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pydicom.data

from vna import _core
from vna.services.archive import helper_command

CORES = os.cpu_count() or 1
# Of one round; few frames take longer.
ROUND_S = 0.2
PROMISE = 0.9
QUALITY = 90
NEAR = 2
RATIO = 10.0


@dataclass(frozen=True)
class Image:
    """Samples and what they are."""

    name: str
    samples: np.ndarray
    bits: int

    @property
    def format(self) -> bytes:
        rows, columns, *rest = self.samples.shape
        return json.dumps(
            {
                "rows": rows,
                "columns": columns,
                "samples_per_pixel": rest[0] if rest else 1,
                "bits_allocated": self.samples.itemsize * 8,
                "bits_stored": self.bits,
                "sample": "unsigned",
                "photometric": "RGB" if rest else "MONOCHROME2",
            }
        ).encode()


@dataclass(frozen=True)
class Codec:
    """A transfer syntax, and how imagecodecs does the same."""

    name: str
    uid: str
    decode: Callable[[bytes, Image], np.ndarray]
    # Lossy ones take a level, which is searched for.
    encode: Callable[..., bytes]
    lossless: bool = True
    options: dict[str, float] | None = None
    levels: tuple[float, float] | None = None
    bits: int = 16
    # imagecodecs makes codestreams that we only decode.
    encodes: bool = True


def raw_deflate(image: Image, level: float | None = None) -> bytes:
    """Deflated without a header of zlib's, as fast as we do it."""
    return imagecodecs.deflate_encode(image.samples.tobytes(), level=6, raw=True)


def raw_inflate(codestream: bytes, image: Image) -> np.ndarray:
    out = imagecodecs.deflate_decode(codestream, raw=True, out=image.samples.nbytes)
    return np.frombuffer(out, image.samples.dtype).reshape(image.samples.shape)


def rle_decode(codestream: bytes, image: Image) -> np.ndarray:
    planes = imagecodecs.dicomrle_decode(codestream, image.samples.dtype.newbyteorder("<"))
    planes = np.frombuffer(planes, image.samples.dtype)
    if image.samples.ndim == 2:
        return planes.reshape(image.samples.shape)
    return np.moveaxis(planes.reshape(3, *image.samples.shape[:2]), 0, 2)


def rle_encode(image: Image, level: float | None = None) -> bytes:
    """A segment for each byte of a sample (PS3.5 §G), by their PackBits: they have no encoder."""
    rows, columns, *rest = image.samples.shape
    size = image.samples.itemsize
    count = size * (rest[0] if rest else 1)
    each = image.samples.astype(image.samples.dtype.newbyteorder(">")).view(np.uint8)
    planes = np.ascontiguousarray(np.moveaxis(each.reshape(rows, columns, count), 2, 0))
    segments = [imagecodecs.packbits_encode(plane) for plane in planes]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    offsets = np.cumsum([64, *map(len, segments)])[:count]
    header = np.zeros(16, "<u4")
    header[: count + 1] = [count, *offsets]
    return header.tobytes() + b"".join(segments)


def jpeg_encode(image: Image, level: float | None = None, **how: Any) -> bytes:
    if image.samples.ndim == 3 and not how.get("lossless"):
        how["subsampling"] = "422"
    return imagecodecs.jpeg8_encode(
        image.samples, level=QUALITY, bitspersample=None if image.bits <= 8 else image.bits, **how
    )


def jpeg_decode(codestream: bytes, image: Image) -> np.ndarray:
    return imagecodecs.jpeg8_decode(codestream)


def jpeg2k_encode(image: Image, level: float | None = None, *, reversible: bool = True) -> bytes:
    return imagecodecs.jpeg2k_encode(
        image.samples,
        level=level or 0,
        codecformat="j2k",
        bitspersample=image.bits,
        reversible=reversible,
        numthreads=1,
    )


def htj2k_encode(image: Image, level: float | None = None, *, reversible: bool = True) -> bytes:
    return imagecodecs.htj2k_encode(image.samples, level=level, reversible=reversible)


CODECS = [
    Codec(
        "RLE",
        "1.2.840.10008.1.2.5",
        rle_decode,
        rle_encode,
    ),
    Codec("deflated frame", "1.2.840.10008.1.2.8.1", raw_inflate, raw_deflate),
    Codec(
        "JPEG baseline",
        "1.2.840.10008.1.2.4.50",
        jpeg_decode,
        jpeg_encode,
        lossless=False,
        options={"quality": QUALITY},
        bits=8,
    ),
    Codec(
        "JPEG extended",
        "1.2.840.10008.1.2.4.51",
        jpeg_decode,
        jpeg_encode,
        lossless=False,
        options={"quality": QUALITY},
        bits=12,
    ),
    Codec(
        "JPEG lossless SV1",
        "1.2.840.10008.1.2.4.70",
        jpeg_decode,
        functools.partial(jpeg_encode, lossless=True, predictor=1),
    ),
    Codec(
        "JPEG-LS",
        "1.2.840.10008.1.2.4.80",
        lambda codestream, image: imagecodecs.jpegls_decode(codestream),
        lambda image, level=None: imagecodecs.jpegls_encode(image.samples),
    ),
    Codec(
        "JPEG-LS near",
        "1.2.840.10008.1.2.4.81",
        lambda codestream, image: imagecodecs.jpegls_decode(codestream),
        lambda image, level=None: imagecodecs.jpegls_encode(image.samples, level=NEAR),
        lossless=False,
        options={"near": NEAR},
    ),
    Codec(
        "JPEG 2000",
        "1.2.840.10008.1.2.4.90",
        lambda codestream, image: imagecodecs.jpeg2k_decode(codestream, numthreads=1),
        jpeg2k_encode,
    ),
    Codec(
        "JPEG 2000 lossy",
        "1.2.840.10008.1.2.4.91",
        lambda codestream, image: imagecodecs.jpeg2k_decode(codestream, numthreads=1),
        functools.partial(jpeg2k_encode, reversible=False),
        lossless=False,
        options={"ratio": RATIO},
        levels=(20.0, 110.0),
    ),
    Codec(
        "HTJ2K",
        "1.2.840.10008.1.2.4.201",
        lambda codestream, image: imagecodecs.htj2k_decode(codestream),
        htj2k_encode,
    ),
    Codec(
        "HTJ2K lossy",
        "1.2.840.10008.1.2.4.203",
        lambda codestream, image: imagecodecs.htj2k_decode(codestream),
        functools.partial(htj2k_encode, reversible=False),
        lossless=False,
        options={"ratio": RATIO},
        levels=(0.5, 1e-5),
    ),
    Codec(
        "JPEG XL",
        "1.2.840.10008.1.2.4.110",
        lambda codestream, image: imagecodecs.jpegxl_decode(codestream, numthreads=1),
        lambda image, level=None: imagecodecs.jpegxl_encode(
            image.samples, lossless=True, effort=3, bitspersample=image.bits, numthreads=1
        ),
        encodes=False,
    ),
]


def images() -> list[Image]:
    def pixels(name: str) -> np.ndarray:
        path = pydicom.data.get_testdata_file(name, download=False)
        assert path, f"pydicom-data has no {name}"
        return pydicom.dcmread(path).pixel_array

    # Stored signed, but no sample of it is below 0 once the padding outside of the circle is.
    ct = np.maximum(pixels("693_UNCR.dcm"), 0).astype(np.uint16)
    ultrasound = pixels("US1_UNCR.dcm")
    mosaic = np.concatenate([np.concatenate([ultrasound] * 2, axis=1)] * 2, axis=0)
    return [
        Image("CT", ct, 14),
        Image("MR", pixels("MR2_UNCR.dcm").astype(np.uint16), 12),
        Image("CR", pixels("RG1_UNCR.dcm").astype(np.uint16), 15),
        Image("US", np.ascontiguousarray(mosaic), 8),
    ]


def fitting(codec: Codec, image: Image) -> Image:
    """The image in as many bits as the codec takes."""
    if image.bits <= codec.bits:
        return image
    assert image.samples.max() < 1 << image.bits
    samples = image.samples >> (image.bits - codec.bits)
    kind = np.uint8 if codec.bits == 8 else np.uint16
    return Image(f"{image.name} in {codec.bits} bits", samples.astype(kind), codec.bits)


def our_encode(codec: Codec, image: Image, samples: bytes, **how: Any) -> bytes:
    options = json.dumps(codec.options or {}).encode()
    return _core.encode_frame(
        samples, image.format, transfer_syntax_uid=codec.uid, options_json=options, **how
    )[0]


def our_decode(codec: Codec, image: Image, codestream: bytes, **how: Any) -> bytes:
    return _core.decode_frame(codestream, image.format, transfer_syntax_uid=codec.uid, **how)[0]


def theirs_as_long(codec: Codec, image: Image, wanted: int) -> Callable[[], bytes]:
    """Their encoder with the level that makes its codestream as long as ours."""
    if codec.levels is None:
        return lambda: codec.encode(image)
    low, high = codec.levels
    for _ in range(14):
        # The one of HTJ2K is a step of quantization, best halved on a logarithmic scale.
        level = (low * high) ** 0.5 if high < low else (low + high) / 2
        length = len(codec.encode(image, level))
        low, high = (level, high) if length < wanted else (low, level)
        if abs(length - wanted) < wanted / 50:
            break
    return lambda: codec.encode(image, level)


def error(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.sqrt(np.mean((left.astype(np.float64) - right.astype(np.float64)) ** 2)))


@dataclass
class Pair:
    """The same work for both."""

    direction: str
    ours: Callable[..., object]
    theirs: Callable[[], object]


def pairs(codec: Codec, image: Image) -> list[Pair]:
    """What is timed, once both have been shown to do the same."""
    samples = image.samples.astype(image.samples.dtype.newbyteorder("<")).tobytes()

    def decoded(codestream: bytes) -> np.ndarray:
        ours = our_decode(codec, image, codestream)
        found = np.frombuffer(ours, image.samples.dtype).reshape(image.samples.shape)
        theirs = codec.decode(codestream, image)
        apart = np.abs(found.astype(np.int32) - theirs)
        if codec.name == "HTJ2K lossy":
            # It is decoded in floating point, where rounding differs; and imagecodecs makes black
            # of values beyond white.
            apart = apart[(apart > 1) & (apart < (1 << image.bits) - 1)]
        assert not apart.any(), f"{codec.name} of {image.name}: decoded {apart.max()} apart"
        return found

    if not codec.encodes:
        codestream = codec.encode(image)
        assert np.array_equal(decoded(codestream), image.samples)
        return [decoding(codec, image, codestream)]
    codestream = our_encode(codec, image, samples)
    found = decoded(codestream)
    their_encode = theirs_as_long(codec, image, len(codestream))
    other = their_encode()
    if codec.lossless:
        assert np.array_equal(found, image.samples), f"{codec.name} of {image.name}: not lossless"
    else:
        assert 0.9 < len(codestream) / len(other) < 1.1, (len(codestream), len(other))
        assert error(found, image.samples) <= 1.1 * error(decoded(other), image.samples) + 0.05
    return [
        decoding(codec, image, codestream),
        Pair("encode", functools.partial(our_encode, codec, image, samples), their_encode),
    ]


def decoding(codec: Codec, image: Image, codestream: bytes) -> Pair:
    return Pair(
        "decode",
        functools.partial(our_decode, codec, image, codestream),
        functools.partial(codec.decode, codestream, image),
    )


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
clock = time.perf_counter


def times_of(work: Callable[[], object]) -> int:
    """How often the work fits into a round."""
    start = time.perf_counter()
    work()
    return max(1, int(ROUND_S / (time.perf_counter() - start)))


def alternately(works: list[Callable[[], object]], rounds: int) -> list[float]:
    """Seconds of one call of each, the best of some rounds, which take turns."""
    counts = [times_of(work) for work in works]
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for index, (work, count) in enumerate(zip(works, counts, strict=True)):
            start = clock()
            for _ in range(count):
                work()
            best[index] = min(best[index], (clock() - start) / count)
    return best


def batch(work: Callable[[], object], count: int) -> tuple[float, float]:
    """Seconds of one call when all processors work, and CPU seconds for one of wall."""
    with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
        list(pool.map(lambda _: work(), range(CORES)))
        cpu, start = cpu_seconds(), time.perf_counter()
        list(pool.map(lambda _: work(), range(count)))
        wall = time.perf_counter() - start
        return wall / count, (cpu_seconds() - cpu) / wall


def children() -> list[int]:
    """The helpers: of all threads, some of which end meanwhile."""
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError):
            found += [int(pid) for pid in path.read_text().split()]
    return found


def cpu_seconds() -> float:
    """Of this process and its helpers."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    total = usage.ru_utime + usage.ru_stime
    for pid in children():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def pss_bytes() -> int:
    """Of this process and its helpers."""
    total = 0
    for pid in ("self", *children()):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) << 10
    return total


def measure(pair: Pair, image: Image, rounds: int) -> dict[str, float]:
    megabytes = image.samples.nbytes / 1e6
    ours, theirs = alternately([pair.ours, pair.theirs], rounds)
    count = CORES * max(2, int(3 * ROUND_S / ours))
    # Taken twice in turn: a pause of the machine hits one of them.
    batches = [(batch(pair.ours, count), batch(pair.theirs, count)) for _ in range(2)]
    (our_batch, cpu), (their_batch, _) = (min(side) for side in zip(*batches, strict=True))
    found = {
        "vna": megabytes / ours,
        "imagecodecs": megabytes / theirs,
        "ratio": theirs / ours,
        "vna_batch": megabytes / our_batch,
        "imagecodecs_batch": megabytes / their_batch,
        "batch_ratio": their_batch / our_batch,
        "cpu_per_wall": cpu,
    }
    if HELPERS:
        helped = functools.partial(pair.ours, **HELPERS)
        in_helper = alternately([helped], rounds)[0]
        helped_batch, helped_cpu = min(batch(helped, count) for _ in range(2))
        found |= {
            "helper": megabytes / in_helper,
            "helper_ratio": ours / in_helper,
            "helper_batch": megabytes / helped_batch,
            "helper_cpu_per_wall": helped_cpu,
            "pss_mb": pss_bytes() / 1e6,
        }
    return found


# What a call takes to run in a helper process.
HELPERS: dict[str, Any] = {"helper_command": helper_command()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="codecs whose name begins so")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    assert not _core.DEBUG
    global clock
    clock = CLOCKS[arguments.clock]

    figures: dict[str, object] = {
        "imagecodecs": imagecodecs.version(),
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {CORES} cores",
    }
    print(f"imagecodecs {imagecodecs.version().split(',')[0]}; MB/s of samples")
    columns = ("vna", "imagecodecs", "ratio", "batch", "theirs", "ratio", "CPU/wall")
    helped = ("helper", "of ours", "batch", "CPU/wall", "PSS MB")
    heads = "".join(f"{name:>12}" for name in (*columns, *(helped if HELPERS else ())))
    print(f"{'':<42}{heads}")
    known = {syntax["uid"]: syntax for syntax in json.loads(_core.pixel_syntaxes())}
    below = []
    for codec in CODECS:
        if not codec.name.lower().startswith(arguments.only.lower()):
            continue
        assert known[codec.uid]["decodes"], f"no codec for {codec.name}"
        for image in images():
            fitted = fitting(codec, image)
            if codec.bits == 12 and fitted.bits <= 8:
                continue
            for pair in pairs(codec, fitted):
                found = measure(pair, fitted, arguments.rounds)
                name = f"{codec.name}, {fitted.name}, {pair.direction}"
                figures[name] = found
                print(f"{name:<42}" + "".join(f"{v:>12,.2f}" for v in found.values()), flush=True)
                if found["ratio"] < PROMISE:
                    below.append(f"{name}: {found['ratio']:.2f}")
    print(f"below {PROMISE}: {'; '.join(below) or 'none'}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
