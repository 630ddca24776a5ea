"""The core as Python sees it. A call that returns a handle completes through `Archive.drain`."""

import builtins
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, final

__all__ = [
    "DEBUG",
    "VERSION",
    "Answer",
    "Archive",
    "Attachment",
    "DimseRequest",
    "ElementReader",
    "Exchange",
    "File",
    "Frame",
    "Making",
    "NewAttachment",
    "Peer",
    "Picture",
    "Rewriting",
    "Rewritten",
    "Selection",
    "Sending",
    "Stream",
    "Transcoding",
    "Upload",
    "can_transcode",
    "check",
    "check_recipe",
    "codec_helper",
    "compact",
    "count_frames",
    "data_set",
    "data_set_from_json",
    "data_set_to_json",
    "decode_base64",
    "decode_frame",
    "decode_frames",
    "decode_text",
    "deleted",
    "dicom_json",
    "dicom_xml",
    "encode_frame",
    "erase",
    "file_from_json",
    "file_from_xml",
    "frame_media_type",
    "frame_ranges",
    "given_up",
    "icon",
    "keyword",
    "main_dicom_tags",
    "media_type_syntaxes",
    "module_tags",
    "number_of_frames",
    "pixel_syntaxes",
    "read_file",
    "read_instance",
    "recompress",
    "reencode",
    "reindex",
    "render_file",
    "repair",
    "rewrite_file",
    "scan",
    "scan_file",
    "scan_headers",
    "set_private_dictionary",
    "storage_sop_classes",
    "tag_for_keyword",
    "tags_json",
    "transcode",
    "transcode_file",
    "transfer_syntaxes",
    "undelete",
    "vr_for_tag",
    "write_data_set",
    "write_file",
]

DEBUG: Final[bool]
VERSION: Final[str]

@final
class File:
    """A stored object, held open: what it was when it was opened is what `read` gives."""

    @property
    def size(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def transfer_syntax_uid(self) -> str: ...
    @property
    def sop_class_uid(self) -> str: ...
    @property
    def frames(self) -> int:
        """How many frames its header promises, 1 if it says nothing; a video is one stream."""

    def modified_s(self) -> int | None:
        """The time of Last-Modified, in seconds since 1970; None while there is none to tell."""

    def read(self, offset: int, length: int, swap_unit: int = 1) -> int:
        """Read bytes; with a `swap_unit` those of so many bytes are turned around."""

    def locate(self, path: str, *, pixels: bool = False) -> int:
        """Find a place of the data set, such as `0008-1140/0/PatientID`; empty: the data set.

        The result is `null` if there is none; the list of elements or of numbers of parts below
        it; or an object that tells where its value lies: `Offset`, `Length`, `SwapUnit`. Of a
        deflated data set, whose values have no place in the file, a line end and the value follow.
        Native pixel data is a list of one part, or its value with `pixels`.
        """

    def transcode(self, transfer_syntax_uid: str, options_json: bytes | None = None) -> Transcoding:
        """Prepare to read it in another transfer syntax; options as `transcode` takes them."""

@final
class Picture:
    """The picture of a frame."""

    def make(self) -> int:
        """Make it; gives all of it, or nothing if it is long: then it is read.

        Raises UnsupportedImage with the reason if there is none, NotFound if there is no such
        frame, Busy if others hold the memory that it takes.
        """

    @property
    def length(self) -> int:
        """Bytes that are to be read."""

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of it, fewer at its end."""

@final
class Stream:
    """Bytes that are made while they are read. Calls are made one after the other."""

    def open(self) -> int:
        """Begin; gives `{"length": ...}`, null if only the end tells. Raises as `Picture.make`."""

    def read(self, length: int) -> int:
        """Read on; gives fewer bytes than `length` only at the end."""

@final
class Making:
    """A ZIP archive or medium, made while it is read. Calls but `close` come one after another."""

    def open(self) -> int:
        """Find out what it will hold. Raises NotFound if a resource is not there, and Busy."""

    def read(self) -> int:
        """Give the next bytes; none at the end."""

    def respond(
        self, exchange: Exchange, status: int, headers: Sequence[tuple[bytes, bytes]]
    ) -> int:
        """Answer a request with it; completes at its end.

        The client gone is a ConnectionError. After any error the connection is broken off.
        """

    def write(self, path: str, most: int) -> int:
        """Write it to a new file; raises OutOfStorage if it has more than `most` bytes."""

    def close(self) -> None:
        """End it, whatever it is at."""

    @property
    def progress(self) -> tuple[int, int, int, int, int]:
        """Instances and bytes of their files; instances and bytes given; how many stayed as is."""

@final
class Selection:
    """What UIDs name, decided when it is opened."""

    def open(self) -> int:
        """Find it; gives what is there as JSON.

        `instances` and `bytes` of their files; `transfer_syntaxes` with the number of instances in
        each; `version`, which changes with anything that is said of them.
        """

    def outline(self, wanted_json: bytes) -> tuple[str, str | None]:
        """Return the entity tag of an answer, and the boundary of its parts if it has any."""

    def answer(self, wanted_json: bytes) -> Answer:
        """Return an answer, to be prepared; takes `vna.services.web.Wanted`."""

@final
class Answer:
    """An answer of DICOMweb. Calls but `close` come one after another."""

    def prepare(self) -> int:
        """Prepare it up to its first part; gives `{"length": ..., "is_empty": ...}`.

        The length is null if it is not known.
        """

    def restrict(self, first: int, end: int) -> int:
        """Give only bytes `first` to `end` of it."""

    def read(self) -> int:
        """Give the next bytes; none at the end."""

    def respond(
        self, exchange: Exchange, status: int, headers: Sequence[tuple[bytes, bytes]]
    ) -> int:
        """Answer a request with it; completes at its end.

        The client gone is a ConnectionError. After any error the connection is broken off.
        """

    def close(self) -> None:
        """End it, whatever it is at."""

@final
class Frame:
    """A frame as it is stored: native samples in little endian, or its codestream."""

    def open(self) -> int:
        """Find it; gives `{"length": ...}`. Raises as `Picture.make`."""

    def read(self, offset: int, length: int) -> int:
        """Read bytes of it, fewer at its end."""

    def gzip(self) -> Stream: ...

@final
class Transcoding:
    """A stored file in another transfer syntax. Calls are made one after the other."""

    def open(self) -> int:
        """Walk through the file, and compress what is to be compressed.

        Gives `{"length": ..., "sop_instance_uid": ...}`: null if only the end tells how long it is,
        and if it is still the same instance. Raises UnsupportedImage if there is no way,
        EncodingError if what is stored is damaged.
        """

    def abandon(self) -> None:
        """End what compresses: nobody waits for it any more."""

    def read(self, length: int) -> int:
        """Read on; gives fewer bytes than `length` only at the end."""

@final
class Rewriting:
    """Stored instances written anew by a recipe, such as modification and anonymization are."""

    def open(self) -> int:
        """Compile the recipe and find the instances; gives `{"total": ...}`.

        Raises BadRequest, BadParameter, BadBody, OutOfRange or UnknownTag if the recipe is none,
        NotFound if a resource is not there. A named instance that is not there fails in its step.
        """

    def step(self, position: int, count: int, patience_s: float = ...) -> int:
        """Write up to `count` instances anew, from number `position` on, and store them.

        None but the first is begun when it has taken `patience_s`. Gives a JSON list in their
        order: `From`, and `FromPatient`, `FromStudy`, `FromSeries`, `ID`, `ParentPatient`,
        `ParentStudy`, `ParentSeries`, `Path`, `Status` (`Success`, `AlreadyStored`), `BurnedIn`
        (what `From` says of text in its pixels: `YES`, `UNSAID` or null); or `Status` `Failure`
        with `Code` and `Details` of what is wrong with that one. Raises what keeps all of them
        from being stored. Done again, it gives the same bytes, which are stored already.
        """

    def file(self, number: int) -> Rewritten:
        """Prepare to read the file that an instance becomes; nothing is stored."""

@final
class Rewritten:
    """The file that an instance becomes. Calls are made one after the other."""

    def open(self) -> int:
        """Apply the recipe; gives `{"length": ..., "burned_in": ...}`.

        The length is null if only the end tells it; `burned_in` is that of `Rewriting.step`.
        """

    def read(self, length: int) -> int:
        """Read on; gives fewer bytes than `length` only at the end."""

@final
class ElementReader:
    """The elements of a PS3.10 file as far as it can be read, a batch at a time, and their values.

    Nothing of the file is held, but for the inflated data set of a deflated one. Raises OSError;
    what is wrong with the content is `error`, once `next` came to its end.
    """

    def __new__(cls, path: str) -> ElementReader: ...
    @property
    def file_bytes(self) -> int: ...
    @property
    def transfer_syntax_uid(self) -> str: ...
    @property
    def data_set_offset(self) -> int | None: ...
    @property
    def is_deflated(self) -> bool:
        """Whether offsets of elements, and those of `value`, count in the inflated data set."""

    @property
    def error(self) -> tuple[str, str, int | None] | None:
        """What ended the reading: message, code, offset."""

    def meta(self) -> bytes:
        """Return the elements of group 0002, a table as of `scan`; their values are in the file."""

    def next(self) -> bytes:
        """Return the next elements, a table as of `scan`; empty at the end."""

    def value(self, offset: int, length: int) -> bytes: ...
    def file_value(self, offset: int, length: int) -> bytes: ...

@final
class Peer:
    """An association that we request (`Archive.peer`); let go of, it is aborted.

    All calls but `received` complete through `Archive.drain` and raise PeerFailed and its kin: what
    is wrong, with source and reason where the peer gave them. After such an error the association
    is over, but for ContextRefused and BadRequest, and PeerTimeout of a response.
    """

    def open(self) -> int:
        """Connect and associate; completes with JSON.

        `contexts` that the peer accepted (`context_id`, `sop_class_uid`, `transfer_syntax_uid`),
        `max_pdu_bytes`, `implementation_class_uid` and `implementation_version_name` (or null),
        `roles`, `extended` (numbers of the bytes, by SOP class), `user_identity_confirmed`.
        """

    def request(
        self, sop_class_uid: str, command_json: bytes, data_set: bytes | None = None
    ) -> int:
        """Send a request, or the response to one of the peer's, on the context of a SOP class.

        What follows from the association need not be in the command. Completes with JSON when the
        peer took it: `message_id`, `context_id`.
        """

    def response(self, timeout_s: float) -> int:
        """Complete with the next message: its command as a line of JSON, then its data set.

        The command has `ContextID` and `TransferSyntaxUID` of its context too. `timeout_s` is how
        long nothing may come. C-STORE requests of the peer are answered by the core.
        """

    def cancel(self, message_id: int) -> int:
        """Tell the peer to end what was requested (C-CANCEL)."""

    def release(self) -> int: ...
    def abort(self) -> int: ...
    def received(self) -> bytes:
        """Count what the peer sent by C-STORE, as JSON: `stored`, `refused`, `bytes`."""

@final
class Sending:
    """Stored instances on their way to a remote node; let go of, it is cancelled."""

    def progress(self) -> bytes:
        """How far it is, as JSON.

        `remaining`, `completed`, `warning` and `failed` count instances; `bytes` are those of the
        data sets sent. `done`: nothing more will happen; `cancelled`: some remain. `failures`
        holds `id`, `sop_instance_uid`, `status` (null if the node was not asked) and `reason` of
        each that failed. `error` is null or what ended the last association that was lost or
        could not be opened: `code` (of `vna.errors`), `message`, `transient`.
        """

    def wait(self, seen: int) -> int:
        """Complete when more than `seen` instances are done, or all that will be."""

    def cancel(self) -> None:
        """Send nothing more; what is on its way has half a second to be answered."""

@final
class Exchange:
    """One HTTP request and its answer; `vna.rest.server` makes ASGI of it."""

    @property
    def method(self) -> str: ...
    @property
    def raw_path(self) -> bytes: ...
    @property
    def query(self) -> bytes: ...
    @property
    def http_version(self) -> str: ...
    @property
    def headers(self) -> builtins.list[tuple[bytes, bytes]]: ...
    @property
    def remote(self) -> tuple[str, int]: ...
    @property
    def has_body(self) -> bool: ...
    def is_gone(self) -> bool: ...
    def receive(self) -> int: ...
    def respond(
        self, status: int, headers: builtins.list[tuple[bytes, bytes]], body: bytes
    ) -> None: ...
    def start(self, status: int, headers: builtins.list[tuple[bytes, bytes]]) -> None: ...
    def write(self, piece: bytes) -> int: ...
    def finish(self) -> None: ...
    def abort(self) -> None: ...

@final
class DimseRequest:
    """A request of a DICOM peer and its answers; `vna.dimse.serving` dispatches it.

    Dropped unanswered it is answered with 0110. What completes raises ConnectionError if the
    association is over.
    """

    @property
    def association(self) -> int:
        """Number of the association."""

    @property
    def caller(self) -> bytes:
        """JSON of `vna.services.caller.Caller`."""

    @property
    def sop_class_uid(self) -> str: ...
    @property
    def transfer_syntax_uid(self) -> str: ...
    @property
    def command(self) -> bytes:
        """The command set, a JSON object of keywords.

        Of an association whose user identity is to be checked: `{"Ask": "associate",
        "UserIdentityType": 2, "User": "..", "Passcode": ".."}`, which `finish` answers with
        `{"Accept": true, "User": ".."}`.
        """

    @property
    def data_set(self) -> bytes: ...
    @property
    def extended(self) -> bytes:
        """Service-class-application-information negotiated for the SOP class."""

    def respond(self, command_json: bytes, data_set: bytes | None = None) -> int:
        """Send one more pending response; completes when the peer took it."""

    def finish(self, command_json: bytes, data_set: bytes | None = None) -> int:
        """Send the last response."""

    def cancelled(self) -> int:
        """Complete with b"cancel" or b"ended" when it is not to be served any more."""

    def report(self, command_json: bytes, data_set: bytes) -> int:
        """Send an N-EVENT-REPORT to the peer, also after the last response.

        Completes with the command set of the response, as JSON.
        """

    def find(self, options_json: bytes) -> int:
        """Send all pending responses of a C-FIND; options as of `Archive.c_find`.

        Completes with `{"answers": n, "end": "done" | "cancelled" | "limit" | "ended"}`.
        """

    def store(self, batch_json: bytes) -> int:
        """Send instances as C-STORE sub-operations of a C-GET, with pending responses.

        `{"instances": [public ids], "tenant": 1}`; completes with `{"completed", "failed",
        "warning", "failed_uids": [], "failed_ids": [], "cancelled": false}`.
        """

@final
class Upload:
    """A body that arrives in chunks, one call after the other."""

    @property
    def max_held_bytes(self) -> int: ...
    @property
    def not_stored(self) -> int: ...
    @property
    def has_more(self) -> bool: ...
    @property
    def received(self) -> int:
        """Bytes that `take` took."""

    @property
    def is_whole(self) -> bool:
        """Whether `take` found the end of the body, or no more of it is wanted."""

    @property
    def is_over(self) -> bool:
        """Whether no more of the body is wanted: finishing it says why."""

    @property
    def outcome(self) -> tuple[int, str, str | None]:
        """The HTTP status of a Store request, the first problem, and where what it stored is."""

    def push(self, chunk: bytes) -> int | None:
        """Take the next chunk; a handle if the one after it must wait for its completion."""

    def take(self, exchange: Exchange, most: int, timeout_s: float) -> int:
        """Take about `most` bytes of the body of a request without Python."""

    def finish(self, tell_all: bool) -> int: ...
    def finish_web(self, xml: bool, studies_url: str) -> int:
        """End a Store request; complete with the beginning of its Response Module."""

    def next_json(self) -> int: ...

@final
class Attachment:
    """An attachment: opened, it is read as it was then."""

    def open(self) -> int:
        """Complete with `Info`, `Revision` and `IsCompressed` as JSON."""

    def read(self, offset: int, length: int, stored: bool) -> int: ...
    def verify(self) -> int: ...
    def recompress(self, is_compressed: bool) -> int: ...

@final
class NewAttachment:
    """An attachment that arrives in chunks, one call after the other."""

    @property
    def max_held_bytes(self) -> int: ...
    def begin(self) -> int:
        """Look whether it can be attached; before the first `push`."""

    def push(self, chunk: bytes) -> int | None:
        """Take the next chunk; a handle if the one after it must wait for its completion."""

    def finish(self) -> int:
        """Complete with its revision, `NUMBER-MD5`, once it is durable."""

@final
class Archive:
    """One open archive and the threads that serve it."""

    def __new__(cls, settings_json: bytes) -> Archive: ...
    def completion_fd(self) -> int: ...
    def drain(self) -> builtins.list[tuple[int, bool, object]]:
        """Return all results that wait: (handle, whether it went well, value or exception).

        Handle 0 is no result but a line for the log, a JSON object; handle 1 an `Exchange`;
        handle 2 a `DimseRequest`.
        """

    def serve_http(self, sockets: list[int], listener_json: bytes) -> int: ...
    def authenticate_http(self, required: bool) -> None:
        """Set whether requests must say whose they are; forgets whom `remember_http` told."""

    def remember_http(
        self, authorization: bytes, tenant: int, user: str, may_store: bool, time_s: float
    ) -> None:
        """Answer plain requests that have this Authorization header, for a time."""

    def stop_http(self) -> None: ...
    def listen(self, policy_json: bytes) -> tuple[str, int]: ...
    def set_policy(self, policy_json: bytes) -> None: ...
    def upload(
        self, origin_json: bytes, content_type: str, content_encoding: str, length: int | None
    ) -> Upload:
        """Begin to store a body; the empty string stands for a header that is not there."""

    def store_web(
        self,
        origin_json: bytes,
        content_type: str,
        content_encoding: str,
        length: int | None,
        study_instance_uid: str | None,
    ) -> Upload:
        """Begin a Store request of DICOMweb, for a study or for any."""

    def rewriting(self, caller_json: bytes, recipe_json: bytes, request_json: bytes) -> Rewriting:
        """Prepare to write instances anew, once it is open.

        The request has `instances` (public ids, in the order that counts) or `resources` (objects
        of `Type` and `ID`), `overwrite` (whether a new instance takes the place of one of the same
        identity, which is the default) and `lossy_quality`.
        """

    def rewrite_one(self, caller_json: bytes, recipe_json: bytes, public_id: str) -> int:
        """Give the file that an instance becomes, whole; nothing is stored."""

    def peer(self, spec_json: bytes) -> Peer:
        """Return a peer that can be asked once it is open.

        The specification is `host`, `port`, `calling_ae_title`, `called_ae_title` and, with
        defaults, `timeout_s` for each step of the peer, `contexts` (`sop_class_uid`,
        `transfer_syntaxes`, `scu`, `scp`), `extended` (numbers of the bytes, by SOP class),
        `tenant`, `user` (`type`, `primary`, `secondary`, `response`) and `max_pdu_bytes`.
        Raises BadRequest.
        """

    def send(self, batch_json: bytes) -> Sending:
        """Begin to send stored instances to a remote node.

        The batch is the specification of a peer (`Archive.peer`; its contexts follow from the
        instances) and `instances` (public ids), `move_originator` (`ae_title`, `message_id`),
        `parallel` associations, `preferred_transfer_syntax` of what is uncompressed,
        `transcoding` (whether what the peer does not take as it is stored is re-encoded), `retries`
        (how often in a row a lost association is opened anew) and `permissive` (whether to go on
        after an instance failed). All but the instances have defaults. Raises BadRequest.
        """

    def send_file(self, spec_json: bytes, file: bytes) -> int:
        """Send a PS3.10 file that is not stored; completes with JSON.

        `sop_class_uid`, `sop_instance_uid`, and the peer's `status` and its `reason` in words.
        Raises PeerFailed, EncodingError, or ContextRefused if the peer takes no such instance.
        """

    def import_files(self, paths: Sequence[bytes], origin_json: bytes) -> int: ...
    def import_entries(
        self, archive_path: bytes, first: int, count: int, origin_json: bytes
    ) -> int: ...
    def open_file(self, tenant: int, public_id: str) -> File | None: ...
    def tags(self, tenant: int, level: str, public_id: str, request_json: bytes) -> int:
        """Give tags of a resource: `Of`, `Form`, `IgnoreLength`, `Whole`.

        `Of` is DataSet, Header, Module, PatientModule or Shared; `Form` is full, short or
        simplified; `IgnoreLength` holds tags as numbers.
        """

    def model(
        self, tenant: int, public_id: str, model: str, bulk_threshold: int, bulk_uri: str
    ) -> int:
        """Give an instance in DICOM `json` or `xml`, up to its pixel data; see `dicom_json`."""

    def resource(self, tenant: int, level: str, public_id: str) -> bytes | None: ...
    def list(self, tenant: int, level: str, since: int, limit: int, options_json: bytes) -> int:
        """List resources; `vna.services.archive.ListOptions` are the options."""

    def related(
        self, tenant: int, level: str, public_id: str, related_level: str, options_json: bytes
    ) -> int: ...
    def resource_statistics(self, tenant: int, level: str, public_id: str) -> int: ...
    def metadata(
        self, tenant: int, level: str, public_id: str, expand: bool, numeric: bool
    ) -> int: ...
    def metadata_value(self, tenant: int, level: str, public_id: str, name: str) -> int: ...
    def metadata_entry(self, tenant: int, level: str, public_id: str, name: str) -> int:
        """Give one value behind its revision, `NUMBER-MD5` and a line end."""

    def put_metadata(
        self,
        tenant: int,
        level: str,
        public_id: str,
        name: str,
        value: bytes,
        named: tuple[int, str] | None,
    ) -> int:
        """Note metadata if it still is as `named`; completes with its revision."""

    def take_metadata(
        self, tenant: int, level: str, public_id: str, name: str, named: tuple[int, str] | None
    ) -> int: ...
    def is_protected(self, tenant: int, public_id: str) -> int: ...
    def protect(self, tenant: int, public_id: str, is_protected: bool) -> int: ...
    def attachments(self, tenant: int, level: str, public_id: str) -> int: ...
    def attachment(self, tenant: int, level: str, public_id: str, name: str) -> Attachment: ...
    def new_attachment(
        self, tenant: int, level: str, public_id: str, name: str, named: tuple[int, str] | None
    ) -> NewAttachment: ...
    def take_attachment(
        self, tenant: int, level: str, public_id: str, name: str, named: tuple[int, str] | None
    ) -> int: ...
    def labels(self, tenant: int, level: str, public_id: str) -> int: ...
    def all_labels(self, tenant: int) -> int: ...
    def put_label(self, tenant: int, level: str, public_id: str, label: str) -> int: ...
    def take_label(self, tenant: int, level: str, public_id: str, label: str) -> int: ...
    def index_tags(self) -> int:
        """List tags that are indexed beside the usual ones: see `vna.services.index_tags`."""

    def add_index_tag(self, tag: str, level: str | None) -> int: ...
    def remove_index_tag(self, tag: str, level: str | None) -> int: ...
    def fill_index_tags(self, count: int) -> int:
        """Read the next `count` resources again; the result is JSON true if there were any."""

    def reconstruct(
        self, tenant: int, level: str, public_id: str, after: int, only_this: bool
    ) -> int: ...
    def clear_changes(self, tenant: int) -> int: ...
    def bulk_content(self, tenant: int, request_json: bytes) -> int: ...
    def delete(self, tenant: int, level: str, public_id: str) -> int: ...
    def tell(self, tenant: int, change: str, level: str, public_id: str) -> int: ...
    def set_stable(self, tenant: int, level: str, public_id: str, stable: bool) -> int: ...
    def spare(self, instances: builtins.list[tuple[int, str, int]]) -> int: ...
    def start_recycling(self) -> None: ...
    @staticmethod
    def set_log_level(level: str) -> None:
        """Let the core log `info`, `debug` too, or `trace` too."""

    def deleted(self, tenant: int, since: int, limit: int) -> int:
        """List what was deleted and can be brought back; `vna.services.upkeep` has the forms."""

    def undelete(self, tenant: int, ids: builtins.list[str]) -> int: ...
    def erase(self, tenant: int, ids: builtins.list[str] | None) -> int: ...
    def compact(self, below_percent: int) -> int: ...
    def recompress(self, wanted_json: bytes) -> int: ...
    def given_up(self) -> int: ...
    def changes(
        self,
        tenant: int,
        since: int | None,
        to: int | None,
        limit: int,
        types: builtins.list[str],
        last: bool,
    ) -> int: ...
    def query(self, tenant: int, query_json: bytes) -> int:
        """Find resources: the body of `POST /tools/find`."""

    def web_search(
        self,
        level: str,
        study: str | None,
        series: str | None,
        query: str,
        options_json: bytes,
    ) -> int:
        """Answer a search of DICOMweb: `query` is what stands behind the question mark.

        Options: `tenant`, `max_results`, `root` (address of the studies service), `boundary` (of a
        multipart body of XML; without, JSON). Completes with the length of a JSON object (four
        bytes, least significant first), the object with `results` and `warnings`, and the body.
        """

    def count(self, tenant: int, query_json: bytes) -> int: ...
    def c_find(self, identifier: bytes, transfer_syntax_uid: str, options_json: bytes) -> int:
        """Answer a C-FIND identifier without a network.

        Completes with the answers in `transfer_syntax_uid`, each behind its length (four bytes,
        least significant first). Options: `tenant`, `label`, `model` ("patient", "study",
        "patient_study"), `relational`, `combined_date_time`, `timezone`, `limit`,
        `retrieve_ae_title`, `unsupported_warning`.
        """

    def select_instances(
        self, identifier: bytes, transfer_syntax_uid: str, options_json: bytes
    ) -> int:
        """Name the instances that the identifier of a C-MOVE or C-GET selects, in JSON.

        Options: `tenant`, `label`, `model`, `relational`. Each instance: `ID`, `SOPClassUID`,
        `SOPInstanceUID`, `TransferSyntaxUID`, `SeriesInstanceUID`, `StudyInstanceUID`.
        """

    def match_data_sets(
        self,
        identifier: bytes,
        transfer_syntax_uid: str,
        items: builtins.list[bytes],
        answer_transfer_syntax_uid: str,
    ) -> int:
        """Match data sets in Explicit VR Little Endian by the rules of C-FIND.

        Completes with the answers of those that match: the number of the item and the length of
        the answer (four bytes each, least significant first), then the answer, which holds what
        the identifier asks for.
        """

    def lookup(self, tenant: int, identifier: str) -> int: ...
    def picture(
        self, file: File, request_json: bytes, presentation_state: File | None = None
    ) -> Picture:
        """Return the picture of a frame, to be made.

        Takes `{"frame", "mode", "window_center", "window_width", "window_function", "region",
        "annotation", "width", "height", "smooth", "overlays", "own_values", "form", "quality"}`, of
        which each has a default; modes are preview, rendered, uint8, uint16 and int16, functions
        linear, linear-exact and sigmoid, forms png, jpeg, jp2, gif and pam. With `"colours"` (own,
        srgb, adobergb, rommrgb) it has a colour profile, where its form can hold one.
        """

    def report(self, file: File, request_json: bytes) -> int:
        """Give the document of a structured report in UTF-8; takes `{"form", "root_url"}`.

        Forms are html, xml (the same as XHTML) and text; below the root go links to images. Raises
        UnsupportedImage if the instance is no report, or longer than those that are shown.
        """

    def animation(
        self,
        file: File,
        request_json: bytes,
        frames: Sequence[int] | None = None,
        presentation_state: File | None = None,
    ) -> Stream:
        """Return frames, counted from 0, or all of them as an animated GIF, to be made.

        Takes what `picture` takes; the frames come one after the other, over and over.
        """

    def read_image(self, file: bytes, /, *, encapsulated: bool = False) -> int:
        """Give what a PNG or JPEG file is, as JSON in a line, and behind it its samples.

        Rows, Columns and so on of an image that would have them; with `encapsulated` no samples,
        but the transfer syntax that a JPEG file can be encapsulated in, null if there is none.
        Fails with UnsupportedImage.
        """

    def thumbnail(self, file: File, request_json: bytes) -> int:
        """Give a small picture, from the cache if it is there; takes `{"size", "form"}`."""

    def array(self, file: File, request_json: bytes) -> Stream:
        """Return frames of an instance as an array, to be made.

        Takes `{"frame", "rescale", "form"}`; forms are npy, npz and matlab. Without a frame it is
        of all.
        """

    def select(
        self, tenant: int, study: str, series: str | None = None, instance: str | None = None
    ) -> Selection:
        """Return what UIDs name, to be opened."""

    def zip(self, tenant: int, request_json: bytes) -> Making:
        """Return a ZIP archive, to be made; takes `vna.services.archives.ArchiveRequest`."""

    def series_array(self, tenant: int, public_id: str, request_json: bytes) -> Stream:
        """Return all frames of a series as an array, to be made; takes what `array` takes."""

    def stored_frame(self, file: File, frame: int) -> Frame: ...
    def ordered_slices(self, tenant: int, public_id: str) -> int:
        """Give the order of the instances of a series as `/ordered-slices` answers it."""

    def representative(self, tenant: int, level: str, public_id: str) -> int:
        """Give the public id of the instance whose picture stands for a resource."""

    def statistics(self, tenant: int) -> bytes: ...
    def verify_instances(self, tenant: int, references_json: bytes) -> int:
        """Read instances again and compare them with their digests.

        Takes a list of `{"SOPClassUID", "SOPInstanceUID"}`; gives for each `intact`, `missing`,
        `other-class` or `damaged`.
        """

    def metrics(self) -> bytes: ...
    def health(self) -> bytes: ...
    def stop(self, deadline_s: float) -> None: ...

def check(settings_json: bytes, progress: Callable[[int, int], object]) -> bytes: ...
def main_dicom_tags() -> list[tuple[str, list[str]]]:
    """Return the tags that the index keeps of each level."""

def deleted(settings_json: bytes, tenant: int) -> bytes: ...
def undelete(settings_json: bytes, tenant: int, ids: list[str]) -> bytes: ...
def erase(settings_json: bytes, tenant: int, ids: list[str] | None) -> bytes: ...
def compact(settings_json: bytes, below_percent: int) -> bytes: ...
def given_up(settings_json: bytes) -> bytes: ...
def recompress(
    settings_json: bytes, wanted_json: bytes, each: Callable[[bytes], object]
) -> None: ...
def repair(
    settings_json: bytes,
    dry_run: bool,
    accept_loss: bool,
    progress: Callable[[int, int], object],
) -> bytes: ...
def reindex(settings_json: bytes, progress: Callable[[int, int], object]) -> bytes: ...

# An element is (tag, VR, value); its value is what Explicit VR Little Endian has, without padding.
# A list holds the items of a sequence, a tuple the fragments of encapsulated pixel data.
_Value = bytes | list["_DataSet"] | tuple[bytes, ...]
_DataSet = Sequence[tuple[int, str, _Value]]

def write_data_set(elements: _DataSet, /, *, transfer_syntax_uid: str) -> bytes:
    """Encode a data set, elements in any order (PS3.5 §7).

    Raises EncodingError if it cannot be: a value too long, encapsulated pixel data in a syntax
    that has no place for it, a group that no data set holds.
    """

def write_file(
    elements: _DataSet, /, *, transfer_syntax_uid: str, meta: _DataSet | None = None
) -> bytes:
    """Encode a PS3.10 file; what `meta` lacks of group 0002 is filled in.

    Raises EncodingError as `write_data_set` does.
    """

def rewrite_file(recipe: str, file: bytes, /, *, scope: Sequence[tuple[str, str]] = ...) -> bytes:
    """Return the PS3.10 file that a recipe makes of one; the recipe is that of `Recipe::from_json`.

    UIDs of `scope`, each with its level (`Study`, `Series`, `Instance`), follow where they stand.
    Raises OutOfRange on a path or profile that is none, BadRequest on another error of the recipe,
    EncodingError on a broken file.
    """

def number_of_frames(file: bytes, /) -> int:
    """Return how many frames `decode_frames` finds."""

def pixel_syntaxes() -> bytes:
    """Return the transfer syntaxes that hold images, as JSON.

    Of each `uid`, `name`, `compression` (none, lossless, lossy: it allows loss; video), and
    whether we have a codec that `decodes` and `encodes`.
    """

def read_file(data: bytes, /) -> tuple[str, _DataSet, _DataSet]:
    """Return transfer syntax, group 0002 and data set of a PS3.10 file, as `write_file` takes them.

    Raises EncodingError as `scan` does.
    """

def reencode(data: bytes, /, *, transfer_syntax_uid: str) -> bytes:
    """Return a PS3.10 file in another transfer syntax (PS3.5 A.1, A.2, A.3, A.5).

    Raises NotImplementedYet if it takes a codec, EncodingError if the file is damaged.
    """

def transcode(
    data: bytes, /, *, transfer_syntax_uid: str, options_json: bytes | None = None
) -> bytes:
    """Return a PS3.10 file in another transfer syntax, compressed or not (PS3.5 §8.2, §A.4).

    Options are JSON: those of `encode_frame`; `allow_new_uid`, without which nothing is compressed
    with loss; `held_bytes`, how much of the encoded frames is kept in memory, and `folder`, where a
    file takes the others; `helper_command`, which starts processes for codecs, else they run here.
    Raises UnsupportedImage if there is no way, EncodingError if the file is damaged.
    """

def check_recipe(recipe_json: bytes, /) -> None:
    """Compile a recipe; raises what is wrong with it, as `Rewriting.open` does."""

def transcode_file(
    source: str,
    target: str,
    /,
    *,
    transfer_syntax_uid: str,
    options_json: bytes | None = None,
) -> str:
    """Write a PS3.10 file in another transfer syntax; as `transcode`, but nothing is held.

    Gives what became of it as JSON: `from`, `bytes_before`, `bytes_after`, `sop_instance_uid`,
    which is null if it is still the same instance.
    """

def can_transcode(stored_uid: str, wanted_uid: str) -> bool:
    """Whether objects go from one transfer syntax to the other."""

def frame_media_type(transfer_syntax_uid: str) -> str:
    """Return the media type of frames in a transfer syntax (PS3.18 Table 8.7.3-5)."""

def media_type_syntaxes(media_type: str) -> list[str]:
    """Return the transfer syntaxes that a media type of pixel data is for, the default first."""

def scan(data: bytes, /, *, extent: str = "all") -> bytes:
    """Return the elements of a PS3.10 file as the table that `vna._elements` unpacks."""

def keyword(tag: int, /, *, creator: str | None = None) -> str | None:
    """Return the keyword of a standard element, or the configured name of one of `creator`'s."""

def set_private_dictionary(elements: Sequence[tuple[int, str, str, str]], /) -> None:
    """Make these (tag, VR, name, creator) the private elements that this process knows.

    Opening an archive does so with those of its configuration. Raises SettingsError if they
    contradict each other or the standard.
    """

def storage_sop_classes() -> list[str]: ...
def module_tags(level: str, /) -> list[int]:
    """Return the tags of the module that describes `patients`, `studies`, `series`, `instances`."""

def tag_for_keyword(keyword: str, /) -> int | None: ...
def transfer_syntaxes() -> list[str]:
    """Return those of the standard that data sets are sent in."""

def vr_for_tag(tag: int, /) -> str:
    """Return the VR of a standard element, of several the one most used; UN if it is not known."""

def scan_file(data: bytes, /, *, extent: str = "all") -> tuple[bytes, bytes, bytes | None]:
    """Return the table of group 0002, that of the data set, and the inflated data set.

    Offsets of the second count in the third if there is one, else in `data`.
    """

def scan_headers(files: Sequence[bytes]) -> list[tuple[int, int]]: ...
def data_set(data: bytes, /) -> bytes: ...
def read_instance(data: bytes, /, *, piece: int | None = None) -> dict[str, Any]: ...
def frame_ranges(data: bytes, /) -> list[list[tuple[int, int]]]:
    """Return the byte ranges of each frame, one for each fragment (PS3.5 §A.4)."""

def decode_frame(
    codestream: bytes,
    format_json: bytes,
    /,
    *,
    transfer_syntax_uid: str,
    colour: str = "rgb",
    helper_command: Sequence[str] | None = None,
) -> tuple[bytes, bytes]:
    """Return the samples of a codestream, or of a native frame, and their format.

    With a command that starts a process which calls `codec_helper`, codecs run in such processes
    (the first command stays); without one, in this process.
    The format, in and out, is JSON: `rows`, `columns`, `samples_per_pixel`, `bits_allocated`,
    `bits_stored`, `sample` (unsigned, signed, float), `planar` and `photometric`. Samples are
    little endian and interleaved; one-bit pixels are packed. The colour is `rgb` or `stored`.
    Raises UnsupportedImage, whose `code` begins with `codec.`, and BadRequest.
    """

def codec_helper() -> NoReturn:
    """Decode and encode frames for the process at the other end of standard input, then exit."""

def decode_frames(
    file: bytes,
    /,
    *,
    frames: list[int] | None = None,
    colour: str = "rgb",
    parallel: int | None = None,
    helper_command: Sequence[str] | None = None,
) -> list[tuple[bytes, bytes]]:
    """Return samples and format, as `decode_frame`, of frames of a PS3.10 file, counted from 0.

    So many are worked on in parallel; as many as there are processors if it is not said. Raises
    EncodingError, UnsupportedImage, and BadRequest if there is no such frame.
    """

def encode_frame(
    samples: bytes,
    format_json: bytes,
    /,
    *,
    transfer_syntax_uid: str,
    options_json: bytes | None = None,
    helper_command: Sequence[str] | None = None,
) -> tuple[bytes, bytes]:
    """Return the codestream of one frame and what it holds: the reverse of `decode_frame`.

    Options are JSON: `quality` (1 to 100, of lossy JPEG), `near` (the largest difference of
    near-lossless JPEG-LS), `ratio` (aimed at by lossy JPEG 2000 and HTJ2K).
    """

def render_file(path: str, request_json: bytes, presentation_state: str | None = None) -> bytes:
    """Return a picture of a file that is no part of an archive; takes what `picture` takes.

    Raises as `Picture.make`, and EncodingError, StorageFailed.
    """

def icon(request_json: bytes) -> bytes:
    """Return a picture with a `word` on it: its `side`, `form` and `quality` are asked for."""

def count_frames(path: str, /) -> int:
    """Return how many frames the image in a file has; raises as `render_file`."""

def decode_base64(text: str, /) -> bytes | None:
    """Return the bytes of a text in Base64 (RFC 4648 §4), None if it is none."""

def decode_text(value: bytes, /, *, terms: str, vr: str) -> str: ...
def tags_json(
    data: bytes, form: str, /, *, ignore_length: Sequence[int] = ..., whole: bool = False
) -> bytes: ...
def dicom_json(
    data: bytes,
    /,
    *,
    bulk_threshold: int | None = ...,
    bulk_uri: str = "",
    whole: bool = True,
) -> bytes:
    """Return the data set of a PS3.10 file in the DICOM JSON Model (PS3.18 Annex F).

    A value of more than `bulk_threshold` bytes (1024 if not said) is given by a URI: `bulk_uri`,
    then the path to the element, such as `/00081140/0/00420011`. None gives all in place but
    encapsulated pixel data. Without `whole`, the URI of the pixel data comes last.
    """

def dicom_xml(
    data: bytes,
    /,
    *,
    bulk_threshold: int | None = ...,
    bulk_uri: str = "",
    whole: bool = True,
) -> bytes:
    """Return the same in the Native DICOM Model (PS3.19 Annex A.1)."""

def file_from_json(text: bytes, /, *, bulk_data: Mapping[str, bytes] | None = None) -> bytes:
    """Return the data set that a DICOM JSON object describes, as a PS3.10 file.

    It is in Explicit VR Little Endian, its texts in UTF-8. `bulk_data` has the values of its URIs.
    Raises EncodingError, with a code `model.*` or `budget.*`, the place and its offset.
    """

def file_from_xml(text: bytes, /, *, bulk_data: Mapping[str, bytes] | None = None) -> bytes:
    """Return the same from the Native DICOM Model."""

def data_set_to_json(data: bytes, transfer_syntax_uid: str, /) -> bytes:
    """Return a bare data set, as DIMSE messages have it, in DICOM JSON with all values in place.

    Raises BadRequest above 4 MiB, EncodingError if `data` is not in that transfer syntax.
    """

def data_set_from_json(text: bytes, transfer_syntax_uid: str, /) -> bytes:
    """Return the bare data set that a DICOM JSON object describes, in `transfer_syntax_uid`.

    Its texts are in UTF-8. Raises BadRequest above 4 MiB, EncodingError as `file_from_json`.
    """
