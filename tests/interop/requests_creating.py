"""Instances made of tags, pictures and documents. What is made here is deleted again."""

import base64
import io

from PIL import Image
from support_compare import Request
from support_corpus import uid
from support_requests import NO_SUCH_ID, get, post
from support_samples import public_id

PATH = "/tools/create-dicom"
# What both servers would make up differently.
IDENTITY = {
    "PatientID": "CREATED",
    "StudyInstanceUID": uid("created"),
    "SeriesInstanceUID": uid("created", 1),
}
WHEN = {
    **dict.fromkeys(("InstanceCreationDate", "StudyDate", "SeriesDate", "ContentDate"), "20200102"),
    **dict.fromkeys(("InstanceCreationTime", "StudyTime", "SeriesTime", "ContentTime"), "101112"),
    "AcquisitionDate": "20200102",
    "AcquisitionTime": "101112",
}


def uri(media_type, data):
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def picture(form, mode):
    image = Image.linear_gradient("L").resize((16, 8))
    if mode == "RGB":
        image = Image.merge("RGB", [image, image.rotate(180), image])
    elif mode == "RGBA":
        image = Image.merge("RGBA", [image, image.rotate(180), image, image])
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


CONTENT = {
    "png": uri("image/png", picture("PNG", "L")),
    "png-rgb": uri("image/png", picture("PNG", "RGB")),
    "png-rgba": uri("image/png", picture("PNG", "RGBA")),
    "jpeg": uri("image/jpeg", picture("JPEG", "L")),
    "pdf": uri("application/pdf", b"%PDF-1.4\n%%EOF\n"),
    "stl": uri("model/stl", b"solid a\nendsolid a\n"),
    "obj": uri("model/obj", b"v 0 0 0\n"),
    "mtl": uri("model/mtl", b"newmtl a\n"),
    "bytes": uri("application/octet-stream", bytes(8)),
}


def made(number, tags=(), **body):
    """Return the tags of an instance of which nothing is left to chance, with what else is said."""
    identity = {**IDENTITY, "SOPInstanceUID": uid("created", 1, number), **WHEN}
    return {"Tags": {**identity, **dict(tags)}, "Force": True, **body}


def creations(held):
    by_name = {one.name: one for one in held}
    parent = by_name["made/H1/0/0/1"].ids
    for number, (name, content) in enumerate(CONTENT.items()):
        created = post(PATH, made(number, Content=content), name)
        yield created._replace(keeps="ID")
        yield get("/instances/{kept}/simplified-tags", f"tags of {name}")
        if name.startswith("png"):
            yield get("/instances/{kept}/frames/0/raw", f"pixels of {name}")
    values = {
        "PatientName": "Müller^Jörg",
        "ImageType": "DERIVED\\SECONDARY",
        "PatientComments": None,
        "RequestAttributesSequence": [{"ScheduledProcedureStepID": "x"}],
        "EncapsulatedDocument": uri("application/octet-stream", b"\1\2\3\4"),
        "0029,1001": "private",
        "Rows": "12",
    }
    yield post(PATH, made(50, values), "values")._replace(keeps="ID")
    yield get("/instances/{kept}/simplified-tags", "tags of values")
    flat = {**made(51)["Tags"], "PatientName": "Flat"}
    yield post(PATH, flat, "without Tags")._replace(keeps="ID")
    yield get("/instances/{kept}/simplified-tags", "tags without Tags")
    yield Request("DELETE /patients/{created}", "DELETE", f"/patients/{public_id(['CREATED'])}")
    for level in ("patients", "studies", "series"):
        own = {
            "SOPInstanceUID": uid("created", 2, level),
            **({} if level == "series" else {"SeriesInstanceUID": uid("created", 2)}),
            **({"StudyInstanceUID": uid("created", 2)} if level == "patients" else {}),
        }
        body = {"Parent": parent[level], "Tags": own, "Force": True}
        yield post(PATH, body, f"below one of the {level}")._replace(keeps="ID")
        yield Request(f"DELETE one of the {level}", "DELETE", "/instances/{kept}")
    yield from refusals(parent)


def refusals(parent):
    """Yield what both refuse, each for a reason of its own."""
    yield post(PATH, b"", "nothing")
    yield post(PATH, b"nope", "no JSON")
    yield post(PATH, [], "a list")
    for name, body in {
        "unknown tag": {"Tags": {"Nope": "x"}},
        "no parent": {"Tags": {}, "Parent": NO_SUCH_ID},
        "parent is an instance": {"Tags": {}, "Parent": parent["instances"]},
        "inherited": {"Tags": {"PatientName": "x"}, "Parent": parent["studies"]},
        "inherited by a series": {"Tags": {"Modality": "OT"}, "Parent": parent["series"]},
        "UID": {"Tags": {"SOPInstanceUID": "1.2"}},
        "pixels": {"Tags": {"PixelData": CONTENT["png"]}},
        "content is a number": {"Tags": {}, "Content": 12},
        "content is no URI": {"Tags": {}, "Content": "nope"},
        "no PNG": {"Tags": {}, "Content": uri("image/png", b"nope")},
        "no JPEG": {"Tags": {}, "Content": uri("image/jpeg", b"nope")},
        "no PDF": {"Tags": {}, "Content": uri("application/pdf", b"nope")},
        "unknown kind": {"Tags": {}, "Content": uri("text/plain", b"x")},
        "PNG as it is": {"Tags": {}, "Content": CONTENT["png"], "Encapsulate": True},
        "number": {"Tags": {"Rows": "x"}},
        "Force": {"Tags": {}, "Force": "x"},
        "PrivateCreator": {"Tags": {}, "PrivateCreator": 5},
        "InterpretBinaryTags": {"Tags": {}, "InterpretBinaryTags": "x"},
        "sequence": {"Tags": {"RequestAttributesSequence": "x"}},
    }.items():
        yield post(PATH, body, name)
