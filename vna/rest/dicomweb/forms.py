"""In which transfer syntax and under which media type things are given: PS3.18 §8.7.3.

Each thing is stored in one transfer syntax. A client says for a media type which it takes; for each
that is stored, the first form that the client prefers and that can be given is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from vna.rest.describe import BYTES, DICOM
from vna.rest.dicomweb.negotiation import (
    ANY_SYNTAX,
    Offer,
    accepted,
    choices,
    nothing_fits,
)
from vna.services.web import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    UNCOMPRESSED,
    Form,
    can_transcode,
    frame_media_type,
    media_type_syntaxes,
    transfer_syntaxes,
)

if TYPE_CHECKING:
    from starlette.requests import Request

    from vna.rest.dicomweb.negotiation import Choice

# In the order in which they are given to who takes any image: what most programs read first.
IMAGE_TYPES = (
    "image/jpeg",
    "image/jls",
    "image/jp2",
    "image/jphc",
    "image/jxl",
    "image/dicom-rle",
    "image/jpx",
)


class Chosen(NamedTuple):
    """What is given.

    Attributes
    ----------
    media_type : str
        Of the parts, or of the one thing.
    multipart : bool
        Whether it goes into `multipart/related`.
    forms : dict
        By the transfer syntax that things are stored in; those that cannot be given are left out.
    """

    media_type: str
    multipart: bool
    forms: dict[str, Form]


def instance_forms(
    request: Request, stored: Iterable[str], offers: Sequence[Offer], *, as_stored: bool
) -> Chosen:
    """Return how instances are given that are stored in these transfer syntaxes.

    `as_stored` says what no transfer syntax means. Raises NotAcceptable if none can be given.
    """
    found = choices(accepted(request), offers)
    return _first(found, list(stored), offers, as_stored, _instance_form)


def frame_forms(
    request: Request,
    stored: Iterable[str],
    *,
    as_stored: bool,
    single: bool,
    multipart: bool = True,
) -> Chosen:
    """Return how frames are given that are stored in these transfer syntaxes.

    `single` says whether it is one thing that needs no parts. Raises NotAcceptable.
    """
    stored = list(stored)
    own = [frame_media_type(uid) for uid in stored]
    # What is stored without loss of time is preferred, but nothing said means native pixels.
    types = [*own, BYTES, *IMAGE_TYPES] if as_stored else [BYTES, *own, *IMAGE_TYPES]
    kinds = [kind for kind, is_there in ((True, multipart), (False, single)) if is_there]
    offers = [Offer(each, kind) for each in dict.fromkeys(types) for kind in kinds]
    found = choices(accepted(request), offers)
    there_are = [offer for offer in offers if offer.media_type in {BYTES, *own}]
    return _first(found, stored, there_are, as_stored, frame_form)


def _first(
    found: Iterator[Choice],
    stored: list[str],
    offers: Sequence[Offer],
    as_stored: bool,
    form_of: _FormOf,
) -> Chosen:
    """Return the first form of each transfer syntax, all in one kind of body."""
    forms: dict[str, Form] = {}
    first: Offer | None = None
    for choice in found:
        if first is not None and choice.offer.multipart != first.multipart:
            continue
        for uid in stored:
            form = None if uid in forms else form_of(choice, uid, as_stored)
            if form is not None:
                forms[uid] = form
                first = first or choice.offer
        if len(forms) == len(stored):
            break
    if first is None:
        raise nothing_fits(offers)
    return Chosen(first.media_type, first.multipart, forms)


def _instance_form(choice: Choice, stored: str, as_stored: bool) -> Form | None:
    named = choice.wanted.transfer_syntax
    wanted = named or (ANY_SYNTAX if as_stored else EXPLICIT_VR_LITTLE_ENDIAN)
    if wanted in (ANY_SYNTAX, stored):
        return Form(f"{DICOM}; transfer-syntax={stored}")
    if wanted not in transfer_syntaxes() or not can_transcode(stored, wanted):
        # What cannot be decoded, as video, is given as it is to who names none (PS3.18 §8.7.3).
        return None if named else Form(f"{DICOM}; transfer-syntax={stored}")
    # Who names a lossy transfer syntax asks for the instance that comes of it.
    return Form(f"{DICOM}; transfer-syntax={wanted}", wanted, may_lose=True)


def frame_form(choice: Choice, stored: str, as_stored: bool) -> Form | None:
    """Return how frames of one transfer syntax are given as a choice has it, or None."""
    media_type, named = choice.offer.media_type, choice.wanted.transfer_syntax
    own = frame_media_type(stored)
    syntaxes = media_type_syntaxes(media_type)
    native = stored in UNCOMPRESSED
    plain = media_type == BYTES
    if named is None and plain:
        # PS3.18 §8.7.3.5, or Orthanc's habit: of frames that are given as they are in their own
        # type, a client that takes anything gets that.
        named = ANY_SYNTAX if as_stored else EXPLICIT_VR_LITTLE_ENDIAN
    elif named is None:
        # What has a type of its own is given as it is, if it is of that type.
        named = stored if stored in syntaxes else syntaxes[0]
    if named == ANY_SYNTAX:
        # Who takes any type gets what is stored under its own.
        is_named = choice.wanted.media_type == media_type
        named = stored if media_type == own or (plain and is_named) else ""
    if native and named in UNCOMPRESSED:
        return Form(f"{media_type}; transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}") if plain else None
    if named == stored:
        fits = plain or media_type == own
        return Form(f"{media_type}; transfer-syntax={stored}") if fits else None
    if named in UNCOMPRESSED:
        named = EXPLICIT_VR_LITTLE_ENDIAN
    if not plain and named not in syntaxes:
        return None
    if named not in transfer_syntaxes() or not can_transcode(stored, named):
        return None
    return Form(f"{media_type}; transfer-syntax={named}", named)


if TYPE_CHECKING:
    from collections.abc import Callable

    _FormOf = Callable[[Choice, str, bool], Form | None]
