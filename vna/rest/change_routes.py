"""Routes that make new instances of others, or of what a request brings along.

Their modules are imported by the first request that needs them.
"""

from __future__ import annotations

from vna.rest.describe import DICOM, JSON, Body, Entry, answer
from vna.rest.workflow_routes import imported_on_use

STARTED = answer("JobOrResult", "What the job did; or at once, if asked so, its id and path")
VERBS = {"modify": "Modify", "anonymize": "Make persons unknown in"}
NAMES = {"patients": "a patient", "studies": "a study", "series": "a series"}


def changing_routes() -> list[Entry]:
    """Return what modifies and anonymizes."""
    entries = []
    for verb, text in VERBS.items():
        schema = verb.capitalize()
        what = Body({JSON: schema}, "What is done to each instance, and with the results")
        for level, name in NAMES.items():
            entries.append(
                Entry(
                    "POST",
                    f"/{level}/{{id}}/{verb}",
                    imported_on_use(f"modifying.{verb}_{level}"),
                    f"{text} a copy of {name}",
                    STARTED,
                    body=what,
                    refusals=(507,),
                )
            )
        entries.append(
            Entry(
                "POST",
                f"/instances/{{id}}/{verb}",
                imported_on_use(f"modifying.{verb}_instances"),
                f"{text} a copy of an instance, which is given and not stored",
                answer("Bytes", "A DICOM file", DICOM),
                body=what,
            )
        )
        entries.append(
            Entry(
                "POST",
                f"/tools/bulk-{verb}",
                imported_on_use(f"modifying.bulk_{verb}"),
                f"{text} copies of many resources",
                STARTED,
                body=Body({JSON: f"Bulk{schema}"}, "Which ones, and what is done to them"),
                refusals=(404, 507),
            )
        )
    return entries


MOVING = [
    Entry(
        "POST",
        "/studies/{id}/merge",
        imported_on_use("modifying.merge"),
        "Put studies, series and instances into a study",
        STARTED,
        body=Body({JSON: "Merge"}, "What to put into it"),
        refusals=(507,),
    ),
    Entry(
        "POST",
        "/studies/{id}/split",
        imported_on_use("modifying.split"),
        "Take series and instances of a study into a new one",
        STARTED,
        body=Body({JSON: "Split"}, "What to take, and which tags of study and patient change"),
        refusals=(507,),
    ),
]
ROUTES = [
    *changing_routes(),
    *MOVING,
    Entry(
        "POST",
        "/tools/create-dicom",
        imported_on_use("creating.create_dicom"),
        "Make an instance of tags, a picture or a document; or a series of several",
        answer("Created"),
        body=Body({JSON: "CreateDicom"}, "Its tags, and what it holds as a data URI"),
        refusals=(501, 507),
    ),
]
