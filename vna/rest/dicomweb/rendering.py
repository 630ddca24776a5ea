"""What a request says of how pictures are to be made (PS3.18 §8.3.5.1, §9.5.1)."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING, Any

import msgspec

from vna.errors import BadParameter, BadRequest
from vna.rest.pictures import MAX_SIDE
from vna.services.archive import TagsRequest
from vna.services.pictures import PictureRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vna.rest.requests import Call
    from vna.services.pictures import Colours, Form

FUNCTIONS = ("linear", "linear-exact", "sigmoid")
ANNOTATIONS = ("patient", "technique")
KEYWORD = re.compile(r"[a-z][a-z0-9_-]{0,31}")
ICC_PROFILES: dict[str, Colours | None] = {
    "no": None,
    "yes": "own",
    "srgb": "srgb",
    "adobergb": "adobergb",
    "rommrgb": "rommrgb",
}
# Colours that a file which says nothing of them is taken to have.
USUAL_COLOURS = (None, "own", "srgb")
# Without one of its own, a picture shows what is wanted of these.
PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
# What is said of how an image was taken, with units.
TECHNIQUE = (
    ("Modality", ""),
    ("StudyDate", ""),
    ("SeriesDescription", ""),
    ("SeriesNumber", "series"),
    ("InstanceNumber", "image"),
    ("BodyPartExamined", ""),
    ("KVP", "kV"),
    ("XRayTubeCurrent", "mA"),
    ("ExposureTime", "ms"),
    ("RepetitionTime", "TR"),
    ("EchoTime", "TE"),
    ("SliceThickness", "mm"),
)
LONGEST_LINE = 64


def viewport(text: str | None) -> dict[str, Any]:
    """Return what `viewport=vw,vh,sx,sy,sw,sh` asks for; the last four may be missing or empty.

    Raises BadParameter if it is no viewport (PS3.18 §8.3.5.1.3).
    """
    if text is None:
        return {}
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (2, 3, 4, 5, 6):
        raise refused("viewport", text, "a width and a height, and up to four numbers of a region")
    width, height = (side("viewport", text, part) for part in parts[:2])
    wanted: dict[str, Any] = {"width": width, "height": height}
    if any(parts[2:]):
        wanted["region"] = source_region(text, *(*parts[2:], "", "", "", "")[:4])
    return wanted


def source_region(text: str, x: str, y: str, columns: str, rows: str) -> tuple[int, int, int, int]:
    """Return the part of the image that is shown; 0 columns or rows are all up to its edge.

    Of the corner absolute values count; negative columns or rows turn the image over.
    """
    left, top = (abs(pixels("viewport", text, part or "0")) for part in (x, y))
    width, height = (pixels("viewport", text, part or "0") for part in (columns, rows))
    if (columns and not width) or (rows and not height):
        raise refused("viewport", text, "a region of one pixel at least")
    return left, top, width, height


def side(name: str, whole: str, text: str) -> int:
    """Return how many pixels a picture has at most from left to right, or down."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or not 1 <= int(text) < MAX_SIDE:
        raise refused(name, whole, "whole numbers from 1 on")
    return int(text)


def pixels(name: str, whole: str, text: str) -> int:
    """Return a number of pixels; of a fraction the nearest."""
    found = finite(name, whole, text)
    if not abs(found) < MAX_SIDE:
        raise refused(name, whole, "numbers of pixels")
    return round(found)


def finite(name: str, whole: str, text: str) -> float:
    """Return a decimal number of a parameter; raises BadParameter if it is none."""
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", text, re.ASCII):
        raise refused(name, whole, "numbers")
    found = float(text)
    if not math.isfinite(found):
        raise refused(name, whole, "numbers")
    return found


def refused(name: str, text: str, takes: str) -> BadParameter:
    """Return the error for a parameter that is not understood."""
    return BadParameter(f"parameter {name} is {text[:64]!r}; it takes {takes}")


def window(text: str | None) -> dict[str, Any]:
    """Return what `window=center,width,function` asks for (PS3.18 §8.3.5.1.4)."""
    if text is None:
        return {}
    center, width, function, *more = (part.strip() for part in f"{text},,".split(","))
    if function.lower() not in FUNCTIONS or any(more):
        raise refused("window", text, f"a center, a width and one of {', '.join(FUNCTIONS)}")
    return {
        "window_center": finite("window", text, center),
        "window_width": positive("window", text, width),
        "window_function": function.lower(),
    }


def check_size_only(query: Mapping[str, str]) -> None:
    """Raise BadParameter if `viewport` names a region where it has none (PS3.18 §8.3.5.1.3)."""
    text = query.get("viewport", "")
    if text.count(",") > 1:
        raise refused("viewport", text, "a width and a height here")


def check_state(query: Mapping[str, str]) -> None:
    """Raise BadRequest if a parameter contradicts the presentation state that is shown."""
    check_size_only(query)
    if "window" in query:
        raise BadRequest("a presentation state has a window of its own", "dicomweb.window")


def positive(name: str, whole: str, text: str) -> float:
    """Return a number above 0; raises BadParameter if it is none."""
    found = finite(name, whole, text)
    if found <= 0:
        raise refused(name, whole, "a width above 0")
    return found


def quality(text: str | None, name: str = "quality") -> dict[str, Any]:
    """Return what `quality` asks for, which WADO-URI calls otherwise (PS3.18 §8.3.5.1.2)."""
    if text is None:
        return {}
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:4]) <= 100):
        raise refused(name, text, "1 to 100")
    return {"quality": int(text)}


def asked_annotations(text: str | None) -> tuple[list[str], list[str]]:
    """Return which annotations are asked for, and those of them that there are not.

    Raises BadParameter for what is no keyword (PS3.18 §8.3.5.1.1).
    """
    if text is None:
        return [], []
    asked = dict.fromkeys(part.strip().lower() for part in text.split(","))
    if not all(map(KEYWORD.fullmatch, asked)):
        raise refused("annotation", text, ", ".join(ANNOTATIONS))
    known = [name for name in asked if name in ANNOTATIONS]
    return known, [name for name in asked if name not in ANNOTATIONS]


def icc_profile(text: str | None, form: Form) -> dict[str, Any]:
    """Return what `iccprofile` asks for (PS3.18 §8.3.5.1.5).

    Raises BadParameter for what is none of its values, and for colours that a GIF file cannot name:
    it would be seen with others.
    """
    if text is None:
        return {}
    name = text.lower()
    if name not in ICC_PROFILES:
        raise refused("iccprofile", text, ", ".join(ICC_PROFILES))
    colours = ICC_PROFILES[name]
    if form == "gif" and colours not in USUAL_COLOURS:
        raise BadParameter(f"a GIF file has no colour profile, so none of {text[:16]!r}")
    return {} if colours is None else {"colours": colours}


async def size_of(call: Call, public_id: str) -> tuple[int, int]:
    """Return columns and rows of an image; 0 of what has none."""
    request = TagsRequest(form="simplified")
    tags = msgspec.json.decode(
        await call.archive.tags("instances", public_id, request, call.caller)
    )
    columns, rows = (str(tags.get(name, "0")) for name in ("Columns", "Rows"))
    return (int(columns), int(rows)) if columns.isdecimal() and rows.isdecimal() else (0, 0)


def relative_region(text: str, columns: int, rows: int) -> tuple[int, int, int, int]:
    """Return the part between two corners, given in parts of the image (PS3.18 §9.5.1.5)."""
    corners = [finite("region", text, part.strip()) for part in text.split(",")]
    if len(corners) != 4 or not all(0 <= corner <= 1 for corner in corners):
        raise refused("region", text, "four numbers from 0 to 1")
    left, top, right, bottom = corners
    if left >= right or top >= bottom:
        raise refused("region", text, "the upper left corner before the lower right one")
    x, y = round(left * columns), round(top * rows)
    return (x, y, max(round(right * columns) - x, 1), max(round(bottom * rows) - y, 1))


async def annotation(call: Call, public_id: str, wanted: Sequence[str]) -> list[str]:
    """Return the lines that are written into pictures of an instance."""
    if not wanted:
        return []
    request = TagsRequest(form="simplified")
    tags = msgspec.json.decode(
        await call.archive.tags("instances", public_id, request, call.caller)
    )
    lines = []
    if "patient" in wanted:
        lines += [str(tags[name]) for name in PATIENT if tags.get(name)]
    if "technique" in wanted:
        said = ((tags.get(name), unit) for name, unit in TECHNIQUE)
        lines += [with_unit(str(value), unit) for value, unit in said if value]
    return [plain(line)[:LONGEST_LINE] for line in lines]


def with_unit(value: str, unit: str) -> str:
    """Return a value with its unit behind it, or its name before it."""
    if unit in ("series", "image", "TR", "TE"):
        return f"{unit} {value}"
    return f"{value} {unit}".rstrip()


def plain(text: str) -> str:
    """Return text in letters that the font of pictures has: accents are left out."""
    parts = unicodedata.normalize("NFKD", text.split("=")[0].replace("^", " "))
    return "".join(letter for letter in parts if not unicodedata.combining(letter)).strip()


def rendered(query: Mapping[str, str], form: Form) -> PictureRequest:
    """Return which picture the parameters of a rendered resource ask for, but for its frame."""
    wanted = viewport(query.get("viewport")) | window(query.get("window"))
    wanted |= quality(query.get("quality"))
    wanted |= icc_profile(query.get("iccprofile"), form)
    # A window that neither the header nor the client names would be a guess, black for most of CT.
    return PictureRequest(form=form, own_values=True, **wanted)
