"""`vna render`, on files and on instances of an archive."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from support import ct_small
from support_cli import vna
from test_pictures import image, shades


@pytest.fixture
def slice_file(tmp_path):
    path = tmp_path / "ct.dcm"
    path.write_bytes(ct_small())
    return path


def test_a_file_is_rendered_without_any_archive(tmp_path, slice_file):
    for name, form in {"a.png": "PNG", "b.jpg": "JPEG", "c.jpeg": "JPEG"}.items():
        done = vna("render", slice_file, "-o", tmp_path / name, f"--root={tmp_path / 'none'}")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        shown = Image.open(tmp_path / name)
        assert (shown.format, shown.size) == (form, (128, 128))
        # Without a window it goes from the lowest value to the highest.
        assert np.ptp(np.array(shown)) > 200
    assert not (tmp_path / "none").exists()
    done = vna("render", slice_file, "-o", tmp_path / "d.bin", "--format=pam", "--size=64x")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "d.bin").read_bytes().startswith(b"P7\nWIDTH 64\nHEIGHT 64\n")


def test_window_and_frame_are_those_asked_for(tmp_path):
    pixels = shades(3)
    path, out = tmp_path / "three.dcm", tmp_path / "out.png"
    path.write_bytes(image(pixels))
    done = vna("render", path, "-o", out, "--frame=2", "--window=7000,4000")
    assert done.returncode == 0, done.stderr
    expected = np.clip(((pixels[2] - 6999.5) / 3999 + 0.5) * 255, 0, 255)
    assert np.abs(np.array(Image.open(out)).astype(int) - expected).max() <= 1
    done = vna("render", path, "-o", out, "--all-frames", "--window=4000,9000", "--json")
    assert done.returncode == 0, done.stderr
    written = json.loads(done.stdout)["Written"]
    assert written == [str(tmp_path / f"out-{number}.png") for number in range(3)]
    assert len({Image.open(one).tobytes() for one in written}) == 3


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["-o", "{out}/x.png", "--frame=1"], 3, "there is no frame 1; the image has one"),
        (["-o", "{out}/x.gif"], 2, "the name tells no form"),
        (["-o", "{out}/x.png", "--window=40"], 2, "it takes center and width"),
        (["-o", "{out}/x.png", "--window=40,0"], 2, "it takes center and width"),
        (["-o", "{out}/x.png", "--size=0x0"], 2, "most columns and rows"),
        (["-o", "{out}/x.png", "--format=gif"], 2, "it takes png, jpeg, pam"),
        (["-o", "-", "--all-frames"], 2, "writes files"),
        (["-o", "{out}/no/such/folder/x.png"], 3, "No such file"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_no_file(
    tmp_path, slice_file, arguments, status, said
):
    arguments = [argument.format(out=tmp_path) for argument in arguments]
    done = vna("render", slice_file, *arguments)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["ct.dcm"]


def test_files_that_are_no_images_are_refused(tmp_path):
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM")
    done = vna("render", text, "-o", tmp_path / "x.png")
    assert (done.returncode, "DICM" in done.stderr) == (1, True), done.stderr
    done = vna("render", get_testdata_file("rtstruct.dcm"), "-o", tmp_path / "x.png")
    assert done.returncode == 1
    assert "there is no picture of" in done.stderr
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(ct_small()[:-5000])
    done = vna("render", cut, "-o", tmp_path / "x.png")
    assert done.returncode == 1
    assert not (tmp_path / "x.png").exists()


def test_an_instance_is_named_by_its_ids_with_and_without_a_server(start_server, tmp_path):
    server = start_server()
    stored = server.upload(ct_small())
    uid = server.get(stored["Path"])["MainDicomTags"]["SOPInstanceUID"]
    pictures = set()

    def render(source):
        done = vna("render", source, "-o", tmp_path / "x.png", f"--root={server.root}")
        assert done.returncode == 0, done.stderr
        pictures.add((tmp_path / "x.png").read_bytes())

    render(stored["ID"])
    render(uid)
    missing = vna("render", "1.2.3.4", "-o", tmp_path / "y.png", f"--root={server.root}")
    assert missing.returncode == 3
    assert "is no file, and the archive does not know it" in missing.stderr
    server.upload(image(shades(), study="1.2.9", series="1.2.9.1", number=1))
    two = server.upload(image(shades(), study="1.2.9", series="1.2.9.1", number=2))
    several = vna("render", two["ParentSeries"], "-o", tmp_path / "y.png", f"--root={server.root}")
    assert (several.returncode, "has 2 instances" in several.stderr) == (2, True)
    server.stop()
    render(stored["ID"])
    assert len(pictures) == 1
    assert Image.open(io.BytesIO(pictures.pop())).size == (128, 128)
