"""The archive as the ways in use it: awaitable calls over the core.

No Rust thread ever waits for the GIL. A call that may take longer than about 200 us returns a
handle at once; its result waits in the core's queue, and an eventfd tells the loop to fetch all
that wait in one go. Look-ups by key are answered inline.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast

import msgspec

from vna import _core
from vna.errors import NotFound
from vna.services.caller import Caller
from vna.settings import Settings

if TYPE_CHECKING:
    from vna.services.users import User

logger = logging.getLogger(__name__)

T = TypeVar("T")

# The tag of a keyword of PS3.6, or None.
tag_for_keyword = _core.tag_for_keyword

# The tags that the index keeps of each level.
main_dicom_tags = _core.main_dicom_tags

# Bare data sets of DIMSE messages in DICOM JSON, and back.
data_set_to_json = _core.data_set_to_json
data_set_from_json = _core.data_set_from_json

# One HTTP request and its answer, as the core hands it over.
Exchange = _core.Exchange

# One request of a DICOM peer that the core does not answer itself.
DimseRequest = _core.DimseRequest

# Handles of what is no result: a line for the log, an HTTP request, a DIMSE request.
LOG_LINE = 0
EXCHANGE = 1
REQUEST = 2
RECORD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

# One read of a streamed object: large enough that the way through the queue does not show, small
# enough that a slow client holds little.
CHUNK_BYTES = 256 << 10
# How often to look whether a client still waits for what is being compressed for it.
GONE_AFTER_S = 0.25


if _core.DEBUG:
    warnings.warn(
        "vna._core is a debug build: slow, and no figure measured with it means anything",
        RuntimeWarning,
        stacklevel=2,
    )


# Run by an interpreter that imports nothing else, not even the package around the core.
HELPER = """
import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
loader = ExtensionFileLoader("vna._core", sys.argv[1])
core = loader.create_module(ModuleSpec("vna._core", loader, origin=sys.argv[1]))
loader.exec_module(core)
core.codec_helper()
"""


def helper_command() -> list[str]:
    """Return the command that starts a process for codecs."""
    return [sys.executable, "-I", "-S", "-c", HELPER, _core.__file__]


class ListOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of resources: ids, or objects of a form."""

    expand: bool = False
    full: bool = False
    short: bool = False
    requested_tags: list[str] = []
    response_content: list[str] | None = None

    def to_json(self) -> bytes:
        """Return the options as the core reads them."""
        return msgspec.json.encode(self)


class TagsRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Which tags of a resource, and how.

    Parameters
    ----------
    of : str
        DataSet, Header, Module, PatientModule or Shared: see `TagsOf` of the core.
    form : str
        full, short or simplified.
    ignore_length : tuple of int
        Tags that are given however long their values are.
    whole : bool
        Also what stands behind the pixel data.
    """

    of: str = "DataSet"
    form: str = "full"
    ignore_length: tuple[int, ...] = ()
    whole: bool = False


class Archive:
    """One open archive, bound to the running loop.

    Construction opens the folder, recovers and starts the core's threads. It raises AlreadyOpen if
    another process has the folder.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.core = _core.Archive(settings.to_json(helper_command=helper_command()))
        self._waiting: dict[int, asyncio.Future[object]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._take_exchange: Callable[[Exchange], object] | None = None
        self._take_request: Callable[[DimseRequest], object] | None = None

    def attach(self) -> None:
        """Let the running loop fetch results; once, before the first awaited call."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.core.completion_fd(), self._drain)

    def _drain(self) -> None:
        for handle, ok, value in self.core.drain():
            if handle == LOG_LINE:
                log_core_line(cast(bytes, value))
                continue
            if handle == EXCHANGE:
                if self._take_exchange is not None:
                    self._take_exchange(cast(Exchange, value))
                continue
            if handle == REQUEST:
                # Dropped unanswered, the core answers it with 0110.
                if self._take_request is not None:
                    self._take_request(cast(DimseRequest, value))
                continue
            future = self._waiting.pop(handle, None)
            if future is None or future.done():
                continue  # whoever asked has gone away
            if ok:
                future.set_result(value)
            else:
                future.set_exception(cast(BaseException, value))

    def result(self, handle: int) -> asyncio.Future[object]:
        """Return what will have the result of the call that `handle` stands for.

        No coroutine: one that is wrapped in a task begins in a later turn of the loop, and a result
        that is fetched before that would find nobody who waits for it.
        """
        if self._loop is None:
            raise RuntimeError("the archive is not attached to a loop")
        future = self._loop.create_future()
        self._waiting[handle] = future
        return future

    def _json(self, handle: int) -> asyncio.Future[bytes]:
        return cast("asyncio.Future[bytes]", self.result(handle))

    def take_request(self, take: Callable[[DimseRequest], object]) -> None:
        """Let `take` have the requests of DICOM peers that Python answers, on this loop."""
        self._take_request = take

    def listen(self, policy_json: bytes) -> tuple[str, int]:
        """Start the DICOM listener and return where it listens."""
        return self.core.listen(policy_json)

    async def serve_http(
        self, sockets: list[int], listener: dict[str, Any], take: Callable[[Exchange], object]
    ) -> None:
        """Serve HTTP on listening sockets, which are taken over, until `stop_http`.

        What the core does not answer itself, `take` gets on this loop. Returns when the last
        connection has ended.
        """
        self._take_exchange = take
        await self.result(self.core.serve_http(sockets, json.dumps(listener).encode()))

    def authenticate_http(self, required: bool) -> None:
        """Set whether requests over HTTP must say whose they are; forgets who was remembered."""
        self.core.authenticate_http(required)

    def remember_http(self, authorization: str, user: User, time_s: float) -> None:
        """Let the core answer plain requests with this Authorization header for a time."""
        said, may_store = authorization.encode("latin-1"), user.role != "read"
        self.core.remember_http(said, user.tenant, user.name, may_store, time_s)

    def stop_http(self) -> None:
        """Accept no more connections and requests; what runs is answered."""
        self.core.stop_http()

    async def store(self, data: bytes, caller: Caller) -> bytes:
        """Store one file (DICOM, or gzip of one) and return the upload answer once it is safe.

        Raises EncodingError if `data` is no DICOM, OutOfStorage if there is no room.
        """
        upload = self.upload(caller, length=len(data))
        await upload.push(data)
        return await upload.finish()

    def upload(
        self,
        caller: Caller,
        content_type: str = "",
        content_encoding: str = "",
        length: int | None = None,
    ) -> Upload:
        """Begin to store a body, of which these headers are known.

        Raises UnsupportedMediaType, TooLarge or OutOfStorage if they show that it is in vain.
        """
        begun = self.core.upload(caller.to_json(), content_type, content_encoding, length)
        return Upload(self, begun)

    def store_web(
        self,
        caller: Caller,
        content_type: str,
        content_encoding: str,
        length: int | None,
        study_instance_uid: str = "",
    ) -> Upload:
        """Begin a Store request of DICOMweb (PS3.18 §10.5), of one study if it is named.

        Raises as `upload` does.
        """
        study = study_instance_uid or None
        headers = (content_type, content_encoding, length)
        return Upload(self, self.core.store_web(caller.to_json(), *headers, study))

    async def import_files(self, paths: list[bytes], caller: Caller) -> bytes:
        """Store files of this machine and return what became of each, in their order.

        A ZIP archive is not unpacked: `Entries` of its answer says how many it has.
        """
        return await self._json(self.core.import_files(paths, caller.to_json()))

    async def import_entries(self, path: bytes, first: int, count: int, caller: Caller) -> bytes:
        """Store entries of a ZIP archive of this machine and return what became of each."""
        return await self._json(self.core.import_entries(path, first, count, caller.to_json()))

    def open_file(self, public_id: str, caller: Caller) -> StoredFile:
        """Open the file of an instance; what it is now is what will be read."""
        return StoredFile(
            self, _found(self.core.open_file(caller.tenant, public_id), "instances", public_id)
        )

    async def tags(self, level: str, public_id: str, request: TagsRequest, caller: Caller) -> bytes:
        """Return tags of a resource as JSON."""
        wanted = msgspec.json.encode(request)
        return await self._json(self.core.tags(caller.tenant, level, public_id, wanted))

    async def model(self, public_id: str, model: str, bulk_uri: str, caller: Caller) -> bytes:
        """Return an instance in DICOM `json` or `xml` up to its pixel data; long values by URI."""
        threshold = self.settings.http.bulk_threshold_bytes
        begun = self.core.model(caller.tenant, public_id, model, threshold, bulk_uri)
        return await self._json(begun)

    def resource(self, level: str, public_id: str, caller: Caller) -> bytes:
        """Return one resource."""
        return _found(self.core.resource(caller.tenant, level, public_id), level, public_id)

    async def resources(
        self, level: str, since: int, limit: int, options: ListOptions, caller: Caller
    ) -> bytes:
        """Return a page of a level, ids or whole; a `limit` of 0 means all."""
        begun = self.core.list(caller.tenant, level, since, limit, options.to_json())
        return await self._json(begun)

    async def related(
        self,
        level: str,
        public_id: str,
        related_level: str,
        options: ListOptions,
        caller: Caller,
    ) -> bytes:
        """Return what of a level is below a resource, or the one that it is in, or itself."""
        wanted = options.to_json()
        begun = self.core.related(caller.tenant, level, public_id, related_level, wanted)
        return await self._json(begun)

    async def resource_statistics(self, level: str, public_id: str, caller: Caller) -> bytes:
        """Return counts and sizes of a resource."""
        return await self._json(self.core.resource_statistics(caller.tenant, level, public_id))

    async def metadata(
        self, level: str, public_id: str, expand: bool, numeric: bool, caller: Caller
    ) -> bytes:
        """Return which metadata a resource has, by name or number, with `expand` their values."""
        begun = self.core.metadata(caller.tenant, level, public_id, expand, numeric)
        return await self._json(begun)

    async def metadata_value(self, level: str, public_id: str, name: str, caller: Caller) -> bytes:
        """Return one value of the metadata of a resource, as UTF-8."""
        return await self._json(self.core.metadata_value(caller.tenant, level, public_id, name))

    async def delete(self, level: str, public_id: str, caller: Caller) -> bytes:
        """Delete a resource with all below it; parents that it leaves empty go too."""
        answer = await self._json(self.core.delete(caller.tenant, level, public_id))
        logger.info(
            "resource deleted",
            extra={"level": level, "id": public_id, "way_in": caller.way_in, "user": caller.user},
        )
        return answer

    async def tell(self, change: str, level: str, public_id: str, caller: Caller) -> None:
        """Let the change feed tell that something happened to a resource; it is durable then.

        `change` is a type of the feed, such as ModifiedStudy. Raises NotFound if there is no such
        resource.
        """
        await self.result(self.core.tell(caller.tenant, change, level, public_id))

    async def set_stable(self, level: str, public_id: str, stable: bool, caller: Caller) -> bool:
        """Make a patient, study or series stable now, or let it await that anew.

        Returns whether that changed anything. Raises NotFound if there is no such resource.
        """
        begun = self.core.set_stable(caller.tenant, level, public_id, stable)
        return await self._json(begun) == b"true"

    def set_log_level(self, level: str) -> None:
        """Let the core log `info`, `debug` too, or `trace` too."""
        self.core.set_log_level(level)

    @property
    def recycles(self) -> bool:
        """Whether patients are deleted to make room."""
        storage = self.settings.storage
        is_bounded = bool(storage.maximum_bytes or storage.maximum_patients)
        return is_bounded and storage.maximum_mode == "recycle"

    async def spare(self, instances: list[tuple[int, str, int]]) -> None:
        """Let recycling spare the patients of instances, given by tenant, UID and until when.

        What goes all the same has gone when this returns.
        """
        await self.result(self.core.spare(instances))

    def start_recycling(self) -> None:
        """Let patients go from now on: what must not go was told to `spare`."""
        self.core.start_recycling()

    async def changes(
        self,
        since: int | None,
        to: int | None,
        limit: int,
        types: list[str],
        last: bool,
        caller: Caller,
    ) -> bytes:
        """Return a page of the change feed: after `since`, up to and with `to`."""
        begun = self.core.changes(caller.tenant, since, to, limit, types, last)
        return await self._json(begun)

    def statistics(self, caller: Caller) -> bytes:
        """Return counts and sizes."""
        return self.core.statistics(caller.tenant)

    def metrics(self) -> bytes:
        """Return the core's metrics in Prometheus' text form."""
        return self.core.metrics()

    def health(self) -> bytes:
        """Return what the core says of itself, as JSON with `ready`."""
        return self.core.health()

    def set_policy(self, policy_json: bytes) -> None:
        """Let the DICOM listener decide by another policy from the next association on."""
        self.core.set_policy(policy_json)

    async def stop(self, deadline_s: float | None = None) -> None:
        """Finish what was accepted, refuse new, end the core's threads.

        Associations have `deadline_s` for it, `limits.shutdown_s` if it is None.
        """
        loop = asyncio.get_running_loop()
        if deadline_s is None:
            deadline_s = self.settings.limits.shutdown_s
        # Blocking and long: on a thread of its own, so that results still reach who waits for them.
        await loop.run_in_executor(None, self.core.stop, deadline_s)
        self.detach()

    def detach(self) -> None:
        """Fetch the last results and leave the loop; for who stopped the core himself."""
        if self._loop is not None:
            self._drain()
            self._loop.remove_reader(self.core.completion_fd())


class Upload:
    """A body that is being stored as it comes; dropped unfinished, it leaves only whole files."""

    def __init__(self, archive: Archive, upload: _core.Upload):
        self._archive = archive
        self._upload = upload
        self.max_held_bytes = upload.max_held_bytes

    async def push(self, chunk: bytes) -> None:
        """Take the next chunk; returns when the one after it may come."""
        handle = self._upload.push(chunk)
        if handle is not None:
            await self._archive.result(handle)

    async def take(self, exchange: Exchange, most: int, timeout_s: float) -> None:
        """Take about `most` bytes of the body of a request itself: none of them comes to Python.

        Raises RequestTimeout if next to nothing comes for `timeout_s` seconds, ConnectionError if
        the client went away.
        """
        await self._archive.result(self._upload.take(exchange, most, timeout_s))

    @property
    def received(self) -> int:
        """Bytes that `take` took."""
        return self._upload.received

    @property
    def is_whole(self) -> bool:
        """Whether `take` found the end of the body, or no more of it is wanted."""
        return self._upload.is_whole

    @property
    def is_over(self) -> bool:
        """Whether no more of the body is wanted: finishing it says why."""
        return self._upload.is_over

    async def finish_web(self, xml: bool, studies_url: str) -> bytes:
        """End a Store request; return the first part of its Response Module (PS3.18 §I.2)."""
        return await self._archive._json(self._upload.finish_web(xml, studies_url))

    @property
    def outcome(self) -> tuple[int, str, str | None]:
        """The HTTP status of a Store request, the first problem, and where what it stored is."""
        return self._upload.outcome

    async def finish(self, tell_all: bool = False) -> bytes:
        """Return the first part of the answer, once all that could be stored is safe.

        With `tell_all` it also says what of a ZIP archive was not stored, and why.
        """
        return await self._archive._json(self._upload.finish(tell_all))

    @property
    def has_more(self) -> bool:
        """Whether the answer goes on."""
        return self._upload.has_more

    async def more(self) -> bytes:
        """Return the next part of the answer."""
        return await self._archive._json(self._upload.next_json())

    @property
    def not_stored(self) -> int:
        """How many of its files were not stored; known once it is finished."""
        return self._upload.not_stored


class Readable(Protocol):
    """Bytes that are read in pieces."""

    size: int
    digest: str

    async def read(self, offset: int, length: int) -> bytes:
        """Return bytes `offset` to `offset + length`."""


class StoredFile:
    """The file of one instance, read in pieces."""

    def __init__(self, archive: Archive, file: _core.File):
        self._archive = archive
        self._file = file
        self.size = file.size
        self.digest = file.digest
        self.transfer_syntax_uid = file.transfer_syntax_uid
        self.sop_class_uid = file.sop_class_uid
        self.frames = file.frames

    @property
    def core(self) -> _core.File:
        """The file as the core knows it."""
        return self._file

    @property
    def modified_s(self) -> int | None:
        """When it became what it is, in seconds since 1970; None before that second is over."""
        return self._file.modified_s()

    async def read(self, offset: int, length: int, swap_unit: int = 1) -> bytes:
        """Return bytes `offset` to `offset + length`."""
        handle = self._file.read(offset, length, swap_unit)
        return cast(bytes, await self._archive.result(handle))

    async def locate(self, path: str, *, pixels: bool = False) -> list[str] | Readable | None:
        """Return what is at a place of the data set: what is below it, or its value.

        Raises BadRequest if `path` is none.
        """
        handle = self._file.locate(path, pixels=pixels)
        text, _, held = cast(bytes, await self._archive.result(handle)).partition(b"\n")
        found = json.loads(text)
        if not isinstance(found, dict):
            return cast("list[str] | None", found)
        place = Place(found["Offset"], found["Length"], found["SwapUnit"])
        return HeldValue(self, place, held) if held else StoredValue(self, place)

    async def transcode(
        self,
        transfer_syntax_uid: str,
        options: Mapping[str, object] | None = None,
        is_gone: Callable[[], bool] | None = None,
    ) -> TranscodedFile:
        """Open the same in another transfer syntax; options as `_core.transcode` takes them.

        Raises UnsupportedImage if there is no way, EncodingError if what is stored is damaged.
        `is_gone` is asked now and then whether nobody waits for it any more: it then ends soon.
        """
        options_json = json.dumps(dict(options or {})).encode()
        transcoding = self._file.transcode(transfer_syntax_uid, options_json)
        opening = self._archive._json(transcoding.open())
        while not (await asyncio.wait({opening}, timeout=GONE_AFTER_S))[0]:
            if is_gone is not None and is_gone():
                transcoding.abandon()
        opened = json.loads(await opening)
        return TranscodedFile(self._archive, transcoding, opened["length"])


class Place(NamedTuple):
    """Where a value lies in a file, and how many bytes change places for little endian."""

    offset: int
    length: int
    swap_unit: int


class StoredValue:
    """A value in a stored file, in little endian."""

    def __init__(self, file: StoredFile, place: Place):
        self._file = file
        self._place = place
        self.size = place.length
        self.digest = f"{file.digest}-{place.offset}"

    async def read(self, offset: int, length: int) -> bytes:
        """Return bytes `offset` to `offset + length`."""
        unit = self._place.swap_unit
        first = offset - offset % unit
        end = min(-(-(offset + length) // unit) * unit, self.size)
        found = await self._file.read(self._place.offset + first, end - first, unit)
        return found[offset - first : offset - first + length]


class HeldValue:
    """A value of a deflated file, which has no place in it."""

    def __init__(self, file: StoredFile, place: Place, value: bytes):
        self._value = value
        self.size = len(value)
        self.digest = f"{file.digest}-{place.offset}"

    async def read(self, offset: int, length: int) -> bytes:
        """Return bytes `offset` to `offset + length`."""
        return self._value[offset : offset + length]


class TranscodedFile:
    """The file of one instance in another transfer syntax, read from its beginning to its end."""

    def __init__(self, archive: Archive, transcoding: _core.Transcoding, length: int | None):
        self._archive = archive
        self._transcoding = transcoding
        self.length = length

    async def read(self, length: int) -> bytes:
        """Read on; fewer bytes than `length` only at the end."""
        return await self._archive._json(self._transcoding.read(length))


def log_core_line(line: bytes) -> None:
    """Log what a thread of the core said: an object with level, target, message and fields."""
    event: dict[str, Any] = json.loads(line)
    level = logging.getLevelNamesMapping()[event.pop("level").upper()]
    target = event.pop("target").replace("::", ".")
    message = event.pop("message", "")
    # Names that a log record has itself may not be given to it again.
    fields = {f"{key}_" if key in RECORD_ATTRIBUTES else key: v for key, v in event.items()}
    logging.getLogger(target).log(level, "%s", message, extra=fields)


def _found(value: T | None, level: str, public_id: str) -> T:
    if value is None:
        raise NotFound(f"{public_id} is none of the {level}")
    return value
