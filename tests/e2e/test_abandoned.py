"""What is compressed for a client ends when he goes away."""

import io
import re
import socket
import time
from urllib.parse import urlsplit

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.dimse_primitives import C_GET
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet
from support import make_instance

J2K, FRAMES, SIDE = "1.2.840.10008.1.2.4.90", 100, 512


def encoded(server):
    text = server.http.get("/metrics").text
    return int(re.search(r'vna_codec_frames_total\{outcome="encoded"\} (\d+)', text)[1])


@pytest.fixture(scope="module")
def stored(server):
    """Store what takes long to compress."""
    noise = np.random.default_rng(5).integers(0, 1 << 16, (FRAMES, SIDE, SIDE)).astype("<u2")
    pixels = noise.tobytes()
    attributes = {"NumberOfFrames": FRAMES, "Rows": SIDE, "Columns": SIDE}
    file = make_instance(size=len(pixels), PixelData=pixels, **attributes)
    return server.upload(file)["ID"], pydicom.dcmread(io.BytesIO(file))


def frames_of_one_who_goes_away(server, before):
    """Return how many frames were encoded when nothing more is."""
    end = time.monotonic() + 60
    last = -1
    while (now := encoded(server)) != last and time.monotonic() < end:
        last = now
        time.sleep(1)
    return now - before


def test_who_goes_away_is_not_compressed_for_any_more(server, stored):
    public_id, _ = stored
    before = encoded(server)
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port)) as client:
        path = f"/instances/{public_id}/file?transcode={J2K}"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while encoded(server) == before:
            time.sleep(0.02)
    assert frames_of_one_who_goes_away(server, before) < FRAMES
    assert server.http.get("/system").status_code == 200


def test_a_peer_that_aborts_its_c_get_is_not_compressed_for_any_more(server, stored):
    _, data_set = stored
    known = {"AET": "GETSCU", "Host": "127.0.0.1", "Port": 104}
    assert server.http.put("/modalities/getscu", json=known).status_code == 200
    ae = AE("GETSCU")
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_requested_context(data_set.SOPClassUID, J2K)
    role = build_role(data_set.SOPClassUID, scp_role=True)
    association = ae.associate("127.0.0.1", server.dicom_port, ext_neg=[role])
    assert association.is_established
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "STUDY"
    wanted.StudyInstanceUID = data_set.StudyInstanceUID
    before = encoded(server)
    request = C_GET()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = StudyRootQueryRetrieveInformationModelGet
    request.Identifier = io.BytesIO(encode(wanted, is_implicit_vr=True, is_little_endian=True))
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    while encoded(server) == before:
        time.sleep(0.02)
    association.abort()
    assert frames_of_one_who_goes_away(server, before) < FRAMES
