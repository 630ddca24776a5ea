"""The URI service, also known as WADO-URI (PS3.18 §9)."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)
from support_data import COLUMNS, ROWS
from support_target import DICOM, clause, media_type
from test_ps318_rendered import FORMATS, grey, linear, opened

ABSENT = object()


def asked(instance, **params):
    """Return the query for an instance; `ABSENT` leaves a parameter out."""
    found = {
        "requestType": "WADO",
        "studyUID": instance.dataset.StudyInstanceUID,
        "seriesUID": instance.dataset.SeriesInstanceUID,
        "objectUID": instance.uid,
        **params,
    }
    return {name: value for name, value in found.items() if value is not ABSENT}


def ok(target, instance, accept="*/*", **params):
    answer = target.uri(asked(instance, **params), accept)
    assert answer.status_code == 200, (params, answer.status_code, answer.text[:300])
    return answer


def read(answer):
    assert media_type(answer.headers["content-type"]) == DICOM
    return pydicom.dcmread(io.BytesIO(answer.content))


@clause("§9.3")
def test_an_image_is_rendered_as_jpeg_by_default(target, made):
    answer = ok(target, made.ct[0])
    assert media_type(answer.headers["content-type"]) == "image/jpeg"
    assert opened(answer.content).size == (COLUMNS, ROWS)


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param("image/jpeg", marks=clause("Table 8.7.4-1")),
        pytest.param("image/png", marks=clause("Table 8.7.4-1", optional=True)),
        pytest.param("image/gif", marks=clause("Table 8.7.4-1", optional=True)),
        pytest.param("image/jp2", marks=clause("Table 8.7.4-1", optional=True)),
    ],
)
def test_an_image_is_rendered_as_asked(target, made, content_type):
    answer = ok(target, made.ct[0], contentType=content_type)
    assert media_type(answer.headers["content-type"]) == content_type
    assert opened(answer.content).format == FORMATS[content_type]


@clause("§9.1.2.2.1")
def test_the_first_rendered_type_that_fits_is_taken(target, made):
    answer = ok(target, made.ct[0], contentType="video/mp4,image/png,image/jpeg")
    assert media_type(answer.headers["content-type"]) in ("image/png", "image/jpeg")


@clause("§9.4")
def test_an_instance_is_retrieved(target, made):
    answer = ok(target, made.ct[0], contentType=DICOM)
    assert read(answer) == pydicom.dcmread(io.BytesIO(made.ct[0].file))


@clause("§9.4")
def test_an_instance_is_retrieved_by_the_accept_header(target, made):
    assert read(ok(target, made.ct[0], DICOM)).SOPInstanceUID == made.ct[0].uid


@clause("§9.4.2.4")
@pytest.mark.parametrize("number", [0, 1, 2, 3, 5, 9])
def test_the_default_transfer_syntax_of_the_uri_service_is_explicit(target, made, number):
    stored = list(made.by_syntax.values())[number]
    found = read(ok(target, stored, contentType=DICOM))
    assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(found.pixel_array, made.picture)


@clause("§9.4.1.2.3", optional=True)
@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGBaseline8Bit])
def test_an_instance_is_retrieved_in_a_transfer_syntax(target, made, syntax):
    stored = made.by_syntax[ExplicitVRLittleEndian]
    found = read(ok(target, stored, contentType=DICOM, transferSyntax=syntax))
    assert found.file_meta.TransferSyntaxUID == syntax


@clause("§9.4.2.4", optional=True)
@pytest.mark.parametrize(("syntax", "status"), [("JPEG", 400), ("1.2.3.4", 406)])
def test_a_transfer_syntax_that_cannot_be_given_is_refused(target, made, syntax, status):
    answer = target.uri(asked(made.ct[0], contentType=DICOM, transferSyntax=syntax))
    assert answer.status_code == status


@clause("§9.4.2.3", optional=True)
def test_an_instance_is_anonymized(target, made):
    found = read(ok(target, made.ct[0], contentType=DICOM, anonymize="yes"))
    assert found.SOPInstanceUID != made.ct[0].uid
    assert found.PatientName != made.ct[0].dataset.PatientName
    assert found.get("PatientID") != made.ct[0].dataset.PatientID
    assert found.PatientIdentityRemoved == "YES"


@clause("§9.4.2.3", optional=True)
def test_anonymize_is_yes_or_nothing(target, made):
    answer = target.uri(asked(made.ct[0], contentType=DICOM, anonymize="perhaps"))
    assert answer.status_code == 400


@clause("§9.4.2.1")
@pytest.mark.parametrize("value", [ABSENT, "WADI", ""], ids=["absent", "other", "empty"])
def test_the_request_type_has_to_be_wado(target, made, value):
    assert target.uri(asked(made.ct[0], requestType=value)).status_code == 400


@clause("§9.4.2.2")
@pytest.mark.parametrize("name", ["studyUID", "seriesUID", "objectUID"])
def test_a_uid_has_to_be_there(target, made, name):
    assert target.uri(asked(made.ct[0], **{name: ABSENT})).status_code == 400


@clause("Table 9.4.3-1")
@pytest.mark.parametrize("name", ["studyUID", "seriesUID", "objectUID"])
def test_an_instance_that_is_not_there_is_not_found(target, made, name):
    assert target.uri(asked(made.ct[0], **{name: "2.25.404"})).status_code == 404


@clause("§9.1.2.2.1")
@pytest.mark.parametrize("parameter", ["transfer-syntax=1.2.840.10008.1.2.1", "charset=utf-8"])
def test_a_content_type_takes_no_parameter(target, made, parameter):
    answer = target.uri(asked(made.ct[0], contentType=f"{DICOM};{parameter}"))
    assert answer.status_code == 400


@clause("§9.5.2.1", optional=True)
@pytest.mark.parametrize("frame", [1, 3])
def test_a_frame_is_chosen(target, made, frame):
    answer = ok(
        target,
        made.multiframe,
        contentType="image/png",
        frameNumber=frame,
        windowCenter=128,
        windowWidth=256,
    )
    pixels = made.multiframe.dataset.pixel_array[frame - 1].astype(int)
    assert np.abs(grey(answer.content) - pixels).max() <= 1


@clause("§9.5.1.2.4", optional=True)
@pytest.mark.parametrize(
    ("rows", "columns", "size"), [(24, 32, (32, 24)), (6, 8, (8, 6)), (8, 8, (8, 6))]
)
def test_an_image_is_scaled(target, made, rows, columns, size):
    answer = ok(target, made.ct[0], rows=rows, columns=columns)
    assert opened(answer.content).size == size


@clause("§9.5.1.2.5", optional=True)
def test_a_region_is_shown(target, made):
    whole = grey(ok(target, made.ct[0], contentType="image/png").content)
    answer = ok(target, made.ct[0], contentType="image/png", region="0.5,0.5,1.0,1.0")
    assert np.array_equal(grey(answer.content), whole[6:, 8:])


@clause("§9.5.2.2", optional=True)
def test_a_window_is_applied(target, made):
    params = {"contentType": "image/png", "windowCenter": "0", "windowWidth": "1000"}
    found = grey(ok(target, made.ct[0], **params).content)
    values = made.ct[0].dataset.pixel_array.astype(float) - 1024
    assert np.abs(found - linear(values, 0, 1000)).max() <= 1.01


@clause("§9.5.1.2.3", optional=True)
def test_quality_changes_the_size(target, made):
    low, high = (len(ok(target, made.ct[0], imageQuality=each).content) for each in (5, 100))
    assert low < high


@clause("§9.5.1.2.2", optional=True)
@pytest.mark.parametrize("name", ["annotation", "imageAnnotation"])
@pytest.mark.parametrize("annotation", ["patient", "technique", "patient,technique"])
def test_an_annotation_is_burned_in(target, made, annotation, name):
    params = {"contentType": "image/png", "rows": 192, "columns": 256}
    plain = grey(ok(target, made.ct[0], **params).content)
    found = ok(target, made.ct[0], **{name: annotation}, **params)
    assert not np.array_equal(grey(found.content), plain)


@clause("§9.5.1.2.7", optional=True)
def test_a_presentation_state_is_applied(target, made):
    params = {"contentType": "image/png", "windowCenter": "500", "windowWidth": "2000"}
    whole = grey(ok(target, made.ct[0], **params).content)
    answer = ok(
        target,
        made.ct[0],
        contentType="image/png",
        presentationSeriesUID=made.presentation.dataset.SeriesInstanceUID,
        presentationUID=made.presentation.uid,
    )
    assert np.abs(grey(answer.content) - (255 - whole[::-1, ::-1])).max() <= 2


REFUSED = {
    "§9.5.2.1": [{"frameNumber": value} for value in ("0", "5", "x", "1,2")],
    "§9.5.1.2.4": [{"rows": "0", "columns": "8"}, {"rows": "x", "columns": "8"}],
    "§9.5.1.2.5": [{"region": value} for value in ("0,0,1", "0.5,0,0.5,1", "0,0,2,2", "a,b,c,d")],
    "§9.5.2.2": [
        {"windowCenter": "500"},
        {"windowWidth": "2000"},
        {"windowCenter": "x", "windowWidth": "2000"},
        {"contentType": DICOM, "windowCenter": "500", "windowWidth": "2000"},
    ],
    "§9.5.1.2.3": [{"imageQuality": value} for value in ("0", "101", "x")],
    "§9.5.1.2.7": [{"presentationUID": "2.25.1"}, {"presentationSeriesUID": "2.25.1"}],
}


@pytest.mark.parametrize(
    "params",
    [
        pytest.param(
            params,
            id=" ".join(f"{name}={value}" for name, value in params.items()),
            marks=clause(section, optional=True),
        )
        for section, refused in REFUSED.items()
        for params in refused
    ],
)
def test_parameters_that_make_no_sense_are_refused(target, made, params):
    params = {"contentType": "image/png"} | params
    assert target.uri(asked(made.multiframe, **params)).status_code == 400


@clause("§9.5.2.2", optional=True)
def test_a_window_and_a_presentation_state_exclude_each_other(target, made):
    params = {
        "presentationSeriesUID": made.presentation.dataset.SeriesInstanceUID,
        "presentationUID": made.presentation.uid,
    }
    ok(target, made.ct[0], **params)
    answer = target.uri(asked(made.ct[0], windowCenter=1, windowWidth=2, **params))
    assert answer.status_code == 400


@clause("Table 8.7.4-1")
@pytest.mark.parametrize("content_type", ["text/html", "text/plain"])
def test_a_report_is_shown_as_text(target, made, content_type):
    answer = ok(target, made.report, contentType=content_type)
    assert media_type(answer.headers["content-type"]) == content_type
    assert "Nothing abnormal was seen." in answer.text


@clause("§9.5")
def test_an_image_is_not_given_as_what_it_is_not(target, made):
    answer = target.uri(asked(made.ct[0]), "application/x-nothing-has-this-type")
    assert answer.status_code == 406
