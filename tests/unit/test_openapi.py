"""The description of the HTTP interface: valid, complete, and no more than there is."""

import json
import re

import httpx
import pytest
from fakes import FakeArchive
from openapi_spec_validator import OpenAPIV31SpecValidator

from vna.rest import openapi, schemas
from vna.rest.app import Application
from vna.rest.describe import Entry
from vna.rest.routes import table
from vna.services.node import Node

OPERATIONS = {"get", "put", "post", "delete", "patch", "options"}


@pytest.fixture
def application():
    return Application(Node(FakeArchive()))


@pytest.fixture
def client(application):
    transport = httpx.ASGITransport(application)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8042")


@pytest.fixture(scope="module")
def described():
    return json.loads(openapi.document(table()))


def operations(described):
    return {
        (method.upper(), path)
        for path, item in described["paths"].items()
        for method in OPERATIONS & item.keys()
    }


def test_the_document_is_openapi_3_1(described):
    assert described["openapi"].startswith("3.1")
    assert not list(OpenAPIV31SpecValidator(described).iter_errors())


def test_all_that_is_served_is_described_and_no_more(application, described):
    served = {
        (method, path.replace(":path}", "}"))
        for path, handlers in application.operations.items()
        for method in handlers
    }
    assert len(served) > 20
    assert operations(described) == served


async def test_each_described_operation_reaches_its_handler(application, described, client):
    reached = []

    async def note(handler, scope, receive, send):
        reached.append((scope["method"], handler))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    application.run = note
    handlers = {
        (entry.method, entry.path.replace(":path}", "}")): entry.handler for entry in table()
    }
    for method, path in operations(described):
        asked = re.sub(r"\{\w+\}", "x", path)
        answer = await client.request(method, asked)
        assert answer.status_code == 204, (method, path)
        name = handlers[method, path].__qualname__
        assert [reached[-1][0], reached[-1][1].__qualname__] == [method, name]


def test_every_reference_and_every_schema_is_used(described):
    text = json.dumps(described)
    named = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert named <= schemas.SCHEMAS.keys()
    empty = {name for name, schema in schemas.SCHEMAS.items() if not schema}
    assert schemas.SCHEMAS.keys() - named == empty


def test_operations_have_names_of_their_own_for_generated_clients(described):
    names = [
        item[method]["operationId"]
        for item in described["paths"].values()
        for method in OPERATIONS & item.keys()
    ]
    assert len(names) == len(set(names)) == len(operations(described))


def test_errors_follow_from_what_an_operation_takes():
    entry = Entry("GET", "/x/{id}", None, "X", refusals=(418,))
    assert openapi.refusals(entry, entry.path) == {401, 403, 404, 418, 500, 503}
    plain = Entry("GET", "/x", None, "X")
    assert openapi.refusals(plain, plain.path) == {401, 403, 500, 503}


async def test_the_document_is_served_with_an_etag_that_spares_the_next_transfer(client, described):
    answer = await client.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == described
    etag = answer.headers["etag"]
    again = await client.get("/openapi.json", headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = await client.get("/openapi.json", headers={"If-None-Match": '"other"'})
    assert other.content == answer.content
