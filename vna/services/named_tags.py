"""Data sets by names of tags, as clients of Orthanc write them, and the DICOM JSON Model.

``{"PatientName": "A^B", "0008,0050": "1", "ScheduledProcedureStepSequence": [{...}]}`` stands for a
data set whose VRs are those of PS3.6; several values stand between backslashes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any, Literal

from vna._core import keyword, tag_for_keyword, vr_for_tag
from vna.errors import BadBody, BadParameter, BadRequest, UnknownTag

# One data set in the DICOM JSON Model (PS3.18 Annex F): tags of eight digits.
DataSet = dict[str, dict[str, Any]]

NUMBER = re.compile(r"[0-9A-Fa-f]{4}[,-]?[0-9A-Fa-f]{4}")
# Values of these hold backslashes of their own (PS3.5 §6.2).
WHOLE_TEXT = frozenset({"LT", "ST", "UT", "UR"})
INTEGERS = frozenset({"SL", "SS", "SV", "UL", "US", "UV"})
REALS = frozenset({"FD", "FL"})
BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
# What becomes of values of those.
Binary = Literal["refused", "data URI", "text"]
NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
# Sequences in sequences; no worklist item or query comes near.
MAX_DEPTH = 16
# Spellings of an absent private element are those of a request, so they are not repeated at length.
SHOWN = 64


def data_set_of(tags: Any, depth: int = 0, binary: Binary = "refused") -> DataSet:
    """Return the data set that names of tags with their values stand for.

    Binary values are refused; or they are what a data URI holds, or else the bytes of the text; or
    always the latter (`text`).

    Raises
    ------
    UnknownTag
        If a name is none of PS3.6.
    BadRequest
        If a value is not one of its VR.
    """
    if not isinstance(tags, dict):
        raise BadRequest("a data set is an object of tags with their values")
    if depth > MAX_DEPTH:
        raise BadRequest(f"sequences are nested more than {MAX_DEPTH} deep")
    found: DataSet = {}
    for name, value in tags.items():
        tag = tag_of(name)
        # Group lengths say what the encoding will say anew.
        if tag & 0xFFFF:
            found[f"{tag:08X}"] = attribute(name, vr_of(tag, binary), value, depth, binary)
    return found


def vr_of(tag: int, binary: Binary) -> str:
    """Return the VR of an element; that of a private creator where binary values are taken."""
    is_creator = tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF
    return "LO" if is_creator and binary != "refused" else vr_for_tag(tag)


def tag_of(name: str) -> int:
    """Return the tag that is written by keyword or number; raises UnknownTag."""
    if NUMBER.fullmatch(name):
        return int(re.sub("[,-]", "", name), 16)
    tag = tag_for_keyword(name)
    if tag is None:
        raise UnknownTag(f"{name[:SHOWN]!r} is no tag")
    return tag


def attribute(name: str, vr: str, value: Any, depth: int, binary: Binary) -> dict[str, Any]:
    """Return one attribute of the model."""
    if vr == "SQ":
        items = value if isinstance(value, list) else [] if value in (None, "") else [value]
        return {"vr": vr, "Value": [data_set_of(item, depth + 1, binary) for item in items]}
    if vr in BINARY and binary != "refused":
        return {"vr": vr, "InlineBinary": inline(name, value, binary)}
    if vr in BINARY:
        raise BadRequest(f"{name[:SHOWN]} has binary values (VR {vr}); those cannot be given here")
    if isinstance(value, list):
        values = value
    elif isinstance(value, str) and vr not in WHOLE_TEXT:
        values = value.split("\\")
    else:
        values = [value]
    written = [written_value(name, vr, each) for each in values]
    return {"vr": vr, "Value": written} if any(each is not None for each in written) else {"vr": vr}


def inline(name: str, value: Any, binary: Binary) -> str:
    """Return a binary value in Base64; raises BadParameter, BadBody."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadParameter(f"{name[:SHOWN]} takes text or a data URI")
    if binary == "text" or not value.startswith("data:"):
        return base64.b64encode(value.encode()).decode()
    head, comma, payload = value.partition(",")
    if not (comma and head.endswith(";base64")):
        raise BadBody(f"{name[:SHOWN]} is no data URI with Base64: data:TYPE;base64,...")
    return payload


def written_value(name: str, vr: str, value: Any) -> Any:
    """Return one value as the model has it."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise BadRequest(f"{name[:SHOWN]} (VR {vr}) takes text or numbers")
    if vr == "PN":
        groups = zip(NAME_GROUPS, str(value).split("="), strict=False)
        return {group: text for group, text in groups if text} or None
    if vr in INTEGERS or vr in REALS:
        number: Callable[[Any], int | float] = int if vr in INTEGERS else float
        try:
            return number(value)
        except (ValueError, OverflowError):
            raise BadRequest(f"{name[:SHOWN]} (VR {vr}) takes numbers, not {value!r}") from None
    return str(value)


def tags_of(data_set: DataSet, form: str = "simplify") -> dict[str, Any]:
    """Return a data set by names of its tags (`simplify`), numbers (`short`), or both (`full`)."""
    return {
        tag_name(tag, form): shown(tag, attribute, form)
        for tag, attribute in data_set.items()
        if attribute["vr"] not in BINARY
    }


def tag_name(tag: str, form: str) -> str:
    """Return how a tag is written in a form."""
    by_number = f"{tag[:4]},{tag[4:]}".lower()
    return by_number if form != "simplify" else keyword(int(tag, 16)) or by_number


def shown(tag: str, attribute: dict[str, Any], form: str) -> Any:
    """Return a value as clients of Orthanc read it."""
    value: Any
    if attribute["vr"] == "SQ":
        value = [tags_of(item, form) for item in attribute.get("Value", ())]
    else:
        value = "\\".join(text_of(each) for each in attribute.get("Value", ()))
    if form != "full":
        return value
    kind = "Sequence" if attribute["vr"] == "SQ" else "String"
    return {"Name": keyword(int(tag, 16)) or "Unknown Tag & Data", "Type": kind, "Value": value}


def text_of(value: Any) -> str:
    """Return one value of the model as text; a name with its groups."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return "=".join(value.get(group, "") for group in NAME_GROUPS).rstrip("=")
    return str(value)


# Reading values of a data set.


def values(data_set: DataSet, tag: str) -> list[Any]:
    """Return the values of an attribute; none if it is not there."""
    return list(data_set.get(tag, {}).get("Value", ()))


def text(data_set: DataSet, tag: str) -> str:
    """Return the first value of an attribute as text without padding; empty if there is none."""
    return text_of(next(iter(values(data_set, tag)), None)).strip()
