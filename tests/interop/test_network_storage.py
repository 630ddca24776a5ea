"""Verification and storage, in both roles, with each peer."""

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.sop_class import Verification
from support import awake
from support_matrix import cell
from support_network import UNCOMPRESSED, arrived, ask_orthanc, associate, run, upload_to_orthanc

pytestmark = [pytest.mark.peer, pytest.mark.peers]

# Verification.


@cell("Verification", "SCP", "DCMTK")
def test_echoscu_is_answered(ours):
    run("echoscu", "-aec", "VNA", ours.host, ours.port)


@cell("Verification", "SCP", "pynetdicom")
def test_pynetdicom_is_answered(ours):
    association = associate(ours, (Verification, UNCOMPRESSED))
    assert association.send_c_echo().Status == 0
    association.release()


@cell("Verification", "SCP", "Orthanc")
def test_orthanc_is_answered(ours, orthanc):
    ask_orthanc(orthanc, "/modalities/vna/echo")


@cell("Verification", "SCU", "DCMTK")
def test_storescp_answers_us(ours, destination):
    ours.post("/modalities/storescp/echo")


@cell("Verification", "SCU", "pynetdicom")
def test_pynetdicom_answers_us(ours, pynet):
    ours.post("/modalities/pynet/echo")


@cell("Verification", "SCU", "Orthanc")
def test_orthanc_answers_us(ours, orthanc):
    ours.post("/modalities/orthanc/echo")


# Storage.


@cell("Storage", "SCP", "DCMTK")
def test_storescu_stores(ours, study):
    run("storescu", "-aec", "VNA", ours.host, ours.port, *study.files)
    assert ours.holds(study) == study.instances


@cell("Storage", "SCP", "pynetdicom")
def test_pynetdicom_stores(ours, study):
    association = associate(ours, (CTImageStorage, [ExplicitVRLittleEndian]))
    for data_set in study.data_sets:
        assert awake(association).send_c_store(data_set).Status == 0
    association.release()
    assert ours.holds(study) == study.instances


@cell("Storage", "SCP", "Orthanc")
def test_orthanc_stores(ours, orthanc, study):
    ids = upload_to_orthanc(orthanc, study)
    ask_orthanc(orthanc, "/modalities/vna/store", ids)
    assert ours.holds(study) == study.instances


@cell("Storage", "SCU", "DCMTK")
def test_we_store_to_storescp(ours, destination, study):
    ours.post("/modalities/storescp/store", ours.upload(study))
    assert study.instances <= arrived(destination)


@cell("Storage", "SCU", "pynetdicom")
def test_we_store_to_pynetdicom(ours, pynet, study):
    ours.post("/modalities/pynet/store", ours.upload(study))
    for sent in study.data_sets:
        assert pynet.stored[sent.SOPInstanceUID] == sent


@cell("Storage", "SCU", "Orthanc")
def test_we_store_to_orthanc(ours, orthanc, study):
    for public_id in ours.upload(study):
        ours.post("/modalities/orthanc/store", [public_id])
        theirs = orthanc.http.get(f"/instances/{public_id}/simplified-tags").json()
        assert theirs["SOPInstanceUID"] in study.instances
