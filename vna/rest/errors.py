"""Errors as clients written for Orthanc read them."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from starlette.responses import Response

from vna.errors import VnaError

MORE_HEADERS = {
    401: {"WWW-Authenticate": 'Basic realm="VNA", charset="UTF-8"'},
    405: {"Allow": "GET"},  # of a read-only archive: RFC 9110 §15.5.6 wants it
    410: {"Cache-Control": "no-store"},  # it may come back; else caches could keep the answer
    503: {"Retry-After": "1"},
}


def error_response(error: VnaError, method: str, uri: str) -> Response:
    """Return the answer for `error`: its status, and a JSON object that says why.

    `Details` is our message; `Code` is the stable code, which Orthanc has not.
    """
    status = error.http_status
    body = {
        "Code": error.code,
        "Details": str(error),
        "HttpError": HTTPStatus(status).phrase,
        "HttpStatus": status,
        "Message": error.orthanc_status,
        "Method": method,
        "OrthancError": error.orthanc_status,
        "OrthancStatus": error.orthanc_error,
        "Uri": uri,
    }
    if error.payload is not None:
        body["ErrorPayload"] = error.payload
    headers = MORE_HEADERS.get(status)
    return Response(
        msgspec.json.encode(body), status, headers=headers, media_type="application/json"
    )


def bare(answer: Response) -> Response:
    """Return an answer without its body and what describes it."""
    kept = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("content-type", "content-length")
    }
    return Response(None, answer.status_code, headers=kept)
