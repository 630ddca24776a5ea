"""Pictures, arrays and frames of stored images over HTTP."""

import gzip
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    MPEG4HP41,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    GrayscaleSoftcopyPresentationStateStorage,
)
from support import ct_small, make_instance

PNG, JPEG, PAM = "image/png", "image/jpeg", "image/x-portable-arbitrarymap"
VIDEO = bytes(range(200))


def file_of(found):
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, found, enforce_file_format=True)
    return buffer.getvalue()


def image(pixels, **attributes):
    """Return a file with these pixels: frames, rows, columns."""
    frames, rows, columns = pixels.shape
    return make_instance(
        Rows=rows,
        Columns=columns,
        NumberOfFrames=frames,
        PixelData=pixels.tobytes(),
        PixelRepresentation=int(pixels.dtype.kind == "i"),
        **attributes,
    )


def shades(frames=1, rows=24, columns=40, first=0, step=3):
    count = frames * rows * columns
    return (
        (first + step * np.arange(count, dtype="<i4")).astype("<u2").reshape(frames, rows, columns)
    )


@pytest.fixture(scope="module")
def ct(server):
    return f"/instances/{server.upload(ct_small())['ID']}"


@pytest.fixture(scope="module")
def values():
    """The values of the slice after the modality LUT."""
    found = pydicom.dcmread(io.BytesIO(ct_small()))
    return found.pixel_array * float(found.RescaleSlope) + float(found.RescaleIntercept)


def picture(server, path, **options):
    """Return a picture as an array."""
    answer = server.http.get(path, **options)
    assert answer.status_code == 200, (path, answer.status_code, answer.text)
    return np.array(Image.open(io.BytesIO(answer.content))).astype(int)


def array(server, path):
    answer = server.http.get(path)
    assert answer.status_code == 200, (path, answer.status_code, answer.text)
    assert int(answer.headers.get("content-length", len(answer.content))) == len(answer.content)
    return np.load(io.BytesIO(answer.content))


def refusal(server, path, **options):
    answer = server.http.get(path, **options)
    return answer.status_code, answer.json()["Code"]


def test_a_preview_goes_from_the_lowest_value_to_the_highest(server, ct, values):
    low, high = values.min(), values.max()
    expected = (values - low) * 255 / (high - low)
    found = picture(server, f"{ct}/preview")
    assert np.abs(found - expected).max() <= 1
    assert np.array_equal(found, picture(server, f"{ct}/frames/0/preview"))


def test_a_window_of_the_request_is_used(server, ct, values):
    window = {"window-center": 100, "window-width": 500}
    found = picture(server, f"{ct}/rendered", params=window)
    # PS3.3 §C.11.2.1.2.1
    expected = np.clip(((values - 99.5) / 499 + 0.5) * 255, 0, 255)
    assert np.abs(found - expected).max() <= 1


def presentation_state(shown, **window):
    """Return a presentation state that shows an image in a window (PS3.3 §A.33.1)."""
    state = report()
    state.SOPClassUID, state.Modality = GrayscaleSoftcopyPresentationStateStorage, "PR"
    reference, series = Dataset(), Dataset()
    reference.ReferencedSOPClassUID = shown.SOPClassUID
    reference.ReferencedSOPInstanceUID = shown.SOPInstanceUID
    series.SeriesInstanceUID = shown.SeriesInstanceUID
    series.ReferencedImageSequence = [reference]
    state.ReferencedSeriesSequence = [series]
    voi, area = Dataset(), Dataset()
    voi.WindowCenter, voi.WindowWidth = window["center"], window["width"]
    state.SoftcopyVOILUTSequence = [voi]
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [shown.Columns, shown.Rows]
    area.PresentationSizeMode = "SCALE TO FIT"
    area.PresentationPixelAspectRatio = [1, 1]
    state.DisplayedAreaSelectionSequence = [area]
    state.PresentationLUTShape = "IDENTITY"
    slope = {"RescaleSlope": 1, "RescaleIntercept": shown.RescaleIntercept, "RescaleType": "HU"}
    for name, value in slope.items():
        setattr(state, name, value)
    return file_of(state)


def test_a_presentation_state_is_applied(server, ct):
    shown = pydicom.dcmread(io.BytesIO(ct_small()))
    state = server.upload(presentation_state(shown, center=-100, width=700))["ID"]
    found = picture(server, f"{ct}/rendered?presentation-state={state}")
    window = {"window-center": -100, "window-width": 700}
    assert np.abs(found - picture(server, f"{ct}/rendered", params=window)).max() <= 1
    plain = server.http.get(f"{ct}/rendered")
    applied = server.http.get(f"{ct}/rendered?presentation-state={state}")
    assert plain.headers["etag"] != applied.headers["etag"]
    missing = f"{ct}/rendered?presentation-state=none"
    assert refusal(server, missing) == (404, "not_found")
    assert refusal(server, f"{ct}/rendered?presentation-state={ct.rpartition('/')[2]}")[0] == 415


def test_values_are_cut_off_at_the_ends_of_the_type(server, ct):
    stored = pydicom.dcmread(io.BytesIO(ct_small())).pixel_array
    for mode, (low, high) in {
        "image-uint8": (0, 255),
        "image-uint16": (0, 65535),
        "image-int16": (-32768, 32767),
    }.items():
        assert np.array_equal(picture(server, f"{ct}/{mode}"), np.clip(stored, low, high)), mode


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, PNG),
        ("", PNG),
        ("*/*", PNG),
        ("image/*", PNG),
        (JPEG, JPEG),
        (PAM, PAM),
        (f"{JPEG}, */*", JPEG),
        (f"{PNG};q=0.1, {JPEG};q=0.2", JPEG),
        ("image/avif,image/webp,image/*,*/*;q=0.8", PNG),
        (f"image/gif, {PAM}", PAM),
        ("text/html", None),
        (f"{PNG};q=0", None),
    ],
)
def test_the_form_is_the_one_that_the_client_wants(server, ct, accept, form):
    request = server.http.build_request("GET", f"{ct}/preview")
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    answer = server.http.send(request)
    if form is None:
        assert (answer.status_code, answer.json()["Code"]) == (406, "not_acceptable")
        return
    assert (answer.status_code, answer.headers["content-type"]) == (200, form)
    if form == PAM:
        head, _, pixels = answer.content.partition(b"ENDHDR\n")
        assert b"WIDTH 128\nHEIGHT 128\nDEPTH 1\nMAXVAL 255\n" in head
        assert len(pixels) == 128 * 128
    else:
        shown = Image.open(io.BytesIO(answer.content))
        assert (shown.format, shown.size) == (form.removeprefix("image/").upper(), (128, 128))


def test_quality_is_that_of_jpeg(server, ct):
    def size(quality):
        path = f"{ct}/preview?quality={quality}"
        return len(server.http.get(path, headers={"Accept": JPEG}).content)

    assert size(5) < size(50) < size(100)


def test_a_picture_is_fitted_into_the_size_asked_for(server):
    path = f"/instances/{server.upload(image(shades()))['ID']}/rendered"

    def size(query):
        return Image.open(io.BytesIO(server.http.get(f"{path}?{query}").content)).size

    assert size("width=20") == (20, 12)
    assert size("height=48") == (80, 48)
    assert size("width=20&height=6") == (10, 6)
    assert size("width=0&height=0") == (40, 24)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("quality=0", "request.out_of_range"),
        ("quality=101", "request.out_of_range"),
        ("quality=much", "request.bad_parameter"),
        ("width=-1", "request.bad_parameter"),
        ("height=1.5", "request.bad_parameter"),
        ("width=99999999999", "request.out_of_range"),
        ("window-center=abc", "request.bad_parameter"),
        ("window-center=nan", "request.bad_parameter"),
        ("window-width=inf", "request.bad_parameter"),
        ("window-width=0", "request.out_of_range"),
        ("smooth=perhaps", "request.out_of_range"),
    ],
)
def test_arguments_that_are_none_are_refused(server, ct, query, code):
    assert refusal(server, f"{ct}/rendered?{query}") == (400, code)


def test_a_frame_that_there_is_not_is_not_found(server):
    path = f"/instances/{server.upload(image(shades(3)))['ID']}/frames"
    assert server.get(path) == [0, 1, 2]
    assert "raw.gz" in server.get(f"{path}/2")
    for tail in ("", "/preview", "/rendered", "/numpy", "/matlab", "/raw", "/raw.gz"):
        for frame in ("3", "99999999999999999", "99999999999999999999", "-1", "x"):
            assert refusal(server, f"{path}/{frame}{tail}") == (404, "picture.frame"), tail
    for tail in ("preview", "numpy", "pdf", "frames", "frames/0", "thumbnail"):
        assert refusal(server, f"/instances/none/{tail}")[0] == 404


def test_frames_are_given_as_arrays(server):
    pixels = shades(3)
    path = f"/instances/{server.upload(image(pixels, RescaleSlope=2, RescaleIntercept=-9))['ID']}"
    expected = pixels[..., None]
    for tail, frames in {"": expected, "/frames/1": expected[1]}.items():
        stored = array(server, f"{path}{tail}/numpy?rescale=0")
        assert (stored.dtype, stored.shape) == (np.dtype("<u2"), frames.shape)
        assert np.array_equal(stored, frames)
        rescaled = array(server, f"{path}{tail}/numpy")
        assert rescaled.dtype == np.dtype("<f4")
        assert np.array_equal(rescaled, frames * 2.0 - 9)
        packed = np.load(io.BytesIO(server.http.get(f"{path}{tail}/numpy?compress").content))
        assert np.array_equal(packed["arr_0"], rescaled)


def test_an_array_longer_than_a_piece_is_whole(server):
    pixels = shades(4, 600, 500, step=1)
    path = f"/instances/{server.upload(image(pixels))['ID']}/numpy?rescale=0"
    assert np.array_equal(array(server, path), pixels[..., None])
    packed = np.load(io.BytesIO(server.http.get(f"{path}&compress=1").content))
    assert np.array_equal(packed["arr_0"], pixels[..., None])
    head = server.http.head(path)
    assert int(head.headers["content-length"]) == len(server.http.get(path).content)


def evaluated(text):
    """Return the numbers of a MATLAB expression, and what is around them."""
    before, _, rest = text.partition("[ ")
    numbers, _, behind = rest.partition("]")
    return before, numbers.split(";"), behind


def test_a_frame_is_given_as_matlab_evaluates_it(server):
    pixels = shades(2, rows=3, columns=5)
    public_id = server.upload(image(pixels))["ID"]
    text = server.http.get(f"/instances/{public_id}/frames/1/matlab").text
    before, rows, behind = evaluated(text)
    assert (before, behind) == ("double(", ")")
    assert np.array_equal([row.split() for row in rows], pixels[1].astype(str))


def test_colours_in_matlab_are_turned_to_rows_columns_and_channels(server):
    data = Path(get_testdata_file("examples_rgb_color.dcm")).read_bytes()
    expected = pydicom.dcmread(io.BytesIO(data)).pixel_array
    text = server.http.get(f"/instances/{server.upload(data)['ID']}/matlab").text
    before, [numbers], behind = evaluated(text)
    assert before == "double(permute(reshape("
    rows, columns, channels = expected.shape
    assert behind == f", [ {channels} {columns} {rows} ]), [ 3 2 1 ]))"
    # reshape fills by column: the first index runs fastest.
    found = np.array(numbers.split(), int).reshape((channels, columns, rows), order="F")
    assert np.array_equal(found.transpose(2, 1, 0), expected)


def in_big_endian(file, pixels):
    found = Dataset()
    for element in pydicom.dcmread(io.BytesIO(file)):
        found.add(element)
    found.PixelData = pixels.byteswap().tobytes()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    return file_of(found)


def test_a_frame_is_given_as_it_is_stored(server):
    pixels = shades(3)
    bits = make_instance(
        Rows=3,
        Columns=3,
        NumberOfFrames=3,
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelData=int("101010101" + "111000111" + "000111000", 2).to_bytes(4, "little"),
    )
    cases = {
        image(pixels): pixels[1].tobytes(),
        in_big_endian(image(pixels), pixels): pixels[1].tobytes(),
        # Frames of single bits follow each other without padding (PS3.5 §8.1.1).
        bits: int("111000111", 2).to_bytes(2, "little"),
    }
    for data, expected in cases.items():
        path = f"/instances/{server.upload(data)['ID']}/frames/1"
        assert server.http.get(f"{path}/raw").content == expected
        packed = server.http.get(f"{path}/raw.gz")
        assert packed.headers["content-type"] == "application/gzip"
        assert gzip.decompress(packed.content) == expected
        part = server.http.get(f"{path}/raw", headers={"Range": "bytes=1-"})
        assert (part.status_code, part.content) == (206, expected[1:])


def test_a_codestream_is_given_with_all_its_fragments(server):
    data = Path(get_testdata_file("examples_ybr_color.dcm")).read_bytes()
    frames = list(
        pydicom.encaps.generate_frames(
            pydicom.dcmread(io.BytesIO(data)).PixelData, number_of_frames=30
        )
    )
    answer = server.http.get(f"/instances/{server.upload(data)['ID']}/frames/29/raw")
    assert answer.headers["content-type"] == JPEG
    assert answer.content == frames[29]


def test_a_video_goes_to_a_player(server):
    video = pydicom.dcmread(io.BytesIO(make_instance(Rows=8, Columns=8, NumberOfFrames=30)))
    video.SamplesPerPixel, video.PhotometricInterpretation = 3, "YBR_PARTIAL_420"
    video.PlanarConfiguration, video.BitsAllocated, video.BitsStored = 0, 8, 8
    video.HighBit = 7
    video.file_meta.TransferSyntaxUID = MPEG4HP41
    parts = [VIDEO[:100], VIDEO[100:]]
    video.PixelData = pydicom.encaps.encapsulate([b"".join(parts)], fragments_per_frame=2)
    video["PixelData"].VR = "OB"
    path = f"/instances/{server.upload(file_of(video))['ID']}"
    answer = server.http.get(f"{path}/preview")
    assert (answer.status_code, answer.json()["Code"]) == (415, "picture.video")
    assert "player" in answer.json()["Details"]
    assert server.get(f"{path}/frames") == [0]
    assert server.http.get(f"{path}/frames/0/raw").content == VIDEO
    part = server.http.get(f"{path}/frames/0/raw", headers={"Range": "bytes=95-104"})
    assert part.content == VIDEO[95:105]


def report():
    found = pydicom.dcmread(io.BytesIO(make_instance()))
    for name in ("PixelData", "Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"):
        del found[name]
    return found


def test_what_is_no_image_says_what_it_is_and_how_to_get_at_it(server):
    found = report()
    found.SOPClassUID = EncapsulatedPDFStorage
    found.MIMETypeOfEncapsulatedDocument = "application/pdf"
    found.EncapsulatedDocument = b"%PDF-1.4 odd!"
    found["EncapsulatedDocument"].VR = "OB"
    path = f"/instances/{server.upload(file_of(found))['ID']}"
    for tail in ("preview", "rendered", "image-uint8", "numpy", "matlab", "frames/0/raw"):
        answer = server.http.get(f"{path}/{tail}")
        assert (answer.status_code, answer.json()["Code"]) == (415, "picture.no_image"), tail
        assert "a PDF document" in answer.json()["Details"]
    document = server.http.get(f"{path}/pdf")
    assert document.headers["content-type"] == "application/pdf"
    assert document.content == b"%PDF-1.4 odd!"


def test_only_an_encapsulated_pdf_has_one(server, ct):
    assert refusal(server, f"{ct}/pdf") == (404, "picture.no_pdf")


def test_who_wants_some_picture_in_any_case_is_sent_to_one(server):
    path = f"/instances/{server.upload(file_of(report()))['ID']}"
    for tail in ("preview", "frames/0/rendered"):
        answer = server.http.get(f"{path}/{tail}?returnUnsupportedImage")
        assert answer.status_code == 307
        shown = server.http.get(f"{path}/{tail}?returnUnsupportedImage", follow_redirects=True)
        assert shown.headers["content-type"] == PNG
        assert Image.open(io.BytesIO(shown.content)).size == (128, 128)


def test_a_picture_that_the_client_has_is_not_made_again(server, ct):
    first = server.http.get(f"{ct}/rendered?width=50")
    tag = first.headers["etag"]
    known = {"If-None-Match": tag}
    again = server.http.get(f"{ct}/rendered?width=50", headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for other in ("rendered?width=51", "rendered", "preview", "frames/0/image-uint8"):
        assert server.http.get(f"{ct}/{other}", headers=known).status_code == 200
    jpeg = server.http.get(f"{ct}/rendered?width=50", headers=known | {"Accept": JPEG})
    assert jpeg.status_code == 200
    numpy = server.http.get(f"{ct}/numpy").headers["etag"]
    assert server.http.get(f"{ct}/numpy", headers={"If-None-Match": numpy}).status_code == 304
    assert server.http.get(f"{ct}/preview", headers={"If-Match": '"x"'}).status_code == 412
    head = server.http.head(f"{ct}/rendered?width=50")
    assert (head.status_code, head.headers["etag"], head.content) == (200, tag, b"")
    assert int(head.headers["content-length"]) == len(first.content)


@pytest.mark.parametrize("what", ["preview", "rendered", "frames/0/preview", "frames/0/rendered"])
@pytest.mark.parametrize("accept", ["*/*", "image/png", "image/jpeg"])
def test_plain_requests_are_answered_as_others_are(server, ct, what, accept):
    """The core answers the first alone, the application the second, for its parameter."""
    headers = {"Accept": accept}
    alone = server.http.get(f"{ct}/{what}", headers=headers)
    asked = server.http.get(f"{ct}/{what}", headers=headers, params={"quality": "90"})
    assert (alone.status_code, alone.content) == (200, asked.content)
    same = ("content-type", "content-length", "etag", "vary", "x-content-type-options")
    assert {name: alone.headers[name] for name in same} == {
        name: asked.headers[name] for name in same
    }
    assert set(alone.headers) == set(asked.headers)
    again = server.http.get(
        f"{ct}/{what}", headers=headers | {"If-None-Match": alone.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


def test_more_memory_than_pictures_may_have_is_refused_and_less_is_waited_for(start_server):
    server = start_server("--set=pictures.memory_bytes=4194304")
    large = server.upload(image(np.zeros((1, 1500, 1500), "<u2")))["ID"]
    assert refusal(server, f"/instances/{large}/preview") == (415, "picture.too_large")
    answer = server.http.get(f"/instances/{large}/rendered?width=100000&height=100000")
    assert answer.status_code == 415
    path = f"/instances/{server.upload(image(shades(1, 500, 500, step=1)))['ID']}"
    with ThreadPoolExecutor(16) as pool:
        asked = [f"{path}/preview", f"{path}/numpy"] * 16
        answers = list(pool.map(server.http.get, asked))
    assert {answer.status_code for answer in answers} == {200}
    metrics = measured(server)
    assert metrics["vna_pictures_used_bytes"] == 0
    assert metrics["vna_pictures_budget_bytes"] == 4 << 20
    assert metrics["vna_pictures_total"] >= 16


def measured(server):
    lines = server.http.get("/metrics").text.splitlines()
    return {
        line.split()[0]: float(line.split()[1])
        for line in lines
        if line.startswith(("vna_pictures", "vna_thumbnail"))
    }
