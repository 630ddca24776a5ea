"""Instances made from others: `modify`, `anonymize`, `merge`, `split`, also of many at once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field
from starlette.responses import Response, StreamingResponse

from vna.errors import BadBody, BadRequest
from vna.rest import remote_bodies as bodies
from vna.rest.describe import DICOM
from vna.rest.files import written
from vna.rest.job_bodies import JobBody, answer_job
from vna.rest.requests import Call, Handler
from vna.services import changes, modifying, rewriting
from vna.services.changes import DEFAULT_PROFILE, Prepared, Wanted
from vna.services.modifying import Modification

BY_LEVEL = {"patients": "Patient", "studies": "Study", "series": "Series", "instances": "Instance"}
# Both are checked before the rest, since clients know the numbers of these errors.
LISTS = ("Remove", "Keep")


class ChangeBody(JobBody, kw_only=True):
    """What all of these requests say."""

    replace: dict[str, Any] = field(name="Replace", default={})
    remove: list[str] = field(name="Remove", default=[])
    keep: list[str] = field(name="Keep", default=[])
    force: bool = field(name="Force", default=False)
    remove_private_tags: bool = field(name="RemovePrivateTags", default=False)
    keep_private_tags: bool = field(name="KeepPrivateTags", default=False)
    private_creator: str | None = field(name="PrivateCreator", default=None)
    dicom_version: str = field(name="DicomVersion", default=DEFAULT_PROFILE)
    options: list[str] = field(name="Options", default=[])
    transcode: str | None = field(name="Transcode", default=None)
    lossy_quality: Annotated[int, Meta(ge=1, le=100)] | None = field(
        name="LossyQuality", default=None
    )
    keep_source: bool = field(name="KeepSource", default=True)
    keep_labels: bool = field(name="KeepLabels", default=False)

    def wanted(self) -> Wanted:
        """Return what is said of the new instances."""
        names = Wanted.__struct_fields__
        return Wanted(**{name: getattr(self, name) for name in names})


class BulkBody(ChangeBody, kw_only=True):
    """The same of many resources."""

    resources: list[str] = field(name="Resources")
    level: Literal["Patient", "Study", "Series", "Instance"] = field(
        name="Level", default="Instance"
    )


class MergeBody(ChangeBody, kw_only=True):
    """What to put into a study."""

    resources: list[str] = field(name="Resources")
    keep_source: bool = field(name="KeepSource", default=False)


class SplitBody(ChangeBody, kw_only=True):
    """What to take out of a study."""

    series: list[str] = field(name="Series", default=[])
    instances: list[str] = field(name="Instances", default=[])
    keep_source: bool = field(name="KeepSource", default=False)


async def read(call: Call, form: type[bodies.T]) -> bodies.T:
    """Return the body as `form`; raises BadBody, and BadRequest for what is no list of tags."""
    value = bodies.parsed(await bodies.read_text(call))
    if not isinstance(value, dict):
        raise BadBody("the body is an object")
    if not isinstance(value.get("Replace", {}), dict):
        raise BadRequest("Replace is an object of tags with their new values")
    for name in LISTS:
        if not isinstance(value.get(name, []), list):
            raise BadRequest(f"{name} is a list of tags")
    return bodies.as_form(value, form)


def changer(level: str, verb: Literal["modify", "anonymize"]) -> Handler:
    """Return the handler that modifies or anonymizes one resource of a level."""
    anonymizes = verb == "anonymize"

    async def handle(call: Call) -> Response:
        public_id = call.path("id")
        call.archive.resource(level, public_id, call.caller)
        body = await read(call, ChangeBody)
        if level == "instances":
            return await rewritten_file(call, public_id, body.wanted(), anonymizes)
        work = await changes.modification(
            call.archive,
            body.wanted(),
            [public_id],
            BY_LEVEL[level],
            call.caller,
            anonymizes=anonymizes,
            is_bulk=False,
        )
        return await submit(call, body, "ResourceModification", work, modifying.shown(work))

    return handle


def bulk(verb: Literal["modify", "anonymize"]) -> Handler:
    """Return the handler that modifies or anonymizes many resources."""

    async def handle(call: Call) -> Response:
        body = await read(call, BulkBody)
        work = await changes.modification(
            call.archive,
            body.wanted(),
            body.resources,
            body.level,
            call.caller,
            anonymizes=verb == "anonymize",
            is_bulk=True,
        )
        return await submit(call, body, "ResourceModification", work, modifying.shown(work))

    return handle


async def rewritten_file(call: Call, public_id: str, wanted: Wanted, anonymizes: bool) -> Response:
    """Answer with the file of one instance written anew; nothing is stored."""
    recipe = changes.recipe_of(wanted, "Instance", anonymizes)
    file = await rewriting.rewritten_file(
        call.archive, msgspec.json.encode(recipe), public_id, call.caller, wanted.lossy_quality
    )
    modifying.log_rewritten_file(public_id, recipe, call.caller, file.burned_in)
    headers = {} if file.length is None else {"Content-Length": str(file.length)}
    return StreamingResponse(written(file), headers=headers, media_type=DICOM)


async def merge(call: Call) -> Response:
    """Put studies, series and instances into a study."""
    study = call.path("id")
    body = await read(call, MergeBody)
    prepared = await changes.merge(call.archive, study, body.resources, body.wanted(), call.caller)
    return await move(call, body, "MergeStudy", prepared)


async def split(call: Call) -> Response:
    """Take series and instances of a study into a new one."""
    study = call.path("id")
    body = await read(call, SplitBody)
    prepared = await changes.split(
        call.archive, study, body.series, body.instances, body.wanted(), call.caller
    )
    return await move(call, body, "SplitStudy", prepared)


async def move(call: Call, body: JobBody, type_name: str, prepared: Prepared) -> Response:
    """Submit a job that merges or splits."""
    work = prepared.modification
    show = {
        "Description": "REST API",
        "FailedInstancesCount": 0,
        "InstancesCount": len(work.instances),
        **prepared.shown,
    }
    return await submit(call, body, type_name, work, show)


async def submit(
    call: Call, body: JobBody, type_name: str, work: Modification, show: dict[str, Any]
) -> Response:
    """Submit a job and answer as the request wants it."""
    content: dict[str, Any] = msgspec.to_builtins(work)
    return await answer_job(call, body, type_name, content, show=show)


modify_patients = changer("patients", "modify")
modify_studies = changer("studies", "modify")
modify_series = changer("series", "modify")
modify_instances = changer("instances", "modify")
anonymize_patients = changer("patients", "anonymize")
anonymize_studies = changer("studies", "anonymize")
anonymize_series = changer("series", "anonymize")
anonymize_instances = changer("instances", "anonymize")
bulk_modify = bulk("modify")
bulk_anonymize = bulk("anonymize")
