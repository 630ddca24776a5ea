"""What answers of DICOMweb have in common: warnings, and bodies of finished parts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from secrets import token_hex

from vna.rest.dicomweb.negotiation import MULTIPART


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
    return f'{MULTIPART}; type="{media_type}"; boundary={boundary}', pieces
