"""Jobs of a process that is killed again and again: none is lost, and none goes back."""

import os
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from vna.control import Control

STEPS = 40
JOBS = 12
KILLS = 6
# What runs jobs and nothing else: each step is written to a file before it is saved.
PROCESS = """
import asyncio, os, sys
from pathlib import Path
from vna import settings
from vna.control import Control
from vna.jobs import Jobs

root, steps, jobs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
done = os.open(root / "done", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

async def work(job):
    for step in range(job.state or 0, steps):
        os.write(done, f"{job.content['n']} {step}\\n".encode())
        await job.save(step + 1)
        await asyncio.sleep(0)

async def main():
    control = Control(root / "control" / "control.sqlite")
    queue = Jobs(settings.Jobs(parallel=4), root / "outputs")
    queue.register("Work", work)
    await queue.start(control)
    known = (await queue.counts()).values()
    for number in range(sum(known), jobs):
        await queue.submit("Work", {"n": number})
    while (await queue.counts())["Success"] < jobs:
        await asyncio.sleep(0.01)
    await queue.stop()
    control.close()

asyncio.run(main())
"""


def start(root):
    arguments = [sys.executable, "-c", PROCESS, str(root), str(STEPS), str(JOBS)]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE)


def steps_of(root):
    """Return the steps that were done of each job, in the order in which they were."""
    done = {}
    for line in (root / "done").read_text().splitlines():
        job, step = line.split()
        done.setdefault(int(job), []).append(int(step))
    return done


def killed(root, random):
    """Let a process work for a while and kill it; True if it ended by itself."""
    process = start(root)
    size = (root / "done").stat().st_size if (root / "done").exists() else 0
    aim = size + random.randrange(20, 400)
    while process.poll() is None:
        if (root / "done").exists() and (root / "done").stat().st_size >= aim:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.001)
    process.communicate()
    return process.returncode == 0


def test_killed_processes_leave_every_job_to_be_finished_from_its_last_save(tmp_path):
    seed = int(os.environ.get("VNA_CRASH_SEED", "7"))
    chance = random.Random(seed)
    ended = [killed(tmp_path, chance) for _ in range(KILLS)]
    assert ended.count(False) >= KILLS // 2, "too few kills in the middle"
    last = start(tmp_path)
    _, complaints = last.communicate(timeout=120)
    assert last.returncode == 0, complaints.decode()
    done = steps_of(tmp_path)
    assert sorted(done) == list(range(JOBS))
    for job, steps in done.items():
        assert sorted(set(steps)) == list(range(STEPS)), job
        # A step may be done again that was not saved yet, and never one before it.
        for before, after in pairwise(steps):
            assert after in (before, before + 1), (job, steps)
        assert len(steps) - STEPS <= KILLS
    control = Control(Path(tmp_path) / "control" / "control.sqlite")
    states = control.run_blocking(
        lambda c: [tuple(row) for row in c.execute("SELECT state, saved, owner FROM job")]
    )
    control.close()
    assert states == [("Success", str(STEPS), None)] * JOBS
