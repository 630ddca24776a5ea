"""Every transfer syntax that there are files of: sent, stored, retrieved, and the same bytes still.

pydicom brings files of the usual ones; the shared data has one of each that the standard knows.
"""

import contextlib

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet
from support import Server, awake, data_set_bytes
from support_network import Ours
from support_peers import pynetdicom_role
from support_ports import free_port
from support_samples import collections, oracle, shared_data, transfer_syntax

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore::UserWarning")]

SAMPLES_OF_EACH = 2
HOSTILE = {"derived-hostile", "dicom-fuzzing-corpus", "derived-worklists"}
# Of pydicom's own files: what must be there wherever the tests run.
ALWAYS_THERE = {
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
}
SHARED_SYNTAXES = 31


class Sent:
    """One file, and what of it must come back."""

    def __init__(self, data):
        self.data = data
        self.syntax = transfer_syntax(data)
        self.body = data_set_bytes(data)
        header = oracle(data)
        self.sop_class_uid = header.SOPClassUID
        self.instance = header.SOPInstanceUID
        self.study = header.StudyInstanceUID


def samples():
    """Return some files of each transfer syntax, of instances that differ."""
    found, instances = {}, set()
    for collection, files in collections().items():
        if collection in HOSTILE:
            continue
        for file in files:
            with contextlib.suppress(Exception):  # what is no whole DICOM file is none of these
                sent = Sent(file.read())
                of_syntax = found.setdefault(sent.syntax, [])
                if len(of_syntax) < SAMPLES_OF_EACH and sent.instance not in instances:
                    instances.add(sent.instance)
                    of_syntax.append(sent)
    return {syntax: of_syntax for syntax, of_syntax in found.items() if of_syntax}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Run two archives, of which the first knows the second and the second knows who asks."""
    servers = [
        Server(
            tmp_path_factory.mktemp(name) / "data", "--set=dicom.accept_unknown_sop_classes=true"
        )
        for name in ("first", "second")
    ]
    first, second = (Ours(server.start()) for server in servers)
    first.know("second", "SECOND", second.port)
    second.know("scu", "SCU", free_port())
    yield first, second
    for server in servers:
        server.stop()


def got(archive, sent):
    """Get instances over C-GET, each in the transfer syntax that it is stored in."""
    came = {}

    def store(event):
        uid = str(event.request.AffectedSOPInstanceUID)
        came[uid] = (event.context.transfer_syntax, event.request.DataSet.getvalue())
        return 0

    model = StudyRootQueryRetrieveInformationModelGet
    ae = AE("SCU")
    contexts = {(one.sop_class_uid, one.syntax) for one in sent}
    storage = [build_context(uid, syntax) for uid, syntax in sorted(contexts)]
    ae.requested_contexts = [build_context(model), *storage]
    roles = [pynetdicom_role(uid) for uid in sorted({uid for uid, _ in contexts})]
    handlers = [(evt.EVT_C_STORE, store)]
    association = ae.associate(archive.host, archive.port, ext_neg=roles, evt_handlers=handlers)
    assert association.is_established
    for study in {one.study for one in sent}:
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = study
        *_, (status, _) = awake(association).send_c_get(identifier, model)
        assert status.Status == 0, (study, status)
    association.release()
    return came


def test_every_transfer_syntax_arrives_as_it_was_sent(archives):
    first, second = archives
    by_syntax = samples()
    assert set(by_syntax) >= ALWAYS_THERE
    if shared_data():
        assert len(by_syntax) >= SHARED_SYNTAXES
    sent = [one for of_syntax in by_syntax.values() for one in of_syntax]
    ids = [first.server.upload(one.data)["ID"] for one in sent]
    first.post("/modalities/second/store", ids)
    for public_id, one in zip(ids, sent, strict=True):
        assert data_set_bytes(second.server.file(public_id)) == one.body, one.syntax
    came = got(second, sent)
    for one in sent:
        assert came[one.instance] == (one.syntax, one.body), one.syntax
