"""The way back from the core: one descriptor, results by handle."""

import asyncio
import contextlib
import os
import threading

import pytest

from vna.errors import NotFound, OutOfStorage
from vna.services import archive as module
from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.settings import Settings


class Core:
    """Answers when told to, from another thread, as the core does."""

    def __init__(self, settings_json):
        self.fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.finished = []
        self.handles = module.REQUEST  # those below are no results
        self.drains = 0
        self.stopped_with = None

    def completion_fd(self):
        return self.fd

    def drain(self):
        self.drains += 1
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        finished, self.finished = self.finished, []
        return finished

    def tags(self, tenant, level, public_id, request_json):
        self.handles += 1
        return self.handles

    def open_file(self, tenant, public_id):
        return None

    def stop(self, deadline_s):
        self.stopped_with = deadline_s
        self.finish((3, True, b"late"))

    def finish(self, *results):
        def work():
            self.finished += results
            os.eventfd_write(self.fd, 1)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()


CALLER = Caller(way_in="python")


@pytest.fixture
async def archive(monkeypatch):
    monkeypatch.setattr(module._core, "Archive", Core)
    opened = Archive(Settings())
    opened.attach()
    yield opened
    asyncio.get_running_loop().remove_reader(opened.core.fd)
    os.close(opened.core.fd)


def ask(archive):
    return asyncio.create_task(archive.tags("instances", "x", module.TagsRequest(), CALLER))


async def test_results_reach_who_asked_in_any_order_with_one_drain(archive):
    tasks = [ask(archive) for _ in range(3)]
    await asyncio.sleep(0)
    archive.core.finish((5, True, b"third"), (3, True, b"first"), (4, True, b"second"))
    assert await asyncio.gather(*tasks) == [b"first", b"second", b"third"]
    assert archive.core.drains == 1


async def test_a_result_that_is_there_before_anybody_awaits_it_is_kept(archive):
    awaited = asyncio.ensure_future(archive.result(3))
    archive.core.finish((3, True, b"early"))
    archive._drain()
    assert await asyncio.wait_for(awaited, 60) == b"early"


async def test_an_error_of_the_core_is_raised_where_it_was_asked(archive):
    task = ask(archive)
    await asyncio.sleep(0)
    archive.core.finish((3, False, OutOfStorage("no room")))
    with pytest.raises(OutOfStorage, match="no room"):
        await task


async def test_a_caller_who_went_away_disturbs_nobody(archive):
    gone, stays = ask(archive), ask(archive)
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    archive.core.finish((3, True, b"unwanted"), (4, True, b"wanted"))
    assert await stays == b"wanted"
    assert not archive._waiting


async def test_stopping_answers_what_was_accepted(archive):
    task = ask(archive)
    await asyncio.sleep(0)
    await archive.stop()
    assert await task == b"late"
    assert archive.core.stopped_with == Settings().limits.shutdown_s
    await archive.stop(0.5)
    assert archive.core.stopped_with == 0.5


async def test_lines_of_the_core_reach_the_log_with_their_fields(archive, caplog):
    line = (
        b'{"level":"warning","target":"vna_node::dimse","message":"100 % full","association":7,'
        b'"name":"x"}'
    )
    with caplog.at_level("INFO"):
        archive.core.finish((0, True, line))
        await asyncio.sleep(0.01)
    (record,) = [one for one in caplog.records if one.name == "vna_node.dimse"]
    assert (record.levelname, record.getMessage()) == ("WARNING", "100 % full")
    assert (record.association, record.name_) == (7, "x")


async def test_a_file_that_is_not_there_is_not_found(archive):
    with pytest.raises(NotFound, match="x is none of the instances"):
        archive.open_file("x", CALLER)
