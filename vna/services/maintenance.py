"""Work on an archive that no server has open."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from vna import _core
from vna.settings import Settings

# Called with how much is done and how much there is; 0 where that is not known.
Step = Callable[[int, int], None]


def reindex(settings: Settings, step: Step) -> dict[str, Any]:
    """Build the index anew from log and packs and return what was found."""
    return cast(dict[str, Any], json.loads(_core.reindex(settings.to_json(), step)))


def repair(settings: Settings, step: Step, *, dry_run: bool, accept_loss: bool) -> dict[str, Any]:
    """Mend what is wrong as far as that loses nothing, or with `accept_loss` all of it.

    Returns what was found (`problems`), done or to be done (`done`), what is `left`, and the
    instances whose bytes are `lost`.
    """
    report = _core.repair(settings.to_json(), dry_run, accept_loss, step)
    return cast(dict[str, Any], json.loads(report))


def check(settings: Settings, step: Step) -> dict[str, Any]:
    """Compare everything stored with its sums and the index; `problems` lists what is wrong."""
    return cast(dict[str, Any], json.loads(_core.check(settings.to_json(), step)))
