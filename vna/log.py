"""Log lines: a fixed sentence, then fields.

The standard library's logging, which uvicorn and Starlette write to as well: one formatter
serves all. (structlog would cost 4 MB and 33 ms at start for the same lines.) UIDs and AE titles
appear in logs; patient names, ids, dates and free text do not.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from vna.settings import Log

# What every record has; all else came as `extra`.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the caller gave as `extra`."""
    return {key: value for key, value in vars(record).items() if key not in STANDARD}


def timestamp(record: logging.LogRecord) -> str:
    """Return when the record was made, in UTC."""
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def quoted(text: str) -> str:
    """Return `text` so that it stays one word of one line: no peer can forge a line."""
    return text if text.isprintable() and " " not in text else repr(text)


class TextFormatter(logging.Formatter):
    """Lines for people: time, level, sentence, key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, with a traceback below it if there is one."""
        parts = [timestamp(record), f"{record.levelname.lower():7}", record.getMessage()]
        parts += [f"{key}={quoted(str(value))}" for key, value in fields(record).items()]
        line = " ".join(parts)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """Lines for programs: one JSON object each."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one object."""
        line: dict[str, Any] = {
            "time": timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(settings: Log) -> None:
    """Send all logging of the process to standard error in the configured form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())


# How much is told of a category, from less to more.
VERBOSITIES = ("default", "verbose", "trace")
# Loggers of each category; the core's have the names of its modules. What has none is remembered
# and told, and changes nothing.
LOGGERS: dict[str, tuple[str, ...]] = {
    "generic": ("vna", "vna_node", "vna_store"),
    "http": ("vna.rest", "vna_node.http", "vna_node.ingest"),
    "dicom": ("vna.dimse", "vna.services.peer", "vna_node.dimse", "vna_ul"),
    "jobs": ("vna.jobs",),
    "sqlite": ("vna.control", "vna_index"),
    "plugins": (),
    "lua": (),
}
# What was set at run time.
_verbosity: dict[str, str] = {}


def verbosity(category: str) -> str:
    """Return how much is told of a category."""
    return _verbosity.get(category, "default")


def set_verbosity(category: str, level: str) -> None:
    """Tell as much of a category as the configuration says (default), or more, from now on."""
    _verbosity[category] = level
    wanted = logging.NOTSET if level == "default" else logging.DEBUG
    for name in LOGGERS[category]:
        logging.getLogger(name).setLevel(wanted)


def most_verbose() -> str:
    """Return the least level that the core has to tell for any category."""
    most = max((VERBOSITIES.index(level) for level in _verbosity.values()), default=0)
    return ("info", "debug", "trace")[most]
