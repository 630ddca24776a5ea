"""What became of a job that failed: from an exception to what is kept and shown, and back."""

from __future__ import annotations

import logging

import msgspec

from vna import errors
from vna.errors import Busy, Cancelled, DeadlineExceeded, JobFailed, Unreachable, VnaError
from vna.jobs.job import Row
from vna.jobs.queue import Failure

logger = logging.getLogger(__name__)

# What may go well the next time, nothing being done about it.
TRANSIENT = (Busy, DeadlineExceeded, Unreachable, ConnectionError, TimeoutError)


def is_transient(error: BaseException) -> bool:
    """Whether it is worth trying again later: an error may say so itself."""
    return bool(getattr(error, "is_transient", isinstance(error, TRANSIENT)))


def as_failure(error: BaseException, job_id: str, job_type: str) -> Failure:
    """Return what is kept of an exception; one that nobody foresaw goes to the log."""
    if not isinstance(error, VnaError):
        if isinstance(error, TimeoutError):
            error = DeadlineExceeded(str(error))
        elif isinstance(error, OSError):
            error = Unreachable(str(error))
        else:
            extra = {"job": job_id, "type": job_type}
            logger.error("job failed", extra=extra, exc_info=error)
            error = VnaError("see the server's log")
    payload = None if error.payload is None else msgspec.json.encode(error.payload).decode()
    return Failure(error.orthanc_error, error.orthanc_status, str(error), error.code, payload)


def as_error(row: Row) -> VnaError:
    """Return the error that a job which failed stands for."""
    kind = KINDS.get(row.error_number, JobFailed)
    error = kind(row.error_details, row.error_code or None)
    if row.error_payload is not None:
        error.payload = msgspec.json.decode(row.error_payload)
    return error


def _kinds() -> dict[int, type[VnaError]]:
    """Return classes of errors by Orthanc's number, of several the first."""
    found: dict[int, type[VnaError]] = {}
    for each in vars(errors).values():
        if isinstance(each, type) and issubclass(each, VnaError):
            found.setdefault(each.orthanc_error, each)
    return found


KINDS = _kinds()
CANCELLED = as_failure(Cancelled(), "", "")
