"""The route table: one line a route, in the order of the interface's description."""

from __future__ import annotations

from vna.rest import (
    archive_routes,
    change_routes,
    deleted,
    find,
    forms,
    index_routes,
    jobs,
    keep_routes,
    labels,
    levels,
    note_routes,
    openapi_route,
    peer_routes,
    picture_routes,
    remote_routes,
    server_routes,
    tool_routes,
    uploading,
    workflow_routes,
)
from vna.rest.describe import (
    CONDITIONAL,
    CONTENT,
    DICOM,
    EXPAND,
    FILE_NAME,
    GZIP,
    IGNORE_LENGTH,
    JSON,
    LIMIT,
    LOSSY_QUALITY,
    MULTIPART,
    REPORT,
    REQUESTED,
    SHORT,
    SIMPLIFY,
    SINCE,
    STORED_FILE,
    STORED_VALUE,
    TAG_FORMS,
    TEXT,
    TRANSCODE,
    WHOLE,
    ZIP,
    Answer,
    Body,
    Entry,
    Parameter,
    answer,
)
from vna.rest.dicomweb import routes as dicomweb_routes
from vna.rest.workflow_routes import imported_on_use
from vna.settings import Dicomweb

# Level -> (levels above, levels below), nearest first: what may follow its id in a path.
ABOVE = {
    "patients": (),
    "studies": ("patient",),
    "series": ("study", "patient"),
    "instances": ("series", "study", "patient"),
}
BELOW = {
    "patients": ("studies", "series", "instances"),
    "studies": ("series", "instances"),
    "series": ("instances",),
    "instances": (),
}


# Level -> the name of one of it, which is also the name of its schema.
ONE = {"patients": "Patient", "studies": "Study", "series": "Series", "instances": "Instance"}
ONE |= {"patient": "Patient", "study": "Study"}


def table(dicomweb: Dicomweb | None = None) -> list[Entry]:
    """Return every operation that is served; those of DICOMweb where its settings have them."""
    entries = [*SERVER, *SEARCH, *INSTANCE, *picture_routes.table(), *UPKEEP, *job_routes()]
    entries += [*index_routes.table(), *workflow_routes.ROUTES, *remote_routes.ROUTES]
    entries += [*peer_routes.ROUTES, *change_routes.ROUTES, *archive_routes.table()]
    entries += [*tool_routes.ROUTES, *keep_routes.ROUTES]
    entries += dicomweb_routes.table(dicomweb or Dicomweb())
    for level in ABOVE:
        entries += level_routes(level)
    return entries


SERVER = [
    Entry(
        "GET",
        "/system",
        server_routes.system,
        "What this server is and can do",
        answer("System"),
    ),
    Entry("GET", "/statistics", server_routes.statistics, "Counts and sizes", answer("Statistics")),
    Entry(
        "GET",
        "/changes",
        server_routes.changes,
        "The change feed",
        answer("Changes"),
        query=(
            Parameter("since", "number", "the number of the last change that is known already"),
            Parameter("to", "number", "the number of the last change to give"),
            Parameter("limit", "number", "how many to give; 100 if not said"),
            Parameter("type", "list", "types of changes to give"),
            Parameter("last", "flag", "only the last change"),
        ),
    ),
    Entry("GET", "/health/live", server_routes.live, "Whether the process answers", answer("Live")),
    Entry(
        "GET",
        "/health/ready",
        server_routes.ready,
        "Whether it can do its work",
        (
            *answer("Ready", "It can"),
            Answer(503, "It cannot, and why", {JSON: "NotReady"}),
        ),
    ),
    Entry(
        "GET",
        "/metrics",
        imported_on_use("metrics.metrics"),
        "Metrics in Prometheus' text form",
        answer("Text", media_type=TEXT),
    ),
    Entry(
        "GET",
        "/openapi.json",
        openapi_route.document,
        "This description",
        (
            *answer("Any", "An OpenAPI document"),
            Answer(304, "It is the one that If-None-Match names", {}),
        ),
    ),
]

SEARCH = [
    Entry(
        "POST",
        "/tools/find",
        find.find,
        "Find resources",
        answer("Found"),
        body=Body({JSON: "Find"}, "What they must match, and what to tell of them"),
        refusals=(404,),
    ),
    Entry(
        "POST",
        "/tools/count-resources",
        find.count,
        "Count what matches",
        answer("Count"),
        body=Body({JSON: "Find"}, "As for /tools/find; how it is shown does not matter"),
        refusals=(404,),
    ),
    Entry(
        "POST",
        "/tools/lookup",
        find.lookup,
        "Find resources by an identifier of DICOM",
        answer("LookedUp"),
        body=Body({TEXT: "Text"}, "A PatientID, or the UID of a study, series or instance"),
    ),
    Entry(
        "GET",
        "/tools/labels",
        labels.everywhere,
        "The labels that resources have",
        answer("LabelList"),
    ),
    Entry(
        "GET",
        "/tools/generate-uid",
        find.generate_uid,
        "A new identifier",
        answer("Text", media_type=TEXT),
        query=(Parameter("level", "text", "patient, study, series or instance"),),
    ),
    Entry("GET", "/tools/now", find.now, "The time in UTC", answer("Text", media_type=TEXT)),
    Entry(
        "GET",
        "/tools/now-local",
        find.now_local,
        "The time where the server is",
        answer("Text", media_type=TEXT),
    ),
]

INSTANCE = [
    Entry(
        "POST",
        "/instances",
        uploading.upload,
        "Store DICOM files",
        answer("Uploaded", "What became of the file, or of each file of an archive or form"),
        query=(REPORT,),
        body=Body(
            dict.fromkeys((DICOM, GZIP, ZIP, *MULTIPART), "Bytes"),
            "A DICOM file, gzip of one, a ZIP archive, or a form of these; also with "
            "Content-Encoding gzip",
        ),
        refusals=(507,),
    ),
    Entry(
        "GET",
        "/instances/{id}/file",
        forms.file,
        "The DICOM file as it was received, in another transfer syntax, or in DICOM JSON or XML",
        STORED_FILE,
        query=(FILE_NAME, TRANSCODE, LOSSY_QUALITY),
        refusals=(415, *CONDITIONAL),
    ),
    Entry(
        "GET",
        "/instances/{id}/tags",
        forms.tags,
        "All tags",
        answer("Tags"),
        query=(SIMPLIFY, SHORT, IGNORE_LENGTH, WHOLE),
    ),
    Entry(
        "GET",
        "/instances/{id}/simplified-tags",
        forms.simple,
        "All tags, by name",
        answer("SimplifiedTags"),
        query=(IGNORE_LENGTH, WHOLE),
    ),
    Entry(
        "GET",
        "/instances/{id}/header",
        forms.header,
        "The File Meta Information",
        answer("Tags"),
        query=(SIMPLIFY, SHORT, IGNORE_LENGTH),
    ),
    Entry(
        "GET",
        "/instances/{id}/content",
        forms.content,
        "The elements of the data set",
        answer("Names"),
    ),
    Entry(
        "GET",
        "/instances/{id}/content/{path:path}",
        forms.content,
        "A place in the data set: what is below it, or its value as it is stored",
        CONTENT,
        refusals=(400, *CONDITIONAL),
    ),
    Entry(
        "GET",
        "/instances/{id}/bulk/{path:path}",
        forms.bulk,
        "The value that a BulkDataURI stands for",
        STORED_VALUE,
        refusals=(400, 406, *CONDITIONAL),
    ),
]

UPKEEP = [
    Entry(
        "GET",
        "/tools/deleted",
        deleted.deleted,
        "What was deleted and can be brought back",
        answer("Deletions"),
        query=(SINCE, LIMIT),
    ),
    Entry(
        "POST",
        "/tools/undelete",
        deleted.undelete,
        "Bring back what was deleted",
        answer("Undeleted"),
        body=Body({JSON: "Undelete"}, "Ids of what was deleted, of something in it or around it"),
        refusals=(507,),
    ),
    Entry(
        "POST",
        "/tools/erase",
        deleted.erase,
        "End the time in which it can be brought back",
        answer("Erased"),
        body=Body({JSON: "Erase"}, "Ids of what was deleted, or that all of it is meant"),
        refusals=(507,),
    ),
    Entry(
        "POST",
        "/tools/compact",
        deleted.compact,
        "Rewrite packs without their dead bytes",
        answer("Compacted"),
        body=Body({JSON: "Compact"}, "From which share of live bytes on a pack stays as it is"),
        refusals=(507,),
    ),
    Entry(
        "POST",
        "/tools/recompress",
        deleted.recompress,
        "Recompress stored objects, one pack of them at most",
        answer("Recompressed"),
        body=Body({JSON: "Recompress"}, "How, from which age on, and where the last step ended"),
        refusals=(404, 507),
    ),
    Entry(
        "GET",
        "/tools/recompress/history",
        deleted.history,
        "Who gave originals up, when, and what took their place",
        answer("GivenUp"),
    ),
]


def job_routes() -> list[Entry]:
    """Return what there is of jobs."""
    one, key = "/jobs/{id}", "/jobs/{id}/{key}"
    verbs = {
        "cancel": (jobs.cancel, "End a job", ()),
        "pause": (jobs.pause, "Hold a job", ()),
        "resume": (jobs.resume, "Let a job go on that was held", (400,)),
        "resubmit": (jobs.resubmit, "Let a job try again that failed", (400,)),
    }
    empty = answer("Text", media_type=TEXT)
    return [
        Entry("GET", "/jobs", jobs.listed, "List jobs", answer("JobList"), (EXPAND, SINCE, LIMIT)),
        Entry("GET", one, jobs.one, "What is known of a job", answer("Job")),
        Entry("DELETE", one, jobs.remove, "Forget a job that has ended", empty),
        *(
            Entry("POST", f"{one}/{verb}", handler, text, answer("Done"), refusals=refusals)
            for verb, (handler, text, refusals) in verbs.items()
        ),
        Entry(
            "GET", key, jobs.output, "A file that a job left", STORED_VALUE, refusals=CONDITIONAL
        ),
        Entry("DELETE", key, jobs.remove_output, "Remove a file that a job left", empty),
    ]


def level_routes(level: str) -> list[Entry]:
    """Return what all levels have."""
    one = f"/{level}/{{id}}"
    shown = (*TAG_FORMS, *REQUESTED)

    listed, shape = answer(f"{ONE[level]}List"), answer(ONE[level])
    found = [
        Entry(
            "GET",
            f"/{level}",
            levels.lister(level),
            f"List the {level}",
            listed,
            (EXPAND, SINCE, LIMIT, *shown),
        ),
        Entry("GET", one, levels.getter(level), f"One of the {level}", shape, (EXPAND, *shown)),
        Entry("DELETE", one, levels.deleter(level), f"Delete from {level}", answer("Deleted")),
        Entry(
            "GET",
            f"{one}/statistics",
            levels.statistics(level),
            "Counts and sizes of what it holds",
            answer("ResourceStatistics"),
        ),
        Entry(
            "GET",
            f"{one}/metadata",
            levels.metadata(level),
            "What the archive knows of it beside its tags",
            answer("Metadata"),
            (Parameter("expand", "flag", "values too"), Parameter("numeric", "flag", "numbers")),
        ),
    ]
    found += note_routes.table(level)
    found += label_routes(level)
    found += form_routes(level)
    for up in ABOVE[level]:
        handler = levels.parent(level, up)
        path = f"{one}/{up}"
        found.append(Entry("GET", path, handler, f"The {up} it is in", answer(ONE[up]), shown))
    for down in BELOW[level]:
        handler = levels.children(level, down)
        form, query = answer(f"{ONE[down]}List"), (EXPAND, *shown)
        found.append(Entry("GET", f"{one}/{down}", handler, f"Its {down}", form, query))
    return found


def label_routes(level: str) -> list[Entry]:
    """Return how labels of a level are read, given and taken."""
    path = f"/{level}/{{id}}/labels"
    one = f"{path}/{{label}}"
    text = answer("Text", media_type=TEXT)
    # Without a body, as clients of Orthanc know it; that there is no such resource has one.
    tested = (*text, Answer(404, "It has it not, or is not there", {}))
    return [
        Entry("GET", path, labels.lister(level), "Its labels", answer("LabelList")),
        Entry("GET", one, labels.tester(level), "Whether it has a label: 404 if not", tested),
        Entry("PUT", one, labels.putter(level), "Give it a label", text, refusals=(400, 507)),
        Entry("DELETE", one, labels.deleter(level), "Take a label", text, refusals=(400, 507)),
    ]


def form_routes(level: str) -> list[Entry]:
    """Return the forms of tags that a level has."""
    query = (SIMPLIFY, SHORT, IGNORE_LENGTH)
    shapes = {"module": ("Module", "Tags of the module that describes it", "Tags")}
    if level == "studies":
        shapes["module-patient"] = ("PatientModule", "Tags of its patient's module", "Tags")
    if BELOW[level]:
        shapes["shared-tags"] = ("Shared", "Tags that all its instances have alike", "Tags")
    found = [
        Entry("GET", f"/{level}/{{id}}/{name}", forms.some(level, of), text, answer(shape), query)
        for name, (of, text, shape) in shapes.items()
    ]
    if BELOW[level]:
        path = f"/{level}/{{id}}/instances-tags"
        text = "The tags of each of its instances"
        found.append(Entry("GET", path, forms.each(level), text, answer("TagsById"), query))
    return found
