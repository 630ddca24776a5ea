"""Thumbnails and the cache of them."""

import io
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import generate_uid
from test_pictures import image, measured, refusal, report

AXIAL = [1, 0, 0, 0, 1, 0]


def level(gray, **attributes):
    """Return a slice of one gray value, so that a thumbnail tells which it is of."""
    pixels = np.full((1, 30, 60), gray, "<u2")
    window = {"WindowCenter": 128, "WindowWidth": 256}
    return image(pixels, **window, **attributes)


def shade(server, path):
    answer = server.http.get(path)
    assert answer.status_code == 200, (path, answer.status_code, answer.text)
    assert answer.headers["content-type"] == "image/jpeg"
    return float(np.array(Image.open(io.BytesIO(answer.content))).mean())


def cached(server):
    return sorted((server.root / "cache" / "thumbnails").glob("*"))


@pytest.fixture(scope="module")
def server(start_server):
    return start_server("--set=storage.undelete_hours=0", "--set=storage.duplicates=always")


def test_a_thumbnail_fits_into_the_size_asked_for_and_small_images_stay_small(server):
    path = f"/instances/{server.upload(level(100))['ID']}/thumbnail"

    def size(query, accept="*/*"):
        answer = server.http.get(f"{path}{query}", headers={"Accept": accept})
        shown = Image.open(io.BytesIO(answer.content))
        return shown.format, *shown.size

    assert size("?size=30") == ("JPEG", 30, 15)
    assert size("") == ("JPEG", 60, 30)
    assert size("", "image/png") == ("PNG", 60, 30)
    for wrong in ("15", "1025", "0", "-1", "big"):
        assert refusal(server, f"{path}?size={wrong}")[0] == 400
    assert refusal(server, path, headers={"Accept": "image/gif"})[0] == 406


def test_a_thumbnail_is_made_once(server):
    path = f"/instances/{server.upload(level(77))['ID']}/thumbnail"
    before = measured(server)
    first = server.http.get(path)
    between = measured(server)
    second = server.http.get(path)
    after = measured(server)
    assert first.content == second.content
    made = [counts["vna_pictures_total"] for counts in (before, between, after)]
    assert np.diff(made).tolist() == [1, 0]
    assert after["vna_thumbnail_hits_total"] == between["vna_thumbnail_hits_total"] + 1
    assert after["vna_thumbnail_cache_bytes"] > 0
    known = {"If-None-Match": first.headers["etag"]}
    assert server.http.get(path, headers=known).status_code == 304


def test_the_middle_slice_stands_for_a_series_and_images_for_a_study(server):
    study, series, about = generate_uid(), generate_uid(), generate_uid()
    # The order in space is not that of the numbers.
    for position, number in ((10, 1), (30, 2), (20, 3), (50, 4), (40, 5)):
        space = {"ImagePositionPatient": [0, 0, position], "ImageOrientationPatient": AXIAL}
        stored = server.upload(
            level(4 * position, study=study, series=series, number=number, SeriesNumber=2, **space)
        )
    found = report()
    found.StudyInstanceUID, found.SeriesInstanceUID = study, about
    found.Modality, found.SeriesNumber = "SR", 1
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, found, enforce_file_format=True)
    told = server.upload(buffer.getvalue())
    for path in (f"/series/{stored['ParentSeries']}", f"/studies/{stored['ParentStudy']}"):
        assert abs(shade(server, f"{path}/thumbnail") - 120) <= 2
    lone = f"/series/{told['ParentSeries']}/thumbnail"
    assert refusal(server, lone) == (415, "picture.no_image")
    slices = server.get(f"/series/{stored['ParentSeries']}/ordered-slices")
    assert slices["Type"] == "Volume"
    shades = [shade(server, path.replace("/file", "/thumbnail")) for path in slices["Dicom"]]
    assert shades == sorted(shades)
    volume = server.http.get(f"/series/{stored['ParentSeries']}/numpy?rescale=0")
    volume = np.load(io.BytesIO(volume.content))
    assert volume[:, 0, 0, 0].tolist() == [40, 80, 120, 160, 200]


def test_frames_of_different_sizes_are_no_array(server):
    series = generate_uid()
    for rows in (8, 9):
        pixels = np.zeros((1, rows, 8), "<u2")
        stored = server.upload(image(pixels, study="1.2.3", series=series, number=rows))
    path = f"/series/{stored['ParentSeries']}"
    assert refusal(server, f"{path}/numpy") == (415, "picture.unlike")
    assert server.get(f"{path}/ordered-slices")["Type"] == "Sequence"


def test_nothing_deleted_or_replaced_is_shown(server):
    uids = {"SOPInstanceUID": generate_uid(), "study": "1.2.4", "series": "1.2.4.1"}
    first = server.upload(level(40, **uids))
    path = f"{first['Path']}/thumbnail"
    assert abs(shade(server, path) - 40) <= 2
    assert server.upload(level(200, **uids))["ID"] == first["ID"]
    assert abs(shade(server, path) - 200) <= 2
    kept = {file.name for file in cached(server)}
    assert server.http.delete(first["Path"]).status_code == 200
    assert refusal(server, path)[0] == 404
    # Bytes that cannot come back take their thumbnail with them.
    end = time.monotonic() + 60
    while kept <= {file.name for file in cached(server)}:
        assert time.monotonic() < end, "the thumbnail of what is gone is still there"
        time.sleep(0.05)


def test_a_damaged_file_and_a_lost_folder_cost_only_the_cache(server):
    path = f"/instances/{server.upload(level(60))['ID']}/thumbnail"
    before = set(cached(server))
    whole = server.http.get(path).content
    [file] = set(cached(server)) - before
    failures = measured(server)["vna_thumbnail_failures_total"]
    for damage in (
        lambda data: data[:-1],
        lambda data: data[:20] + b"x" + data[21:],
        lambda _: b"",
    ):
        file.write_bytes(damage(file.read_bytes()))
        assert server.http.get(path).content == whole
        failures += 1
        assert measured(server)["vna_thumbnail_failures_total"] == failures
    for other in cached(server):
        other.unlink()
    (server.root / "cache" / "thumbnails").rmdir()
    assert server.http.get(path).content == whole
    (server.root / "cache" / "thumbnails").touch()
    assert server.http.get(path).content == whole


def test_thumbnails_survive_a_restart_and_a_smaller_bound_holds_at_once(start_server, tmp_path):
    root = tmp_path / "data"
    server = start_server(root=root)
    paths = [f"/instances/{server.upload(level(n))['ID']}/thumbnail" for n in range(30)]
    with ThreadPoolExecutor(4) as pool:
        pictures = [answer.content for answer in pool.map(server.http.get, paths)]
    server.stop()
    server = start_server(root=root)
    assert [server.http.get(path).content for path in paths] == pictures
    counts = measured(server)
    assert (counts["vna_thumbnail_hits_total"], counts["vna_pictures_total"]) == (30, 0)
    server.stop()
    server = start_server("--set=pictures.thumbnail_cache_bytes=65536", root=root)
    assert [server.http.get(path).content for path in paths] == pictures
    assert measured(server)["vna_thumbnail_cache_bytes"] <= 65536
    assert len(cached(server)) <= 16
    server.stop()


def test_without_a_cache_thumbnails_are_made_each_time(start_server):
    server = start_server("--set=pictures.thumbnail_cache_bytes=0")
    path = f"/instances/{server.upload(level(60))['ID']}/thumbnail"
    assert server.http.get(path).content == server.http.get(path).content
    assert not (server.root / "cache").exists()
    assert json.loads(server.http.get("/health/ready").content)["ready"]
