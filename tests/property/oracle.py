"""One key against one value, by PS3.4 §C.2.2.2 and nothing of the archive.

Values are those that pydicom reads.
"""

import re
import struct
import unicodedata
from decimal import Decimal

import pydicom

NUMBERS = {"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"}


def is_universal(key):
    return not key or any(part and not part.strip("*") for part in key.split("\\"))


def fold(text):
    """Return a text without case and accents; the marks of Kana make other letters, and stay."""
    marks = unicodedata.normalize("NFD", text.lower())
    bare = "".join(c for c in marks if not "\u0300" <= c <= "\u036f")
    return unicodedata.normalize("NFC", bare)


def texts_of(element):
    """Return the VR of an element and its values as text; None if it is not there."""
    if element is None:
        return "LO", None
    value = element.value
    if value is None:
        return element.VR, [""]
    many = value if isinstance(value, pydicom.multival.MultiValue) else [value]
    if element.VR in {"DS", "IS"}:
        # As they were written, so that 5.0 stays what it is.
        return element.VR, [getattr(one, "original_string", str(one)) for one in many]
    return element.VR, [str(one) for one in many]


def matches(element, key, folded):
    """Return whether an element, or None for one that is not there, matches a key."""
    vr, values = texts_of(element)
    if values is None:
        return False
    parts = [part.strip() for part in key.split("\\") if part.strip()]
    return any(one_matches(vr, part, value, folded) for part in parts for value in values)


def one_matches(vr, part, value, folded):
    if vr == "UI":
        return part == value
    if vr in {"DA", "TM"}:
        return is_in_range(span_of_day if vr == "DA" else span_of_time, part, value)
    if vr in NUMBERS and not set("*?") & set(part):
        try:
            return number(vr, part) == number(vr, value)
        except (ArithmeticError, ValueError):
            return part == value
    if vr == "PN":
        return name_matches(part, value)
    if folded:
        part, value = fold(part), fold(value)
    return is_like(part, value)


def number(vr, text):
    """Return a number as the VR can hold it."""
    if vr == "FL":
        return struct.unpack("<f", struct.pack("<f", float(text)))
    return float(text) if vr in {"DS", "FD"} else Decimal(text)


def is_like(pattern, value):
    regex = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
    return re.fullmatch(regex, value, re.DOTALL) is not None


def name_matches(part, value):
    """One group is looked for in all groups; of several each in its own (PS3.5 §6.2.1)."""

    def groups(name):
        return [
            "^".join(one.strip() for one in group.split("^")).rstrip("^")
            for group in fold(name).split("=")
        ]

    asked, found = groups(part), groups(value)
    if len(asked) == 1:
        return any(group and is_like(asked[0], group) for group in found)
    found += [""] * (len(asked) - len(found))
    pairs = zip(asked, found, strict=False)
    return all(is_like(one, group) for one, group in pairs if one)


def is_in_range(span, part, value):
    found = span(value)
    if found is None:
        return False
    asked = span(part)
    if asked:
        return asked[0] <= found[0] <= asked[1]
    low, dash, high = part.partition("-")
    low, high = (span(one) if one else "open" for one in (low, high))
    if not dash or low is None or high is None or low == high == "open":
        return part == value
    return (low == "open" or low[0] <= found[0]) and (high == "open" or found[0] <= high[1])


def span_of_day(text):
    return (int(text), int(text)) if re.fullmatch(r"\d{8}", text) else None


def span_of_time(text):
    """Return the first and the last microsecond that a TM may mean."""
    if not re.fullmatch(r"\d\d(\d\d(\d\d(\.\d{1,6})?)?)?", text):
        return None
    digits = text.replace(".", "")
    return int(digits.ljust(12, "0")), int(digits.ljust(12, "9"))
