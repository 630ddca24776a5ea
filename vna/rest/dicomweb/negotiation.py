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
        if self.media_type == "*/*":
            return 0
        if self.media_type.endswith("/*"):
            return 1
        return 2 + (self.transfer_syntax is not None)

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
    parameters = {key.lower(): unquoted(value) for key, value in PARAMETER.findall(f";{rest}")}
    quality = quality_in([f"q={parameters.pop('q')}"]) if "q" in parameters else 1.0
    syntax = parameters.pop("transfer-syntax", None)
    multipart: bool | None = False
    if name in (MULTIPART, "multipart/*"):
        name, multipart = parameters.pop("type", "*/*").lower(), True
    elif name == "*/*":
        multipart = None
    return MediaRange(name, multipart, syntax, quality, parameters)


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

    Of forms that a range holds alike the first goes: the order of offers is our preference. What a
    nearer range of the same list excludes (`q=0`) is not given.
    """
    return next(choices(lists, offers), None)


def choices(lists: Iterable[Sequence[MediaRange]], offers: Sequence[Offer]) -> Iterator[Choice]:
    """Yield all forms that fit, the best first, as `choose` has them."""
    for ranges in lists:
        refused = [each for each in ranges if each.quality <= 0]
        for wanted in ranges:
            if wanted.quality <= 0:
                break
            for offer in offers:
                if not wanted.holds(offer):
                    continue
                if any(no.holds(offer) and no.specificity >= wanted.specificity for no in refused):
                    continue
                yield Choice(offer, wanted)


def require(request: Request, offers: Sequence[Offer]) -> Choice:
    """Return the form that fits the request best.

    Raises NotAcceptable, which names the forms that there are, if none does.
    """
    check_charset(request)
    found = choose(accepted(request), offers)
    if found is None:
        raise nothing_fits(offers)
    return found


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
