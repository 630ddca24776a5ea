"""Instances: file, tags."""

from __future__ import annotations

import re

from starlette.responses import Response

from vna.errors import BadParameter, NotAcceptable
from vna.rest.files import file_response, reencoded_response
from vna.rest.requests import Call

JSON = "application/json"
DICOM = "application/dicom"

UID = re.compile(r"[0-9.]{1,64}")  # PS3.5 §9.1


class JsonResponse(Response):
    """JSON that the core has finished: its two headers need no mapping and no encoding."""

    def __init__(self, body: bytes):
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]


def json_response(body: bytes) -> Response:
    """Return finished JSON."""
    return JsonResponse(body)


async def file(call: Call) -> Response:
    """Return the file of an instance: bit for bit as it was received, or in another syntax."""
    check_accept(call.request.headers.get("accept", "*/*"))
    public_id = call.path("id")
    name = call.request.query_params.get("filename") or f"{public_id}.dcm"
    stored = call.archive.open_file(public_id)
    transfer_syntax_uid = call.request.query_params.get("transcode", stored.transfer_syntax_uid)
    if transfer_syntax_uid == stored.transfer_syntax_uid:
        return await file_response(call, stored, DICOM, name)
    if not UID.fullmatch(transfer_syntax_uid):
        raise BadParameter(f"parameter transcode is {transfer_syntax_uid!r}; it takes a UID")
    return await reencoded_response(call, stored, transfer_syntax_uid, DICOM, name)


def check_accept(accept: str) -> None:
    """Raise NotAcceptable if every form that the client takes is one of DICOMweb's others."""
    forms = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    others = {"application/dicom+json", "application/dicom+xml"}
    if forms and all(form in others for form in forms):
        raise NotAcceptable(f"Accept: {accept}; the file is given as {DICOM}")


async def tags(call: Call) -> Response:
    """Return the tags of an instance, by number with name and type, or as the query says."""
    form = "simplified" if call.flag("simplify") else "short" if call.flag("short") else "full"
    return json_response(await call.archive.tags(call.path("id"), form))


async def simple(call: Call) -> Response:
    """Return the tags of an instance by name."""
    return json_response(await call.archive.tags(call.path("id"), "simplified"))
