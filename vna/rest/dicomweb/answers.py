"""What answers of DICOMweb have in common: warnings, and bodies of finished parts."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Iterable
from secrets import token_hex
from typing import TYPE_CHECKING

from vna.rest.accept import preferred
from vna.rest.dicomweb.negotiation import MULTIPART

if TYPE_CHECKING:
    from starlette.requests import Request

# Shorter bodies fit into a packet or two, however they are written.
LEAST_GZIP_BYTES = 4 << 10
# Longer ones are compressed beside the loop.
MOST_INLINE_BYTES = 64 << 10


def warning(root: str, text: str) -> str:
    """Return the value of a `Warning` header (PS3.18 §8.3.4.4): 299 is for what has no number.

    Who warns is the service that the client called. Its text is for people, and quoted.
    """
    plain = re.sub(r"[^ -~]", "?", text).replace("\\", "\\\\").replace('"', '\\"')
    return f'299 {root} "{plain}"'


def multipart(parts: Iterable[bytes], media_type: str) -> tuple[str, list[bytes]]:
    """Return the Content-Type and the pieces of a multipart/related body of finished parts.

    For parts that are small and made already; what is read from the disk is written by the core.
    """
    # Random, so that no value inside of a part can end it (RFC 2046 §5.1.1).
    boundary = token_hex(16)
    pieces: list[bytes] = []
    for part in parts:
        pieces += [f"--{boundary}\r\nContent-Type: {media_type}\r\n\r\n".encode(), part, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return multipart_type(media_type, boundary), pieces


def multipart_type(media_type: str, boundary: str) -> str:
    """Return the Content-Type of a body whose parts are of a media type (RFC 2387)."""
    return f'{MULTIPART}; type="{media_type}"; boundary={boundary}'


async def gzipped(request: Request, body: bytes) -> tuple[bytes, dict[str, str]]:
    """Return a body, compressed if the client asks for that, and the headers that say so.

    For text: what is compressed already, as most pixel data is, only takes longer.
    """
    headers = {"Vary": "Accept, Accept-Encoding"}
    wanted = preferred(request.headers.get("accept-encoding", ""), ["gzip"])
    if wanted is None or len(body) < LEAST_GZIP_BYTES:
        return body, headers
    headers["Content-Encoding"] = "gzip"
    if len(body) <= MOST_INLINE_BYTES:
        return compress(body), headers
    return await asyncio.to_thread(compress, body), headers


def compress(body: bytes) -> bytes:
    """Return a gzip stream, made quickly: twice the time makes it a tenth shorter."""
    return zlib.compress(body, 1, wbits=31)
