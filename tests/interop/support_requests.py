"""The making of requests, and what is known of what both servers hold."""

import json
import zlib
from typing import NamedTuple

from support_compare import Request

LEVELS = {"patients": "ParentPatient", "studies": "ParentStudy", "series": "ParentSeries"}
LEVELS["instances"] = "ID"
ABOVE = {
    "patients": (),
    "studies": ("patient",),
    "series": ("study", "patient"),
    "instances": ("series", "study", "patient"),
}
BELOW = {
    "patients": ("studies", "series", "instances"),
    "studies": ("series", "instances"),
    "series": ("instances",),
    "instances": (),
}
NO_SUCH_ID = "00000000-00000000-00000000-00000000-00000000"
JSON = {"Content-Type": "application/json"}


class Stored(NamedTuple):
    """An instance that both servers stored, and the ids of it and of what it is in."""

    name: str
    ids: dict[str, str]  # by level


def stored(name, answer):
    return Stored(name, {level: answer[key] for level, key in LEVELS.items()})


def get(path, name=None, **options):
    return Request(f"GET {name or path}", "GET", path, **options)


def post(path, body, name, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {key.replace("_", "-"): value for key, value in headers.items()}
    return Request(f"POST {path} {name}", "POST", path, data, headers)


def of(level, one, tail=""):
    """Return a GET of a resource, which is named after the file that made it known."""
    return get(f"/{level}/{one.ids[level]}{tail}", f"/{level}/{{{one.name}}}{tail}")


def some(held, of):
    """Return one of about every `of` instances, the same whatever else is held."""
    return [one for one in held if zlib.crc32(one.name.encode()) % of == 0]


def distinct(level, held):
    """Return one instance for each resource of a level."""
    found = {}
    for one in held:
        found.setdefault(one.ids[level], one)
    return list(found.values())


IDENTIFIERS = {}  # of each instance, by its id and level; filled when the corpus is sent
