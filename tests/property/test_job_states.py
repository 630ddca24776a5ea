"""The states of jobs against a model: any order of what clients, jobs and crashes do."""

import asyncio
import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from vna import settings as configuration
from vna.control import Control
from vna.errors import BadRequest, Busy, UnknownItem
from vna.jobs import Jobs

DESTINATIONS = (None, "a", "b")
SLOTS = 2
CANCELLED = 37
BUSY = 36
BAD = 8


async def until(condition):
    """Wait without a timer: what is awaited is at work on this loop or on the database's thread."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


class Model:
    """What a job must be like."""

    def __init__(self, number, destination, priority, retries):
        self.number = number
        self.destination = destination
        self.priority = priority
        self.retries = retries
        self.state = "Pending"
        self.saved = 0
        self.error = 0


class JobStates(RuleBasedStateMachine):
    """Jobs that do nothing but wait to be told how to go on."""

    jobs = Bundle("jobs")

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.model = {}
        self.told = {}
        self.submitted = 0
        self.open()

    def open(self):
        root = Path(self.folder.name)
        self.control = Control(root / "control" / "control.sqlite")
        # A retry that is due only when the test says so.
        limits = configuration.Jobs(
            parallel=SLOTS, parallel_per_destination=SLOTS, retry_delay_s=1e5, history=1000
        )
        self.queue = Jobs(limits, root / "outputs")
        self.queue.register("Told", self.work)
        self.run(self.queue.start(self.control))

    async def work(self, job):
        number = job.content["number"]
        assert job.state == (self.model[number].saved or None)
        self.told[number] = asyncio.Queue()
        while True:
            what = await self.told[number].get()
            if what == "succeed":
                return
            if what == "save":
                await job.save((job.state or 0) + 1)
                self.told[number].task_done()
            elif what == "busy":
                raise Busy("later")
            elif what == "bad":
                raise BadRequest("never")

    def run(self, work):
        return self.loop.run_until_complete(work)

    def settle(self):
        """Let all happen that can happen by itself: in the engine, then in the model."""

        async def quiet():
            engine = self.queue._engine
            for _ in range(3):
                engine.wake.set()
                await until(lambda: not engine.wake.is_set())
                async with engine.changing:
                    await self.control.run(lambda connection: None)
                await asyncio.sleep(0)

        self.run(quiet())
        for destination in DESTINATIONS:
            here = [one for one in self.model.values() if one.destination == destination]
            waiting = [one for one in here if one.state == "Pending"]
            waiting.sort(key=lambda one: (-one.priority, one.number))
            free = SLOTS - sum(one.state == "Running" for one in here)
            for one in waiting[:free]:
                one.state = "Running"

    def shown(self, number):
        return json.loads(self.run(self.queue.describe(str(number), 1)))

    @rule(
        target=jobs,
        destination=st.sampled_from(DESTINATIONS),
        priority=st.integers(-2, 2),
        retries=st.integers(0, 2),
    )
    def submit(self, destination, priority, retries):
        number, self.submitted = self.submitted, self.submitted + 1
        self.model[number] = Model(number, destination, priority, retries)
        work = self.queue.submit(
            "Told",
            {"number": number},
            destination=destination,
            priority=priority,
            retries=retries,
            job_id=str(number),
        )
        self.run(work)
        self.settle()
        return number

    def tell(self, number, what):
        """Tell a running job what to do; nothing to another."""
        if self.model[number].state != "Running":
            return False
        self.told[number].put_nowait(what)
        return True

    @rule(number=jobs)
    def save(self, number):
        if self.tell(number, "save"):
            self.run(self.told[number].join())
            self.model[number].saved += 1

    @rule(number=jobs)
    def succeed(self, number):
        if self.tell(number, "succeed"):
            self.run(self.ended(number))
            self.model[number].state, self.model[number].error = "Success", 0
            self.settle()

    @rule(number=jobs, what=st.sampled_from(["busy", "bad"]))
    def fail(self, number, what):
        if not self.tell(number, what):
            return
        self.run(self.ended(number))
        one = self.model[number]
        if what == "busy" and one.retries:
            one.retries -= 1
            one.state, one.error = "Retry", BUSY
        else:
            one.state, one.error = "Failure", BUSY if what == "busy" else BAD
        self.settle()

    async def ended(self, number):
        await until(lambda: str(number) not in self.queue._engine.running)

    @rule(number=jobs)
    def cancel(self, number):
        self.run(self.queue.cancel(str(number), 1))
        one = self.model[number]
        if one.state not in ("Success", "Failure"):
            one.state, one.error = "Failure", CANCELLED
        self.settle()

    @rule(number=jobs)
    def pause(self, number):
        self.run(self.queue.pause(str(number), 1))
        one = self.model[number]
        if one.state == "Running":
            one.error = 0
        if one.state not in ("Success", "Failure"):
            one.state = "Paused"
        self.settle()

    @rule(number=jobs, verb=st.sampled_from(["resume", "resubmit"]))
    def go_on(self, number, verb):
        one = self.model[number]
        is_right = one.state == {"resume": "Paused", "resubmit": "Failure"}[verb]
        try:
            self.run(getattr(self.queue, verb)(str(number), 1))
        except BadRequest:
            assert not is_right
        else:
            assert is_right
            one.state = "Pending"
        self.settle()

    @rule()
    def time_passes(self):
        """What waits to be tried again is due."""
        due = "UPDATE job SET run_after_us = 0 WHERE run_after_us IS NOT NULL"
        self.run(self.control.run(lambda connection: connection.execute(due) and None))
        for one in self.model.values():
            if one.state == "Retry":
                one.state = "Pending"
        self.settle()

    @rule(number=consumes(jobs))
    def remove(self, number):
        try:
            self.run(self.queue.remove(str(number), 1))
        except UnknownItem:
            assert self.model[number].state not in ("Success", "Failure")
            self.run(self.queue.cancel(str(number), 1))
            self.run(self.queue.remove(str(number), 1))
        else:
            assert self.model[number].state in ("Success", "Failure")
        del self.model[number]
        self.settle()

    @rule()
    def stop_and_start(self):
        self.run(self.queue.stop())
        self.control.close()
        self.restarted(lets_go=True)

    @rule()
    def die_and_start(self):
        self.die()
        self.restarted(lets_go=False)

    def die(self):
        """End as kill -9 does: nothing of what runs reaches the database."""
        engine = self.queue._engine
        engine._tending.cancel()
        tasks = [running.task for running in engine.running.values()]
        for running in engine.running.values():
            running.ending = engine._tending
            running.task.cancel()
        self.run(asyncio.wait({engine._tending, *tasks}))
        self.control.close()

    def restarted(self, lets_go):
        for one in self.model.values():
            if one.state == "Running":
                one.state = "Pending"
                if lets_go:
                    one.error = 0  # who lets go says so; who dies says nothing
        self.open()
        self.settle()

    @invariant()
    def jobs_are_as_the_model_has_them(self):
        listed = json.loads(self.run(self.queue.describe_all(1)))
        assert [int(job["ID"]) for job in listed] == sorted(self.model)
        for job in listed:
            one = self.model[int(job["ID"])]
            assert (job["State"], job["ErrorCode"]) == (one.state, one.error), job["ID"]
            assert ("CompletionTime" in job) == (one.state in ("Success", "Failure"))

    def teardown(self):
        self.die()
        self.loop.close()
        self.folder.cleanup()


JobStates.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
test_jobs_go_from_state_to_state_as_the_model_does = JobStates.TestCase
