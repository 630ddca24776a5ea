"""Labels: short words that users give to resources, each level for itself.

A label has 1 to 64 letters A to Z and a to z, digits, `_` and `-`; OutOfRange is raised for what is
none, NotFound for a resource that is not there.
"""

from __future__ import annotations

import json
import logging

from vna.services.archive import Archive
from vna.services.caller import Caller

logger = logging.getLogger(__name__)


async def labels(archive: Archive, level: str, public_id: str, caller: Caller) -> bytes:
    """Return the labels of a resource, a sorted JSON list."""
    return await archive._json(archive.core.labels(caller.tenant, level, public_id))


async def has_label(
    archive: Archive, level: str, public_id: str, label: str, caller: Caller
) -> bool:
    """Whether a resource has a label; nothing has what is none."""
    return label in json.loads(await labels(archive, level, public_id, caller))


async def all_labels(archive: Archive, caller: Caller) -> bytes:
    """Return the labels of all resources of the caller's tenant, a sorted JSON list."""
    return await archive._json(archive.core.all_labels(caller.tenant))


async def put_label(
    archive: Archive, level: str, public_id: str, label: str, caller: Caller
) -> None:
    """Give a resource a label, if it does not have it; it is durable then."""
    await archive._json(archive.core.put_label(caller.tenant, level, public_id, label))
    log("label given", level, public_id, label, caller)


async def take_label(
    archive: Archive, level: str, public_id: str, label: str, caller: Caller
) -> None:
    """Take a label from a resource, if it has it."""
    await archive._json(archive.core.take_label(caller.tenant, level, public_id, label))
    log("label taken", level, public_id, label, caller)


def log(message: str, level: str, public_id: str, label: str, caller: Caller) -> None:
    """Log who changed what."""
    fields = {"level": level, "id": public_id, "label": label}
    logger.info(message, extra=fields | {"way_in": caller.way_in, "user": caller.user})
