"""ZIP archives and media of what is stored: made while they are read, or by a job."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

from vna import _core
from vna.errors import OutOfRange
from vna.services.caller import Caller

if TYPE_CHECKING:
    from vna.jobs import Job
    from vna.services.archive import Archive, Exchange
    from vna.services.node import Node

ZIP = "application/zip"
# How often the progress of a job is looked at.
LOOK_S = 0.2
MIB = 1 << 20


class ArchiveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive is to hold, and how; a job keeps it.

    Attributes
    ----------
    resources : list of str
        Public ids.
    level : str, optional
        The level that they are of; of any if None.
    media : bool
        A medium with a DICOMDIR rather than folders with names for people.
    extended : bool
        Whether the DICOMDIR says more than it must.
    utf8 : bool, optional
        Whether names keep what is not ASCII; as `archives.utf8` says if None.
    transcode : str, optional
        Transfer syntax of the files; what cannot be brought into it stays as it is.
    lossy_quality : int
        Quality of JPEG with loss, 1 to 100.
    """

    resources: list[str]
    level: str | None = None
    media: bool = False
    extended: bool = False
    utf8: bool | None = None
    transcode: str | None = None
    lossy_quality: int = 90

    def check(self) -> None:
        """Raise OutOfRange if there is no such transfer syntax or quality."""
        if self.transcode is not None and self.transcode not in _core.transfer_syntaxes():
            raise OutOfRange(f"transfer syntax {self.transcode[:64]!r} is not known")
        if not 1 <= self.lossy_quality <= 100:
            raise OutOfRange(f"the quality is {self.lossy_quality}; it goes from 1 to 100")


class Progress(NamedTuple):
    """How far an archive is."""

    instances: int
    file_bytes: int
    instances_done: int
    archive_bytes: int
    not_transcoded: int


class ArchiveStream:
    """An archive that is made while it is read; its calls are made one after the other."""

    def __init__(self, archive: Archive, making: _core.Making):
        self._archive = archive
        self._making = making

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return Progress(*self._making.progress)

    async def read(self) -> bytes:
        """Return the next bytes; none at the end."""
        return cast(bytes, await self._archive.result(self._making.read()))

    async def respond(
        self, exchange: Exchange, status: int, headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """Let the core send it to an HTTP client; returns when all was sent.

        Raises ConnectionError if the client goes away, or takes nothing for minutes. After any
        error the connection is broken off: what was sent must not look like the whole.
        """
        await self._archive.result(self._making.respond(exchange, status, list(headers)))

    async def write(self, path: str, most_bytes: int) -> None:
        """Write it to a new file; raises OutOfStorage if it gets longer than `most_bytes`."""
        await self._archive.result(self._making.write(path, most_bytes))

    def close(self) -> None:
        """End it, whatever it is at."""
        self._making.close()


async def open_archive(archive: Archive, request: ArchiveRequest, caller: Caller) -> ArchiveStream:
    """Find out what an archive will hold; it holds that whatever happens to it meanwhile.

    Raises OutOfRange, NotFound if there is no such resource, Busy if there is no memory.
    """
    request.check()
    utf8 = archive.settings.archives.utf8 if request.utf8 is None else request.utf8
    wanted = {**msgspec.to_builtins(request), "utf8": utf8}
    making = archive.core.zip(caller.tenant, msgspec.json.encode(wanted))
    try:
        await archive.result(making.open())
    except BaseException:
        # Who asked may have gone away. What it holds is let go now, and not when the collector
        # finds the frames that the error holds.
        making.close()
        del making
        raise
    return ArchiveStream(archive, making)


async def run(node: Node, job: Job) -> None:
    """Do a job of type Archive or Media: leave the file to be fetched as `archive`."""
    request = msgspec.convert(job.content["Request"], ArchiveRequest)
    caller = Caller(way_in="rest", tenant=job.tenant, user=job.user)
    stream = await open_archive(node.archive, request, caller)
    try:
        show(job, stream.progress)
        filename = job.content["Filename"]
        async with job.output("archive", ZIP, filename) as path:
            most_bytes = node.archive.settings.jobs.output_bytes
            writing = asyncio.ensure_future(stream.write(str(path), most_bytes))
            try:
                while not (await asyncio.wait([writing], timeout=LOOK_S))[0]:
                    show(job, stream.progress)
                await writing
            finally:
                writing.cancel()
        show(job, stream.progress)
    finally:
        stream.close()


def show(job: Job, progress: Progress) -> None:
    """Tell how far a job is, as clients of Orthanc read it."""
    job.progress(progress.instances_done / max(progress.instances, 1))
    job.show(
        InstancesCount=progress.instances,
        UncompressedSize=str(progress.file_bytes),
        UncompressedSizeMB=progress.file_bytes // MIB,
        ArchiveSize=str(progress.archive_bytes),
        ArchiveSizeMB=progress.archive_bytes // MIB,
    )
