"""Metadata, attachments and protection: read, given, changed and taken, rightly and wrongly."""

import hashlib
import json

from support_compare import Request
from support_requests import LEVELS, NO_SUCH_ID, get, of, post

# Types that both servers know by name, beside those of each server itself.
OURS = """
[[notes.metadata]]
name = "status"
number = 1024
[[notes.attachments]]
name = "report"
number = 1024
"""
THEIRS = {"UserMetadata": {"status": 1024}, "UserContentType": {"report": 1024}}

# By name and by number: of users, of the server, none.
METADATA = ["status", "1024", "2000", "65535"]
NO_METADATA = ["65536", "LastUpdate", "7", "1023", "0", "-1", "no_such", "Status", "1024x", "%20"]
ATTACHED = ["report", "1024", "2000", "65535"]
NOT_ATTACHED = ["65536", "dicom", "1", "3", "1023", "0", "-1", "no_such", "Report", "%20"]
# What is said of one of each; of these two levels everything is.
FEW = {"status", "2000", "LastUpdate", "no_such", "report", "dicom", "1023"}
WHOLE = ("studies", "instances")
FACTS = ["size", "md5", "compressed-size", "compressed-md5", "is-compressed", "info"]
RANGES = [
    "bytes=0-9", "bytes=5-5", "bytes=0-", "bytes=-5", "bytes=-0", "bytes=-", "bytes=29-",
    "bytes=0-29", "bytes=0-30", "bytes=30-", "bytes=30-40", "bytes=9-5", "bytes=0-1,3-4",
    "bytes=a-b", "bytes=1-b", "bytes=", "bytes", "bits=0-9", "0-9", "", "bytes= 1 - 3",
    "bytes=99999999999999999999-", "bytes=0-99999999999999999999", "bytes=00-07", "bytes=+1-3",
]  # fmt: skip
SEEN = [
    '"0-x"',
    "0-x",
    '"0"',
    "0",
    "",
    "*",
    '"-1-x"',
    '"1-"',
    'W/"0-x"',
    '"0-x", "1-y"',
    "nonsense",
]
TEXT = b"thirty bytes, no more, no less"


def notes(held):
    """Yield them in an order in which each finds what those before it left."""
    by_name = {one.name: one for one in held}
    one, other = by_name["made/H2/0/0/1"], by_name["made/H4/0/0/1"]
    for level in LEVELS:
        yield from metadata(level, one)
        yield from attachments(level, one)
        yield from nowhere(level)
    yield from ranges(one)
    yield get("/changes?limit=100000&type=UpdatedMetadata;UpdatedAttachment", ordered=True)
    value = bytes(17 << 20)
    yield on("PUT", "series", one, "metadata/status", value, "(17 MiB)")
    yield on("PUT", "series", one, "metadata/status", b"x", "(short again)")
    yield from revisions(one)
    yield from received(one)
    yield from protection(one, other)
    yield from left(one)


def on(method, level, one, tail, body=None, said="", **headers):
    """Return a request about a note of a resource."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    path = f"/{level}/{one.ids[level]}/{tail}"
    name = f"{method} /{level}/{{{one.name}}}/{tail}{said and f' {said}'}"
    return Request(name, method, path, body, headers)


def metadata(level, one):
    """Give, read, change, list, search and take metadata."""
    names = [each for each in (*METADATA, *NO_METADATA) if level in WHOLE or each in FEW]
    for name in names:
        path = f"metadata/{name}"
        yield on("GET", level, one, path, said="(before)")
        yield on("DELETE", level, one, path, said="(before)")
        yield on("PUT", level, one, path, f"of {name}".encode())
        yield on("GET", level, one, path)
        yield on("PUT", level, one, path, b"", "(nothing)")
        yield on("GET", level, one, path, said="(nothing)")
    for name, value in {
        "(text)": "Grüße, 世界".encode(),
        "(no text)": bytes(range(256)),
        "(lines)": b"a\r\nb\n",
        "(long)": b"x" * 100_000,
        "(spaces)": b"  x  ",
    }.items():
        yield on("PUT", level, one, "metadata/status", value, name)
        yield on("GET", level, one, "metadata/status", said=name)
        yield on("GET", level, one, "metadata?expand", said=name)
    yield on("PUT", level, one, "metadata/status", b"read")
    for tail in ("metadata", "metadata?numeric", "metadata?expand&numeric", ""):
        yield on("GET", level, one, tail, said="(with metadata)")
    for method in ("POST", "PATCH"):
        yield on(method, level, one, "metadata/status", b"x")
    yield on("PUT", level, one, "metadata", b"x")
    singular = {"patients": "Patient", "studies": "Study", "series": "Series"}
    for value in ("read", "r*", "READ", "never", ""):
        body = {
            "Level": singular.get(level, "Instance"),
            "Query": {},
            "MetadataQuery": {"status": value},
            "ResponseContent": ["Metadata"],
        }
        yield post("/tools/find", body, json.dumps(body))
    for name in names:
        yield on("DELETE", level, one, f"metadata/{name}")
        yield on("DELETE", level, one, f"metadata/{name}", said="(again)")


def attachments(level, one):
    """Attach, read, pack and unpack, verify, list and detach."""
    yield on("GET", level, one, "attachments", said="(before)")
    names = [each for each in (*ATTACHED, *NOT_ATTACHED) if level in WHOLE or each in FEW]
    for name in names:
        path = f"attachments/{name}"
        if level == "instances" and name in ("dicom", "1", "3"):
            continue  # see `received`
        yield on("GET", level, one, path, said="(before)")
        yield on("DELETE", level, one, path, said="(before)")
        yield on("PUT", level, one, path, f"of {name}".encode())
        yield on("GET", level, one, path)
        yield on("GET", level, one, f"{path}/data")
        yield on("PUT", level, one, path, b"", "(nothing)")
        yield on("GET", level, one, f"{path}/data", said="(nothing)")
    path = "attachments/report"
    yield on("GET", level, one, "attachments")
    yield on("GET", level, one, "attachments?full")
    for content in (TEXT, b"", b"x" * 200_000) if level in WHOLE else (TEXT,):
        said = f"({len(content)} bytes)"
        yield on("PUT", level, one, path, content, said)
        for packing in (None, "compress", "compress", "uncompress", "uncompress"):
            if packing is not None:
                yield on("POST", level, one, f"{path}/{packing}", b"", said)
            after = f"{said} after {packing}"
            for fact in FACTS:
                yield on("GET", level, one, f"{path}/{fact}", said=after)
            yield on("GET", level, one, f"{path}/data", said=after)
            yield on("GET", level, one, f"{path}/compressed-data", said=after)
            yield on("POST", level, one, f"{path}/verify-md5", b"", after)
    yield on("GET", level, one, f"{path}/data?filename=a%22b")
    yield on("GET", level, one, f"{path}/compressed-data?filename=c.bin")
    for tail in (*FACTS, "data", "compressed-data", "nothing"):
        yield on("HEAD", level, one, f"{path}/{tail}")
        yield on("POST", level, one, f"{path}/{tail}", b"")
    for tail in ("compress", "uncompress", "verify-md5"):
        yield on("GET", level, one, f"{path}/{tail}")
    for name in ("no_such", "1025", "dicom" if level != "instances" else "2"):
        for tail in (*FACTS, "data", "compressed-data"):
            yield on("GET", level, one, f"attachments/{name}/{tail}")
        for tail in ("compress", "uncompress", "verify-md5"):
            yield on("POST", level, one, f"attachments/{name}/{tail}", b"")
    yield on("GET", level, one, "statistics", said="(with attachments)")


def ranges(one):
    """Ask for parts of an attachment of thirty bytes, as it is and as it is stored."""
    yield on("PUT", "studies", one, "attachments/report", TEXT)
    for kind in ("data", "compressed-data"):
        for wanted in RANGES:
            path = f"attachments/report/{kind}"
            yield on("GET", "studies", one, path, said=f"Range: {wanted}", Range=wanted)
    yield on("GET", "studies", one, "attachments/report/size", Range="bytes=0-0", said="Range")
    yield on("POST", "studies", one, "attachments/report/compress", b"")
    for wanted in ("bytes=3-7", "bytes=25-", "bytes=30-"):
        for kind in ("data", "compressed-data"):
            path = f"attachments/report/{kind}"
            yield on("GET", "studies", one, path, said=f"packed, Range: {wanted}", Range=wanted)
    for wanted in ("bytes=0-131", "bytes=128-131", "bytes=99999999-"):
        for kind in ("data", "compressed-data"):
            path = f"attachments/dicom/{kind}"
            yield on("GET", "instances", one, path, said=f"Range: {wanted}", Range=wanted)


def revisions(one):
    """Name revisions of what has none at the peer, in every form."""
    md5 = hashlib.md5(TEXT).hexdigest()
    for path in ("metadata/status", "attachments/report"):
        read = path if path.startswith("metadata") else f"{path}/data"
        yield on("PUT", "studies", one, path, TEXT, "(new)")
        for seen in (f'"0-{md5}"', f"0-{md5}", f'"1-{md5}"', *SEEN):
            yield on("GET", "studies", one, read, said=f"If-None-Match {seen}", If_None_Match=seen)
            yield on("GET", "studies", one, read, said=f"If-Match {seen}", If_Match=seen)
            yield on("PUT", "studies", one, path, TEXT, f"If-Match {seen}", If_Match=seen)
        yield on("PUT", "studies", one, path, TEXT, "If-None-Match", If_None_Match=f'"0-{md5}"')
        for seen in (f'"0-{md5}"', "nonsense"):
            yield on("DELETE", "studies", one, path, said=f"If-Match {seen}", If_Match=seen)
            yield on("PUT", "studies", one, path, TEXT, "(once more)")


def received(one):
    """Ask about the file of an instance, which is its first attachment, and try to change it."""
    yield on("GET", "instances", one, "attachments?full")
    for name in ("dicom", "1"):
        path = f"attachments/{name}"
        yield on("GET", "instances", one, path)
        for fact in ("size", "md5", "compressed-md5", "is-compressed", "info", "data"):
            yield on("GET", "instances", one, f"{path}/{fact}")
        yield on("HEAD", "instances", one, f"{path}/data")
        yield on("PUT", "instances", one, path, b"other bytes")
        yield on("DELETE", "instances", one, path)
        yield on("POST", "instances", one, f"{path}/verify-md5", b"")
        yield on("GET", "instances", one, f"{path}/data?filename=a.dcm")
        for packing in ("compress", "uncompress"):
            yield on("POST", "instances", one, f"{path}/{packing}", b"")
            yield on("GET", "instances", one, f"{path}/is-compressed", said=f"after {packing}")
            yield on("GET", "instances", one, f"{path}/data", said=f"after {packing}")
            yield on("GET", "instances", one, "file", said=f"after {packing}")


def nowhere(level):
    """Ask for notes of what is not there."""
    at = f"/{level}/{NO_SUCH_ID}"
    tails = ["metadata", "metadata?expand", "metadata/status", "metadata/no_such", "metadata/7"]
    tails += ["attachments", "attachments?full", "attachments/report", "attachments/no_such"]
    tails += [f"attachments/report/{fact}" for fact in (*FACTS, "data", "compressed-data")]
    for tail in tails:
        yield get(f"{at}/{tail}")
    for tail in ("metadata/status", "metadata/7", "attachments/report", "attachments/dicom"):
        yield Request(f"PUT {at}/{tail}", "PUT", f"{at}/{tail}", b"x")
        yield Request(f"DELETE {at}/{tail}", "DELETE", f"{at}/{tail}")
    for tail in ("compress", "uncompress", "verify-md5"):
        path = f"{at}/attachments/report/{tail}"
        yield Request(f"POST {path}", "POST", path, b"")


def protection(one, other):
    """Protect patients and let them go."""
    for body in (
        None,
        b"",
        b"1",
        b"1",
        b"0",
        b"0",
        b"2",
        b"true",
        b"false",
        b"True",
        b" 1 ",
        b"1\n",
        b"x" * 60,
    ):
        if body is not None:
            yield on("PUT", "patients", one, "protected", body, str(body[:9]))
        yield on("GET", "patients", one, "protected", said=f"after {(body or b'')[:9]}")
    yield on("PUT", "patients", other, "protected", b"1")
    yield on("GET", "patients", other, "protected")
    yield of("patients", other)
    yield on("PUT", "patients", other, "protected", b"0")
    for method in ("POST", "DELETE"):
        yield on(method, "patients", one, "protected", b"1")
    path = f"/patients/{NO_SUCH_ID}/protected"
    yield get(path)
    yield Request(f"PUT {path}", "PUT", path, b"1")
    for level in ("studies", "series", "instances"):
        yield on("GET", level, one, "protected")
        yield on("PUT", level, one, "protected", b"1")
    path = f"/patients/{one.ids['studies']}/protected"
    yield get(path, "/patients/{study}/protected")


def left(one):
    """Take what is still noted, and look at what has been told of it."""
    for level in LEVELS:
        for name in ATTACHED:
            yield on("DELETE", level, one, f"attachments/{name}", said="(at the end)")
            yield on("DELETE", level, one, f"attachments/{name}", said="(again)")
        yield on("DELETE", level, one, "metadata/status", said="(at the end)")
        yield on("GET", level, one, "attachments", said="(at the end)")
        yield on("GET", level, one, "metadata", said="(at the end)")
        yield on("GET", level, one, "statistics", said="(at the end)")
