"""Generated data sets in DICOM JSON and the Native DICOM Model, and back, in plain Python.

PS3.18 §F.2 and PS3.19 §A.1, and nothing of the archive: what both say is brought to one form, by
tag the VR and the values.
"""

import base64
import json
import struct
from decimal import Decimal
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from vna.testing.model import PIXEL_DATA, SPECIFIC_CHARACTER_SET
from vna.testing.values import FLOATS, INTEGERS, OPAQUE

GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
NATIVE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
NOT_FINITE = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}


def said(data_set):
    """Return what a data set says, but for its character set and its pixel data."""
    found = {}
    for element in data_set:
        tag, vr = element.tag, element.vr
        # Group lengths count bytes of one encoding.
        if tag in (SPECIFIC_CHARACTER_SET, PIXEL_DATA) or tag & 0xFFFF == 0:
            continue
        if vr == "SQ":
            found[tag] = vr, tuple(said(item) for item in element.items)
        elif vr in OPAQUE:
            found[tag] = vr, even(element.value)
        else:
            found[tag] = vr, tuple(one_value(vr, value) for value in element.value)
    return found


def even(value):
    return bytes(value) + b"\0" * (len(value) % 2)


def one_value(vr, value):
    """Return a value in the form in which all notations agree."""
    if vr in ("DS", "IS"):
        return Decimal(str(value))
    if vr == "PN":
        groups = [group.rstrip("^ ") for group in value.split("=")]
        return "=".join(groups).rstrip("=")
    if vr in FLOATS:
        (number,) = struct.unpack(f"<{FLOATS[vr]}", struct.pack(f"<{FLOATS[vr]}", float(value)))
        return number
    if vr in INTEGERS:
        return int(value)
    if vr == "AT":
        return value if isinstance(value, int) else int(value, 16)
    return value or ""


def of_json(data_set, fetch):
    """Return what a data set in DICOM JSON says; `fetch` gets what a BulkDataURI stands for."""
    found = {}
    for name, attribute in data_set.items():
        tag, vr = int(name, 16), attribute["vr"]
        assert name == f"{tag:08X}", name
        assert len(attribute.keys() & {"Value", "InlineBinary", "BulkDataURI"}) <= 1, attribute
        if tag in (SPECIFIC_CHARACTER_SET, PIXEL_DATA):
            continue
        values = attribute.get("Value", [])
        if vr == "SQ":
            found[tag] = vr, tuple(of_json(item, fetch) for item in values)
        elif "BulkDataURI" in attribute:
            found[tag] = vr, fetched(vr, fetch(attribute["BulkDataURI"]))
        elif vr in OPAQUE:
            found[tag] = vr, even(base64.b64decode(attribute.get("InlineBinary", "")))
        else:
            values = [name_of(value) for value in values] if vr == "PN" else values
            found[tag] = vr, tuple(one_value(vr, value) for value in values)
    return found


def fetched(vr, value):
    """Return what bulk data says: texts are UTF-8, numbers in little endian (PS3.18 §F.2.7)."""
    if vr in OPAQUE:
        return even(value)
    if vr in INTEGERS or vr in FLOATS or vr == "AT":
        form = (INTEGERS | FLOATS).get(vr, "HH")
        values = list(struct.iter_unpack(f"<{form}", value))
        if vr == "AT":
            return tuple(group << 16 | element for group, element in values)
        return tuple(one_value(vr, number) for (number,) in values)
    text = value.decode().rstrip(" \0")
    many = [text] if vr in ("LT", "ST", "UR", "UT") else text.split("\\")
    return tuple(one_value(vr, one.strip()) for one in many)


def name_of(groups):
    groups = groups or {}
    assert groups.keys() <= set(GROUPS), groups
    return "=".join(groups.get(group, "") for group in GROUPS)


def of_xml(document, fetch):
    """Return what a Native DICOM Model says."""
    root = ElementTree.fromstring(document)
    assert root.tag == f"{NATIVE}NativeDicomModel"
    return xml_data_set(root, fetch)


def xml_data_set(around, fetch):
    attributes = list(around)
    creators = {}
    for each in attributes:
        tag = int(each.get("tag"), 16)
        if each.get("privateCreator") is None and tag >> 16 & 1 and each[:]:
            creators.setdefault((tag >> 16, each[0].text), tag & 0xFF)
    found = {}
    for each in attributes:
        tag, vr, creator = int(each.get("tag"), 16), each.get("vr"), each.get("privateCreator")
        if creator is not None and tag & 0xFF00 == 0:
            tag |= creators[tag >> 16, creator] << 8
        assert tag not in found
        if tag not in (SPECIFIC_CHARACTER_SET, PIXEL_DATA):
            found[tag] = vr, xml_values(vr, list(each), fetch)
    return found


def xml_values(vr, inside, fetch):
    kinds = {each.tag.removeprefix(NATIVE) for each in inside}
    if kinds == {"BulkData"}:
        return fetched(vr, fetch(inside[0].get("uri")))
    if vr in OPAQUE:
        assert kinds <= {"InlineBinary"}
        return even(base64.b64decode(inside[0].text or "") if inside else b"")
    numbers = [int(each.get("number")) for each in inside]
    assert numbers == list(range(1, len(inside) + 1))
    if vr == "SQ":
        assert kinds <= {"Item"}
        return tuple(xml_data_set(each, fetch) for each in inside)
    assert kinds <= {"PersonName" if vr == "PN" else "Value"}
    texts = [xml_name(each) if vr == "PN" else each.text or "" for each in inside]
    return tuple(one_value(vr, text) for text in texts)


def xml_name(element):
    groups = dict.fromkeys(GROUPS, "")
    for group in element:
        parts = {each.tag.removeprefix(NATIVE): each.text or "" for each in group}
        assert parts.keys() <= set(COMPONENTS)
        joined = "^".join(parts.get(component, "") for component in COMPONENTS)
        groups[group.tag.removeprefix(NATIVE)] = joined.rstrip("^")
    return "=".join(groups.values())


def to_json(data_set, bulk, pixels=None):
    """Return a data set in DICOM JSON.

    `bulk` takes what is binary and returns its URI, or nothing where it stays in place; `pixels` is
    the URI of the pixel data.
    """
    found = {}
    for element in data_set:
        tag, vr = element.tag, element.vr
        attribute = found[f"{tag:08X}"] = {"vr": vr}
        if tag == SPECIFIC_CHARACTER_SET:
            attribute["Value"] = ["ISO_IR 192"]
        elif tag == PIXEL_DATA:
            attribute["BulkDataURI"] = pixels
        elif vr == "SQ":
            attribute["Value"] = [to_json(item, bulk) for item in element.items]
        elif vr in OPAQUE:
            uri = bulk(element.value)
            inline = {"InlineBinary": base64.b64encode(element.value).decode()}
            attribute |= {"BulkDataURI": uri} if uri else inline
        else:
            attribute["Value"] = [json_value(vr, value) for value in element.value]
        if attribute.get("Value") == []:
            del attribute["Value"]
    return found


def json_value(vr, value):
    if vr == "PN":
        return {name: text for name, text in zip(GROUPS, value.split("="), strict=False) if text}
    if vr == "AT":
        return f"{value:08X}"
    if vr in FLOATS:
        return NOT_FINITE.get(str(value), value)
    return value


def to_xml(data_set, bulk, pixels=None):
    """Return a data set as a Native DICOM Model; see `to_json`."""
    inside = "".join(xml_attributes(data_set, bulk, pixels))
    return f'<NativeDicomModel xmlns="{NATIVE[1:-1]}">{inside}</NativeDicomModel>'.encode()


def xml_attributes(data_set, bulk, pixels=None):
    for element in data_set:
        tag, vr = element.tag, element.vr
        creator = data_set.text(tag & ~0xFFFF | tag >> 8 & 0xFF) if tag >> 16 & 1 else ""
        named = f" privateCreator={quoteattr(creator)}" if creator else ""
        yield f'<DicomAttribute tag="{tag:08X}" vr="{vr}"{named}>'
        if tag == SPECIFIC_CHARACTER_SET:
            yield '<Value number="1">ISO_IR 192</Value>'
        elif tag == PIXEL_DATA:
            yield f"<BulkData uri={quoteattr(pixels)}/>"
        elif vr == "SQ":
            for number, item in enumerate(element.items, 1):
                yield f'<Item number="{number}">'
                yield from xml_attributes(item, bulk)
                yield "</Item>"
        elif vr in OPAQUE:
            if uri := bulk(element.value):
                yield f"<BulkData uri={quoteattr(uri)}/>"
            elif element.value:
                yield f"<InlineBinary>{base64.b64encode(element.value).decode()}</InlineBinary>"
        else:
            for number, value in enumerate(element.value, 1):
                yield xml_value(vr, number, value)
        yield "</DicomAttribute>"


def xml_value(vr, number, value):
    if vr == "PN":
        groups = zip(GROUPS, value.split("="), strict=False)
        inside = "".join(xml_group(name, text) for name, text in groups if text)
        return f'<PersonName number="{number}">{inside}</PersonName>'
    text = f"{value:08X}" if vr == "AT" else NOT_FINITE.get(str(value), str(value))
    return f'<Value number="{number}">{escape(text)}</Value>'


def xml_group(name, text):
    parts = zip(COMPONENTS, text.split("^"), strict=False)
    inside = "".join(f"<{part}>{escape(one)}</{part}>" for part, one in parts if one)
    return f"<{name}>{inside}</{name}>"


def dumped(*data_sets):
    """Return the JSON of data sets as UTF-8."""
    return json.dumps(data_sets, ensure_ascii=False).encode()


def differences(found, expected, path=""):
    """Return what differs between what two notations say, by path."""
    different = []
    for tag in sorted(found.keys() | expected.keys()):
        where = f"{path}{tag:08X}"
        one, other = found.get(tag), expected.get(tag)
        if one == other:
            continue
        is_sequence = one and other and one[0] == other[0] == "SQ"
        if is_sequence and len(one[1]) == len(other[1]):
            for number, items in enumerate(zip(one[1], other[1], strict=True), 1):
                different += differences(*items, f"{where}/{number}/")
        else:
            different.append(f"{where} is {one!r:.300}, not {other!r:.300}")
    return different


def uris(found):
    """Return all BulkDataURIs of metadata."""
    if isinstance(found, list):
        return [uri for one in found for uri in uris(one)]
    if not isinstance(found, dict):
        return []
    here = [found["BulkDataURI"]] if "BulkDataURI" in found else []
    return here + [uri for one in found.values() for uri in uris(one)]
