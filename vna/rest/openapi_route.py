"""The interface's own description as an answer."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NamedTuple

from starlette.responses import Response

from vna.rest.describe import JSON
from vna.rest.files import matches
from vna.rest.requests import Call
from vna.settings import Dicomweb


class Document(NamedTuple):
    """The finished description."""

    body: bytes
    etag: str


@lru_cache(4)
def built(root: str, wado_root: str) -> Document:
    """Return the description, made at the first call from the table that requests go by.

    Made then and not kept in a file beside the table, which would be another thing that could be
    out of date: it takes 3 ms once, and a server that nobody asks never loads the schemas.
    """
    from vna.rest import openapi, routes

    body = openapi.document(routes.table(Dicomweb(root=root, wado_root=wado_root)))
    return Document(body, f'"{hashlib.sha256(body).hexdigest()}"')


async def document(call: Call) -> Response:
    """Return the OpenAPI document."""
    dicomweb = call.archive.settings.dicomweb
    body, etag = built(dicomweb.root, dicomweb.wado_root)
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    condition = call.request.headers.get("if-none-match")
    if condition is not None and matches(condition, etag, weakly=True):
        return Response(None, 304, headers=headers)
    return Response(body, headers=headers, media_type=JSON)
