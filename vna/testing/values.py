"""Legal values of every VR (PS3.5 §6.2)."""

from __future__ import annotations

import datetime
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import strategies as st

from vna.testing.model import Value
from vna.testing.texts import DEFAULT, CharacterSet, texts

INTEGERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q"}
FLOATS = {"FL": "f", "FD": "d"}
# Opaque VR -> bytes of the words that change places in big endian.
OPAQUE = {"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
TEXT = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
ONE_VALUE = ("LT", "ST", "UR", "UT")
STRINGS = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR", *TEXT)
VRS = (*STRINGS, "AT", *INTEGERS, *FLOATS, *OPAQUE)

# What a value of each VR may take, in characters.
LONGEST = {"AE": 16, "SH": 16, "LO": 64, "UC": 80, "LT": 200, "ST": 200, "UT": 200}


def uids() -> st.SearchStrategy[str]:
    """Strategy for UIDs of the standard's form (PS3.5 §9), all below one root."""
    component = st.integers(0, 10**9).map(str)
    return st.lists(component, min_size=1, max_size=5).map(lambda rest: ".".join(["1.2", *rest]))


def _code_strings() -> st.SearchStrategy[str]:
    return st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", min_size=1, max_size=16)


def _dates() -> st.SearchStrategy[str]:
    return st.dates(datetime.date(1850, 1, 1)).map(lambda day: f"{day:%Y%m%d}")


def _times() -> st.SearchStrategy[str]:
    # Hours and minutes may stand alone, seconds have fractions of up to six digits.
    return st.builds(
        lambda time, length: f"{time:%H%M%S.%f}"[:length],
        st.times(),
        st.sampled_from([2, 4, 6, 8, 13]),
    )


def _date_times() -> st.SearchStrategy[str]:
    offset = st.sampled_from(["", "+0000", "-0330", "+1400"])
    return st.builds(lambda day, time, zone: day + time + zone, _dates(), _times(), offset)


def _decimals() -> st.SearchStrategy[str]:
    number = st.floats(-1e10, 1e10, allow_nan=False).map(lambda value: f"{value:.8g}")
    return number | st.integers(-(10**15), 10**15).map(str)


def _ages() -> st.SearchStrategy[str]:
    return st.builds(lambda n, unit: f"{n:03}{unit}", st.integers(0, 999), st.sampled_from("DWMY"))


def _uris() -> st.SearchStrategy[str]:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-._~"
    return st.text(letters, max_size=30).map(lambda path: f"https://example.org/{path}")


@cache
def person_names(character_set: CharacterSet = DEFAULT) -> st.SearchStrategy[str]:
    """Strategy for names (PS3.5 §6.2.1): up to five components in up to three groups."""
    component = texts(character_set, max_bytes=24)
    group = (
        st.lists(component, min_size=1, max_size=5)
        .map(lambda parts: "^".join(parts).rstrip("^"))
        .filter(bool)
    )
    return st.lists(group, min_size=1, max_size=3).map("=".join)


PLAIN: dict[str, Callable[[], st.SearchStrategy[str]]] = {
    "AS": _ages,
    "CS": _code_strings,
    "DA": _dates,
    "DS": _decimals,
    "DT": _date_times,
    "IS": lambda: st.integers(-(2**31), 2**31 - 1).map(str),
    "TM": _times,
    "UI": uids,
    "UR": _uris,
}


def values(
    vr: str,
    character_set: CharacterSet = DEFAULT,
    *,
    min_values: int = 0,
    max_values: int = 4,
) -> st.SearchStrategy[Value]:
    """Strategy for what an element of `vr` may hold; empty values among it.

    Text VRs give tuples of `str`, integers and AT tuples of `int`, FL and FD tuples of `float`,
    opaque VRs `bytes` of a whole number of their words, in little endian. Sequences are made by
    `vna.testing.data_sets`.

    Examples
    --------
    >>> values("US").example()  # doctest: +SKIP
    (512, 3)
    """
    return _values(vr, character_set if vr in TEXT else DEFAULT, min_values, max_values)


@cache  # a strategy that is made anew for each draw costs more than the draw
def _values(
    vr: str, character_set: CharacterSet, min_values: int, max_values: int
) -> st.SearchStrategy[Value]:
    if vr in OPAQUE:
        width = OPAQUE[vr]
        return st.binary(min_size=min_values * width, max_size=64).map(
            lambda found: found[: len(found) // width * width]
        )
    one: st.SearchStrategy[Any]
    if vr in INTEGERS:
        bits = 8 * struct.calcsize(INTEGERS[vr])
        low = 0 if vr.startswith("U") else -(2 ** (bits - 1))
        one = st.integers(low, low + 2**bits - 1)
    elif vr in FLOATS:
        one = st.floats(width=32 if vr == "FL" else 64, allow_nan=False)
    elif vr == "AT":
        one = st.integers(0, 0xFFFF_FFFF)
    elif vr == "PN":
        one = person_names(character_set)
    elif vr in PLAIN:
        one = PLAIN[vr]()
    elif vr == "AE":
        one = texts(min_size=1, max_bytes=16)
    elif vr in LONGEST:
        one = texts(character_set, min_size=1, max_bytes=LONGEST[vr])
    else:
        raise ValueError(f"vr is {vr!r}; {', '.join(VRS)} are known")
    most = max(1 if vr in ONE_VALUE else max_values, min_values)
    return st.lists(one, min_size=min_values, max_size=most).map(_as_tuple)


def _as_tuple(found: list[Any]) -> Value:
    return tuple(found)
