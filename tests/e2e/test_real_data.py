"""Every real DICOM file there is: stored over both ways in, its bytes returned, or refused by name.

pydicom's packaged files are always there; the shared data adds about 1,200 of other origin.
"""

import io
import json
import time
from typing import NamedTuple

import pydicom
import pytest
from pydicom.uid import UID
from pynetdicom import AE, build_context
from pynetdicom.dimse_primitives import C_STORE
from support import awake, data_set_bytes
from support_refusals import REFUSED
from support_samples import (
    collections,
    oracle,
    public_ids,
    shared_data,
    split,
    transfer_syntax,
)

# pydicom warns of values that break the standard, as many here do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

COLLECTIONS = [
    "pydicom",
    "dcm4che",
    "dcm_qa_ct",
    "dcm_qa_nih",
    "dcm_qa_stc",
    "dcmstack",
    "deid-data",
    "derived-charsets",
    "derived-hostile",
    "derived-objects",
    "derived-transfer-syntaxes",
    "derived-worklists",
    "dicom-fuzzing-corpus",
    "dicompyler-core",
    "dicomscope",
    "gcp-medical-imaging",
    "heudiconv",
    "highdicom",
    "ibsi",
    "nema-wg04",
    "nibabel",
    "pylibjpeg-data",
    "pynetdicom",
]
# What these hold cannot be sent as a well-behaved node does; test_hostile.py sends them.
HOSTILE = {"derived-hostile", "dicom-fuzzing-corpus"}
# Worklist items have no SOP class: nothing to negotiate.
NOT_SENT = HOSTILE | {"derived-worklists"}
CONTEXTS_IN_ONE_ASSOCIATION = 128  # odd ids up to 255 (PS3.8 §9.3.2.2)
CANNOT_UNDERSTAND = 0xC000  # PS3.4 §B.2.3


def samples_of(collection):
    found = collections()
    if collection not in found:
        pytest.skip("no shared data; VNA_SHARED names its folder")
    return found[collection]


@pytest.fixture(scope="module")
def archive(start_server):
    return start_server(
        "--set=dicom.accept_unknown_sop_classes=true",
        # Some are streamed to a file of their own, the rest go to the log.
        "--set=storage.large_object_bytes=1000000",
    )


def counts(server):
    found = server.get("/statistics")
    return {key: value for key, value in found.items() if key.startswith(("Count", "Total"))}


def test_every_collection_is_tested():
    assert set(collections()) <= set(COLLECTIONS)


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_an_upload_comes_back_bit_for_bit_or_is_refused_by_name(archive, collection):
    empty = counts(archive)
    refused, wrong = {}, []
    for sample in samples_of(collection):
        data = sample.read()
        answer = archive.http.post("/instances", content=data)
        told = answer.json()
        if answer.status_code != 200:
            assert answer.status_code == 400, (sample.name, told)
            refused[sample.name] = told["Code"]
            assert told["Details"], sample.name
            continue
        ids = tuple(told[key] for key in ("ParentPatient", "ParentStudy", "ParentSeries", "ID"))
        if (told["Status"], ids) != ("Success", public_ids(oracle(data))):
            wrong.append((sample.name, told))
        assert archive.file(told["ID"]) == data, sample.name
        assert archive.http.delete(f"/instances/{told['ID']}").status_code == 200
    assert wrong == []
    assert refused == {
        name: code for name, code in REFUSED.items() if name.partition("/")[0] == collection
    }
    # What was refused left nothing, what was deleted either.
    assert counts(archive) == empty


class Sendable(NamedTuple):
    """What C-STORE needs to know of a file."""

    name: str
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    body: bytes
    ids: tuple

    @property
    def context(self):
        return self.sop_class, self.transfer_syntax


def sendable(sample):
    """Return the file as it is sent, or None: nothing to negotiate without SOP class and UID."""
    data = sample.read()
    _, body = split(data)
    found = oracle(data)
    uids = str(found.get("SOPClassUID", "")), str(found.get("SOPInstanceUID", ""))
    if not all(UID(uid).is_valid for uid in uids):
        return None
    return Sendable(sample.name, *uids, transfer_syntax(data), body, public_ids(found))


def store(association, item):
    """Send the data set as it stands in the file, and return the status."""
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = item.sop_class
    request.AffectedSOPInstanceUID = item.sop_instance
    request.Priority = 2
    request.DataSet = io.BytesIO(item.body)
    (context_id,) = [
        context.context_id
        for context in association.accepted_contexts
        if (context.abstract_syntax, context.transfer_syntax[0]) == item.context
    ]
    # As pynetdicom's own calls do: else its reactor may take the answer.
    awake(association)._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.0005)
    association.dimse.send_msg(request, context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return answer.Status


def associate(server, contexts):
    entity = AE("REAL")
    entity.requested_contexts = [build_context(*context) for context in contexts]
    entity.maximum_pdu_size = 0
    association = entity.associate(server.dicom_host, server.dicom_port, ae_title="VNA")
    assert association.is_established
    return association


@pytest.mark.parametrize("collection", [name for name in COLLECTIONS if name not in NOT_SENT])
def test_a_data_set_sent_as_it_is_comes_back_behind_our_meta_information(archive, collection):
    empty = counts(archive)
    items = [item for item in map(sendable, samples_of(collection)) if item]
    assert items
    contexts = sorted({item.context for item in items})
    assert len(contexts) <= CONTEXTS_IN_ONE_ASSOCIATION
    association = associate(archive, contexts)
    assert len(association.accepted_contexts) == len(contexts)
    refused = {}
    for item in items:
        status = store(association, item)
        if status != 0x0000:
            refused[item.name] = status
            continue
        file = archive.file(item.ids[-1])
        assert_stored_as_received(file, item)
        assert archive.http.delete(f"/instances/{item.ids[-1]}").status_code == 200
    association.release()
    assert refused == {item.name: CANNOT_UNDERSTAND for item in items if item.name in REFUSED}
    assert counts(archive) == empty


def assert_stored_as_received(file, item):
    """The data set's bytes exactly, behind a header that says what the association said."""
    assert data_set_bytes(file) == item.body, item.name
    assert file[:128] == bytes(128)
    meta = pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True).file_meta
    assert meta.TransferSyntaxUID == item.transfer_syntax
    assert meta.MediaStorageSOPClassUID == item.sop_class
    assert meta.MediaStorageSOPInstanceUID == item.sop_instance
    assert meta.SourceApplicationEntityTitle == "REAL"


def test_every_transfer_syntax_that_could_be_made_is_stored(archive):
    items = [item for item in map(sendable, samples_of("derived-transfer-syntaxes")) if item]
    table = json.loads((shared_data() / "derived-transfer-syntaxes/index.json").read_text())
    wanted = {row["ts"] for row in table if "ts" in row}
    assert {item.transfer_syntax for item in items} == wanted
    # One of each, so that the syntax alone decides.
    chosen = {item.transfer_syntax: item for item in items}
    association = associate(archive, [item.context for item in chosen.values()])
    statuses = {name: store(association, item) for name, item in chosen.items()}
    association.release()
    assert statuses == dict.fromkeys(wanted, 0x0000)
    for item in chosen.values():
        assert_stored_as_received(archive.file(item.ids[-1]), item)
        assert archive.http.delete(f"/instances/{item.ids[-1]}").status_code == 200


def test_a_gzip_upload_is_stored_as_it_was_before(archive):
    packed = [sample for sample in samples_of("nibabel") if sample.path.suffix == ".gz"]
    assert packed
    for sample in packed:
        body = sample.path.read_bytes()
        headers = {"Content-Encoding": "gzip"}
        told = archive.http.post("/instances", content=body, headers=headers).json()
        assert archive.file(told["ID"]) == sample.read()
        assert archive.http.delete(f"/instances/{told['ID']}").status_code == 200


def test_where_issuers_count_they_are_part_of_the_ids(start_server):
    server = start_server("--set=storage.patient_issuers=true")
    issued = 0
    for sample in samples_of("deid-data"):
        data = sample.read()
        found = oracle(data)
        issued += public_ids(found) != public_ids(found, issuers=True)
        assert server.upload(data)["ID"] == public_ids(found, issuers=True)[-1], sample.name
    assert issued > 0


@pytest.mark.peers
@pytest.mark.parametrize("collection", ["pydicom", "dcm4che", "nema-wg04", "dicompyler-core"])
def test_dcmtk_sends_what_it_reads_and_gets_it_back(archive, dcmtk, tmp_path, collection):
    """DCMTK writes data sets anew, so the pixels and not the bytes are compared."""
    items = {}
    for sample in samples_of(collection):
        item = sendable(sample)
        if sample.name in REFUSED or sample.name in DCMTK_CANNOT_READ:
            continue
        if item and item.transfer_syntax in DCMTK_WRITES:  # one of those with the same UID
            items.setdefault(item.sop_instance, (item, sample))
    assert items
    folder = tmp_path / "files"
    folder.mkdir()
    for number, (_, sample) in enumerate(items.values()):
        (folder / f"{number}.dcm").write_bytes(sample.read())
    profile = tmp_path / "storescu.cfg"
    profile.write_text(dcmtk_profile({item.context for item, _ in items.values()}))
    address = (archive.dicom_host, str(archive.dicom_port))
    sent = dcmtk(
        "storescu",
        "-v",
        "-nh",
        "-aec",
        "VNA",
        "-xf",
        str(profile),
        "All",
        "+sd",
        *address,
        str(folder),
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert sent.stderr.count("Received Store Response (Success)") == len(items)
    for item, sample in items.values():
        file = archive.file(item.ids[-1])
        meta = pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True).file_meta
        assert meta.TransferSyntaxUID == item.transfer_syntax
        assert pixels(file) == pixels(sample.read()), item.name
        assert archive.http.delete(f"/instances/{item.ids[-1]}").status_code == 200


# Encoded with implicit VR although its transfer syntax is JPEG Baseline.
DCMTK_CANNOT_READ = {"pydicom/test_files/SC_rgb_jpeg.dcm"}
DCMTK_WRITES = {
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
}


def pixels(data):
    """Return the value of Pixel Data, None where there is none."""
    return pydicom.dcmread(io.BytesIO(data), force=True).get("PixelData")


def dcmtk_profile(contexts):
    """Return a configuration of storescu that proposes just these contexts."""
    key = {syntax: f"Syntax{number}" for number, (_, syntax) in enumerate(sorted(contexts))}
    lines = ["[[TransferSyntaxes]]"]
    for syntax, name in key.items():
        lines += [f"[{name}]", f"TransferSyntax1 = {syntax}"]
    lines += ["[[PresentationContexts]]", "[All]"]
    for number, (sop_class, syntax) in enumerate(sorted(contexts), 1):
        lines.append(f"PresentationContext{number} = {sop_class}\\{key[syntax]}")
    lines += ["[[Profiles]]", "[All]", "PresentationContexts = All", ""]
    return "\n".join(lines)
