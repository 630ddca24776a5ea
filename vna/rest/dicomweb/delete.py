"""DELETE of a study, series or instance: an extension, off unless `dicomweb.delete` is set.

PS3.18 has no such transaction, but several archives have it at these paths. It is the deletion of
the REST interface, so what it deletes can be brought back for as long (`storage.undelete_hours`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from vna.rest.dicomweb import targets
from vna.services.deleting import delete_all

if TYPE_CHECKING:
    from vna.rest.requests import Call

LEVELS = {"Study": "studies", "Series": "series", "Instance": "instances"}


async def delete(call: Call) -> Response:
    """Delete what the path names, under each of its parents."""
    target = targets.of_path(call)
    ids = await targets.public_ids(call, target)
    level = LEVELS[target.level]
    caller = msgspec.structs.replace(call.caller, way_in="dicomweb")
    await delete_all(call.archive, [(level, one) for one in ids], caller)
    return Response(status_code=204)
