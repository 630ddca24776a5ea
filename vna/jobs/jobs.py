"""The jobs of a node, as services submit them and as clients see them."""

from __future__ import annotations

import logging
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from vna import settings as configuration
from vna.control import Control
from vna.errors import BadRequest, Cancelled, NotFound, UnknownItem
from vna.jobs import failures, outputs, queue
from vna.jobs.engine import Engine
from vna.jobs.job import Job, Output, Row, Run
from vna.jobs.shown import as_now, now_us, stamp

logger = logging.getLogger(__name__)

# Jobs that are described at a time: other work of the database comes between two pages.
PAGE = 1000


class Jobs:
    """The jobs of one node.

    Parameters
    ----------
    settings : vna.settings.Jobs
        Limits.
    folder : Path
        Where outputs go.
    """

    def __init__(self, settings: configuration.Jobs, folder: Path):
        self._settings = settings
        self._outputs = outputs.Outputs(folder, settings.output_bytes)
        self._engine = Engine(settings, self._outputs)

    @property
    def _control(self) -> Control:
        return self._engine.control

    def register(self, type_name: str, run: Run) -> None:
        """Let `run` do the jobs of a type; before `start`, for what a former process left.

        What it raises is the job's failure, and is retried if it is transient. Cancelling and
        pausing arrive as asyncio.CancelledError; it has three quarters of a second to end then.
        """
        self._engine.kinds[type_name] = run

    def limit(self, destination: str, slots: int) -> None:
        """Set how many jobs of one destination run at a time."""
        self._engine.slots[destination] = slots
        self._engine.wake.set()

    async def start(self, control: Control) -> None:
        """Go on with what a former process left, and begin with what waits."""
        await self._engine.start(control)

    async def stop(self) -> None:
        """Let go of all that run: the next process goes on with them."""
        await self._engine.stop()

    async def submit(
        self,
        type_name: str,
        content: dict[str, Any],
        *,
        destination: str | None = None,
        priority: int = 0,
        user_data: Any = None,
        tenant: int = 1,
        user: str = "",
        show: dict[str, Any] | None = None,
        retries: int | None = None,
        run_after: float | None = None,
        job_id: str | None = None,
        secret: Any = None,
    ) -> str:
        """Add a job and return its id; it is on the disk when this returns.

        Parameters
        ----------
        type_name : str
            A registered type.
        content : dict
            What to do, as JSON.
        destination : str, optional
            Whose slots it takes, such as `modality:PACS`; None for work of this machine.
        priority : int
            Higher goes first, within a destination.
        user_data : Any
            JSON that clients get back.
        tenant, user : int, str
            Whose it is and who asked.
        show : dict, optional
            What clients see as `Content` at first; `content` itself if None.
        retries : int, optional
            How often a transient failure is retried; `jobs.retries` if None.
        run_after : float, optional
            Unix time before which it does not begin.
        job_id : str, optional
            Its id, if it was chosen already.
        secret : Any, optional
            JSON that only the job itself sees, and that is forgotten when it has ended.

        Raises
        ------
        StorageFailed
            If it cannot be written.
        """
        if type_name not in self._engine.kinds:
            raise BadRequest(f"no job is called {type_name!r}", "job.unknown_type")
        job = queue.Submission(
            id=job_id or str(uuid.uuid4()),
            tenant=tenant,
            user=user,
            type=type_name,
            priority=priority,
            destination=destination or "",
            content=msgspec.json.encode(content).decode(),
            shown=msgspec.json.encode(content if show is None else show).decode(),
            user_data=None if user_data is None else msgspec.json.encode(user_data).decode(),
            created_us=now_us(),
            run_after_us=None if run_after is None else int(run_after * 1e6),
            retries_left=self._settings.retries if retries is None else retries,
            secret=None if secret is None else msgspec.json.encode(secret).decode(),
        )
        await self._control.run(lambda connection: queue.insert(connection, job))
        self._engine.wake.set()
        logger.info(
            "job submitted",
            extra={"job": job.id, "type": type_name, "destination": destination, "user": user},
        )
        return job.id

    async def perform(self, type_name: str, content: dict[str, Any], **options: Any) -> Finished:
        """Submit a job, wait for its end and return what it shows then.

        `options` are those of `submit`; it is not retried unless they say so, since somebody
        waits. Raises what made it fail.
        """
        job_id = options.setdefault("job_id", str(uuid.uuid4()))
        options.setdefault("retries", 0)
        with self._engine.waiting(job_id) as future:
            await self.submit(type_name, content, **options)
            return await future

    async def finished(self, job_id: str) -> Finished:
        """Wait for the end of a job and return what it shows then.

        Raises
        ------
        NotFound
            If there is no such job.
        VnaError
            What made it fail; Cancelled if it was cancelled.
        """
        # In this order, so that no end is missed between the look and the wait.
        with self._engine.waiting(job_id) as future:
            row = await self._found(job_id, None)
            if row.state == "Failure":
                raise failures.as_error(row)
            if row.state == "Success":
                return dict(msgspec.json.decode(row.shown))
            return await future

    # A tenant's jobs are there for that tenant alone; None: for whoever asks.

    async def describe(self, job_id: str, tenant: int | None) -> bytes:
        """Return one job as JSON; raises NotFound."""
        now = now_us()
        found = await self._control.run(
            lambda connection: queue.describe(connection, job_id, tenant, stamp(now))
        )
        if found is None:
            raise no_job(job_id)
        state, text = found
        return as_now(text, self._job(job_id, state), now)

    async def ids(self, tenant: int | None, since: int = 0, limit: int = 0) -> bytes:
        """Return ids in the order of submission, as JSON; a `limit` of 0 means all."""
        found = await self._control.run(
            lambda connection: queue.ids(connection, tenant, since, limit)
        )
        return found.encode()

    async def describe_all(self, tenant: int | None, since: int = 0, limit: int = 0) -> bytes:
        """Return jobs in the order of submission, as JSON; a `limit` of 0 means all."""
        parts: list[bytes] = []
        now = now_us()
        wanted = queue.Page(tenant, after=0, skipped=since, most=min(limit or PAGE, PAGE))
        while wanted.most:
            page = await self._control.run(partial(queue.page, wanted=wanted, now=stamp(now)))
            if not page:
                break
            parts += [as_now(each.text, self._job(each.id, each.state), now) for each in page]
            left = limit - len(parts) if limit else PAGE
            wanted = queue.Page(tenant, page[-1].sequence, 0, min(left, PAGE))
        return b"[" + b",".join(parts) + b"]"

    async def unfinished(self, type_name: str) -> str | None:
        """Return the id of a job of this type that has not ended, if there is one."""
        return await self._control.run(lambda connection: queue.unfinished(connection, type_name))

    async def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        return await self._control.run(queue.counts)

    async def cancel(self, job_id: str, tenant: int | None) -> None:
        """End a job, whatever it does; nothing to one that has ended. Raises NotFound."""
        engine = self._engine
        async with engine.changing:
            row = await self._found(job_id, tenant)
            running = engine.running.get(job_id)
            if running is None:
                now = now_us()
                ended = await self._control.run(
                    lambda connection: queue.cancel(connection, job_id, now, failures.CANCELLED)
                )
                if ended:
                    await engine.forget(row)
                    await engine.trim()
                    engine.tell(job_id, Cancelled())
                return
            running.ask("cancel")
        await engine.let_go(running)

    async def pause(self, job_id: str, tenant: int | None) -> None:
        """Hold a job until it is resumed; nothing to one that has ended. Raises NotFound."""
        engine = self._engine
        async with engine.changing:
            await self._found(job_id, tenant)
            running = engine.running.get(job_id)
            if running is None:
                await self._control.run(lambda connection: queue.pause(connection, job_id))
                return
            running.ask("pause")
        await engine.let_go(running)

    async def resume(self, job_id: str, tenant: int | None) -> None:
        """Let a paused job go on; raises BadRequest if it is not paused, NotFound."""
        row = await self._found(job_id, tenant)
        if not await self._control.run(lambda connection: queue.resume(connection, job_id)):
            raise BadRequest(f"job {job_id} is not paused: {row.state}", "job.not_paused")
        self._engine.wake.set()

    async def resubmit(self, job_id: str, tenant: int | None) -> None:
        """Let a failed job try again, from what it had saved; raises BadRequest, NotFound."""
        row = await self._found(job_id, tenant)
        if not await self._control.run(lambda connection: queue.resubmit(connection, job_id)):
            raise BadRequest(f"job {job_id} did not fail: {row.state}", "job.not_failed")
        self._engine.wake.set()

    async def remove(self, job_id: str, tenant: int | None) -> None:
        """Forget a job that has ended, and its outputs; raises UnknownItem."""
        if not await self._control.run(lambda connection: queue.remove(connection, job_id, tenant)):
            raise UnknownItem(f"no job that has ended has this id: {job_id}", "not_found.job")
        await self._outputs.sweep(self._control)

    async def output(self, job_id: str, tenant: int | None, key: str) -> Output:
        """Return a file that a job left; raises UnknownItem."""

        def find(connection: queue.Connection) -> Output | None:
            if queue.find(connection, job_id, tenant) is None:
                return None
            return self._outputs.find(connection, job_id, key)

        found = await self._control.run(find)
        if found is None:
            raise UnknownItem(f"job {job_id} has no such output: {key}", "not_found.output")
        return found

    async def remove_output(self, job_id: str, tenant: int | None, key: str) -> None:
        """Remove a file that a job left; raises UnknownItem."""
        await self.output(job_id, tenant, key)
        await self._control.run(lambda connection: outputs.remove(connection, job_id, key))
        await self._outputs.sweep(self._control)

    async def _found(self, job_id: str, tenant: int | None) -> Row:
        row = await self._control.run(lambda connection: queue.find(connection, job_id, tenant))
        if row is None:
            raise no_job(job_id)
        return row

    def _job(self, job_id: str, state: str) -> Job | None:
        """Return the job if it runs here and had begun when its state was read."""
        running = self._engine.running.get(job_id) if state == "Running" else None
        return None if running is None else running.job


def no_job(job_id: str) -> NotFound:
    """Return the error that there is no such job."""
    return NotFound(f"there is no job {job_id}", "not_found.job")


# What a job that succeeded shows.
Finished = dict[str, Any]
