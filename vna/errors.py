"""Every error of the archive, declared once: Python raises these, Rust imports them.

Each class carries what the ways in answer with, so that they cannot drift: a stable dotted `code`
for programs, the HTTP status, the DIMSE status (PS3.7 Annex C, PS3.4 Annex B), the gRPC code and
the number and wording that clients written for Orthanc look at.
"""

from __future__ import annotations

from typing import Any, ClassVar


class VnaError(Exception):
    """The root of them all; raised itself only where nothing nearer says what happened.

    Parameters
    ----------
    message : str
        What was found, where, and what would have been right.
    code : str, optional
        A nearer code than the class's own, such as `header.truncated`.
    offset : int, optional
        Byte offset in the data that the message speaks of.
    """

    code: str = "internal"
    http_status: ClassVar[int] = 500
    dimse_status: ClassVar[int] = 0x0110  # processing failure
    grpc_code: ClassVar[str] = "INTERNAL"
    orthanc_error: ClassVar[int] = -1
    orthanc_status: ClassVar[str] = "Internal error"
    # What a peer said of it, as clients read it: {"Type": "Dimse", "Content": {...}}.
    payload: dict[str, Any] | None = None

    def __init__(self, message: str = "", code: str | None = None, offset: int | None = None):
        super().__init__(message)
        self.message = message
        self.offset = offset
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.message


class BadRequest(VnaError):
    """The request contradicts itself or the interface: a parameter that is no number, say."""

    code = "request.bad"
    http_status = 400
    dimse_status = 0x0106  # invalid attribute value
    grpc_code = "INVALID_ARGUMENT"
    orthanc_error = 8
    orthanc_status = "Bad request"


class BadParameter(BadRequest):
    """A parameter of the request that cannot be read as what it has to be."""

    code = "request.bad_parameter"
    orthanc_error = 5
    orthanc_status = "Bad type for a parameter"


class OutOfRange(BadRequest):
    """A value that is none of those that a field or parameter takes."""

    code = "request.out_of_range"
    orthanc_error = 3
    orthanc_status = "Parameter out of range"


class AttributeMissing(BadRequest):
    """A data set lacks an attribute that its service requires (PS3.7 C.5.11); `tag` says which."""

    code = "attribute.missing"
    dimse_status = 0x0120

    def __init__(self, message: str = "", tag: str = ""):
        super().__init__(message)
        self.tag = tag


class AttributeValueMissing(AttributeMissing):
    """An attribute that needs a value has none (PS3.7 C.5.12)."""

    code = "attribute.no_value"
    dimse_status = 0x0121


class NoSuchAction(BadRequest):
    """An action that a SOP class has not (PS3.7 C.5.9)."""

    code = "dimse.no_such_action"
    dimse_status = 0x0123


class NoSuchEvent(BadRequest):
    """An event that a SOP class has not (PS3.7 C.5.8)."""

    code = "dimse.no_such_event"
    dimse_status = 0x0113


class InvalidInstance(BadRequest):
    """What names a SOP Instance is no UID (PS3.7 C.5.10)."""

    code = "instance.invalid"
    dimse_status = 0x0117


class UnknownTag(BadRequest):
    """No data element has this name or number."""

    code = "request.unknown_tag"
    orthanc_error = 27
    orthanc_status = "Unknown DICOM tag"


class IdentifierMismatch(BadRequest):
    """The identifier of a query or retrieve is none of its SOP class (PS3.4 §C.4.1.1.4)."""

    code = "identifier.mismatch"
    dimse_status = 0xA900


class BadBody(BadRequest):
    """A body that is no JSON, or none that the route takes."""

    code = "request.bad_body"
    orthanc_error = 15
    orthanc_status = "Bad file format"


class InheritedValue(BadRequest):
    """A new instance would have another value than what it is put into (`/tools/create-dicom`)."""

    code = "create.inherited"
    orthanc_error = 2020
    orthanc_status = "Trying to override a value inherited from a parent module"


class PixelsAmongTags(BadRequest):
    """Pixel data of a new instance that are given as a tag."""

    code = "create.pixels_among_tags"
    orthanc_error = 2021
    orthanc_status = 'Use "Content" to inject an image into a new DICOM instance'


class NoDataUri(BadRequest):
    """The content of a new instance that is in no data URI."""

    code = "create.no_data_uri"
    orthanc_error = 2023
    orthanc_status = (
        "The payload of the DICOM instance must be specified according to Data URI scheme"
    )


class UnknownParent(BadRequest):
    """What a new instance is to be put into is not there."""

    code = "create.unknown_parent"
    orthanc_error = 2024
    orthanc_status = "Trying to attach a new DICOM instance to an inexistent resource"


class ParentIsInstance(BadRequest):
    """What a new instance is to be put into is an instance itself."""

    code = "create.parent_is_instance"
    orthanc_error = 2025
    orthanc_status = (
        "Trying to attach a new DICOM instance to an instance (must be a series, study or patient)"
    )


class EncodingError(VnaError):
    """Bytes that are no DICOM, or none that we can vouch for."""

    code = "encoding"
    http_status = 400
    dimse_status = 0xC000  # cannot understand
    grpc_code = "INVALID_ARGUMENT"
    orthanc_error = 15
    orthanc_status = "Bad file format"


class SopClassMismatch(EncodingError):
    """The data set's UIDs differ from those of the C-STORE command (PS3.4 §B.2.3)."""

    code = "sop_class.mismatch"
    dimse_status = 0xA900


class NotFound(VnaError):
    """Neither live nor kept: there is no such resource, attachment or route."""

    code = "not_found"
    http_status = 404
    dimse_status = 0x0112  # no such SOP Instance
    grpc_code = "NOT_FOUND"
    orthanc_error = 17
    orthanc_status = "Unknown resource"


class Gone(NotFound):
    """What was asked for was deleted; for as long as it can be brought back, that is known."""

    code = "gone"
    http_status = 410


class UnknownItem(NotFound):
    """A part of a resource, or a kind of part, that there is not."""

    code = "not_found.item"
    orthanc_error = 7
    orthanc_status = "Accessing an inexistent item"


class UnknownModality(UnknownItem):
    """No remote node is known by this name."""

    code = "not_found.modality"
    dimse_status = 0xA801  # move destination unknown


class UnknownPeer(NotFound):
    """No remote archive is known by this name."""

    code = "not_found.peer"


class UnknownWebServer(NotFound):
    """No remote DICOMweb server is known by this name."""

    code = "not_found.dicomweb_server"


class NotAllowed(VnaError):
    """The caller is known, but may not do this."""

    code = "not_allowed"
    http_status = 403
    dimse_status = 0x0124  # refused: not authorized
    grpc_code = "PERMISSION_DENIED"
    orthanc_error = 45
    orthanc_status = "Forbidden access to the resource"


class Unauthenticated(VnaError):
    """Nobody has said who is asking, or not convincingly."""

    code = "unauthenticated"
    http_status = 401
    dimse_status = 0x0124
    grpc_code = "UNAUTHENTICATED"
    orthanc_error = 29
    orthanc_status = "Unauthorized access"


class RequestTimeout(VnaError):
    """The client began a request and did not go on with it."""

    code = "request.timeout"
    http_status = 408
    grpc_code = "DEADLINE_EXCEEDED"
    orthanc_error = 16
    orthanc_status = "Timeout"


class Conflict(VnaError):
    """The state moved on since the caller looked, or the change contradicts it."""

    code = "conflict"
    http_status = 409
    dimse_status = 0x0110
    grpc_code = "ABORTED"
    orthanc_error = 43
    orthanc_status = "Conflict with the current state of the resource"


class DuplicateInstance(Conflict):
    """There is a SOP Instance of this UID already (PS3.7 C.5.4)."""

    code = "conflict.duplicate_instance"
    dimse_status = 0x0111


class PreconditionFailed(VnaError):
    """What is there is not what the condition of the request names (RFC 9110 §13)."""

    code = "precondition.failed"
    http_status = 412
    grpc_code = "FAILED_PRECONDITION"
    orthanc_error = 43
    orthanc_status = "The revision of the resource is another one"


class NotAcceptable(VnaError):
    """None of the forms that the client asks for is one that we can give."""

    code = "not_acceptable"
    http_status = 406
    grpc_code = "INVALID_ARGUMENT"
    orthanc_error = 34
    orthanc_status = "The requested format is not acceptable"


class TooLarge(VnaError):
    """A body over the configured limit; decided on its announced length where there is one."""

    code = "request.too_large"
    http_status = 413
    dimse_status = 0xA700
    grpc_code = "RESOURCE_EXHAUSTED"
    orthanc_error = 8
    orthanc_status = "Request body too large"


class UnsupportedMediaType(VnaError):
    """A body of a kind that this route does not read, or cannot show."""

    code = "media_type.unsupported"
    http_status = 415
    dimse_status = 0x0122  # SOP class not supported
    grpc_code = "INVALID_ARGUMENT"
    orthanc_error = 3000
    orthanc_status = "Unsupported media type"


class UnsupportedImage(UnsupportedMediaType):
    """There is no picture in it, or none that can be decoded; the message says why."""

    code = "image.unsupported"
    dimse_status = 0xC000  # cannot understand
    orthanc_error = 3000


class RangeNotSatisfiable(VnaError):
    """A Range that starts beyond the end (RFC 9110 §15.5.17)."""

    code = "range.not_satisfiable"
    http_status = 416
    dimse_status = 0x0106
    grpc_code = "OUT_OF_RANGE"
    orthanc_error = 41
    orthanc_status = "Incorrect range request"


class ReadOnly(VnaError):
    """The archive takes nothing in, and changes and deletes nothing."""

    code = "storage.read_only"
    http_status = 405
    dimse_status = 0x0124  # refused: not authorized
    grpc_code = "FAILED_PRECONDITION"
    orthanc_error = 22
    orthanc_status = "Cannot modify a read-only data structure"


class OutOfStorage(VnaError):
    """No room for the bytes. Nothing was stored; the sender may try again later."""

    code = "storage.full"
    http_status = 507
    dimse_status = 0xA700  # refused: out of resources
    grpc_code = "RESOURCE_EXHAUSTED"
    orthanc_error = 19
    orthanc_status = "The file storage is full"


class StorageFailed(VnaError):
    """The disk refused a write or a sync, or index and log do not fit each other."""

    code = "storage.failed"
    http_status = 500
    dimse_status = 0xA700
    grpc_code = "DATA_LOSS"
    orthanc_error = 14
    orthanc_status = "Cannot write to the storage area"


class StorageDamaged(StorageFailed):
    """Stored bytes are not what they were: they do not have the sum that they had."""

    code = "storage.damaged"
    orthanc_error = 20
    orthanc_status = "Corrupted file (e.g. inconsistent MD5 hash)"


class Busy(VnaError):
    """A budget in bytes or places is used up for now; asking again soon is right."""

    code = "busy"
    http_status = 503
    dimse_status = 0xA700
    grpc_code = "UNAVAILABLE"
    orthanc_error = 36
    orthanc_status = "The server is busy"


class DeadlineExceeded(VnaError):
    """No answer within the time that the caller or the configuration set."""

    code = "deadline"
    http_status = 500
    dimse_status = 0x0110
    grpc_code = "DEADLINE_EXCEEDED"
    orthanc_error = 16
    orthanc_status = "Timeout"


class NotImplementedYet(VnaError):
    """A request that the interface knows and this version does not serve."""

    code = "not_implemented"
    http_status = 501
    dimse_status = 0x0122
    grpc_code = "UNIMPLEMENTED"
    orthanc_error = 2
    orthanc_status = "Not implemented"


class JobFailed(VnaError):
    """A job ended without success, for a reason that no nearer class has."""

    code = "job.failed"


class Cancelled(VnaError):
    """Somebody cancelled the job before its end."""

    code = "job.cancelled"
    dimse_status = 0xFE00
    grpc_code = "CANCELLED"
    orthanc_error = 37
    orthanc_status = "This job was canceled"


class AlreadyOpen(VnaError):
    """Another process holds the lock of this storage folder."""

    code = "storage.locked"
    http_status = 503
    grpc_code = "UNAVAILABLE"


class Unreachable(VnaError):
    """Nobody answers where the archive should be, or not as one."""

    code = "unreachable"
    grpc_code = "UNAVAILABLE"


class PeerFailed(VnaError):
    """A remote node did not do what it was asked for."""

    code = "peer"
    dimse_status = 0xA702  # refused: unable to perform sub-operations
    grpc_code = "UNAVAILABLE"
    orthanc_error = 9
    orthanc_status = "Error in the network protocol"
    is_transient: ClassVar[bool] = True


class PeerUnreachable(PeerFailed):
    """Nobody accepts a connection at the node's host and port."""

    code = "peer.unreachable"


class PeerTimeout(PeerFailed):
    """The node did not go on within the time that is given to it."""

    code = "peer.timeout"
    orthanc_error = 16
    orthanc_status = "Timeout"


class PeerClosed(PeerFailed):
    """The node closed the connection, or the network cut it."""

    code = "peer.closed"


class PeerTlsFailed(PeerFailed):
    """No TLS connection: of whom, by whom and why it was refused is in the message."""

    code = "peer.tls"
    is_transient = False


class PeerProtocolError(PeerFailed):
    """The node broke the rules of PS3.7 or PS3.8; the association was aborted."""

    code = "peer.protocol"
    is_transient = False


class AssociationRejected(PeerFailed):
    """The node answered A-ASSOCIATE-RJ (PS3.8 §9.3.4).

    Attributes
    ----------
    result : int
        1 permanent, 2 transient.
    source : int
        1 service user, 2 service provider (ACSE), 3 service provider (presentation).
    reason : int
        Its meaning depends on the source.
    """

    code = "association.rejected"

    def __init__(
        self,
        message: str = "",
        code: str | None = None,
        result: int = 1,
        source: int = 1,
        reason: int = 1,
    ):
        super().__init__(message, code)
        self.result, self.source, self.reason = result, source, reason

    @property
    def is_transient(self) -> bool:  # type: ignore[override]
        """Whether the node may accept later."""
        return self.result == 2


class AssociationAborted(PeerFailed):
    """The node answered A-ABORT (PS3.8 §9.3.8).

    Attributes
    ----------
    source : int
        0 service user, 2 service provider.
    reason : int
        Of the service provider.
    """

    code = "association.aborted"

    def __init__(
        self, message: str = "", code: str | None = None, source: int = 0, reason: int = 0
    ):
        super().__init__(message, code)
        self.source, self.reason = source, reason


class ContextRefused(PeerFailed):
    """The node accepts no presentation context for what it was to be asked for."""

    code = "context.refused"
    orthanc_error = 2015
    orthanc_status = "DicomUserConnection: No acceptable presentation context for modality"
    is_transient = False


class PeerRefused(PeerFailed):
    """A remote node answered a request with a status of failure (PS3.7 Annex C).

    Attributes
    ----------
    status : int
        The status.
    """

    code = "peer.refused"
    grpc_code = "FAILED_PRECONDITION"
    # Out of resources (PS3.4 §B.2.3, §C.4.2.1.5; PS3.7 §C.5.21): later it may have some.
    TRANSIENT: ClassVar[frozenset[int]] = frozenset({0x0213, 0xA700, 0xA701, 0xA702})

    def __init__(
        self, message: str = "", code: str | None = None, status: int = 0x0110, comment: str = ""
    ):
        super().__init__(message, code)
        self.status = status
        content: dict[str, Any] = {"DimseErrorStatus": status}
        if comment:
            content["DimseErrorComment"] = comment
        self.payload = {"Type": "Dimse", "Content": content}

    @property
    def is_transient(self) -> bool:  # type: ignore[override]
        """Whether it may go well later."""
        return self.status in self.TRANSIENT


class PeerHttpRefused(PeerFailed):
    """A remote archive answered a request over HTTP with a status of failure (RFC 9110 §15).

    Attributes
    ----------
    status : int
        The status.
    """

    code = "peer.http"
    grpc_code = "FAILED_PRECONDITION"
    # It may go well later: too slow, too many, gateways and restarts, a full disk.
    TRANSIENT: ClassVar[frozenset[int]] = frozenset({408, 429, 502, 503, 504, 507})

    def __init__(self, message: str = "", code: str | None = None, status: int = 500):
        super().__init__(message, code)
        self.status = status

    @property
    def is_transient(self) -> bool:  # type: ignore[override]
        """Whether it may go well later."""
        return self.status in self.TRANSIENT


class Closed(VnaError):
    """The program that asks has closed the archive."""

    code = "closed"
    grpc_code = "FAILED_PRECONDITION"


class SettingsError(VnaError):
    """A configuration that would not do what its author meant."""

    code = "settings"
    grpc_code = "FAILED_PRECONDITION"
