"""What a client needs of an archive, wherever it is: `local.Local` and `remote.Remote` give it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

if TYPE_CHECKING:
    from vna.client.notes import Metadatum, Revision
    from vna.services.changes import Wanted

Document = dict[str, Any]

# One piece of a streamed file.
PIECE_BYTES = 1 << 20


class Backend(Protocol):
    """One archive. Every call may come from any thread, and raises errors of `vna.errors`."""

    @property
    def name(self) -> str:
        """Where the archive is: a folder or an address."""

    def statistics(self) -> Document:
        """Return counts and sizes."""

    def resource(self, level: str, public_id: str) -> Document:
        """Return one resource; raises NotFound."""

    def page(self, level: str, since: int, limit: int) -> list[Document]:
        """Return a page of all resources of a level."""

    def children(self, level: str, public_id: str, child_level: str) -> list[Document]:
        """Return what of `child_level` is below a resource."""

    def parent(self, level: str, public_id: str, parent_level: str) -> Document:
        """Return the resource of `parent_level` that this one is in."""

    def find(self, request: Document) -> list[Document]:
        """Return what `POST /tools/find` answers."""

    def count(self, request: Document) -> int:
        """Return how many match; the request as of `find`."""

    def lookup(self, identifier: str) -> list[Document]:
        """Return what has an identifier of DICOM, at any level: `ID` and `Type`."""

    def tags(self, public_id: str) -> Document:
        """Return the tags of an instance by name."""

    def size(self, public_id: str) -> int:
        """Return how many bytes the file of an instance has."""

    def read(self, public_id: str, offset: int, length: int) -> bytes:
        """Return bytes of the file of an instance, fewer at its end."""

    def pieces(self, public_id: str) -> Iterator[bytes]:
        """Yield the file of an instance from beginning to end."""

    def archive(self, ids: Sequence[str], options: Document) -> Iterator[bytes]:
        """Yield a ZIP archive of resources; the options are those of `/tools/create-archive`.

        With `Media` it is a medium with a DICOMDIR.
        """

    def store(self, data: bytes) -> Document:
        """Store a file and return the upload answer once it is safe."""

    def labels(self, level: str, public_id: str) -> list[str]:
        """Return the labels of a resource."""

    def set_label(self, level: str, public_id: str, label: str, has: bool) -> None:
        """Give a resource a label, or take it."""

    def metadata(self, level: str, public_id: str) -> dict[str, str]:
        """Return the metadata of a resource."""

    def metadatum(self, level: str, public_id: str, name: str) -> Metadatum:
        """Return one value of it; raises NotFound."""

    def put_metadatum(
        self, level: str, public_id: str, name: str, value: str, seen: Revision | None
    ) -> Revision | None:
        """Set one value of it, if `seen` is its revision."""

    def delete_metadatum(
        self, level: str, public_id: str, name: str, seen: Revision | None
    ) -> None:
        """Delete one value of it, if `seen` is its revision."""

    def attachments(self, level: str, public_id: str) -> list[str]:
        """Return the names of the attachments of a resource."""

    def attachment(self, level: str, public_id: str, name: str) -> tuple[Document, Revision | None]:
        """Return what is to be said of an attachment, and its revision; raises NotFound."""

    def attachment_pieces(self, level: str, public_id: str, name: str) -> Iterator[bytes]:
        """Yield an attachment from beginning to end."""

    def put_attachment(
        self, level: str, public_id: str, name: str, file: BinaryIO, seen: Revision | None
    ) -> Revision | None:
        """Attach what is in a file, if `seen` is the revision of what is there."""

    def delete_attachment(
        self, level: str, public_id: str, name: str, seen: Revision | None
    ) -> None:
        """Delete an attachment, if `seen` is its revision."""

    def verify_attachment(self, level: str, public_id: str, name: str) -> None:
        """Compare an attachment with its MD5; raises StorageFailed."""

    def change(self, level: str, public_id: str, verb: str, wanted: Wanted) -> Document:
        """Modify or anonymize (`verb`) a patient, study or series; return what the job shows."""

    def rewritten(self, public_id: str, verb: str, wanted: Wanted) -> bytes:
        """Return the file that an instance becomes; nothing is stored."""

    def delete(self, level: str, public_id: str) -> Document:
        """Delete a resource with all below it."""

    def close(self) -> None:
        """Let go of what is open."""
