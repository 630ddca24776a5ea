"""The archive of a folder, opened by this process.

The services are awaited on a loop of their own, in a thread of its own: callers need no loop, and
may have one that runs, as in a notebook.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from msgspec.json import encode as json_bytes

from vna.client.backend import PIECE_BYTES, Document
from vna.client.notes import Metadatum, Revision
from vna.errors import Closed
from vna.services import archives, labels, notes, query
from vna.services.archive import Archive, ListOptions, StoredFile, TagsRequest
from vna.services.caller import Caller
from vna.settings import Settings

if TYPE_CHECKING:
    from vna.services.changes import Wanted

T = TypeVar("T")

WHOLE = ListOptions(expand=True)


# Folder -> who has it open in this process: a cell of a notebook is run again before what it opened
# the first time is closed.
_open: dict[Path, Opened] = {}
_opening = threading.Lock()


class Opened:
    """A folder that this process has open, and the loop on which its archive lives.

    Raises AlreadyOpen if another process has it open.
    """

    @classmethod
    def shared(cls, settings: Settings) -> Opened:
        """Return the open folder; `close` is to be called as often as this."""
        folder = Path(settings.storage.root).resolve()
        with _opening:
            found = _open.get(folder)
            if found is None:
                found = _open[folder] = cls(settings)
            found._users += 1
            return found

    def __init__(self, settings: Settings):
        self.name = settings.storage.root
        self._users = 0
        self._loop = asyncio.new_event_loop()
        self._is_closed = False
        self._thread = threading.Thread(target=self._loop.run_forever, name="vna", daemon=True)
        self._thread.start()
        try:
            self.archive = self.call(self._open(settings))
        except BaseException:
            self._end_loop()
            raise

    async def _open(self, settings: Settings) -> Archive:
        archive = Archive(settings)
        archive.attach()
        return archive

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the archive's loop and wait for it."""
        if self._is_closed:
            work.close()
            raise Closed(f"{self.name}: the archive was closed")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Let go of it; the last one ends the archive's threads and gives its folder free."""
        if threading.current_thread() is self._thread:
            # Here by the garbage collector, which runs wherever it likes: this thread cannot wait
            # for itself.
            threading.Thread(target=self.close, name="vna-close").start()
            return
        with _opening:
            self._users -= 1
            if self._users > 0 or self._is_closed:
                return
            _open.pop(Path(self.name).resolve(), None)
            try:
                # Not `Archive.stop`: at the end of a program asyncio starts no more threads. This
                # one may wait, the loop's goes on.
                self.archive.core.stop(self.archive.settings.limits.shutdown_s)
                self.call(inline(self.archive.detach))
            finally:
                self._is_closed = True
                self._end_loop()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def inline(function: Any, *arguments: Any) -> Any:
    """Call a function on the loop."""
    return function(*arguments)


class Local:
    """A tenant's part of an archive that no other process has open."""

    @classmethod
    def shared(cls, settings: Settings, tenant: int) -> Local:
        """Return the archive of a folder; `close` is to be called as often as this."""
        return cls(Opened.shared(settings), tenant)

    def __init__(self, opened: Opened, tenant: int):
        self.name = opened.name
        self._opened = opened
        self._archive = opened.archive
        self._caller = Caller(way_in="python", tenant=tenant)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return self._opened.call(work)

    def _json(self, work: Coroutine[Any, Any, bytes]) -> Any:
        return json.loads(self._call(work))

    def statistics(self) -> Document:
        """Return counts and sizes."""
        found: Document = self._json(inline(self._archive.statistics, self._caller))
        return found

    def resource(self, level: str, public_id: str) -> Document:
        """Return one resource; raises NotFound."""
        found: Document = self._json(inline(self._archive.resource, level, public_id, self._caller))
        return found

    def page(self, level: str, since: int, limit: int) -> list[Document]:
        """Return a page of all resources of a level."""
        found: list[Document] = self._json(
            self._archive.resources(level, since, limit, WHOLE, self._caller)
        )
        return found

    def children(self, level: str, public_id: str, child_level: str) -> list[Document]:
        """Return what of `child_level` is below a resource."""
        work = self._archive.related(level, public_id, child_level, WHOLE, self._caller)
        found: list[Document] = self._json(work)
        return found

    def parent(self, level: str, public_id: str, parent_level: str) -> Document:
        """Return the resource of `parent_level` that this one is in."""
        work = self._archive.related(level, public_id, parent_level, WHOLE, self._caller)
        found: Document = self._json(work)
        return found

    def find(self, request: Document) -> list[Document]:
        """Return what `POST /tools/find` answers."""
        found: list[Document] = self._json(query.find(self._archive, request, self._caller))
        return found

    def count(self, request: Document) -> int:
        """Return how many match; the request as of `find`."""
        body = json.dumps(request).encode()
        return int(self._json(query.count_json(self._archive, body, self._caller))["Count"])

    def lookup(self, identifier: str) -> list[Document]:
        """Return what has an identifier of DICOM, at any level: `ID` and `Type`."""
        found: list[Document] = self._json(query.lookup(self._archive, identifier, self._caller))
        return found

    def tags(self, public_id: str) -> Document:
        """Return the tags of an instance by name."""
        request = TagsRequest(form="simplified")
        found: Document = self._json(
            self._archive.tags("instances", public_id, request, self._caller)
        )
        return found

    def _file(self, public_id: str) -> StoredFile:
        file: StoredFile = self._call(inline(self._archive.open_file, public_id, self._caller))
        return file

    def size(self, public_id: str) -> int:
        """Return how many bytes the file of an instance has."""
        return self._file(public_id).size

    def read(self, public_id: str, offset: int, length: int) -> bytes:
        """Return bytes of the file of an instance, fewer at its end."""
        file = self._file(public_id)
        length = max(0, min(length, file.size - offset))
        return self._call(file.read(offset, length)) if length else b""

    def pieces(self, public_id: str) -> Iterator[bytes]:
        """Yield the file of an instance from beginning to end."""
        file = self._file(public_id)
        for offset in range(0, file.size, PIECE_BYTES):
            yield self._call(file.read(offset, min(PIECE_BYTES, file.size - offset)))

    def archive(self, ids: Sequence[str], options: Document) -> Iterator[bytes]:
        """Yield a ZIP archive of resources."""
        request = archives.ArchiveRequest(
            resources=list(ids),
            media=options.get("Media", False),
            extended=options.get("Extended", False),
            utf8=options.get("Utf8"),
            transcode=options.get("Transcode"),
        )
        stream = self._call(archives.open_archive(self._archive, request, self._caller))
        try:
            while piece := self._call(stream.read()):
                yield piece
        finally:
            stream.close()

    def change(self, level: str, public_id: str, verb: str, wanted: Wanted) -> Document:
        """Modify or anonymize (`verb`) a patient, study or series; return what a job would show."""
        from vna.services import changes, modifying

        async def work() -> Document:
            modification = await changes.modification(
                self._archive,
                wanted,
                [public_id],
                modifying.ONE[level],
                self._caller,
                anonymizes=verb == "anonymize",
                is_bulk=False,
            )
            return await modifying.run_here(self._archive, modification)

        return self._call(work())

    def rewritten(self, public_id: str, verb: str, wanted: Wanted) -> bytes:
        """Return the file that an instance becomes; nothing is stored."""
        from vna.services import changes, rewriting

        async def work() -> bytes:
            recipe = json_bytes(changes.recipe_of(wanted, "Instance", verb == "anonymize"))
            file = await rewriting.rewritten_file(self._archive, recipe, public_id, self._caller)
            pieces = []
            while piece := await file.read(PIECE_BYTES):
                pieces.append(piece)
            return b"".join(pieces)

        return self._call(work())

    def store(self, data: bytes) -> Document:
        """Store a file and return the upload answer once it is safe."""
        found: Document = self._json(self._archive.store(data, self._caller))
        return found

    def labels(self, level: str, public_id: str) -> list[str]:
        """Return the labels of a resource."""
        found = labels.labels(self._archive, level, public_id, self._caller)
        return [str(one) for one in self._json(found)]

    def set_label(self, level: str, public_id: str, label: str, has: bool) -> None:
        """Give a resource a label, or take it."""
        change = labels.put_label if has else labels.take_label
        self._call(change(self._archive, level, public_id, label, self._caller))

    def _notes(self, level: str, public_id: str) -> notes.Resource:
        return notes.Resource(self._archive, level, public_id, self._caller)

    def metadata(self, level: str, public_id: str) -> dict[str, str]:
        """Return the metadata of a resource."""
        found: dict[str, str] = self._json(
            self._archive.metadata(level, public_id, True, False, self._caller)
        )
        return found

    def metadatum(self, level: str, public_id: str, name: str) -> Metadatum:
        """Return one value of it; raises NotFound."""
        revision, value = self._call(notes.metadata(self._notes(level, public_id), name))
        return Metadatum(value.decode("utf-8", "replace"), Revision(*revision))

    def put_metadatum(
        self, level: str, public_id: str, name: str, value: str, seen: Revision | None
    ) -> Revision | None:
        """Set one value of it, if `seen` is its revision."""
        of = self._notes(level, public_id)
        return Revision(*self._call(notes.put_metadata(of, name, value.encode(), _seen(seen))))

    def delete_metadatum(
        self, level: str, public_id: str, name: str, seen: Revision | None
    ) -> None:
        """Delete one value of it, if `seen` is its revision."""
        self._call(notes.delete_metadata(self._notes(level, public_id), name, _seen(seen)))

    def attachments(self, level: str, public_id: str) -> list[str]:
        """Return the names of the attachments of a resource."""
        found = self._call(notes.attachments(self._notes(level, public_id)))
        return [name for _, name in found]

    def attachment(self, level: str, public_id: str, name: str) -> tuple[Document, Revision | None]:
        """Return what is to be said of an attachment, and its revision; raises NotFound."""
        found = self._call(notes.attachment(self._notes(level, public_id), name))
        return found.info, Revision(*found.revision)

    def attachment_pieces(self, level: str, public_id: str, name: str) -> Iterator[bytes]:
        """Yield an attachment from beginning to end."""
        found = self._call(notes.attachment(self._notes(level, public_id), name))
        size = found.size(stored=False)
        for offset in range(0, size, PIECE_BYTES):
            yield self._call(found.read(offset, min(PIECE_BYTES, size - offset)))

    def put_attachment(
        self, level: str, public_id: str, name: str, file: BinaryIO, seen: Revision | None
    ) -> Revision | None:
        """Attach what is in a file, if `seen` is the revision of what is there."""
        of = self._notes(level, public_id)
        new = self._call(notes.new_attachment(of, name, _seen(seen)))
        while piece := file.read(PIECE_BYTES):
            self._call(new.push(piece))
        return Revision(*self._call(new.finish()))

    def delete_attachment(
        self, level: str, public_id: str, name: str, seen: Revision | None
    ) -> None:
        """Delete an attachment, if `seen` is its revision."""
        self._call(notes.delete_attachment(self._notes(level, public_id), name, _seen(seen)))

    def verify_attachment(self, level: str, public_id: str, name: str) -> None:
        """Compare an attachment with its MD5; raises StorageFailed."""
        self._call(notes.verify(self._notes(level, public_id), name))

    def delete(self, level: str, public_id: str) -> Document:
        """Delete a resource with all below it."""
        found: Document = self._json(self._archive.delete(level, public_id, self._caller))
        return found

    def close(self) -> None:
        """Let go of it; the last one ends the archive's threads and gives its folder free."""
        self._opened.close()


def _seen(revision: Revision | None) -> notes.Revision | None:
    return None if revision is None else notes.Revision(*revision)
