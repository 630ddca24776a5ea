"""The server that is looked at: one that is named by its URL, or ours, started here.

VNA_DICOMWEB_URL names the root of the DICOM web services of a server, VNA_WADO_URL the URI service
if it is not at /wado of the same origin, VNA_DICOMWEB_USER who asks (`name:password`), and
VNA_DICOMWEB_UPLOAD where files are POSTed one by one to a server that cannot store by DICOMweb.
VNA_DICOMWEB_RESULTS is a file to write what came out to, as JSON.
"""

import json
import os
from pathlib import Path

import pytest
from support import Server
from support_data import Made
from support_target import Target

RESULTS = pytest.StashKey[dict]()


def of_environment():
    """Return the server that the environment names, or None."""
    url = os.environ.get("VNA_DICOMWEB_URL")
    if not url:
        return None
    user = os.environ.get("VNA_DICOMWEB_USER")
    return Target(
        url,
        os.environ.get("VNA_WADO_URL"),
        tuple(user.split(":", 1)) if user else None,
        os.environ.get("VNA_DICOMWEB_UPLOAD"),
    )


@pytest.fixture(scope="session")
def target(tmp_path_factory):
    found = of_environment()
    if found is not None:
        yield found
        return
    server = Server(tmp_path_factory.mktemp("conformance") / "data").start()
    try:
        yield Target(f"{server.url}/dicom-web", upload=f"{server.url}/instances")
    finally:
        server.stop()


@pytest.fixture(scope="session")
def made(target):
    """Store what the cases look for; a server that stores nothing can show nothing."""
    found = Made()
    answer = target.store([each.file for each in found.instances])
    if answer.status_code in (404, 405, 501) and target.upload:
        for each in found.instances:
            assert target.http.post(target.upload, content=each.file).is_success
        return found
    assert answer.status_code == 200, (answer.status_code, answer.text[:2000])
    return found


def pytest_configure(config):
    config.stash[RESULTS] = {}


def sentence(item):
    """Return what a case says: the name of the test, and of its row of the table."""
    name, _, row = item.name.partition("[")
    text = name.removeprefix("test_").replace("_", " ")
    return f"{text}: {row.removesuffix(']')}" if row else text


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    mark = item.get_closest_marker("clause")
    if mark is None:
        return report
    results = item.config.stash[RESULTS]
    if call.when == "call" or report.outcome != "passed":
        failed = report.outcome == "failed"
        results[item.nodeid] = {
            "id": item.nodeid,
            "clause": mark.args[0],
            "optional": mark.kwargs["optional"],
            "case": sentence(item),
            "result": "no" if failed else {"passed": "yes", "skipped": "–"}[report.outcome],
            "why": str(report.longrepr)[-300:] if failed else "",
        }
    return report


def pytest_sessionfinish(session):
    file = os.environ.get("VNA_DICOMWEB_RESULTS")
    if file:
        found = list(session.config.stash[RESULTS].values())
        Path(file).write_text(json.dumps(found, ensure_ascii=False, indent=1))
