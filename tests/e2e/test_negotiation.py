"""How associations are let in: services of known and unknown callers, and their contexts."""

import pytest
from pynetdicom import AE, build_context
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)
from support import ct_small

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
