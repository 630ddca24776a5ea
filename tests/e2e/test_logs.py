"""Logs hold UIDs and AE titles, never what tells who a patient is, whatever goes wrong."""

import contextlib
import io
import json
import socket
import time

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelFind, Verification
from support import awake, make_instance, send

# Words that no message of ours has; each stands where it tells something else of the patient.
PLANTED = {
    "PatientName": "Qwopzauber^Xyloklaus",
    "PatientID": "ZZPID77123",
    "PatientBirthDate": "19010203",
    "AccessionNumber": "ACC99QX77",
    "StudyDescription": "Knorpelquast links",
    "PatientComments": "Vrumpf allergy noted",
    "InstitutionName": "Klinik Hinterwutz",
    "ReferringPhysicianName": "Grobschnitz^Ulf",
    "OtherPatientIDs": "OTHERQQ1",
}
# Pieces of them too: a message that cuts a value short leaks all the same.
WORDS = [
    "Qwopzauber", "Xyloklaus", "ZZPID77", "19010203", "ACC99QX", "Knorpelquast", "Vrumpf",
    "Hinterwutz", "Grobschnitz", "OTHERQQ", "Innenname",
]  # fmt: skip


@pytest.fixture(params=["debug", "info", "warning", "error"])
def level(request):
    return request.param


@pytest.fixture(params=["text", "json"])
def chatty(request, level, start_server):
    return start_server(f"--set=log.level={level}", f"--set=log.format={request.param}")


def planted(**attributes):
    inner = Dataset()
    inner.PatientName = "Innenname^Tief"
    return make_instance(**PLANTED | {"RequestAttributesSequence": Sequence([inner])} | attributes)


def without(data, *names):
    found = pydicom.dcmread(io.BytesIO(data))
    for name in names:
        del found[name]
    buffer = io.BytesIO()
    found.save_as(buffer)
    return buffer.getvalue()


def hostile_uploads(data):
    """Yield bodies that are refused, each with the planted words in it."""
    yield data[:300]
    yield data[: len(data) - 30]
    yield without(data, "SOPInstanceUID")
    yield without(data, "StudyInstanceUID", "SeriesInstanceUID")
    yield data[132:]
    yield " ".join(PLANTED.values()).encode()
    # A length that runs over the end, right behind a name.
    at = data.index(b"Qwopzauber")
    yield data[: at - 2] + b"\xff\xff" + data[at:]
    # A name where a UID belongs.
    yield data.replace(b"1.2.826.0.1.3680043", b"Qwopzauber^Xyloklau")


def use_http(server, data):
    answer = server.upload(data)
    server.upload(data)
    second = pydicom.dcmread(io.BytesIO(data))
    second.PatientComments = "Vrumpf allergy changed"
    changed = io.BytesIO()
    second.save_as(changed)
    server.upload(changed.getvalue())  # other bytes: a warning tells it
    for body in hostile_uploads(data):
        server.http.post("/instances", content=body)
    for body in (
        {"Level": "Study", "Query": {"PatientName": "Qwopzauber*"}, "Expand": True},
        {"Level": "Study", "Query": {"PatientID": ["ZZPID77123"]}},
        {"Level": "ZZPID77123", "Query": {"Qwopzauber": "Xyloklaus"}},
    ):
        server.http.post("/tools/find", json=body)
    server.http.post("/tools/lookup", content="ZZPID77123")
    server.http.get("/patients/ZZPID77123")
    server.http.get("/studies?since=Qwopzauber&limit=1")
    server.http.get("/studies?requested-tags=Qwopzauber")
    for path in ("", "/tags", "/simplified-tags", "/file", "/header", "/content/0010-0010"):
        server.http.get(f"/instances/{answer['ID']}{path}")
    server.http.delete(f"/studies/{answer['ParentStudy']}")
    server.http.delete(f"/patients/{answer['ParentPatient']}")


def use_dicom(server, data):
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(Verification)
    entity.add_requested_context(PatientRootQueryRetrieveInformationModelFind)
    good = pydicom.dcmread(io.BytesIO(data))
    entity.add_requested_context(good.SOPClassUID)
    association = entity.associate(server.dicom_host, server.dicom_port, ae_title="VNA")
    assert association.is_established
    send(association, good)
    changed = pydicom.dcmread(io.BytesIO(data))
    changed.PatientComments = "Vrumpf allergy third"
    send(association, changed)
    del changed.StudyInstanceUID
    send(association, changed)
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.PatientName = "Qwopzauber*"
    with contextlib.suppress(ValueError):  # the context may have been refused
        list(awake(association).send_c_find(query, PatientRootQueryRetrieveInformationModelFind))
    # A data set whose UID is another than the command's, and a name.
    mismatch = pydicom.dcmread(io.BytesIO(data))
    request = C_STORE()
    request.MessageID = 7
    request.AffectedSOPClassUID = mismatch.SOPClassUID
    request.AffectedSOPInstanceUID = mismatch.SOPInstanceUID
    request.Priority = 2
    mismatch.add(DataElement("SOPInstanceUID", "UI", "Qwopzauber^Xyloklaus", validation_mode=0))
    context = next(
        c for c in association.accepted_contexts if c.abstract_syntax == mismatch.SOPClassUID
    )
    implicit = context.transfer_syntax[0].is_implicit_VR
    request.DataSet = io.BytesIO(encode(mismatch, implicit, True))
    # As it does itself before it sends: else its reactor may take the answer.
    awake(association)._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    association.dimse.send_msg(request, context.context_id)
    association.dimse.get_msg(block=True)
    association.abort()
    # No DICOM at all: the words as a PDU.
    with socket.create_connection((server.dicom_host, server.dicom_port)) as raw:
        raw.sendall(" ".join(PLANTED.values()).encode())
        raw.settimeout(60)
        with contextlib.suppress(OSError):
            raw.recv(100)


def test_no_log_line_tells_who_a_patient_is(chatty, level):
    data = planted()
    use_http(chatty, data)
    use_dicom(chatty, planted())
    chatty.kill()  # what it finds at the next start is logged too
    chatty.start()
    assert chatty.stop() == 0
    log = chatty.output()
    found = [(word, line) for line in log.splitlines() for word in WORDS if word in line]
    assert not found
    if level in {"debug", "info"}:
        assert "ready" in log
    if level != "error":
        # The refusals and the changed duplicate were told, by UID.
        assert str(pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID) in log
        assert "SENDER" in log
        assert "identity.bad_uid" in log


def test_json_lines_are_objects(start_server):
    server = start_server("--set=log.level=debug", "--set=log.format=json")
    use_http(server, planted())
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.output().splitlines()]
    assert lines
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
