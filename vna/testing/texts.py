"""Text in the character sets of PS3.3 §C.12.1.1.2: alphabets, and how to write them.

Encodes with Python's codecs and the escape sequences of PS3.5 §6.1.2.5; shares no table with the
archive.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from hypothesis import strategies as st

ASCII = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "\\^=")

# Defined terms without code extensions -> codec.
SINGLE = {
    "ISO_IR 100": "latin_1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 166": "tis_620",
}
# Single-byte sets that a value may switch to: term -> (codec, escape that names it G1).
SWITCHED = {
    "ISO 2022 IR 100": ("latin_1", b"\x1b-A"),
    "ISO 2022 IR 101": ("iso8859_2", b"\x1b-B"),
    "ISO 2022 IR 109": ("iso8859_3", b"\x1b-C"),
    "ISO 2022 IR 110": ("iso8859_4", b"\x1b-D"),
    "ISO 2022 IR 126": ("iso8859_7", b"\x1b-F"),
    "ISO 2022 IR 127": ("iso8859_6", b"\x1b-G"),
    "ISO 2022 IR 138": ("iso8859_8", b"\x1b-H"),
    "ISO 2022 IR 144": ("iso8859_5", b"\x1b-L"),
    "ISO 2022 IR 148": ("iso8859_9", b"\x1b-M"),
    "ISO 2022 IR 166": ("tis_620", b"\x1b-T"),
}
# Multi-byte sets: term -> escape. The first two take the place of ASCII (G0), the others stand
# beside it (G1).
JAPANESE = {"ISO 2022 IR 87": b"\x1b$B", "ISO 2022 IR 159": b"\x1b$(D"}
BESIDE = {"ISO 2022 IR 149": b"\x1b$)C", "ISO 2022 IR 58": b"\x1b$)A"}
TO_ASCII = b"\x1b(B"
WHOLE = {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk"}


@dataclass(frozen=True)
class CharacterSet:
    """What a Specific Character Set (0008,0005) allows, by its values joined with backslashes."""

    terms: str

    @property
    def values(self) -> tuple[str, ...]:
        """The values of the element; none for the default repertoire."""
        return tuple(self.terms.split("\\")) if self.terms else ()

    @property
    def alphabet(self) -> str:
        """Letters beyond ASCII that it can write; none for the default repertoire."""
        return _alphabet(self.terms)

    def encode(self, text: str, *, delimiters: str = "\\") -> bytes:
        """Encode `text`. At each of `delimiters` the value is back in its first character set."""
        if self.terms in WHOLE:
            return text.encode(WHOLE[self.terms])
        if self.terms in SINGLE:
            return text.encode(SINGLE[self.terms])
        if not self.terms:
            return text.encode("ascii")
        parts = [""]
        for character in text:
            if character in delimiters:
                parts += [character, ""]
            else:
                parts[-1] += character
        return b"".join(map(self._encode_part, parts))

    def _encode_part(self, text: str) -> bytes:
        """Encode what stands between two delimiters."""
        first, *others = self.values or [""]
        state = {"g0": TO_ASCII, "g1": SWITCHED[first][1] if first in SWITCHED else b""}
        encoded = b""
        for character in text:
            code, plane, escape = _code(character, first, tuple(others))
            if escape and state[plane] != escape:
                encoded += escape
                state[plane] = escape
            encoded += code
        return encoded + (TO_ASCII if state["g0"] != TO_ASCII else b"")


def _code(character: str, first: str, others: tuple[str, ...]) -> tuple[bytes, str, bytes]:
    """Return the code of a character, the plane it is read from, and the escape for that."""
    if character.isascii():
        return character.encode("ascii"), "g0", TO_ASCII
    for term in (first, *others):
        if term in SWITCHED:
            codec, escape = SWITCHED[term]
            if encoded := _try(character, codec):
                return encoded, "g1", escape
        elif term in JAPANESE:
            encoded = _try(character, "iso2022_jp_2")
            if encoded.startswith(JAPANESE[term]):
                code = encoded.removeprefix(JAPANESE[term]).removesuffix(TO_ASCII)
                return code, "g0", JAPANESE[term]
        elif term in BESIDE:
            codec = "euc_kr" if term == "ISO 2022 IR 149" else "gb2312"
            if encoded := _try(character, codec):
                return encoded, "g1", BESIDE[term]
    raise ValueError(f"{character!r} is in none of {(first, *others)}")


def _try(character: str, codec: str) -> bytes:
    try:
        return character.encode(codec)
    except UnicodeEncodeError:
        return b""


@cache
def _alphabet(terms: str) -> str:
    letters = ""
    for term in terms.split("\\"):
        if term in SINGLE or term in SWITCHED:
            codec = SINGLE.get(term) or SWITCHED[term][0]
            letters += bytes(range(0xA1, 0x100)).decode(codec, "ignore")
        elif term in JAPANESE:
            rows = (0x24, 0x25, 0x30, 0x31) if term == "ISO 2022 IR 87" else (0x30, 0x31)
            pairs = (bytes((row, cell)) for row in rows for cell in range(0x21, 0x7F))
            letters += _decoded(
                (JAPANESE[term] + pair + TO_ASCII for pair in pairs), "iso2022_jp_2"
            )
        elif term in BESIDE:
            codec = "euc_kr" if term == "ISO 2022 IR 149" else "gb2312"
            letters += _decoded(_pairs((0xB0, 0xB1, 0xB2), range(0xA1, 0xFF)), codec)
        elif term == "ISO_IR 192":
            letters += "äßñłžΩЖשعไ한漢字かナ🩻"
        elif term in WHOLE:
            # 0x5C as second byte, too: a backslash only to those who split before they decode.
            letters += _decoded(_pairs((0x81, 0xB0, 0xB1), range(0x40, 0x7F)), WHOLE[term])
    return "".join(letter for letter in dict.fromkeys(letters) if letter.isprintable())


def _pairs(rows: Iterable[int], cells: Iterable[int]) -> list[bytes]:
    cells = list(cells)
    return [bytes((row, cell)) for row in rows for cell in cells]


def _decoded(codes: Iterable[bytes], codec: str) -> str:
    return "".join(code.decode(codec, "ignore") for code in codes)


DEFAULT = CharacterSet("")
CHARACTER_SETS = tuple(
    CharacterSet(terms)
    for terms in (
        "",
        *SINGLE,
        *WHOLE,
        "\\ISO 2022 IR 87",
        "\\ISO 2022 IR 87\\ISO 2022 IR 159",
        "\\ISO 2022 IR 149",
        "\\ISO 2022 IR 58",
        "ISO 2022 IR 100\\ISO 2022 IR 126",
        "ISO 2022 IR 101\\ISO 2022 IR 144\\ISO 2022 IR 87",
    )
)


def character_sets() -> st.SearchStrategy[CharacterSet]:
    """Strategy for character sets: the default, single-byte, ISO 2022 with escapes, UTF-8, GB."""
    return st.sampled_from(CHARACTER_SETS)


def texts(
    character_set: CharacterSet = DEFAULT, *, min_size: int = 0, max_bytes: int = 64
) -> st.SearchStrategy[str]:
    """Strategy for text without control characters and delimiters, of at most `max_bytes`.

    It neither begins nor ends with a space, since readers may take those for padding.
    """
    return _texts(character_set, min_size, max_bytes)


@cache  # a strategy that is made anew for each draw costs more than the draw
def _texts(character_set: CharacterSet, min_size: int, max_bytes: int) -> st.SearchStrategy[str]:
    # An escape costs up to four bytes each way, a character up to four.
    longest = max_bytes if not character_set.terms else max(1, max_bytes // 12)
    letters = ASCII + " " + character_set.alphabet
    return (
        st.text(letters, min_size=min_size, max_size=longest)
        .map(lambda text: text.strip(" "))
        .filter(lambda text: len(text) >= min_size)
    )
