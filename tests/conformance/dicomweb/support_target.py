"""The server that is looked at, named by its URL, and its answers taken apart."""

import re
import uuid
import xml.etree.ElementTree as ElementTree
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import httpx
import pytest

DICOM = "application/dicom"
JSON = "application/dicom+json"
XML = "application/dicom+xml"
OCTETS = "application/octet-stream"
NATIVE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
# What no server can send of a study.
NOTHING = "application/x-nothing-has-this-type"


def clause(section, *, optional=False):
    """Say which clause or table of PS3.18 a case is from, and whether a server may do without."""
    return pytest.mark.clause(section, optional=optional)


def multipart(media_type, *parameters):
    """Return the media type of a body whose parts are of `media_type`."""
    return "; ".join(["multipart/related", f'type="{media_type}"', *parameters])


def media_type(text):
    """Return a media type without its parameters."""
    return text.partition(";")[0].strip().lower()


def parameters(text):
    """Return the parameters of a media type, unquoted."""
    found = re.findall(r';\s*([\w-]+)\s*=\s*("[^"]*"|[^;\s]*)', text)
    return {name.lower(): value.strip('"') for name, value in found}


# What PS3.18 §8.3.1 lets a value have unescaped, and the comma of lists. A plus sign is escaped:
# nobody knows whether it is a space.
UNESCAPED = "!$'()*;:@/?,"


def query_of(params):
    """Return the query of a URL; a value that is a list stands as often as it is long."""
    pairs = [
        (name, each)
        for name, value in (params or {}).items()
        for each in (value if isinstance(value, list) else [value])
    ]
    return "&".join(f"{name}={quote(str(each), safe=UNESCAPED)}" for name, each in pairs)


class Part(NamedTuple):
    """One part of a body."""

    headers: dict[str, str]
    body: bytes

    @property
    def media_type(self):
        return media_type(self.headers.get("content-type", ""))

    @property
    def parameters(self):
        return parameters(self.headers.get("content-type", ""))


def parts(answer):
    """Return the parts of a multipart/related body, read strictly (RFC 2046 §5.1.1)."""
    content_type = answer.headers["content-type"]
    assert media_type(content_type) == "multipart/related", content_type
    boundary = parameters(content_type)["boundary"].encode()
    _, *found = (b"\r\n" + answer.content).split(b"\r\n--" + boundary)
    last = found.pop()
    assert last.startswith(b"--"), "the closing delimiter is missing"
    assert found, "a multipart body has at least one part"
    return [read_part(each) for each in found]


def read_part(text):
    padding, _, rest = text.partition(b"\r\n")
    assert not padding.strip(b" \t"), padding[:80]
    if rest.startswith(b"\r\n"):
        return Part({}, rest[2:])
    head, blank, body = rest.partition(b"\r\n\r\n")
    assert blank, "the empty line after the header fields of a part is missing"
    fields = (line.split(":", 1) for line in head.decode("latin-1").split("\r\n"))
    headers = {name.strip().lower(): value.strip() for name, value in fields}
    if "content-length" in headers:
        assert int(headers["content-length"]) == len(body)
    return Part(headers, body)


def related(media_type, bodies, *, locations=None, types=None, boundary=None):
    """Return the header fields and the body of a multipart/related request."""
    boundary = boundary or uuid.uuid4().hex
    lines = []
    for number, body in enumerate(bodies):
        of_part = types[number] if types else media_type
        lines.append(f"--{boundary}\r\nContent-Type: {of_part}\r\n".encode())
        if locations and locations[number]:
            lines.append(f"Content-Location: {locations[number]}\r\n".encode())
        lines += [b"\r\n", body, b"\r\n"]
    lines.append(f"--{boundary}--\r\n".encode())
    content_type = f'multipart/related; type="{media_type}"; boundary={boundary}'
    return {"Content-Type": content_type}, b"".join(lines)


def native_attributes(document):
    """Return the attributes of a NativeDicomModel by tag; raises if the root is another."""
    root = ElementTree.fromstring(document)
    assert root.tag in (NATIVE + "NativeDicomModel", "NativeDicomModel"), root.tag
    return {each.get("tag"): each for each in root}


def native_values(element):
    """Return the texts of the values of a DicomAttribute."""
    return [each.text or "" for each in element if each.tag.endswith("Value")]


class Target:
    """The root of the DICOM web services of a server."""

    def __init__(self, url, uri_url=None, user=None, upload=None):
        self.url = url.rstrip("/")
        self.upload = upload
        origin = urlsplit(self.url)
        # Most servers have the URI service beside the others.
        self.uri_url = uri_url or f"{origin.scheme}://{origin.netloc}/wado"
        self.http = httpx.Client(timeout=60, auth=user, follow_redirects=True)

    def get(self, path, accept="*/*", *, params=None, headers=None):
        """GET a path below the root, or an absolute URL."""
        url = path if "://" in path else f"{self.url}{path}"
        return self.http.get(
            f"{url}?{query_of(params)}" if params else url,
            headers={"Accept": accept, **(headers or {})},
        )

    def ok(self, path, accept="*/*", **options):
        """GET what has to be there."""
        answer = self.get(path, accept, **options)
        assert answer.status_code == 200, (path, accept, answer.status_code, answer.text[:500])
        return answer

    def search(self, path, params=None, accept=JSON):
        """Return the matches of a search; none is 204, or an empty list in an old server."""
        answer = self.get(path, accept, params=params)
        if answer.status_code == 204:
            return []
        assert answer.status_code == 200, (path, params, answer.status_code, answer.text[:500])
        return answer.json()

    def store(self, files, path="/studies", accept=JSON):
        """POST instances as one multipart request."""
        headers, body = related(DICOM, files)
        return self.post(path, body, headers, accept)

    def post(self, path, body, headers, accept=JSON):
        return self.http.post(
            f"{self.url}{path}", content=body, headers={"Accept": accept, **headers}
        )

    def uri(self, params, accept="*/*", **options):
        """Ask the URI service."""
        return self.get(self.uri_url, accept, params=params, **options)
