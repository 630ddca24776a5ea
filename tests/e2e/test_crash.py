"""kill -9 under load, again and again: whatever was answered is there, whatever was deleted is not.

This proves nothing about syncs, since the page cache outlives the process; the engine that cuts the
power in `core-rs` does.
"""

import os
import random
import threading

import httpx
import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from support import data_set_bytes, make_instance, send
from test_store_and_return import identity, public_id

ROUNDS = int(os.environ.get("VNA_CRASH_ROUNDS", "3"))
UPLOADERS = 3


class Ledger:
    """What the server answered for: bytes by id, and ids whose deletion it confirmed."""

    def __init__(self):
        self.lock = threading.Lock()
        self.stored = {}
        self.received = {}
        self.deleted = set()
        self.unsure = set()


def upload_and_delete(url, ledger, stopping, seed):
    chance = random.Random(seed)
    mine = []
    study = generate_uid()
    with httpx.Client(base_url=url, timeout=60) as http:
        while not stopping.is_set():
            data = make_instance(study, patient="CRASH", size=chance.choice([100, 3000, 100_000]))
            try:
                one = http.post("/instances", content=data).json()["ID"]
                with ledger.lock:
                    ledger.stored[one] = data
                mine.append(one)
                if chance.random() < 0.2:
                    victim = mine.pop(chance.randrange(len(mine)))
                    with ledger.lock:
                        # From the request on it may be gone, from the answer on it must be.
                        ledger.unsure.add(victim)
                    if http.delete(f"/instances/{victim}").status_code == 200:
                        with ledger.lock:
                            ledger.deleted.add(victim)
            except httpx.HTTPError:
                return  # the kill


def send_until_killed(server, ledger, stopping):
    entity = AE("CRASH")
    entity.dimse_timeout = 10
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = entity.associate(server.dicom_host, server.dicom_port)
    while not stopping.is_set() and association.is_established:
        data = make_instance(patient="CRASH", size=2000)
        try:
            status = send(association, dcmread(DicomBytesIO(data)))
        except RuntimeError:
            return
        if "Status" in status and status.Status == 0x0000:
            with ledger.lock:
                ledger.received[public_id(*identity(data))] = data
    association.abort()


@pytest.mark.crash
def test_nothing_that_was_answered_is_lost(start_server):
    flags = ("--set=storage.segment_bytes=2000000", "--set=storage.large_object_bytes=65536")
    server = start_server(*flags)
    ledger = Ledger()
    for round_ in range(ROUNDS):
        stopping = threading.Event()
        threads = [
            threading.Thread(target=upload_and_delete, args=(server.url, ledger, stopping, seed))
            for seed in range(round_ * UPLOADERS, (round_ + 1) * UPLOADERS)
        ]
        threads.append(threading.Thread(target=send_until_killed, args=(server, ledger, stopping)))
        for thread in threads:
            thread.start()
        stopping.wait(random.Random(round_).uniform(0.2, 1.5))
        server.kill()
        stopping.set()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        server.start()
        verify(server, ledger)
    assert len(ledger.stored) > ROUNDS
    assert len(ledger.received) > 0
    assert server.stop() == 0


def verify(server, ledger):
    listed = set(server.get("/instances"))
    for one, data in ledger.stored.items():
        if one in ledger.deleted:
            assert one not in listed, "a deletion was undone"
        elif one in listed:
            assert server.file(one) == data
        else:
            assert one in ledger.unsure, f"{one} was answered and is lost"
    for one, data in ledger.received.items():
        assert data_set_bytes(server.file(one)) == data_set_bytes(data)
    statistics = server.get("/statistics")
    assert statistics["CountInstances"] == len(listed)
    changes = server.get("/changes?limit=1000000")["Changes"]
    numbers = [change["Seq"] for change in changes]
    assert numbers == sorted(set(numbers))
    told = {change["ID"] for change in changes if change["ChangeType"] == "NewInstance"}
    assert listed <= told, "a change is missing"
