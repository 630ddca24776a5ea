"""How much is logged: `/tools/log-level`, `/tools/log-level-http` and the others."""

from __future__ import annotations

from starlette.responses import Response

from vna import log
from vna.errors import OutOfRange
from vna.rest.describe import TEXT
from vna.rest.keep_routes import CATEGORIES
from vna.rest.requests import Call

# More than the longest level.
MOST_BYTES = 64


def categories(call: Call) -> tuple[str, ...]:
    """Return which categories the path means."""
    name = call.request.url.path.removeprefix("/tools/log-level").removeprefix("-")
    return (name,) if name else CATEGORIES


async def read(call: Call) -> Response:
    """Return the level: of several categories the one that tells most."""
    level = max((log.verbosity(name) for name in categories(call)), key=log.VERBOSITIES.index)
    return Response(level, media_type=TEXT)


async def write(call: Call) -> Response:
    """Set the level."""
    with call.budget.account() as account:
        level = (await call.body(account, MOST_BYTES)).decode("utf-8", "replace")
    if level not in log.VERBOSITIES:
        raise OutOfRange(f"a level is default, verbose or trace, not {level!r}")
    for name in categories(call):
        log.set_verbosity(name, level)
    call.archive.set_log_level(log.most_verbose())
    return Response(None, media_type=TEXT)
