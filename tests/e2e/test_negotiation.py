"""How associations are let in: services of known and unknown callers, and their contexts."""

import subprocess

import pytest
from pynetdicom import AE, build_context
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)
from support import VNA, ct_small

WORKLIST = "1.2.840.10008.5.1.4.31"
EXPLICIT = "1.2.840.10008.1.2.1"
J2K = "1.2.840.10008.1.2.4.90"


@pytest.fixture(scope="module")
def choosy(start_server, tmp_path_factory):
    root = tmp_path_factory.mktemp("choosy")
    (root / "vna.toml").write_text(
        """
[dicom]
check_called_aet = true
unknown_callers = ["echo"]
accepted_sop_classes = ["1.2.840.10008.5.1.4.1.1.2*"]
rejected_sop_classes = ["1.2.840.10008.5.1.4.1.1.2.1"]
preferred_transfer_syntaxes = ["1.2.840.10008.1.2.4.*"]

[[dicom.ae_titles]]
aet = "TRIAL"
label = "trial"

[[dicom.modalities]]
name = "ct"
aet = "CT01"
host = "127.0.0.1"
port = 11112
allow_find = false
""",
        encoding="utf-8",
    )
    return start_server(f"--config={root / 'vna.toml'}", root=root / "data")


def associate(server, calling, called="VNA", contexts=()):
    ae = AE(ae_title=calling)
    proposed = [build_context(uid, list(syntaxes)) for uid, *syntaxes in contexts]
    return ae.associate(
        server.dicom_host,
        server.dicom_port,
        ae_title=called,
        contexts=proposed or [build_context(Verification)],
    )


def results(association):
    both = [*association.accepted_contexts, *association.rejected_contexts]
    return {str(context.abstract_syntax): context.result for context in both}


def test_who_calls_another_ae_title_is_rejected_with_the_reason(choosy):
    association = associate(choosy, "CT01", called="OTHER")
    assert association.is_rejected
    answer = association.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, 7)
    association = associate(choosy, "CT01", called="TRIAL")
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()


def test_a_context_whose_service_the_caller_may_not_use_is_refused_by_the_user(choosy):
    contexts = [(Verification, EXPLICIT), (CTImageStorage, EXPLICIT)]
    stranger = associate(choosy, "STRANGER", contexts=contexts)
    assert results(stranger) == {Verification: 0, CTImageStorage: 1}
    stranger.release()
    known = associate(choosy, "ct01", contexts=contexts)
    assert results(known) == {Verification: 0, CTImageStorage: 0}
    known.release()


def test_sop_classes_and_transfer_syntaxes_follow_the_configuration(choosy):
    enhanced, mr = "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.4"
    legacy = "1.2.840.10008.5.1.4.1.1.2.2"
    contexts = [(uid, EXPLICIT, J2K) for uid in (CTImageStorage, enhanced, legacy, mr)]
    association = associate(choosy, "CT01", contexts=contexts)
    assert results(association) == {CTImageStorage: 0, legacy: 0, enhanced: 3, mr: 3}
    chosen = {context.transfer_syntax[0] for context in association.accepted_contexts}
    assert chosen == {J2K}
    association.release()


def test_dcmtk_learns_why_it_is_rejected(choosy, dcmtk, tmp_path):
    port = str(choosy.dicom_port)
    told = dcmtk("echoscu", "-aec", "OTHER", "127.0.0.1", port)
    assert told.returncode != 0
    assert "Called AE Title Not Recognized" in told.stderr
    file = tmp_path / "ct.dcm"
    file.write_bytes(ct_small())
    told = dcmtk("storescu", "-aet", "CT01", "-aec", "TRIAL", "127.0.0.1", port, str(file))
    assert told.returncode == 0, told.stderr


def test_a_query_needs_a_known_caller(choosy):
    contexts = [(StudyRootQueryRetrieveInformationModelFind, EXPLICIT)]
    for calling in ("STRANGER", "CT01"):
        association = associate(choosy, calling, contexts=contexts)
        assert set(results(association).values()) <= {1, 3}
        association.abort()


@pytest.fixture(scope="module")
def with_users(start_server, tmp_path_factory):
    server = start_server(
        root=tmp_path_factory.mktemp("identities") / "data",
        environment={"VNA__DICOM__USER_IDENTITY": "require"},
    )
    added = subprocess.run(
        [VNA, "user", "add", "rita", f"--root={server.root}", "--password-stdin"],
        input="correct horse\n",
        text=True,
        capture_output=True,
    )
    assert added.returncode == 0, added.stderr
    return server


def identify(server, identity_type, name=b"rita", passcode=b"correct horse", *, respond=True):
    identity = UserIdentityNegotiation()
    identity.user_identity_type = identity_type
    identity.primary_field = name
    if identity_type == 2:
        identity.secondary_field = passcode
    identity.positive_response_requested = respond
    ae = AE(ae_title="ANY")
    contexts = [build_context(Verification)]
    return ae.associate(server.dicom_host, server.dicom_port, contexts=contexts, ext_neg=[identity])


def test_a_user_identity_is_checked_against_the_users(with_users):
    association = identify(with_users, 2)
    assert association.is_established
    answer = association.acceptor.user_identity
    assert answer.server_response == b""
    association.release()
    association = identify(with_users, 1, respond=False)
    assert association.is_established
    assert association.acceptor.user_identity is None
    association.release()
    assert identify(with_users, 2, passcode=b"wrong").is_rejected
    assert identify(with_users, 1, name=b"nobody").is_rejected
    assert identify(with_users, 3).is_rejected
    assert associate(with_users, "ANY").is_rejected, "one is required"


def test_dcmtk_sends_a_user_identity(with_users, dcmtk, tmp_path):
    file = tmp_path / "ct.dcm"
    file.write_bytes(ct_small())
    to = ("127.0.0.1", str(with_users.dicom_port), str(file))
    told = dcmtk("storescu", "--user", "rita", "--password", "correct horse", "-rsp", *to)
    assert told.returncode == 0, told.stderr
    told = dcmtk("storescu", "--user", "rita", "--password", "wrong", *to)
    assert told.returncode != 0
    assert "Rejected" in told.stderr


def test_changes_at_run_time_hold_from_the_next_association_on(start_server):
    server = start_server()
    contexts = [(WORKLIST, EXPLICIT), (CTImageStorage, EXPLICIT, J2K)]
    association = associate(server, "NEW01", contexts=contexts)
    assert results(association) == {WORKLIST: 1, CTImageStorage: 0}
    known = {"AET": "NEW01", "Host": "127.0.0.1", "Port": 11112}
    assert server.http.put("/modalities/new", json=known).status_code == 200
    syntaxes = server.http.put("/tools/accepted-transfer-syntaxes", json=[J2K])
    assert syntaxes.status_code == 200
    later = associate(server, "NEW01", contexts=contexts)
    assert results(later) == {WORKLIST: 0, CTImageStorage: 0}
    [storage] = [c for c in later.accepted_contexts if c.abstract_syntax == CTImageStorage]
    assert storage.transfer_syntax == [J2K]
    later.release()
    association.release()
    assert server.http.delete("/modalities/new").status_code == 200
    association = associate(server, "NEW01", contexts=contexts)
    assert results(association) == {WORKLIST: 1, CTImageStorage: 0}
    association.release()
    assert server.stop() == 0


def test_the_log_says_who_was_rejected_and_why(choosy):
    assert associate(choosy, "CT01", called="ELSEWHERE").is_rejected
    [line] = [line for line in choosy.output().splitlines() if "ELSEWHERE" in line]
    assert "association rejected" in line
    assert "called_ae_title" in line
