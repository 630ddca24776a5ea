"""Rendered resources and thumbnails (PS3.18 §10.4.1.1.3, §10.4.1.1.4): pictures for people.

One picture is answered alone or as the one part of a multipart body, as Accept asks; all pictures
of a study, series, instance or list of frames are the parts of one. Who asks for a single picture
of more gets the one that stands for it: of a series its middle slice; as GIF all frames of an
instance, one after the other. A presentation state as the target shows the images that it refers
to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response, StreamingResponse

from vna.errors import BadParameter, NotAcceptable, NotFound, UnsupportedImage
from vna.rest.describe import GIF, JP2, JPEG, PNG
from vna.rest.dicomweb import rendering
from vna.rest.dicomweb.answers import warning
from vna.rest.dicomweb.as_stored import shown_as_stored
from vna.rest.dicomweb.negotiation import MULTIPART, Offer, require
from vna.rest.dicomweb.targets import KEYS, Target, frame_numbers, of_path, public_ids
from vna.rest.dicomweb.urls import retrieve_url, service_root
from vna.rest.files import is_known, last_modified
from vna.rest.pictures import (
    DEFAULT_THUMBNAIL,
    THUMBNAIL_FORMS,
    THUMBNAIL_SIZES,
    etag,
    made_response,
    pieces,
)
from vna.services import pictures, query
from vna.services.archive import TagsRequest
from vna.services.pictures import PictureRequest

if TYPE_CHECKING:
    from vna.rest.dicomweb.negotiation import Choice
    from vna.rest.requests import Call
    from vna.services.archive import StoredFile
    from vna.services.pictures import Form, Picture

TEXT_KINDS = ("html", "plain", "xml")
FORMS: dict[str, Form] = {JPEG: "jpeg", PNG: "png", GIF: "gif", JP2: "jp2"}
SINGLE = tuple(Offer(media_type) for media_type in FORMS)
PARTS = tuple(Offer(media_type, multipart=True) for media_type in FORMS)
# Of studies and series that have structured reports.
TEXTS = tuple(Offer(f"text/{kind}", each) for each in (False, True) for kind in TEXT_KINDS)
LEVELS = {"Study": "studies", "Series": "series", "Instance": "instances"}
# What the core says of what no picture can be, as a region outside of the image, and of pictures
# that memory has no room for.
IMPOSSIBLE = "image.request"
TOO_LARGE = ("image.limit", "picture.too_large")
NO_STATE = "dicomweb.presentation_state"
NO_IMAGE = "dicomweb.no_image"
# Storage SOP classes of structured reports, key object selections among them (PS3.4 §B.5).
REPORTS = "1.2.840.10008.5.1.4.1.1.88."
# Softcopy presentation states that are applied: grayscale, color, pseudo-color.
PRESENTATION_STATES = {f"1.2.840.10008.5.1.4.1.1.11.{kind}" for kind in (1, 2, 3)}


class Shown(NamedTuple):
    """One picture to be made: a frame, counted from 0, of an instance with a state or without."""

    public_id: str
    frame: int
    state: StoredFile | None = None
    is_chosen: bool = False  # to stand for something of which another one may stand tomorrow
    place: str = ""  # below the root of the service; empty: not known

    def modified_s(self, file: StoredFile) -> int | None:
        """Return when the picture became what it is; None if it may be an older one tomorrow."""
        made_of = [file.modified_s] + ([self.state.modified_s] if self.state else [])
        known = [each for each in made_of if each is not None]
        return max(known) if len(known) == len(made_of) and not self.is_chosen else None


async def rendered(call: Call) -> Response:
    """Return the picture or pictures of what the path names."""
    target = of_path(call)
    ids = await public_ids(call, target)
    if target.instance and "frames" not in call.request.path_params:
        shown = await shown_as_stored(call, target, ids[0])
        if shown is not None:
            return shown
        file = call.archive.open_file(ids[0], call.caller)
        if file.sop_class_uid.startswith(REPORTS):
            from vna.rest.dicomweb.reports import rendered_report

            return await rendered_report(call, file)
    choice = require(call.request, (*SINGLE, *PARTS, *(() if target.instance else TEXTS)))
    if choice.offer in TEXTS:
        from vna.rest.dicomweb.reports import reports_response

        return await reports_response(call, await in_order(call, target), choice.offer)
    query = call.request.query_params
    asked = rendering.rendered(query, FORMS[choice.offer.media_type])
    answer = Answering(call, choice.offer.media_type, asked, query.get("annotation"))
    if choice.offer.multipart:
        return await answer.parts(await all_shown(call, target, ids))
    if target.instance and choice.offer.media_type == GIF:
        return await answer.animated(await all_shown(call, target, ids))
    return await answer.single(await one_shown(call, target, ids))


class Answering:
    """A request for pictures, with what it says of how they are to be made."""

    def __init__(
        self, call: Call, media_type: str, asked: PictureRequest, annotation: str | None = None
    ):
        self.call = call
        self.media_type = media_type
        self.asked = asked
        self.annotations, self.unknown = rendering.asked_annotations(annotation)

    async def make(self, shown: Shown, file: StoredFile) -> Picture:
        """Return one picture; raises as `pictures.picture`."""
        lines = await rendering.annotation(self.call, shown.public_id, self.annotations)
        request = msgspec.structs.replace(self.asked, frame=shown.frame, annotation=lines)
        return await pictures.picture(self.call.archive, file, request, shown.state)

    def headers(self) -> dict[str, str]:
        """Return what all answers say."""
        told = []
        if self.unknown:
            names = ", ".join(self.unknown)
            told.append(f"The following annotation values are not supported: {names}")
        if self.asked.form == "gif" and self.asked.colours is not None:
            told.append("a GIF file has no colour profile")
        headers = {"Vary": "Accept"}
        if told:
            root = service_root(self.call)
            headers["Warning"] = ", ".join(warning(root, text) for text in told)
        return headers

    def tag(self, file: StoredFile, shown: Shown, *more: str) -> str:
        """Return the tag of what is made of an instance."""
        state = shown.state.digest if shown.state is not None else ""
        asked = self.asked.to_json(), ",".join(self.annotations), str(shown.frame)
        return etag(file.digest, state, self.media_type, *asked, *more)

    async def single(self, shown: Shown) -> Response:
        """Return the answer with one picture."""
        file = self.call.archive.open_file(shown.public_id, self.call.caller)
        modified_s = shown.modified_s(file)
        tag = self.tag(file, shown)
        headers = {**self.headers(), "ETag": tag, **last_modified(modified_s)}
        if is_known(self.call, tag, modified_s):
            return Response(None, 304, headers=headers)
        with not_shown(self.asked):
            made = await self.make(shown, file)
        headers["Content-Length"] = str(made.size)
        if made.whole:
            return Response(made.whole, headers=headers, media_type=self.media_type)
        return StreamingResponse(pieces(made), headers=headers, media_type=self.media_type)

    async def animated(self, all_of_them: list[Shown]) -> Response:
        """Return the answer with frames one after the other; with one picture if it is one.

        Raises NotAcceptable if they are of several instances, which a presentation state may show.
        """
        first = all_of_them[0]
        if len(all_of_them) == 1:
            return await self.single(first)
        if any(each.public_id != first.public_id for each in all_of_them):
            raise NotAcceptable(f"images of several instances are given as {MULTIPART} alone")
        file = self.call.archive.open_file(first.public_id, self.call.caller)
        frames = [each.frame for each in all_of_them]
        modified_s = first.modified_s(file)
        tag = self.tag(file, first, "animation", *map(str, frames))
        headers = {**self.headers(), "ETag": tag, **last_modified(modified_s)}
        if is_known(self.call, tag, modified_s):
            return Response(None, 304, headers=headers)
        lines = await rendering.annotation(self.call, first.public_id, self.annotations)
        request = msgspec.structs.replace(self.asked, annotation=lines)
        archive = self.call.archive
        with not_shown(request):
            made = await pictures.animation(archive, file, request, frames, first.state)
            return await made_response(self.call, made, self.media_type, headers)

    async def parts(self, all_of_them: list[Shown]) -> Response:
        """Return the answer with all pictures, each of which is made when the last was taken.

        What is no image is left out; raises NotAcceptable if nothing is one.
        """
        boundary = token_hex(16)
        body = self.body(all_of_them, boundary)
        # Before the head leaves: whether there is a picture at all.
        first = await anext(body, None)
        if first is None:
            raise NotAcceptable("nothing of it can be shown as a picture")
        media_type = f'{MULTIPART}; type="{self.media_type}"; boundary={boundary}'
        return StreamingResponse(
            chained(first, body), headers=self.headers(), media_type=media_type
        )

    async def body(self, all_of_them: Iterable[Shown], boundary: str) -> AsyncIterator[bytes]:
        """Yield the pieces of the multipart body; nothing if no picture can be made."""
        begun, root = False, service_root(self.call)
        for shown in all_of_them:
            try:
                file = self.call.archive.open_file(shown.public_id, self.call.caller)
                made = await self.make(shown, file)
            except (UnsupportedImage, NotFound):
                continue
            begun = True
            head = f"--{boundary}\r\nContent-Type: {self.media_type}\r\n"
            if shown.place:
                head += f"Content-Location: {root}{shown.place}\r\n"
            yield f"{head}Content-Length: {made.size}\r\n\r\n".encode()
            if made.whole:
                yield made.whole
            else:
                async for piece in pieces(made):
                    yield piece
            yield b"\r\n"
        if begun:
            yield f"--{boundary}--\r\n".encode()


@contextmanager
def not_shown(asked: PictureRequest | None = None) -> Iterator[None]:
    """Raise NotAcceptable where there is no picture (PS3.18 §8.7.4).

    Raises BadParameter where there is none such as is `asked` for (PS3.18 §8.3.5.1.3).
    """
    try:
        yield
    except UnsupportedImage as error:
        is_sized = asked is not None and (asked.width or asked.height)
        if error.code == IMPOSSIBLE or (is_sized and error.code in TOO_LARGE):
            raise BadParameter(str(error), error.code) from None
        raise NotAcceptable(str(error), error.code) from None


async def chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what was taken already, and the rest."""
    yield first
    async for piece in rest:
        yield piece


async def all_shown(call: Call, target: Target, ids: list[str]) -> list[Shown]:
    """Return all pictures of a target, in the order of series, instances and frames."""
    if not target.instance:
        found = []
        for one in await in_order(call, target):
            # A presentation state whose images are not here, or what was just deleted.
            with suppress(NotFound):
                found += placed(await of_instance(call, one.public_id, None), one.target)
        return found
    named = call.request.path_params.get("frames")
    frames = None if named is None else frame_numbers(str(named))
    return placed(await of_instance(call, ids[0], frames), target)


def placed(all_of_them: list[Shown], target: Target) -> list[Shown]:
    """Return pictures of an instance with where they are found; a state has its own already."""
    return [each._replace(place=each.place or place_of(target, each)) for each in all_of_them]


def place_of(target: Target, shown: Shown, query: str = "") -> str:
    """Return where a picture of an instance is found below the root of the service."""
    return f"{retrieve_url('', *target)}/frames/{shown.frame + 1}/rendered{query}"


async def one_shown(call: Call, target: Target, ids: list[str]) -> Shown:
    """Return the picture that stands for a target.

    Raises NotAcceptable if nothing in it is an image, or several frames are named.
    """
    named = call.request.path_params.get("frames")
    if named is not None:
        frames = frame_numbers(str(named))
        if len(frames) > 1:
            raise NotAcceptable(f"several frames are given as {MULTIPART} alone")
        return (await of_instance(call, ids[0], frames))[0]
    if target.instance:
        return (await of_instance(call, ids[0], None))[0]
    with not_shown():
        level = LEVELS[target.level]
        found = await pictures.representative(call.archive, level, ids[0], call.caller)
    return Shown(found, 0, is_chosen=True)


class Placed(NamedTuple):
    """An instance of a study or series."""

    public_id: str
    target: Target


async def in_order(call: Call, target: Target) -> list[Placed]:
    """Return the instances of a study or series by the numbers of series and instances."""
    keys = ("SeriesNumber", "InstanceNumber")
    wanted = {
        "Level": "Instance",
        "Query": target.uids,
        "OrderBy": [{"Type": "DicomTag", "Key": key, "Direction": "ASC"} for key in keys],
    }
    return await called(call, wanted)


async def called(call: Call, wanted: dict[str, Any]) -> list[Placed]:
    """Return the instances that are searched for, with their UIDs."""
    expanded = wanted | {"Expand": True, "ResponseContent": [], "RequestedTags": list(KEYS)}
    found = msgspec.json.decode(await query.find(call.archive, expanded, call.caller))
    return [
        Placed(each["ID"], Target(*(each["RequestedTags"][key] for key in KEYS))) for each in found
    ]


async def of_instance(call: Call, public_id: str, frames: list[int] | None) -> list[Shown]:
    """Return pictures of an instance: of some frames, counted from 1, or of all.

    Raises NotFound if there is no such frame.
    """
    file = call.archive.open_file(public_id, call.caller)
    if file.sop_class_uid in PRESENTATION_STATES:
        return await of_state(call, public_id, file)
    count = max(file.frames, 1)
    for frame in frames or ():
        if frame > count:
            raise NotFound(f"there is no frame {frame}; the image has {count}", "dicomweb.frame")
    indexes = range(count) if frames is None else [frame - 1 for frame in frames]
    state = await state_of(call)
    return [Shown(public_id, index, state) for index in indexes]


async def state_of(call: Call) -> StoredFile | None:
    """Return the presentation state that the parameters of WADO-URI name (PS3.18 §9.5.2)."""
    uid = call.request.query_params.get("presentationUID")
    if not uid:
        return None
    series = call.request.query_params.get("presentationSeriesUID")
    keys = {"SOPInstanceUID": uid} | ({"SeriesInstanceUID": series} if series else {})
    found = await query.find(call.archive, {"Level": "Instance", "Query": keys}, call.caller)
    ids: list[str] = msgspec.json.decode(found)
    if not ids:
        raise NotFound(f"there is no presentation state {uid[:64]} here", NO_STATE)
    return call.archive.open_file(ids[0], call.caller)


async def of_state(call: Call, public_id: str, state: StoredFile) -> list[Shown]:
    """Return what a presentation state refers to, with it applied (PS3.3 §C.11.11).

    Raises NotFound if nothing of that is here.
    """
    rendering.check_state(call.request.query_params)
    request = TagsRequest(form="simplified")
    told = await call.archive.tags("instances", public_id, request, call.caller)
    tags = msgspec.json.decode(told)
    uids = {"UID": tags.get("SOPInstanceUID"), "SeriesUID": tags.get("SeriesInstanceUID")}
    applied = "?" + urlencode({f"presentation{name}": uid for name, uid in uids.items()})
    found = []
    for series in tags.get("ReferencedSeriesSequence") or ():
        for image in series.get("ReferencedImageSequence") or ():
            keys = {"SOPInstanceUID": image.get("ReferencedSOPInstanceUID", "")}
            instances = await called(call, {"Level": "Instance", "Query": keys})
            if not (keys["SOPInstanceUID"] and instances):
                continue
            one, *_ = instances
            named = str(image.get("ReferencedFrameNumber") or "").split("\\")
            frames = [int(text) - 1 for text in named if text.strip().isdecimal()]
            count = max(call.archive.open_file(one.public_id, call.caller).frames, 1)
            frames = [frame for frame in frames if 0 <= frame < count] or list(range(count))
            pictures_of_it = [Shown(one.public_id, frame, state) for frame in frames]
            found += [
                each._replace(place=place_of(one.target, each, applied)) for each in pictures_of_it
            ]
    if not found:
        raise NotFound("no image that the presentation state refers to is here", NO_IMAGE)
    return found


async def thumbnail(call: Call) -> Response:
    """Return the small picture that stands for a target; in the size of `viewport`.

    Of what has no picture it is an icon.
    """
    target = of_path(call)
    ids = await public_ids(call, target)
    choice = require(call.request, SINGLE)
    rendering.check_size_only(call.request.query_params)
    form = FORMS[choice.offer.media_type]
    asked = rendering.rendered(call.request.query_params, form)
    try:
        return await small_picture(call, await one_shown(call, target, ids), choice, asked)
    except NotAcceptable:
        if "frames" in call.request.path_params:
            raise
    except NotFound as error:
        if error.code != NO_IMAGE:
            raise
    from vna.rest.dicomweb.icons import icon_response

    one = ids[0] if target.instance else (await in_order(call, target))[0].public_id
    file = call.archive.open_file(one, call.caller)
    return await icon_response(call, file, asked, choice.offer.media_type)


async def small_picture(
    call: Call, shown: Shown, choice: Choice, asked: PictureRequest
) -> Response:
    """Return the answer with a small picture; raises NotAcceptable if it cannot be made."""
    form = asked.form
    side = max(asked.width, asked.height) or DEFAULT_THUMBNAIL
    plain = rendering.rendered({}, form)
    square = msgspec.structs.replace(plain, width=asked.width, height=asked.width)
    kept = asked == square and shown.frame == 0 and shown.state is None and side in THUMBNAIL_SIZES
    small = THUMBNAIL_FORMS.get(choice.offer.media_type)
    if not kept or small is None:
        sized = msgspec.structs.replace(
            asked, width=asked.width or side, height=asked.height or side
        )
        # Whoever the patient is, a thumbnail does not say it (PS3.18 §10.4.1.1.4).
        return await Answering(call, choice.offer.media_type, sized).single(shown)
    file = call.archive.open_file(shown.public_id, call.caller)
    tag = etag(file.digest, f"thumbnail {side} {choice.offer.media_type}")
    modified_s = shown.modified_s(file)
    headers = {"ETag": tag, **last_modified(modified_s), "Vary": "Accept"}
    if is_known(call, tag, modified_s):
        return Response(None, 304, headers=headers)
    with not_shown():
        body = await pictures.thumbnail(call.archive, file, side, small)
    return Response(body, headers=headers, media_type=choice.offer.media_type)
