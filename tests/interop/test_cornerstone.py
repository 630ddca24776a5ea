"""Cornerstone in a browser loads stacks and volumes, in each transfer syntax that it decodes."""

import os

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, HTJ2KLossless, RLELossless
from support import Server
from support_browser import NoBrowser, browser, cornerstone_page, opened
from support_data import attributes, encoded, set_pixels, uid

SLICES, ROWS, COLUMNS = 4, 16, 24


def jpeg_2000(picture, *, lossy=False):
    options = {"level": 90} if lossy else {"level": 0, "reversible": True}
    return imagecodecs.jpeg2k_encode(picture, codecformat="j2k", **options)


def htj2k(picture, **options):
    return imagecodecs.htj2k_encode(picture, **options)


# What the image loader decodes: encoder, bits stored, and by how much the lossy ones may be wrong.
SYNTAXES = {
    "1.2.840.10008.1.2": (None, 12, 0),
    "1.2.840.10008.1.2.1": (None, 12, 0),
    "1.2.840.10008.1.2.2": (None, 12, 0),
    "1.2.840.10008.1.2.1.99": (None, 12, 0),
    "1.2.840.10008.1.2.5": (None, 12, 0),
    "1.2.840.10008.1.2.4.50": (lambda each: imagecodecs.jpeg8_encode(each, level=98), 8, 6),
    "1.2.840.10008.1.2.4.51": (
        lambda each: imagecodecs.jpeg8_encode(each, level=98, bitspersample=12),
        12,
        40,
    ),
    "1.2.840.10008.1.2.4.57": (imagecodecs.ljpeg_encode, 12, 0),
    "1.2.840.10008.1.2.4.70": (imagecodecs.ljpeg_encode, 12, 0),
    "1.2.840.10008.1.2.4.80": (imagecodecs.jpegls_encode, 12, 0),
    "1.2.840.10008.1.2.4.81": (lambda each: imagecodecs.jpegls_encode(each, level=2), 12, 2),
    "1.2.840.10008.1.2.4.90": (jpeg_2000, 12, 0),
    "1.2.840.10008.1.2.4.91": (lambda each: jpeg_2000(each, lossy=True), 12, 40),
    "1.2.840.10008.1.2.4.201": (lambda each: htj2k(each, reversible=True), 12, 0),
    "1.2.840.10008.1.2.4.202": (lambda each: htj2k(each, reversible=True, tlm=True), 12, 0),
    "1.2.840.10008.1.2.4.203": (lambda each: htj2k(each, reversible=True), 12, 0),
    "1.2.840.10008.1.2.4.110": (lambda each: imagecodecs.jpegxl_encode(each, lossless=True), 12, 0),
}


def slices(bits):
    """Return the slices of a volume, each sample of which is another."""
    steps = np.arange(SLICES * ROWS * COLUMNS).reshape(SLICES, ROWS, COLUMNS)
    if bits == 8:
        return (steps // 8 % 200).astype(np.uint8)
    return (steps * 2).astype(np.uint16)


def series_in(syntax):
    """Return a CT series of a few slices as instances in a transfer syntax."""
    encode, bits, _ = SYNTAXES[syntax]
    study, series, frame_of_reference = uid(), uid(), uid()
    found = []
    for number, picture in enumerate(slices(bits), 1):
        dataset = attributes(
            CTImageStorage,
            PatientID="CORNERSTONE",
            StudyInstanceUID=study,
            SeriesInstanceUID=series,
            FrameOfReferenceUID=frame_of_reference,
            Modality="CT",
            InstanceNumber=number,
            ImagePositionPatient=[0, 0, 2.5 * number],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[0.5, 0.5],
            SliceThickness=2.5,
            RescaleIntercept=0,
            RescaleSlope=1,
            WindowCenter=1000,
            WindowWidth=2000,
        )
        set_pixels(dataset, picture)
        if syntax == RLELossless:
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            dataset.compress(RLELossless, generate_instance_uid=False)
        elif syntax.endswith("1.2.2"):
            dataset.PixelData = picture.astype(">u2").tobytes()
        elif encode:
            dataset.PixelData = encapsulate([encode(picture)])
        found.append(stored(dataset, syntax))
    return found


def stored(dataset, syntax):
    """Return the instance in a transfer syntax; of JPEG XL pydicom writes none yet."""
    if not syntax.startswith("1.2.840.10008.1.2.4.11"):
        return encoded(dataset, pydicom.uid.UID(syntax))
    instance = encoded(dataset, HTJ2KLossless)
    named = instance.file.replace(HTJ2KLossless.encode(), syntax.encode(), 1)
    return instance._replace(file=named)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Let the page load a series of each transfer syntax, at once: a browser starts slowly."""
    try:
        page = cornerstone_page()
        browser()
    except NoBrowser as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(f"{reason}; nothing was loaded")
    server = Server(tmp_path_factory.mktemp("cornerstone") / "data").start()
    try:
        work = []
        for syntax in SYNTAXES:
            made = series_in(syntax)
            for each in made:
                server.upload(each.file)
            work.append(
                {
                    "name": syntax,
                    "study": made[0].dataset.StudyInstanceUID,
                    "series": made[0].dataset.SeriesInstanceUID,
                    "volume": True,
                    "shown": syntax == ExplicitVRLittleEndian,
                }
            )
        profile = tmp_path_factory.mktemp("browser")
        query = f"root={server.url}/dicom-web"
        return opened(page, query, work, profile, "--disable-web-security")
    finally:
        server.stop()


def difference(values, expected):
    return np.abs(np.array(values) - expected.ravel().astype(int)).max()


def result(loaded, syntax):
    found = loaded[syntax]
    assert "error" not in found, found["error"]
    return found


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_stack_is_loaded(loaded, syntax):
    _, bits, allowed = SYNTAXES[syntax]
    found = result(loaded, syntax)["stack"]
    assert [(each["rows"], each["columns"]) for each in found] == [(ROWS, COLUMNS)] * SLICES
    for each, expected in zip(found, slices(bits), strict=True):
        assert difference(each["values"], expected) <= allowed


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_volume_is_loaded(loaded, syntax):
    _, bits, allowed = SYNTAXES[syntax]
    found = result(loaded, syntax)["volume"]
    assert found["dimensions"] == [COLUMNS, ROWS, SLICES]
    assert found["spacing"] == [0.5, 0.5, 2.5]
    assert difference(found["values"], slices(bits)) <= allowed


def test_a_stack_is_shown(loaded):
    # A ramp has many greys; an empty canvas has one.
    assert result(loaded, ExplicitVRLittleEndian)["shown"] > 50
