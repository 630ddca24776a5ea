"""Bodies of multipart/related, taken apart by their lengths and boundaries alone."""

import re
from typing import NamedTuple


class Part(NamedTuple):
    headers: dict[str, str]
    body: bytes

    @property
    def media_type(self):
        return self.headers["content-type"].partition(";")[0]

    @property
    def transfer_syntax(self):
        found = re.search(r"transfer-syntax=([0-9.]+)", self.headers["content-type"])
        return found and found[1]


def parts_of(answer):
    """Return the parts of an answer, each checked against the length that it says."""
    content_type = answer.headers["content-type"]
    assert content_type.startswith("multipart/related; type="), content_type
    boundary = re.search(r"boundary=\"?([^\";]+)", content_type)[1].encode()
    delimiter = b"\r\n--" + boundary
    pieces = (b"\r\n" + answer.content).split(delimiter)
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    return [read(piece) for piece in pieces[1:-1]]


def read(piece):
    head, _, body = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    if "content-length" in headers:
        assert int(headers["content-length"]) == len(body)
    return Part(headers, body)
