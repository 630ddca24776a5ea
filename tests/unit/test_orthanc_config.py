"""Orthanc's configuration as ours: how it is read, what each key comes to, what is said of it."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from vna.errors import SettingsError
from vna.settings import build, schema
from vna.settings.orthanc import files, read
from vna.settings.orthanc.table import TABLE, USERS, Maps

# Every key that Orthanc 1.13 has, of itself and of the plugins of its makers.
KEYS = """
AcceptedSopClasses AcceptedTransferSyntaxes AdvancedStorage AuthenticationEnabled Authorization
AwsS3Storage AzureBlobStorage BuiltinDecoderTranscoderOrder CaseSensitivePN CheckRevisions
ConcurrentJobs DatabaseServerIdentifier DefaultEncoding DefaultPrivateCreator
DeflatedTransferSyntaxAccepted DeidentifyLogs DeidentifyLogsDicomVersion DelayedDeletion
DicomAet DicomAlwaysAllowEcho DicomAlwaysAllowFind DicomAlwaysAllowFindWorklist
DicomAlwaysAllowGet DicomAlwaysAllowMove DicomAlwaysAllowStore DicomAssociationCloseDelay
DicomCheckCalledAet DicomCheckModalityHost DicomDefaultRetrieveMethod DicomEchoChecksFind
DicomLossyTranscodingQuality DicomModalities DicomModalitiesInDatabase DicomParserCacheSize
DicomParserMemoryCapacity DicomParserThreadsCount DicomPort DicomScpTimeout
DicomScuPreferredTransferSyntax DicomScuTimeout DicomServerEnabled DicomThreadsCount
DicomTlsCertificate DicomTlsCiphersAccepted DicomTlsEnabled DicomTlsMinimumProtocolVersion
DicomTlsPrivateKey DicomTlsRemoteCertificateRequired DicomTlsTrustedCertificates DicomWeb
Dictionary Education ExecuteLuaEnabled ExternalDictionaries ExtraMainDicomTags Gdcm
GoogleCloudPlatform GoogleCloudStorage H265TransferSyntaxAccepted Housekeeper HttpBindAddresses
HttpCompressionEnabled HttpDescribeErrors HttpPort HttpProxy HttpRequestTimeout
HttpServerEnabled HttpThreadsCount HttpTimeout HttpVerbose HttpsCACertificates HttpsVerifyPeers
IndexDirectory Indexer IngestTranscoding IngestTranscodingOfCompressed
IngestTranscodingOfUncompressed JobsEngineThreadsCount JobsHistorySize
Jpeg2000TransferSyntaxAccepted JpegLosslessTransferSyntaxAccepted JpegTransferSyntaxAccepted
JpipTransferSyntaxAccepted KeepAlive KeepAliveTimeout LimitFindInstances LimitFindResults
LoadPrivateDictionary LoaderThreads Locale LogExportedResources LuaHeartBeatPeriod LuaScripts
MallocArenaMax MaximumConcurrentDcmtkTranscoders MaximumFileSizeInArchiveMB MaximumPatientCount
MaximumPduLength MaximumRequestBodySizeMB MaximumStorageCacheSize MaximumStorageMode
MaximumStorageSize MediaArchiveSize MetricsEnabled Mpeg2TransferSyntaxAccepted
Mpeg4TransferSyntaxAccepted MultitenantDicom MySQL Name Neuro OHIF Odbc OrthancExplorer2
OrthancExplorerEnabled OrthancPeers OrthancPeersInDatabase OverwriteInstances
PatientLevelEnabled PixelsMasker Pkcs11 Plugins PostgreSQL Python PythonScript QueryRetrieveSize
ReadOnly RegisteredUsers RejectedSopClasses RemoteAccessAllowed RestApiWriteToFileSystemEnabled
RleTransferSyntaxAccepted STL SaveJobs SequentialDicomReaderThreadsCount
SequentialDicomReaderWindowCapacity SequentialDicomReaderWindowSize ServeFolders SslCertificate
SslCiphersAccepted SslEnabled SslMinimumProtocolVersion SslTrustedClientCertificates
SslVerifyPeers StableAge StoneWebViewer StorageAccessOnFind StorageCommitmentReportsSize
StorageCompression StorageDirectory StorageLoaderThreadsCount StorageMemoryCapacity StoreDicom
StoreMD5ForAttachments StrictAetComparison SyncStorageArea SynchronousCMove SynchronousZipStream
Tcia TcpNoDelay TemporaryDirectory TranscodeDicomProtocol TranscoderCacheSize
TranscoderMemoryCapacity TranscoderThreadsCount Transfers UnknownSopClassAccepted
UserContentType UserMetadata Warnings WebDavDeleteAllowed WebDavEnabled WebDavUploadAllowed
WebViewer WholeSlideImaging Worklists ZipLoaderThreads ZipUseUtf8
"""


def hashed(password):
    return f"$argon2id$of-{password.replace(' ', '-')}"


def site(tmp_path, *texts, environment=None, secrets=None):
    """Return what the configuration files `texts` come to."""
    paths = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.json"
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        paths.append(path)
    return read(paths, hashed, environment or {}, secrets or tmp_path / "nowhere")


def settings(tmp_path, *texts, **options):
    return {each.name: each.value for each in site(tmp_path, *texts, **options).given}


def problem(tmp_path, *texts):
    with pytest.raises(SettingsError) as caught:
        build(site(tmp_path, *texts).given)
    return str(caught.value)


def test_every_key_of_orthanc_is_mapped_or_its_lack_of_effect_explained():
    missing = set(KEYS.split()) - TABLE.keys() - {USERS}
    assert not missing
    known = {key.name for key in schema()}
    for key, entry in TABLE.items():
        if isinstance(entry, Maps):
            assert set(entry.settings) <= known, key
        else:
            assert entry.reason, key


def test_comments_commas_and_variables_are_read_as_orthanc_reads_them(tmp_path):
    text = r"""
    { // a comment with a "quote" and }
      "Name" : "${WHO:-no \"one\"} // no comment /* nor this */ \\",
      /** HttpPort : 1, ,} **/ "HttpPort" : ${PORT},
      "DicomAet" : "${NOBODY}", /* , */
      "DicomModalities" : { "a" : [ "A", "h", 104, ], }, // ,
    }
    """
    found = site(tmp_path, text, environment={"PORT": "8099"})
    values = {each.name: each.value for each in found.given}
    assert values["http.name"] == 'no "one" // no comment /* nor this */ \\'
    assert values["http.port"] == 8099
    assert values["dicom.aet"] == "ORTHANC"  # empty there, which is no AE title
    assert values["dicom.modalities"][0]["aet"] == "A"
    [remark] = [note for note in found.notes if note.kind == "remark"]
    assert remark.key == "NOBODY"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "0.json: Expecting property name"),
        ('{\n\n"A": x}', "line 3"),
        ("[]", "expected an object of keys, not list"),
        ('{"A": "/* ', "Unterminated string"),
        ("[" * 100_000, "0.json: it is nested too deeply"),
        ('{"HttpPort": "x"}', "0.json: HttpPort: expected `int`, got `str`"),
        ('{"HttpPort": 99999}', "expected `int` <= 65535"),
        ('{"DicomAet": "much too long for one"}', "expected an AE title"),
        ('{"DicomServerEnabled": "perhaps"}', "DicomServerEnabled: expected `bool`"),
        ('{"DicomModalities": {"a": ["A", "h"]}}', "DicomModalities: a: a modality is a list"),
        ('{"DicomModalities": {"a": {"AET": "A", "Host": "h"}}}', "missing required field `Port`"),
        ('{"DicomModalities": {"a b": ["A", "h", 104]}}', "a b"),
        ('{"DicomModalities": {"a": ["A", "h", 104, "Nobody"]}}', "DicomModalities: a: "),
        ('{"OrthancPeers": {"p": ["nourl"]}}', "OrthancPeers: p: "),
        ('{"OrthancPeers": {"p": {"Url": "http://x", "Pkcs11": true}}}', "Pkcs11"),
        ('{"RegisteredUsers": {"a": 5}}', "RegisteredUsers: a: a password is a text"),
        ('{"Dictionary": {"0011,1001": ["LO", "Mine"]}}', "needs its creator"),
        ('{"Dictionary": {"x": ["LO", "Mine"]}}', "expected gggg,eeee"),
        ('{"ExtraMainDicomTags": {"Frame": ["Rows"]}}', "'Frame' is no level"),
        ('{"OverwriteInstances": "Perhaps"}', "it takes Never, Always, IfChanged"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_key(tmp_path, text, expected):
    assert expected in problem(tmp_path, text)


def test_several_files_are_one_configuration_and_a_folder_is_its_files(tmp_path):
    (tmp_path / "more.txt").write_text("no json")
    first, second = {"DicomAet": "ONE"}, {"Name": "Two"}
    assert settings(tmp_path, first, second)["http.name"] == "Two"
    given = {each.name: each.value for each in read([tmp_path], hashed, {}).given}
    assert (given["dicom.aet"], given["http.name"]) == ("ONE", "Two")
    assert "DicomAet is also in" in problem(tmp_path, first, first)
    with pytest.raises(SettingsError, match=r"no \.json file"):
        read([tmp_path / "empty"], hashed, {}) if (tmp_path / "empty").mkdir() is None else None
    with pytest.raises(SettingsError, match="No such file"):
        read([tmp_path / "nowhere.json"], hashed, {})


def test_the_environment_of_containers_is_over_the_files(tmp_path):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "ORTHANC__REGISTERED_USERS").write_text('{"bob": "from a file"}\n')
    environment = {
        "ORTHANC__NAME": "Here",
        "ORTHANC__DICOM_AET": "ENV",
        "ORTHANC__HTTP_PORT": "8099",
        "ORTHANC__DICOM_CHECK_CALLED_AET": "true",
        "ORTHANC__DICOM_MODALITIES": '{"ct": ["CT", "h", 104]}',
        "ORTHANC__WORKLISTS__ENABLE": "true",
        "ORTHANC__ORTHANC_PEERS__Other": '["http://other/"]',
        "ORTHANC__DICOM_WEB__STUDIES_METADATA": "Full",
        "VNA__DICOM__AET": "not read here",
    }
    file = {
        "DicomAet": "FILE",
        "Worklists": {"Enable": False, "Database": "lists"},
        "OrthancPeers": {"first": ["http://first"]},
    }
    found = settings(tmp_path, file, environment=environment, secrets=secrets)
    assert (found["dicom.aet"], found["http.name"], found["http.port"]) == ("ENV", "Here", 8099)
    assert found["dicom.check_called_aet"] is True
    assert found["dicom.modalities"][0]["name"] == "ct"
    assert found["worklist.folder"] == str(tmp_path / "lists")
    assert [peer["name"] for peer in found["peers.known"]] == ["first", "Other"]
    assert found["http.users"][0]["password_hash"] == hashed("from a file")
    build(site(tmp_path, file, environment=environment, secrets=secrets).given)


def test_the_folder_is_beside_that_of_orthanc_and_relative_names_begin_at_the_file(tmp_path):
    found = settings(
        tmp_path,
        {
            "StorageDirectory": "db",
            "SslEnabled": True,
            "SslCertificate": "both.pem",
            "DicomTlsCertificate": "/abs/own.pem",
            "OrthancPeers": {
                "p": {"URL": "https://x", "CertificateFile": "c", "CertificateKeyFile": "/k"}
            },
        },
    )
    assert found["storage.root"] == str(tmp_path / "db-vna")
    assert found["http.tls_certificate"] == found["http.tls_private_key"]
    assert found["http.tls_certificate"] == str(tmp_path / "both.pem")
    assert found["tls.certificate"] == "/abs/own.pem"
    [peer] = found["peers.known"]
    assert (peer["certificate"], peer["private_key"]) == (str(tmp_path / "c"), "/k")
    stored = tmp_path / "OrthancStorage" / "0f"
    stored.mkdir(parents=True)
    notes = [note.text for note in site(tmp_path, {}).notes if note.kind == "remark"]
    assert notes == [
        f"vna import {stored.parent} --root {tmp_path}/OrthancStorage-vna brings in what Orthanc "
        "has stored"
    ]
    packed = site(tmp_path, {"StorageCompression": True}).notes
    assert any("send all to us as its peer" in note.text for note in packed)
    (stored.parent / "index").write_bytes(b"")
    packed = site(tmp_path, {"StorageCompression": True}).notes
    assert any("brings in what Orthanc has stored" in note.text for note in packed)


@pytest.mark.parametrize(
    ("keys", "host", "authentication", "open_to_all"),
    [
        ({}, "127.0.0.1", None, None),
        ({"AuthenticationEnabled": True}, "127.0.0.1", "on", None),
        ({"AuthenticationEnabled": False}, "127.0.0.1", "off", None),
        ({"RemoteAccessAllowed": True}, "0.0.0.0", "on", None),
        ({"RemoteAccessAllowed": True, "HttpBindAddresses": ["::"]}, "::", "on", None),
        ({"HttpBindAddresses": ["1.2.3.4"]}, "127.0.0.1", None, None),
        (
            {"RemoteAccessAllowed": True, "HttpBindAddresses": ["127.0.0.1", "1.2.3.4"]},
            ["127.0.0.1", "1.2.3.4"],
            "on",
            None,
        ),
        ({"RemoteAccessAllowed": True, "AuthenticationEnabled": False}, "0.0.0.0", "off", True),
    ],
)
def test_who_listens_wide_asks_who_is_there_unless_the_site_says_twice_that_not(
    tmp_path, keys, host, authentication, open_to_all
):
    found = settings(tmp_path, keys)
    assert found["http.host"] == host
    assert found.get("http.authentication") == authentication
    assert found.get("http.allow_remote_unauthenticated") == open_to_all
    build(site(tmp_path, keys).given)


def test_keys_come_to_what_they_mean(tmp_path):
    found = settings(
        tmp_path,
        {
            "OverwriteInstances": "IfChanged",
            "DicomAlwaysAllowStore": False,
            "DicomAlwaysAllowFind": True,
            "DicomScuTimeout": 0,
            "LimitFindInstances": 7,
            "LimitFindResults": 3,
            "ConcurrentJobs": 0,
            "MaximumRequestBodySizeMB": 2,
            "RestApiWriteToFileSystemEnabled": True,
            "TranscodeDicomProtocol": False,
            "DicomModalities": {
                "x": {"AET": "X", "Host": "h", "Port": "104", "RetrieveMethod": "C-GET"}
            },
            "DicomTlsEnabled": True,
            "DicomTlsRemoteCertificateRequired": False,
            "DicomTlsMinimumProtocolVersion": 5,
            "SslEnabled": True,
            "SslVerifyPeers": True,
            "SslMinimumProtocolVersion": 2,
            "HttpsVerifyPeers": False,
            "HttpProxy": "proxy:3128",
            "JpegTransferSyntaxAccepted": False,
            "Dictionary": {
                "0008,0001": ["LO", "Public", 1, 1],
                "0011,1001": ["LO", "Mine", 1, 1, "ME"],
                "00111002": ["DS", "Other"],
            },
            "DefaultPrivateCreator": "US",
            "CheckRevisions": True,
            "UserMetadata": {"mine": 1024},
            "UserContentType": {"sheet": 1025, "scan": [1026, "application/pdf"]},
            "ExtraMainDicomTags": {"Series": ["SeriesNumber", "0018,0015"], "Study": []},
        },
    )
    assert found["index.series_tags"] == ["SeriesNumber", "0018,0015"]
    assert "index.study_tags" not in found
    assert found["notes.check_revisions"] is True
    assert found["notes.metadata"] == [{"name": "mine", "number": 1024}]
    assert [each["number"] for each in found["notes.attachments"]] == [1025, 1026]
    assert found["storage.duplicates"] == "if-changed"
    assert found["dicom.unknown_callers"] == ["echo", "find"]
    assert (found["dicom.scu_timeout_s"], found["dicom.find_limit"]) == (86400, 7)
    assert found["jobs.parallel"] >= 1
    assert found["uploads.max_unpacked_bytes"] == 2 << 20
    assert found["http.export_folder"] == "/"
    [modality] = found["dicom.modalities"]
    assert (modality["port"], modality["transcoding"]) == (104, False)
    assert (modality["retrieve_method"], "timeout_s" in modality) == ("c-get", False)
    assert (found["dicom.tls"], found["dicom.tls_client_certificates"]) == (True, "none")
    assert (found["tls.minimum_version"], found["http.tls_minimum_version"]) == ("1.3", "1.2")
    assert found["http.tls_client_certificates"] == "required"
    assert (found["peers.verify"], found["peers.proxy"]) == (False, "proxy:3128")
    taken = found["dicom.accepted_transfer_syntaxes"]
    assert "1.2.840.10008.1.2.4.5?" not in taken
    assert "1.2.840.10008.1.2.4.8?" in taken
    assert found["dictionary.private"] == [
        {"tag": "0011,0001", "vr": "LO", "name": "Mine", "creator": "ME"},
        {"tag": "0011,0002", "vr": "DS", "name": "Other", "creator": "US"},
    ]


def test_keys_without_effect_are_named_and_unknown_ones_get_a_suggestion(tmp_path):
    keys = {"TcpNoDelay": True, "LuaScripts": ["a.lua"], "DicomAett": "X", "zzz": 1, "_Name": "x"}
    found = {note.key: note for note in site(tmp_path, keys).notes}
    assert (found["TcpNoDelay"].kind, found["TcpNoDelay"].is_quiet) == ("none", True)
    assert (found["LuaScripts"].kind, found["LuaScripts"].is_quiet) == ("none", False)
    assert found["DicomAett"].text == "Orthanc has no such key; did you mean DicomAet?"
    assert (found["zzz"].kind, found["zzz"].text) == ("unknown", "Orthanc has no such key")
    assert "_Name" not in found


@bounded(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
), max_leaves=8), st.sampled_from(sorted(TABLE)))  # fmt: skip
def test_no_value_of_any_key_ends_in_anything_but_settings_or_a_named_problem(value, key):
    from pathlib import Path

    from vna.settings.orthanc.files import Value
    from vna.settings.orthanc.keys import Keys
    from vna.settings.orthanc.site import noted
    from vna.settings.orthanc.site import settings as settings_of

    keys = Keys({key: Value(value, f"x.json: {key}", Path("/etc"))}, Path("/etc"))
    assert list(noted(keys))
    try:
        build(settings_of(keys, hashed))
    except SettingsError as error:
        assert str(error)


@given(st.text(alphabet='{}[],:"/*\\n a1', max_size=40))
def test_what_is_json_stays_what_it_is(text):
    try:
        expected = json.loads(text)
    except ValueError:
        return
    assert json.loads(files.TOKEN.sub(files.blanked, text)) == expected


def test_the_dicomweb_plugin_s_section_is_read(tmp_path):
    section = {
        "Enable": True,
        "Root": "/web/",
        "WadoRoot": "/uri",
        "StowMaxSize": 5,
        "Servers": {
            "a": ["http://a/dicom-web/", "alice", "secret"],
            "b": {"Url": "https://b/", "HasDelete": "1", "CertificateFile": "b.pem"},
        },
    }
    found = settings(tmp_path, {"DicomWeb": section})
    assert (found["dicomweb.root"], found["dicomweb.wado_root"]) == ("/web", "/uri")
    assert found["dicomweb.store_bytes"] == 5 << 20
    first, second = found["dicomweb.servers"]
    assert first["username"] == "alice"
    assert second["has_delete"]
    assert second["certificate"] == str(tmp_path / "b.pem")
    assert "Servers: c" in problem(tmp_path, {"DicomWeb": {"Servers": {"c": ["x", "y"]}}})
