"""Routes of metadata, attachments and protection."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from vna.rest.describe import (
    BYTES,
    DICOM,
    FILE_NAME,
    TEXT,
    Answer,
    Body,
    Entry,
    Parameter,
    answer,
)

if TYPE_CHECKING:
    from starlette.responses import Response

    from vna.rest.requests import Call, Handler

KNOWN = Answer(304, "It is the revision that If-None-Match names", {})
TEXTS = answer("Text", media_type=TEXT)
# An answer as clients know it, and an error only if there is no such resource.
ABSENT = Answer(404, "It has none of that type, and then no body; or there is no such resource", {})
PUT_REFUSALS = (403, 409, 507)
FACTS = {
    "size": "Its bytes",
    "md5": "MD5 of it",
    "compressed-size": "Its bytes as they are stored",
    "compressed-md5": "MD5 of what is stored",
    "is-compressed": "Whether it is stored compressed: 0 or 1",
}


def handler(level: str, name: str, *arguments: object) -> Handler:
    """Return a handler of `vna.rest.notes`, which is imported when it is first asked."""

    async def handle(call: Call) -> Response:
        notes = importlib.import_module("vna.rest.notes")
        response: Response = await getattr(notes, name)(call, level, *arguments)
        return response

    return handle


def table(level: str) -> list[Entry]:
    """Return the routes of a level."""
    found = [*metadata(level), *attachments(level)]
    if level == "patients":
        found += protection(level)
    return found


def metadata(level: str) -> list[Entry]:
    """Return how metadata is read and changed."""
    one = f"/{level}/{{id}}/metadata/{{name}}"
    text = Body({TEXT: "Text"}, "The value")
    return [
        Entry(
            "GET",
            one,
            handler(level, "metadata_value"),
            "One value of its metadata",
            (*TEXTS, KNOWN, ABSENT),
            refusals=(400,),
        ),
        Entry(
            "PUT",
            one,
            handler(level, "put_metadata"),
            "Give it metadata of a type of users",
            TEXTS,
            body=text,
            refusals=PUT_REFUSALS,
        ),
        Entry(
            "DELETE",
            one,
            handler(level, "delete_metadata"),
            "Take metadata of a type of users",
            TEXTS,
            refusals=(400, *PUT_REFUSALS),
        ),
    ]


def attachments(level: str) -> list[Entry]:
    """Return how attachments are read and changed."""
    all_of_it = f"/{level}/{{id}}/attachments"
    one = f"{all_of_it}/{{name}}"
    full = (Parameter("full", "flag", "numbers of their types too"),)
    done = answer("Done")
    found = [
        Entry(
            "GET",
            all_of_it,
            handler(level, "attachments"),
            "What is attached to it",
            answer("AttachmentList"),
            full,
        ),
        Entry(
            "GET",
            one,
            handler(level, "operations"),
            "What can be asked of an attachment",
            (*answer("Names"), KNOWN),
            refusals=(400,),
        ),
        Entry(
            "PUT",
            one,
            handler(level, "put_attachment"),
            "Attach something of a type of users",
            done,
            body=Body({BYTES: "Bytes"}, "What is attached"),
            refusals=PUT_REFUSALS,
        ),
        Entry(
            "DELETE",
            one,
            handler(level, "delete_attachment"),
            "Take an attachment of a type of users",
            TEXTS,
            refusals=(400, *PUT_REFUSALS),
        ),
        Entry(
            "GET",
            f"{one}/info",
            handler(level, "info"),
            "Sizes and sums of an attachment",
            (*answer("AttachmentInfo"), KNOWN),
            refusals=(400,),
        ),
    ]
    for name, text in FACTS.items():
        handle = handler(level, "fact", name)
        path = f"{one}/{name}"
        found.append(Entry("GET", path, handle, text, (*TEXTS, KNOWN), refusals=(400,)))
    for name, stored, text in (
        ("data", False, "An attachment"),
        ("compressed-data", True, "An attachment as it is stored"),
    ):
        found.append(
            Entry(
                "GET",
                f"{one}/{name}",
                handler(level, "data", stored),
                text,
                (
                    Answer(200, "The whole", {BYTES: "Bytes", DICOM: "Bytes"}),
                    Answer(206, "The range asked for", {BYTES: "Bytes"}),
                    KNOWN,
                ),
                (FILE_NAME,),
                refusals=(416,),
            )
        )
    verifying = handler(level, "verify")
    found.append(Entry("POST", f"{one}/verify-md5", verifying, "Compare it with its MD5", done))
    for name, compressed, text in (
        ("compress", True, "Store an attachment compressed"),
        ("uncompress", False, "Store an attachment as it is"),
    ):
        handle = handler(level, "recompress", compressed)
        found.append(Entry("POST", f"{one}/{name}", handle, text, done, refusals=(409, 507)))
    return found


def protection(level: str) -> list[Entry]:
    """Return how patients are protected from recycling."""
    path = f"/{level}/{{id}}/protected"
    body = Body({TEXT: "Flag"}, "1: yes; 0: no")
    return [
        Entry(
            "GET",
            path,
            handler(level, "protected"),
            "Whether it is protected from recycling",
            answer("Flag", media_type=TEXT),
            refusals=(400,),
        ),
        Entry(
            "PUT",
            path,
            handler(level, "protect"),
            "Protect it from recycling, or not",
            TEXTS,
            body=body,
            refusals=(507,),
        ),
    ]
