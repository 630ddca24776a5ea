"""Jobs that send to and fetch from remote nodes: cut off, they go on with what is missing."""

import asyncio

import msgspec
import pytest
from fake_peers import NetworkedArchive

from vna.errors import Cancelled, NotFound, PeerRefused
from vna.services import retrieving, sending
from vna.services.modalities import Contact
from vna.services.named_tags import data_set_of
from vna.services.node import Node
from vna.services.retrieving import Retrieve
from vna.services.sending import PART, Store
from vna.settings import Dicom, Modality, Settings, Storage

PACS = Modality(name="pacs", aet="PACS", host="10.0.0.2", port=11112, parallel=3)
IDS = [str(number) for number in range(1000)]
STUDY = data_set_of({"StudyInstanceUID": "1.2.3"})


async def started(root):
    settings = Settings(storage=Storage(root=str(root)), dicom=Dicom(modalities=[PACS]))
    node = Node(NetworkedArchive(settings))
    await node.start()
    return node


@pytest.fixture
async def node(tmp_path):
    node = await started(tmp_path)
    yield node
    await node.stop()


def store(**options):
    wanted = Store(contact=Contact(modality="pacs"), resources=["study"], instances=IDS, **options)
    return msgspec.to_builtins(wanted)


def fetch(service="move", level="STUDY", identifiers=(STUDY,), **options):
    wanted = Retrieve(
        contact=Contact(modality="pacs"),
        service=service,
        level=level,
        identifiers=list(identifiers),
        target="VNA" if service == "move" else None,
        **options,
    )
    return msgspec.to_builtins(wanted)


def all_taken(node):
    return [each for part in node.archive.core.sendings for each in part.taken]


async def until(condition):
    for _ in range(4000):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not come to that")


async def test_a_send_goes_in_parts_over_as_many_associations_as_are_configured(node):
    shown = await node.jobs.perform(sending.TYPE, store())
    assert shown["FailedInstancesCount"] == 0
    assert all_taken(node) == IDS
    assert {part.batch["parallel"] for part in node.archive.core.sendings} == {3}
    assert max(len(part.taken) for part in node.archive.core.sendings) == PART


async def test_a_send_that_was_cut_off_goes_on_where_it_was(tmp_path):
    first = await started(tmp_path)
    core = first.archive.core
    core.silent_after = [None, 50]
    job = await first.jobs.submit(sending.TYPE, store())
    await until(lambda: len(core.sendings) == 2 and len(core.sendings[1].taken) == 50)
    await first.stop()
    assert core.sendings[1].cancelled
    second = await started(tmp_path)
    await second.jobs.finished(job)
    # What is not known to be done is done again, and nothing else.
    assert all_taken(second) == IDS[PART:]
    await second.stop()


async def test_an_instance_that_is_refused_fails_the_job_which_then_goes_on_with_it(node):
    core = node.archive.core
    core.refused = {"250": 0xA700}
    with pytest.raises(PeerRefused, match=r"1\.2\.250 with status A700: no") as failed:
        await node.jobs.perform(sending.TYPE, store())
    assert failed.value.payload["Content"]["DimseErrorStatus"] == 0xA700
    core.refused = {}
    listed = msgspec.json.decode(await node.jobs.ids(None))
    await node.jobs.resubmit(listed[0], None)
    await node.jobs.finished(listed[0])
    assert set(all_taken(node)) == set(IDS)


async def test_a_permissive_send_counts_what_is_refused(node):
    node.archive.core.refused = {"250": 0xA700, "7": 0x0122}
    shown = await node.jobs.perform(sending.TYPE, store(permissive=True))
    assert shown["FailedInstancesCount"] == 2
    assert len(all_taken(node)) == 998


async def test_a_send_to_a_peer_that_never_answers_is_cancelled_at_once(node):
    core = node.archive.core
    core.silent_after = [3]
    job = await node.jobs.submit(sending.TYPE, store())
    await until(lambda: core.sendings and len(core.sendings[0].taken) == 3)
    await node.jobs.cancel(job, None)
    with pytest.raises(Cancelled):
        await node.jobs.finished(job)
    assert core.sendings[0].cancelled


async def test_a_send_to_a_modality_that_is_gone_says_so(node):
    await node.modalities.remove("pacs")
    with pytest.raises(NotFound, match="'pacs'"):
        await node.jobs.perform(sending.TYPE, store())


async def test_a_commitment_is_asked_for_once_the_peer_has_all(node):
    asked = []

    async def ask(job):
        asked.append(job.content)

    node.jobs.register("StorageCommitmentScu", ask)
    wanted = store(commit=True) | {"instances": ["1", "2"]}
    shown = await node.jobs.perform(sending.TYPE, wanted)
    await until(lambda: asked)
    rows = await node.control.run(
        lambda c: c.execute("SELECT transaction_uid, state FROM commitment").fetchall()
    )
    assert [tuple(row) for row in rows] == [(shown["StorageCommitmentTransactionUID"], "Pending")]
    named = await node.control.run(
        lambda c: c.execute("SELECT sop_instance_uid FROM commitment_instance").fetchall()
    )
    assert [row[0] for row in named] == ["1", "2"]


def counts(remaining, completed, failed=0):
    return {
        "NumberOfRemainingSuboperations": remaining,
        "NumberOfCompletedSuboperations": completed,
        "NumberOfFailedSuboperations": failed,
    }


async def test_a_retrieve_asks_for_one_resource_after_the_other(node):
    others = [data_set_of({"StudyInstanceUID": f"1.2.{number}"}) for number in range(3)]
    await node.jobs.perform("DicomMoveScu", fetch(identifiers=others))
    [peer] = node.archive.core.peers
    asked = [identifier["0020000D"]["Value"][0] for _, _, identifier in peer.asked]
    assert asked == ["1.2.0", "1.2.1", "1.2.2"]
    assert peer.asked[0][1]["MoveDestination"] == "VNA"
    assert [command["MessageID"] for _, command, _ in peer.asked] == [1, 2, 3]
    assert peer.ended == "released"


async def test_a_retrieve_of_which_not_all_came_fails(node):
    node.archive.core.answer = lambda command, identifier: [
        ({"Status": 0xFF00, **counts(1, 1)}, None),
        ({"Status": 0xB000, **counts(0, 1, 1)}, None),
    ]
    with pytest.raises(PeerRefused, match="B000; 1 instances were not transferred") as failed:
        await node.jobs.perform("DicomMoveScu", fetch())
    assert failed.value.status == 0xB000
    assert await node.jobs.perform("DicomMoveScu", fetch(permissive=True))


async def test_how_far_a_retrieve_is_follows_from_its_sub_operations(node):
    node.archive.core.answer = lambda command, identifier: [
        ({"Status": 0xFF00, **counts(3, 1)}, None),
        None,
    ]
    job = await node.jobs.submit("DicomMoveScu", fetch())
    for _ in range(4000):
        described = msgspec.json.decode(await node.jobs.describe(job, None))
        if described["Progress"] == 25:
            break
        await asyncio.sleep(0.005)
    else:
        pytest.fail(f"{described} is not a quarter done")
    await node.jobs.cancel(job, None)
    assert node.archive.core.peers[0].ended == "aborted"


def an_archive_of(instances, moved):
    """Return the answers of a node with one study, one series, and these instances."""

    def answer(command, identifier):
        level = identifier["00080052"]["Value"][0]
        if command["CommandField"] != 0x20:
            moved.append((level, identifier.get("00080018", {}).get("Value")))
        elif level == "SERIES":
            yield {"Status": 0xFF00}, data_set_of({"SeriesInstanceUID": "1.2.3.4"})
        elif level == "IMAGE":
            for uid in instances:
                yield {"Status": 0xFF00}, data_set_of({"SOPInstanceUID": uid})
        yield {"Status": 0}, None

    return answer


async def cut_off(root, service):
    """Return a node and a job of it that has begun to fetch, after its process was stopped."""
    first = await started(root)
    field = {"move": 0x21, "get": 0x10}[service]
    first.archive.core.answer = lambda command, identifier: [
        None if command["CommandField"] == field else ({"Status": 0x0122}, None)
    ]
    job = await first.jobs.submit(retrieving.TYPES[service], fetch(service))
    await until(
        lambda: any(
            command["CommandField"] == field
            for peer in first.archive.core.peers
            for _, command, _ in peer.asked
        )
    )
    await first.stop()
    return Node(NetworkedArchive(first.archive.settings)), job


@pytest.mark.parametrize("service", ["move", "get"])
async def test_a_retrieve_that_was_cut_off_fetches_what_is_missing(tmp_path, service):
    uids = [f"1.2.3.4.{number}" for number in range(450)]
    node, job = await cut_off(tmp_path, service)
    moved = []
    node.archive.core.answer = an_archive_of(uids, moved)
    node.archive.core.here = uids[:300]
    await node.start()
    await node.jobs.finished(job)
    assert moved == [("IMAGE", uids[300:])]
    await node.stop()


async def test_what_is_missing_is_asked_for_in_bounded_requests(tmp_path):
    uids = [f"1.2.3.4.{number}" for number in range(450)]
    node, job = await cut_off(tmp_path, "move")
    moved = []
    node.archive.core.answer = an_archive_of(uids, moved)
    await node.start()
    await node.jobs.finished(job)
    assert [len(values) for _, values in moved] == [200, 200, 50]
    await node.stop()


async def test_a_node_that_cannot_tell_what_it_has_is_asked_for_all_again(tmp_path):
    node, job = await cut_off(tmp_path, "move")
    core = node.archive.core
    core.answer = lambda command, identifier: [
        ({"Status": 0x0122 if command["CommandField"] == 0x20 else 0}, None)
    ]
    await node.start()
    await node.jobs.finished(job)
    levels = [identifier["00080052"]["Value"] for _, _, identifier in core.peers[0].asked]
    assert levels == [["STUDY"]]
    await node.stop()


async def test_classes_that_the_node_names_are_proposed_for_a_get(node):
    def answer(command, identifier):
        if command["CommandField"] == 0x20:
            yield {"Status": 0xFF00}, data_set_of({"SOPClassesInStudy": "1.2.3\\1.2.4"})
        yield {"Status": 0}, None

    node.archive.core.answer = answer
    await node.jobs.perform("DicomGetScu", fetch("get"))
    proposed = node.archive.core.peers[1].specification["contexts"]
    roles = {(each["sop_class_uid"], each["scu"], each["scp"]) for each in proposed}
    assert {("1.2.3", False, True), ("1.2.4", False, True)} < roles
    assert len(roles) == 3
