"""How associations are let in: services of known and unknown callers, and their contexts."""

import subprocess
import time

import pytest
from pynetdicom import AE, build_context, build_role
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)
from support import VNA, ct_small
from support_wire import ASSOCIATE_RJ, Wire, request

STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
COMMITMENT = "1.2.840.10008.1.20.1"
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
    with Wire(choosy) as wire:
        wire.send(request(called="OTHER"))
        answer = wire.receive()
    assert answer.kind == ASSOCIATE_RJ
    assert tuple(answer.body[1:]) == (1, 1, 7)  # permanent, by the user, called AE title
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
    # "Not established": pynetdicom takes a rejection that comes at once for a lost connection.
    assert not identify(with_users, 2, passcode=b"wrong").is_established
    assert not identify(with_users, 1, name=b"nobody").is_established
    assert not identify(with_users, 3).is_established
    assert not associate(with_users, "ANY").is_established, "one is required"


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
    assert not associate(choosy, "CT01", called="ELSEWHERE").is_established
    lines = []
    while not lines:  # it is written beside the answer
        lines = [line for line in choosy.output().splitlines() if "ELSEWHERE" in line]
        time.sleep(0.01)
    assert "association rejected" in lines[0]
    assert "called_ae_title" in lines[0]


@pytest.fixture(scope="module")
def open_to_all(start_server):
    everything = "echo,store,find,worklist,move,get,commitment,mpps"
    return start_server(environment={"VNA__DICOM__UNKNOWN_CALLERS": everything})


def test_what_is_proposed_beyond_contexts_is_answered_with_what_there_is(open_to_all):
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid = STUDY_FIND
    extended.service_class_application_information = b"\1\1\1\1"
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = 8
    window.maximum_number_operations_performed = 8
    roles = [
        build_role(CTImageStorage, scu_role=True, scp_role=True),
        build_role(STUDY_FIND, scu_role=True, scp_role=True),
        build_role(COMMITMENT, scu_role=False, scp_role=True),
    ]
    ae = AE(ae_title="ANY")
    contexts = [build_context(uid) for uid in (CTImageStorage, STUDY_FIND, COMMITMENT)]
    association = ae.associate(
        open_to_all.dicom_host,
        open_to_all.dicom_port,
        contexts=contexts,
        ext_neg=[extended, window, *roles],
    )
    assert association.is_established
    acceptor = association.acceptor
    # Relational, combined date and time, no fuzzy names, timezone adjustment (PS3.4 C.5.1.1).
    assert acceptor.sop_class_extended == {STUDY_FIND: b"\1\1\0\1"}
    assert acceptor.asynchronous_operations == (1, 1)
    answered = {
        str(uid): (role.scu_role, role.scp_role) for uid, role in acceptor.role_selection.items()
    }
    assert answered == {
        CTImageStorage: (True, True),
        STUDY_FIND: (True, False),
        COMMITMENT: (False, True),
    }
    assert acceptor.implementation_class_uid
    assert acceptor.implementation_version_name.startswith("VNA")
    assert acceptor.maximum_length == 1 << 20
    association.release()


@pytest.mark.parametrize("model", ["-P", "-S", "-O", "-W"])
def test_dcmtk_asks_each_information_model(open_to_all, dcmtk, model):
    keys = {
        "-P": ["QueryRetrieveLevel=PATIENT", "PatientID"],
        "-S": ["QueryRetrieveLevel=STUDY", "StudyInstanceUID"],
        "-O": ["QueryRetrieveLevel=PATIENT", "PatientID"],
        "-W": ["PatientName", "ScheduledProcedureStepSequence[0].Modality=CT"],
    }[model]
    keys = [word for key in keys for word in ("-k", key)]
    told = dcmtk("findscu", "-v", model, *keys, "127.0.0.1", str(open_to_all.dicom_port))
    assert told.returncode == 0, told.stderr
    assert "Received Final Find Response (Success)" in told.stdout + told.stderr
