"""What the service says it can do (PS3.18 §8.9), and which pages of other sites may use it."""

import xml.etree.ElementTree as ElementTree

import pytest
from support_uploads import House

from vna.settings import Dicomweb, Http

ROOT = "/dicom-web"
WADL = "{http://wadl.dev.java.net/2009/02}"
VIEWER = "https://viewer.example:8443"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    http = Http(cors_origins=[VIEWER])
    one = House(tmp_path_factory.mktemp("capabilities"), sections={"http": http})
    yield one
    one.close()


def ask(house, method, path, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return house.loop.run_until_complete(house.http.request(method, path, headers=named))


def test_the_root_describes_every_operation_as_wadl_and_as_json(house):
    answer = ask(house, "OPTIONS", ROOT)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/vnd.sun.wadl+xml")
    document = ElementTree.fromstring(answer.content)
    resources = document.find(f"{WADL}resources")
    assert resources.get("base") == f"http://localhost{ROOT}"
    in_wadl = {
        (resource.get("path"), method.get("name"))
        for resource in resources
        for method in resource.iter(f"{WADL}method")
    }
    answer = ask(house, "OPTIONS", ROOT, Accept="application/json").json()
    in_json = {
        (resource["path"], method["name"])
        for resource in answer["resources"]
        for method in resource["methods"]
    }
    served = {
        (path.removeprefix(ROOT).lstrip("/").replace(":path}", "}"), method)
        for path, handlers in house.application.operations.items()
        for method in handlers
        if path == ROOT or path.startswith(f"{ROOT}/")
    }
    assert in_wadl == in_json == served
    store = next(it for it in answer["resources"] if it["path"] == "studies")["methods"]
    store = next(it for it in store if it["name"] == "POST")
    assert store["id"] == "StoreInstances"
    assert "multipart/related" in store["request"]["mediaTypes"]


def test_every_resource_answers_options_for_itself_and_what_is_below(house):
    for path, handlers in house.application.operations.items():
        if not path.startswith(f"{ROOT}/"):
            continue
        asked = path.replace("{", "").replace("}", "").replace(":path", "")
        answer = ask(house, "OPTIONS", asked)
        assert answer.status_code == 200, path
        allowed = set(answer.headers["allow"].split(", "))
        assert set(handlers) | {"OPTIONS"} <= allowed
        assert ("HEAD" in allowed) == ("GET" in handlers)
        ElementTree.fromstring(answer.content)


def test_what_cannot_be_described_so_is_not_acceptable(house):
    assert ask(house, "OPTIONS", ROOT, Accept="image/png").status_code == 406


def test_a_method_that_a_resource_has_not_is_told_with_those_that_it_has(house):
    answer = ask(house, "PUT", f"{ROOT}/studies")
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"].split(",")
    answer = ask(house, "OPTIONS", "/instances")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")


def test_deletion_is_described_where_it_is_switched_on(tmp_path):
    one = House(tmp_path, sections={"dicomweb": Dicomweb(root="/web/rs", delete=True)})
    try:
        answer = ask(one, "OPTIONS", "/web/rs/studies/1.2", Accept="application/json")
        assert "DELETE" in answer.headers["allow"]
        names = [it["id"] for one in answer.json()["resources"] for it in one["methods"]]
        assert "DeleteAStudy" in names
    finally:
        one.close()


def preflight(house, origin, method="POST", path=f"{ROOT}/studies"):
    return ask(
        house,
        "OPTIONS",
        path,
        Origin=origin,
        Access_Control_Request_Method=method,
        Access_Control_Request_Headers="authorization, content-type",
    )


def test_a_page_of_a_listed_origin_may_do_what_its_user_may(house):
    answer = preflight(house, VIEWER)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == VIEWER
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "POST" in answer.headers["access-control-allow-methods"].split(", ")
    assert answer.headers["access-control-allow-headers"] == "authorization, content-type"
    found = ask(house, "GET", "/studies", Origin=VIEWER)
    assert found.headers["access-control-allow-origin"] == VIEWER
    assert "ETag" in found.headers["access-control-expose-headers"]
    # Refused for what it is, and not for where it comes from; and the page may read why.
    told = ask(house, "POST", "/tools/find", Origin=VIEWER, Sec_Fetch_Site="cross-site")
    assert told.status_code == 400
    assert told.headers["access-control-allow-origin"] == VIEWER


def test_pages_of_other_origins_may_not(house):
    for origin in ("https://evil.example", "null", f"{VIEWER}.evil.example"):
        answer = preflight(house, origin)
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "Accept, Origin" or "Origin" in answer.headers["vary"]
        assert (
            "access-control-allow-origin"
            not in ask(house, "GET", "/studies", Origin=origin).headers
        )
        assert ask(house, "POST", "/tools/find", Origin=origin).status_code == 403


def test_any_origin_may_read_without_credentials_where_that_is_wanted(tmp_path):
    one = House(tmp_path, sections={"http": Http(cors_origins=["*"])})
    try:
        answer = preflight(one, "https://any.example", "GET", "/studies")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
        assert ask(one, "POST", "/tools/find", Origin="https://any.example").status_code == 403
    finally:
        one.close()


def test_nobody_may_unless_it_is_configured(tmp_path):
    one = House(tmp_path)
    try:
        answer = ask(one, "GET", "/studies", Origin=VIEWER)
        assert not [name for name in answer.headers if name.startswith("access-control")]
    finally:
        one.close()
