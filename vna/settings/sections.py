"""The other sections of the configuration, and the whole of it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vna.settings.dicom import Dicom
from vna.settings.dicomweb import Dicomweb
from vna.settings.fields import (
    GIB,
    KIB,
    MIB,
    ClientCertificates,
    Port,
    Seconds,
    Section,
    is_loopback,
)
from vna.settings.notes import Notes
from vna.settings.peers import Peers


class Storage(Section, frozen=True, kw_only=True):
    """Where the archive keeps what it received, and for how long."""

    root: Annotated[str, Meta(min_length=1, description="Folder of the log, blobs and index")] = (
        "./vna-data"
    )
    segment_bytes: Annotated[
        int, Meta(ge=MIB, le=16 * GIB, description="Size at which a segment is sealed into a pack")
    ] = 256 * MIB
    large_object_bytes: Annotated[
        int, Meta(ge=64 * KIB, description="Objects above this get a file of their own")
    ] = 8 * MIB
    duplicates: Annotated[
        Literal["never", "always", "if-changed"],
        Meta(
            description="Whether an instance that is received again replaces the one stored: "
            "never, always, or only if its bytes differ"
        ),
    ] = "never"
    duplicate_retention_days: Annotated[
        int, Meta(ge=0, le=36500, description="How long the version that is not current is kept")
    ] = 30
    undelete_hours: Annotated[
        int,
        Meta(
            ge=0,
            le=8760,
            description="How long what was deleted can be brought back; 0: not at all",
        ),
    ] = 24
    ingest_transcoding: Annotated[
        str,
        Meta(
            pattern=r"^[0-9.]{0,64}$",
            description="UID of the transfer syntax that images are kept in, whatever they come "
            "in: an uncompressed one, or one that loses nothing. What cannot be brought into it "
            "is kept as it came",
        ),
    ] = ""
    ingest_transcoding_of_uncompressed: Annotated[
        bool, Meta(description="Whether that is for images that come uncompressed")
    ] = True
    ingest_transcoding_of_compressed: Annotated[
        bool, Meta(description="Whether that is for images that come compressed")
    ] = True
    recompress: Annotated[
        Literal["", "htj2k", "jpeg-ls", "j2k", "rle", "deflate"],
        Meta(
            description="How stored objects with native pixel data are kept in fewer bytes, so "
            "that what was received comes back bit for bit; empty: not at all"
        ),
    ] = ""
    recompress_after_days: Annotated[
        int, Meta(ge=0, le=36500, description="How old they are then; only whole packs are taken")
    ] = 7
    stable_age_s: Annotated[
        int,
        Meta(
            ge=1,
            le=86400,
            description="How long nothing must arrive below a patient, study or series until it "
            "is stable",
        ),
    ] = 60
    maximum_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Most bytes that current objects, their attachments and kept versions "
            "take; 0: no bound. What deletions keep, and what is dead and not yet compacted, comes "
            "on top",
        ),
    ] = 0
    maximum_patients: Annotated[int, Meta(ge=0, description="Most patients; 0: no bound")] = 0
    maximum_mode: Annotated[
        Literal["recycle", "reject"],
        Meta(
            description="What happens when a bound has no room for what arrives. recycle: the "
            "patients that received nothing for the longest time go, but for protected ones and "
            "those that we committed ourselves to keep. reject: it is refused"
        ),
    ] = "reject"
    read_only: Annotated[
        bool, Meta(description="Take nothing in, and change and delete nothing")
    ] = False
    patient_issuers: Annotated[
        bool,
        Meta(
            description="Tell patients of one PatientID apart by Issuer of Patient ID (0010,0021); "
            "public ids below such an issuer are then not those of Orthanc"
        ),
    ] = False


class Tls(Section, frozen=True, kw_only=True):
    """Certificates for TLS, in and out; the files are read again when they change."""

    certificate: Annotated[
        str,
        Meta(description="File of our certificate and those up to its authority, PEM"),
    ] = ""
    private_key: Annotated[
        str, Meta(description="File of the key to tls.certificate, PEM without a passphrase")
    ] = ""
    trusted_certificates: Annotated[
        str,
        Meta(
            description="File of the authorities, or of the certificates themselves, that peers "
            "must show, PEM"
        ),
    ] = ""
    minimum_version: Annotated[
        Literal["1.2", "1.3"], Meta(description="Oldest version of TLS that is spoken")
    ] = "1.2"
    ciphers: Annotated[
        list[str],
        Meta(
            description="Cipher suites that may be used, in RFC or OpenSSL form; empty allows all "
            "of BCP 195 that have forward secrecy and authenticate"
        ),
    ] = []


class HttpUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user whom the configuration names; beside those of `vna user`, and before them."""

    # The colon ends a name in Basic authentication (RFC 7617 §2).
    name: Annotated[str, Meta(pattern=r"^[^:\x00-\x1f\x7f]{1,64}$")]
    password_hash: Annotated[str, Meta(pattern=r"^\$argon2id\$[!-~]{1,400}$")]
    role: Literal["read", "write", "admin"] = "write"
    tenant: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1


# As browsers write it (RFC 6454 §6.1); no path, so that none can be thought to matter.
Origin = Annotated[str, Meta(pattern=r"^(\*|https?://[^\s/\"',;]+)$", max_length=512)]


class Http(Section, frozen=True, kw_only=True):
    """The HTTP way in."""

    name: Annotated[
        str, Meta(max_length=256, description="What this archive calls itself; empty: dicom.aet")
    ] = ""
    host: Annotated[
        Annotated[str, Meta(min_length=1)]
        | Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1)],
        Meta(description="Address to listen on, or several"),
    ] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port to listen on; 0 takes a free one")] = 8042
    server: Annotated[
        Literal["core", "uvicorn"],
        Meta(description="HTTP server inside the process; uvicorn needs vna[uvicorn]"),
    ] = "core"
    authentication: Annotated[
        Literal["auto", "on", "off"],
        Meta(
            description="Whether requests must say whose they are; auto: as soon as there is a "
            "user (vna user add)"
        ),
    ] = "auto"
    users: Annotated[
        list[HttpUser],
        Meta(
            description="Users beside those of vna user: [[http.users]] with name, password_hash "
            "(argon2id), role (read, write or admin; write) and tenant (1)"
        ),
    ] = []
    allow_remote_unauthenticated: Annotated[
        bool, Meta(description="Listen beyond loopback although nobody is asked who he is")
    ] = False
    allowed_hosts: Annotated[
        list[str],
        Meta(
            description="Names besides loopback ones that requests may call us by while we listen "
            "on loopback, such as that of a proxy; * stands for any"
        ),
    ] = []
    cors_origins: Annotated[
        list[Origin],
        Meta(
            description="Origins (scheme://host:port) whose pages may use this server from a "
            "browser, as the user whose credentials it has; * stands for any, which may only read, "
            "without credentials"
        ),
    ] = []
    tls: Annotated[bool, Meta(description="Speak HTTPS, with the certificate of [tls]")] = False
    tls_client_certificates: Annotated[
        ClientCertificates,
        Meta(description="Whether clients show a certificate that [tls] trusts"),
    ] = "none"
    tls_certificate: Annotated[
        str, Meta(description="As tls.certificate, for HTTP alone; empty: that one")
    ] = ""
    tls_private_key: Annotated[
        str, Meta(description="As tls.private_key, for HTTP alone; empty: that one")
    ] = ""
    tls_trusted_certificates: Annotated[
        str, Meta(description="As tls.trusted_certificates, for HTTP alone; empty: those")
    ] = ""
    tls_minimum_version: Annotated[
        Literal["", "1.2", "1.3"],
        Meta(description="As tls.minimum_version, for HTTP alone; empty: that one"),
    ] = ""
    tls_ciphers: Annotated[
        list[str], Meta(description="As tls.ciphers, for HTTP alone; empty: those")
    ] = []
    max_connections: Annotated[
        int, Meta(ge=1, description="Connections at a time; more wait until one has ended")
    ] = 1024
    head_timeout_s: Annotated[
        Seconds, Meta(description="Time for the head of a request, and between two requests")
    ] = 60.0
    max_body_bytes: Annotated[
        int, Meta(ge=KIB, description="Largest request body that is no upload, also when inflated")
    ] = 256 * MIB
    body_timeout_s: Annotated[
        Seconds, Meta(description="Time within which a started request body must bring 1 KiB more")
    ] = 60.0
    describe_errors: Annotated[
        bool, Meta(description="Whether the answer of a request that fails says why")
    ] = True
    export_folder: Annotated[
        str,
        Meta(
            description="Folder below which POST /instances/ID/export may write files; empty: "
            "nowhere"
        ),
    ] = ""
    bulk_threshold_bytes: Annotated[
        int,
        Meta(ge=0, le=MIB, description="Longest value in place in DICOM JSON and XML; else a URI"),
    ] = KIB

    @property
    def hosts(self) -> list[str]:
        """The addresses to listen on, each once."""
        named = [self.host] if isinstance(self.host, str) else self.host
        return list(dict.fromkeys(named))

    @property
    def shown_hosts(self) -> str:
        """The same for people."""
        return ", ".join(self.hosts)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return all(map(is_loopback, self.hosts))


class Uploads(Section, frozen=True, kw_only=True):
    """What one upload or one file of an import may hold, however it is packed."""

    max_entries: Annotated[int, Meta(ge=1, description="Entries of a ZIP archive or parts")] = (
        200_000
    )
    max_object_bytes: Annotated[int, Meta(ge=KIB, description="Largest DICOM file, unpacked")] = (
        8 * GIB
    )
    max_unpacked_bytes: Annotated[
        int, Meta(ge=KIB, description="All of one upload together, unpacked")
    ] = 256 * GIB
    max_ratio: Annotated[
        int,
        Meta(
            ge=1,
            description="Unpacked bytes for each packed one, after a first MiB; black borders and "
            "empty masks stay below 500",
        ),
    ] = 600


class PrivateElement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A private data element (PS3.5 §7.8) that the dictionary is to know."""

    tag: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{3}[13579bdfBDF],[0-9A-Fa-f]{4}$")]
    vr: Annotated[
        str,
        Meta(
            pattern="^(AE|AS|AT|CS|DA|DS|DT|FD|FL|IS|LO|LT|OB|OD|OF|OL|OV|OW|PN|SH|SL|SQ|SS|ST|SV|"
            "TM|UC|UI|UL|UN|UR|US|UT|UV)$"
        ),
    ]
    name: Annotated[str, Meta(min_length=1)]
    creator: Annotated[str, Meta(min_length=1, max_length=64)]


class Dictionary(Section, frozen=True, kw_only=True):
    """Data elements beyond those of PS3.6."""

    private: Annotated[
        list[PrivateElement],
        Meta(
            description="Private elements: [[dictionary.private]] with tag (gggg,00ee), vr, name, "
            "creator"
        ),
    ] = []


class Limits(Section, frozen=True, kw_only=True):
    """Bounds of what is held in memory, in bytes."""

    spool_bytes: Annotated[
        int,
        Meta(
            ge=MIB,
            description="Data sets that arrive over DICOM, all associations together; half of it "
            "also for short Store requests of DICOMweb",
        ),
    ] = 64 * MIB
    index_cache_bytes: Annotated[
        int, Meta(ge=MIB, description="Pages of the index, all its connections together")
    ] = 32 * MIB
    unpacked_cache_bytes: Annotated[
        int,
        Meta(ge=0, description="Parts of recompressed objects that are kept for the next reader"),
    ] = 64 * MIB
    http_body_bytes: Annotated[
        int,
        Meta(
            ge=MIB,
            description="Request bodies of all connections together; of an upload at most twice "
            "storage.large_object_bytes, the rest is on the disk. At least twice "
            "http.max_body_bytes",
        ),
    ] = GIB
    shutdown_s: Annotated[
        Seconds, Meta(description="Time to finish what was accepted when told to stop")
    ] = 20.0


class Codecs(Section, frozen=True, kw_only=True):
    """Decoding and encoding the frames of images."""

    isolation: Annotated[
        Literal["process", "none"],
        Meta(
            description="Where codecs written in C run: in processes of their own, so that one "
            "that crashes costs a frame, or in the archive's"
        ),
    ] = "process"
    parallel: Annotated[
        int, Meta(ge=0, le=256, description="Frames at a time; 0: as many as there are processors")
    ] = 0
    max_frame_bytes: Annotated[
        int, Meta(ge=MIB, description="Largest frame, decoded or encoded")
    ] = 256 * MIB
    frame_timeout_s: Annotated[int, Meta(ge=1, le=86400, description="Time for one frame")] = 60
    memory_bytes: Annotated[
        int,
        Meta(
            ge=64 * MIB,
            description="Frames in work, all together: what goes in, what comes out, and what "
            "codecs allocate; others wait. At least eight times codecs.max_frame_bytes",
        ),
    ] = 2 * GIB
    held_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Frames that all transcodings together keep in memory until they leave; "
            "more wait in files without a name below storage.root",
        ),
    ] = 64 * MIB


class Pictures(Section, frozen=True, kw_only=True):
    """Pictures and arrays of stored images."""

    memory_bytes: Annotated[
        int,
        Meta(
            ge=MIB,
            description="Memory for pictures and arrays in the making, all requests together; "
            "what takes more alone is refused",
        ),
    ] = 256 * MIB
    thumbnail_cache_bytes: Annotated[
        int,
        Meta(ge=0, description="Thumbnails kept on the disk; the oldest go first; 0: none"),
    ] = 256 * MIB


class Archives(Section, frozen=True, kw_only=True):
    """ZIP archives and media of what is stored."""

    deflate_level: Annotated[
        int,
        Meta(
            ge=0,
            le=9,
            description="How much is tried to make them smaller: 1 is quick, 2 takes twice the "
            "time for two thirds of the size, 0 is not at all; images that are compressed "
            "already are never tried",
        ),
    ] = 2
    utf8: Annotated[
        bool,
        Meta(
            description="Whether names in them keep letters that are not ASCII, unless the request "
            "says so or not"
        ),
    ] = False
    memory_bytes: Annotated[
        int,
        Meta(
            ge=4 * MIB,
            description="Memory for archives in the making, all requests together; each has 4 MiB "
            "at least",
        ),
    ] = 128 * MIB


class Jobs(Section, frozen=True, kw_only=True):
    """Long actions: what runs at a time, and what is kept of them."""

    parallel: Annotated[
        int, Meta(ge=1, le=64, description="Jobs at a time that work on this machine alone")
    ] = 2
    parallel_per_destination: Annotated[
        int, Meta(ge=1, le=64, description="Jobs at a time for one remote node")
    ] = 2
    retries: Annotated[
        int,
        Meta(ge=0, le=20, description="How often a job that nobody waits for is tried again"),
    ] = 3
    retry_delay_s: Annotated[
        Seconds, Meta(description="Time before it is tried again; four times longer each time")
    ] = 5.0
    history: Annotated[
        int, Meta(ge=0, le=100_000, description="How many jobs that have ended are kept")
    ] = 100
    output_bytes: Annotated[
        int, Meta(ge=MIB, description="Files that jobs leave to be fetched; the oldest go first")
    ] = 16 * GIB


class Worklist(Section, frozen=True, kw_only=True):
    """Modality Worklist: where its items come from besides REST, and which of them are answered."""

    folder: Annotated[
        str,
        Meta(description="Folder of worklist files (.wl), read when they change; empty: none"),
    ] = ""
    own_station_only: Annotated[
        bool,
        Meta(
            description="Answer only items scheduled for the AE title that asks, for modalities "
            "that do not say so themselves"
        ),
    ] = False


class Commitment(Section, frozen=True, kw_only=True):
    """Storage commitment (PS3.4 Annex J)."""

    retention_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36500,
            description="How long recycling spares instances that we committed ourselves to; "
            "0: for ever",
        ),
    ] = 0
    report_hours: Annotated[
        int, Meta(ge=1, le=8760, description="How long a report is tried when nobody takes it")
    ] = 72
    reports: Annotated[
        int, Meta(ge=1, le=100_000, description="Reports kept of commitments that we asked for")
    ] = 1000


TagNames = Annotated[list[str], Meta(max_length=100)]


class Index(Section, frozen=True, kw_only=True):
    """What can be searched without a look into files."""

    patient_tags: Annotated[
        TagNames,
        Meta(
            description="Tags of patients (keywords, or gggg,eeee) that are indexed and shown "
            "beside the usual ones; what is stored already is read again in the background"
        ),
    ] = []
    study_tags: Annotated[TagNames, Meta(description="The same of studies")] = []
    series_tags: Annotated[TagNames, Meta(description="The same of series")] = []
    instance_tags: Annotated[TagNames, Meta(description="The same of instances")] = []
    fill_percent: Annotated[
        int,
        Meta(ge=1, le=100, description="Share of the time that reading again may take"),
    ] = 50


class Log(Section, frozen=True, kw_only=True):
    """What the server says of itself, on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level that is shown")
    ] = "info"
    format: Annotated[
        Literal["text", "json"], Meta(description="Lines for people or for programs")
    ] = "text"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration; every key has a default that is safe to run."""

    storage: Storage = Storage()
    http: Http = Http()
    dicom: Dicom = Dicom()
    dicomweb: Dicomweb = Dicomweb()
    limits: Limits = Limits()
    uploads: Uploads = Uploads()
    dictionary: Dictionary = Dictionary()
    notes: Notes = Notes()
    tls: Tls = Tls()
    codecs: Codecs = Codecs()
    pictures: Pictures = Pictures()
    archives: Archives = Archives()
    index: Index = Index()
    jobs: Jobs = Jobs()
    worklist: Worklist = Worklist()
    commitment: Commitment = Commitment()
    peers: Peers = Peers()
    log: Log = Log()

    def http_tls(self) -> Tls:
        """Return [tls] as it is for HTTP."""
        own = {
            name: value
            for name in Tls.__struct_fields__
            if (value := getattr(self.http, f"tls_{name}"))
        }
        return msgspec.structs.replace(self.tls, **own)

    def to_json(self, *, helper_command: list[str] | None = None) -> bytes:
        """Return the settings as the core reads them, and how it starts helpers for codecs."""
        values = msgspec.to_builtins(self)
        if helper_command and self.codecs.isolation == "process":
            values["codecs"]["helper_command"] = helper_command
        return msgspec.json.encode(values)


SECTIONS: dict[str, type[Section]] = {
    "storage": Storage,
    "http": Http,
    "dicom": Dicom,
    "dicomweb": Dicomweb,
    "limits": Limits,
    "uploads": Uploads,
    "dictionary": Dictionary,
    "notes": Notes,
    "tls": Tls,
    "codecs": Codecs,
    "pictures": Pictures,
    "archives": Archives,
    "index": Index,
    "jobs": Jobs,
    "worklist": Worklist,
    "commitment": Commitment,
    "peers": Peers,
    "log": Log,
}
