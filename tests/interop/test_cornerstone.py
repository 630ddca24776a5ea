"""Cornerstone in a browser loads stacks and volumes, in each transfer syntax that it decodes.

Its page is of another origin than the archive and shows who asks by a header, so that the browser
asks first whether it may (Fetch §3.2): nothing in it is turned off.
"""

import base64
import io
import os
import subprocess
import time
import zlib

import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, HTJ2KLossless, RLELossless
from support import VNA, Server
from support_browser import NoBrowser, Site, browser, cornerstone_page, opened
from support_data import attributes, encoded, set_pixels, uid

SLICES, ROWS, COLUMNS = 4, 16, 24
USER, PASSWORD = "viewer", "correct horse"
# Bytes of the first range, of an image that is longer.
RANGE = 3000
PROGRESSIVE = ("1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")


def jpeg_2000(picture, *, lossy=False):
    options = {"level": 90} if lossy else {"level": 0, "reversible": True}
    return imagecodecs.jpeg2k_encode(picture, codecformat="j2k", **options)


def progressive(picture):
    """Encode in several scans; one decoder reads all of them, whatever their selection is."""
    target = io.BytesIO()
    Image.fromarray(picture).save(target, "JPEG", quality=98, progressive=True)
    return target.getvalue()


def deflated(picture):
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(picture.tobytes()) + compressor.flush()


def htj2k(picture, **options):
    return imagecodecs.htj2k_encode(picture, **options)


# What the image loader decodes: encoder, bits stored, and by how much the lossy ones may be wrong.
SYNTAXES = {
    "1.2.840.10008.1.2": (None, 12, 0),
    "1.2.840.10008.1.2.1": (None, 12, 0),
    "1.2.840.10008.1.2.2": (None, 12, 0),
    "1.2.840.10008.1.2.1.99": (None, 12, 0),
    "1.2.840.10008.1.2.1.98": (lambda each: each.tobytes(), 12, 0),
    "1.2.840.10008.1.2.5": (None, 12, 0),
    "1.2.840.10008.1.2.4.50": (lambda each: imagecodecs.jpeg8_encode(each, level=98), 8, 6),
    "1.2.840.10008.1.2.4.51": (
        lambda each: imagecodecs.jpeg8_encode(each, level=98, bitspersample=12),
        12,
        40,
    ),
    "1.2.840.10008.1.2.4.53": (progressive, 8, 6),
    "1.2.840.10008.1.2.4.55": (progressive, 8, 6),
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
    "1.2.840.10008.1.2.4.111": (
        lambda each: imagecodecs.jpegxl_encode_jpeg(imagecodecs.jpeg8_encode(each, level=98)),
        8,
        6,
    ),
    "1.2.840.10008.1.2.4.112": (
        lambda each: imagecodecs.jpegxl_encode(each, distance=0.1),
        8,
        6,
    ),
    "1.2.840.10008.1.2.8.1": (deflated, 12, 0),
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
    """Return the instance in a transfer syntax; of the newest ones pydicom writes none yet."""
    if not syntax.startswith(("1.2.840.10008.1.2.4.11", "1.2.840.10008.1.2.8.1")):
        return encoded(dataset, pydicom.uid.UID(syntax))
    instance = encoded(dataset, HTJ2KLossless)
    padded = syntax.ljust(len(HTJ2KLossless), "\0")
    named = instance.file.replace(HTJ2KLossless.encode(), padded.encode(), 1)
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
    site = Site(page)
    allowed = f"--set=http.cors_origins={site.origin}"
    servers = [Server(tmp_path_factory.mktemp(name) / "data", allowed) for name in ("asks", "open")]
    try:
        for server in servers:
            server.start()
        site.work += [loading(servers[0], syntax) for syntax in SYNTAXES]
        # The loader shows nobody when it asks for ranges.
        site.work += [refining(servers[1], syntax) for syntax in PROGRESSIVE]
        ask_who_it_is(servers[0])
        return opened(site, tmp_path_factory.mktemp("browser"))
    finally:
        site.close()
        for server in servers:
            if server.process is not None and server.process.poll() is None:
                server.stop()


def loading(server, syntax):
    """Store a series; return what is to be done with it."""
    made = series_in(syntax)
    for each in made:
        server.upload(each.file)
    shown = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    return {
        "name": syntax,
        "root": f"{server.url}/dicom-web",
        "study": made[0].dataset.StudyInstanceUID,
        "series": made[0].dataset.SeriesInstanceUID,
        "authorization": f"Basic {shown}",
        "volume": True,
        "shown": syntax == ExplicitVRLittleEndian,
    }


def refining(server, syntax):
    """Store an image that is longer than the first range; return what is to be done with it."""
    dataset = attributes(CTImageStorage, StudyInstanceUID=uid(), SeriesInstanceUID=uid())
    dataset.PatientID, dataset.Modality, dataset.InstanceNumber = "REFINED", "CT", 1
    set_pixels(dataset, large())
    dataset.PixelData = encapsulate([SYNTAXES[syntax][0](large())])
    server.upload(stored(dataset, syntax).file)
    return {
        "name": f"refined {syntax}",
        "root": f"{server.url}/dicom-web",
        "study": dataset.StudyInstanceUID,
        "series": dataset.SeriesInstanceUID,
        "range": RANGE,
    }


def large():
    """Return a picture that is smooth, with noise that makes it long."""
    rows, columns = np.mgrid[:128, :128]
    noise = np.random.default_rng(7).integers(0, 40, (128, 128))
    return (rows * 8 + columns * 12 + noise).astype(np.uint16)


def ask_who_it_is(server):
    """Make a user, so that nobody gets anything who does not show who he is."""
    command = [VNA, "user", "add", USER, "--password-stdin", f"--root={server.root}"]
    subprocess.run(command, input=f"{PASSWORD}\n", text=True, check=True, capture_output=True)
    end = time.monotonic() + 60
    while server.http.get("/dicom-web/studies").status_code != 401:
        assert time.monotonic() < end
        time.sleep(0.02)


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


@pytest.mark.parametrize("syntax", PROGRESSIVE)
def test_an_image_is_refined_by_ranges_of_bytes(loaded, syntax):
    found = result(loaded, f"refined {syntax}")["refined"]
    coarse, whole = found["images"]
    assert coarse["loaded"] == RANGE < coarse["total"]
    assert whole["loaded"] == whole["total"] == coarse["total"]
    assert coarse["quality"] < found["whole"] == whole["quality"]
    assert (whole["rows"], whole["columns"]) == (128, 128)
    assert difference(whole["values"], large()) == 0
    # Of few bytes there is a smaller picture, or a blurred one.
    step = 128 // coarse["rows"]
    assert len(coarse["values"]) == coarse["rows"] * coarse["columns"]
    average = large().reshape(coarse["rows"], step, coarse["columns"], step).mean((1, 3))
    assert np.abs(np.array(coarse["values"]) - average.ravel()).mean() < 60
