"""Stored instances written anew and stored: steps, positions, references, what goes wrong."""

import io
import json
import warnings

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from vna import _core
from vna.errors import BadRequest, NotFound
from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.settings import Settings, Storage

CALLER = Caller(way_in="python")
KEY = "000102030405060708090a0b0c0d0e0f"
UIDS = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
STUDY = "1.2.826.0.1.3680043.8.498.1"
RLE = "1.2.840.10008.1.2.5"


def image(series, number, syntax=ExplicitVRLittleEndian, extra=0):
    """One image of a study, which refers to the next one of its series."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    found.StudyInstanceUID = STUDY
    found.SeriesInstanceUID = f"{STUDY}.{series}"
    found.SOPInstanceUID = f"{STUDY}.{series}.{number}"
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    found.InstanceNumber = number
    reference = Dataset()
    reference.ReferencedSOPClassUID = found.SOPClassUID
    reference.ReferencedSOPInstanceUID = f"{STUDY}.{series}.{number + 1}"
    found.ReferencedImageSequence = Sequence([reference])
    if extra:
        found.add_new(0x00420011, "OB", bytes(extra))
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found.save_as(file)
    return _core.reencode(file.getvalue(), transfer_syntax_uid=syntax)


class Bench:
    """An archive in this process, and what was stored in it."""

    def __init__(self, root):
        storage = Storage(root=str(root / "data"), large_object_bytes=1 << 16)
        self.root, self.archive = root, Archive(Settings(storage=storage))
        self.archive.attach()

    async def store(self, *files):
        paths = []
        for number, file in enumerate(files):
            path = self.root / f"{number}.dcm"
            path.write_bytes(file)
            paths.append(bytes(path))
        answers = json.loads(await self.archive.import_files(paths, CALLER))
        assert [answer["Status"] for answer in answers] == ["Success"] * len(files)
        return answers

    async def open(self, recipe, **request):
        as_json = [json.dumps(one).encode() for one in (recipe, request)]
        rewriting = self.archive.core.rewriting(CALLER.to_json(), *as_json)
        total = json.loads(await self.archive.result(rewriting.open()))["total"]
        return rewriting, total

    async def step(self, rewriting, position, count):
        return json.loads(await self.archive.result(rewriting.step(position, count)))

    async def read(self, public_id):
        file = self.archive.core.open_file(1, public_id)
        data = await self.archive.result(file.read(0, file.size))
        return pydicom.dcmread(io.BytesIO(data))


@pytest.fixture
async def bench(tmp_path):
    opened = Bench(tmp_path)
    yield opened
    await opened.archive.stop()


def uids(data_set):
    return [data_set[name].value for name in UIDS]


async def test_a_study_becomes_another_one_whose_references_are_closed(bench):
    stored = await bench.store(*(image(series, n) for series in (1, 2) for n in (1, 2, 3)))
    recipe = {"key": KEY, "level": "Study", "replace": {"PatientName": "Doe^Jane"}}
    study = [{"Type": "Study", "ID": stored[0]["ParentStudy"]}]
    rewriting, total = await bench.open(recipe, resources=study)
    assert total == 6
    told = await bench.step(rewriting, 0, 4) + await bench.step(rewriting, 4, 100)
    assert await bench.step(rewriting, 6, 1) == []
    assert [one["Status"] for one in told] == ["Success"] * 6
    assert {one["From"] for one in told} == {one["ID"] for one in stored}
    assert len({one["ParentStudy"] for one in told}) == 1
    assert len({one["ParentSeries"] for one in told}) == 2
    made = {one["From"]: await bench.read(one["ID"]) for one in told}
    olds = {one["ID"]: await bench.read(one["ID"]) for one in stored}
    for old, new in ((olds[key], made[key]) for key in olds):
        assert new.PatientName == "Doe^Jane"
        assert new.pixel_array.tobytes() == old.pixel_array.tobytes()
        assert not set(uids(new)) & set(uids(old))
        wanted = old.ReferencedImageSequence[0].ReferencedSOPInstanceUID
        next_one = [key for key in olds if olds[key].SOPInstanceUID == wanted]
        found = new.ReferencedImageSequence[0].ReferencedSOPInstanceUID
        assert found == (made[next_one[0]].SOPInstanceUID if next_one else wanted)
    # Once more: the same instances with the same bytes.
    again = await bench.step(rewriting, 0, 6)
    assert [(one["ID"], one["Status"]) for one in again] == [
        (one["ID"], "AlreadyStored") for one in told
    ]
    shown = json.loads(bench.archive.core.resource(1, "instances", told[0]["ID"]))
    assert shown["ModifiedFrom"] == told[0]["From"]


async def test_positions_stay_while_instances_are_written_anew_in_place(bench):
    stored = await bench.store(*(image(1, n) for n in range(1, 6)))
    recipe = {"key": KEY, "force": True, "keep": UIDS, "replace": {"StudyDescription": "New"}}
    series = [{"Type": "Series", "ID": stored[0]["ParentSeries"]}]
    first, total = await bench.open(recipe, resources=series, overwrite=True)
    assert total == 5
    told = await bench.step(first, 0, 2)
    second, total = await bench.open(recipe, resources=series, overwrite=True)
    assert total == 5
    told += await bench.step(second, 2, 3)
    assert [one["ID"] for one in told] == [one["From"] for one in told]
    assert {one["ID"] for one in told} == {one["ID"] for one in stored}
    for one in told:
        assert (await bench.read(one["ID"])).StudyDescription == "New"


async def test_what_a_recipe_made_is_none_of_its_sources(bench):
    stored = await bench.store(*(image(1, n) for n in (1, 2)))
    recipe = {"key": KEY, "level": "Series"}
    study = [{"Type": "Study", "ID": stored[0]["ParentStudy"]}]
    rewriting, _ = await bench.open(recipe, resources=study)
    told = await bench.step(rewriting, 0, 2)
    assert told[0]["ParentStudy"] == stored[0]["ParentStudy"]
    _, total = await bench.open(recipe, resources=study)
    assert total == 2


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
async def test_files_of_every_encoding_stay_what_they_are(bench, syntax):
    stored = await bench.store(image(1, 1, syntax), image(1, 2, syntax, extra=300_000))
    instances = [one["ID"] for one in stored]
    recipe = {"key": KEY, "level": "Instance", "replace": {"PatientName": "Doe^Jane"}}
    rewriting, _ = await bench.open(recipe, instances=instances)
    for told in await bench.step(rewriting, 0, 2):
        old, new = await bench.read(told["From"]), await bench.read(told["ID"])
        assert new.file_meta.TransferSyntaxUID == syntax
        assert new.PatientName == "Doe^Jane"
        assert new.pixel_array.tobytes() == old.pixel_array.tobytes()
        assert new.get("EncapsulatedDocument") == old.get("EncapsulatedDocument")


async def test_the_result_can_be_in_another_transfer_syntax(bench):
    stored = await bench.store(image(1, 1))
    recipe = {"key": KEY, "level": "Instance", "transcode": RLE}
    rewriting, _ = await bench.open(recipe, instances=[stored[0]["ID"]])
    [told] = await bench.step(rewriting, 0, 1)
    old, new = await bench.read(told["From"]), await bench.read(told["ID"])
    assert new.file_meta.TransferSyntaxUID == RLE
    assert new.pixel_array.tobytes() == old.pixel_array.tobytes()
    core = bench.archive.core
    whole = core.rewrite_one(CALLER.to_json(), json.dumps(recipe).encode(), stored[0]["ID"])
    file = pydicom.dcmread(io.BytesIO(await bench.archive.result(whole)))
    assert file == new


async def test_an_instance_that_cannot_be_written_anew_is_named_and_keeps_no_other(bench):
    stored = await bench.store(image(1, 1), image(1, 2))
    gone = stored[0]["ID"][:-8] + "00000000"
    instances = [stored[0]["ID"], gone, stored[1]["ID"]]
    recipe = {"key": KEY, "level": "Instance", "replace": {"SmallestImagePixelValue": "-5"}}
    rewriting, total = await bench.open(recipe, instances=instances)
    assert total == 3
    told = await bench.step(rewriting, 0, 3)
    assert [one["From"] for one in told] == instances
    assert [one["Status"] for one in told] == ["Success", "Failure", "Success"]
    assert told[1]["Code"] == "not_found"
    assert gone in told[1]["Details"]


async def test_what_is_no_recipe_or_no_resource_is_refused(bench):
    with pytest.raises(BadRequest):
        await bench.open({"replace": {"PatientID": "x"}}, instances=[])
    with pytest.raises(NotFound):
        await bench.open({}, resources=[{"Type": "Study", "ID": "0" * 8 + "-00000000" * 4}])
    with pytest.raises(BadRequest):
        bench.archive.core.rewriting(CALLER.to_json(), b"{}", b'{"resources": 1}')
