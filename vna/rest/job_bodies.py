"""What all requests that make jobs have in common: the switches of their bodies, their answers."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response

from vna.errors import BadRequest
from vna.rest.answers import json_response
from vna.rest.requests import Call

# A note of the client's, kept with the job and given back with each description of it.
USER_DATA_BYTES = 64 << 10


class JobBody(msgspec.Struct, kw_only=True):
    """The switches; a route's own body is a struct below this one.

    ::

        class StoreBody(JobBody, kw_only=True):
            resources: list[str] = msgspec.field(name="Resources")
    """

    synchronous: bool | None = msgspec.field(name="Synchronous", default=None)
    asynchronous: bool | None = msgspec.field(name="Asynchronous", default=None)
    priority: Annotated[int, Meta(ge=-(2**31), lt=2**31)] = msgspec.field(
        name="Priority", default=0
    )
    permissive: bool = msgspec.field(name="Permissive", default=False)
    user_data: Any = msgspec.field(name="UserData", default=None)

    def waits(self, by_default: bool = True) -> bool:
        """Whether the answer waits for the end of the job; `Synchronous` counts if both are set."""
        if self.synchronous is not None:
            return self.synchronous
        if self.asynchronous is not None:
            return not self.asynchronous
        return by_default


async def answer_job(
    call: Call,
    body: JobBody,
    type_name: str,
    content: dict[str, Any],
    *,
    destination: str | None = None,
    show: dict[str, Any] | None = None,
    waits_by_default: bool = True,
    secret: Any = None,
) -> Response:
    """Submit a job and return the answer of the request that asked for it.

    That is what the finished job shows, or at once its id and path. `content`, `destination`,
    `show` and `secret` are those of `vna.jobs.Jobs.submit`. A job whose end was waited for and that
    failed is the error of the request; who went away meanwhile finds it at `/jobs`.

    Raises
    ------
    BadRequest
        If the user data is more than a note.
    VnaError
        What made a job fail that was waited for.
    """
    if len(msgspec.json.encode(body.user_data)) > USER_DATA_BYTES:
        raise BadRequest(f"UserData is over {USER_DATA_BYTES} bytes; it is kept with the job")
    caller, jobs = call.caller, call.node.jobs
    options: dict[str, Any] = {
        "destination": destination,
        "priority": body.priority,
        "user_data": body.user_data,
        "tenant": caller.tenant,
        "user": caller.user,
        "show": show,
        "secret": secret,
    }
    if body.waits(waits_by_default):
        finished = await jobs.perform(type_name, content, **options)
        return json_response(msgspec.json.encode(finished))
    job_id = await jobs.submit(type_name, content, **options)
    return json_response(msgspec.json.encode({"ID": job_id, "Path": f"/jobs/{job_id}"}))
