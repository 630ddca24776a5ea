"""Jobs with invented types: their states, slots, retries, and what survives the process."""

import asyncio
import json
import time
import uuid

import pytest

from vna import settings
from vna.control import Control
from vna.errors import (
    BadRequest,
    Busy,
    Cancelled,
    NotFound,
    OutOfStorage,
    UnknownItem,
    Unreachable,
)
from vna.jobs import Jobs, engine

FAST = settings.Jobs(retry_delay_s=0.01)


class Process:
    """What a server process has of jobs; `died` ends it as kill -9 would."""

    def __init__(self, root, configuration=FAST):
        self.control = Control(root / "control.sqlite")
        self.jobs = Jobs(configuration, root / "outputs")
        self.steps = []
        self.gate = asyncio.Event()
        self.jobs.register("Instant", self.instant)
        self.jobs.register("Gate", self.wait_for_gate)
        self.jobs.register("Steps", self.go_by_steps)
        self.jobs.register("Fail", self.fail)

    async def start(self):
        await self.jobs.start(self.control)
        return self

    async def stop(self):
        await self.jobs.stop()
        self.control.close()

    def died(self):
        tending, self.jobs._engine._tending = self.jobs._engine._tending, None
        tending.cancel()
        for running in self.jobs._engine.running.values():
            running.ending = tending  # nothing of it reaches the database
            running.task.cancel()
        self.control.close()

    async def instant(self, job):
        job.show(Answer=job.content.get("n"))

    async def wait_for_gate(self, job):
        self.steps.append(job.content.get("n"))
        await self.gate.wait()

    async def go_by_steps(self, job):
        for step in range(job.state or 0, job.content["steps"]):
            if step == job.content.get("stop_at") and job.attempt == 1:
                await asyncio.Event().wait()
            self.steps.append(step)
            job.progress((step + 1) / job.content["steps"])
            job.show(Done=step + 1)
            await job.save(step + 1)

    async def fail(self, job):
        self.steps.append(job.attempt)
        if job.attempt <= job.content["times"]:
            raise {"busy": Busy("later"), "bad": BadRequest("never"), "defect": KeyError("x")}[
                job.content["how"]
            ]

    async def shown(self, job_id):
        return json.loads(await self.jobs.describe(job_id, 1))

    async def until(self, job_id, *states):
        for _ in range(1000):
            shown = await self.shown(job_id)
            if shown["State"] in states:
                return shown
            await asyncio.sleep(0.005)
        raise AssertionError(f"{shown['State']}, not {states}")

    async def steps_taken(self, count):
        for _ in range(1000):
            if len(self.steps) >= count:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"{self.steps}, not {count}")


@pytest.fixture
async def process(tmp_path):
    process = await Process(tmp_path).start()
    yield process
    await process.stop()


async def test_a_job_shows_what_clients_of_orthanc_read(process):
    job_id = await process.jobs.submit("Instant", {"n": 7}, priority=3, user_data={"a": [1]})
    assert str(uuid.UUID(job_id)) == job_id
    assert await process.jobs.finished(job_id) == {"n": 7, "Answer": 7}
    shown = await process.shown(job_id)
    stamps = {key: shown.pop(key) for key in ("CreationTime", "CompletionTime", "Timestamp")}
    assert all(len(stamp) == 22 and stamp[8] == "T" for stamp in stamps.values())
    assert isinstance(shown.pop("EffectiveRuntime"), float)
    assert shown == {
        "Content": {"n": 7, "Answer": 7},
        "ErrorCode": 0,
        "ErrorDescription": "Success",
        "ErrorDetails": "",
        "ID": job_id,
        "Priority": 3,
        "Progress": 100,
        "State": "Success",
        "Type": "Instant",
        "UserData": {"a": [1]},
    }


async def test_a_failure_shows_number_and_reason_and_is_raised_to_who_waits(process):
    with pytest.raises(BadRequest, match="never"):
        await process.jobs.perform("Fail", {"times": 1, "how": "bad"}, job_id="a")
    shown = await process.shown("a")
    assert (shown["State"], shown["ErrorCode"]) == ("Failure", 8)
    assert (shown["ErrorDescription"], shown["ErrorDetails"]) == ("Bad request", "never")
    with pytest.raises(BadRequest, match="never"):  # also later, from what was kept
        await process.jobs.finished("a")


async def test_a_defect_fails_its_job_and_no_other(process, caplog):
    job_id = await process.jobs.submit("Fail", {"times": 9, "how": "defect"})
    shown = await process.until(job_id, "Failure")
    assert (shown["ErrorCode"], shown["ErrorDetails"]) == (-1, "see the server's log")
    assert "KeyError" in caplog.text
    assert await process.jobs.perform("Instant", {"n": 1}) == {"n": 1, "Answer": 1}


async def test_what_is_transient_is_tried_again_and_nothing_else_is(process):
    job_id = await process.jobs.submit("Fail", {"times": 2, "how": "busy"})
    await process.until(job_id, "Success")
    assert process.steps == [1, 2, 3]
    process.steps.clear()
    job_id = await process.jobs.submit("Fail", {"times": 1, "how": "bad"})
    await process.until(job_id, "Failure")
    assert process.steps == [1]


async def test_retries_end(process):
    job_id = await process.jobs.submit("Fail", {"times": 99, "how": "busy"}, retries=2)
    shown = await process.until(job_id, "Failure")
    assert process.steps == [1, 2, 3]
    assert shown["ErrorCode"] == 36


async def test_each_retry_waits_longer(tmp_path):
    process = await Process(tmp_path, settings.Jobs(retry_delay_s=500, retries=3)).start()
    job_id = await process.jobs.submit("Fail", {"times": 99, "how": "busy"})
    waits = []

    def due(connection):
        row = connection.execute("SELECT run_after_us, unixepoch() AS now FROM job").fetchone()
        connection.execute("UPDATE job SET run_after_us = 0")
        return row["run_after_us"] and row["run_after_us"] / 1e6 - row["now"]

    while len(waits) < 3:
        await process.until(job_id, "Retry")
        if wait := await process.control.run(due):  # else it has not run again yet
            waits.append(wait)
            process.jobs._engine.wake.set()
    assert [round(wait, -2) for wait in waits] == [500, 2000, 3600]
    await process.stop()


async def test_a_job_waits_for_its_time(process):
    late = await process.jobs.submit("Instant", {}, run_after=2e9)
    soon = await process.jobs.submit("Instant", {}, run_after=0)
    await process.jobs.finished(soon)
    assert (await process.shown(late))["State"] == "Pending"


async def test_higher_priority_goes_first_and_else_who_came_first(tmp_path):
    process = Process(tmp_path, settings.Jobs(parallel_per_destination=1))
    await process.jobs._engine.changing.acquire()  # nothing begins before all wait
    await process.start()
    for number, priority in enumerate((0, 5, -2, 5)):
        last = await process.jobs.submit("Gate", {"n": number}, destination="x", priority=priority)
    process.jobs._engine.changing.release()
    process.gate.set()
    await process.jobs.finished(last)
    await process.steps_taken(4)
    assert process.steps == [1, 3, 0, 2]
    await process.stop()


async def test_stuck_destinations_hold_their_own_slots_only(process):
    stuck = [
        await process.jobs.submit("Gate", {"n": n}, destination=f"peer {n % 10}") for n in range(50)
    ]
    await process.steps_taken(20)
    for destination in ("another", None):
        job = {"n": 1}
        assert await process.jobs.perform("Instant", job, destination=destination)
    states = [(await process.shown(job_id))["State"] for job_id in stuck]
    assert (states.count("Running"), states.count("Pending")) == (20, 30)
    process.jobs.limit("peer 0", 5)
    await process.steps_taken(23)
    process.gate.set()
    for job_id in stuck:
        await process.jobs.finished(job_id)


async def test_cancel_ends_a_job_wherever_it_is(process):
    running = await process.jobs.submit("Gate", {}, destination="x")
    await process.until(running, "Running")
    pending = await process.jobs.submit("Instant", {}, run_after=2e9)
    paused = await process.jobs.submit("Instant", {}, run_after=2e9)
    await process.jobs.pause(paused, 1)
    waiting = asyncio.create_task(process.jobs.finished(pending))
    await asyncio.sleep(0.01)
    for job_id in (running, pending, paused):
        await process.jobs.cancel(job_id, 1)
        shown = await process.shown(job_id)
        assert (shown["State"], shown["ErrorCode"]) == ("Failure", 37)
        assert shown["ErrorDescription"] == "This job was canceled"
        await process.jobs.cancel(job_id, 1)  # once more does no harm
    with pytest.raises(Cancelled):
        await waiting


async def test_a_job_that_does_not_let_go_is_cancelled_all_the_same(process, monkeypatch):
    monkeypatch.setattr(engine, "LET_GO_S", 0.05)
    begun = asyncio.Event()

    async def stubborn(job):
        begun.set()
        while not process.gate.is_set():
            try:
                await process.gate.wait()
            except asyncio.CancelledError:
                continue
        await job.save("too late")
        job.show(Late=True)

    process.jobs.register("Stubborn", stubborn)
    process.jobs.limit("x", 1)
    job_id = await process.jobs.submit("Stubborn", {}, destination="x")
    await begun.wait()
    await process.jobs.cancel(job_id, 1)
    assert (await process.shown(job_id))["State"] == "Failure"
    assert await process.jobs.perform("Instant", {}, destination="x")  # its slot is free
    process.gate.set()
    await asyncio.sleep(0.05)
    shown = await process.shown(job_id)
    assert (shown["State"], shown["Content"]) == ("Failure", {})


async def test_of_many_who_cancel_and_pause_at_once_none_leaves_a_job_half_ended(process):
    for _ in range(20):
        job_id = await process.jobs.submit("Gate", {})
        await process.until(job_id, "Running")
        verbs = [process.jobs.pause, process.jobs.cancel, process.jobs.pause, process.jobs.cancel]
        await asyncio.gather(*(verb(job_id, 1) for verb in verbs))
        shown = await process.shown(job_id)
        assert (shown["State"], shown["ErrorCode"]) in [("Failure", 37), ("Paused", 0)]
        await process.jobs.cancel(job_id, 1)
        assert (await process.shown(job_id))["ErrorCode"] == 37
    assert not process.jobs._engine.running


async def test_an_end_that_is_being_written_cannot_be_cancelled(process):
    job_id = await process.jobs.submit("Gate", {"n": 1})
    await process.until(job_id, "Running")
    waiting = asyncio.create_task(process.jobs.finished(job_id))
    await process.shown(job_id)  # it waits by now
    task = process.jobs._engine.running[job_id].task
    slow = asyncio.create_task(process.control.run(lambda c: time.sleep(0.2)))
    process.gate.set()
    await asyncio.sleep(0.05)
    task.cancel()
    assert await asyncio.wait_for(waiting, 30) == {"n": 1}
    await slow


async def test_a_disk_that_is_full_loses_no_job(process):
    waiting = await process.jobs.submit("Gate", {"n": 1})
    await process.until(waiting, "Running")
    pages = await process.control.run(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await process.control.run(lambda c: c.execute(f"PRAGMA max_page_count = {pages}") and None)
    with pytest.raises(OutOfStorage):
        await process.jobs.submit("Instant", {"n": "x" * 100_000})
    process.jobs._engine.running[waiting].job.show(Text="x" * 100_000)
    process.gate.set()
    with pytest.raises(OutOfStorage):
        await process.jobs.finished(waiting)
    assert (await process.shown(waiting))["State"] == "Running"
    # There is room again: its lease ends, and it is run once more.
    await process.control.run(lambda c: c.execute("PRAGMA max_page_count = 100000") and None)
    await process.control.run(lambda c: c.execute("UPDATE job SET lease_us = 1") and None)
    await process.jobs._engine._take_over()
    await process.until(waiting, "Success")


async def test_a_paused_job_goes_on_where_it_was(process):
    job_id = await process.jobs.submit("Steps", {"steps": 5, "stop_at": 2})
    await process.steps_taken(2)
    await process.jobs.pause(job_id, 1)
    shown = await process.shown(job_id)
    assert (shown["State"], shown["Progress"], shown["Content"]["Done"]) == ("Paused", 40, 2)
    with pytest.raises(BadRequest, match="did not fail"):
        await process.jobs.resubmit(job_id, 1)
    await process.jobs.resume(job_id, 1)
    assert (await process.jobs.finished(job_id))["Done"] == 5
    assert process.steps == [0, 1, 2, 3, 4]
    with pytest.raises(BadRequest, match="not paused: Success"):
        await process.jobs.resume(job_id, 1)


async def test_only_what_a_job_saved_survives_it(tmp_path):
    first = await Process(tmp_path).start()

    async def careless(job):
        if job.attempt == 1:
            state = {"steps": [1]}
            await job.save(state)
            state["steps"].append(2)  # begun, and not saved
            job.show(Seen=True)
            await asyncio.Event().wait()
        job.show(Steps=job.state["steps"])

    first.jobs.register("Careless", careless)
    job_id = await first.jobs.submit("Careless", {})
    while "Seen" not in (await first.shown(job_id))["Content"]:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    await first.jobs._engine._keep(first.jobs._engine.running.values())  # as the heartbeat does
    first.died()
    second = Process(tmp_path)
    second.jobs.register("Careless", careless)
    await second.start()
    assert (await second.jobs.finished(job_id)) == {"Seen": True, "Steps": [1]}
    await second.stop()


async def test_a_resubmitted_job_succeeds_and_forgets_its_failure(process):
    job_id = await process.jobs.submit("Fail", {"times": 1, "how": "bad"})
    await process.until(job_id, "Failure")
    await process.jobs.resubmit(job_id, 1)
    shown = await process.until(job_id, "Success")
    assert (shown["ErrorCode"], shown["ErrorDescription"]) == (0, "Success")


async def test_a_killed_process_leaves_its_jobs_to_the_next(tmp_path):
    first = await Process(tmp_path).start()
    job_id = await first.jobs.submit("Steps", {"steps": 4, "stop_at": 2}, user_data="mine")
    waiting = await first.jobs.submit("Instant", {"n": 1}, run_after=2e9)
    await first.steps_taken(2)
    await first.shown(job_id)  # the save of the last step is behind it
    first.died()
    second = await Process(tmp_path).start()
    assert (await second.jobs.finished(job_id))["Done"] == 4
    assert second.steps == [2, 3]
    assert (await second.shown(job_id))["UserData"] == "mine"
    assert (await second.shown(waiting))["State"] == "Pending"
    await second.stop()


async def test_a_process_that_stops_lets_go_at_once(tmp_path):
    first = await Process(tmp_path).start()
    job_id = await first.jobs.submit("Steps", {"steps": 4, "stop_at": 3})
    waiting = asyncio.create_task(first.jobs.finished(job_id))
    await first.steps_taken(3)
    await first.stop()
    with pytest.raises(Busy, match="stopping"):
        await waiting
    second = await Process(tmp_path).start()
    await second.jobs.finished(job_id)
    assert second.steps == [3]
    await second.stop()


async def test_a_job_whose_lease_has_ended_is_run_again(process):
    job_id = await process.jobs.submit("Gate", {"n": 1})
    await process.until(job_id, "Running")
    elsewhere = await process.jobs.submit("Instant", {}, run_after=2e9)

    def as_of_another(connection):
        connection.execute(
            "UPDATE job SET state = 'Running', owner = 'another', lease_us = 1,"
            " run_after_us = NULL WHERE id = ?",
            (elsewhere,),
        )
        connection.execute("UPDATE job SET lease_us = 1 WHERE id = ?", (job_id,))

    await process.control.run(as_of_another)
    await process.jobs._engine._take_over()
    await process.jobs.finished(elsewhere)
    assert process.steps == [1]  # what runs here is not run twice
    process.gate.set()
    await process.jobs.finished(job_id)


async def test_what_a_former_owner_writes_changes_nothing(process):
    job_id = await process.jobs.submit("Steps", {"steps": 2, "stop_at": 1})
    await process.steps_taken(1)
    await process.control.run(lambda c: c.execute("UPDATE job SET owner = 'another'") and None)
    running = process.jobs._engine.running[job_id]
    await running.job.save(99)
    running.task.cancel()
    await running.ended.wait()
    row = await process.control.run(lambda c: dict(c.execute("SELECT * FROM job").fetchone()))
    assert (row["state"], row["saved"], row["owner"]) == ("Running", "1", "another")


async def test_a_type_of_a_former_version_fails_with_its_name(tmp_path):
    first = await Process(tmp_path).start()
    first.jobs.register("Gone", first.wait_for_gate)
    job_id = await first.jobs.submit("Gone", {})
    first.died()
    second = await Process(tmp_path).start()
    shown = await second.until(job_id, "Failure")
    assert "'Gone'" in shown["ErrorDetails"]
    with pytest.raises(BadRequest, match="Gone"):
        await second.jobs.submit("Gone", {})
    await second.stop()


async def test_the_history_has_a_limit_and_what_waits_does_not_count(tmp_path):
    process = await Process(tmp_path, settings.Jobs(history=3)).start()
    waiting = await process.jobs.submit("Instant", {}, run_after=2e9)
    for number in range(6):
        await process.jobs.perform("Instant", {}, job_id=str(number))
    assert json.loads(await process.jobs.ids(1)) == [waiting, "3", "4", "5"]
    await process.stop()


async def test_lists_come_by_page_and_by_tenant(process, monkeypatch):
    monkeypatch.setattr("vna.jobs.jobs.PAGE", 3)
    submitted = [await process.jobs.submit("Instant", {}, run_after=2e9) for _ in range(10)]
    other = await process.jobs.submit("Instant", {}, run_after=2e9, tenant=2)

    async def expanded(*page):
        return [job["ID"] for job in json.loads(await process.jobs.describe_all(*page))]

    for since, limit in ((0, 0), (2, 0), (0, 4), (3, 5), (9, 9), (10, 1)):
        expected = submitted[since:][: limit or None]
        assert json.loads(await process.jobs.ids(1, since, limit)) == expected
        assert await expanded(1, since, limit) == expected
    assert await expanded(2) == [other]
    for verb in ("cancel", "pause", "resume", "resubmit", "describe"):
        with pytest.raises(NotFound):
            await getattr(process.jobs, verb)(other, 1)


async def test_a_job_that_has_ended_can_be_removed_and_no_other(process):
    job_id = await process.jobs.submit("Gate", {})
    with pytest.raises(UnknownItem):
        await process.jobs.remove(job_id, 1)
    process.gate.set()
    await process.jobs.finished(job_id)
    await process.jobs.remove(job_id, 1)
    with pytest.raises(NotFound):
        await process.jobs.describe(job_id, 1)


async def write(job):
    async with job.output("archive", "application/zip", f"{job.id}.zip") as path:
        path.write_bytes(b"z" * job.content["size"])
        if job.content.get("fail"):
            raise Unreachable("no")


async def test_outputs_are_there_until_they_are_removed(process, tmp_path):
    process.jobs.register("Write", write)
    await process.jobs.perform("Write", {"size": 10}, job_id="a")
    await process.jobs.perform("Write", {"size": 20}, job_id="b")
    found = await process.jobs.output("a", 1, "archive")
    assert found.path.read_bytes() == b"z" * 10
    assert (found.media_type, found.filename, found.size) == ("application/zip", "a.zip", 10)
    for wrong in (("a", 1, "other"), ("c", 1, "archive"), ("a", 2, "archive")):
        with pytest.raises(UnknownItem, match="no such output"):
            await process.jobs.output(*wrong)
    await process.jobs.remove_output("a", 1, "archive")
    assert not found.path.exists()
    await process.jobs.remove("b", 1)
    assert list((tmp_path / "outputs").iterdir()) == []


async def test_outputs_have_a_bound_in_bytes(tmp_path):
    process = await Process(tmp_path, settings.Jobs(output_bytes=1 << 20)).start()
    process.jobs.register("Write", write)
    with pytest.raises(OutOfStorage, match=r"jobs\.output_bytes"):
        await process.jobs.perform("Write", {"size": (1 << 20) + 1})
    for name in ("a", "b", "c"):
        await process.jobs.perform("Write", {"size": 400 << 10}, job_id=name)
    with pytest.raises(UnknownItem):
        await process.jobs.output("a", 1, "archive")
    assert (await process.jobs.output("c", 1, "archive")).path.exists()
    assert len(list((tmp_path / "outputs").iterdir())) == 2
    await process.stop()


async def test_a_file_that_is_not_finished_leaves_nothing(process, tmp_path):
    process.jobs.register("Write", write)
    with pytest.raises(Unreachable):
        await process.jobs.perform("Write", {"size": 5, "fail": True})
    assert list((tmp_path / "outputs").iterdir()) == []


async def test_files_that_a_crash_left_are_removed_at_start(tmp_path):
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "half").write_bytes(b"z")
    process = await Process(tmp_path).start()
    assert list((tmp_path / "outputs").iterdir()) == []
    await process.stop()
