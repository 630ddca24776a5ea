"""Jobs that modify, with a core that is made up: what is done once, again, and not at all."""

import asyncio
import json

import msgspec
import pytest

from vna.errors import EncodingError, NotFound, OutOfStorage
from vna.services import modifying
from vna.services.caller import Caller
from vna.services.modifying import Modification, Recipe
from vna.services.rewriting import failure

CALLER = Caller(way_in="rest")
# Instances that the core has time for in a step.
IN_TIME = 32


class Rewriting:
    """What the core does with a list of instances; new ids are old ones with an n before them."""

    def __init__(self, core, instances):
        self.core, self.instances = core, instances

    def open(self):
        return b'{"total": %d}' % len(self.instances)

    def step(self, position, count, patience_s):
        answers = []
        for public_id in self.instances[position : position + min(count, IN_TIME)]:
            if public_id not in self.core.sources:
                self.core.broken[public_id] = ("not_found", "there is none")
            if public_id in self.core.broken:
                code, details = self.core.broken[public_id]
                answers.append(
                    {"From": public_id, "Status": "Failure", "Code": code, "Details": details}
                )
                continue
            status = "AlreadyStored" if f"n{public_id}" in self.core.stored else "Success"
            self.core.stored.add(f"n{public_id}")
            told = {"From": public_id, "ID": f"n{public_id}", "Status": status}
            for name, of in PARENTS.items():
                told |= {f"From{name}": of, f"Parent{name}": f"n{of}"}
            answers.append(told)
        self.core.steps += 1
        if self.core.steps == self.core.stops_at:
            raise asyncio.CancelledError
        return json.dumps(answers).encode()


PARENTS = {"Series": "series", "Study": "study", "Patient": "patient"}


class Core:
    def __init__(self):
        self.stored, self.broken, self.steps, self.stops_at = set(), {}, 0, None

    def rewriting(self, caller_json, recipe_json, request_json):
        return Rewriting(self, json.loads(request_json)["instances"])


class Archive:
    """Sources i0, i1, ... in one series."""

    def __init__(self, count):
        self.core = Core()
        self.core.sources = self.sources = [f"i{number}" for number in range(count)]
        self.deleted, self.told = [], []

    async def result(self, value):
        await asyncio.sleep(0)
        return value

    _json = result

    async def tell(self, change, level, public_id, caller):
        self.told.append((change, level, public_id))

    async def delete(self, level, public_id, caller):
        if public_id not in self.sources:
            raise NotFound(public_id)
        self.sources.remove(public_id)
        self.deleted.append(public_id)


class Job:
    """A job as it is taken up: with what the one before saved."""

    def __init__(self, content, state=None, type_name="ResourceModification"):
        self.id, self.type, self.tenant = "job", type_name, 1
        self.content, self.state, self.shown, self.fraction = content, state, {}, 0

    def progress(self, fraction):
        self.fraction = fraction

    def show(self, **fields):
        self.shown |= fields

    async def save(self, state):
        self.state = json.loads(json.dumps(state))


class Node:
    def __init__(self, archive):
        self.archive = archive


def modification(archive, **options):
    work = Modification(
        recipe=Recipe(key="00" * 16, level="Study"),
        resources=["study"],
        instances=list(archive.sources),
        kind="Modified",
        caller=CALLER,
        **options,
    )
    return msgspec.to_builtins(work)


def run(archive, job):
    asyncio.run(modifying.run(Node(archive), job))


def test_all_is_made_and_told_of_once():
    archive = Archive(3 * IN_TIME + 1)
    job = Job(modification(archive))
    run(archive, job)
    assert archive.core.stored == {f"n{each}" for each in archive.sources}
    assert archive.told == [("ModifiedStudy", "studies", "nstudy")]
    assert job.shown["ID"] == "nstudy"
    assert (job.shown["Path"], job.shown["PatientID"]) == ("/studies/nstudy", "npatient")
    assert archive.deleted == []
    assert job.fraction == 1


@pytest.mark.parametrize("stops_at", [1, 2, 3])
def test_a_job_that_is_taken_up_again_ends_as_if_nothing_had_happened(stops_at):
    archive = Archive(2 * IN_TIME + 5)
    expected = {f"n{each}" for each in archive.sources}
    first = Job(modification(archive, keep_source=False))
    archive.core.stops_at = stops_at
    with pytest.raises(asyncio.CancelledError):
        run(archive, first)
    assert archive.deleted == []
    assert archive.told == []
    again = Job(first.content, first.state)
    run(archive, again)
    assert archive.core.stored == expected
    assert archive.sources == []
    assert len(archive.told) == 1
    assert again.shown["ID"] == "nstudy"


def test_a_job_that_stopped_while_it_deleted_goes_on_deleting():
    archive = Archive(40)
    first = Job(modification(archive, keep_source=False))
    run(archive, first)
    archive.core.sources = archive.sources = first.content["instances"][20:]
    archive.told.clear()
    again = Job(first.content, first.state)
    run(archive, again)
    assert archive.sources == []
    assert archive.told == []
    assert again.shown["ID"] == "nstudy"


def test_one_that_cannot_be_written_anew_ends_the_job_and_nothing_is_deleted():
    archive = Archive(5)
    archive.core.broken["i3"] = ("header.truncated", "ends early")
    job = Job(modification(archive, keep_source=False))
    with pytest.raises(EncodingError, match="instance i3: ends early") as caught:
        run(archive, job)
    assert caught.value.code == "header.truncated"
    assert archive.deleted == []
    # What it made counts when it is tried again.
    archive.core.broken.clear()
    run(archive, Job(job.content, job.state))
    assert archive.sources == []


def test_a_permissive_job_goes_on_and_keeps_what_could_not_be_written_anew():
    archive = Archive(5)
    archive.core.broken["i3"] = ("header.truncated", "ends early")
    job = Job(modification(archive, keep_source=False, permissive=True))
    run(archive, job)
    assert archive.sources == ["i3"]
    assert job.shown["FailedInstancesCount"] == 1


def test_what_was_deleted_before_it_was_written_anew_is_left_out():
    archive = Archive(5)
    content = modification(archive)
    archive.sources.remove("i2")
    job = Job(content)
    run(archive, job)
    assert "ni2" not in archive.core.stored
    assert len(archive.core.stored) == 4
    assert job.shown["FailedInstancesCount"] == 1


def test_a_bulk_job_shows_all_that_it_made():
    archive = Archive(2)
    job = Job(modification(archive, is_bulk=True))
    run(archive, job)
    assert [(each["Type"], each["ID"]) for each in job.shown["Resources"]] == [
        ("Instance", "ni0"),
        ("Instance", "ni1"),
        ("Series", "nseries"),
        ("Study", "nstudy"),
        ("Patient", "npatient"),
    ]


def test_an_error_of_the_core_is_the_error_of_the_job():
    def of(code):
        answer = {"From": "i", "Status": "Failure", "Code": code, "Details": "why"}
        return failure(msgspec.convert(answer, modifying.Rewritten))

    assert isinstance(of("storage.full"), OutOfStorage)
    assert isinstance(of("not_found"), NotFound)
    assert isinstance(of("anything.else"), EncodingError)
