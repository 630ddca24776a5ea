"""Telling two answers apart: what counts, what is masked, and which differences are meant to be."""

import functools
import io
import json
import re
import tomllib
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pydicom

INTENDED = Path(__file__).with_name("differences.toml")
HEADERS = (
    "content-type", "content-disposition", "content-range", "etag", "location", "allow",
)  # fmt: skip
PUBLIC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Clocks, random names and counters of each server's own. That they are there, and of what type, is
# compared all the same.
VOLATILE = {"Date", "FileUuid", "First", "IsStable", "Last", "LastUpdate", "ReceptionDate", "Seq"}
# Offsets of directory records.
PLACES = {"0004,1400", "0004,1420"}
ABSENT = "(absent)"
SHOWN = 160


class Request(NamedTuple):
    """One request to both servers; `name` is how differences.toml and failures call it."""

    name: str
    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] | None = None
    # Whether a list of resources has an order that the interface promises.
    ordered: bool = False
    # A page of a list without such an order: only how long it is can be compared.
    page: bool = False
    # Where in its answer is the id for which later paths say {kept}; each server chooses its own.
    keeps: str = ""
    # Whether identifiers that each server has made are in its answer.
    makes: bool = False
    # Whether only status and kind of the answer are the same: what it says is of each server's own.
    kind: bool = False


class Difference(NamedTuple):
    """Where two answers to one request differ."""

    request: str
    where: str
    ours: object
    theirs: object

    def files(self):
        """Return the files that request and place name."""
        return re.findall(r"\{(.*?)\}", f"{self.request} {self.where}") or [""]

    def __str__(self):
        return (
            f"{self.request}\n    {self.where}: ours {show(self.ours)}, theirs {show(self.theirs)}"
        )


def show(value):
    text = value if value is ABSENT else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"


@dataclass
class Intended:
    """One entry of differences.toml; all but `reason` and `collection` are patterns with `*`, or
    lists of patterns of which one is enough.

    `file` is looked for among the files that request and place name, `ours` and `theirs` are what
    the servers answer. `collection` is the part of the shared data without which there is no
    difference.
    """

    reason: str
    request: str | list[str] = "*"
    where: str | list[str] = "*"
    file: str | list[str] = "*"
    ours: str | list[str] = "*"
    theirs: str | list[str] = "*"
    collection: str = ""
    used: int = field(default=0)

    def covers(self, difference):
        return (
            matches(difference.request, self.request)
            and matches(difference.where, self.where)
            and any(matches(name, self.file) for name in difference.files())
            and matches(str(difference.ours), self.ours)
            and matches(str(difference.theirs), self.theirs)
        )


def matches(text, pattern):
    """Whether a pattern, or one of several, stands for a text; only `*` means something in it."""
    if isinstance(pattern, list):
        return any(matches(text, one) for one in pattern)
    return pattern == "*" or compiled(pattern).fullmatch(text) is not None


@functools.cache
def compiled(pattern):
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def intended(path=INTENDED):
    """Return the entries of differences.toml, or of a file like it."""
    with path.open("rb") as file:
        entries = tomllib.load(file)["difference"]
    return [Intended(**entry) for entry in entries]


def unlisted(differences, entries):
    """Return the differences that no entry covers; entries count what they cover."""
    left = []
    for difference in differences:
        covering = [entry for entry in entries if entry.covers(difference)]
        for entry in covering:
            entry.used += 1
        if not covering:
            left.append(difference)
    return left


def compare(request, ours, theirs, names=None, pairs=None):
    """Return the differences of two answers, as httpx gives them.

    `names` are the names of resources by id, by which the places of differences call them, `pairs`
    the identifiers that stand for one another in what the servers have made.
    """
    one, other = parts(request, ours), parts(request, theirs)
    if one["status"] != other["status"]:
        # What one says of its success and the other of its refusal has nothing in common.
        return [Difference(request.name, "status", summary(ours), summary(theirs))]
    return [
        Difference(request.name, "/".join(where), left, right)
        for where, left, right in unequal(one, other, request.ordered, names or {}, pairs=pairs)
    ]


def parts(request, answer):
    """Return what counts of an answer, as one JSON value."""
    found = {"status": answer.status_code}
    found["header"] = {name: value for name in HEADERS if (value := header(answer, name)) != ABSENT}
    if request.method != "HEAD":
        value = body(answer)
        if request.kind and answer.status_code == 200:
            value = type(value).__name__
        found["body"] = len(value) if request.page and isinstance(value, list) else value
    return found


def summary(answer):
    """Return the status, and of an error the number that clients of Orthanc look at."""
    value = body(answer)
    number = value.get("OrthancStatus") if isinstance(value, dict) else None
    return f"{answer.status_code} ({number})" if number is not None else str(answer.status_code)


def header(answer, name):
    value = answer.headers.get(name)
    if value is None:
        return ABSENT
    if name == "etag":
        # Revisions are counted where they are kept: the peer's database has none.
        return re.sub(r'^"\d+-', '"#-', value)
    if name == "allow":
        return ",".join(sorted(value.split(",")))
    return value.partition(";")[0].strip() if name == "content-type" else value


def body(answer):
    """Return the body as what it is: JSON, text or bytes."""
    kind = header(answer, "content-type")
    if answer.content[:2] == b"PK":
        asked = answer.request
        is_transcoded = asked.url.params.get("transcode") or b"Transcode" in asked.content
        return packed(answer.content, is_transcoded)
    asked = answer.request
    is_written = asked.method == "POST" or asked.url.params.get("transcode")
    if is_written and answer.content[128:132] == b"DICM":
        return data_set(answer.content)
    try:
        if kind == "application/json" or answer.content[:1] in (b"{", b"["):
            return json.loads(answer.content)
    except ValueError:
        return answer.content
    return answer.content


def packed(archive, is_transcoded):
    """Return what a ZIP archive holds by name: files by their checksums, the records of media.

    What a server wrote itself, as when it transcodes, is compared as data sets. Names that are
    told apart by a number are one: which gets which is a matter of each server's order.
    """
    found = {}
    with zipfile.ZipFile(io.BytesIO(archive)) as entries:
        for entry in entries.infolist():
            content = entries.read(entry)
            name = re.sub(r"-\d+(?=/|$)", "", entry.filename)
            if name == "DICOMDIR":
                found[name] = records(content)
            elif is_transcoded:
                found.setdefault(name, []).append(data_set(content))
            else:
                said = f"{len(content)} bytes, CRC-32 {zlib.crc32(content)}"
                found[name] = sorted([*found.get(name, ()), said])
    return found


def records(directory):
    """Return the records of a DICOMDIR; where they are is a matter of how each is written."""
    found = pydicom.dcmread(io.BytesIO(directory)).DirectoryRecordSequence
    said = [elements(record) for record in found]
    return [{tag: one for tag, one in record.items() if tag not in PLACES} for record in said]


def data_set(file):
    """Return what a file says that a server has written: how it is cut into bytes is its own."""
    found = pydicom.dcmread(io.BytesIO(file), force=True)
    return {"TransferSyntaxUID": str(found.file_meta.TransferSyntaxUID), **elements(found)}


def elements(found):
    """Return a pydicom data set by tag, values as text."""
    said = {}
    for element in found:
        tag = f"{element.tag.group:04x},{element.tag.element:04x}"
        said[tag] = {"Type": str(element.VR)}
        if element.VR == "SQ":
            said[tag]["Value"] = [elements(item) for item in element.value]
        elif isinstance(element.value, bytes):
            said[tag]["Value"] = f"{len(element.value)} bytes, CRC-32 {zlib.crc32(element.value)}"
        else:
            said[tag]["Value"] = str(element.value)
    return said


def unequal(ours, theirs, ordered, names, where=(), pairs=None):
    """Yield (where, ours, theirs) of everything in two JSON values that differs."""
    if type(ours) is not type(theirs):
        yield where, ours, theirs
    elif isinstance(ours, dict):
        for key in sorted({*ours, *theirs}):
            one, other = ours.get(key, ABSENT), theirs.get(key, ABSENT)
            if key in VOLATILE and type(one) is type(other) and ABSENT not in (one, other):
                continue
            yield from unequal(one, other, ordered, names, (*where, key), pairs)
    elif isinstance(ours, list):
        if pairs is not None and (counted := by_type(ours, theirs)):
            ours, theirs = counted
        elif not ordered and (keyed := by_id(ours, theirs)):
            ours, theirs = keyed
            for key in sorted({*ours, *theirs}):
                place = (*where, f"{{{names.get(key, '')}}}")
                one, other = ours.get(key, ABSENT), theirs.get(key, ABSENT)
                yield from unequal(one, other, ordered, names, place, pairs)
            return
        if len(ours) != len(theirs):
            yield (*where, "length"), len(ours), len(theirs)
        for one, other in zip(ours, theirs, strict=False):
            yield from unequal(one, other, ordered, names, (*where, "#"), pairs)
    elif (
        unnamed(ours) != unnamed(theirs)
        and not (is_time(ours) and is_time(theirs))
        and not (pairs is not None and pairs.equal(ours, theirs))
    ):
        yield where, ours, theirs


def is_time(value):
    """Whether a value says when something happened to a server."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return re.fullmatch(r"\d{8}T\d{6}", text) is not None


def unnamed(value):
    """Return a value with the random names in it that a server chose alike."""
    return UUID.sub("{}", value) if isinstance(value, str) else value


def by_type(*lists):
    """Return how many of each type lists of resources name, or None if they are of anything else.

    Which of those that a server has made is which, their order by identifiers does not tell.
    """
    found = []
    for values in lists:
        if all(isinstance(value, str) and PUBLIC_ID.fullmatch(value) for value in values):
            found.append([len(values)])
        elif all(isinstance(value, dict) and {"ID", "Type"} <= value.keys() for value in values):
            found.append(sorted(value["Type"] for value in values))
        else:
            return None
    return found


def by_id(*lists):
    """Return lists of resources as dictionaries by id, or None if they are of anything else."""
    found = []
    for values in lists:
        if all(isinstance(value, str) and PUBLIC_ID.fullmatch(value) for value in values):
            found.append({value: value for value in values})
        elif all(
            isinstance(value, dict) and "ID" in value and "Seq" not in value for value in values
        ):
            found.append({str(value["ID"]): value for value in values})
        else:
            return None
        if len(found[-1]) != len(values):
            return None  # one of them twice
    return found


def report(differences):
    """Return what a failed test shows: the differences by kind, the commonest first."""
    kinds = {}
    for difference in differences:
        named = re.sub(r"\{[^}]*\}", "{}", difference.request)
        place = re.sub(r"\{[^}]*\}", "{}", difference.where)
        kinds.setdefault((named, place), []).append(difference)
    lines = [
        f"{len(differences)} differences of {len(kinds)} kinds that differences.toml does not list"
    ]
    for (_, _), found in sorted(kinds.items(), key=lambda kind: -len(kind[1])):
        lines.append(f"[{len(found)} times] {found[0]}")
        lines += [
            f"  also {other.request}: ours {show(other.ours)}, theirs {show(other.theirs)}"
            for other in found[1:3]
        ]
    return "\n".join(lines)
