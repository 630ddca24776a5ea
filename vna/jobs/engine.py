"""Running jobs: asyncio tasks on the loop, never threads, each in a slot of its destination."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal

import msgspec

from vna import settings as configuration
from vna.control import Control
from vna.errors import Busy, Cancelled, JobFailed, VnaError
from vna.jobs import failures, queue
from vna.jobs.job import FINISHED, Job, Row, Run
from vna.jobs.outputs import Outputs
from vna.jobs.shown import now_us

logger = logging.getLogger(__name__)

# Renewed three times before it ends: a loop that is busy for some seconds loses no job.
LEASE_S = 30.0
HEARTBEAT_S = LEASE_S / 3
# How long the code of a job may take to let go once it is cancelled; then its slot is given to
# others and what it still does is not heeded.
LET_GO_S = 0.75
# Each failure makes the next attempt wait so many times longer.
BACK_OFF = 4
LONGEST_DELAY_S = 3600.0
# After so many every delay is the longest; a larger power says nothing more.
MOST_BACK_OFFS = 20

Wish = Literal["cancel", "pause", "stop"]
Future = asyncio.Future[dict[str, Any]]


class Running:
    """A job that runs here."""

    def __init__(self, job: Job, retries_left: int, run: Run):
        self.job = job
        self.retries_left = retries_left
        self.run = run
        self.wish: Wish | None = None
        self.ended = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        # Writes the end. Not the job's own task, which may be cancelled once more.
        self.ending: asyncio.Task[None] | None = None

    def ask(self, wish: Wish) -> None:
        """Make it stop for a reason."""
        # Who cancels does not want it any more, even while it is being paused.
        if self.wish != "cancel":
            self.wish = wish
        if self.task is not None:
            self.task.cancel()

    def standing(self) -> queue.Standing:
        """Return how far it is."""
        job = self.job
        visible, runtime_us = msgspec.json.encode(job.shown), int(job.runtime_s * 1e6)
        return queue.Standing(job.id, job.saved, visible.decode(), job.fraction, runtime_us)


class Engine:
    """Takes jobs from the queue, runs them, and writes what becomes of them.

    Attributes
    ----------
    running : dict
        What runs here, by id.
    changing : asyncio.Lock
        Held while a job is neither wholly in the queue nor wholly here.
    wake : asyncio.Event
        Set when there may be something to begin.
    """

    def __init__(self, settings: configuration.Jobs, outputs: Outputs):
        self.settings = settings
        self.outputs = outputs
        self.kinds: dict[str, Run] = {}
        self.slots: dict[str, int] = {}
        self.running: dict[str, Running] = {}
        self.changing = asyncio.Lock()
        self.wake = asyncio.Event()
        self._control: Control | None = None
        self._owner = uuid.uuid4().hex
        self._waiters: dict[str, list[Future]] = {}
        self._tending: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def control(self) -> Control:
        """The control database."""
        if self._control is None:
            raise RuntimeError("the jobs have not been started")
        return self._control

    async def start(self, control: Control) -> None:
        """Go on with what a former process left, and begin with what waits."""
        self._control = control
        # The archive's lock says that no other process has this database.
        taken = await control.run(lambda connection: queue.take_over(connection, None))
        if taken:
            logger.info("jobs of a former process go on", extra={"jobs": len(taken)})
        await self.outputs.sweep(control)
        self._tending = asyncio.create_task(self._tend())

    async def stop(self) -> None:
        """Let go of all that run: the next process goes on with them."""
        self._is_stopping = True
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.wait({self._tending})
            self._tending = None
        all_running = list(self.running.values())
        for running in all_running:
            running.ask("stop")
        await asyncio.gather(*map(self.let_go, all_running))
        for job_id in list(self._waiters):
            self.tell(job_id, Busy("the server is stopping; the job goes on when it is back"))

    @contextlib.contextmanager
    def waiting(self, job_id: str) -> Iterator[Future]:
        """Give a future of the job's end: what it shows then, or why it failed."""
        future: Future = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(job_id, [])
        waiters.append(future)
        try:
            yield future
        finally:
            future.cancel()
            waiters.remove(future)
            if not waiters and self._waiters.get(job_id) is waiters:
                del self._waiters[job_id]

    def tell(self, job_id: str, end: dict[str, Any] | BaseException) -> None:
        """Tell those who wait for a job how it ended."""
        for future in self._waiters.get(job_id, ()):
            if future.done():
                continue
            if isinstance(end, BaseException):
                future.set_exception(end)
            else:
                future.set_result(end)

    async def let_go(self, running: Running) -> None:
        """Wait until a job that was asked to stop has stopped; if it does not, go on without it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LET_GO_S):
                await running.ended.wait()
        if running.ending is None:
            logger.warning(
                "a job does not let go; its slot is free",
                extra={"job": running.job.id, "type": running.job.type},
            )
            self._begin_end(running, asyncio.CancelledError())
        await running.ended.wait()

    async def trim(self) -> None:
        """Forget the oldest jobs that have ended, above the limit of the history."""
        history = self.settings.history
        if await self.control.run(lambda connection: queue.trim(connection, history)):
            await self.outputs.sweep(self.control)

    async def forget(self, ended: Job | Row) -> None:
        """Leave nothing on the disk of the secret of a job that has ended."""
        if ended.secret is not None:
            await self.control.overwrite()

    # What a running job does (`vna.jobs.job.Keeper`).

    async def keep(self, job: Job) -> None:
        """Write how far a job is."""
        running = self.running.get(job.id)
        if running is not None and running.job is job:  # else it was taken from its code
            await self._keep([running])

    def writing(
        self, job: Job, key: str, media_type: str, filename: str
    ) -> AbstractAsyncContextManager[Path]:
        """Give a path to write an output to."""
        return self.outputs.writing(self.control, job.id, key, media_type, filename, now_us())

    # The work itself.

    async def _tend(self) -> None:
        """Begin what is ready, renew leases, take over what others left; until cancelled."""
        renewed = looked = time.monotonic()
        while True:
            self.wake.clear()
            wait_s = HEARTBEAT_S if self.running else LEASE_S
            try:
                wait_s = min(wait_s, await self._begin_ready())
                if time.monotonic() - renewed >= HEARTBEAT_S:
                    renewed = time.monotonic()
                    await self._keep(self.running.values())
                if time.monotonic() - looked >= LEASE_S:
                    looked = time.monotonic()
                    await self._take_over()
            except VnaError as error:
                # A full disk, say: what waits goes on when it is not full any more.
                logger.error("the queue of jobs does not work", extra={"reason": str(error)})
            except Exception:
                logger.exception("the queue of jobs does not work")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self.wake.wait()

    async def _begin_ready(self) -> float:
        """Begin what has a slot; returns in how many seconds the next one is due."""
        async with self.changing:
            used = Counter(each.job.destination for each in self.running.values())
            now = now_us()
            lease = now + int(LEASE_S * 1e6)

            def claim(connection: queue.Connection) -> tuple[list[Row], int | None]:
                def free(destination: str) -> int:
                    return self._slots_of(destination) - used[destination]

                taken = queue.claim(connection, self._owner, now, lease, free)
                return taken, queue.next_due_us(connection)

            taken, due_us = await self.control.run(claim)
            for row in taken:
                self._begin(row)
        return LEASE_S if due_us is None else max(0.0, (due_us - now_us()) / 1e6)

    def _slots_of(self, destination: str) -> int:
        if not destination:
            return self.settings.parallel
        return self.slots.get(destination, self.settings.parallel_per_destination)

    def _begin(self, row: Row) -> None:
        kind = self.kinds.get(row.type, unknown_kind)
        running = Running(Job(row, self), row.retries_left, kind)
        self.running[row.id] = running
        running.task = asyncio.create_task(self._run(running), name=f"job {row.id}")

    async def _run(self, running: Running) -> None:
        """Do one job to its end."""
        how: BaseException | None = None
        try:
            await running.run(running.job)
        except asyncio.CancelledError as error:
            how = error
        except Exception as error:
            how = error
        self._begin_end(running, how)

    def _begin_end(self, running: Running, how: BaseException | None) -> None:
        if running.ending is None:  # else it was given up, and what it says now is too late
            running.ending = asyncio.create_task(self._end(running, how))

    async def _end(self, running: Running, how: BaseException | None) -> None:
        """Write what became of a job, tell who waits, and give its slot to the next."""
        job = running.job
        state, failure, run_after_us = self._outcome(running, how)
        told: dict[str, Any] | BaseException = job.shown
        if state == "Failure":
            told = Cancelled() if failure == failures.CANCELLED else how or JobFailed()
        try:
            standing = running.standing()
            now = now_us()
            await self.control.run(
                lambda connection: queue.end(
                    connection, self._owner, now, standing, state, failure, run_after_us
                )
            )
            if state in FINISHED:
                await self.forget(job)
                await self.trim()
        except Exception as error:
            # Its lease ends, and then it is run again.
            logger.error("the end of a job is not written", extra={"job": job.id}, exc_info=error)
            told = error
        finally:
            # Only now: until its row says that it does not run, it does.
            self.running.pop(job.id, None)
            running.ended.set()
            self.wake.set()
        logger.info("job ended", extra={"job": job.id, "type": job.type, "state": state})
        if state in FINISHED or told is not job.shown:
            self.tell(job.id, told)

    def _outcome(
        self, running: Running, how: BaseException | None
    ) -> tuple[str, queue.Failure | None, int | None]:
        """Return the state that a job goes to, its failure, and when it is run again."""
        if how is None:
            return "Success", None, None
        if isinstance(how, asyncio.CancelledError):
            if running.wish == "pause":
                return "Paused", None, None
            if running.wish == "stop":
                return "Pending", None, None
            return "Failure", failures.CANCELLED, None
        failure = failures.as_failure(how, running.job.id, running.job.type)
        if running.wish == "cancel":
            return "Failure", failures.CANCELLED, None
        if running.retries_left > 0 and failures.is_transient(how):
            # By attempts, not by retries left: a job may have more of them than usual.
            again = min(running.job.attempt - 1, MOST_BACK_OFFS)
            delay_s = self.settings.retry_delay_s * BACK_OFF**again
            return "Retry", failure, now_us() + int(min(delay_s, LONGEST_DELAY_S) * 1e6)
        return "Failure", failure, None

    async def _keep(self, each: Iterable[Running]) -> None:
        standings = [running.standing() for running in each]
        if standings:
            lease = now_us() + int(LEASE_S * 1e6)
            await self.control.run(
                lambda connection: queue.keep(connection, self._owner, lease, standings)
            )

    async def _take_over(self) -> None:
        """Let run again what nobody runs any more."""
        kept, now = list(self.running), now_us()
        taken = await self.control.run(lambda connection: queue.take_over(connection, now, kept))
        if taken:
            logger.warning("jobs whose process is gone go on", extra={"jobs": len(taken)})
            self.wake.set()


async def unknown_kind(job: Job) -> None:
    """Fail a job that a former version or a plugin submitted, of which nothing is known here."""
    raise JobFailed(f"no job is called {job.type!r} here; resubmit it where it is known")
