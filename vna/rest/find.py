"""Searching, and small tools beside it: identifiers, the clock."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from starlette.responses import Response

from vna.errors import BadRequest, OutOfRange
from vna.rest.answers import json_response
from vna.rest.requests import Call
from vna.services import query

# Bounds what a request takes in memory once it is read, some ten times as much. It is enough for a
# list of 60,000 UIDs.
MAX_REQUEST_BYTES = 4 << 20
MAX_IDENTIFIER_BYTES = 1 << 10

STAMP = "%Y%m%dT%H%M%S"


async def find(call: Call) -> Response:
    """Answer a search with ids or objects."""
    with call.budget.account() as account:
        body = await call.body(account, MAX_REQUEST_BYTES)
        return json_response(await query.find_json(call.archive, body, call.caller))


async def count(call: Call) -> Response:
    """Answer how many resources a search would find."""
    with call.budget.account() as account:
        body = await call.body(account, MAX_REQUEST_BYTES)
        return json_response(await query.count_json(call.archive, body, call.caller))


async def lookup(call: Call) -> Response:
    """Return what has the identifier in the body: a PatientID, or a UID of any level."""
    with call.budget.account() as account:
        body = await call.body(account, MAX_IDENTIFIER_BYTES)
    try:
        identifier = body.decode().strip()
    except UnicodeDecodeError as error:
        raise BadRequest(f"the identifier is no UTF-8: {error}") from None
    return json_response(await query.lookup(call.archive, identifier, call.caller))


async def generate_uid(call: Call) -> Response:
    """Return an identifier that nobody has given before, for a level."""
    level = call.request.query_params.get("level", "")
    new = uuid.uuid4()
    if level == "patient":
        return Response(str(new), media_type="text/plain")
    if level in {"study", "series", "instance"}:
        # A UUID is a UID below 2.25 (PS3.5 §B.2).
        return Response(f"2.25.{new.int}", media_type="text/plain")
    raise OutOfRange(f"level is {level!r}; it takes patient, study, series or instance")


async def now(call: Call) -> Response:
    """Return the time in UTC."""
    return Response(datetime.now(UTC).strftime(STAMP), media_type="text/plain")


async def now_local(call: Call) -> Response:
    """Return the time where the server is."""
    return Response(datetime.now().strftime(STAMP), media_type="text/plain")
