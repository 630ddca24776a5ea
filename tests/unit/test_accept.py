"""Which of several forms a client wants."""

import pytest

from vna.rest.accept import preferred

OFFERED = ("application/dicom", "application/dicom+json", "application/dicom+xml")


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", "application/dicom"),
        ("application/*", "application/dicom"),
        ("application/dicom+xml", "application/dicom+xml"),
        ("APPLICATION/DICOM+JSON ; Q=0.3", "application/dicom+json"),
        ("application/dicom+xml;q=0.9, application/dicom+json", "application/dicom+json"),
        ("*/*;q=0.1, application/dicom+json;q=0.2", "application/dicom+json"),
        ("*/*, application/dicom;q=0", "application/dicom+json"),
        ("application/dicom+json;q=2", "application/dicom+json"),
        ("application/dicom+json;q=x", None),
        ("application/dicom+json;q=0", None),
        ("text/html", None),
        ("", None),
    ],
)
def test_the_most_wanted_form_is_chosen(accept, form):
    assert preferred(accept, OFFERED) == form
