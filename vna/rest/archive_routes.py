"""Routes of ZIP archives and media; what answers them is imported by the first request."""

from __future__ import annotations

from starlette.responses import Response

from vna.rest.describe import (
    FILE_NAME,
    JSON,
    LOSSY_QUALITY,
    TRANSCODE,
    ZIP,
    Answer,
    Body,
    Entry,
    Parameter,
    answer,
)
from vna.rest.requests import Call, Handler

RESOURCES = Parameter("resources", "text", "ids of resources of any level, commas between them")
EXTENDED = Parameter("extended", "flag", "more in the DICOMDIR than what must be there")
UTF8 = Parameter("utf8", "flag", "keep letters in names that are not ASCII")
QUERY = (FILE_NAME, TRANSCODE, LOSSY_QUALITY)
MADE = answer("Bytes", "The ZIP archive, as it is made", ZIP)
MADE_OR_STARTED = (
    Answer(
        200,
        "The ZIP archive, as it is made; or at once, if asked so, the id and path of a job",
        {ZIP: "Bytes", JSON: "JobStarted"},
    ),
)
# Other archives have all memory that there is for them.
BUSY = (503,)


def handler(maker: str, *arguments: object) -> Handler:
    """Return the handler that a function of `archives` makes, imported at the first request."""

    async def answering(call: Call) -> Response:
        from vna.rest import archives

        found: Handler = getattr(archives, maker)(*arguments)
        return await found(call)

    return answering


def level_routes(level: str) -> list[Entry]:
    """Return what there is of archives of a patient, study or series."""
    found = []
    for name, media in (("archive", False), ("media", True)):
        path = f"/{level}/{{id}}/{name}"
        text = "A medium with a DICOMDIR" if media else "A ZIP archive of its instances"
        query = (*QUERY, EXTENDED) if media else (*QUERY, UTF8)
        body = Body({JSON: "MediaBody" if media else "ArchiveBody"}, "How it is wanted")
        found += [
            Entry("GET", path, handler("getter", level, media), text, MADE, query, refusals=BUSY),
            Entry(
                "POST",
                path,
                handler("poster", level, media),
                f"{text}, at once or by a job",
                MADE_OR_STARTED,
                body=body,
                refusals=(507,),
            ),
        ]
    return found


def table() -> list[Entry]:
    """Return all of it."""
    found = [entry for level in ("patients", "studies", "series") for entry in level_routes(level)]
    for name, arguments, text in (
        ("archive", (False,), "A ZIP archive of resources"),
        ("media", (True,), "A medium of resources, with a DICOMDIR"),
        ("media-extended", (True, True), "A medium of resources, with more in its DICOMDIR"),
    ):
        path = f"/tools/create-{name}"
        query = (RESOURCES, *QUERY, *(() if arguments[0] else (UTF8,)))
        getter, poster = (
            handler(maker, *arguments) for maker in ("resources_getter", "resources_poster")
        )
        body = Body({JSON: "ArchiveOfBody"}, "Ids, or an object with what is wanted and how")
        found += [
            Entry("GET", path, getter, text, MADE, query, refusals=(404, *BUSY)),
            Entry("POST", path, poster, text, MADE_OR_STARTED, body=body, refusals=(404, 507)),
        ]
    return found
