"""What a path means: a study, a series of it, an instance of that, and frames of one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from vna.errors import BadRequest, Gone, NotFound
from vna.services import query
from vna.services.web import select

if TYPE_CHECKING:
    from vna.rest.requests import Call
    from vna.services.web import Selection

# More than PS3.5 §9.1 allows, 64 digits and periods: what devices send instead is stored, and what
# is stored is found where results say that it is. No part of it means another place of a path.
UID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]+")
MAX_UID = 128
STANDARD_UID = re.compile(r"(?=.{1,64}$)[0-9]+(?:\.[0-9]+)*")
# Of an enhanced object as large as any; each number is a read.
MAX_FRAMES = 65_536
MAX_FRAME_DIGITS = 9

LEVELS = ("Study", "Series", "Instance")
KEYS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


class Target(NamedTuple):
    """The UIDs of a path; empty below the level that it names."""

    study: str
    series: str = ""
    instance: str = ""

    @property
    def level(self) -> str:
        """The lowest level that is named, as `/tools/find` calls it."""
        return LEVELS[bool(self.series) + bool(self.instance)]

    @property
    def uids(self) -> dict[str, str]:
        """The UIDs by keyword, from the study down."""
        return {key: uid for key, uid in zip(KEYS, self, strict=True) if uid}


def of_path(call: Call) -> Target:
    """Return what a path names by `{study}`, `{series}` and `{instance}`.

    Raises BadRequest if one of them is no UID.
    """
    return Target(*(uid(call.path_or(name, ""), name) for name in ("study", "series", "instance")))


def uid(text: str, name: str) -> str:
    """Return a UID of a path or parameter, or nothing where there is none."""
    if text and (len(text) > MAX_UID or not UID.fullmatch(text)):
        raise BadRequest(
            f"{name} is {text[:64]!r}, no UID: up to 64 digits and periods",
            "dicomweb.bad_uid",
        )
    return text


def is_uid(text: str) -> bool:
    """Whether a text is a UID as PS3.5 §9.1 has it."""
    return STANDARD_UID.fullmatch(text) is not None


async def public_ids(call: Call, target: Target) -> list[str]:
    """Return the public ids of what a target names.

    Raises NotFound if nothing is here, Gone if it was deleted and the archive still knows.

    It is one, but for a UID that came under two parents: a study of two patients, say.
    """
    found = await query.find(
        call.archive, {"Level": target.level, "Query": target.uids}, call.caller
    )
    ids: list[str] = msgspec.json.decode(found)
    if ids:
        return ids
    raise absent(target, await select(call.archive, target, call.caller))


def absent(target: Target, selection: Selection) -> NotFound:
    """Return the error of a target of which nothing is here."""
    what = f"{target.level.lower()} {'/'.join(target.uids.values())}"
    if selection.facts.was_deleted:
        return Gone(f"the {what} was deleted", "dicomweb.gone")
    return NotFound(f"there is no {what} here", "dicomweb.not_found")


def frame_numbers(text: str) -> list[int]:
    """Return the frames of a path, `1,3,2`, in the order in which they are asked for.

    Raises BadRequest if it is no list of numbers from 1 on.
    """
    parts = text.split(",", MAX_FRAMES)
    if len(parts) > MAX_FRAMES:
        raise BadRequest(f"over {MAX_FRAMES} frames are asked for at once", "dicomweb.bad_frames")
    for part in parts:
        is_number = part.isascii() and part.isdecimal() and part.strip("0")
        if not is_number:
            raise BadRequest(
                f"frames are {text[:64]!r}; it takes numbers from 1 on, commas between them",
                "dicomweb.bad_frames",
            )
        if len(part) > MAX_FRAME_DIGITS:
            raise NotFound(f"there is no frame {part[:64]}", "dicomweb.not_found")
    return [int(part) for part in parts]
