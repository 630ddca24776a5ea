"""Generated data sets are read alike: every VR, sequences in sequences, private blocks.

Text beyond ASCII is not compared where Orthanc reads it otherwise: of the character sets, which
items of sequences may have of their own, it knows but some (see differences.toml).
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support_compare import Intended, Request, compare, report, unlisted

from vna.testing import UNCOMPRESSED, CharacterSet, data_sets, identities, write_file

pytestmark = pytest.mark.peer

UTF_8 = CharacterSet("ISO_IR 192")
RETIRED = "Its dictionary marks what its edition calls retired."
NUMBERS = "It does not know the representations SV and UV."
INTENDED = [
    Intended(where="body/*/Name", theirs="RETIRED_*", reason=RETIRED),
    Intended(where="body/*/Type", ours="String", theirs="Null", reason=NUMBERS),
    Intended(where="body/*/Value", theirs="None", reason=NUMBERS),
    Intended(
        where="body/*/PrivateCreator", theirs="(absent)", reason="Told wherever there is one."
    ),
]


@st.composite
def instances(draw):
    """Strategy for files with identity and any content."""
    found = draw(data_sets(own=UTF_8)).with_elements(*draw(identities(UTF_8)))
    return write_file(found, draw(st.sampled_from(UNCOMPRESSED)))


# The same examples each time: this is no place for surprises that are not of the change at hand.
@settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(data=instances())
def test_the_tags_of_generated_files_are_those_that_orthanc_gives(servers, data):
    upload = Request("POST /instances", "POST", "/instances", data)
    ours, theirs = (send(server, upload) for server in servers)
    assert not compare(upload, ours, theirs), (ours.text, theirs.text)
    path = ours.json()["Path"]
    asked = Request("GET /tags", "GET", f"{path}/tags")
    try:
        differences = compare(asked, *(send(server, asked) for server in servers))
    finally:
        for server in servers:
            server.http.delete(path)
    left = [one for one in unlisted(differences, INTENDED) if not is_meant(one)]
    assert not left, report(left)


def is_meant(difference):
    """Whether Orthanc gives but the first of the tags in AT, or reads a character set otherwise."""
    ours, theirs = str(difference.ours), str(difference.theirs)
    first = len(theirs) == len("gggg,eeee") and ours.startswith(f"{theirs}\\")
    return first or (difference.where.endswith("/Value") and not ours.isascii())


def send(server, request):
    return server.http.request(request.method, request.path, content=request.body)
