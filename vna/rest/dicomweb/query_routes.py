"""Routes of QIDO-RS: search (PS3.18 §10.6)."""

from __future__ import annotations

from vna.rest.describe import DICOM_JSON, DICOM_XML, JSON, Answer, Entry, Parameter
from vna.rest.workflow_routes import imported_on_use

PARAMETERS = (
    Parameter("limit", "number", "most results"),
    Parameter("offset", "number", "how many results to leave out"),
    Parameter(
        "includefield",
        "text",
        "attributes that results have besides, by keyword or tag, commas between them; or `all`",
    ),
    Parameter("fuzzymatching", "flag", "whether names that are similar match too"),
    Parameter("emptyvaluematching", "flag", 'whether `""` matches attributes that have no value'),
    Parameter("multiplevaluematching", "flag", "values are alternatives, whatever this says"),
    Parameter("accept", "text", "what is accepted, before the header of that name"),
    Parameter("charset", "text", "character sets that are accepted; texts are in UTF-8"),
)
FOUND = (
    Answer(
        200,
        "What matches",
        {DICOM_JSON: "Any", JSON: "Any", f'multipart/related; type="{DICOM_XML}"': "Bytes"},
    ),
)
PATHS = {
    "/studies": ("studies", "Search for studies"),
    "/series": ("series", "Search for series"),
    "/instances": ("instances", "Search for instances"),
    "/studies/{study}/series": ("series", "Search for series of a study"),
    "/studies/{study}/instances": ("instances", "Search for instances of a study"),
    "/studies/{study}/series/{series}/instances": (
        "instances",
        "Search for instances of a series",
    ),
}

# Paths begin behind dicomweb.root. Any other parameter is an attribute to match.
ROUTES = [
    Entry(
        "GET",
        path,
        imported_on_use(f"dicomweb.query.{name}"),
        f"{text}; other parameters are attributes to match, by keyword or tag",
        FOUND,
        PARAMETERS,
        refusals=(406, 413),
    )
    for path, (name, text) in PATHS.items()
]
