"""Instances made of tags, pictures and documents, as pydicom, Pillow and dciodvfy read them."""

import base64
import io
import subprocess
import zlib

import numpy
import pydicom
import pytest
from PIL import Image
from support import make_instance
from support_dciodvfy import DCIODVFY

PDF = b"%PDF-1.4\n%%EOF\n"
STL = bytes(80) + (0).to_bytes(4, "little")


def uri(media_type, data):
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def picture(form, pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def noise(*shape, dtype=numpy.uint8):
    most = numpy.iinfo(dtype).max
    return numpy.random.default_rng(7).integers(0, most, shape, dtype, endpoint=True)


def create(server, status=200, **body):
    answer = server.http.post("/tools/create-dicom", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def read(server, made):
    return pydicom.dcmread(io.BytesIO(server.file(made["ID"])))


def errors(server, made, folder):
    """Return what dciodvfy finds wrong."""
    file = folder / "made.dcm"
    file.write_bytes(server.file(made["ID"]))
    done = subprocess.run([DCIODVFY, "-new", file], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).splitlines()
    # It asks for the colours of a model whether it has any or not.
    return [line for line in said if line.startswith("Error") and "<ICCProfile>" not in line]


GRAY = noise(5, 7)
DEEP = noise(5, 7, dtype=numpy.uint16)
COLOUR = noise(5, 7, 3)


@pytest.mark.parametrize("pixels", [GRAY, DEEP, COLOUR], ids=["gray", "gray16", "rgb"])
def test_a_png_becomes_an_image_of_the_same_pixels(server, tmp_path, pixels):
    made = create(
        server, Tags={"PatientName": "A^B"}, Content=uri("image/png", picture("PNG", pixels))
    )
    assert (read(server, made).pixel_array == pixels).all()
    assert errors(server, made, tmp_path) == []


def test_palettes_bits_and_transparency_become_plain_samples(server):
    rgba = numpy.dstack([COLOUR, noise(5, 7)])
    one = Image.fromarray(GRAY).convert("1")
    palette = Image.fromarray(COLOUR).quantize(8)
    for image, expected in [
        (Image.fromarray(rgba), COLOUR),
        (one, numpy.asarray(one.convert("L"))),
        (palette, numpy.asarray(palette.convert("RGB"))),
        (Image.merge("LA", [Image.fromarray(GRAY)] * 2), GRAY),
    ]:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        made = create(server, Tags={}, Content=uri("image/png", buffer.getvalue()))
        assert (read(server, made).pixel_array == expected).all(), image.mode


def test_a_jpeg_is_decoded_or_kept_as_it_is(server, tmp_path):
    smooth = numpy.add.outer(numpy.arange(32), numpy.arange(48)).astype(numpy.uint8)
    for pixels in (smooth, numpy.dstack([smooth, smooth[::-1], smooth])):
        file = (
            picture("JPEG", pixels, quality=95, subsampling=0)
            if pixels.ndim == 3
            else picture("JPEG", pixels)
        )
        shown = numpy.asarray(Image.open(io.BytesIO(file))).astype(int)
        decoded = create(server, Tags={}, Content=uri("image/jpeg", file))
        found = read(server, decoded)
        assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert abs(found.pixel_array.astype(int) - shown).max() <= 2
        kept = create(server, Tags={}, Content=uri("image/jpeg", file), Encapsulate=True)
        found = read(server, kept)
        assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
        assert found.LossyImageCompression == "01"
        assert next(pydicom.encaps.generate_frames(found.PixelData)).rstrip(b"\0") == file.rstrip(
            b"\0"
        )
        assert errors(server, decoded, tmp_path) == errors(server, kept, tmp_path) == []


@pytest.mark.parametrize(
    ("media_type", "data", "sop_class_uid"),
    [
        ("application/pdf", PDF, "1.2.840.10008.5.1.4.1.1.104.1"),
        ("model/stl", STL, "1.2.840.10008.5.1.4.1.1.104.3"),
        ("model/obj", b"v 0 0 0\n", "1.2.840.10008.5.1.4.1.1.104.4"),
        ("model/mtl", b"newmtl a\n", "1.2.840.10008.5.1.4.1.1.104.5"),
    ],
)
def test_documents_are_encapsulated(server, tmp_path, media_type, data, sop_class_uid):
    tags = {"PatientName": "A^B", "PatientID": "1"}
    made = create(server, Tags=tags, Content=uri(media_type, data))
    found = read(server, made)
    assert found.SOPClassUID == sop_class_uid
    assert found.EncapsulatedDocument[: found.EncapsulatedDocumentLength] == data
    assert found.MIMETypeOfEncapsulatedDocument == media_type
    assert errors(server, made, tmp_path) == []
    if media_type == "application/pdf":
        assert server.http.get(f"/instances/{made['ID']}/pdf").content.rstrip(b"\0") == data


def test_a_list_becomes_a_series(server):
    slices = [noise(3, 4) + number for number in range(3)]
    content = [uri("image/png", picture("PNG", each)) for each in slices]
    content[1] = {"Content": content[1], "Tags": {"ImageComments": "the second"}}
    made = create(server, Tags={"PatientID": "S"}, Content=content)
    assert made["Path"] == f"/series/{made['ID']}"
    instances = server.get(f"/series/{made['ID']}/instances")
    files = [read(server, each) for each in instances]
    files.sort(key=lambda file: file.InstanceNumber)
    for number, (file, pixels) in enumerate(zip(files, slices, strict=True), start=1):
        assert (file.InstanceNumber, file.ImageIndex, file.ImagesInAcquisition) == (
            number,
            number,
            3,
        )
        assert (file.pixel_array == pixels).all()
        assert file.get("ImageComments", "") == ("the second" if number == 2 else "")
    assert server.get(f"/series/{made['ID']}")["Status"] in ("Complete", "Unknown")


def test_of_a_list_with_a_bad_picture_nothing_stays(server):
    before = server.get("/statistics")["CountInstances"]
    good = uri("image/png", picture("PNG", GRAY))
    refused = create(server, 400, Tags={}, Content=[good, good, uri("image/png", b"nonsense")])
    assert refused["OrthancStatus"] == 15
    assert server.get("/statistics")["CountInstances"] == before


def test_what_a_parent_has_is_inherited(server):
    names = {"AccessionNumber": "A1", "StudyDescription": "Müller", "StudyDate": "20200102"}
    series_tags = {"SeriesDescription": "axial", "SpecificCharacterSet": "ISO_IR 100"}
    source = server.upload(make_instance(patient="PARENT", **names, **series_tags))
    for parent, has, has_not in [
        ("ParentPatient", {"PatientID"}, {"StudyDescription", "SeriesDescription"}),
        ("ParentStudy", {"PatientID", *names}, {"SeriesDescription"}),
        ("ParentSeries", {"PatientID", *names, "SeriesDescription"}, set()),
    ]:
        made = create(server, Parent=source[parent], Tags={}, Content=uri("application/pdf", PDF))
        assert made[parent] == source[parent]
        found = read(server, made)
        for name in has:
            assert str(found[name].value) == {"PatientID": "PARENT", **names, **series_tags}[name]
        assert not has_not & set(found.dir())
    for parent, tags in [
        ("ParentStudy", {"StudyDate": "1"}),
        ("ParentPatient", {"PatientID": "x"}),
    ]:
        refused = create(server, 400, Parent=source[parent], Tags=tags)
        assert refused["OrthancStatus"] == 2020
    forced = create(
        server, Parent=source["ParentStudy"], Tags={"StudyDate": "19990101"}, Force=True
    )
    assert read(server, forced).StudyDate == "19990101"


def test_tags_are_written_as_their_vr_wants_it(server):
    tags = {
        "PatientName": "Yamada^Tarou=山田^太郎",
        "0010,4000": "a\\b",
        "ImageType": "DERIVED\\SECONDARY",
        "RequestAttributesSequence": [{"ScheduledProcedureStepID": "x"}],
        "EncapsulatedDocument": uri("application/octet-stream", b"\1\2\3\4"),
        "0029,1001": "private text",
    }
    found = read(server, create(server, Tags=tags, PrivateCreator="ME"))
    assert str(found.PatientName) == tags["PatientName"]
    assert found.PatientComments == "a\\b"
    assert list(found.ImageType) == ["DERIVED", "SECONDARY"]
    assert found.RequestAttributesSequence[0].ScheduledProcedureStepID == "x"
    assert found.EncapsulatedDocument == b"\1\2\3\4"
    assert found[0x00290010].value == "ME"
    assert found[0x00291001].value.rstrip(b"\0") == b"private text"
    text = {"EncapsulatedDocument": uri("a/b", b"\1\2")}
    found = read(server, create(server, Tags=text, InterpretBinaryTags=False))
    assert found.EncapsulatedDocument == text["EncapsulatedDocument"].encode()


@pytest.mark.parametrize(
    ("body", "status", "number"),
    [
        ([], 400, 8),
        ({"Tags": {"Nope": "x"}}, 400, 27),
        ({"Tags": {"SOPInstanceUID": "1.2"}}, 400, 2020),
        ({"Tags": {"PixelData": "x"}}, 400, 2021),
        ({"Tags": {}, "Content": 12}, 400, 2023),
        ({"Tags": {}, "Content": "nope"}, 400, 15),
        ({"Tags": {}, "Content": "data:image/png;base64,****"}, 400, 15),
        ({"Tags": {}, "Content": uri("image/png", b"no png")}, 400, 15),
        ({"Tags": {}, "Content": uri("image/jpeg", b"\xff\xd8\xff\xd9")}, 400, 15),
        ({"Tags": {}, "Content": uri("application/pdf", b"no pdf")}, 400, 15),
        ({"Tags": {}, "Content": uri("text/plain", b"text")}, 501, 2),
        ({"Tags": {}, "Content": uri("image/png", b""), "Encapsulate": True}, 501, 2),
        ({"Tags": {}, "Parent": "nope"}, 400, 2024),
        ({"Tags": {}, "Force": "x"}, 400, 8),
    ],
)
def test_what_cannot_be_made_is_refused_with_orthancs_number(server, body, status, number):
    answer = server.http.post("/tools/create-dicom", json=body)
    assert (answer.status_code, answer.json()["OrthancStatus"]) == (status, number)


def test_an_instance_is_no_parent(server):
    source = server.upload(make_instance())
    assert create(server, 400, Parent=source["ID"], Tags={})["OrthancStatus"] == 2025


def test_a_picture_of_more_than_a_frame_may_have_is_refused_before_it_is_read(server):
    file = bytearray(picture("PNG", GRAY))
    file[16:24] = (60_000).to_bytes(4, "big") * 2
    file[29:33] = zlib.crc32(file[12:29]).to_bytes(4, "big")
    refused = create(server, 400, Tags={}, Content=uri("image/png", bytes(file)))
    assert refused["Code"] == "codec.limit"
