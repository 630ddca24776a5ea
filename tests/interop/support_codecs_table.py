"""The table codec x direction x oracle: what must be shown, what cannot be, and what differs."""

from collections.abc import Callable
from dataclasses import dataclass, field

from support_codecs import ORACLES, SYNTAXES, Case

DIRECTIONS = ("they decode", "they encode")

shown: set[tuple[str, str, str]] = set()

# (codec, direction, oracle): why there is nothing to compare with.
NOT_THERE = {
    ("RLE Lossless", "they encode", "imagecodecs"): "reads RLE only",
}


def absent(oracle, ways, names, why):
    NOT_THERE.update({(name, way, oracle): why for name in names for way in ways})


absent(
    "DCMTK",
    DIRECTIONS,
    [
        "Deflated Image Frame Compression",
        "JPEG 2000 Lossless",
        "JPEG 2000",
        "HTJ2K Lossless",
        "HTJ2K Lossless RPCL",
        "HTJ2K",
        "JPEG XL Lossless",
        "JPEG XL",
    ],
    "has no such codec",
)
absent(
    "GDCM",
    DIRECTIONS,
    [
        "Deflated Image Frame Compression",
        "JPEG Spectral Selection",
        "JPEG Full Progression",
        "HTJ2K Lossless",
        "HTJ2K Lossless RPCL",
        "HTJ2K",
        "JPEG XL Lossless",
        "JPEG XL",
    ],
    "has no such codec",
)
absent(
    "pydicom",
    DIRECTIONS,
    [
        "Deflated Image Frame Compression",
        "JPEG Spectral Selection",
        "JPEG Full Progression",
        "JPEG XL Lossless",
        "JPEG XL",
    ],
    "knows no such codec",
)
absent(
    "pydicom",
    ["they decode"],
    ["JPEG Extended", "JPEG Lossless", "JPEG Lossless SV1"],
    "has GDCM alone for it (12 bits)",
)
absent("GDCM", ["they encode"], ["JPEG Extended"], "writes one of 16 bits, which there is none")
absent(
    "pydicom",
    ["they encode"],
    [
        "JPEG Baseline",
        "JPEG Extended",
        "JPEG Lossless",
        "JPEG Lossless SV1",
        "HTJ2K Lossless",
        "HTJ2K Lossless RPCL",
        "HTJ2K",
    ],
    "has no such encoder",
)
DECODED_ONLY = ["JPEG Spectral Selection", "JPEG Full Progression", "JPEG XL Lossless", "JPEG XL"]
for one in ORACLES:
    absent(one.name, ["they decode"], DECODED_ONLY, "we only decode it")


@dataclass
class Unlike:
    """Where an oracle does otherwise, and why it is not followed."""

    oracle: str
    direction: str
    codecs: tuple[str, ...]
    applies: Callable[[Case], bool]
    why: str
    met: bool = field(default=False, compare=False)


def tiny(case):
    return case.rows == 1


# Reviewed: each is a limit or a fault of the oracle; the others agree with us on the same frames.
UNLIKE = [
    Unlike(
        "GDCM",
        "they decode",
        ("RLE Lossless",),
        lambda case: tiny(case) or case.stored == 32 or case.colour == "PALETTE COLOR",
        "reads no RLE of one row, of 32 bits, or with a palette",
    ),
    Unlike(
        "GDCM",
        "they decode",
        ("RLE Lossless",),
        lambda case: case.samples_per_pixel == 3 and case.stored == 16,
        "puts the segments of RLE in RGB of 16 bits in another order than PS3.5 §G.2",
    ),
    Unlike(
        "GDCM",
        "they encode",
        ("RLE Lossless", "JPEG Baseline", "JPEG Lossless", "JPEG Lossless SV1"),
        lambda case: case.allocated == 8 and case.rows * case.columns % 2 == 1,
        "takes no native frame with a byte of padding behind it",
    ),
    Unlike(
        "GDCM",
        "they encode",
        ("JPEG-LS Lossless", "JPEG 2000 Lossless"),
        tiny,
        "takes no image of one row",
    ),
    Unlike(
        "GDCM",
        "they encode",
        ("JPEG 2000 Lossless",),
        lambda case: case.shape == (11, 13, 3) or case.colour == "PALETTE COLOR",
        "takes no RGB of 16 bits and no palettes",
    ),
    Unlike(
        "pydicom",
        "they encode",
        ("RLE Lossless",),
        lambda case: case.stored == 32,
        "lets RLE have no 32 bits, as PS3.5 §8.2.2 does since 2024; stored ones are read",
    ),
    Unlike(
        "pydicom",
        "they encode",
        ("JPEG-LS Lossless",),
        tiny,
        "pyjpegls makes too little room for so few pixels",
    ),
    Unlike(
        "pydicom",
        "they encode",
        ("JPEG 2000 Lossless", "JPEG 2000"),
        lambda case: min(case.rows, case.columns) < 32,
        "pylibjpeg-openjpeg always asks for six resolutions, which take 32 rows and columns",
    ),
]


def unlike(uid, case, direction, oracle):
    """Whether the list has a reason not to compare."""
    found = [
        entry
        for entry in UNLIKE
        if SYNTAXES[uid]["name"] in entry.codecs
        and entry.applies(case)
        and (entry.direction, entry.oracle) == (direction, oracle)
    ]
    for entry in found:
        entry.met = True
    return bool(found)


def table():
    """Return lines that show which cells were shown."""
    names = sorted({name for name, _, _ in shown})
    width = max(map(len, names)) + 2
    lines = [f"{'':{width}}" + "".join(f"{one.name:>26}" for one in ORACLES)]
    lines.append(f"{'':{width}}" + "".join(f"{'decodes':>13}{'encodes':>13}" for _ in ORACLES))
    for name in names:
        marks = [mark((name, way, one.name)) for one in ORACLES for way in DIRECTIONS]
        lines.append(f"{name:{width}}" + "".join(f"{one:>13}" for one in marks))
    return lines


def mark(cell):
    if cell in NOT_THERE:
        return "we cannot" if NOT_THERE[cell].startswith("we ") else "no such"
    return "same" if cell in shown else "EMPTY"
