"""WADO-URI (PS3.18 §9): one instance, by the parameters of the query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response, StreamingResponse

from vna.errors import BadParameter, BadRequest, NotAcceptable, NotFound, UnsupportedMediaType
from vna.rest.describe import DICOM, GIF
from vna.rest.dicomweb import rendering, reports
from vna.rest.dicomweb.as_stored import is_video, stored_response, stored_types
from vna.rest.dicomweb.negotiation import (
    ANY_SYNTAX,
    Choice,
    Offer,
    accepted,
    check_charset,
    choose,
    is_text,
    read_range,
)
from vna.rest.dicomweb.rendered import (
    FORMS,
    NO_STATE,
    PRESENTATION_STATES,
    REPORTS,
    SINGLE,
    Answering,
    of_instance,
)
from vna.rest.dicomweb.retrieve import selected
from vna.rest.dicomweb.sending import answer
from vna.rest.dicomweb.targets import Target, is_uid, public_ids, uid
from vna.rest.dicomweb.urls import service_root
from vna.rest.files import (
    content_disposition,
    file_response,
    transcoded_response,
    written,
)
from vna.rest.forms import DEFAULT_LOSSY_QUALITY
from vna.services import changes, modifying, rewriting
from vna.services.pictures import PictureRequest
from vna.services.web import Form, Wanted, can_transcode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vna.rest.dicomweb.negotiation import MediaRange
    from vna.rest.requests import Call
    from vna.services.archive import StoredFile

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
KEYS = ("studyUID", "seriesUID", "objectUID")
# Of a retrieved file they mean nothing (PS3.18 Table 9.1.2-2).
OF_PICTURES = frozenset(
    {
        "annotation",
        "columns",
        "frameNumber",
        "imageAnnotation",
        "imageQuality",
        "presentationSeriesUID",
        "presentationUID",
        "region",
        "rows",
        "windowCenter",
        "windowWidth",
    }
)
# Pixel Data, Float Pixel Data, Double Float Pixel Data.
PIXEL_DATA = ("7fe00010", "7fe00008", "7fe00009")
OF_FILES = frozenset({"anonymize", "transferSyntax"})


async def retrieve(call: Call) -> Response:
    """Return an instance as a file or as a picture.

    Raises BadRequest if a parameter is missing or wrong, NotAcceptable if no form fits.
    """
    query = call.request.query_params
    if query.get("requestType") != "WADO":
        raise BadRequest("parameter requestType is not WADO", "dicomweb.request_type")
    target = target_of(call)
    (public_id, *_) = await public_ids(call, target)
    file = call.archive.open_file(public_id, call.caller)
    is_report = file.sop_class_uid.startswith(REPORTS)
    own_types = tuple(reports.FORMS) if is_report else await stored_types(call, file)
    media_type = (await form_of(call, file, own_types)).offer.media_type
    if is_text(media_type):
        check_charset(call.request)
    only = OF_PICTURES if media_type == DICOM else OF_FILES
    if wrong := [name for name in sorted(only) if query.get(name)]:
        raise BadRequest(f"{', '.join(wrong)} and {media_type} do not go together")
    if media_type == DICOM:
        given = await dicom_response(call, target, public_id, file)
        given.headers["Vary"] = "Accept"
        return given
    if media_type in own_types and is_report:
        return await reports.report_response(call, file, media_type)
    if media_type in own_types:
        return await stored_response(call, target, file, media_type)
    asked = await picture_of(call, public_id, media_type)
    number = query.get("frameNumber")
    frames = None if number is None else [frame_number(number, file.frames)]
    try:
        shown = await of_instance(call, public_id, frames)
    except NotFound as error:
        if error.code != NO_STATE:
            raise
        raise BadParameter(str(error), error.code) from None  # PS3.18 §9.5.2.3
    # Tables 9.4.1-1 and 9.5.1-1 of PS3.18 have it under different names.
    annotation = query.get("annotation", query.get("imageAnnotation"))
    pictures = Answering(call, media_type, asked, annotation)
    return await (pictures.animated(shown) if media_type == GIF else pictures.single(shown[0]))


def target_of(call: Call) -> Target:
    """Return what the parameters name; raises BadRequest if one is missing or no UID."""
    uids = [uid(call.request.query_params.get(name, ""), name) for name in KEYS]
    if missing := [name for name, found in zip(KEYS, uids, strict=True) if not found]:
        raise BadRequest(f"parameter {', '.join(missing)} is missing", "dicomweb.missing")
    return Target(*uids)


async def form_of(call: Call, file: StoredFile, own_types: Iterable[str]) -> Choice:
    """Return the form that `contentType` or Accept asks for, else that of the kind of instance.

    Images are pictures (PS3.18 §9.3) and documents are themselves, all else is a file. `own_types`
    are those of what is shown by being given as it is.
    """
    offers = tuple(map(Offer, own_types)) or SINGLE
    is_shown = (
        await has_picture(file) if offers is SINGLE else not is_video(file.transfer_syntax_uid)
    )
    offers = (*offers, Offer(DICOM)) if is_shown else (Offer(DICOM), *offers)
    found = choose(content_types(call) or accepted(call.request), offers)
    if found is not None:
        return found
    there_are = ", ".join(offer.text for offer in offers)
    raise NotAcceptable(f"none of what the request accepts can be given; there is {there_are}")


async def has_picture(file: StoredFile) -> bool:
    """Whether there is something to be shown of an instance as a picture."""
    if file.sop_class_uid in PRESENTATION_STATES:
        return True
    for tag in PIXEL_DATA:
        if await file.locate(tag) is not None:
            return True
    return False


def content_types(call: Call) -> list[list[MediaRange]]:
    """Return what `contentType` names, best first.

    Raises BadRequest if it has parameters of its own, or files beside pictures (PS3.18 §9.1.2.2.1).
    """
    named = call.request.query_params.get("contentType", "")
    ranges = [read_range(part) for part in named.split(",") if part.strip()]
    known = [each for each in ranges if each is not None]
    if any(each.transfer_syntax or "charset" in each.parameters for each in known):
        raise BadRequest(
            "contentType takes no transfer syntax and no charset; there are parameters"
        )
    if len({each.media_type == DICOM for each in known}) > 1:
        raise BadRequest(f"contentType is {DICOM} or names types of pictures")
    return [known] if known else []


async def dicom_response(call: Call, target: Target, public_id: str, file: StoredFile) -> Response:
    """Return the file, de-identified or in another transfer syntax if that is asked for."""
    query = call.request.query_params
    stored = file.transfer_syntax_uid
    # What cannot be decoded, as video, is given as it is to who names none (PS3.18 §8.7.3).
    by_default = EXPLICIT_LITTLE_ENDIAN if can_transcode(stored, EXPLICIT_LITTLE_ENDIAN) else stored
    syntax = query.get("transferSyntax") or by_default
    if syntax == ANY_SYNTAX:
        syntax = stored
    anonymizes = query.get("anonymize")
    if anonymizes not in (None, "", "yes"):
        raise BadParameter(f"parameter anonymize is {anonymizes[:16]!r}; it takes yes")
    if not is_uid(syntax):
        raise BadParameter(f"parameter transferSyntax is {syntax[:64]!r}, no UID")
    name = f"{public_id}.dcm"
    if anonymizes:
        return await anonymous_response(call, public_id, syntax)
    if syntax == file.transfer_syntax_uid:
        return await whole_file(call, target, file, name)
    try:
        return await transcoded_response(
            call, file, syntax, DICOM, name, DEFAULT_LOSSY_QUALITY, modified_s=file.modified_s
        )
    except UnsupportedMediaType as error:
        raise NotAcceptable(str(error), error.code) from None


async def whole_file(call: Call, target: Target, file: StoredFile, name: str) -> Response:
    """Return the answer with a file of PS3.10 as it is stored, or what of it is asked for."""
    selection = await selected(call, target)
    if selection.facts.instances > 1:  # the UID came under two parents
        return await file_response(call, file, DICOM, name, modified_s=file.modified_s)
    forms = {uid: Form(DICOM) for uid in selection.facts.transfer_syntaxes}
    wanted = Wanted(what="instances", root=service_root(call), forms=forms)
    headers = {"Content-Disposition": content_disposition(name)}
    return await answer(call, selection, wanted, DICOM, headers=headers)


async def anonymous_response(call: Call, public_id: str, syntax: str) -> Response:
    """Return the file without what names the patient (PS3.15 Annex E); nothing is stored."""
    wanted = changes.Wanted(transcode=syntax)
    recipe = changes.recipe_of(wanted, "Instance", True)
    made = await rewriting.rewritten_file(
        call.archive, msgspec.json.encode(recipe), public_id, call.caller
    )
    modifying.log_rewritten_file(public_id, recipe, call.caller, made.burned_in)
    headers = {} if made.length is None else {"Content-Length": str(made.length)}
    return StreamingResponse(written(made), headers=headers, media_type=DICOM)


def frame_number(text: str, count: int) -> int:
    """Return the frame that is asked for, counted from 1 (PS3.18 §9.5.2.1)."""
    last = max(count, 1)
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:10]) <= last):
        raise BadParameter(f"parameter frameNumber is {text[:32]!r}; it takes 1 to {last}")
    return int(text)


def together(query: Mapping[str, str], *names: str) -> tuple[str, ...]:
    """Return parameters that go together; raises BadRequest if one is there without another."""
    found = tuple(query.get(name, "") for name in names)
    if any(found) and not all(found):
        raise BadRequest(f"{' and '.join(names)} go together", "dicomweb.together")
    return found


async def picture_of(call: Call, public_id: str, media_type: str) -> PictureRequest:
    """Return which picture the parameters ask for, but for its frame (PS3.18 §9.5.1)."""
    query = call.request.query_params
    wanted: dict[str, Any] = rendering.quality(query.get("imageQuality"), "imageQuality")
    for name, field in (("columns", "width"), ("rows", "height")):
        if query.get(name):
            wanted[field] = rendering.side(name, query[name], query[name])
    center, width = together(query, "windowCenter", "windowWidth")
    state, _ = together(query, "presentationUID", "presentationSeriesUID")
    if state and center:
        raise BadRequest("a presentation state has a window of its own", "dicomweb.window")
    if center and width:
        wanted["window_center"] = rendering.finite("windowCenter", center, center)
        wanted["window_width"] = rendering.positive("windowWidth", width, width)
    if query.get("region"):
        size = await rendering.size_of(call, public_id)
        wanted["region"] = rendering.relative_region(query["region"], *size)
    return PictureRequest(form=FORMS[media_type], own_values=True, **wanted)
