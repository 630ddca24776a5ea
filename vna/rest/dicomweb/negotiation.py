"""Which representation a client wants: PS3.18 §8.7, on top of RFC 9110 §12.5.

A client says it in the `Accept` header or in the query parameter `accept`, which goes first. What
is asked for may be a part of a multipart body, and may name its transfer syntax:
`multipart/related; type="application/dicom"; transfer-syntax=*`. Values may be quoted or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from vna.errors import NotAcceptable
from vna.rest.accept import quality_in

if TYPE_CHECKING:
    from starlette.requests import Request

MULTIPART = "multipart/related"
ANY_SYNTAX = "*"
UTF_8 = frozenset({"utf-8", "utf8", "us-ascii", "iso_ir 192", "iso-ir-192", "iso_ir_192", "*"})
# Of editions before 2019 (PS3.18 §8.7.3.3.2, note 8).
OLD_NAMES = {"image/x-dicom-rle": "image/dicom-rle", "image/x-jls": "image/jls"}
# More media ranges than any client has; each is compared with each that is offered.
MAX_RANGES = 64
PARAMETER = re.compile(r';\s*([^\s;="]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;"]*)')


class MediaRange(NamedTuple):
    """What a client would take.

    Attributes
    ----------
    media_type : str
        In lower case, of a part if it is to be multipart: `application/dicom`, `image/*`, `*/*`.
    multipart : bool, optional
        Whether it goes into `multipart/related`; None where the client leaves it to us (`*/*`).
    transfer_syntax : str, optional
        A UID, or `*` for that in which it is stored; None: not said, which is the default of the
        media type (PS3.18 §8.7.3.5).
    quality : float
        From 0, which is never, to 1.
    parameters : dict
        The other parameters, names in lower case: `charset`, `boundary`.
    """

    media_type: str
    multipart: bool | None
    transfer_syntax: str | None
    quality: float
    parameters: dict[str, str]

    @property
    def specificity(self) -> int:
        """How much it says: of equal quality the nearer goes first (RFC 9110 §12.5.1)."""
        return self.nearness + (self.nearness == 2 and self.transfer_syntax is not None)

    @property
    def nearness(self) -> int:
        """How much it says of the media type: nothing, something, all."""
        if self.media_type == "*/*":
            return int(self.multipart is not None)
        return 1 if self.media_type.endswith("/*") else 2

    def overrules(self, other: MediaRange) -> bool:
        """Whether it gives less weight to some of what the other holds, and says it more nearly."""
        if self.quality >= other.quality:
            return False
        if self.transfer_syntax not in (None, other.transfer_syntax):
            return False
        return self.nearness > other.nearness or (
            self.quality <= 0 and self.nearness == other.nearness
        )

    def holds(self, offer: Offer) -> bool:
        """Whether it includes a form; transfer syntaxes are for the caller to compare."""
        if self.multipart is not None and self.multipart != offer.multipart:
            return False
        offered = offer.media_type.lower()  # one of them is written video/H265
        if self.media_type in ("*/*", offered):
            return True
        return self.media_type == f"{offered.partition('/')[0]}/*"


class Offer(NamedTuple):
    """A form in which an answer can be given."""

    media_type: str
    multipart: bool = False

    @property
    def text(self) -> str:
        """The form as an Accept header has it."""
        return f'{MULTIPART}; type="{self.media_type}"' if self.multipart else self.media_type


class Choice(NamedTuple):
    """What is answered: a form, and what of the request asked for it."""

    offer: Offer
    wanted: MediaRange


ANYTHING = MediaRange("*/*", None, None, 1.0, {})


def media_ranges(text: str) -> list[MediaRange]:
    """Return what the value of an Accept header names, best first; malformed parts are left out."""
    found = [read_range(part) for part in split(text)[:MAX_RANGES]]
    known = [each for each in found if each is not None]
    return sorted(known, key=lambda each: (-each.quality, -each.specificity))


def split(text: str) -> list[str]:
    """Return the parts between commas, of which quoted ones are none."""
    return re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', text)


def read_range(part: str) -> MediaRange | None:
    """Return one media range, or None if it is none."""
    name, _, rest = part.partition(";")
    name = name.strip().lower()
    if not re.fullmatch(r"[^\s/;,]+/[^\s/;,]+", name):
        return None
    parameters = parameters_of(rest)
    multipart: bool | None = False
    if name in (MULTIPART, "multipart/*"):
        # Some clients write the parameters of the parts into the quotes of their type.
        name, _, rest = parameters.pop("type", "*/*").partition(";")
        name, multipart = name.strip().lower(), True
        parameters = parameters_of(rest) | parameters
    elif name == "*/*":
        multipart = None
    quality = quality_in([f"q={parameters.pop('q')}"]) if "q" in parameters else 1.0
    syntax = parameters.pop("transfer-syntax", None)
    return MediaRange(OLD_NAMES.get(name, name), multipart, syntax, quality, parameters)


def parameters_of(text: str) -> dict[str, str]:
    """Return the parameters of a media type, their names in lower case."""
    return {key.lower(): unquoted(value) for key, value in PARAMETER.findall(f";{text}")}


def unquoted(value: str) -> str:
    """Return the value of a parameter without its quotes."""
    value = value.strip()
    if value.startswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def accepted(request: Request) -> list[list[MediaRange]]:
    """Return what a request would take: lists of ranges, of which the first that fits holds.

    The query parameter comes before the header; who says nothing takes anything.
    """
    # A plus sign that was not escaped, as in application/dicom+json, reads as a space.
    asked = ",".join(request.query_params.getlist("accept"))
    asked = re.sub(r"(?<=[\w.-]) (?=\w+\s*(?:[;,]|$))", "+", asked)
    header = ",".join(request.headers.getlist("accept"))
    lists = [media_ranges(text) for text in (asked, header) if text.strip()]
    return lists or [[ANYTHING]]


def choose(lists: Iterable[Sequence[MediaRange]], offers: Sequence[Offer]) -> Choice | None:
    """Return the form that fits best, or None.

    Of forms that a range holds alike the first goes: the order of offers is our preference. A form
    has the weight of the nearest range that holds it (PS3.18 §8.7.8.1); of `q=0` it is not given.
    """
    return next(choices(lists, offers), None)


def choices(lists: Iterable[Sequence[MediaRange]], offers: Sequence[Offer]) -> Iterator[Choice]:
    """Yield all forms that fit, the best first, as `choose` has them."""
    for ranges in lists:
        for wanted in ranges:
            if wanted.quality <= 0:
                break
            nearer = [each for each in ranges if each.overrules(wanted)]
            for offer in offers:
                if wanted.holds(offer) and not any(each.holds(offer) for each in nearer):
                    yield Choice(offer, wanted)


def require(request: Request, offers: Sequence[Offer]) -> Choice:
    """Return the form that fits the request best.

    Raises NotAcceptable, which names the forms that there are, if none does.
    """
    found = choose(accepted(request), offers)
    if found is None:
        raise nothing_fits(offers)
    if is_text(found.offer.media_type):
        check_charset(request)
    return found


def is_text(media_type: str) -> bool:
    """Whether it has a character set, of which a picture, say, has none."""
    return media_type.startswith("text/") or media_type.endswith(("json", "xml"))


def nothing_fits(offers: Iterable[Offer]) -> NotAcceptable:
    """Return the error of a request that accepts none of the forms that there are."""
    there_are = ", ".join(dict.fromkeys(offer.text for offer in offers))
    return NotAcceptable(f"none of what the request accepts can be given; there is {there_are}")


def check_charset(request: Request) -> None:
    """Raise NotAcceptable if texts are not wanted in UTF-8 (PS3.18 §8.7.4), in which we write all.

    `Accept-Charset` alone is heeded only where it excludes UTF-8: RFC 9110 §12.5.2 lets it be.
    """
    asked = ",".join(request.query_params.getlist("charset")).strip()
    text = asked or request.headers.get("accept-charset", "").strip()
    if not text:
        return
    for part in text.split(","):
        name, *parameters = (each.strip().lower() for each in part.split(";"))
        if name.strip('"') in UTF_8 and quality_in(parameters) > 0:
            return
    raise NotAcceptable(f"texts are given in UTF-8, not in {text[:64]!r}")
