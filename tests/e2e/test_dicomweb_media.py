"""Pictures in media types of everyday programs: rendered (PS3.18 §8.7.4) and stored (§10.5.2)."""

import io
import json
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image, ImageCms
from pydicom.data import get_testdata_file
from support import make_instance
from support_store import JSON_TYPE, Module, part, related

DISAGREES, TOO_LARGE = 0xA900, 0xA700
PIXELS = (
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "NumberOfFrames", "PlanarConfiguration"),
)


def as_bytes(data_set):
    file = io.BytesIO()
    data_set.save_as(file, enforce_file_format=True)
    return file.getvalue()


def image(array, **more):
    """Return an image with these samples; more than one frame goes first, colours last."""
    data_set = pydicom.dcmread(io.BytesIO(make_instance()))
    samples = 3 if array.ndim > 2 and array.shape[-1] == 3 else 1
    shape = array.shape[:-1] if samples == 3 else array.shape
    data_set.Rows, data_set.Columns = shape[-2:]
    if len(shape) == 3:
        data_set.NumberOfFrames = shape[0]
    data_set.SamplesPerPixel = samples
    data_set.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    if samples == 3:
        data_set.PlanarConfiguration = 0
    data_set.BitsAllocated = data_set.BitsStored = 8 * array.itemsize
    data_set.HighBit, data_set.PixelRepresentation = 8 * array.itemsize - 1, 0
    data_set.PixelData = array.tobytes() + b"\0" * (array.nbytes % 2)
    data_set["PixelData"].VR = "OB" if array.itemsize == 1 else "OW"
    for name, value in more.items():
        setattr(data_set, name, value)
    return data_set


def colours(rows=40, columns=30):
    """Return a picture of more than 256 colours, which change slowly."""
    y, x = np.mgrid[:rows, :columns]
    return np.stack([x * 255 // columns, y * 255 // rows, (x + y) * 2], -1).astype(np.uint8)


@pytest.fixture(scope="module")
def web(start_server):
    server = start_server()
    levels = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5) * 2
    server.gray = image(levels, WindowCenter="128", WindowWidth="256", FrameTime="33.3")
    server.colour = image(colours())
    server.profile = Path(get_testdata_file("crayons.icc", read=False)).read_bytes()
    padded = server.profile + b"\0" * (len(server.profile) % 2)
    server.profiled = image(colours(), ICCProfile=padded)
    server.broken = image(colours(), ICCProfile=server.profile[:100])
    for each in (server.gray, server.colour, server.profiled, server.broken):
        server.upload(as_bytes(each))
    return server


def path_of(data_set):
    return (
        f"/dicom-web/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}"
        f"/instances/{data_set.SOPInstanceUID}"
    )


def get(web, path, accept, **query):
    return web.http.get(path, params=query, headers={"Accept": accept})


def rendered(web, data_set, accept, **query):
    answer = get(web, f"{path_of(data_set)}/rendered", accept, **query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == accept
    return Image.open(io.BytesIO(answer.content))


def frames_of(picture):
    found = []
    for index in range(picture.n_frames):
        picture.seek(index)
        found.append(np.asarray(picture.convert("L")))
    return np.stack(found)


def test_frames_are_an_animation_that_shows_them_as_long_as_they_took(web):
    moving = rendered(web, web.gray, "image/gif")
    assert np.abs(frames_of(moving).astype(int) - web.gray.pixel_array).max() <= 1
    assert moving.info["loop"] == 0
    durations = []
    for index in range(4):
        moving.seek(index)
        durations.append(moving.info["duration"])
    assert durations == [30, 40, 30, 30]
    some = get(web, f"{path_of(web.gray)}/frames/3,1/rendered", "image/gif")
    shown = frames_of(Image.open(io.BytesIO(some.content)))
    assert np.array_equal(shown, frames_of(moving)[[2, 0]])
    one = get(web, f"{path_of(web.gray)}/frames/2/rendered", "image/gif")
    assert Image.open(io.BytesIO(one.content)).n_frames == 1
    tag = some.headers["etag"]
    again = web.http.get(some.request.url, headers={"Accept": "image/gif", "If-None-Match": tag})
    assert (again.status_code, tag == one.headers["etag"]) == (304, False)


def test_frames_of_an_animation_are_shown_by_the_values_of_all(web):
    """Each by its own range would flicker. A frame of padding alone says nothing of it."""
    levels = np.array([1000, 1100, 5000, 3000, 60_000], np.uint16)
    frames = np.broadcast_to(levels[:, None, None], (5, 4, 4)).copy()
    frames[0, 0, 0] = 900
    deep = image(frames, FrameTime="40")
    deep.add_new("PixelPaddingValue", "US", 60_000)
    web.upload(as_bytes(deep))
    shown = frames_of(rendered(web, deep, "image/gif"))
    expected = (np.array([1000, 1100, 5000, 3000]) - 900) * 255 / 4100
    assert np.abs(shown[:4, 3, 3] - expected).max() <= 2
    assert (shown[0, 0, 0], shown[4].max()) == (0, 0)
    some = get(web, f"{path_of(deep)}/frames/1,4/rendered", "image/gif")
    assert frames_of(Image.open(io.BytesIO(some.content)))[:, 3, 3].tolist()[1] == 255


def test_an_animation_has_a_bound(web):
    wide = get(web, f"{path_of(web.gray)}/rendered", "image/gif", viewport="16000,16000")
    assert wide.status_code == 400
    assert "pixels of an animation" in wide.text


def test_colours_of_a_gif_are_nearly_those_of_the_image(web):
    photograph = pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm", read=False))
    web.upload(as_bytes(photograph))
    shown = rendered(web, photograph, "image/gif").convert("RGB")
    exact = rendered(web, photograph, "image/png")
    assert len(np.unique(np.asarray(exact).reshape(-1, 3), axis=0)) > 256
    difference = np.abs(np.asarray(shown).astype(int) - np.asarray(exact).astype(int))
    by_pillow = exact.quantize(256, dither=Image.Dither.NONE).convert("RGB")
    theirs = np.abs(np.asarray(by_pillow).astype(int) - np.asarray(exact).astype(int))
    assert difference.mean() <= theirs.mean()


def test_jp2_loses_nothing(web):
    found = rendered(web, web.colour, "image/jp2")
    assert found.format == "JPEG2000"
    assert np.array_equal(np.asarray(found), web.colour.pixel_array)
    whole = rendered(web, web.gray, "image/jp2")
    assert np.abs(np.asarray(whole).astype(int) - web.gray.pixel_array[0]).max() <= 1


@pytest.mark.parametrize("accept", ["image/png", "image/jpeg", "image/jp2"])
def test_a_picture_has_the_profile_of_its_image(web, accept):
    profile = rendered(web, web.profiled, accept, iccprofile="yes").info.get("icc_profile")
    # Pillow gives none of JP2.
    assert profile == (None if accept == "image/jp2" else web.profile)
    assert "icc_profile" not in rendered(web, web.profiled, accept).info
    assert "icc_profile" not in rendered(web, web.profiled, accept, iccprofile="no").info


def test_a_colour_presentation_state_says_which_colours_there_are(web):
    """PS3.4 §N.2.2.1, PS3.3 §C.11.15: its profile goes before that of the image."""
    state = pydicom.dcmread(io.BytesIO(make_instance()))
    state.SOPClassUID = state.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.11.2"
    for name in (*PIXELS, "PixelData"):
        if name in state:
            delattr(state, name)
    reference = pydicom.Dataset()
    reference.ReferencedSOPClassUID = web.colour.SOPClassUID
    reference.ReferencedSOPInstanceUID = web.colour.SOPInstanceUID
    series = pydicom.Dataset()
    series.SeriesInstanceUID = web.colour.SeriesInstanceUID
    series.ReferencedImageSequence = [reference]
    state.ReferencedSeriesSequence = [series]
    adobe = rendered(web, web.colour, "image/png", iccprofile="adobergb").info["icc_profile"]
    state.ICCProfile = adobe + b"\0" * (len(adobe) % 2)
    web.upload(as_bytes(state))
    profiled = image(colours(), ICCProfile=state.ICCProfile)
    web.upload(as_bytes(profiled))
    own = rendered(web, state, "image/png", iccprofile="yes")
    assert own.info["icc_profile"] == adobe
    assert np.array_equal(np.asarray(own), web.colour.pixel_array)
    converted = rendered(web, state, "image/png", iccprofile="srgb")
    # The same colours with the same profile in the image itself.
    of_image = rendered(web, profiled, "image/png", iccprofile="srgb")
    assert np.array_equal(np.asarray(converted), np.asarray(of_image))
    assert not np.array_equal(np.asarray(converted), np.asarray(own))


@pytest.mark.parametrize(("space", "name"), [("srgb", "sRGB"), ("adobergb", "Adobe")])
def test_colours_are_converted_as_little_cms_does(web, space, name):
    picture = rendered(web, web.profiled, "image/png", iccprofile=space)
    given = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
    assert name in ImageCms.getProfileDescription(given)
    source = ImageCms.ImageCmsProfile(io.BytesIO(web.profile))
    pixels = Image.fromarray(web.profiled.pixel_array)
    expected = ImageCms.profileToProfile(pixels, source, given, renderingIntent=0)
    difference = np.abs(np.asarray(picture).astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= 3


def test_what_has_no_profile_is_srgb(web):
    for space in ("yes", "srgb"):
        picture = rendered(web, web.colour, "image/png", iccprofile=space)
        given = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(given)
        assert np.array_equal(np.asarray(picture), web.colour.pixel_array)
    gray = rendered(web, web.gray, "image/png", iccprofile="yes")
    assert gray.mode == "L"
    assert gray.info["icc_profile"][16:20] == b"GRAY"


def test_colours_that_cannot_be_given_are_refused(web):
    path = f"{path_of(web.colour)}/rendered"
    assert get(web, path, "image/gif", iccprofile="rommrgb").status_code == 400
    assert get(web, path, "image/png", iccprofile="cmyk").status_code == 400
    told = get(web, path, "image/gif", iccprofile="yes")
    assert (told.status_code, "no colour profile" in told.headers["warning"]) == (200, True)
    broken = get(web, f"{path_of(web.broken)}/rendered", "image/png", iccprofile="srgb")
    assert (broken.status_code, "(0028,2000)" in broken.text) == (406, True)


def wanted(array, leave_out=PIXELS, **more):
    """Return the metadata of a new image, without what its file says."""
    metadata = image(array, **more).to_json_dict()
    for keyword in leave_out:
        metadata.pop(f"{pydicom.datadict.tag_for_keyword(keyword):08X}", None)
    vr = metadata["7FE00010"]["vr"]
    metadata["7FE00010"] = {"vr": vr, "BulkDataURI": "picture"}
    return metadata


def store(web, metadata, *files, media="image/png"):
    pictures = [part(file, media, "picture") for file in files]
    body, content_type = related(
        part(json.dumps([metadata]).encode(), JSON_TYPE), *pictures, of=JSON_TYPE
    )
    headers = {"Content-Type": content_type}
    return web.http.post("/dicom-web/studies", content=body, headers=headers)


def stored(web, metadata, *files, media="image/png"):
    module = Module(store(web, metadata, *files, media=media))
    assert module.status == 200, (module.failed, module.others)
    (uid,) = module.stored_uids
    (found,) = web.http.post("/tools/lookup", content=uid).json()
    return pydicom.dcmread(io.BytesIO(web.file(found["ID"])))


def saved(array, form="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, form, **options)
    return file.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def interlaced(array):
    """Return a gray PNG in the seven passes of Adam7, which no library here writes."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    rows = b""
    for top, left, down, right in (*passes, (1, 0, 2, 1)):
        for line in array[top::down, left::right]:
            rows += b"\0" + line.tobytes() if line.size else b""
    head = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 8, 0, 0, 0, 1)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


GRAYS = np.arange(30 * 20, dtype=np.uint16).reshape(30, 20)
BYTES = (GRAYS % 251).astype(np.uint8)


@pytest.mark.parametrize("leave_out", [PIXELS, ()], ids=["without", "with pixel macro"])
def test_png_of_every_kind_is_stored_as_its_pixels(web, leave_out):
    alpha = np.dstack([colours(), np.full((40, 30), 7, np.uint8)])
    deep = (GRAYS * 100).astype(np.uint16)
    for pixels, file in [
        (BYTES, saved(BYTES)),
        (BYTES, interlaced(BYTES)),
        (deep, imagecodecs.png_encode(deep)),
        (colours(), saved(colours())),
        (alpha[..., :3], saved(alpha)),
    ]:
        found = stored(web, wanted(pixels, leave_out), file)
        assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert np.array_equal(found.pixel_array, pixels)
        assert found.BitsStored == 8 * pixels.itemsize
    planar = wanted(colours(), leave_out)
    planar["00280006"] = {"vr": "US", "Value": [1]}
    found = stored(web, planar, saved(colours()))
    assert found.PlanarConfiguration == 1
    assert np.array_equal(found.pixel_array, colours())


def test_frames_come_each_in_a_png_or_all_in_a_gif(web):
    levels = np.stack([BYTES // 2, BYTES // 3, 255 - BYTES])
    pngs = stored(web, wanted(levels, ()), *map(saved, levels))
    assert np.array_equal(pngs.pixel_array, levels)
    pictures = [Image.fromarray(each) for each in levels]
    file = io.BytesIO()
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=40)
    for leave_out in (PIXELS, ()):
        found = stored(web, wanted(levels, leave_out), file.getvalue(), media="image/gif")
        assert found.NumberOfFrames == 3
        assert found.PhotometricInterpretation == "MONOCHROME2"
        assert np.array_equal(found.pixel_array, levels)


def test_a_gif_in_colour_becomes_rgb(web):
    coloured = Image.fromarray(colours()).quantize(200)
    file = io.BytesIO()
    coloured.save(file, "GIF", interlace=1)
    found = stored(web, wanted(colours()), file.getvalue(), media="image/gif")
    assert found.PhotometricInterpretation == "RGB"
    assert np.array_equal(found.pixel_array, np.asarray(coloured.convert("RGB")))


def test_samples_may_be_as_the_metadata_has_them_if_nothing_is_lost(web):
    same = np.dstack([BYTES] * 3)
    assert np.array_equal(stored(web, wanted(BYTES, ()), saved(same)).pixel_array, BYTES)
    assert np.array_equal(stored(web, wanted(same, ()), saved(BYTES)).pixel_array, same)
    twelve = wanted(GRAYS, (), BitsStored=12, HighBit=11)
    found = stored(web, twelve, imagecodecs.png_encode(GRAYS))
    assert (found.BitsStored, np.array_equal(found.pixel_array, GRAYS)) == (12, True)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        *(("Rows", 29), ("Columns", 1), ("BitsAllocated", 16), ("BitsStored", 7), ("HighBit", 3)),
        *(("PixelRepresentation", 1), ("SamplesPerPixel", 4), ("NumberOfFrames", "2")),
        ("PhotometricInterpretation", "PALETTE COLOR"),
    ],
)
def test_metadata_that_the_picture_contradicts_is_a_conflict(web, keyword, value):
    metadata = wanted(BYTES, ())
    tag = f"{pydicom.datadict.tag_for_keyword(keyword):08X}"
    metadata[tag] = {"vr": pydicom.datadict.dictionary_VR(keyword), "Value": [value]}
    module = Module(store(web, metadata, saved(BYTES)))
    assert (module.status, list(module.failed.values())) == (409, [DISAGREES])


def test_colours_are_not_stored_as_grays(web):
    module = Module(store(web, wanted(colours()[..., 0], ()), saved(colours())))
    assert (module.status, list(module.failed.values())) == (409, [DISAGREES])


def test_an_animated_png_is_refused_rather_than_cut_down_to_its_first_picture(web):
    frames = [Image.fromarray(each) for each in (BYTES, BYTES[::-1].copy())]
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    answer = store(web, wanted(BYTES), file.getvalue())
    assert list(Module(answer).failed.values()) == [DISAGREES]
    assert "animation of 2 pictures" in answer.headers["warning"]


def test_hostile_pictures_are_refused(web):
    before = len(web.get("/instances"))
    gif = saved(BYTES, "GIF")
    png = saved(BYTES)
    huge = gif[:6] + b"\xff" * 4 + gif[10:]
    black = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + black + chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
    # 16 MiB of one colour: less than a frame may have, more than so few bytes may become.
    packed = saved(np.zeros((4096, 4096), np.uint8), compress_level=9)
    for media, file, reason in [
        ("image/gif", gif[: len(gif) // 2], DISAGREES),
        ("image/gif", gif[:-1], DISAGREES),
        ("image/gif", png, DISAGREES),
        ("image/gif", b"", DISAGREES),
        ("image/gif", huge, TOO_LARGE),
        ("image/png", png[:-20], DISAGREES),
        ("image/png", gif, DISAGREES),
        ("image/png", bomb, TOO_LARGE),
        ("image/png", packed, TOO_LARGE),
    ]:
        module = Module(store(web, wanted(BYTES), file, media=media))
        assert list(module.failed.values()) == [reason], (media, len(file))
        assert module.status == (413 if reason == TOO_LARGE else 409)
    module = Module(store(web, wanted(BYTES), saved(BYTES), saved(BYTES[:-1])))
    assert list(module.failed.values()) == [DISAGREES]
    assert len(web.get("/instances")) == before
