"""The section of what users note of resources."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from vna.settings.fields import Section

# As clients of Orthanc write them into a path; no number, which would be another type.
TypeName = Annotated[str, Meta(pattern=r"^(?![0-9]+$)[A-Za-z0-9_-]{1,64}$")]
# Below are the types of the archive itself.
TypeNumber = Annotated[int, Meta(ge=1024, le=65535)]


class NoteType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A type of metadata or attachments that has a name."""

    name: TypeName
    number: TypeNumber


class Notes(Section, frozen=True, kw_only=True):
    """Metadata and attachments that users give to resources."""

    check_revisions: Annotated[
        bool,
        Meta(
            description="Whether who changes metadata or an attachment must name the revision that "
            "he has seen (If-Match), so that nobody overwrites what he has not read"
        ),
    ] = False
    metadata: Annotated[
        list[NoteType],
        Meta(
            description="Names of types of metadata: [[notes.metadata]] with name and number "
            "(1024 to 65535)"
        ),
    ] = []
    attachments: Annotated[
        list[NoteType],
        Meta(
            description="Names of types of attachments: [[notes.attachments]] with name and number "
            "(1024 to 65535)"
        ),
    ] = []
