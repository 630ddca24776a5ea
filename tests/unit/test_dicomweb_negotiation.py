"""Which representation a client of DICOMweb gets, and what it is told where things are."""

import pytest
from starlette.requests import Request

from vna.errors import BadRequest, NotAcceptable, NotFound
from vna.rest.dicomweb.negotiation import Offer, accepted, check_charset, media_ranges, require
from vna.rest.dicomweb.targets import frame_numbers, uid
from vna.rest.dicomweb.urls import bulk_data_uri, server_root
from vna.settings import Dicomweb, Settings

JSON = Offer("application/dicom+json")
PLAIN_JSON = Offer("application/json")
XML = Offer("application/dicom+xml", multipart=True)
SEARCH = [JSON, PLAIN_JSON, XML]
DICOM, PARTS = Offer("application/dicom"), Offer("application/dicom", multipart=True)


def request(query="", client="127.0.0.1", scheme="http", **headers):
    raw = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": scheme,
            "path": "/dicom-web/studies",
            "query_string": query.encode(),
            "headers": raw,
            "client": (client, 1),
            "server": None,
        }
    )


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/dicom+json", JSON),
        ("application/json", PLAIN_JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ('multipart/related; type="application/dicom+xml"', XML),
        ("multipart/related;type=application/dicom+xml", XML),
        ("Multipart/Related; TYPE=Application/Dicom+XML", XML),
        ("multipart/related", XML),
        ("text/html, application/json;q=0.5, application/dicom+json;q=0.4", PLAIN_JSON),
        ("*/*;q=0.1, application/json", PLAIN_JSON),
        ("*/*, application/dicom+json;q=0", PLAIN_JSON),
        ("nonsense, application/json", PLAIN_JSON),
        # A form has the weight of the nearest range (PS3.18 §8.7.8.1), not of any that holds it.
        ("*/*;q=0.8, application/dicom+json;q=0.5", PLAIN_JSON),
        ("application/*;q=0.8, application/dicom+json;q=0.1, application/json;q=0.5", PLAIN_JSON),
        ("*/*, application/*;q=0.1", XML),
        (
            "*/*, multipart/related;q=0.1, application/json;q=0.5, application/dicom+json;q=0",
            PLAIN_JSON,
        ),
    ],
)
def test_the_form_that_fits_best_is_chosen(accept, expected):
    assert require(request(accept=accept), SEARCH).offer == expected


@pytest.mark.parametrize("accept", ["text/html", "application/dicom+xml", "application/json;q=0"])
def test_where_nothing_fits_it_is_told_what_there_is(accept):
    with pytest.raises(NotAcceptable, match="application/dicom\\+json"):
        require(request(accept=accept), SEARCH)


def test_who_accepts_nothing_in_particular_takes_the_first():
    assert require(request(), SEARCH).offer == JSON


def test_the_query_parameter_goes_before_the_header():
    asked = request("accept=application/json", accept="application/dicom+json")
    assert require(asked, SEARCH).offer == PLAIN_JSON
    # A plus sign that was not escaped.
    asked = request("accept=application/dicom+json", accept="application/json")
    assert require(asked, SEARCH).offer == JSON
    # What cannot be given there leaves it to the header.
    asked = request("accept=text/html", accept="application/json")
    assert require(asked, SEARCH).offer == PLAIN_JSON
    with pytest.raises(NotAcceptable):
        require(request("accept=text/html"), SEARCH)


@pytest.mark.parametrize("quote", ['"', ""])
def test_transfer_syntaxes_are_read_quoted_or_not(quote):
    text = (
        f"multipart/related; type={quote}application/dicom{quote}; "
        f"transfer-syntax={quote}1.2.840.10008.1.2.4.50{quote}, "
        f"application/dicom; transfer-syntax=*; q=0.5"
    )
    first, second = media_ranges(text)
    assert (first.media_type, first.multipart) == ("application/dicom", True)
    assert first.transfer_syntax == "1.2.840.10008.1.2.4.50"
    assert (second.transfer_syntax, second.multipart, second.quality) == ("*", False, 0.5)
    choice = require(request(accept=text), [DICOM, PARTS])
    assert choice.offer == PARTS
    assert choice.wanted.transfer_syntax == "1.2.840.10008.1.2.4.50"


def test_a_transfer_syntax_is_read_within_the_quotes_of_the_type():
    text = 'multipart/related; type="image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90"; q=0.5'
    (found,) = media_ranges(text)
    assert (found.media_type, found.transfer_syntax) == ("image/jp2", "1.2.840.10008.1.2.4.90")
    assert found.quality == 0.5


@pytest.mark.parametrize(
    ("old", "new"), [("image/x-jls", "image/jls"), ("image/x-dicom-rle", "image/dicom-rle")]
)
def test_names_of_older_editions_are_understood(old, new):
    for text in (old, f'multipart/related; type="{old}"'):
        assert media_ranges(text)[0].media_type == new


def test_of_what_one_syntax_is_refused_another_may_be_given():
    text = "*/*, application/dicom; transfer-syntax=1.2.840.10008.1.2.4.91; q=0"
    assert require(request(accept=text), [DICOM]).offer == DICOM


def test_a_picture_has_no_character_set():
    jpeg = Offer("image/jpeg")
    assert require(request("charset=iso-8859-1", accept_charset="latin1"), [jpeg]).offer == jpeg


def test_texts_are_given_in_utf_8_alone():
    check_charset(request("charset=utf-8"))
    check_charset(request(accept_charset="iso-8859-1, utf-8;q=0.7"))
    for asked in (
        request("charset=iso-8859-1"),
        request(accept_charset="iso-8859-1, utf-8;q=0"),
    ):
        with pytest.raises(NotAcceptable):
            check_charset(asked)


def test_absurd_headers_are_bounded():
    assert len(accepted(request(accept=",".join(["a/b"] * 5000)))[0]) <= 64
    assert media_ranges('"' * 1000 + ";;;,,,=") == []


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": "pacs:8042"}, "http://pacs:8042"),
        ({"host": "[::1]:8042"}, "http://[::1]:8042"),
        ({"host": "in", "forwarded": 'for=1;proto=https;host="out:444"'}, "https://out:444"),
        ({"host": "in", "forwarded": "host=a;proto=https, host=b;proto=http"}, "https://a"),
        ({"host": "in", "forwarded": 'by="_x,y;host=b";Host=a ; proto=https'}, "https://a"),
        ({"host": "in", "forwarded": "nonsense"}, "http://in"),
        ({"host": "in", "x_forwarded_port": "8443"}, "http://in:8443"),
        ({"host": "in:1", "x_forwarded_port": "8443"}, "http://in:1"),
        (
            {
                "host": "in",
                "x_forwarded_proto": "https",
                "x_forwarded_host": "out, in",
                "x_forwarded_port": "8443",
                "x_forwarded_prefix": "/pacs/",
            },
            "https://out:8443/pacs",
        ),
        (
            {"host": "in", "x_forwarded_proto": "https", "x_forwarded_port": "443"},
            "https://in",
        ),
    ],
)
def test_urls_are_those_that_the_client_can_call(headers, expected):
    assert server_root(request(**headers), Settings()) == expected


def test_only_proxies_that_are_trusted_say_how_we_were_called():
    headers = {"host": "pacs", "x_forwarded_host": "evil.example"}
    assert server_root(request(client="10.0.0.7", **headers), Settings()) == "http://pacs"
    settings = Settings(dicomweb=Dicomweb(trusted_proxies=["10.0.0.0/8"]))
    asked = request(client="10.0.0.7", **headers)
    assert server_root(asked, settings) == "http://evil.example"
    settings = Settings(dicomweb=Dicomweb(public_url="https://pacs.example/a/"))
    assert server_root(request(**headers), settings) == "https://pacs.example/a"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": 'pacs"'},
        {"host": "a b"},
        {"host": "in", "forwarded": "host=<script>"},
        {"host": "in", "x_forwarded_proto": "javascript"},
        {"host": "in", "x_forwarded_prefix": '/"onload='},
    ],
)
def test_what_is_no_host_is_refused(headers):
    with pytest.raises(BadRequest):
        server_root(request(**headers), Settings())


def test_bulk_data_lies_below_its_instance():
    uri = bulk_data_uri("http://pacs/dicom-web", "1", "2", "3", "7FE00010")
    assert uri == "http://pacs/dicom-web/studies/1/series/2/instances/3/bulkdata/7FE00010"


def test_uids_and_frames_of_a_path_are_checked():
    for stored in ("1.2.840", "1..2", "a", "1" * 65):  # what devices send is found as it is
        assert uid(stored, "study") == stored
    for wrong in ("1.2 ", "1" * 129, ".", "..", "a/b", "%", "1.2*"):
        with pytest.raises(BadRequest):
            uid(wrong, "study")
    assert frame_numbers("3,1,3") == [3, 1, 3]
    for wrong in ("", "0", "1,", "1,,2", "-1", "1-3", "x", "\u0663"):
        with pytest.raises(BadRequest):
            frame_numbers(wrong)
    with pytest.raises(NotFound):
        frame_numbers("9" * 30)
