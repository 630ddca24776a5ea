"""Cross-Origin Resource Sharing (the Fetch standard, §3.2): which pages of other sites may ask.

Nobody may unless `http.cors_origins` says so. An origin that is listed may do what its user may,
with his credentials; `*` stands for pages of any site, which may only read, and without
credentials: who stands behind such a page cannot be known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.responses import Response
from starlette.types import Scope

Headers = list[tuple[bytes, bytes]]

ANY = "*"
# What a page may read of an answer beside what browsers always show.
EXPOSED = (
    b"Accept-Ranges, Allow, Content-Disposition, Content-Encoding, Content-Length, "
    b"Content-Location, Content-Range, ETag, Location, Retry-After, Vna-Not-Stored, Warning, "
    b"WWW-Authenticate"
)
MAX_AGE_S = b"600"
TOKENS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:\s*,\s*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")
MAX_TOKENS = 1024


class Cors:
    """What is configured."""

    def __init__(self, origins: Iterable[str]):
        self.origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        self.any = ANY in self.origins

    def __bool__(self) -> bool:
        """Whether any other site may ask."""
        return bool(self.origins)

    def is_listed(self, origin: str | None) -> bool:
        """Whether pages of an origin may do what their user may."""
        return origin is not None and origin != ANY and origin.lower() in self.origins

    def headers(self, origin: str | None) -> Headers:
        """Return what answers to an origin carry."""
        if not self.origins:
            return []
        found: Headers = [] if self.any and len(self.origins) == 1 else [(b"vary", b"Origin")]
        if origin is not None and self.is_listed(origin):
            found.append((b"access-control-allow-origin", origin.encode("latin-1")))
            found.append((b"access-control-allow-credentials", b"true"))
        elif self.any:
            found.append((b"access-control-allow-origin", b"*"))
        else:
            return found
        found.append((b"access-control-expose-headers", EXPOSED))
        return found

    def preflight(self, scope: Scope, methods: Iterable[str]) -> Response | None:
        """Return the answer to what a browser asks before a request, or None if it is not that.

        It carries no credentials, so it is answered before anybody must say who he is; it tells
        which methods a path has, and nothing of what is there.
        """
        found = {name: value.decode("latin-1") for name, value in scope["headers"]}
        origin = found.get(b"origin")
        if scope["method"] != "OPTIONS" or b"access-control-request-method" not in found:
            return None
        if not self.any and not self.is_listed(origin):
            return None
        allowed = set(methods) | {"OPTIONS"}
        if not self.is_listed(origin):
            allowed &= {"GET", "HEAD", "OPTIONS"}
        if "GET" in allowed:
            allowed.add("HEAD")
        headers = {
            "Access-Control-Allow-Methods": ", ".join(sorted(allowed)),
            "Access-Control-Max-Age": MAX_AGE_S.decode(),
        }
        asked = found.get(b"access-control-request-headers", "")
        if len(asked) <= MAX_TOKENS and TOKENS.fullmatch(asked.strip()):
            headers["Access-Control-Allow-Headers"] = asked.strip()
        return Response(None, 204, headers=headers)
