"""Jobs over HTTP: the routes of /jobs, and the switches of requests that make jobs."""

import asyncio

import httpx
import msgspec
import pytest
from fakes import FakeArchive

from vna.errors import Unreachable
from vna.rest.app import Application, Route
from vna.rest.deleted import read
from vna.rest.job_bodies import JobBody, answer_job
from vna.services.node import Node
from vna.settings import Settings, Storage

NO_JOB = "00000000-0000-0000-0000-000000000000"


class MadeUp(JobBody, kw_only=True):
    size: int = msgspec.field(name="Size", default=0)


class Refused(Unreachable):
    orthanc_error = 9
    payload = {"Type": "Dimse", "Content": {"DimseErrorStatus": 0xA700}}  # noqa: RUF012


@pytest.fixture
async def client(tmp_path):
    """Return a client of a node with one route more, which makes jobs."""
    node = Node(FakeArchive(Settings(storage=Storage(root=str(tmp_path)))))

    async def work(job):
        if job.content["Size"] < 0:
            raise Refused("the peer refused it")
        async with job.output("archive", "application/zip", "Archive.zip") as path:
            path.write_bytes(bytes(job.content["Size"]))
        job.show(ArchiveSize=str(job.content["Size"]))

    async def hold(job):
        await asyncio.Event().wait()

    node.jobs.register("Archive", work)
    node.jobs.register("Hold", hold)

    async def make(call):
        body = await read(call, MadeUp)
        kind = "Hold" if body.size == 13 else "Archive"
        return await answer_job(call, body, kind, {"Size": body.size}, show={"Description": "x"})

    application = Application(node)
    application.router.add("/tools/made-up", Route("/tools/made-up", {"POST": make}))
    await node.start()
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8042") as client:
        yield client
    await node.stop()


async def made(client, **body):
    return await client.post("/tools/made-up", json=body)


async def until(client, job_id, *states):
    for _ in range(1000):
        job = (await client.get(f"/jobs/{job_id}")).json()
        if job["State"] in states:
            return job
        await asyncio.sleep(0.005)
    raise AssertionError(job)


async def test_who_waits_gets_what_the_job_shows(client):
    for body in ({}, {"Synchronous": True, "Asynchronous": True}, {"Asynchronous": False}):
        answer = await made(client, Size=5, **body)
        assert answer.json() == {"Description": "x", "ArchiveSize": "5"}


async def test_who_does_not_wait_gets_the_place_of_the_job(client):
    for body in ({"Asynchronous": True}, {"Synchronous": False, "Asynchronous": False}):
        answer = await made(client, Size=3, Priority=-4, UserData={"a": [None]}, **body)
        job_id = answer.json()["ID"]
        assert answer.json() == {"ID": job_id, "Path": f"/jobs/{job_id}"}
        job = await until(client, job_id, "Success")
        assert (job["Priority"], job["UserData"]) == (-4, {"a": [None]})
        assert job["Content"] == {"Description": "x", "ArchiveSize": "3"}


async def test_a_failure_that_was_waited_for_is_the_error_of_the_request(client):
    answer = await made(client, Size=-1)
    assert answer.status_code == 500
    error = answer.json()
    assert (error["OrthancStatus"], error["Details"]) == (9, "the peer refused it")
    assert error["ErrorPayload"] == Refused.payload
    (job,) = (await client.get("/jobs?expand")).json()
    assert (job["State"], job["ErrorCode"]) == ("Failure", 9)
    assert job["DimseErrorStatus"] == 0xA700


@pytest.mark.parametrize(
    "body",
    [
        {"Priority": "high"},
        {"Priority": 1.5},
        {"Priority": 2**31},
        {"Asynchronous": 1},
        {"Permissive": "no"},
        {"UserData": "x" * 70_000},
    ],
)
async def test_switches_of_a_wrong_kind_are_refused(client, body):
    answer = await made(client, **body)
    assert answer.status_code == 400
    assert (await client.get("/jobs")).json() == []


async def test_a_body_that_is_nested_too_deep_is_refused(client):
    deep = b'{"UserData": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = await client.post("/tools/made-up", content=deep)
    assert answer.status_code == 400
    assert "recursion" in answer.json()["Details"]


async def test_an_output_is_a_file_with_ranges(client):
    await made(client, Size=600_000)
    (job_id,) = (await client.get("/jobs")).json()
    path = f"/jobs/{job_id}/archive"
    answer = await client.get(path)
    assert answer.content == bytes(600_000)
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'filename="Archive.zip"'
    part = await client.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, bytes(10))
    same = await client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert same.status_code == 304
    assert (await client.head(path)).headers["content-length"] == "600000"
    assert (await client.delete(path)).status_code == 200
    gone = await client.get(path)
    assert (gone.status_code, gone.json()["OrthancStatus"]) == (404, 7)
    assert gone.json()["Details"].endswith("has no such output: archive")
    assert (await client.delete(path)).status_code == 404


async def test_a_job_is_told_what_to_do(client):
    job_id = (await made(client, Size=13, Asynchronous=True)).json()["ID"]
    path = f"/jobs/{job_id}"
    await until(client, job_id, "Running")

    async def tell(verb):
        answer = await client.post(f"{path}/{verb}", content=b"")
        assert answer.status_code != 200 or answer.json() == {}
        return answer.status_code

    assert await tell("resume") == 400
    assert (await client.delete(path)).status_code == 404  # it has not ended
    assert await tell("pause") == 200
    assert (await until(client, job_id, "Paused"))["ErrorCode"] == 0
    assert await tell("resume") == 200
    await until(client, job_id, "Running")
    assert await tell("cancel") == 200
    assert (await until(client, job_id, "Failure"))["ErrorCode"] == 37
    assert [await tell("cancel"), await tell("pause")] == [200, 200]  # as with Orthanc
    assert await tell("resubmit") == 200
    await until(client, job_id, "Running")
    assert await tell("cancel") == 200
    assert (await client.delete(path)).status_code == 200
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "resubmit"])
async def test_a_job_that_there_is_not_is_told_nothing(client, verb):
    assert (await client.post(f"/jobs/{NO_JOB}/{verb}")).status_code == 404


async def test_a_list_of_jobs_has_pages(client):
    for size in range(4):
        await made(client, Size=size)
    ids = (await client.get("/jobs")).json()
    assert len(ids) == 4
    assert (await client.get("/jobs?since=1&limit=2")).json() == ids[1:3]
    expanded = (await client.get("/jobs?expand&since=2")).json()
    assert [job["Content"]["ArchiveSize"] for job in expanded] == ["2", "3"]
    assert (await client.get("/jobs?expand=false")).json() == ids
