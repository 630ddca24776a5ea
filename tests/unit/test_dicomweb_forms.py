"""Which form of frames and instances a request gets: PS3.18 §8.7.3."""

import pytest
from starlette.requests import Request

from vna.errors import NotAcceptable
from vna.rest.dicomweb.forms import frame_forms, instance_forms
from vna.rest.dicomweb.negotiation import Offer

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
JPEG = "1.2.840.10008.1.2.4.50"
JPEG_LS = "1.2.840.10008.1.2.4.80"
J2K = "1.2.840.10008.1.2.4.90"
HTJ2K = "1.2.840.10008.1.2.4.201"
MP4 = "1.2.840.10008.1.2.4.102"
OFFERS = [Offer("application/dicom", multipart=True), Offer("application/dicom")]


def request(accept):
    headers = [] if accept is None else [(b"accept", accept.encode())]
    return Request({"type": "http", "method": "GET", "query_string": b"", "headers": headers})


def frames(accept, stored, *, as_stored=False):
    chosen = frame_forms(request(accept), [stored], as_stored=as_stored, single=True)
    form = chosen.forms[stored]
    return (
        chosen.multipart,
        form.content_type.replace(" transfer-syntax=", ""),
        form.transfer_syntax,
    )


@pytest.mark.parametrize(
    ("accept", "stored", "given"),
    [
        (None, EXPLICIT, (True, f"application/octet-stream;{EXPLICIT}", None)),
        (None, IMPLICIT, (True, f"application/octet-stream;{EXPLICIT}", None)),
        (None, JPEG_LS, (True, f"application/octet-stream;{EXPLICIT}", EXPLICIT)),
        (None, MP4, (True, f"video/mp4;{MP4}", None)),
        ("image/*", J2K, (False, f"image/jp2;{J2K}", None)),
        ("image/jls", JPEG_LS, (False, f"image/jls;{JPEG_LS}", None)),
        ("image/jpeg", JPEG, (False, f"image/jpeg;{JPEG}", None)),
        ("image/jls", EXPLICIT, (False, f"image/jls;{JPEG_LS}", JPEG_LS)),
        ("image/jphc", J2K, (False, f"image/jphc;{HTJ2K}", HTJ2K)),
        (
            f'multipart/related; type="image/jphc"; transfer-syntax={HTJ2K}',
            HTJ2K,
            (True, f"image/jphc;{HTJ2K}", None),
        ),
        (
            "multipart/related; type=application/octet-stream; transfer-syntax=*",
            JPEG_LS,
            (True, f"application/octet-stream;{JPEG_LS}", None),
        ),
        ("*/*; transfer-syntax=*", JPEG_LS, (True, f"image/jls;{JPEG_LS}", None)),
        (
            "multipart/related; type=image/jpeg; q=0.9, multipart/related; type=image/jls",
            JPEG_LS,
            (True, f"image/jls;{JPEG_LS}", None),
        ),
        (
            f"application/octet-stream; transfer-syntax={IMPLICIT}",
            JPEG_LS,
            (False, f"application/octet-stream;{EXPLICIT}", EXPLICIT),
        ),
    ],
)
def test_frames_are_given_in_the_form_that_the_request_prefers(accept, stored, given):
    assert frames(accept, stored) == given


def test_orthancs_habit_is_what_is_stored():
    assert frames(None, JPEG, as_stored=True) == (True, f"image/jpeg;{JPEG}", None)
    plain = "multipart/related; type=application/octet-stream"
    assert frames(plain, JPEG, as_stored=True) == (True, f"application/octet-stream;{JPEG}", None)


@pytest.mark.parametrize(
    ("accept", "stored"),
    [
        ("text/html", EXPLICIT),
        ("image/png", JPEG),
        ("application/octet-stream", MP4),
        ("video/mp4", JPEG),
        ("image/jls; transfer-syntax=1.2.3", EXPLICIT),
        (f"image/jls; transfer-syntax={JPEG}", JPEG),
        ("image/jls; q=0", JPEG_LS),
    ],
)
def test_frames_that_nothing_fits_are_not_acceptable(accept, stored):
    with pytest.raises(NotAcceptable):
        frames(accept, stored)


def test_each_instance_is_given_in_the_first_form_that_it_can_have():
    accept = (
        f"multipart/related; type=application/dicom; transfer-syntax={JPEG_LS}; q=0.5, {STORED}"
    )
    chosen = instance_forms(request(accept), [EXPLICIT, MP4], OFFERS, as_stored=False)
    assert chosen.multipart
    assert {uid: form.transfer_syntax for uid, form in chosen.forms.items()} == {
        EXPLICIT: None,
        MP4: None,
    }
    wanted = f"multipart/related; type=application/dicom; transfer-syntax={JPEG_LS}"
    chosen = instance_forms(request(wanted), [EXPLICIT, MP4], OFFERS, as_stored=False)
    assert list(chosen.forms) == [EXPLICIT]
    with pytest.raises(NotAcceptable):
        instance_forms(request(wanted), [MP4], OFFERS, as_stored=False)


STORED = "multipart/related; type=application/dicom; transfer-syntax=*"


def test_no_transfer_syntax_means_explicit_vr_little_endian():
    for accept in (None, "multipart/related; type=application/dicom", "application/dicom"):
        chosen = instance_forms(request(accept), [IMPLICIT], OFFERS, as_stored=False)
        assert chosen.forms[IMPLICIT].transfer_syntax == EXPLICIT
        assert chosen.multipart == (accept != "application/dicom")
        chosen = instance_forms(request(accept), [IMPLICIT], OFFERS, as_stored=True)
        assert chosen.forms[IMPLICIT].transfer_syntax is None
