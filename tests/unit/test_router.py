"""Finding what a path stands for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna.rest.router import Router


def router(*patterns):
    made = Router()
    for pattern in patterns:
        made.add(pattern, pattern)
    return made


ROUTES = router(
    "/",
    "/studies",
    "/studies/{id}",
    "/studies/{id}/series",
    "/jobs/{id}/{key}",
    "/jobs/{id}/cancel",
    "/jobs/all/done/now",
    "/instances/{id}/content",
    "/instances/{id}/content/{path:path}",
)


@pytest.mark.parametrize(
    ("path", "pattern", "parameters"),
    [
        ("/", "/", {}),
        ("/studies", "/studies", {}),
        ("/studies/", "/studies", {}),
        ("/studies/1/", "/studies/{id}", {"id": "1"}),
        ("/studies/1", "/studies/{id}", {"id": "1"}),
        ("/studies/1/series", "/studies/{id}/series", {"id": "1"}),
        ("/jobs/1/cancel", "/jobs/{id}/cancel", {"id": "1"}),
        ("/jobs/1/archive", "/jobs/{id}/{key}", {"id": "1", "key": "archive"}),
        ("/jobs/all/done", "/jobs/{id}/{key}", {"id": "all", "key": "done"}),
        ("/instances/1/content", "/instances/{id}/content", {"id": "1"}),
        (
            "/instances/1/content/0008-1140/0",
            "/instances/{id}/content/{path:path}",
            {"id": "1", "path": "0008-1140/0"},
        ),
        (
            "/instances/1/content/a/",
            "/instances/{id}/content/{path:path}",
            {"id": "1", "path": "a/"},
        ),
    ],
)
def test_a_path_is_found_with_its_parameters(path, pattern, parameters):
    assert ROUTES.find(path) == (pattern, parameters)


@pytest.mark.parametrize(
    "path", ["", "studies", "/study", "/studies//", "/studies//series", "//studies", "/jobs/1/2/3"]
)
def test_what_no_pattern_has_is_not_found(path):
    assert ROUTES.find(path) is None


segment = st.sampled_from(["a", "b", "c", "{x}", "{y}"])


@given(patterns=st.lists(st.lists(segment, min_size=1, max_size=4), max_size=8), path=st.data())
def test_a_path_made_from_a_pattern_is_found(patterns, path):
    made = router(*("/" + "/".join(pattern) for pattern in patterns))
    for pattern in patterns:
        parts = [path.draw(st.sampled_from("abcd")) if "{" in one else one for one in pattern]
        found, parameters = made.find("/" + "/".join(parts))
        of_found = found.split("/")[1:]
        assert len(of_found) == len(parts)
        assert all(of == part or "{" in of for of, part in zip(of_found, parts, strict=True))
        assert set(parameters.values()) <= set(parts)
