"""The worklist of a node: over the real core and control database, without a listener."""

import asyncio
import json
import os
import random
from contextlib import asynccontextmanager

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from vna import _core
from vna.control import Control, control_file
from vna.errors import BadRequest, Conflict, NotFound
from vna.services import procedure_steps
from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.services.named_tags import data_set_of, tags_of
from vna.services.worklist import Worklist
from vna.services.worklist import folder as watching
from vna.services.worklist.encoding import EXPLICIT_VR_LITTLE_ENDIAN, decoded
from vna.services.worklist.keys import conditions
from vna.settings import Settings, Storage
from vna.settings import Worklist as WorklistSettings

CT01 = Caller(way_in="dimse", calling_ae_title="CT01")


@asynccontextmanager
async def a_worklist(root, **settings):
    """Give a worklist on an archive of its own."""
    storage = Storage(root=str(root / "archive"))
    archive = Archive(Settings(storage=storage, worklist=WorklistSettings(**settings)))
    archive.attach()
    control = Control(control_file(str(root / "archive")))
    try:
        yield Worklist(archive, control)
    finally:
        control.close()
        await archive.stop()


def item(name="Doe^John", modality="CT", station="CT01", date="20261125", **tags):
    step = {
        "Modality": modality,
        "ScheduledStationAETitle": station,
        "ScheduledProcedureStepStartDate": date,
        "ScheduledProcedureStepStartTime": "101500",
        "ScheduledProcedureStepID": "S1",
    }
    given = {"PatientName": name, "PatientID": "P1", "AccessionNumber": "A1"}
    return given | {"ScheduledProcedureStepSequence": [step]} | tags


def query(patient=None, **step):
    keys = {"PatientName": "", "PatientID": "", "AccessionNumber": "", "StudyInstanceUID": ""}
    wanted = {"Modality": "", "ScheduledProcedureStepStartDate": "", "ScheduledProcedureStepID": ""}
    return keys | (patient or {}) | {"ScheduledProcedureStepSequence": [wanted | step]}


async def names_found(worklist, asked, caller=CT01):
    """Return the names of the patients that a query finds."""
    data_set = data_set_of(asked)
    encoded = _core.data_set_from_json(json.dumps(data_set).encode(), EXPLICIT_VR_LITTLE_ENDIAN)
    identifier = decoded(encoded)
    found = worklist.find(encoded, identifier, EXPLICIT_VR_LITTLE_ENDIAN, caller)
    return sorted([tags_of(decoded(answer))["PatientName"] async for answer in found])


def run(root, work, **settings):
    """Run `work` on a worklist."""

    async def inner():
        async with a_worklist(root, **settings) as worklist:
            await work(worklist)

    asyncio.run(inner())


def test_an_item_is_created_shown_changed_and_deleted(tmp_path):
    async def work(worklist):
        item_id = await worklist.create(item(), 1)
        shown = tags_of(decoded((await worklist.get(item_id, 1)).data_set))
        assert shown["PatientName"] == "Doe^John"
        uid = shown["StudyInstanceUID"]
        assert uid.startswith("2.25.")
        await worklist.change(item_id, item("Roe^Jane"), None, 1)
        shown = tags_of(decoded((await worklist.get(item_id, 1)).data_set))
        assert (shown["PatientName"], shown["StudyInstanceUID"]) == ("Roe^Jane", uid)
        assert [each.id async for each in worklist.all(1)] == [item_id]
        await worklist.delete(item_id, 1)
        with pytest.raises(NotFound):
            await worklist.get(item_id, 1)

    run(tmp_path, work)


@pytest.mark.parametrize(
    "tags",
    [{"PatientID": "1"}, item() | {"ScheduledProcedureStepSequence": [{}, {}]}, item(Nonsense="1")],
)
def test_what_is_no_scheduled_step_is_refused(tmp_path, tags):
    async def work(worklist):
        with pytest.raises(BadRequest):
            await worklist.create(tags, 1)
        assert [each async for each in worklist.all(1)] == []

    run(tmp_path, work)


def test_items_are_answered_until_they_are_finished(tmp_path):
    async def work(worklist):
        item_id = await worklist.create(item(), 1)
        for status, answered in [
            ("IN PROGRESS", True),
            ("COMPLETED", False),
            ("SCHEDULED", True),
            ("DISCONTINUED", False),
        ]:
            await worklist.change(item_id, None, status, 1)
            assert bool(await names_found(worklist, query())) is answered, status
        with pytest.raises(BadRequest, match="takes SCHEDULED"):
            await worklist.change(item_id, None, "DONE", 1)

    run(tmp_path, work)


def test_items_of_a_tenant_are_there_for_it_alone(tmp_path):
    async def work(worklist):
        item_id = await worklist.create(item(), 2)
        assert await names_found(worklist, query()) == []
        assert await names_found(worklist, query(), Caller(way_in="dimse", tenant=2))
        with pytest.raises(NotFound):
            await worklist.delete(item_id, 1)

    run(tmp_path, work)


def test_queries_find_what_the_standard_says(tmp_path):
    async def work(worklist):
        await worklist.create(item("Müller^Jörg", date="20261124"), 1)
        await worklist.create(item("Yamada^Tarou=山田^太郎=やまだ^たろう", modality="MR"), 1)
        await worklist.create(item("O'Brien^Ann", station="MR01", date="20261126"), 1)
        all_names = ["Müller^Jörg", "O'Brien^Ann", "Yamada^Tarou=山田^太郎=やまだ^たろう"]
        muller, brien, yamada = ([name] for name in all_names)
        for asked, expected in [
            (query(), all_names),
            (query({"PatientName": "MÜLLER*"}), muller),
            (query({"PatientName": "O'BRIEN^A*"}), brien),
            (query({"PatientName": "yamada*"}), yamada),
            (query({"PatientName": "*=山田*"}), yamada),
            (query({"PatientID": "P?"}), all_names),
            (query({"PatientID": "P2"}), []),
            (query(Modality="MR"), yamada),
            (query(ScheduledStationAETitle="MR01"), brien),
            (query(ScheduledProcedureStepStartDate="20261125"), yamada),
            (query(ScheduledProcedureStepStartDate="20261125-"), sorted(brien + yamada)),
            (query(ScheduledProcedureStepStartDate="-20261124"), muller),
            (query(ScheduledProcedureStepStartDate="20261124-20261125"), sorted(muller + yamada)),
            (query(ScheduledProcedureStepStartTime="1000-1030"), all_names),
            (query(ScheduledProcedureStepStartTime="1100-1130"), []),
        ]:
            assert await names_found(worklist, asked) == expected, asked

    run(tmp_path, work)


def test_narrowing_leaves_out_nothing_that_matches(tmp_path):
    """The same queries with and without it, on items and keys of many spellings."""
    source = random.Random(4)
    names = ["Ærø^Søren", "Åse", "De Vries^Jan", "de-vries", "ΑΒΓ^Δ", "Ivanov=Иванов", "", "X^Y"]
    dates = ["20261124", "20261125", "20261126", ""]

    async def work(worklist):
        for number in range(60):
            step_tags = {
                "modality": source.choice(["CT", "MR", "", "ct"]),
                "station": source.choice(["CT01", "MR 1", ""]),
                "date": source.choice(dates),
            }
            name = source.choice(names)
            await worklist.create(item(name, **step_tags, PatientID=f"P{number % 7}"), 1)
        narrowed = 0
        for _ in range(120):
            name = source.choice(names)
            patient = {
                "PatientName": source.choice(["", name, name[:3] + "*", name.upper(), "*" + name]),
                "PatientID": source.choice(["", "P1", "P*", "p1", "?2"]),
            }
            step = {
                "Modality": source.choice(["", "CT", "C*", "ct"]),
                "ScheduledStationAETitle": source.choice(["", "CT01", "MR*"]),
                "ScheduledProcedureStepStartDate": source.choice(["", "20261125", "-20261125"]),
            }
            asked = query(patient, **step)
            wanted = data_set_of(asked)
            narrowed += bool(conditions(wanted))
            with_keys = await names_found(worklist, asked)
            encoded = _core.data_set_from_json(
                json.dumps(wanted).encode(), EXPLICIT_VR_LITTLE_ENDIAN
            )
            found = worklist.find(encoded, {}, EXPLICIT_VR_LITTLE_ENDIAN, CT01)
            without = sorted([tags_of(decoded(each))["PatientName"] async for each in found])
            assert with_keys == without, asked
        assert narrowed > 60

    run(tmp_path, work)


def test_own_station_only_answers_a_modality_its_own_items(tmp_path):
    async def work(worklist):
        await worklist.create(item("A"), 1)
        await worklist.create(item("B", station="MR01"), 1)
        assert await names_found(worklist, query()) == ["A"]
        assert await names_found(worklist, query(ScheduledStationAETitle="MR01")) == ["B"]

    run(tmp_path, work, own_station_only=True)


def write_file(path, tags, stamp=None):
    """Write a worklist file as DCMTK does."""
    data_set = Dataset.from_json(data_set_of(tags))
    data_set.SpecificCharacterSet = "ISO_IR 100"
    data_set.file_meta = pydicom.dataset.FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
    data_set.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    path.parent.mkdir(exist_ok=True)
    dcmwrite(path, data_set, enforce_file_format=True)
    if stamp:
        os.utime(path, (stamp, stamp))


def test_worklist_files_come_change_and_go(tmp_path):
    folder = tmp_path / "files"
    write_file(folder / "a.wl", item("Müller^A"))

    async def work(worklist):
        assert await names_found(worklist, query()) == ["Müller^A"]
        write_file(folder / "ward" / "b.wl", item("B"))
        assert await names_found(worklist, query()) == ["B", "Müller^A"]
        (folder / "a.wl").rename(folder / "c.WL")
        (folder / "ward" / "b.wl").unlink()
        assert await names_found(worklist, query()) == ["Müller^A"]
        (only,) = [each async for each in worklist.all(1)]
        assert only.file == "c.WL"
        # Written in place: no folder changes.
        worklist._folder._looked = 0.0
        write_file(folder / "c.WL", item("C"), stamp=1_000_000_000)
        assert await names_found(worklist, query()) == ["C"]

    run(tmp_path, work, folder=str(folder))


def test_a_file_that_changes_again_within_a_step_of_the_clock_is_read_again(tmp_path, monkeypatch):
    folder = tmp_path / "files"
    write_file(folder / "a.wl", item("First"))

    async def work(worklist):
        assert await names_found(worklist, query()) == ["First"]
        # Of the same length, in place, and at the same time as far as the file system can tell.
        before = (folder / "a.wl").stat()
        write_file(folder / "a.wl", item("Other"))
        os.utime(folder / "a.wl", ns=(before.st_atime_ns, before.st_mtime_ns))
        after = (folder / "a.wl").stat()
        for what in ("st_size", "st_mtime_ns", "st_ino"):
            assert getattr(after, what) == getattr(before, what)
        monkeypatch.setattr(watching, "SETTLED_S", 0.0)  # some time later
        worklist._folder._looked = 0.0
        assert await names_found(worklist, query()) == ["Other"]

    run(tmp_path, work, folder=str(folder))


def test_a_folder_that_changes_again_within_a_step_of_the_clock_is_looked_at_again(tmp_path):
    folder = tmp_path / "files"
    write_file(folder / "a.wl", item("A"))

    async def work(worklist):
        assert await names_found(worklist, query()) == ["A"]
        before = folder.stat()
        write_file(folder / "b.wl", item("B"))
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert await names_found(worklist, query()) == ["A", "B"]

    run(tmp_path, work, folder=str(folder))


def test_a_file_keeps_its_status_and_is_not_changed_over_rest(tmp_path):
    folder = tmp_path / "files"
    write_file(folder / "a.wl", item("A"))

    async def work(worklist):
        (only,) = [each async for each in worklist.all(1)]
        with pytest.raises(Conflict, match=r"a\.wl"):
            await worklist.change(only.id, item("B"), None, 1)
        await worklist.change(only.id, None, "COMPLETED", 1)
        worklist._folder._looked = 0.0
        write_file(folder / "a.wl", item("Renamed"), stamp=1_000_000_000)
        found = await worklist.get(only.id, 1)
        assert found.status == "COMPLETED"
        assert tags_of(decoded(found.data_set))["PatientName"] == "Renamed"
        await worklist.delete(only.id, 1)
        assert not (folder / "a.wl").exists()
        assert [each async for each in worklist.all(1)] == []

    run(tmp_path, work, folder=str(folder))


def test_what_was_performed_counts_for_items_that_come_later(tmp_path):
    folder = tmp_path / "files"
    scheduled = item("A", StudyInstanceUID="1.2.3")
    write_file(folder / "a.wl", scheduled)
    performed = {
        "Modality": "CT",
        "PerformedStationAETitle": "CT01",
        "PerformedProcedureStepStartDate": "20261125",
        "PerformedProcedureStepStartTime": "1015",
        "PerformedProcedureStepStatus": "IN PROGRESS",
        "PerformedProcedureStepID": "PPS1",
        "ScheduledStepAttributesSequence": [
            {"StudyInstanceUID": "1.2.3", "ScheduledProcedureStepID": "S1"}
        ],
    }

    async def work(worklist):
        await procedure_steps.create(worklist._control, "1.9", data_set_of(performed), CT01)
        assert [each.status async for each in worklist.all(1)] == ["IN PROGRESS"]
        (folder / "a.wl").unlink()
        assert [each async for each in worklist.all(1)] == []
        write_file(folder / "a.wl", scheduled)
        assert [each.status async for each in worklist.all(1)] == ["IN PROGRESS"]
        # Of another step of the same study nothing was performed.
        other = item("B", StudyInstanceUID="1.2.3")
        other["ScheduledProcedureStepSequence"][0]["ScheduledProcedureStepID"] = "S2"
        await worklist.create(other, 1)
        statuses = [each.status async for each in worklist.all(1)]
        assert statuses == ["IN PROGRESS", "SCHEDULED"]

    run(tmp_path, work, folder=str(folder))


def test_a_folder_that_goes_away_takes_no_items_with_it(tmp_path, caplog):
    folder = tmp_path / "files"
    write_file(folder / "a.wl", item("A"))

    async def work(worklist):
        assert await names_found(worklist, query()) == ["A"]
        folder.rename(tmp_path / "away")
        for _ in range(3):
            worklist._folder._looked = 0.0
            assert await names_found(worklist, query()) == ["A"]
        assert sum("cannot be read" in record.message for record in caplog.records) == 1
        (tmp_path / "away").rename(folder)
        (folder / "a.wl").unlink()
        assert await names_found(worklist, query()) == []

    run(tmp_path, work, folder=str(folder))


def test_bad_worklist_files_are_named_once_and_left_out(tmp_path, caplog):
    folder = tmp_path / "files"
    write_file(folder / "good.wl", item("Good"))
    whole = (folder / "good.wl").read_bytes()
    (folder / "cut.wl").write_bytes(whole[: len(whole) - 30])
    (folder / "text.wl").write_bytes(b"not DICOM at all")
    (folder / "large.wl").write_bytes(b"\0" * (1 << 20) + whole)
    (folder / "empty.wl").write_bytes(b"")
    (folder / "nowhere.wl").symlink_to(folder / "gone")
    (folder / "folder.wl").mkdir()
    with open(os.fsencode(folder) + b"/\xff.wl", "wb") as file:
        file.write(whole)
    (folder / "notes.txt").write_bytes(b"no worklist file")

    async def work(worklist):
        for _ in range(3):
            worklist._folder._looked = 0.0
            assert await names_found(worklist, query()) == ["Good"]
        named = [record.file for record in caplog.records if "left out" in record.message]
        assert sorted(named) == ["\\udcff.wl", "cut.wl", "empty.wl", "large.wl", "text.wl"]
        write_file(folder / "text.wl", item("Mended"))
        worklist._folder._looked = 0.0
        assert await names_found(worklist, query()) == ["Good", "Mended"]
        # One that gets damaged is not answered as it was.
        (folder / "good.wl").write_bytes(whole[: len(whole) - 31])
        worklist._folder._looked = 0.0
        assert await names_found(worklist, query()) == ["Mended"]

    run(tmp_path, work, folder=str(folder))


def test_a_folder_that_is_not_there_is_told_and_answers_nothing(tmp_path, caplog):
    async def work(worklist):
        await worklist.create(item("A"), 1)
        assert await names_found(worklist, query()) == ["A"]
        assert any("cannot be read" in record.message for record in caplog.records)

    run(tmp_path, work, folder=str(tmp_path / "missing"))
