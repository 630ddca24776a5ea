"""New instances of what a request brings along: tags, and a picture or a document of other kinds.

What the tags do not say is filled in as the chosen SOP class needs it: identifiers and dates, or
what the patient, study or series has that the instance is put into, and the attributes that must be
there though nobody knows their values (type 2, PS3.5 §7.4.3).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from vna._core import decode_base64, file_from_json, read_file, write_file
from vna.errors import (
    BadBody,
    BadParameter,
    BadRequest,
    InheritedValue,
    NoDataUri,
    NotFound,
    NotImplementedYet,
    ParentIsInstance,
    PixelsAmongTags,
    UnknownParent,
    UnknownTag,
    UnsupportedImage,
)
from vna.services import uids
from vna.services.archive import Archive, TagsRequest
from vna.services.caller import Caller
from vna.services.documents import CONTENT, DOCUMENTS, RAW_DATA, Document, defaults, holding
from vna.services.named_tags import DataSet, data_set_of
from vna.services.resources import level_of

# Secondary Capture Image Storage.
CAPTURE = Document("1.2.840.10008.5.1.4.1.1.7", "OT")
PICTURES = frozenset({"image/png", "image/jpeg"})
LOSSLESS = frozenset({"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"})
LOSSY = {"LossyImageCompression": "01", "LossyImageCompressionMethod": "ISO_10918_1"}
PIXEL_DATA = "7FE00010"
# How much of a media type, which is what a request says, an error repeats.
SHOWN = 64
# Identifiers that are made here, by level: those of a parent are inherited.
MADE = {
    "0020000D": "StudyInstanceUID",
    "0020000E": "SeriesInstanceUID",
    "00080018": "SOPInstanceUID",
}
# Longest data set of a patient, study or series beside its images that is inherited from.
MODEL_BYTES = 1 << 20

Hold = Callable[[int], None]


class Creation(msgspec.Struct, kw_only=True):
    """What a request wants of new instances.

    Attributes
    ----------
    tags : dict
        By name or number; see `named_tags`.
    content : str or list
        A data URI with a picture or document; or a list of these, each alone or as an object with
        `Content` and `Tags` of its own, that become the instances of one series.
    parent : str, optional
        Public id of the patient, study or series to put them into.
    private_creator : str
        Who reserves the blocks of private tags (PS3.5 §7.8.1) that no tag reserves.
    force : bool
        Whether tags may replace what would be made here or inherited.
    interpret_binary_tags : bool
        Whether binary values are what a data URI in their place holds.
    encapsulate : bool
        Whether a JPEG file becomes pixel data as it is.
    """

    tags: dict[str, Any]
    content: Any = None
    parent: str | None = None
    private_creator: str = ""
    force: bool = False
    interpret_binary_tags: bool = True
    encapsulate: bool = False


async def create(
    archive: Archive, creation: Creation, caller: Caller, hold: Hold
) -> dict[str, Any]:
    """Make and store instances; return what an upload returns, or the series of several.

    `hold` accounts for bytes before they are there. What was stored of several is deleted again if
    one of them cannot be.

    Raises
    ------
    BadRequest
        InheritedValue, UnknownParent and others for what contradicts itself.
    UnknownTag
        If a name is none of PS3.6.
    OutOfStorage, Busy
        If there is no room.
    """
    inherited = await inherited_by(archive, creation.parent, caller)
    given = written(creation.tags, creation)
    check(given, inherited, creation.force)
    common = {**made(inherited), **inherited, **given}
    if not isinstance(creation.content, list) or not creation.content:
        content = None if creation.content == [] else creation.content
        file = await file_of(archive, common, content, creation, hold)
        stored: dict[str, Any] = msgspec.json.decode(await archive.store(file, caller))
        return stored
    return await create_series(archive, common, creation, caller, hold)


async def create_series(
    archive: Archive, common: DataSet, creation: Creation, caller: Caller, hold: Hold
) -> dict[str, Any]:
    """Make and store the instances of one series."""
    count = len(creation.content)
    stored: list[dict[str, Any]] = []
    try:
        for number, each in enumerate(creation.content, start=1):
            tags, content = part_of(each)
            own = written(tags, creation)
            check(own, common, creation.force)
            numbered: DataSet = {
                "00080018": {"vr": "UI", "Value": [uids.generate()]},
                "00200013": {"vr": "IS", "Value": [number]},
                "00201002": {"vr": "IS", "Value": [count]},
                "00541330": {"vr": "US", "Value": [number & 0xFFFF]},
            }
            file = await file_of(archive, {**common, **numbered, **own}, content, creation, hold)
            stored.append(msgspec.json.decode(await archive.store(file, caller)))
    except BaseException:
        for one in stored:
            if one["Status"] == "Success":
                await archive.delete("instances", one["ID"], caller)
        raise
    series = stored[0]["ParentSeries"]
    return {"ID": series, "Path": f"/series/{series}", "Status": "Success"}


def part_of(each: Any) -> tuple[dict[str, Any], Any]:
    """Return the tags and the content of one instance of a series."""
    if isinstance(each, str):
        return {}, each
    if not isinstance(each, dict) or not isinstance(each.get("Tags", {}), dict):
        raise BadRequest("an item of Content is a data URI, or an object with Content and Tags")
    return each.get("Tags", {}), each.get("Content")


def written(tags: dict[str, Any], creation: Creation) -> DataSet:
    """Return the data set that tags stand for; those of group 0002 are written anew."""
    try:
        found = data_set_of(tags, binary="data URI" if creation.interpret_binary_tags else "text")
    except (UnknownTag, BadParameter, BadBody):
        raise
    except BadRequest as error:
        raise BadBody(str(error)) from None  # what is no value of its VR, as clients know it
    if PIXEL_DATA in found:
        raise PixelsAmongTags("pixel data are given as Content, a data URI with a picture")
    found.pop("00080005", None)  # the character set is that of what we write
    if creation.private_creator:
        for tag in list(found):
            block = int(tag, 16) >> 8 & 0xFF
            reserve = f"{tag[:4]}00{block:02X}"
            if int(tag[:4], 16) & 1 and block >= 0x10:
                found.setdefault(reserve, {"vr": "LO", "Value": [creation.private_creator]})
    return {tag: value for tag, value in found.items() if not tag.startswith("0002")}


def check(given: DataSet, inherited: DataSet, force: bool) -> None:
    """Raise InheritedValue if tags replace what is made here or inherited, unless that is meant."""
    for tag in given:
        if not force and (tag in inherited or tag in MADE):
            name = MADE.get(tag, f"({tag[:4]},{tag[4:]})".lower())
            raise InheritedValue(f"{name} is made here or inherited; set Force to give it yourself")


def made(inherited: DataSet) -> DataSet:
    """Return identifiers and dates that are made here."""
    now = datetime.now()
    found: DataSet = {tag: {"vr": "UI", "Value": [uids.generate()]} for tag in MADE}
    found["00100020"] = {"vr": "LO", "Value": [str(uuid.uuid4())]}
    for element in (0x12, 0x20, 0x21, 0x23):  # creation of the instance, study, series, content
        found[f"0008{element:04X}"] = {"vr": "DA", "Value": [now.strftime("%Y%m%d")]}
        time = element + (0x10 if element != 0x12 else 1)
        found[f"0008{time:04X}"] = {"vr": "TM", "Value": [now.strftime("%H%M%S.%f")]}
    # A series or study without a date has none.
    has = {"study": "0020000D" in inherited, "series": "0020000E" in inherited}
    for of, tags in (("study", ("00080020", "00080030")), ("series", ("00080021", "00080031"))):
        for tag in tags if has[of] else ():
            del found[tag]
    return found


async def inherited_by(archive: Archive, parent: str | None, caller: Caller) -> DataSet:
    """Return what an instance has from the patient, study or series that it is put into."""
    if parent is None:
        return {}
    try:
        level = level_of(archive, parent, caller)
    except NotFound:
        raise UnknownParent(f"{parent[:64]} is no patient, study or series") from None
    if level == "instances":
        raise ParentIsInstance(f"{parent} is an instance; name its series")
    chosen = await archive._json(archive.core.representative(caller.tenant, level, parent))
    instance = chosen.decode()
    modules = {"patients": ["Module"], "studies": ["Module", "PatientModule"]}
    asked = [(level, parent, of) for of in modules.get(level, ["Module"])]
    if level == "series":
        one = msgspec.json.decode(archive.resource("series", parent, caller))
        asked += [("studies", one["ParentStudy"], of) for of in modules["studies"]]
    tags: set[str] = set()
    for where, public_id, of in asked:
        request = TagsRequest(of=of, form="short")
        found = msgspec.json.decode(await archive.tags(where, public_id, request, caller))
        tags.update(tag.replace(",", "").upper() for tag in found)
    begun = archive.core.model(caller.tenant, instance, "json", MODEL_BYTES, "")
    model: DataSet = msgspec.json.decode(await archive._json(begun))
    return {
        tag: value for tag, value in model.items() if tag in tags and "BulkDataURI" not in value
    }


async def file_of(
    archive: Archive, data_set: DataSet, content: Any, creation: Creation, hold: Hold
) -> bytes:
    """Return the file of one instance."""
    if content is None:
        return await finished(defaults(Document(RAW_DATA, "OT")) | data_set)
    media_type, payload = await data_of(content, hold)
    if creation.encapsulate and media_type != "image/jpeg":
        raise NotImplementedYet(f"pixel data cannot be {media_type[:SHOWN]} as it is; JPEG can")
    if media_type in PICTURES:
        pixels, samples, syntax = await read_picture(archive, payload, creation.encapsulate, hold)
        whole = defaults(CAPTURE) | data_set | pixels
        if syntax is None:
            return await finished(whole, samples)
        return await asyncio.to_thread(encapsulated, await finished(whole), payload, syntax)
    if media_type == "application/octet-stream":
        pixels = {PIXEL_DATA: {"vr": "OW", "BulkDataURI": CONTENT}}
        return await finished(defaults(CAPTURE) | data_set | pixels, payload)
    document = DOCUMENTS.get(media_type)
    if document is None:
        known = ", ".join([*sorted(PICTURES), *DOCUMENTS])
        raise NotImplementedYet(f"Content is {media_type[:SHOWN]!r}; it takes {known}")
    if not payload.startswith(document.begins):
        raise BadBody(f"Content is no {media_type}: it does not begin as one")
    whole = defaults(document) | data_set | holding(document, len(payload))
    return await finished(whole, payload)


async def data_of(content: Any, hold: Hold) -> tuple[str, bytes]:
    """Return what a data URI says (RFC 2397): its media type and what it holds."""
    if not isinstance(content, str):
        raise NoDataUri("Content is a data URI: data:image/png;base64,...")
    head, comma, text = content.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise BadBody("Content is no data URI with Base64: data:image/png;base64,...")
    hold(len(text) // 4 * 3)
    payload = await asyncio.to_thread(decode_base64, text)
    if payload is None:
        raise BadBody("what is behind the comma of the data URI in Content is no Base64")
    return head.removeprefix("data:").partition(";")[0].strip().lower(), payload


async def read_picture(
    archive: Archive, file: bytes, encapsulate: bool, hold: Hold
) -> tuple[DataSet, bytes, str | None]:
    """Return what the header of an image says of a PNG or JPEG file, and its samples.

    One that is to be encapsulated as it is has no samples, but a transfer syntax.

    Raises
    ------
    BadBody
        If the picture is none, or damaged.
    NotImplementedYet
        If no transfer syntax holds it as it is.
    """
    begun = archive.core.read_image(file, encapsulated=encapsulate)
    try:
        answer = await archive._json(begun)
    except UnsupportedImage as error:
        raise BadBody(f"the picture in Content: {error}", error.code) from None
    head, _, samples = answer.partition(b"\n")
    hold(2 * len(samples))
    image = msgspec.json.decode(head)
    syntax = image.pop("TransferSyntaxUID")
    image |= {"HighBit": image["BitsStored"] - 1, "PixelRepresentation": 0}
    if image["SamplesPerPixel"] > 1:
        image["PlanarConfiguration"] = 0
    pixels: DataSet = data_set_of(image)
    vr = "OB" if image["BitsAllocated"] <= 8 else "OW"
    pixels[PIXEL_DATA] = {"vr": vr, "BulkDataURI": CONTENT}
    if not encapsulate:
        return pixels, samples, None
    if syntax is None:
        raise NotImplementedYet("DICOM has no transfer syntax for this process of JPEG")
    if syntax not in LOSSLESS:
        pixels |= data_set_of(LOSSY)
    return pixels, b"", syntax


def encapsulated(file: bytes, codestream: bytes, transfer_syntax_uid: str) -> bytes:
    """Return a file whose pixel data are one codestream (PS3.5 §A.4)."""
    _, _, elements = read_file(file)
    kept = [element for element in elements if element[0] != int(PIXEL_DATA, 16)]
    pixels = (int(PIXEL_DATA, 16), "OB", (b"", codestream))
    return write_file([*kept, pixels], transfer_syntax_uid=transfer_syntax_uid)


async def finished(data_set: DataSet, content: bytes = b"") -> bytes:
    """Return the file of a data set, of whose values one may be the content."""
    text = msgspec.json.encode(data_set)
    return await asyncio.to_thread(file_from_json, text, bulk_data={CONTENT: content})
