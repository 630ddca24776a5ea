"""Exit statuses: what a script may rely on."""

from __future__ import annotations

import http.client

from vna.errors import (
    AlreadyOpen,
    BadRequest,
    Busy,
    DeadlineExceeded,
    NotFound,
    SettingsError,
    Unreachable,
)

DONE = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
UNREACHABLE = 4
INTERRUPTED = 130
# What a shell shows for a program that SIGPIPE ended: `vna dump FILE | head` is no failure of ours.
READER_GONE = 141

MEANINGS = {
    DONE: "done",
    FAILED: "something failed, or was found to be wrong",
    USAGE: "wrong usage or configuration",
    NOT_FOUND: "nothing found, or not there",
    UNREACHABLE: "the archive is in use or cannot be reached",
    INTERRUPTED: "interrupted",
    READER_GONE: "the reader of the output went away",
}


def status_of(error: BaseException) -> int:
    """Return the exit status that stands for `error`."""
    match error:
        case SettingsError() | BadRequest():
            return USAGE
        case NotFound() | FileNotFoundError():
            return NOT_FOUND
        case AlreadyOpen() | Busy() | DeadlineExceeded() | Unreachable():
            return UNREACHABLE
        case ConnectionError() | TimeoutError() | http.client.HTTPException():
            return UNREACHABLE
        case _:
            return FAILED
