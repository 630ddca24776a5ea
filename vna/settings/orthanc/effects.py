"""What keys of Orthanc come to here, where that is more than another name.

Each function yields settings and their values.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from vna.errors import BadRequest, SettingsError
from vna.settings.fields import MIB
from vna.settings.orthanc import nodes
from vna.settings.orthanc.keys import Keys

Settings = Iterator[tuple[str, Any]]

# Orthanc's own, where a site has not set them and others would notice.
AE_TITLE = "ORTHANC"
STORAGE_FOLDER = "OrthancStorage"
# Time that is as good as none, where Orthanc's 0 means that there is no limit.
A_DAY_S = 86_400.0


def network(keys: Keys) -> Settings:
    """Where HTTP listens, and whether it asks who is there."""
    is_wide = keys.flag("RemoteAccessAllowed")
    addresses = keys.texts("HttpBindAddresses")
    asks = keys.flag("AuthenticationEnabled", is_wide)
    wide = addresses[0] if len(addresses) == 1 else addresses or "0.0.0.0"
    yield "http.host", wide if is_wide else "127.0.0.1"
    if "AuthenticationEnabled" in keys or is_wide:
        yield "http.authentication", "on" if asks else "off"
    if is_wide and not asks:
        # Said twice by the site itself: Orthanc's default is to ask as soon as it listens wide.
        yield "http.allow_remote_unauthenticated", True


def name(keys: Keys) -> Settings:
    """What the archive calls itself, on the DICOM network and to people."""
    yield "dicom.aet", keys.text("DicomAet") or AE_TITLE
    if keys.text("Name"):
        yield "http.name", keys.text("Name")


def storage(keys: Keys) -> Settings:
    """Where the bytes are: in a folder beside Orthanc's, whose files stay as they are."""
    yield "storage.root", str(beside(orthanc_storage(keys)))


def orthanc_storage(keys: Keys) -> Path:
    """Return the folder that Orthanc keeps its files in."""
    return Path(keys.file("StorageDirectory", STORAGE_FOLDER))


def beside(folder: Path) -> Path:
    """Return our folder beside one of Orthanc's."""
    return folder.with_name(f"{folder.name}-vna") if folder.name else folder / "vna"


def overwriting(keys: Keys) -> Settings:
    """Whether an instance that comes again replaces the one that is there."""
    modes = {
        "Never": "never",
        "Always": "always",
        "IfChanged": "if-changed",
        "false": "never",
        "true": "always",
    }
    value = keys.read("OverwriteInstances", bool | str)
    if isinstance(value, bool):
        yield "storage.duplicates", "always" if value else "never"
    elif value is not None:
        yield "storage.duplicates", keys.choice("OverwriteInstances", modes, "Never")


def https(keys: Keys) -> Settings:
    """TLS of HTTP; certificate and key are in one file."""
    if not keys.flag("SslEnabled"):
        return
    yield "http.tls", True
    certificate = keys.file("SslCertificate", "certificate.pem")
    yield "http.tls_certificate", certificate
    yield "http.tls_private_key", certificate
    if keys.flag("SslVerifyPeers"):
        yield "http.tls_client_certificates", "required"
        trusted = keys.file("SslTrustedClientCertificates", "trustedClientCertificates.pem")
        yield "http.tls_trusted_certificates", trusted
    # 0 to 4 begin with versions that are not spoken any more: TLS 1.2 is the oldest here.
    is_newest = keys.count("SslMinimumProtocolVersion", 4) >= 5
    yield "http.tls_minimum_version", "1.3" if is_newest else "1.2"
    if keys.texts("SslCiphersAccepted"):
        yield "http.tls_ciphers", keys.texts("SslCiphersAccepted")


def dicom_tls(keys: Keys) -> Settings:
    """TLS of DICOM, in and out."""
    if keys.flag("DicomTlsEnabled"):
        yield "dicom.tls", True
        required = keys.flag("DicomTlsRemoteCertificateRequired", True)
        yield "dicom.tls_client_certificates", "required" if required else "none"
    for key, setting in (
        ("DicomTlsCertificate", "tls.certificate"),
        ("DicomTlsPrivateKey", "tls.private_key"),
        ("DicomTlsTrustedCertificates", "tls.trusted_certificates"),
    ):
        if keys.file(key):
            yield setting, keys.file(key)
    if keys.count("DicomTlsMinimumProtocolVersion") >= 5:
        yield "tls.minimum_version", "1.3"
    if keys.texts("DicomTlsCiphersAccepted"):
        yield "tls.ciphers", keys.texts("DicomTlsCiphersAccepted")


ALWAYS = {
    "DicomAlwaysAllowEcho": ("echo", True),
    "DicomAlwaysAllowStore": ("store", True),
    "DicomAlwaysAllowFind": ("find", False),
    "DicomAlwaysAllowFindWorklist": ("worklist", False),
    "DicomAlwaysAllowGet": ("get", False),
    "DicomAlwaysAllowMove": ("move", False),
}


def callers(keys: Keys) -> Settings:
    """What callers may do that are no known modality."""
    allowed = [service for key, (service, default) in ALWAYS.items() if keys.flag(key, default)]
    yield "dicom.unknown_callers", allowed


# Groups of transfer syntaxes that have a switch of their own in older configurations.
GROUPS: dict[str, tuple[str, ...]] = {
    "DeflatedTransferSyntaxAccepted": ("1.2.840.10008.1.2.1.99",),
    "JpegTransferSyntaxAccepted": ("1.2.840.10008.1.2.4.5?", "1.2.840.10008.1.2.4.6?",
                                   "1.2.840.10008.1.2.4.70"),
    "JpegLosslessTransferSyntaxAccepted": ("1.2.840.10008.1.2.4.8?",),
    "Jpeg2000TransferSyntaxAccepted": tuple(f"1.2.840.10008.1.2.4.9{n}" for n in range(4)),
    "JpipTransferSyntaxAccepted": ("1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95"),
    "Mpeg2TransferSyntaxAccepted": ("1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101"),
    "Mpeg4TransferSyntaxAccepted": tuple(f"1.2.840.10008.1.2.4.10{n}" for n in range(2, 7)),
    "H265TransferSyntaxAccepted": ("1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.108"),
    "RleTransferSyntaxAccepted": ("1.2.840.10008.1.2.5",),
}  # fmt: skip
OTHERS = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.11?",
    "1.2.840.10008.1.2.4.20?",
)


def transfer_syntaxes(keys: Keys) -> Settings:
    """Which transfer syntaxes are taken: a list, or in older configurations a switch for each."""
    if "AcceptedTransferSyntaxes" in keys:
        yield "dicom.accepted_transfer_syntaxes", keys.texts("AcceptedTransferSyntaxes")
    elif not all(keys.flag(key, True) for key in GROUPS):
        taken = [uid for key, uids in GROUPS.items() if keys.flag(key, True) for uid in uids]
        yield "dicom.accepted_transfer_syntaxes", [*OTHERS, *taken]


def find_limit(keys: Keys) -> Settings:
    """How many answers one C-FIND has, at any level."""
    limits = [keys.count(key) for key in ("LimitFindResults", "LimitFindInstances")]
    if wanted := [limit for limit in limits if limit]:
        yield "dicom.find_limit", max(wanted)


# What other servers of the kind expect where the standard says something else.
WAYS = (
    ("dicom.find_hierarchy", "orthanc"),
    ("dicom.find_limit_status", "orthanc"),
    ("dicom.move_failure_status", "orthanc"),
)


def ways(keys: Keys) -> Settings:
    """The ways of Orthanc on the DICOM network, which those around it know."""
    yield from WAYS


def modalities(keys: Keys) -> Settings:
    """Yield the remote DICOM nodes."""
    may_transcode = keys.flag("TranscodeDicomProtocol", True)
    found = []
    for called, value in keys.table("DicomModalities").items():
        with placed(f"{keys.source('DicomModalities')}: {called}"):
            node = builtins(nodes.modality(value, called))
        if not may_transcode:
            node["transcoding"] = False
        found.append(node)
    if found:
        yield "dicom.modalities", found


def peers(keys: Keys) -> Settings:
    """Yield the remote archives, and how they are called."""
    found = []
    for called, value in keys.table("OrthancPeers").items():
        with placed(f"{keys.source('OrthancPeers')}: {called}"):
            node = builtins(nodes.peer(value, called))
        for file in ("certificate", "private_key"):
            if node[file]:
                node[file] = str(keys.below("OrthancPeers", node[file]))
        found.append({key: value for key, value in node.items() if value})
    if found:
        yield "peers.known", found
    if "HttpTimeout" in keys:
        yield "peers.timeout_s", keys.number("HttpTimeout") or A_DAY_S
    if "HttpsVerifyPeers" in keys:
        yield "peers.verify", keys.flag("HttpsVerifyPeers", True)
    if keys.file("HttpsCACertificates"):
        yield "peers.trusted_certificates", keys.file("HttpsCACertificates")
    if keys.text("HttpProxy"):
        yield "peers.proxy", keys.text("HttpProxy")


def dicomweb(keys: Keys) -> Settings:
    """Yield where DICOMweb is, and the remote servers that the plugin knows."""
    section = keys.table("DicomWeb")
    for member, key in (("Root", "dicomweb.root"), ("WadoRoot", "dicomweb.wado_root")):
        if member in section:
            yield key, f"/{str(section[member]).strip('/')}"
    if "StowMaxInstances" in section:
        yield "dicomweb.store_instances", max(int(section["StowMaxInstances"]), 1)
    if "StowMaxSize" in section:
        yield "dicomweb.store_bytes", max(int(section["StowMaxSize"]), 1) * MIB
    found = []
    for called, value in (section.get("Servers") or {}).items():
        with placed(f"{keys.source('DicomWeb')}: Servers: {called}"):
            server = builtins(nodes.web_server(value, called))
        for file in ("certificate", "private_key"):
            if server[file]:
                server[file] = str(keys.below("DicomWeb", server[file]))
        found.append({key: value for key, value in server.items() if value is not None})
    if found:
        yield "dicomweb.servers", found


@contextlib.contextmanager
def placed(where: str) -> Iterator[None]:
    """Say where in the configuration it is that a node is wrong."""
    try:
        yield
    except BadRequest as error:
        raise SettingsError(f"{where}: {error}") from None


def builtins(node: Any) -> dict[str, Any]:
    """Return a node as our own configuration writes it, which has no null."""
    return {key: value for key, value in msgspec.to_builtins(node).items() if value is not None}


def users(hashed: Callable[[str], str]) -> Callable[[Keys], Settings]:
    """Return what yields the users; of their passwords only hashes are kept."""

    def make(keys: Keys) -> Settings:
        found = []
        for called, password in keys.table("RegisteredUsers").items():
            if not isinstance(password, str):
                raise SettingsError(
                    f"{keys.source('RegisteredUsers')}: {called}: a password is a text"
                )
            # Everybody may do everything there.
            found.append({"name": called, "password_hash": hashed(password), "role": "admin"})
        if found:
            yield "http.users", found

    return make


TAG = re.compile(r"([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})")


def dictionary(keys: Keys) -> Settings:
    """Yield private elements of the dictionary; those of the standard are known."""
    found = []
    for written, value in keys.table("Dictionary").items():
        where = f"{keys.source('Dictionary')}: {written}"
        tag = TAG.fullmatch(written)
        if tag is None or not isinstance(value, list) or not 2 <= len(value) <= 5:
            raise SettingsError(f"{where}: expected gggg,eeee: [VR, name, from, to, creator]")
        group, element = tag.groups()
        if int(group, 16) % 2 == 0:
            continue
        creator = value[4] if len(value) == 5 else keys.text("DefaultPrivateCreator")
        if not creator:
            raise SettingsError(f"{where}: a private element needs its creator, the fifth value")
        found.append(
            {"tag": f"{group},00{element[2:]}", "vr": value[0], "name": value[1],
             "creator": creator}
        )  # fmt: skip
    if found:
        yield "dictionary.private", found


def indexed_tags(keys: Keys) -> Settings:
    """Yield the tags that are indexed beside the usual ones, of each level."""
    levels = keys.read("ExtraMainDicomTags", dict[str, list[str]], {})
    for level, tags in levels.items():
        if level not in {"Patient", "Study", "Series", "Instance"}:
            raise SettingsError(
                f"{keys.source('ExtraMainDicomTags')}: {level!r} is no level; it takes Patient, "
                "Study, Series and Instance"
            )
        if tags:
            yield f"index.{level.lower()}_tags", tags


def note_types(keys: Keys) -> Settings:
    """Yield the types of metadata and attachments that have names, and whether they are revised."""
    for key, setting in (
        ("UserMetadata", "notes.metadata"),
        ("UserContentType", "notes.attachments"),
    ):
        # An attachment may have a media type beside its number.
        types = keys.read(key, dict[str, int | tuple[int, str]], {})
        if found := [
            {"name": name, "number": number if isinstance(number, int) else number[0]}
            for name, number in types.items()
        ]:
            yield setting, found
    if "CheckRevisions" in keys:
        yield "notes.check_revisions", keys.flag("CheckRevisions")


def worklists(keys: Keys) -> Settings:
    """Yield the folder of the worklist plugin."""
    plugin = keys.table("Worklists")
    if not plugin.get("Enable"):
        return
    # Since 1.12.8 in this member, before in the other.
    folder = plugin.get("Directory") or plugin.get("Database")
    if folder:
        yield "worklist.folder", str(keys.below("Worklists", str(folder)))
    if plugin.get("FilterIssuerAet"):
        yield "worklist.own_station_only", True


def jobs(keys: Keys) -> Settings:
    """Yield how many jobs run at a time; Orthanc's 0 means one for each processor."""
    if "ConcurrentJobs" in keys:
        yield "jobs.parallel", min(keys.count("ConcurrentJobs") or os.cpu_count() or 1, 64)
    if "JobsHistorySize" in keys:
        yield "jobs.history", keys.count("JobsHistorySize")


def uploads(keys: Keys) -> Settings:
    """Yield how much one upload may hold."""
    if keys.count("MaximumRequestBodySizeMB"):
        yield "uploads.max_unpacked_bytes", keys.count("MaximumRequestBodySizeMB") * MIB
    if keys.count("MaximumFileSizeInArchiveMB"):
        yield "uploads.max_object_bytes", keys.count("MaximumFileSizeInArchiveMB") * MIB


def bounds(keys: Keys) -> Settings:
    """Yield how much there may be, and what happens then; if not told, Orthanc recycles."""
    size, patients = keys.count("MaximumStorageSize"), keys.count("MaximumPatientCount")
    if not (size or patients):
        return
    modes = {"Recycle": "recycle", "Reject": "reject"}
    yield "storage.maximum_bytes", size * MIB
    yield "storage.maximum_patients", patients
    yield "storage.maximum_mode", keys.choice("MaximumStorageMode", modes, "Recycle")


def compression(keys: Keys) -> Settings:
    """Yield how stored objects are kept in fewer bytes; Orthanc does so as they come."""
    if keys.flag("StorageCompression"):
        yield "storage.recompress", "deflate"
        yield "storage.recompress_after_days", 0


def export_folder(keys: Keys) -> Settings:
    """Yield where files may be written on request; Orthanc knows anywhere and nowhere."""
    if keys.flag("RestApiWriteToFileSystemEnabled"):
        yield "http.export_folder", "/"


def patience(keys: Keys) -> Settings:
    """Yield times, of which Orthanc's 0 means no limit."""
    for key, setting in (
        ("DicomScpTimeout", "dicom.idle_timeout_s"),
        ("DicomScuTimeout", "dicom.scu_timeout_s"),
        ("HttpRequestTimeout", "http.body_timeout_s"),
    ):
        if key in keys:
            yield setting, keys.number(key) or A_DAY_S
