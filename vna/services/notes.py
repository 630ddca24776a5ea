"""Notes of resources: metadata, attachments, and whether a patient is protected from recycling.

A type of metadata or attachments is given by name or number; users change those from 1024 on.
Raised are NotFound for what is not there, UnknownItem for a name that nobody has given,
NotAllowed for types of the archive itself, Conflict for who has not seen the last revision.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from vna.services.archive import Archive
from vna.services.caller import Caller

if TYPE_CHECKING:
    from vna import _core

logger = logging.getLogger(__name__)


class Revision(NamedTuple):
    """A state of metadata or an attachment: how often it was changed, and MD5 of what it is."""

    number: int
    md5: str

    @classmethod
    def parse(cls, text: bytes) -> Revision:
        """Return the revision that the core writes."""
        number, _, md5 = text.decode().partition("-")
        return cls(int(number), md5)


class Resource(NamedTuple):
    """A resource whose notes are meant, and who asks."""

    archive: Archive
    level: str
    public_id: str
    caller: Caller

    def log(self, message: str, name: str) -> None:
        """Log who changed what."""
        fields = {"level": self.level, "id": self.public_id, "type": name}
        caller = {"way_in": self.caller.way_in, "user": self.caller.user}
        logger.info(message, extra=fields | caller)


async def metadata(of: Resource, name: str) -> tuple[Revision, bytes]:
    """Return one value of the metadata of a resource."""
    begun = of.archive.core.metadata_entry(of.caller.tenant, of.level, of.public_id, name)
    revision, _, value = (await of.archive._json(begun)).partition(b"\n")
    return Revision.parse(revision), value


async def put_metadata(
    of: Resource, name: str, value: bytes, seen: Revision | None = None
) -> Revision:
    """Give a resource metadata of a type of users; it is durable then."""
    tenant, core = of.caller.tenant, of.archive.core
    begun = core.put_metadata(tenant, of.level, of.public_id, name, value, seen)
    revision = Revision.parse(await of.archive._json(begun))
    of.log("metadata put", name)
    return revision


async def delete_metadata(of: Resource, name: str, seen: Revision | None = None) -> None:
    """Take metadata of a type of users from a resource."""
    begun = of.archive.core.take_metadata(of.caller.tenant, of.level, of.public_id, name, seen)
    await of.archive.result(begun)
    of.log("metadata deleted", name)


async def is_protected(archive: Archive, patient: str, caller: Caller) -> bool:
    """Whether a patient is protected from recycling."""
    return await archive._json(archive.core.is_protected(caller.tenant, patient)) == b"1"


async def protect(archive: Archive, patient: str, protected: bool, caller: Caller) -> None:
    """Protect a patient from recycling, or let it go with the others again."""
    await archive.result(archive.core.protect(caller.tenant, patient, protected))
    of = Resource(archive, "patients", patient, caller)
    of.log("patient protected" if protected else "patient unprotected", "protected")


async def attachments(of: Resource) -> list[tuple[int, str]]:
    """Return number and name of each attachment of a resource; of an instance its file is one."""
    begun = of.archive.core.attachments(of.caller.tenant, of.level, of.public_id)
    return [(int(number), str(name)) for number, name in json.loads(await of.archive._json(begun))]


class Attachment:
    """An attachment, held open: what it is now is what will be read."""

    def __init__(self, archive: Archive, attachment: _core.Attachment, told: dict[str, Any]):
        self._archive = archive
        self._attachment = attachment
        self.info: dict[str, Any] = told["Info"]
        self.is_compressed = bool(told["IsCompressed"])
        self.revision = Revision(told["Revision"], self.info["UncompressedMD5"])

    def size(self, stored: bool) -> int:
        """Return how many bytes it has, or how many are stored."""
        return int(self.info["CompressedSize" if stored else "UncompressedSize"])

    async def read(self, offset: int, length: int, stored: bool = False) -> bytes:
        """Return bytes of what it is, or of what is stored."""
        handle = self._attachment.read(offset, length, stored)
        return cast(bytes, await self._archive.result(handle))


async def attachment(of: Resource, name: str) -> Attachment:
    """Open an attachment."""
    found = of.archive.core.attachment(of.caller.tenant, of.level, of.public_id, name)
    return Attachment(of.archive, found, json.loads(await of.archive._json(found.open())))


async def verify(of: Resource, name: str) -> None:
    """Read an attachment whole and compare it with its MD5; StorageDamaged says that it differs."""
    found = of.archive.core.attachment(of.caller.tenant, of.level, of.public_id, name)
    await of.archive.result(found.verify())


async def recompress(of: Resource, name: str, compressed: bool) -> None:
    """Store an attachment compressed or plain; received files stay as the archive keeps them."""
    found = of.archive.core.attachment(of.caller.tenant, of.level, of.public_id, name)
    await of.archive.result(found.recompress(compressed))
    of.log("attachment compressed" if compressed else "attachment uncompressed", name)


class NewAttachment:
    """An attachment on its way in, one call after the other; given up, it leaves nothing."""

    def __init__(self, of: Resource, name: str, new: _core.NewAttachment):
        self._of = of
        self._name = name
        self._new = new
        self.max_held_bytes = new.max_held_bytes

    async def push(self, chunk: bytes) -> None:
        """Take the next chunk."""
        handle = self._new.push(chunk)
        if handle is not None:
            await self._of.archive.result(handle)

    async def finish(self) -> Revision:
        """Attach what was pushed; it is durable then."""
        revision = Revision.parse(await self._of.archive._json(self._new.finish()))
        self._of.log("attachment put", self._name)
        return revision


async def new_attachment(of: Resource, name: str, seen: Revision | None = None) -> NewAttachment:
    """Begin to attach something; raises what shows now already that it is in vain."""
    tenant, core = of.caller.tenant, of.archive.core
    new = core.new_attachment(tenant, of.level, of.public_id, name, seen)
    await of.archive.result(new.begin())
    return NewAttachment(of, name, new)


async def delete_attachment(of: Resource, name: str, seen: Revision | None = None) -> None:
    """Take an attachment of a type of users from a resource."""
    begun = of.archive.core.take_attachment(of.caller.tenant, of.level, of.public_id, name, seen)
    await of.archive.result(begun)
    of.log("attachment deleted", name)
