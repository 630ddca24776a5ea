"""Metadata and attachments of a resource, as mappings.

What somebody else may have changed meanwhile is changed by naming the revision that was seen:
`put` and `delete` with ``seen=`` raise Conflict if it is no longer the last.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, NoReturn

from vna.client.backend import Backend
from vna.errors import NotFound

if TYPE_CHECKING:
    from vna.client.resources import Resource


class Revision(NamedTuple):
    """A state of metadata or an attachment: how often it was changed, and MD5 of what it is."""

    number: int
    md5: str

    @classmethod
    def of_etag(cls, etag: str | None) -> Revision | None:
        """Return the revision of an answer; other servers tell none."""
        number, _, md5 = (etag or "").strip().strip('"').partition("-")
        return cls(int(number), md5) if number.isascii() and number.isdigit() else None

    @property
    def etag(self) -> str:
        """The same as an HTTP header has it."""
        return f'"{self.number}-{self.md5}"'


class Metadatum(NamedTuple):
    """One value of the metadata, and its revision, which other servers may not tell."""

    value: str
    revision: Revision | None


class Metadata(MutableMapping[str, str]):
    """The metadata of a resource by name; users change types from 1024 on, by name or number.

    ::

        study.metadata["ReceptionDate"]
        study.metadata["1024"] = "seen by Ann"
        seen = study.metadata.entry("1024")
        study.metadata.put("1024", seen.value + " and Bob", seen=seen.revision)
    """

    def __init__(self, resource: Resource):
        self._resource = resource

    @property
    def _backend(self) -> Backend:
        return self._resource._backend

    @property
    def _at(self) -> tuple[str, str]:
        return self._resource.level, self._resource.id

    def _all(self) -> dict[str, str]:
        return self._backend.metadata(*self._at)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __getitem__(self, name: str) -> str:
        return self.entry(name).value

    def __setitem__(self, name: str, value: str) -> None:
        self.put(name, value)

    def __delitem__(self, name: str) -> None:
        self.entry(name)  # who deletes what is not there is told so
        self.delete(name)

    def entry(self, name: str) -> Metadatum:
        """Return a value with its revision; raises KeyError if there is none."""
        try:
            return self._backend.metadatum(*self._at, name)
        except NotFound as error:
            raise_missing(error, self._resource, name)

    def put(self, name: str, value: str, *, seen: Revision | None = None) -> Revision | None:
        """Set a value and return its revision; it is durable then.

        Raises
        ------
        Conflict
            If `seen` is not the last revision, or needed (`notes.check_revisions`) and not given.
        NotAllowed
            If the type belongs to the archive.
        UnknownItem
            If nobody has given a type that name.
        """
        return self._backend.put_metadatum(*self._at, name, value, seen)

    def delete(self, name: str, *, seen: Revision | None = None) -> None:
        """Delete a value; raises as `put`."""
        self._backend.delete_metadatum(*self._at, name, seen)

    def __repr__(self) -> str:
        return f"<Metadata of {self._resource!r}>"


class Attachment:
    """An attachment of a resource.

    Attributes
    ----------
    name : str
        The name or number of its type.
    info : dict
        What the archive says of it: sizes, MD5, number of the type.
    revision : Revision, optional
        Its revision, which other servers may not tell.
    """

    def __init__(self, resource: Resource, name: str):
        self._resource = resource
        self.name = name
        self.info, self.revision = resource._backend.attachment(*self._at, name)

    @property
    def _at(self) -> tuple[str, str]:
        return self._resource.level, self._resource.id

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return int(self.info["UncompressedSize"])

    @property
    def md5(self) -> str:
        """The MD5 of its bytes."""
        return str(self.info["UncompressedMD5"])

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes in pieces, for what is better not held whole."""
        return self._resource._backend.attachment_pieces(*self._at, self.name)

    def read(self) -> bytes:
        """Return its bytes."""
        return b"".join(self.pieces())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write its bytes to a file; nothing is left at `path` if that fails."""
        save_pieces(self.pieces(), path)

    def verify(self) -> None:
        """Have the archive compare it with its MD5; raises StorageFailed if it differs."""
        self._resource._backend.verify_attachment(*self._at, self.name)

    def __repr__(self) -> str:
        return f"<Attachment {self.name} of {self._resource!r}, {self.size} bytes>"


class Attachments(Mapping[str, Attachment]):
    """The attachments of a resource by name; users change types from 1024 on, by name or number.

    ::

        study.attachments.put("1025", b"...")  # or a path
        study.attachments["1025"].save("report.pdf")
    """

    def __init__(self, resource: Resource):
        self._resource = resource

    @property
    def _backend(self) -> Backend:
        return self._resource._backend

    @property
    def _at(self) -> tuple[str, str]:
        return self._resource.level, self._resource.id

    def __iter__(self) -> Iterator[str]:
        return iter(self._backend.attachments(*self._at))

    def __len__(self) -> int:
        return len(self._backend.attachments(*self._at))

    def __getitem__(self, name: str) -> Attachment:
        try:
            return Attachment(self._resource, name)
        except NotFound as error:
            raise_missing(error, self._resource, name)

    def put(
        self, name: str, source: str | os.PathLike[str] | bytes, *, seen: Revision | None = None
    ) -> Revision | None:
        """Attach bytes, or what is in a file, and return the revision; it is durable then.

        Raises
        ------
        Conflict, NotAllowed, UnknownItem
            As of `Metadata.put`.
        OutOfStorage
            If there is no room; nothing was attached.
        """
        if isinstance(source, (bytes, bytearray, memoryview)):
            from io import BytesIO

            return self._put(name, BytesIO(source), seen)
        with open(source, "rb") as file:
            return self._put(name, file, seen)

    def _put(self, name: str, file: BinaryIO, seen: Revision | None) -> Revision | None:
        return self._backend.put_attachment(*self._at, name, file, seen)

    def delete(self, name: str, *, seen: Revision | None = None) -> None:
        """Delete an attachment; raises as `put`."""
        self._backend.delete_attachment(*self._at, name, seen)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self.delete(name)

    def __repr__(self) -> str:
        return f"<Attachments of {self._resource!r}>"


def raise_missing(error: NotFound, resource: Resource, name: str) -> NoReturn:
    """Raise KeyError if the resource is there and has none of it, else the error itself."""
    resource._backend.resource(resource.level, resource.id)
    raise KeyError(name) from error


def save_pieces(pieces: Iterator[bytes], path: str | os.PathLike[str]) -> None:
    """Write pieces to a file; nothing is left at `path` if that fails."""
    partial = f"{os.fspath(path)}.partial"
    try:
        with open(partial, "wb") as file:
            for piece in pieces:
                file.write(piece)
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise
