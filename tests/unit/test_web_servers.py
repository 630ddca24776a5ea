"""What is asked of remote DICOMweb servers."""

import pytest

from vna.errors import BadBody
from vna.services.web_servers import target


@pytest.mark.parametrize(
    ("uri", "arguments", "expected"),
    [
        ("/studies", {}, "/studies"),
        ("studies/1.2/series", {}, "/studies/1.2/series"),
        ("/studies?limit=1", {"PatientName": "A^B C"}, "/studies?limit=1&PatientName=A%5EB%20C"),
        ("/studies", {"a": "/../x"}, "/studies?a=%2F..%2Fx"),
        ("/studies/1..2", {}, "/studies/1..2"),
    ],
)
def test_a_path_and_its_arguments_become_a_target(uri, arguments, expected):
    assert target(uri, arguments) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "/../admin",
        "..",
        "/studies/../../admin",
        "/studies/./x",
        "/%2e%2e/admin",
        "/%252e%252e/admin",
        "/..%2fadmin",
        "/..\\admin",
        "/..;a=b/admin",
        "//other.example/x",
        "/studies#x",
        "/studies x",
        "/studies\r\nX: y",
        "/studi\u00e9s",
    ],
)
def test_what_leads_out_of_the_service_is_refused(uri):
    with pytest.raises(BadBody):
        target(uri, {})
