"""What schemathesis is told of our interface: ids that exist, and errors that have status 500."""

import json
import os

import schemathesis

# compat.md 1.5: whatever has no better status in Orthanc's table has 500 in ours too. These are
# the codes of what a request may ask for in vain: no server's fault is among them.
FIXED = {
    9,  # network protocol
    11,  # a system command
    16,  # timeout
    27,  # unknown tag
    2027,  # unknown modality
    2042,  # no storage commitment
}
URL = "http://127.0.0.1:1/"
IDS = json.loads(os.environ.get("VNA_TEST_IDS", "{}"))


@schemathesis.check
def no_fault_of_the_server(ctx, response, case):
    """An answer of status 500 names an error for which clients of Orthanc know that status."""
    if response.status_code < 500 or response.status_code in {501, 503, 507}:
        return
    body = response.json()
    assert body.get("OrthancStatus") in FIXED, body


@schemathesis.serializer("application/dicom")
def dicom(ctx, value):
    """Send what was made up as it is."""
    return getattr(value, "data", None) or str(value).encode()


@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    """Let most ids be of what there is."""
    path = ctx.operation.path
    level = path.split("/")[1]
    if path_parameters and level in IDS and "id" in path_parameters:
        known = IDS[level]
        chosen = hash(str(path_parameters["id"])) % (len(known) + 1)
        if chosen < len(known):
            path_parameters["id"] = known[chosen]
    return path_parameters


@schemathesis.hook
def map_body(ctx, body):
    """Let remote nodes and peers be of this machine, at a port that refuses."""
    path = ctx.operation.path
    if ctx.operation.method.upper() != "PUT" or not path.startswith(("/modalities/", "/peers/")):
        return body
    if isinstance(body, list) and len(body) > 1:
        return [body[0], "127.0.0.1", 1, *body[3:]] if path.startswith("/mod") else [URL, *body[1:]]
    if isinstance(body, list) and body and path.startswith("/peers/"):
        return [URL]
    if isinstance(body, dict):
        known = {"Host": "127.0.0.1", "Port": 1, "Url": URL}
        return body | {name: value for name, value in known.items() if name in body}
    return body
