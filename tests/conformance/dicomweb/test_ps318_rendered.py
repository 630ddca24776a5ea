"""Rendered and thumbnail resources (PS3.18 §10.4.1.1.3, §10.4.1.1.4, §8.3.5, §8.7.4)."""

import io
import math

import numpy as np
import pytest
from PIL import Image
from support_data import COLUMNS, PDF, ROWS
from support_target import NOTHING, clause, media_type, multipart, parts
from test_ps318_retrieve import LEVELS, path_of

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/jp2": "JPEG2000"}
# Table 8.7.4-1: what a server of the RESTful services may do without.
IMAGE_TYPES = [
    pytest.param("image/jpeg", marks=clause("Table 8.7.4-1")),
    pytest.param("image/png", marks=clause("Table 8.7.4-1")),
    pytest.param("image/gif", marks=clause("Table 8.7.4-1")),
    pytest.param("image/jp2", marks=clause("Table 8.7.4-1", optional=True)),
]


def opened(data):
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def grey(data):
    return np.asarray(opened(data).convert("L")).astype(int)


def rendered(target, instance, accept="image/png", frame=None, **params):
    """Return the answer to a request for one rendered image."""
    frames = f"/frames/{frame}" if frame else ""
    return target.get(f"{instance.path}{frames}/rendered", accept, params=params)


def shown(target, instance, **options):
    """Return the grey values of one rendered image, without loss."""
    answer = rendered(target, instance, **options)
    assert answer.status_code == 200, (answer.status_code, answer.text[:300])
    return grey(answer.content)


@pytest.mark.parametrize("accept", IMAGE_TYPES)
def test_an_instance_is_rendered(target, made, accept):
    answer = target.ok(f"{made.ct[0].path}/rendered", accept)
    assert media_type(answer.headers["content-type"]) == accept
    picture = opened(answer.content)
    assert picture.format == FORMATS[accept]
    assert picture.size == (COLUMNS, ROWS)


@clause("§8.7.4")
def test_an_instance_is_rendered_as_jpeg_by_default(target, made):
    answer = target.ok(f"{made.ct[0].path}/rendered", "*/*")
    assert media_type(answer.headers["content-type"]) == "image/jpeg"


@clause("§8.3.3.1")
@pytest.mark.parametrize("accept", ["image/jpeg", "image/png"])
def test_the_rendered_media_type_is_taken_from_the_query(target, made, accept):
    answer = target.ok(f"{made.ct[0].path}/rendered", params={"accept": accept})
    assert media_type(answer.headers["content-type"]) == accept


@clause("§8.7.5")
def test_the_rendered_media_type_with_the_greater_weight_is_chosen(target, made):
    answer = target.ok(f"{made.ct[0].path}/rendered", "image/jpeg;q=0.3, image/png;q=0.6")
    assert media_type(answer.headers["content-type"]) == "image/png"


@clause("Table 10.4.1-3")
@pytest.mark.parametrize("accept", ["image/jpeg", "image/png"])
@pytest.mark.parametrize("level", ["study", "series"])
def test_all_images_of_a_resource_are_rendered(target, made, level, accept):
    answer = target.ok(f"{path_of(made.ct[0], level)}/rendered", multipart(accept))
    found = [part for part in parts(answer) if part.media_type == accept]
    assert len(found) >= len(made.ct)
    assert opened(found[0].body).size == (COLUMNS, ROWS)


@clause("Table 10.4.1-3")
@pytest.mark.parametrize("level", ["study", "series"])
def test_a_resource_is_rendered_whatever_it_may_be(target, made, level):
    answer = target.ok(f"{path_of(made.ct[0], level)}/rendered", "*/*")
    assert media_type(answer.headers["content-type"]) in ("image/jpeg", "multipart/related")


@clause("Table 10.4.1-3")
@pytest.mark.parametrize("frame", [1, 2, 4])
def test_a_frame_is_rendered(target, made, frame):
    window = "128,256,linear"
    found = shown(target, made.multiframe, frame=frame, window=window)
    pixels = made.multiframe.dataset.pixel_array[frame - 1]
    assert np.abs(found - pixels).max() <= 1


@clause("Table 10.4.1-3")
def test_several_frames_are_rendered(target, made):
    answer = target.ok(f"{made.multiframe.path}/frames/1,3/rendered", multipart("image/png"))
    assert [opened(part.body).size for part in parts(answer)] == [(10, 8)] * 2


@clause("§8.7.4", optional=True)
def test_several_frames_are_rendered_as_an_animation(target, made):
    answer = target.ok(f"{made.multiframe.path}/rendered", "image/gif")
    assert opened(answer.content).n_frames == 4


@clause("§10.4.1.1.3")
def test_colour_is_rendered(target, made):
    found = np.asarray(opened(rendered(target, made.color).content).convert("RGB"))
    assert np.array_equal(found, made.color.dataset.pixel_array)


@clause("§10.4.1.1.3")
@pytest.mark.parametrize("name", ["explicit", "big endian", "jpeg", "jpeg lossless", "rle"])
def test_every_transfer_syntax_is_rendered(target, made, name):
    stored = list(made.by_syntax.values())
    number = {"explicit": 0, "big endian": 2, "jpeg": 4, "jpeg lossless": 5, "rle": 9}[name]
    found = shown(target, stored[number], window="128,256,linear")
    assert np.abs(found - made.picture).max() <= (12 if name == "jpeg" else 1)


@clause("Table 10.4.3-1")
@pytest.mark.parametrize("accept", [NOTHING, "application/dicom", "text/html"])
@pytest.mark.parametrize("rest", ["/rendered", "/frames/1/rendered"])
def test_an_image_is_not_rendered_as_something_else(target, made, rest, accept):
    assert target.get(f"{made.ct[0].path}{rest}", accept).status_code == 406


@clause("Table 10.4.3-1")
def test_a_frame_that_is_not_there_is_not_rendered(target, made):
    assert rendered(target, made.multiframe, frame=5).status_code == 404


@clause("§8.3.5.1.3")
@pytest.mark.parametrize(
    ("viewport", "size"),
    [
        pytest.param("32,24", (32, 24), id="larger"),
        pytest.param("8,6", (8, 6), id="smaller"),
        pytest.param("8,8", (8, 6), id="higher than the image"),
        pytest.param("32,12", (16, 12), id="wider than the image"),
        pytest.param("16,12,,,8,6", (16, 12), id="part of the image"),
        pytest.param("8,6,8,6", (8, 6), id="part up to the edge"),
    ],
)
def test_an_image_is_scaled_into_the_viewport(target, made, viewport, size):
    answer = rendered(target, made.ct[0], viewport=viewport)
    assert opened(answer.content).size == size


@clause("§8.3.5.1.3")
@pytest.mark.parametrize(
    ("viewport", "part"),
    [
        pytest.param("8,6,8,6,8,6", np.s_[6:, 8:], id="lower right quarter"),
        pytest.param("8,6,0,0,8,6", np.s_[:6, :8], id="upper left quarter"),
        pytest.param("16,12,,,16,12", np.s_[:, :], id="all of it"),
        pytest.param("16,12,0,0,-16,12", np.s_[:, ::-1], id="flipped horizontally"),
        pytest.param("16,12,0,0,16,-12", np.s_[::-1, :], id="flipped vertically"),
    ],
)
def test_a_region_is_cropped(target, made, viewport, part):
    whole = shown(target, made.ct[0])
    assert np.array_equal(shown(target, made.ct[0], viewport=viewport), whole[part])


def linear(x, center, width):
    return np.clip(((x - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)


def linear_exact(x, center, width):
    return np.clip((x - center) / width + 0.5, 0, 1) * 255


def sigmoid(x, center, width):
    return 255 / (1 + np.exp(-4 * (x - center) / width))


@clause("§8.3.5.1.4")
@pytest.mark.parametrize(
    ("function", "formula"),
    [("linear", linear), ("linear-exact", linear_exact), ("sigmoid", sigmoid)],
)
@pytest.mark.parametrize(("center", "width"), [(500, 2000), (-200, 600)])
def test_a_window_is_applied(target, made, function, formula, center, width):
    values = made.ct[0].dataset.pixel_array.astype(float) - 1024
    found = shown(target, made.ct[0], window=f"{center},{width},{function}")
    assert np.abs(found - formula(values, center, width)).max() <= 1.01


@clause("§8.3.5.1.2")
def test_quality_changes_the_size_of_an_image(target, made):
    sizes = [
        len(rendered(target, made.ct[0], "image/jpeg", quality=quality).content)
        for quality in (5, 100)
    ]
    assert sizes[0] < sizes[1]


@clause("§8.3.5.1.1")
@pytest.mark.parametrize("annotation", ["patient", "technique", "patient,technique"])
def test_an_annotation_is_burned_in(target, made, annotation):
    viewport = "256,192"
    plain = shown(target, made.ct[0], viewport=viewport)
    found = shown(target, made.ct[0], viewport=viewport, annotation=annotation)
    assert found.shape == plain.shape
    assert not np.array_equal(found, plain)


@clause("§8.3.5.1.1")
def test_an_annotation_that_is_not_known_is_refused_or_warned_of(target, made):
    answer = rendered(target, made.ct[0], annotation="colour")
    warned = answer.headers.get("warning", "").startswith("299 ")
    assert answer.status_code == 400 or (answer.status_code == 200 and warned)


@clause("§8.3.5.1.5", optional=True)
@pytest.mark.parametrize(("profile", "present"), [("no", False), ("yes", True), ("srgb", True)])
def test_a_colour_profile_is_embedded_as_asked(target, made, profile, present):
    answer = rendered(target, made.color, "image/jpeg", iccprofile=profile)
    assert answer.status_code == 200
    assert bool(opened(answer.content).info.get("icc_profile")) == present


REFUSED = {
    "§8.3.5.1.1": [("annotation", "")],
    "§8.3.5.1.2": [("quality", value) for value in ("0", "101", "-5", "high", "")],
    "§8.3.5.1.3": [
        ("viewport", value) for value in ("8", "a,b", "0,8", "-8,8", "8,8,1,1,1,1,1", "")
    ],
    "§8.3.5.1.4": [
        ("window", value)
        for value in ("500", "500,2000", "500,0,linear", "a,b,linear", "500,2000,curved", "")
    ],
    "§8.3.5.1.5": [("iccprofile", "cmyk")],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(*pair, marks=clause(section, optional=pair[0] == "iccprofile"))
        for section, pairs in REFUSED.items()
        for pair in pairs
    ],
)
def test_a_rendering_parameter_that_makes_no_sense_is_refused(target, made, name, value):
    answer = target.get(f"{made.ct[0].path}/rendered?{name}={value}", "image/jpeg")
    assert answer.status_code == 400


@clause("Table 8.7.4-1")
@pytest.mark.parametrize("accept", ["text/html", "text/plain", "text/xml"])
def test_a_report_is_rendered_as_text(target, made, accept):
    answer = target.ok(f"{made.report.path}/rendered", accept)
    assert media_type(answer.headers["content-type"]) == accept
    assert "Nothing abnormal was seen." in answer.text


@clause("Table 8.7.4-1", optional=True)
def test_a_document_is_rendered_as_what_it_is(target, made):
    answer = target.ok(f"{made.document.path}/rendered", "application/pdf")
    assert answer.content.rstrip(b"\0") == PDF


@clause("§8.3.5.1", optional=True)
def test_a_presentation_state_is_rendered(target, made):
    whole = shown(target, made.ct[0], window="500,2000,linear")
    found = shown(target, made.presentation)
    assert np.abs(found - (255 - whole[::-1, ::-1])).max() <= 2


@clause("§8.3.5.1.4", optional=True)
def test_a_presentation_state_takes_no_window(target, made):
    assert rendered(target, made.presentation, window="500,2000,linear").status_code == 400


@clause("§8.3.5.1.3", optional=True)
def test_a_presentation_state_takes_no_region(target, made):
    assert rendered(target, made.presentation, viewport="8,6,0,0,8,6").status_code == 400


THUMBNAILS = [*LEVELS, "frame"]


def thumbnail(made, level):
    if level == "frame":
        return f"{made.multiframe.path}/frames/3/thumbnail"
    return f"{path_of(made.ct[0], level)}/thumbnail"


@clause("Table 10.4.1-4", optional=True)
@pytest.mark.parametrize("accept", ["image/jpeg", "image/png", "*/*"])
@pytest.mark.parametrize("level", THUMBNAILS)
def test_a_thumbnail_is_one_small_picture(target, made, level, accept):
    answer = target.ok(thumbnail(made, level), accept)
    found = media_type(answer.headers["content-type"])
    assert found == ("image/jpeg" if accept == "*/*" else accept)
    assert max(opened(answer.content).size) <= 512


@clause("§10.4.1.1.4", optional=True)
@pytest.mark.parametrize("kind", ["report", "document"])
def test_what_is_no_image_has_a_thumbnail(target, made, kind):
    answer = target.ok(f"{getattr(made, kind).path}/thumbnail", "image/jpeg")
    assert opened(answer.content).format == "JPEG"


@clause("Table 8.3.5-2", optional=True)
@pytest.mark.parametrize("level", THUMBNAILS)
def test_a_thumbnail_fits_its_viewport(target, made, level):
    answer = target.ok(thumbnail(made, level), "image/png", params={"viewport": "8,8"})
    size = opened(answer.content).size
    assert max(size) == 8
    assert min(size) == math.floor(8 * (8 / 10 if level == "frame" else 12 / 16))


@clause("§8.3.5.1.3", optional=True)
@pytest.mark.parametrize("viewport", ["8", "8,8,0,0,4,4", "x,y", "0,0"])
def test_a_thumbnail_has_no_region(target, made, viewport):
    answer = target.get(thumbnail(made, "instance"), "image/jpeg", params={"viewport": viewport})
    assert answer.status_code == 400


@clause("Table 10.4.3-1", optional=True)
def test_a_thumbnail_is_not_given_as_something_else(target, made):
    assert target.get(thumbnail(made, "instance"), NOTHING).status_code == 406


@clause("Table 10.4.3-1", optional=True)
@pytest.mark.parametrize("level", LEVELS)
def test_there_is_no_thumbnail_of_what_is_not_there(target, made, level):
    path = path_of(made.ct[0], level).rpartition("/")[0]
    target.ok(thumbnail(made, level))
    assert target.get(f"{path}/2.25.404/thumbnail").status_code == 404
