"""What DICOMweb sends of the archive: chosen here, written by the core as it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

from vna import _core
from vna._core import can_transcode, frame_media_type, media_type_syntaxes, transfer_syntaxes

if TYPE_CHECKING:
    from vna.services.archive import Archive, Exchange
    from vna.services.caller import Caller

__all__ = [
    "EXPLICIT_VR_LITTLE_ENDIAN",
    "UNCOMPRESSED",
    "AnswerStream",
    "Facts",
    "Form",
    "Selection",
    "Wanted",
    "can_transcode",
    "frame_media_type",
    "media_type_syntaxes",
    "select",
    "transfer_syntaxes",
]

EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
# Native pixel data is the same in all of them but for its byte order, and leaves in little endian.
UNCOMPRESSED = frozenset(
    {
        EXPLICIT_VR_LITTLE_ENDIAN,
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.1.99",
    }
)


class Form(msgspec.Struct, frozen=True, omit_defaults=True):
    """How what is stored in one transfer syntax is given.

    Attributes
    ----------
    content_type : str
        What its part is called.
    transfer_syntax : str, optional
        The one that it is brought into; as it is stored if None.
    may_lose : bool
        Whether it may be compressed with loss, which makes another instance.
    """

    content_type: str
    transfer_syntax: str | None = None
    may_lose: bool = False


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, as it is asked for.

    Attributes
    ----------
    what : str or dict
        `instances`, `metadata`, `bulk_data`, `pixel_data`, or `{"frames": [1, ...]}`; no numbers
        are all frames.
    root : str
        The address of the service, without a slash at its end.
    multipart : bool
        Whether it is a body of parts; else one thing without a frame.
    forms : dict
        By the transfer syntax that things are stored in. What has none is left out.
    gzip : bool
        Whether metadata leaves as a gzip file.
    """

    what: str | dict[str, list[int]]
    root: str
    multipart: bool = False
    forms: Mapping[str, Form] = {}
    gzip: bool = False


class Facts(NamedTuple):
    """What UIDs name.

    Attributes
    ----------
    instances, bytes : int
        How many, and those of their files.
    transfer_syntaxes : dict
        How many are stored in each.
    version : str
        Changes when anything does that is said of them.
    modified_s : int, optional
        When the one instance that it is became what it is, in seconds since 1970.
    was_deleted : bool
        Whether there are none because they were deleted, as far as that is still known.
    """

    instances: int
    bytes: int
    transfer_syntaxes: dict[str, int]
    version: str
    modified_s: int | None
    was_deleted: bool


class Selection:
    """What UIDs named when it was opened, and still gives while the bytes are there."""

    def __init__(self, archive: Archive, selection: _core.Selection, facts: Facts):
        self._archive = archive
        self._selection = selection
        self.facts = facts

    def outline(self, wanted: Wanted) -> tuple[str, str | None]:
        """Return the entity tag of an answer, and the boundary of its parts if it has any."""
        return self._selection.outline(msgspec.json.encode(wanted))

    async def prepare(self, wanted: Wanted) -> AnswerStream:
        """Prepare an answer up to its first part.

        Raises NotFound if there is no such frame, UnsupportedImage if there is no way into the
        transfer syntax, Busy if others hold the memory that it takes.
        """
        answer = self._selection.answer(msgspec.json.encode(wanted))
        try:
            prepared = await self._archive.result(answer.prepare())
        except BaseException:
            answer.close()  # what it holds is let go now, and not when the collector finds it
            del answer
            raise
        return AnswerStream(self._archive, answer, **msgspec.json.decode(cast(bytes, prepared)))


class AnswerStream:
    """An answer that is written while it is read; its calls are made one after the other.

    Attributes
    ----------
    length : int, optional
        How long it is, if that is known.
    is_empty : bool
        Whether it would have no part.
    """

    def __init__(self, archive: Archive, answer: _core.Answer, length: int | None, is_empty: bool):
        self._archive = archive
        self._answer = answer
        self.length = length
        self.is_empty = is_empty

    async def restrict(self, first: int, end: int) -> None:
        """Give only bytes `first` to `end` of it."""
        await self._archive.result(self._answer.restrict(first, end))

    async def read(self) -> bytes:
        """Return the next bytes; none at the end."""
        return cast(bytes, await self._archive.result(self._answer.read()))

    async def respond(
        self, exchange: Exchange, status: int, headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """Let the core send it to an HTTP client; returns when all was sent.

        Raises ConnectionError if the client goes away, or takes nothing for minutes. After any
        error the connection is broken off: what was sent must not look like the whole.
        """
        await self._archive.result(self._answer.respond(exchange, status, list(headers)))

    def close(self) -> None:
        """End it, whatever it is at."""
        self._answer.close()


async def select(archive: Archive, uids: Iterable[str], caller: Caller) -> Selection:
    """Find the instances of a study, a series or an instance by their UIDs; there may be none."""
    study, *below = [uid for uid in uids if uid]
    selection = archive.core.select(caller.tenant, study, *below)
    found = cast(bytes, await archive.result(selection.open()))
    return Selection(archive, selection, Facts(**msgspec.json.decode(found)))
