"""What keeps a server in check: log levels, the switch of metrics, deletion of many."""

import json

from support_compare import Request
from support_requests import get

SUFFIXES = ("", "-dicom", "-generic", "-http", "-jobs", "-lua", "-nope", "-plugins", "-sqlite")


def kept(held):
    for suffix in SUFFIXES:
        path = f"/tools/log-level{suffix}"
        yield get(path)
        for level in ("trace", "verbose", "nonsense", ""):
            yield Request(f"PUT {path} ({level})", "PUT", path, level.encode())
            yield get(path, f"{path} after {level}")
    yield get("/tools/log-level", "/tools/log-level (at the end)")
    yield Request("PUT /tools/log-level (default)", "PUT", "/tools/log-level", b"default")
    yield get("/tools/metrics")
    for switch in ("0", "x", "true", "1"):
        yield Request(f"PUT /tools/metrics ({switch})", "PUT", "/tools/metrics", switch.encode())
        yield get("/tools/metrics", f"/tools/metrics after {switch}")
    bodies = {
        "nothing": {},
        "none": {"Resources": []},
        "unknown": {"Resources": ["nope", "66a662ce-7430e543-bad44d47-0dc5a943-ec7a538d"]},
        "a text": {"Resources": "nope"},
        "a number": {"Resources": [1]},
        "a list": [],
    }
    for name, body in bodies.items():
        data = json.dumps(body).encode()
        yield Request(f"POST /tools/bulk-delete ({name})", "POST", "/tools/bulk-delete", data)
