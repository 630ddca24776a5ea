"""C-STORE as SCU: batches over real sockets to peers that take them, and to peers that do not."""

import asyncio
import json
import socket
import threading
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    MRImageStorage,
)
from pynetdicom import AllStoragePresentationContexts
from support import ct_small, data_set_bytes, make_instance
from support_sending import Proxy, Receiver, Silent, encode, open_archive, sent, spec, store_all

from vna.errors import AssociationRejected, BadRequest, PeerTimeout, PeerUnreachable


@pytest.fixture
async def archive(tmp_path):
    async with open_archive(tmp_path / "data") as opened:
        yield opened


def sample(name):
    return Path(get_testdata_file(name)).read_bytes()


def begin(archive, receiver, ids, **more):
    return archive.core.send(encode(receiver.spec(instances=ids, **more)))


def uid_of(file):
    return str(pydicom.dcmread(pydicom.filebase.DicomBytesIO(file)).SOPInstanceUID)


async def test_instances_arrive_byte_for_byte_with_their_move_originator(archive):
    files = [make_instance(size=size) for size in (2, 100, 700_000, 2_000_000)]
    files.append(sample("image_dfl.dcm"))  # deflated
    ids = await store_all(archive, files)
    with Receiver() as receiver:
        originator = {"ae_title": "WS1", "message_id": 77}
        progress = await sent(archive, begin(archive, receiver, ids, move_originator=originator))
    assert progress["completed"] == 5
    assert progress["done"]
    assert progress["error"] is None
    assert receiver.associations == 1
    assert {taken[2] for taken in receiver.taken} == {data_set_bytes(file) for file in files}
    assert {taken[3:] for taken in receiver.taken} == {("WS1", 77)}
    assert progress["bytes"] == sum(len(data_set_bytes(file)) for file in files)


async def test_what_a_peer_does_not_take_is_transcoded_without_loss(archive):
    explicit, compressed = ct_small(), sample("JPEG2000.dcm")
    ids = await store_all(archive, [explicit, compressed])
    with Receiver([ImplicitVRLittleEndian]) as receiver:
        progress = await sent(archive, begin(archive, receiver, ids))
    assert (progress["completed"], progress["failures"]) == (2, [])
    assert {syntax for _, syntax, *_ in receiver.taken} == {ImplicitVRLittleEndian}
    for name, taken in zip(["CT_small.dcm", "JPEG2000.dcm"], receiver.taken, strict=True):
        found = pydicom.dcmread(pydicom.filebase.DicomBytesIO(taken[2]), force=True)
        before = pydicom.dcmread(get_testdata_file(name))
        assert found.SOPInstanceUID == before.SOPInstanceUID
        assert found.PixelData[: before.pixel_array.nbytes] == before.pixel_array.tobytes()


async def test_what_a_peer_takes_only_with_loss_fails_with_the_reason(archive):
    explicit = ct_small()
    ids = await store_all(archive, [explicit])
    with Receiver([JPEGExtended12Bit]) as receiver:
        batch = begin(archive, receiver, ids, preferred_transfer_syntax=JPEGExtended12Bit)
        progress = await sent(archive, batch)
    assert (progress["completed"], progress["failed"]) == (0, 1)
    (failure,) = progress["failures"]
    assert failure["id"] == ids[0]
    assert failure["status"] is None
    assert "does not accept" in failure["reason"]


async def test_preferred_syntax_is_for_what_is_uncompressed(archive):
    ids = await store_all(archive, [ct_small(), sample("JPEG2000.dcm")])
    with Receiver() as receiver:
        batch = begin(archive, receiver, ids, preferred_transfer_syntax=ImplicitVRLittleEndian)
        assert (await sent(archive, batch))["completed"] == 2
    assert {taken[1] for taken in receiver.taken} == {
        ImplicitVRLittleEndian,
        "1.2.840.10008.1.2.4.91",
    }


async def test_statuses_are_counted_and_failures_listed(archive):
    files = [make_instance(number=number) for number in range(1, 7)]
    ids = await store_all(archive, files)
    statuses = iter([0x0000, 0xB000, 0xA700, 0xC123, 0x0124, 0xB007])
    with Receiver(status=lambda event: next(statuses)) as receiver:
        progress = await sent(archive, begin(archive, receiver, ids))
    assert (progress["completed"], progress["warning"], progress["failed"]) == (1, 2, 3)
    assert [failure["status"] for failure in progress["failures"]] == [0xA700, 0xC123, 0x0124]
    assert [failure["sop_instance_uid"] for failure in progress["failures"]] == [
        uid_of(file) for file in files[2:5]
    ]
    assert progress["failures"][0]["reason"] == "out of resources (A700)"


async def test_a_batch_that_is_not_permissive_ends_at_the_first_failure(archive):
    ids = await store_all(archive, [make_instance(number=number) for number in range(1, 5)])
    with Receiver(status=0xA700) as receiver:
        progress = await sent(archive, begin(archive, receiver, ids, permissive=False))
    assert (progress["failed"], progress["remaining"], progress["done"]) == (1, 3, True)


async def test_what_is_not_there_fails_and_the_rest_goes(archive):
    ids = await store_all(archive, [make_instance()])
    unknown = "0" * 8 + "-" + "-".join(["12345678"] * 4)
    with Receiver() as receiver:
        progress = await sent(archive, begin(archive, receiver, ["nonsense", unknown, *ids]))
    assert (progress["completed"], progress["failed"]) == (1, 2)
    assert {failure["id"] for failure in progress["failures"]} == {"nonsense", unknown}


async def test_parallel_associations_share_a_batch(archive):
    ids = await store_all(archive, [make_instance(number=number) for number in range(40)])
    with Receiver() as receiver:
        progress = await sent(archive, begin(archive, receiver, ids, parallel=4))
    assert progress["completed"] == 40
    assert 2 <= receiver.associations <= 4
    assert len(receiver.uids()) == 40
    assert set(receiver.uids().values()) == {1}


async def test_more_contexts_than_an_association_has_take_several(archive):
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts][:100]
    files = [make_instance(SOPClassUID=uid) for uid in classes]
    ids = await store_all(archive, files)
    with Receiver() as receiver:
        progress = await sent(archive, begin(archive, receiver, ids))
    assert (progress["completed"], progress["failed"]) == (100, 0)
    # A class takes two contexts at least, as stored and the default one (PS3.8 §9.3.2.2: 128).
    assert receiver.associations > 1
    assert set(receiver.uids().values()) == {1}
    assert {taken[2] for taken in receiver.taken} == {data_set_bytes(file) for file in files}


async def test_a_cut_network_loses_nothing_and_sends_nothing_twice_that_was_answered(archive):
    study = "1.2.826.0.1.3680043.9.9999.1"
    files = [make_instance(study=study, series=study + ".1", number=n) for n in range(1000)]
    ids = await store_all(archive, files)
    with Receiver() as receiver:
        # In the middle of the association request, of instances, and of nothing.
        async with Proxy(receiver.port, cut_after=[40_000, 333, 391_234]) as proxy:
            described = spec(proxy.port, instances=ids)
            progress = await sent(archive, archive.core.send(encode(described)))
            assert proxy.connections == 4
    assert (progress["completed"], progress["failed"], progress["remaining"]) == (1000, 0, 0)
    taken = receiver.uids()
    assert set(taken) == {uid_of(file) for file in files}
    # What was on its way when the network was cut may have arrived although its answer did not.
    assert sum(taken.values()) <= 1000 + 3
    assert progress["error"]["transient"]


async def test_a_peer_that_aborts_at_one_instance_gets_all_others(archive):
    files = [make_instance(number=number) for number in range(10)]
    ids = await store_all(archive, files)
    poison = uid_of(files[4])

    def judge(event):
        if str(event.request.AffectedSOPInstanceUID) == poison:
            event.assoc.abort()
        return 0x0000

    with Receiver(status=judge) as receiver:
        progress = await sent(archive, begin(archive, receiver, ids))
    assert (progress["completed"], progress["failed"]) == (9, 1)
    assert progress["failures"][0]["sop_instance_uid"] == poison
    assert receiver.uids()[poison] == 3
    assert progress["error"]["code"] in ("association.aborted", "peer.closed")


async def test_who_is_not_there_or_refuses_fails_the_batch_at_once(archive):
    ids = await store_all(archive, [make_instance(), make_instance()])
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        described = spec(unused.getsockname()[1], instances=ids)
        progress = await sent(archive, archive.core.send(encode(described)))
    assert progress["failed"] == 2
    assert progress["error"]["code"] == "peer.unreachable"
    with Receiver(title="OTHER", require_called=True) as receiver:
        progress = await sent(archive, begin(archive, receiver, ids))
    assert progress["failed"] == 2
    assert progress["error"]["code"] == "association.rejected"
    assert "called AE title not recognized (source 1, reason 7)" in progress["error"]["message"]
    with Receiver(sop_classes=[MRImageStorage]) as receiver:
        progress = await sent(archive, begin(archive, receiver, ids))
    assert progress["failed"] == 2
    assert progress["error"] is None
    assert progress["failures"][0]["reason"] == (
        f"the peer does not accept the SOP class {CTImageStorage}"
    )


async def test_peers_that_never_answer_hold_nothing_and_can_be_cancelled(archive):
    ids = await store_all(archive, [make_instance(number=number) for number in range(20)])
    threads = threading.active_count()
    with Silent() as silent, Receiver() as receiver:
        described = spec(silent.port, instances=ids, timeout_s=600)
        held = [archive.core.send(encode(described)) for _ in range(50)]
        progress = await sent(archive, begin(archive, receiver, ids))
        assert progress["completed"] == 20
        assert not any(json.loads(one.progress())["done"] for one in held)
        for one in held:
            one.cancel()
        for one in held:
            progress = await asyncio.wait_for(sent(archive, one), 60)
            assert progress["cancelled"]
            assert progress["remaining"] == 20
    assert threading.active_count() <= threads + 3  # those of pynetdicom's server


async def test_a_peer_that_stops_reading_is_cancelled_in_the_middle_of_an_instance(archive):
    ids = await store_all(archive, [make_instance(size=30_000_000)])
    stuck = threading.Event()

    def judge(event):
        stuck.wait(20)
        return 0x0000

    with Receiver(status=judge) as receiver:
        batch = begin(archive, receiver, ids + ids, timeout_s=600)
        await asyncio.to_thread(receiver.called.wait, 20)
        batch.cancel()
        progress = await asyncio.wait_for(sent(archive, batch), 60)
        stuck.set()
    assert progress["cancelled"]
    assert progress["completed"] == 0


async def test_a_silent_peer_ends_at_its_timeout(archive):
    ids = await store_all(archive, [make_instance()])
    with Silent() as silent:
        described = spec(silent.port, instances=ids, timeout_s=0.3)
        progress = await sent(archive, archive.core.send(encode(described)))
    assert progress["failed"] == 1
    assert progress["error"]["code"] == "peer.timeout"
    assert progress["error"]["message"] == (
        "the peer did not accept or reject the association within 0.3 s"
    )


async def test_a_file_that_is_not_stored_can_be_sent(archive):
    file = make_instance(size=1_500_000)

    async def send_file(described, data):
        return json.loads(await archive.result(archive.core.send_file(encode(described), data)))

    with Receiver() as receiver:
        answer = await send_file(receiver.spec(), file)
        assert answer == {
            "sop_class_uid": CTImageStorage,
            "sop_instance_uid": uid_of(file),
            "status": 0,
            "reason": "",
        }
        assert receiver.taken[0][2] == data_set_bytes(file)
    assert json.loads(archive.core.statistics(1))["CountInstances"] == 0
    compressed = sample("JPEG2000.dcm")
    with Receiver([ExplicitVRLittleEndian, ImplicitVRLittleEndian]) as receiver:
        assert (await send_file(receiver.spec(), compressed))["status"] == 0
        assert receiver.taken[0][1] == ExplicitVRLittleEndian
    with Receiver(title="OTHER", require_called=True) as receiver:
        with pytest.raises(AssociationRejected) as rejected:
            await send_file(receiver.spec(), file)
        assert (rejected.value.result, rejected.value.source, rejected.value.reason) == (1, 1, 7)
    with Silent() as silent, pytest.raises(PeerTimeout):
        await send_file(spec(silent.port, timeout_s=0.2), file)
    with pytest.raises(PeerUnreachable):
        await send_file(spec(1), file)
    with pytest.raises(BadRequest, match="AE title"):
        archive.core.send_file(encode(spec(1, called_ae_title="")), file)
