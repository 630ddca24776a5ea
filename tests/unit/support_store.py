"""Store requests of DICOMweb (PS3.18 §10.5): their bodies, and what answers say."""

import base64
import json
import re
import xml.etree.ElementTree as ElementTree

BOUNDARY = "0123456789-boundary"
ROOT = "/dicom-web"
JSON_TYPE = "application/dicom+json"
XML_TYPE = "application/dicom+xml"
NATIVE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


def part(data, content_type="application/dicom", location=None, **headers):
    """Return one part of a multipart body, from its delimiter to its end."""
    lines = {"Content-Type": content_type, "Content-Location": location}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"--{BOUNDARY}\r\n{text}\r\n".encode() + data + b"\r\n"


def related(*parts, of="application/dicom", quoted=True):
    """Return a multipart/related body and its Content-Type."""
    quote = '"' if quoted else ""
    content_type = f"multipart/related; type={quote}{of}{quote}; boundary={quote}{BOUNDARY}{quote}"
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(), content_type


def bodies(*files, **options):
    """Return the body of a request with these PS3.10 files, and its Content-Type."""
    return related(*(part(file) for file in files), **options)


def split_json(metadata, prefix="bulk"):
    """Move what is binary of a data set in DICOM JSON to parts; return these as (URI, bytes)."""
    found = []
    for attribute in metadata.values():
        if "InlineBinary" in attribute:
            uri = f"{prefix}/{len(found)}"
            found.append((uri, base64.b64decode(attribute.pop("InlineBinary"))))
            attribute["BulkDataURI"] = uri
        for item in attribute.get("Value", []) if attribute["vr"] == "SQ" else []:
            found += split_json(item, f"{prefix}/{len(found)}")
    return found


def split_xml(text, prefix="bulk"):
    """The same of the Native DICOM Model: the text, and the parts."""
    found = []

    def moved(match):
        found.append((f"{prefix}/{len(found)}", base64.b64decode(match[1])))
        return f'<BulkData uri="{found[-1][0]}"/>'

    return re.sub("<InlineBinary>([^<]*)</InlineBinary>", moved, text), found


class Module:
    """A Store Instances Response Module (PS3.18 §I.2) in either form."""

    def __init__(self, answer):
        self.status = answer.status_code
        is_xml = answer.content.startswith(b"<")
        self.elements = (of_xml if is_xml else of_json)(answer.content)

    @property
    def url(self):
        return self.elements.get("00081190", [None])[0]

    @property
    def stored(self):
        return self.elements.get("00081199", [])

    @property
    def stored_uids(self):
        return [item["00081155"][0] for item in self.stored]

    @property
    def failed(self):
        found = self.elements.get("00081198", [])
        return {item["00081155"][0]: item["00081197"][0] for item in found}

    @property
    def others(self):
        return [item["00081197"][0] for item in self.elements.get("0008119A", [])]

    @property
    def warnings(self):
        return {it["00081155"][0]: it["00081196"][0] for it in self.stored if "00081196" in it}


def of_json(content):
    return values(json.loads(content))


def values(data_set):
    found = {}
    for tag, attribute in data_set.items():
        value = attribute.get("Value", [])
        found[tag] = [values(item) for item in value] if attribute["vr"] == "SQ" else value
    return found


def of_xml(content):
    root = ElementTree.fromstring(content)
    assert root.tag == f"{NATIVE}NativeDicomModel"
    return xml_values(root)


def xml_values(data_set):
    found = {}
    for attribute in data_set:
        vr = attribute.get("vr")
        if vr == "SQ":
            numbers = [int(item.get("number")) for item in attribute]
            assert numbers == list(range(1, len(numbers) + 1))
            found[attribute.get("tag")] = [xml_values(item) for item in attribute]
        else:
            texts = [value.text for value in attribute]
            found[attribute.get("tag")] = [int(it) for it in texts] if vr == "US" else texts
    return found
