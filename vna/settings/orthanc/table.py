"""Every key of Orthanc's configuration: what it comes to here, or why it has no effect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from vna.settings.orthanc import effects
from vna.settings.orthanc.keys import Keys

Make = Callable[[Keys], Iterable[tuple[str, Any]]]


class Maps(NamedTuple):
    """A key that has an effect: on these settings, by this function.

    Several keys may share a function; it runs once. `remark` says what is not as there.
    """

    settings: tuple[str, ...]
    make: Make
    remark: str = ""


class Idle(NamedTuple):
    """A key without effect, and why. At one of the `quiet` values nothing is asked for."""

    reason: str
    quiet: tuple[Any, ...] = ()


def one(key: str, setting: str, read: Callable[[Keys, str], Any]) -> Maps:
    """Return a key that is one setting."""

    def make(keys: Keys) -> Iterator[tuple[str, Any]]:
        if key in keys:
            yield setting, read(keys, key)

    return Maps((setting,), make)


NAMES: dict[str, tuple[str, Callable[[Keys, str], Any]]] = {
    "HttpPort": ("http.port", Keys.count),
    "HttpDescribeErrors": ("http.describe_errors", Keys.flag),
    "DicomServerEnabled": ("dicom.enabled", Keys.flag),
    "DicomPort": ("dicom.port", Keys.count),
    "DicomCheckCalledAet": ("dicom.check_called_aet", Keys.flag),
    "DicomCheckModalityHost": ("dicom.check_modality_host", Keys.flag),
    "UnknownSopClassAccepted": ("dicom.accept_unknown_sop_classes", Keys.flag),
    "AcceptedSopClasses": ("dicom.accepted_sop_classes", Keys.texts),
    "RejectedSopClasses": ("dicom.rejected_sop_classes", Keys.texts),
    "MaximumPduLength": ("dicom.max_pdu_bytes", Keys.count),
    "DicomEchoChecksFind": ("dicom.echo_checks_find", Keys.flag),
    "QueryRetrieveSize": ("dicom.max_queries", Keys.count),
    "LogExportedResources": ("dicom.log_exported_resources", Keys.flag),
    "ZipUseUtf8": ("archives.utf8", Keys.flag),
    "StorageCommitmentReportsSize": ("commitment.reports", Keys.count),
    "IngestTranscoding": ("storage.ingest_transcoding", Keys.text),
    "StableAge": ("storage.stable_age_s", Keys.count),
    "ReadOnly": ("storage.read_only", Keys.flag),
    "IngestTranscodingOfUncompressed": (
        "storage.ingest_transcoding_of_uncompressed",
        Keys.flag,
    ),
    "IngestTranscodingOfCompressed": ("storage.ingest_transcoding_of_compressed", Keys.flag),
    "DicomDefaultRetrieveMethod": (
        "dicom.retrieve_method",
        lambda keys, key: keys.choice(key, {"C-MOVE": "c-move", "C-GET": "c-get"}, "C-MOVE"),
    ),
}


def shared(make: Make, settings: str, keys: str, remark: str = "") -> dict[str, Maps]:
    """Return keys that go together."""
    return dict.fromkeys(keys.split(), Maps(tuple(settings.split()), make, remark))


GROUPS: dict[str, Maps] = {
    **shared(effects.name, "dicom.aet http.name", "Name DicomAet"),
    **shared(
        effects.storage,
        "storage.root",
        "StorageDirectory",
        "a folder beside it: Orthanc's own files stay as they are, and vna import reads them",
    ),
    **shared(effects.overwriting, "storage.duplicates", "OverwriteInstances"),
    **shared(
        effects.network,
        "http.host http.authentication http.allow_remote_unauthenticated",
        "RemoteAccessAllowed AuthenticationEnabled HttpBindAddresses",
    ),
    **shared(
        effects.https,
        "http.tls http.tls_client_certificates http.tls_certificate http.tls_private_key "
        "http.tls_trusted_certificates http.tls_minimum_version http.tls_ciphers",
        "SslEnabled SslCertificate SslVerifyPeers SslTrustedClientCertificates "
        "SslMinimumProtocolVersion SslCiphersAccepted",
        "nothing older than TLS 1.2 is spoken",
    ),
    **shared(
        effects.dicom_tls,
        "dicom.tls dicom.tls_client_certificates tls.certificate tls.private_key "
        "tls.trusted_certificates tls.minimum_version tls.ciphers",
        "DicomTlsEnabled DicomTlsCertificate DicomTlsPrivateKey DicomTlsTrustedCertificates "
        "DicomTlsRemoteCertificateRequired DicomTlsMinimumProtocolVersion DicomTlsCiphersAccepted",
        "nothing older than TLS 1.2 is spoken",
    ),
    **shared(effects.callers, "dicom.unknown_callers", " ".join(effects.ALWAYS)),
    **shared(
        effects.transfer_syntaxes,
        "dicom.accepted_transfer_syntaxes",
        " ".join(["AcceptedTransferSyntaxes", *effects.GROUPS]),
    ),
    **shared(
        effects.find_limit,
        "dicom.find_limit",
        "LimitFindResults LimitFindInstances",
        "one limit for all levels, the larger of the two",
    ),
    **shared(effects.modalities, "dicom.modalities", "DicomModalities TranscodeDicomProtocol"),
    **shared(
        effects.peers,
        "peers.known peers.timeout_s peers.verify peers.trusted_certificates peers.proxy",
        "OrthancPeers HttpTimeout HttpsVerifyPeers HttpsCACertificates HttpProxy",
    ),
    **shared(
        effects.dicomweb,
        "dicomweb.root dicomweb.wado_root dicomweb.servers dicomweb.store_instances "
        "dicomweb.store_bytes",
        "DicomWeb",
        "of the section Root, WadoRoot, Servers, StowMaxInstances and StowMaxSize",
    ),
    **shared(
        effects.indexed_tags,
        "index.patient_tags index.study_tags index.series_tags index.instance_tags",
        "ExtraMainDicomTags",
    ),
    **shared(
        effects.note_types,
        "notes.metadata notes.attachments notes.check_revisions",
        "UserMetadata UserContentType CheckRevisions",
    ),
    **shared(effects.dictionary, "dictionary.private", "Dictionary DefaultPrivateCreator"),
    **shared(
        effects.worklists,
        "worklist.folder worklist.own_station_only",
        "Worklists",
    ),
    **shared(
        effects.bounds,
        "storage.maximum_bytes storage.maximum_patients storage.maximum_mode",
        "MaximumStorageSize MaximumPatientCount MaximumStorageMode",
        "recycling needs senders that are known: see storage.maximum_mode",
    ),
    **shared(
        effects.compression,
        "storage.recompress storage.recompress_after_days",
        "StorageCompression",
        "stored objects are compressed without loss in the background, by whole packs",
    ),
    **shared(effects.jobs, "jobs.parallel jobs.history", "ConcurrentJobs JobsHistorySize"),
    **shared(
        effects.uploads,
        "uploads.max_unpacked_bytes uploads.max_object_bytes",
        "MaximumRequestBodySizeMB MaximumFileSizeInArchiveMB",
    ),
    **shared(effects.export_folder, "http.export_folder", "RestApiWriteToFileSystemEnabled"),
    **shared(
        effects.patience,
        "dicom.idle_timeout_s dicom.scu_timeout_s http.body_timeout_s",
        "DicomScpTimeout DicomScuTimeout HttpRequestTimeout",
    ),
}
# Its function needs to know how passwords are hashed.
USERS = "RegisteredUsers"


def idle(keys: str, reason: str, quiet: tuple[Any, ...] = ()) -> dict[str, Idle]:
    """Return keys that have no effect for one reason."""
    return dict.fromkeys(keys.split(), Idle(reason, quiet))


NO_BINARY_PLUGINS = "binary plugins are not loaded"
BUILT_IN = "what the plugin does is built in, where it is done at all"
NO_VIEWER = "there is no such viewer here"
ONE_INDEX = "the index is a file below storage.root; databases of others are not used"
ONE_STORE = "files are kept below storage.root; object stores are not used"
BUDGETS = "memory has budgets of its own; see [limits], [codecs] and [pictures]"
ALWAYS_KEPT = "what is set over REST is always kept, beside what the configuration names"

IDLE: dict[str, Idle] = {
    "IndexDirectory": Idle("the index is below storage.root", ("", "OrthancStorage")),
    "TemporaryDirectory": Idle("what does not fit into memory waits below storage.root"),
    "MaximumStorageCacheSize": Idle("the page cache of the system is used", (128,)),
    "StoreDicom": Idle("files are always stored", (True,)),
    "StoreMD5ForAttachments": Idle(
        "each file has a digest, and an MD5 is computed when it is asked for", (True,)
    ),
    "SyncStorageArea": Idle("what is answered as stored is always synced", (True,)),
    "PatientLevelEnabled": Idle("there are always patients", (True,)),
    "DatabaseServerIdentifier": Idle("one server has the index"),
    "MallocArenaMax": Idle("memory is managed otherwise", (5,)),
    "Locale": Idle("accents and case are folded in the same way everywhere"),
    "Warnings": Idle("nothing is answered that these would warn of"),
    "Plugins": Idle(NO_BINARY_PLUGINS, ([],)),
    **idle(
        "StorageLoaderThreadsCount StorageMemoryCapacity DicomParserCacheSize "
        "DicomParserMemoryCapacity DicomParserThreadsCount TranscoderCacheSize "
        "TranscoderMemoryCapacity TranscoderThreadsCount "
        "SequentialDicomReaderThreadsCount SequentialDicomReaderWindowSize "
        "SequentialDicomReaderWindowCapacity LoaderThreads ZipLoaderThreads "
        "MaximumConcurrentDcmtkTranscoders",
        BUDGETS,
        (0,),
    ),
    "HttpServerEnabled": Idle("commands reach the server over HTTP, on loopback", (True,)),
    "OrthancExplorerEnabled": Idle("there is no Orthanc Explorer here", (True, False)),
    "HttpThreadsCount": Idle("no thread waits for a client", (50,)),
    "HttpCompressionEnabled": Idle("answers are not compressed", (False,)),
    "KeepAlive": Idle("connections are kept", (True,)),
    "KeepAliveTimeout": Idle("see http.head_timeout_s", (1,)),
    "TcpNoDelay": Idle("it is always set", (True,)),
    "WebDavEnabled": Idle("there is no WebDAV here", (True, False)),
    "WebDavDeleteAllowed": Idle("there is no WebDAV here", (False,)),
    "WebDavUploadAllowed": Idle("there is no WebDAV here", (True, False)),
    "ExecuteLuaEnabled": Idle("there is no Lua here", (False,)),
    "LuaScripts": Idle("there is no Lua here", ([],)),
    "LuaHeartBeatPeriod": Idle("there is no Lua here", (0,)),
    "HttpVerbose": Idle("see log.level", (False,)),
    "Pkcs11": Idle("smart cards are not used; a peer may have CertificateFile"),
    "OrthancPeersInDatabase": Idle(ALWAYS_KEPT, (False, True)),
    "DicomModalitiesInDatabase": Idle(ALWAYS_KEPT, (False, True)),
    "StrictAetComparison": Idle(
        "an AE title as it is written comes before one in another case", (False,)
    ),
    "DefaultEncoding": Idle(
        "each answer has the character set that its text needs; text without one is read as "
        "ISO_IR 6 with Latin 1",
        ("Latin1",),
    ),
    "DicomThreadsCount": Idle("associations have no threads; see dicom.max_associations", (4,)),
    "DicomScuPreferredTransferSyntax": Idle(
        "a node gets what is stored, or what it takes that is nearest to it",
        ("1.2.840.10008.1.2.1",),
    ),
    "DicomAssociationCloseDelay": Idle("associations end with what they were for", (5,)),
    "SynchronousCMove": Idle("a C-MOVE is answered while it goes on", (True,)),
    "CaseSensitivePN": Idle("names are compared without case; see CaseSensitive", (False,)),
    "StorageAccessOnFind": Idle("keys that are not indexed are always answered", ("Always",)),
    "LoadPrivateDictionary": Idle("see dictionary.private", (True, False)),
    "ExternalDictionaries": Idle("see dictionary.private", ([],)),
    "BuiltinDecoderTranscoderOrder": Idle(NO_BINARY_PLUGINS, ("Before", "After")),
    "DicomLossyTranscodingQuality": Idle("a request says its lossy-quality, else 90", (90,)),
    "JobsEngineThreadsCount": Idle("see jobs.parallel", ({"ResourceModification": 1},)),
    "SaveJobs": Idle("jobs are always kept", (True,)),
    "MediaArchiveSize": Idle("see jobs.output_bytes", (1,)),
    "SynchronousZipStream": Idle("archives are written while they are read", (True,)),
    "DeidentifyLogs": Idle("names, dates and free text never go to the log", (True,)),
    "DeidentifyLogsDicomVersion": Idle("names, dates and free text never go to the log"),
    **idle(
        "Housekeeper DelayedDeletion Transfers Gdcm MultitenantDicom Indexer",
        BUILT_IN,
    ),
    **idle(
        "PostgreSQL MySQL Odbc",
        ONE_INDEX,
    ),
    **idle(
        "AwsS3Storage AzureBlobStorage GoogleCloudStorage AdvancedStorage",
        ONE_STORE,
    ),
    **idle(
        "OrthancExplorer2 StoneWebViewer OHIF WebViewer VolView WholeSlideImaging STL Neuro",
        NO_VIEWER,
    ),
    **idle(
        "Authorization ServeFolders PixelsMasker GoogleCloudPlatform Tcia Education "
        "PythonScript Python PythonVerbose Java",
        NO_BINARY_PLUGINS,
    ),
    # Settings that have no counterpart yet.
    "MetricsEnabled": Idle("metrics are always there", (True,)),
}

TABLE: dict[str, Maps | Idle] = {
    **{key: one(key, setting, read) for key, (setting, read) in NAMES.items()},
    **GROUPS,
    **IDLE,
}
