"""The configuration: one typed schema, read from ``vna.toml`` < environment < flags.

A key has one name everywhere: ``dicom.aet`` is ``aet`` under ``[dicom]`` in the file,
``VNA__DICOM__AET`` in the environment and ``--set dicom.aet=...`` on the command line. A key that
the schema does not know is an error, since a setting that is silently ignored is worse than none.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import msgspec
from msgspec import Meta

from vna.errors import SettingsError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
ENVIRONMENT_PREFIX = "VNA__"
CONFIG_FILE = "vna.toml"

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]
# PS3.5 §6.2: at most 16 characters of the default repertoire, no backslash, no control characters,
# not only spaces.
AeTitle = Annotated[str, Meta(pattern=r"^(?=.*[^ ])[ -\[\]-~]{1,16}$")]
# A UID, with wildcards or without.
UidPattern = Annotated[str, Meta(pattern=r"^[0-9.*?]{1,64}$")]
DimseService = Literal["echo", "store", "find", "worklist", "move", "get", "commitment", "mpps"]
# As clients of Orthanc know labels.
Label = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One table of ``vna.toml``."""


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
    patient_issuers: Annotated[
        bool,
        Meta(
            description="Tell patients of one PatientID apart by Issuer of Patient ID (0010,0021); "
            "public ids below such an issuer are then not those of Orthanc"
        ),
    ] = False


ClientCertificates = Literal["none", "optional", "required"]


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


class Http(Section, frozen=True, kw_only=True):
    """The HTTP way in."""

    host: Annotated[str, Meta(min_length=1, description="Address to listen on")] = "127.0.0.1"
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
    tls: Annotated[bool, Meta(description="Speak HTTPS, with the certificate of [tls]")] = False
    tls_client_certificates: Annotated[
        ClientCertificates,
        Meta(description="Whether clients show a certificate that [tls] trusts"),
    ] = "none"
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
    bulk_threshold_bytes: Annotated[
        int,
        Meta(ge=0, le=MIB, description="Longest value in place in DICOM JSON and XML; else a URI"),
    ] = KIB


class CalledAeTitle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further AE title of this archive: a tenant's, a view by label, or another name."""

    aet: AeTitle
    tenant: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1
    label: Label | None = None


RetrieveMethod = Literal["c-move", "c-get"]
Manufacturer = Literal[
    "Generic",
    "GenericNoWildcardInDates",
    "GenericNoUniversalWildcard",
    "Vitrea",
    "GE",
    "SiemensSyngoCT",
]


class Modality(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A remote DICOM node: where it is, and what we do for it and with it."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    aet: AeTitle
    host: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 104
    manufacturer: Manufacturer = "Generic"
    allow_echo: bool = True
    allow_find: bool = True
    allow_find_worklist: bool = True
    allow_get: bool = True
    allow_move: bool = True
    allow_store: bool = True
    allow_storage_commitment: bool = True
    allow_mpps: bool = True
    transcoding: bool = True
    tls: bool = False
    local_aet: AeTitle | None = None
    timeout_s: Annotated[float, Meta(gt=0, le=86400)] | None = None
    retrieve_method: RetrieveMethod | None = None
    parallel: Annotated[int, Meta(ge=1, le=16)] = 1


class Dicom(Section, frozen=True, kw_only=True):
    """The DICOM way in, and the remote nodes that we call."""

    enabled: Annotated[bool, Meta(description="Whether to listen for associations")] = True
    host: Annotated[str, Meta(min_length=1, description="Address to listen on")] = "0.0.0.0"
    port: Annotated[Port, Meta(description="Port to listen on; 0 takes a free one")] = 4242
    aet: Annotated[AeTitle, Meta(description="AE title of this archive")] = "VNA"
    ae_titles: Annotated[
        list[CalledAeTitle],
        Meta(
            description="Further AE titles on the same port: [[dicom.ae_titles]] with aet, tenant "
            "(a number; 1 if not said) and label: what comes there gets it, what it shows has it"
        ),
    ] = []
    check_called_aet: Annotated[
        bool, Meta(description="Reject associations that call another AE title")
    ] = False
    calling_aets: Annotated[
        list[AeTitle],
        Meta(description="AE titles that may associate; empty admits all"),
    ] = []
    calling_hosts: Annotated[
        list[str],
        Meta(
            description="Addresses or networks (10.1.0.0/16) that may associate; empty admits all"
        ),
    ] = []
    unknown_callers: Annotated[
        list[DimseService],
        Meta(
            description="What callers may do that are no known modality; with nothing they are "
            "rejected"
        ),
    ] = msgspec.field(default_factory=lambda: ["echo", "store"])
    check_modality_host: Annotated[
        bool,
        Meta(description="Take a caller for a known modality only if he calls from its host"),
    ] = False
    user_identity: Annotated[
        Literal["ignore", "check", "require"],
        Meta(
            description="What becomes of a user identity (PS3.7 D.3.3.7): ignore it, check user "
            "names where there are, or require one"
        ),
    ] = "ignore"
    accepted_sop_classes: Annotated[
        list[UidPattern],
        Meta(
            description="Storage SOP classes that are stored; * and ? are wildcards; empty for all "
            "of the standard"
        ),
    ] = []
    rejected_sop_classes: Annotated[
        list[UidPattern], Meta(description="Storage SOP classes that are not, though they were")
    ] = []
    accept_unknown_sop_classes: Annotated[
        bool, Meta(description="Store SOP classes that the standard does not name")
    ] = False
    accepted_transfer_syntaxes: Annotated[
        list[UidPattern],
        Meta(
            description="Transfer syntaxes in which instances are taken; * and ? are wildcards; "
            "empty for all of the standard"
        ),
    ] = []
    preferred_transfer_syntaxes: Annotated[
        list[UidPattern],
        Meta(
            description="Which are chosen if several are offered, best first; what is not named "
            "here: the first if it is compressed, else explicit before implicit VR"
        ),
    ] = []
    tls: Annotated[
        bool, Meta(description="Speak TLS with who associates, with the certificate of [tls]")
    ] = False
    tls_client_certificates: Annotated[
        ClientCertificates,
        Meta(description="Whether who associates shows a certificate that [tls] trusts"),
    ] = "required"
    max_pdu_bytes: Annotated[
        int, Meta(ge=4 * KIB, le=MIB, description="Largest PDU that we tell peers to send")
    ] = MIB
    max_associations: Annotated[int, Meta(ge=1, description="Associations at a time")] = 256
    max_associations_per_peer: Annotated[
        int, Meta(ge=1, description="Associations at a time from one address")
    ] = 64
    modalities: Annotated[
        list[Modality],
        Meta(
            description="Remote nodes: [[dicom.modalities]] with name, aet, host, port (104); what "
            "they may ask of us: allow_echo, allow_find, allow_find_worklist, allow_get, "
            "allow_move, allow_store, allow_storage_commitment, allow_mpps (true); how we call "
            "them: manufacturer (Generic), transcoding (true), tls (false), local_aet, timeout_s, "
            "retrieve_method, parallel (associations of one send, 1)"
        ),
    ] = []
    scu_timeout_s: Annotated[
        Seconds, Meta(description="Time that a remote node has for each answer")
    ] = 30.0
    retrieve_method: Annotated[
        RetrieveMethod, Meta(description="How studies are fetched from remote nodes")
    ] = "c-move"
    echo_checks_find: Annotated[
        bool, Meta(description="A test of a remote node also asks whether it answers queries")
    ] = False
    max_queries: Annotated[
        int,
        Meta(ge=1, le=10000, description="Queries of remote nodes whose answers are kept"),
    ] = 100
    log_exported_resources: Annotated[
        bool, Meta(description="Keep a record of what was sent to remote nodes, at /exports")
    ] = False
    find_limit: Annotated[
        int, Meta(ge=0, description="Answers to one C-FIND; 0: as many as match")
    ] = 0
    find_limit_status: Annotated[
        Literal["standard", "orthanc"],
        Meta(description="How a C-FIND above the limit ends: A700 out of resources, or FE00"),
    ] = "standard"
    find_hierarchy: Annotated[
        Literal["standard", "orthanc"],
        Meta(
            description="What a C-FIND gets that names nothing of a level above (PS3.4 C.4.1.2.1): "
            "A900, or answers below all of it, which Orthanc's own queries need"
        ),
    ] = "standard"
    move_failure_status: Annotated[
        Literal["standard", "orthanc"],
        Meta(description="How a C-MOVE fails: with the status of PS3.4 C.4.2.1.5, or C000 always"),
    ] = "standard"
    artim_timeout_s: Annotated[
        Seconds, Meta(description="Time for the association request and for closing (PS3.8 §9.1.5)")
    ] = 30.0
    idle_timeout_s: Annotated[
        Seconds, Meta(description="Time without a message after which we abort")
    ] = 300.0
    message_timeout_s: Annotated[
        Seconds, Meta(description="Time within which a started message must go on")
    ] = 60.0


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
        int, Meta(ge=MIB, description="Data sets that arrive over DICOM, all associations together")
    ] = 64 * MIB
    index_cache_bytes: Annotated[
        int, Meta(ge=MIB, description="Pages of the index, all its connections together")
    ] = 32 * MIB
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
    limits: Limits = Limits()
    uploads: Uploads = Uploads()
    dictionary: Dictionary = Dictionary()
    tls: Tls = Tls()
    jobs: Jobs = Jobs()
    worklist: Worklist = Worklist()
    commitment: Commitment = Commitment()
    log: Log = Log()

    def to_json(self) -> bytes:
        """Return the settings as the core reads them."""
        return msgspec.json.encode(self)


SECTIONS: dict[str, type[Section]] = {
    "storage": Storage,
    "http": Http,
    "dicom": Dicom,
    "limits": Limits,
    "uploads": Uploads,
    "dictionary": Dictionary,
    "tls": Tls,
    "jobs": Jobs,
    "worklist": Worklist,
    "commitment": Commitment,
    "log": Log,
}


class Key(NamedTuple):
    """One key of the schema."""

    name: str
    type: Any
    default: Any
    description: str


class Given(NamedTuple):
    """A value that someone set, and where, for the message if it is wrong."""

    name: str
    value: Any
    source: str
    is_text: bool  # from the environment or a flag: still to be read as the key's type


def schema() -> Iterator[Key]:
    """Yield every key; reference, JSON schema and ``vna config --explain`` come from here."""
    for section, struct in SECTIONS.items():
        for field in msgspec.structs.fields(struct):
            default = (
                field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
            )
            description = _description(field.type)
            yield Key(f"{section}.{field.name}", field.type, default, description)


def _description(declared: Any) -> str:
    metas = [meta for meta in getattr(declared, "__metadata__", ()) if isinstance(meta, Meta)]
    return next((meta.description for meta in reversed(metas) if meta.description), "")


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Settings:
    """Read the configuration.

    Parameters
    ----------
    file : Path, optional
        The file to read, which must exist. Without it `vna.toml` of the current folder is read if
        there is one.
    environment : Mapping, optional
        Where ``VNA__SECTION__KEY`` is looked for; the process's own if None.
    flags : Mapping, optional
        Dotted key to text, from the command line.

    Raises
    ------
    SettingsError
        Naming every wrong key at once, each with its place and what would have been right.
    """
    return build(gather(file, environment, flags).values())


def gather(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> dict[str, Given]:
    """Return what was set and where, by key, not yet checked; parameters as of `load`."""
    given: dict[str, Given] = {}
    layers = (
        _from_file(file),
        _from_environment(os.environ if environment is None else environment),
        (Given(name, text, f"flag {name}", True) for name, text in (flags or {}).items()),
    )
    for layer in layers:
        given.update((each.name, each) for each in layer)
    return given


def build(given: Iterable[Given]) -> Settings:
    """Check `given` against the schema and return the settings with all else at its default."""
    keys = {key.name: key for key in schema()}
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    problems: list[str] = []
    for each in given:
        key = keys.get(each.name)
        if key is None:
            problems.append(
                f"{each.name} ({each.source}): unknown key{_suggestion(each.name, keys)}"
            )
            continue
        section, _, field = each.name.partition(".")
        try:
            values[section][field] = _read(each, key.type)
        except msgspec.ValidationError as error:
            problems.append(
                f"{each.name} ({each.source}): {_wording(error, key)}, not {each.value!r}"
            )
    if not problems:
        # Conversion checks the constraints once more, on what will be used.
        settings = msgspec.convert(values, Settings)
        problems = list(_contradictions(settings))
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _from_file(file: Path | None) -> Iterator[Given]:
    path = Path(CONFIG_FILE) if file is None else file
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file is None:
            return
        raise SettingsError(
            f"{path}: no such file; leave out --config to run on defaults"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    for section, table in tables.items():
        if isinstance(table, dict):
            for field, value in table.items():
                yield Given(f"{section}.{field}", value, str(path), False)
        else:
            yield Given(section, table, str(path), False)


def _from_environment(environment: Mapping[str, str]) -> Iterator[Given]:
    for variable, text in sorted(environment.items()):
        if variable.startswith(ENVIRONMENT_PREFIX):
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            yield Given(name, text, variable, True)


def _read(given: Given, declared: Any) -> Any:
    if not given.is_text:
        return msgspec.convert(given.value, declared)
    text = given.value.strip()
    if get_origin(bare(declared)) is list:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return msgspec.convert(parts, declared, strict=False)
    return msgspec.convert(text, declared, strict=False)


def bare(declared: Any) -> Any:
    """Return a type without its constraints and description."""
    return declared.__origin__ if hasattr(declared, "__metadata__") else declared


def _wording(error: msgspec.ValidationError, key: Key) -> str:
    if "matching regex" in str(error) and key.name.endswith("aet"):
        return "expected an AE title: 1 to 16 printable ASCII characters without backslash"
    if get_origin(bare(key.type)) is Literal:
        return "expected one of " + ", ".join(repr(value) for value in get_args(bare(key.type)))
    wording = str(error).partition(" - at ")[0].partition(", got ")[0]
    return wording[:1].lower() + wording[1:]


def _suggestion(name: str, keys: Iterable[str]) -> str:
    from difflib import get_close_matches  # only a mistake pays for it

    section, _, field = name.partition(".")
    known = [key.partition(".")[2] for key in keys if key.startswith(f"{section}.")]
    if known:
        near = [f"{section}.{other}" for other in get_close_matches(field, known, n=1)]
    else:
        near = get_close_matches(name, keys, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    if known:
        return f"; [{section}] has {', '.join(known)}"
    return f"; sections are {', '.join(SECTIONS)}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name: what it resolves to may change, so it counts as wide


def _tls_contradictions(settings: Settings) -> Iterator[str]:
    tls = settings.tls
    for name, section in (("http", settings.http), ("dicom", settings.dicom)):
        if not section.tls:
            continue
        if not (tls.certificate and tls.private_key):
            yield f"{name}.tls: a listener needs tls.certificate and tls.private_key"
        if section.tls_client_certificates != "none" and not tls.trusted_certificates:
            yield (
                f"{name}.tls_client_certificates: {section.tls_client_certificates} needs "
                "tls.trusted_certificates; or set none"
            )
    if settings.http.tls and settings.http.server != "core":
        yield f"http.tls: {settings.http.server} does not speak it here; set http.server = core"


def _contradictions(settings: Settings) -> Iterator[str]:
    http, dicom = settings.http, settings.dicom
    is_off = http.authentication == "off"
    if is_off and not is_loopback(http.host) and not http.allow_remote_unauthenticated:
        yield (
            f"http.authentication: it is off, and http.host {http.host} can be reached from other "
            "machines; listen on 127.0.0.1 behind a proxy that authenticates, or set "
            "http.allow_remote_unauthenticated = true"
        )
    yield from _tls_contradictions(settings)
    for network in dicom.calling_hosts:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            yield f"dicom.calling_hosts: {error}"
    called = [dicom.aet.strip(), *(each.aet.strip() for each in dicom.ae_titles)]
    for aet in sorted({aet for aet in called if called.count(aet) > 1}):
        yield f"dicom.ae_titles: {aet} is there twice; an AE title has one tenant and label"
    names = [modality.name for modality in dicom.modalities]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"dicom.modalities: {name} is there twice; a modality has a name of its own"
    if dicom.enabled and http.port and (http.host, http.port) == (dicom.host, dicom.port):
        yield f"dicom.port: {dicom.port} is http.port too; they need one each"
    if 2 * http.max_body_bytes > settings.limits.http_body_bytes:
        yield (
            f"http.max_body_bytes: {http.max_body_bytes} is more than half of "
            f"limits.http_body_bytes, {settings.limits.http_body_bytes}, which holds all bodies"
        )
    if 2 * settings.storage.large_object_bytes + MIB > settings.limits.http_body_bytes:
        yield (
            f"storage.large_object_bytes: an upload holds up to two objects of "
            f"{settings.storage.large_object_bytes} bytes, and limits.http_body_bytes is "
            f"{settings.limits.http_body_bytes}"
        )
    if dicom.max_associations_per_peer > dicom.max_associations:
        yield (
            f"dicom.max_associations_per_peer: {dicom.max_associations_per_peer} is more than "
            f"dicom.max_associations, {dicom.max_associations}"
        )
    if settings.storage.large_object_bytes > settings.storage.segment_bytes:
        yield (
            f"storage.large_object_bytes: {settings.storage.large_object_bytes} does not fit "
            f"into a segment of storage.segment_bytes, {settings.storage.segment_bytes}"
        )
