"""Routes of rendered resources and thumbnails, and of WADO-URI (PS3.18 §10.4.1.1.3, §9)."""

from __future__ import annotations

from vna.rest.describe import DICOM, GIF, JP2, JPEG, PDF, PNG, Answer, Entry, Parameter
from vna.rest.dicomweb.retrieve_routes import retrieving

ACCEPT = Parameter("accept", "text", "media types, as in the header Accept, before which it goes")
CHARSET = Parameter("charset", "text", "character set of texts: UTF-8")
QUALITY = Parameter("quality", "number", "of JPEG, 1 to 100; 90 if not said")
VIEWPORT = Parameter(
    "viewport",
    "text",
    "`width,height` that the picture has at most; behind them, if wanted, column, row, columns and "
    "rows of the part to show, negative ones mirrored",
)
RENDERING = (
    ACCEPT,
    CHARSET,
    Parameter("annotation", "text", "`patient`, `technique`: what is written into the picture"),
    QUALITY,
    VIEWPORT,
    Parameter("window", "text", "`center,width,function`: linear, linear-exact or sigmoid"),
    Parameter(
        "iccprofile",
        "text",
        "no (if not said), yes: the image's own or sRGB, srgb, adobergb, rommrgb; not in GIF",
    ),
    Parameter("presentationSeriesUID", "text", "of the series of a presentation state to apply"),
    Parameter("presentationUID", "text", "of a presentation state to apply"),
)
SMALL = (ACCEPT, CHARSET, QUALITY, VIEWPORT)
# What is shown by being given as it is.
DOCUMENTS = (PDF, "text/xml", "model/stl", "model/obj", "model/mtl")
AS_STORED = (*DOCUMENTS, "video/mp4", "video/mpeg", "video/mp2t", "video/H265")
UNCHANGED = Answer(304, "It is the one that If-None-Match names", {})
MULTIPART = "multipart/related"
REPORT = ("text/html", "text/plain", "text/xml")
FORMS = (JPEG, PNG, GIF, JP2)
PICTURES = (
    Answer(
        200,
        "A picture, or all pictures as parts; of several frames an animation as GIF; a structured "
        "report as a text; a document or a video as it is",
        dict.fromkeys((*FORMS, MULTIPART, *REPORT, *AS_STORED), "Bytes"),
    ),
    Answer(
        206,
        "The range of a document or a video that is asked for",
        dict.fromkeys((MULTIPART, *AS_STORED), "Bytes"),
    ),
    UNCHANGED,
)
THUMBNAIL = (Answer(200, "The picture", dict.fromkeys(FORMS, "Bytes")), UNCHANGED)
TARGETS = {
    "/studies/{study}": "a study",
    "/studies/{study}/series/{series}": "a series",
    "/studies/{study}/series/{series}/instances/{instance}": "an instance",
    "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}": "some frames",
}


def table() -> list[Entry]:
    """Return a picture and a thumbnail of each kind of target."""
    entries = []
    for path, what in TARGETS.items():
        entries += [
            Entry(
                "GET",
                f"{path}/rendered",
                retrieving("dicomweb.rendered.rendered"),
                f"Pictures of {what}",
                PICTURES,
                RENDERING,
                refusals=(404, 406, 410, 412, 416),
            ),
            Entry(
                "GET",
                f"{path}/thumbnail",
                retrieving("dicomweb.rendered.thumbnail"),
                f"A small picture of {what}",
                THUMBNAIL,
                SMALL,
                refusals=(404, 406, 410, 412),
            ),
        ]
    return entries


# Paths begin behind dicomweb.root.
ROUTES: list[Entry] = table()

# Paths begin behind dicomweb.wado_root.
WADO_URI: list[Entry] = [
    Entry(
        "GET",
        "",
        retrieving("dicomweb.uri.retrieve"),
        "An instance as a file or as a picture (WADO-URI)",
        (
            Answer(200, "As asked", dict.fromkeys((DICOM, *FORMS, *REPORT, *AS_STORED), "Bytes")),
            Answer(206, "The range asked for", dict.fromkeys((DICOM, *AS_STORED), "Bytes")),
            UNCHANGED,
        ),
        (
            Parameter("requestType", "text", "WADO"),
            Parameter("studyUID", "text", "Study Instance UID"),
            Parameter("seriesUID", "text", "Series Instance UID"),
            Parameter("objectUID", "text", "SOP Instance UID"),
            Parameter("contentType", "text", "media types, best first"),
            CHARSET,
            Parameter("anonymize", "text", "yes: without what names the patient"),
            Parameter("transferSyntax", "text", "of a file; Explicit VR Little Endian if not said"),
            Parameter("annotation", "text", "`patient`, `technique`: written into the picture"),
            Parameter("rows", "number", "most rows of the picture"),
            Parameter("columns", "number", "most columns of the picture"),
            Parameter("region", "text", "`left,top,right,bottom` of the part, from 0 to 1 each"),
            Parameter("windowCenter", "decimal", "in place of that of the header"),
            Parameter("windowWidth", "decimal", "in place of that of the header; above 0"),
            Parameter("frameNumber", "number", "from 1 on"),
            Parameter("imageQuality", "number", "of JPEG, 1 to 100"),
            Parameter("presentationSeriesUID", "text", "of the presentation state's series"),
            Parameter("presentationUID", "text", "of a presentation state to apply"),
        ),
        refusals=(404, 406, 410, 412, 416),
    ),
]
