"""WADO-RS: studies, series, instances, frames and pixel data (PS3.18 §10.4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vna.errors import NotAcceptable, NotFound, UnsupportedMediaType
from vna.rest.archives import streamed
from vna.rest.describe import DICOM, ZIP
from vna.rest.dicomweb import targets
from vna.rest.dicomweb.answers import warning
from vna.rest.dicomweb.forms import frame_forms, instance_forms
from vna.rest.dicomweb.negotiation import Offer, accepted, choose
from vna.rest.dicomweb.sending import answer
from vna.rest.dicomweb.urls import service_root
from vna.services.archives import ArchiveRequest
from vna.services.web import Selection, Wanted, select

if TYPE_CHECKING:
    from starlette.responses import Response

    from vna.rest.dicomweb.forms import Chosen
    from vna.rest.requests import Call

LEVELS = {"Study": "studies", "Series": "series", "Instance": "instances"}


async def selected(call: Call, target: targets.Target) -> Selection:
    """Return what a path names; raises NotFound if nothing is here, Gone if that is known."""
    selection = await select(call.archive, target, call.caller)
    if selection.facts.instances == 0:
        raise targets.absent(target, selection)
    return selection


def by_default_stored(call: Call) -> bool:
    """Whether no transfer syntax means the one that is stored, which is Orthanc's habit."""
    return call.archive.settings.dicomweb.default_transfer_syntax == "stored"


async def instances(call: Call) -> Response:
    """Return a study, a series or an instance: parts, one file, or a ZIP archive."""
    target = targets.of_path(call)
    selection = await selected(call, target)
    offers = [Offer(DICOM, multipart=True)]
    if target.instance and selection.facts.instances == 1:
        offers.append(Offer(DICOM))
    # Who takes anything gets parts.
    best = choose(accepted(call.request), [*offers, Offer(ZIP)])
    if best is not None and best.offer.media_type == ZIP:
        return await archived(call, target)
    stored = selection.facts.transfer_syntaxes
    chosen = instance_forms(call.request, stored, offers, as_stored=by_default_stored(call))
    wanted = Wanted(
        what="instances",
        root=service_root(call),
        multipart=chosen.multipart,
        forms=chosen.forms,
    )
    return await partly(call, selection, wanted, chosen)


async def archived(call: Call, target: targets.Target) -> Response:
    """Return a ZIP archive."""
    resources = await targets.public_ids(call, target)
    request = ArchiveRequest(resources=resources, level=LEVELS[target.level])
    name = f"{target.instance or target.series or target.study}.zip"
    return await streamed(call, request, name)


async def partly(call: Call, selection: Selection, wanted: Wanted, chosen: Chosen) -> Response:
    """Return an answer; if a part of what is asked for cannot be given so, say it (206).

    Raises NotAcceptable if there is no way into the form that was chosen, NotFound if nothing of
    what is asked for is there.
    """
    media_type = chosen.media_type
    if not chosen.multipart:
        media_type = next(iter(chosen.forms.values())).content_type
    stored = selection.facts.transfer_syntaxes
    left = sum(count for uid, count in stored.items() if uid not in chosen.forms)
    with not_given():
        if left == 0:
            return await answer(call, selection, wanted, media_type)
        count = selection.facts.instances
        text = f"{left} of {count} instances are in no acceptable transfer syntax"
        headers = {"Warning": warning(wanted.root, text)}
        return await answer(call, selection, wanted, media_type, status=206, headers=headers)


@contextmanager
def not_given() -> Iterator[None]:
    """Raise what is answered where there is no such thing, or not in such a form."""
    try:
        yield
    except UnsupportedMediaType as error:
        if error.code == "picture.no_image":
            raise NotFound(f"there are no frames: {error}", "dicomweb.not_found") from None
        # 415 is for what a request brings (PS3.18 Table 8.5-1).
        raise NotAcceptable(str(error), error.code) from None


async def frames(call: Call) -> Response:
    """Return frames of an instance."""
    target = targets.of_path(call)
    numbers = targets.frame_numbers(call.path("frames"))
    selection = await selected(call, target)
    chosen = frame_forms(
        call.request,
        selection.facts.transfer_syntaxes,
        as_stored=by_default_stored(call),
        single=len(numbers) == 1,
    )
    wanted = Wanted(
        what={"frames": numbers},
        root=service_root(call),
        multipart=chosen.multipart,
        forms=chosen.forms,
    )
    return await partly(call, selection, wanted, chosen)


async def pixel_data(call: Call) -> Response:
    """Return the pixel data of all that a path names: frames that are compressed one by one."""
    selection = await selected(call, targets.of_path(call))
    return await all_pixels(call, selection)


async def all_pixels(call: Call, selection: Selection) -> Response:
    """Return the pixel data of a selection."""
    is_one = selection.facts.instances == 1
    chosen = frame_forms(
        call.request,
        selection.facts.transfer_syntaxes,
        as_stored=by_default_stored(call),
        single=is_one,
    )
    wanted = Wanted(
        what="pixel_data",
        root=service_root(call),
        multipart=chosen.multipart,
        forms=chosen.forms,
    )
    return await partly(call, selection, wanted, chosen)
