"""Servers that are killed, and jobs that are held, in the middle of a modification."""

import functools
import io
import zipfile

import pydicom
import pytest
from support_changing import (
    count,
    make_study,
    pixels_of,
    post,
    store_study,
    wait,
    wait_until_it_is_in_the_middle,
)
from support_cli import vna

# More than one step of a job: it takes what it can in 0.4 s.
INSTANCES = 700


@functools.cache  # made once, for each server anew
def made():
    """Return a study of two series as a ZIP, and what its pixels are."""
    files = list(make_study("CRASH", 2, INSTANCES, size=4000))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, file in enumerate(files):
            archive.writestr(f"{number}.dcm", file)
    return packed.getvalue(), {pydicom.dcmread(io.BytesIO(file)).PixelData for file in files}


def begin(server, what):
    """Begin to change a study of two series; return the job, the target, and what must be there."""
    packed, pixels = made()
    stored = server.upload(packed)
    assert len(stored) == len(pixels)
    study = stored[0]["ParentStudy"]
    if what == "merge":
        [target] = store_study(server, "TARGET", 1, 1, SeriesDescription="of the target")
        path = f"/studies/{target['ParentStudy']}/merge"
        body = {"Resources": [study]}
    elif what == "split":
        path = f"/studies/{study}/split"
        body = {"Series": [stored[0]["ParentSeries"], stored[-1]["ParentSeries"]]}
    else:
        path, body = f"/studies/{study}/{what}", {"KeepSource": False}
    held = count(server)
    job = post(server, path, Asynchronous=True, **body)["ID"]
    return job, study, pixels, held


def check(server, job_id, source, pixels, held):
    """Look whether it is as if nothing had happened."""
    job = wait(server, job_id)
    assert job["State"] == "Success", job
    content = job["Content"]
    assert (content["InstancesCount"], content["FailedInstancesCount"]) == (len(pixels), 0)
    assert server.http.get(f"/studies/{source}").status_code == 404
    assert count(server) == held
    target = content.get("TargetStudy") or content["ID"]
    found = pixels_of(server, "studies", target)
    assert pixels <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("what", ["modify", "anonymize", "merge", "split"])
def test_a_job_goes_on_after_kill_9_as_if_nothing_had_happened(start_server, what):
    server = start_server()
    job, *expected = begin(server, what)
    wait_until_it_is_in_the_middle(server, job)
    server.kill()
    server.start()
    check(server, job, *expected)
    if what == "split":
        assert server.stop() == 0
        assert vna("check", "--root", server.root).stdout.endswith("all is well\n")


def test_a_job_is_held_and_goes_on(start_server):
    server = start_server()
    job, source, pixels, held = begin(server, "merge")
    wait_until_it_is_in_the_middle(server, job)
    assert server.http.post(f"/jobs/{job}/pause", json={}).status_code == 200
    assert wait(server, job, ("Paused", "Success"))["State"] == "Paused"
    # Nothing of the source is deleted before all of it is there.
    assert len(server.get(f"/studies/{source}/instances")) == len(pixels)
    assert server.http.post(f"/jobs/{job}/resume", json={}).status_code == 200
    check(server, job, source, pixels, held)


def test_a_cancelled_job_leaves_its_source(start_server):
    server = start_server()
    job, source, pixels, _ = begin(server, "modify")
    wait_until_it_is_in_the_middle(server, job)
    assert server.http.post(f"/jobs/{job}/cancel", json={}).status_code == 200
    assert wait(server, job)["State"] == "Failure"
    assert len(server.get(f"/studies/{source}/instances")) == len(pixels)
