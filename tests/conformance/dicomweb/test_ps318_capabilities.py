"""Retrieve Capabilities transaction (PS3.18 §8.9)."""

import json
import xml.etree.ElementTree as ElementTree

import pytest
from support_target import NOTHING, clause, media_type

WADL = "application/vnd.sun.wadl+xml"


def paths(made):
    first = made.ct[0]
    return {
        "/": "/",
        "/studies": "/studies",
        "/series": "/series",
        "/instances": "/instances",
        "/studies/{study}": first.study,
        "/studies/{study}/metadata": f"{first.study}/metadata",
        "/studies/{study}/series": f"{first.study}/series",
        "/studies/{study}/instances": f"{first.study}/instances",
        "/studies/{study}/series/{series}": first.series,
        "/studies/{study}/series/{series}/metadata": f"{first.series}/metadata",
        "/studies/{study}/series/{series}/instances": f"{first.series}/instances",
        ".../instances/{instance}": first.path,
        ".../instances/{instance}/metadata": f"{first.path}/metadata",
        ".../instances/{instance}/rendered": f"{first.path}/rendered",
        ".../instances/{instance}/frames/{frames}": f"{first.path}/frames/1",
    }


RESOURCES = [
    *("/", "/studies", "/series", "/instances", "/studies/{study}", "/studies/{study}/metadata"),
    *("/studies/{study}/series", "/studies/{study}/instances"),
    "/studies/{study}/series/{series}",
    "/studies/{study}/series/{series}/metadata",
    "/studies/{study}/series/{series}/instances",
    *(".../instances/{instance}", ".../instances/{instance}/metadata"),
    *(".../instances/{instance}/rendered", ".../instances/{instance}/frames/{frames}"),
]


def options(target, path, accept="*/*"):
    return target.http.request("OPTIONS", f"{target.url}{path}", headers={"Accept": accept})


@clause("§8.9.1")
@pytest.mark.parametrize("resource", RESOURCES)
def test_the_capabilities_of_a_resource_are_described(target, made, resource):
    answer = options(target, paths(made)[resource], WADL)
    assert answer.status_code == 200
    assert media_type(answer.headers["content-type"]) == WADL
    root = ElementTree.fromstring(answer.content)
    assert root.tag.endswith("}application")


@clause("§8.9.3")
@pytest.mark.parametrize("resource", ["/", "/studies"])
def test_capabilities_are_described_as_wadl_by_default(target, made, resource):
    answer = options(target, resource)
    assert media_type(answer.headers["content-type"]) == WADL


@clause("§8.9.3")
@pytest.mark.parametrize("resource", ["/", "/studies"])
def test_capabilities_are_described_as_json(target, made, resource):
    answer = options(target, resource, "application/json")
    assert answer.status_code == 200
    assert media_type(answer.headers["content-type"]) == "application/json"
    assert json.loads(answer.content)


@clause("§8.9.3")
def test_capabilities_name_methods_and_media_types(target, made):
    root = ElementTree.fromstring(options(target, "/studies", WADL).content)
    methods = {each.get("name") for each in root.iter() if each.tag.endswith("}method")}
    assert {"GET", "POST"} <= methods
    types = {each.get("mediaType") for each in root.iter() if each.tag.endswith("}representation")}
    assert "application/dicom+json" in types
    names = {each.get("name") for each in root.iter() if each.tag.endswith("}param")}
    assert {"limit", "offset", "includefield", "fuzzymatching"} <= names


@clause("Table 8.5-1")
def test_capabilities_in_another_media_type_are_not_acceptable(target, made):
    assert options(target, "/", NOTHING).status_code == 406


@clause("Table 8.5-1", optional=True)
@pytest.mark.parametrize("resource", ["/studies", "/studies/{study}"])
def test_the_methods_of_a_resource_are_allowed(target, made, resource):
    answer = options(target, paths(made)[resource])
    allowed = {each.strip() for each in answer.headers.get("allow", "").split(",")}
    assert {"GET", "POST", "OPTIONS"} <= allowed
