"""Statuses of queries and retrievals (PS3.4 C.4.1.1.4, C.4.2.1.5, C.4.3.1.4, K.4.1.1.4)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

from vna.dimse.serving import CANCEL, Request
from vna.errors import VnaError

logger = logging.getLogger(__name__)

OUT_OF_RESOURCES = 0xA700
NUMBER_OF_MATCHES = 0xA701
SUBOPERATIONS = 0xA702
UNKNOWN_DESTINATION = 0xA801
SOME_FAILED = 0xB000
UNABLE_TO_PROCESS = 0xC000
# Above the limit of a C-FIND, Orthanc ends as if the peer had cancelled.
LIMIT_STATUS = {"standard": OUT_OF_RESOURCES, "orthanc": CANCEL}


@contextlib.asynccontextmanager
async def refusing(request: Request, otherwise: int, always: bool = False) -> AsyncIterator[None]:
    """Answer what is raised with its status, or with `otherwise` if these services have it not.

    With `always` every failure has that one.
    """
    try:
        yield
    except VnaError as error:
        status = error.dimse_status
        if always or status & 0xF000 not in {0xA000, 0xC000}:
            status = otherwise
        extra = {
            "association": request.association,
            "calling_ae_title": request.caller.calling_ae_title,
            "sop_class_uid": request.sop_class_uid,
            "code": error.code,
            "status": f"{status:04X}H",
        }
        logger.warning("request refused: %s", error, extra=extra)
        await request.finish({"Status": status, "ErrorComment": str(error)})
