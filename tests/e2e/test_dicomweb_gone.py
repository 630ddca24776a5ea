"""410 Gone: what was deleted is told apart from what never was, as long as it can come back."""

import io

import pydicom
import pytest
from support import make_instance
from support_store import bodies

from vna.services.running import local_authorization
from vna.settings import Settings, Storage

WEB = "/dicom-web"
STORED = {"accept": "application/dicom; transfer-syntax=*"}
EVERY_FORM = (
    ("", STORED),
    ("/metadata", {}),
    ("/frames/1", {"accept": "application/octet-stream"}),
    ("/frames/1", {"accept": 'multipart/related; type="application/octet-stream"'}),
    ("/pixeldata", {}),
    ("/bulkdata", {}),
    ("/bulkdata/7fe00010", {}),
    ("/rendered", {}),
    ("/frames/1/rendered", {}),
    ("/thumbnail", {}),
)


class Tree:
    """Instances of one study in two series, and where they are."""

    def __init__(self):
        first = make_instance(size=128)
        self.uids = [read(first).StudyInstanceUID]
        self.study = f"{WEB}/studies/{self.uids[0]}"
        series = read(first).SeriesInstanceUID
        second = make_instance(self.uids[0], series, number=2, size=128)
        other = make_instance(self.uids[0], number=3, size=128)
        self.files = [first, second, other]
        self.paths = [path_of(file) for file in self.files]
        self.series = [path.rpartition("/instances/")[0] for path in self.paths]


def read(file):
    return pydicom.dcmread(io.BytesIO(file))


def path_of(file):
    found = read(file)
    return (
        f"{WEB}/studies/{found.StudyInstanceUID}/series/{found.SeriesInstanceUID}"
        f"/instances/{found.SOPInstanceUID}"
    )


def uri_of(path):
    _, _, _, study, _, series, _, instance = path.split("/")
    return f"/wado?requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={instance}"


@pytest.fixture(scope="module")
def web(start_server):
    return start_server("--set=dicomweb.delete=true")


@pytest.fixture
def tree(web):
    tree = Tree()
    store(web, *tree.files)
    return tree


def store(web, *files, headers=None):
    body, content_type = bodies(*files)
    answer = web.http.post(
        f"{WEB}/studies", content=body, headers={"content-type": content_type, **(headers or {})}
    )
    assert answer.status_code == 200, answer.text


def statuses(web, path, headers=None):
    """Return the statuses of all that there is of an instance, those of WADO-URI too."""
    own = headers or {}
    found = [web.http.get(path + below, headers=more | own) for below, more in EVERY_FORM]
    found += [web.http.get(uri_of(path), headers=own)]
    found += [web.http.get(uri_of(path) + "&contentType=application/dicom", headers=own)]
    found += [web.http.head(path, headers=STORED | own)]
    for answer in found:
        if answer.status_code == 410 and answer.request.method == "GET":
            assert answer.json()["Code"] == "dicomweb.gone", answer.text
            # It may come back, and a cache could keep the answer (RFC 9110 §15.5.11).
            assert answer.headers["cache-control"] == "no-store"
    return {answer.status_code for answer in found}


def of_levels(web, *paths):
    return [web.http.get(f"{path}/metadata").status_code for path in paths]


def test_an_instance_that_was_deleted_is_gone_in_every_form_and_its_neighbours_are_not(web, tree):
    first, second, other = tree.paths
    assert statuses(web, first) == {200}
    assert web.http.delete(first).status_code == 204
    assert statuses(web, first) == {410}
    assert statuses(web, second) == statuses(web, other) == {200}
    assert of_levels(web, tree.study, *tree.series) == [200] * 4
    # It was never in that series, and never had that number.
    uid = first.rpartition("/")[2]
    assert statuses(web, f"{tree.series[2]}/instances/{uid}") == {404}
    assert statuses(web, first[:-1]) == {404}
    assert web.http.delete(first).status_code == 410


def test_the_last_of_a_series_and_of_a_study_take_these_along(web, tree):
    first, second, other = tree.paths
    for path in (first, second):
        assert web.http.delete(path).status_code == 204
    assert of_levels(web, tree.study, *tree.series) == [200, 410, 410, 200]
    assert web.http.delete(tree.study).status_code == 204
    assert of_levels(web, tree.study, *tree.series) == [410, 410, 410, 410]
    assert statuses(web, first) == statuses(web, other) == {410}
    assert web.http.get(f"{tree.study}/series").json() == []


def test_what_comes_again_is_there_and_the_rest_stays_gone(web, tree):
    assert web.http.delete(tree.study).status_code == 204
    store(web, tree.files[1])
    assert statuses(web, tree.paths[1]) == {200}
    assert statuses(web, tree.paths[0]) == statuses(web, tree.paths[2]) == {410}
    assert of_levels(web, tree.study, tree.series[0], tree.series[2]) == [200, 200, 410]


def test_what_is_brought_back_is_there_and_what_is_erased_was_never_there(web, tree):
    uid = tree.uids[0]
    ids = [found["ID"] for found in web.http.post("/tools/lookup", content=uid).json()]
    for name, of_all in (("undelete", 200), ("erase", 404)):
        assert web.http.delete(tree.study).status_code == 204
        assert of_levels(web, tree.study) == [410]
        assert web.http.post(f"/tools/{name}", json={"Resources": ids}).status_code == 200
        assert of_levels(web, tree.study, *tree.series) == [of_all] * 4
        assert statuses(web, tree.paths[0]) == {of_all}


def test_what_another_tenant_deleted_was_never_here(web, tree):
    settings = Settings(storage=Storage(root=str(web.root)))
    other = {"authorization": local_authorization(settings, 2)}
    assert statuses(web, tree.paths[0], other) == {404}
    assert web.http.delete(tree.study).status_code == 204
    assert statuses(web, tree.paths[0], other) == {404}
    assert web.http.delete(tree.study, headers=other).status_code == 404
    # And the other way round: theirs is gone for them, and ours is not here.
    theirs = Tree()
    store(web, *theirs.files, headers=other)
    assert web.http.delete(theirs.study, headers=other).status_code == 204
    assert statuses(web, theirs.paths[0], other) == {410}
    assert statuses(web, theirs.paths[0]) == {404}


def test_a_server_that_starts_anew_still_knows(web, tree):
    assert web.http.delete(tree.series[2]).status_code == 204
    web.kill()
    web.start()
    assert statuses(web, tree.paths[2]) == {410}
    assert statuses(web, tree.paths[0]) == {200}
