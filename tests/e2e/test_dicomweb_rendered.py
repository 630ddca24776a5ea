"""Rendered resources, thumbnails and WADO-URI, as a viewer asks for them (PS3.18 §10.4.1, §9)."""

import email
import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from support import ct_small, make_instance
from support_multipart import parts_of

EXPLICIT = "1.2.840.10008.1.2.1"


STORAGE = "1.2.840.10008.5.1.4.1.1."


def as_bytes(data_set):
    file = io.BytesIO()
    data_set.save_as(file, enforce_file_format=True)
    return file.getvalue()


def gradient(**more):
    """Return an image whose pixels tell where they are."""
    data_set = pydicom.dcmread(io.BytesIO(make_instance(Rows=8, Columns=16, **more)))
    columns, rows = np.meshgrid(np.arange(16), np.arange(8))
    data_set.PixelData = (rows * 16 + columns).astype("<u2").tobytes()
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 16, 8, 7
    data_set.PhotometricInterpretation, data_set.SamplesPerPixel = "MONOCHROME2", 1
    data_set.PixelRepresentation = 0
    data_set.WindowCenter, data_set.WindowWidth = "64", "128"
    return data_set


@pytest.fixture(scope="module")
def web(start_server):
    server = start_server()
    ct = pydicom.dcmread(io.BytesIO(ct_small()))
    server.upload(ct_small())
    server.gradient = gradient(PatientName="Zimmermann^Zoë")
    server.upload(as_bytes(server.gradient))
    multi = pydicom.dcmread(get_testdata_file("emri_small.dcm"))
    server.upload(as_bytes(multi))
    server.ct, server.multi = ct, multi
    return server


def path_of(data_set, level="instances"):
    path = f"/dicom-web/studies/{data_set.StudyInstanceUID}"
    if level != "studies":
        path += f"/series/{data_set.SeriesInstanceUID}"
    if level == "instances":
        path += f"/instances/{data_set.SOPInstanceUID}"
    return path


def picture(answer, media_type="image/png"):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def get(web, path, accept="image/png", **query):
    return web.http.get(path, params=query, headers={"Accept": accept})


def parts(answer):
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.content)
    return [
        (part.get_content_type(), part.get_payload(decode=True)) for part in message.get_payload()
    ]


@pytest.mark.parametrize("level", ["studies", "series", "instances"])
def test_one_picture_is_that_of_the_own_interface(web, level):
    uid = str(web.gradient.SOPInstanceUID)
    (instance,) = web.http.post("/tools/lookup", content=uid).json()
    own = web.http.get(f"/instances/{instance['ID']}/rendered", headers={"Accept": "image/png"})
    path = f"{path_of(web.gradient, level)}/rendered"
    assert np.array_equal(picture(get(web, path)), picture(own))
    assert picture(web.http.get(path), "image/jpeg").shape == (8, 16)


def test_without_a_window_an_image_is_seen_from_its_lowest_to_its_highest_value(web):
    assert "WindowCenter" not in web.ct
    values = web.ct.pixel_array.astype(float)
    expected = (values - values.min()) / (values.max() - values.min()) * 255
    for found in (
        get(web, f"{path_of(web.ct)}/rendered"),
        get(web, f"{path_of(web.ct)}/thumbnail", viewport="128,128", quality="80"),
        wado(web, web.ct, contentType="image/png"),
    ):
        assert np.abs(picture(found) - expected).max() <= 1


def test_frames_are_alone_or_parts_of_one_body(web):
    frames = f"{path_of(web.multi)}/frames"
    third = get(web, f"{frames}/3/rendered")
    several = get(web, f"{frames}/3,1/rendered", 'multipart/related; type="image/png"')
    assert [kind for kind, _ in parts(several)] == ["image/png"] * 2
    assert parts(several)[0][1] == third.content
    every = get(web, f"{path_of(web.multi)}/rendered", "multipart/related; type=image/png")
    assert len(parts(every)) == web.multi.NumberOfFrames
    assert parts(every)[2][1] == third.content
    assert get(web, f"{frames}/3,1/rendered").status_code == 406
    assert get(web, f"{frames}/99/rendered").status_code == 404
    assert get(web, f"{frames}/0/rendered").status_code == 400


def test_viewports_are_scaled_cut_out_and_mirrored(web):
    path = f"{path_of(web.gradient)}/rendered"
    whole = picture(get(web, path))
    assert whole.shape == (8, 16)
    assert picture(get(web, path, viewport="8,8")).shape == (4, 8)
    part = picture(get(web, path, viewport="4,2,3,1,4,2"))
    assert np.array_equal(part, whole[1:3, 3:7])
    turned = picture(get(web, path, viewport="4,2,3,1,-4,-2"))
    assert np.array_equal(turned, whole[1:3, 3:7][::-1, ::-1])
    # Of the corner absolute values count (PS3.18 §8.3.5.1.3).
    assert np.array_equal(picture(get(web, path, viewport="4,2,-3,-1,4,2")), part)
    for wrong in (
        *("8", "a,b", "0,5", "8.5,8", "+8,8", "1e1,8", "٨,8", "inf,3", "1,2,3,4,5,6,7"),
        *("4,4,99,0,1,1", "4,4,0,0,0,1", "2000000,2000000", "99999999999,1"),
    ):
        assert get(web, path, viewport=wrong).status_code == 400, wrong


def test_windows_have_a_function(web):
    path = f"{path_of(web.gradient)}/rendered"
    stored = web.gradient.pixel_array.astype(float)
    exact = picture(get(web, path, window="60,40,linear-exact")).astype(float)
    expected = np.clip((stored - 60) / 40 + 0.5, 0, 1) * 255
    assert np.abs(exact - expected).max() <= 1
    sigmoid = picture(get(web, path, window="60,40,sigmoid")).astype(float)
    expected = 255 / (1 + np.exp(-4 * (stored - 60) / 40))
    assert np.abs(sigmoid - expected).max() <= 1
    for wrong in ("60", "60,40", "60,0,linear", "60,40,cubic", "x,40,linear"):
        assert get(web, path, window=wrong).status_code == 400, wrong


def test_annotations_are_written_into_the_picture(web):
    path = f"{path_of(web.ct)}/rendered"
    plain, patient = picture(get(web, path)), picture(get(web, path, annotation="patient"))
    both = picture(get(web, path, annotation="patient,technique"))
    assert plain.shape == patient.shape == both.shape
    changed = (plain != patient).sum(axis=1).nonzero()[0]
    assert changed.min() >= 4
    assert changed.max() < 64
    assert (plain != both).sum() > (plain != patient).sum() > 50


def presentation_state(referenced, **attributes):
    """Return a presentation state of an image, which may be elsewhere."""
    state = pydicom.dcmread(io.BytesIO(make_instance(**attributes)))
    state.SOPClassUID = "1.2.840.10008.5.1.4.1.1.11.1"
    state.file_meta.MediaStorageSOPClassUID = state.SOPClassUID
    state.Modality = "PR"
    for name in ("Rows", "Columns", "PixelData", "BitsAllocated", "BitsStored", "HighBit"):
        if name in state:
            delattr(state, name)
    image = pydicom.Dataset()
    image.ReferencedSOPClassUID = referenced.SOPClassUID
    image.ReferencedSOPInstanceUID = referenced.SOPInstanceUID
    series = pydicom.Dataset()
    series.SeriesInstanceUID = referenced.SeriesInstanceUID
    series.ReferencedImageSequence = [image]
    state.ReferencedSeriesSequence = [series]
    return state


def test_presentation_states_are_applied_and_can_be_the_target(web):
    state = presentation_state(web.gradient)
    state.PresentationLUTShape = "INVERSE"
    window = pydicom.Dataset()
    window.WindowCenter, window.WindowWidth = "64", "128"
    state.SoftcopyVOILUTSequence = [window]
    area = pydicom.Dataset()
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [16, 8]
    area.PresentationSizeMode = "SCALE TO FIT"
    area.PresentationPixelAspectRatio = [1, 1]
    state.DisplayedAreaSelectionSequence = [area]
    web.upload(as_bytes(state))
    plain = picture(get(web, f"{path_of(web.gradient)}/rendered"))
    shown = picture(get(web, f"{path_of(state)}/rendered"))
    assert np.abs(255 - plain.astype(int) - shown).max() <= 1
    uids = {
        "presentationUID": state.SOPInstanceUID,
        "presentationSeriesUID": state.SeriesInstanceUID,
    }
    applied = get(web, f"{path_of(web.gradient)}/rendered", **uids)
    assert np.array_equal(picture(applied), shown)
    uri = wado(web, web.gradient, contentType="image/png", **uids)
    assert np.array_equal(picture(uri), shown)


def test_a_presentation_state_whose_images_are_elsewhere_hides_no_picture_of_its_study(web):
    image = gradient(number=2)
    web.upload(as_bytes(image))
    every = 'multipart/related; type="image/png"'
    before = parts_of(get(web, f"{path_of(image, 'studies')}/rendered", every))
    elsewhere = gradient()  # never stored
    # Before the image in the order of the study, and in a series of its own.
    state = presentation_state(elsewhere, study=image.StudyInstanceUID, number=1)
    web.upload(as_bytes(state))
    for path in (path_of(image, "studies"), path_of(image, "series")):
        after = parts_of(get(web, f"{path}/rendered", every))
        assert [part.body for part in after] == [part.body for part in before]
        assert len(after) == 1
        shown = picture(get(web, f"{path}/rendered"))
        assert np.array_equal(shown, picture(get(web, f"{path_of(image)}/rendered")))
        assert get(web, f"{path}/thumbnail", "image/jpeg").status_code == 200
    assert get(web, f"{path_of(state)}/rendered").status_code == 404
    assert get(web, f"{path_of(state, 'series')}/rendered", every).status_code == 406


def test_pictures_are_tagged_and_refused_in_forms_that_there_are_not(web):
    path = f"{path_of(web.ct)}/rendered"
    tag = get(web, path).headers["etag"]
    again = web.http.get(path, headers={"Accept": "image/png", "If-None-Match": tag})
    assert again.status_code == 304
    assert get(web, path, window="40,400,linear").headers["etag"] != tag
    for accept in ("image/webp", "application/dicom", "text/html"):
        assert get(web, path, accept).status_code == 406
    both = web.http.get(path, params={"accept": "image/png"}, headers={"Accept": "image/webp"})
    assert picture(both).shape == (128, 128)
    assert get(web, path.replace(web.ct.StudyInstanceUID, "1.2.3")).status_code == 404
    assert get(web, path, quality="0").status_code == 400


@pytest.mark.parametrize("level", ["studies", "series", "instances"])
def test_thumbnails_are_small(web, level):
    path = f"{path_of(web.ct, level)}/thumbnail"
    # They are never larger than the image.
    assert picture(web.http.get(path), "image/jpeg").shape == (128, 128)
    assert picture(get(web, path, viewport="32,32")).shape == (32, 32)
    assert picture(get(web, path, viewport="64,32")).shape == (32, 32)


def test_thumbnails_of_frames(web):
    path = f"{path_of(web.multi)}/frames/2/thumbnail"
    assert max(picture(get(web, path, viewport="16,16")).shape) == 16


def test_what_is_no_image_has_no_picture(web):
    text = pydicom.dcmread(io.BytesIO(make_instance()))
    text.SOPClassUID = text.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    for name in ("Rows", "Columns", "PixelData"):
        if name in text:
            delattr(text, name)
    web.upload(as_bytes(text))
    for level in ("studies", "series", "instances"):
        assert get(web, f"{path_of(text, level)}/rendered").status_code == 406
        many = get(web, f"{path_of(text, level)}/rendered", "multipart/related; type=image/png")
        assert many.status_code == 406


@pytest.mark.parametrize("accept", ["image/png", "image/jpeg", "image/gif", "image/jp2"])
def test_what_is_no_image_has_an_icon_for_a_thumbnail(web, accept):
    shown = []
    for number in ("88.11", "104.1"):
        text = pydicom.dcmread(io.BytesIO(make_instance(SOPClassUID=STORAGE + number)))
        text.file_meta.MediaStorageSOPClassUID = text.SOPClassUID
        for name in ("Rows", "Columns", "PixelData"):
            delattr(text, name)
        web.upload(as_bytes(text))
        for level in ("studies", "series", "instances"):
            path = f"{path_of(text, level)}/thumbnail"
            small = get(web, path, accept, viewport="64,48")
            assert (small.status_code, small.headers["content-type"]) == (200, accept)
            tag = small.headers["etag"]
            again = web.http.get(
                path,
                params={"viewport": "64,48"},
                headers={"accept": accept, "if-none-match": tag},
            )
            assert again.status_code == 304
            shown.append(small.content)
        assert get(web, f"{path_of(text)}/frames/1/thumbnail", accept).status_code == 406
    assert len(set(shown)) == 2
    if accept == "image/png":
        assert picture(small).shape == (48, 48)


def test_a_thumbnail_is_of_the_image_that_is_beside_a_report(web):
    image = gradient()
    web.upload(as_bytes(image))
    text = pydicom.dcmread(io.BytesIO(make_instance(image.StudyInstanceUID, Modality="SR")))
    text.SOPClassUID = text.file_meta.MediaStorageSOPClassUID = f"{STORAGE}88.11"
    text.SeriesNumber = "0"
    for name in ("Rows", "Columns", "PixelData"):
        delattr(text, name)
    web.upload(as_bytes(text))
    small = get(web, f"{path_of(text, 'studies')}/thumbnail")
    assert small.content == get(web, f"{path_of(image)}/thumbnail").content


def wado(web, data_set, **query):
    uids = {
        "requestType": "WADO",
        "studyUID": data_set.StudyInstanceUID,
        "seriesUID": data_set.SeriesInstanceUID,
        "objectUID": data_set.SOPInstanceUID,
    }
    return web.http.get("/wado", params=uids | query)


def test_wado_uri_gives_pictures(web):
    assert picture(wado(web, web.ct), "image/jpeg").shape == (128, 128)
    png = {"contentType": "image/png"}
    whole = picture(wado(web, web.gradient, **png))
    assert np.array_equal(whole, picture(get(web, f"{path_of(web.gradient)}/rendered")))
    assert picture(wado(web, web.gradient, columns="8", rows="8", **png)).shape == (4, 8)
    part = picture(wado(web, web.gradient, region="0.25,0.5,0.5,1", **png))
    assert np.array_equal(part, whole[4:8, 4:8])
    window = picture(wado(web, web.gradient, windowCenter="60", windowWidth="40", **png))
    assert not np.array_equal(window, whole)
    third = picture(wado(web, web.multi, frameNumber="3", **png))
    assert np.array_equal(third, picture(get(web, f"{path_of(web.multi)}/frames/3/rendered")))


def test_wado_uri_gives_files(web):
    answer = wado(web, web.ct, contentType="application/dicom")
    assert answer.headers["content-type"] == "application/dicom"
    found = pydicom.dcmread(io.BytesIO(answer.content))
    assert found.file_meta.TransferSyntaxUID == EXPLICIT
    assert np.array_equal(found.pixel_array, web.ct.pixel_array)
    rle = "1.2.840.10008.1.2.5"
    other = wado(web, web.ct, contentType="application/dicom", transferSyntax=rle)
    found = pydicom.dcmread(io.BytesIO(other.content))
    assert found.file_meta.TransferSyntaxUID == rle
    assert np.array_equal(found.pixel_array, web.ct.pixel_array)


def test_wado_uri_gives_files_without_the_patient(web):
    answer = wado(web, web.gradient, contentType="application/dicom", anonymize="yes")
    assert answer.status_code == 200, answer.text
    assert b"Zimmermann" not in answer.content
    found = pydicom.dcmread(io.BytesIO(answer.content))
    assert found.PatientIdentityRemoved == "YES"
    assert found.SOPInstanceUID != web.gradient.SOPInstanceUID
    assert np.array_equal(found.pixel_array, web.gradient.pixel_array)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"requestType": "OTHER"}, 400),
        ({"objectUID": ""}, 400),
        ({"objectUID": "a/b"}, 400),
        ({"objectUID": "abc"}, 404),
        ({"objectUID": "1.2.3.4"}, 404),
        ({"contentType": "image/webp"}, 406),
        ({"contentType": "image/png", "rows": "0"}, 400),
        ({"contentType": "image/png", "region": "0,0,2,1"}, 400),
        ({"contentType": "image/png", "region": "0.5,0,0.5,1"}, 400),
        ({"contentType": "image/png", "windowCenter": "5"}, 400),
        ({"contentType": "image/png", "frameNumber": "0"}, 400),
        ({"contentType": "image/png", "frameNumber": "7"}, 400),
        ({"contentType": "image/png", "imageQuality": "101"}, 400),
        ({"contentType": "image/png", "anonymize": "yes"}, 400),
        ({"contentType": "application/dicom", "rows": "5"}, 400),
        ({"contentType": "application/dicom", "anonymize": "no"}, 400),
        ({"contentType": "application/dicom", "transferSyntax": "x"}, 400),
    ],
)
def test_wado_uri_says_what_is_wrong(web, query, status):
    answer = wado(web, web.ct, **query)
    assert answer.status_code == status, answer.text
    details = answer.json()["Details"]
    assert details
    if status == 400:
        # By the name that the client gave it.
        assert any(name in details for name in query), details


def test_annotations_that_there_are_not_are_warned_of(web):
    path = f"{path_of(web.gradient)}/rendered"
    plain = get(web, path, annotation="patient")
    found = get(web, path, annotation="patient,room-number,colour")
    told = "The following annotation values are not supported: room-number, colour"
    assert found.headers["warning"].endswith(f'/dicom-web "{told}"')
    assert np.array_equal(picture(found), picture(plain))
    assert "warning" not in plain.headers
    for wrong in ("", "a b", "patient,", "<x>"):
        assert get(web, path, annotation=wrong).status_code == 400, wrong


def test_a_thumbnail_does_not_say_who_the_patient_is(web):
    path = f"{path_of(web.ct)}/thumbnail"
    plain = get(web, path, viewport="1500,1500")
    named = get(web, path, viewport="1500,1500", annotation="patient", imageAnnotation="patient")
    assert named.content == plain.content
    assert picture(plain).shape == (1500, 1500)


def test_wado_uri_shows_what_is_an_image_and_gives_what_is_none(web):
    report = web.http.post(
        "/instances", content=Path(get_testdata_file("reportsi.dcm")).read_bytes()
    )
    tags = web.get(f"/instances/{report.json()['ID']}/tags?short")
    report = pydicom.Dataset()
    report.StudyInstanceUID, report.SeriesInstanceUID, report.SOPInstanceUID = (
        tags[tag] for tag in ("0020,000d", "0020,000e", "0008,0018")
    )
    assert wado(web, web.multi).headers["content-type"] == "image/jpeg"
    assert wado(web, web.multi, frameNumber="3").headers["content-type"] == "image/jpeg"
    assert wado(web, web.multi, frameNumber="11").status_code == 400
    answer = wado(web, report)
    assert answer.status_code == 200, answer.text
    assert not answer.headers["content-type"].startswith("image/")
    both = wado(web, web.ct, contentType="application/dicom,image/jpeg")
    assert both.status_code == 400
    assert "contentType" in both.json()["Details"]
    state = {"presentationUID": "1.2.3", "presentationSeriesUID": "1.2"}
    assert wado(web, web.ct, **state).status_code == 400
