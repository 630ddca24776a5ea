"""dicomweb-client does with this server all that it can: each operation, and its commands.

Real files; what it gets is what pydicom reads of them.
"""

import io
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from requests import HTTPError
from support import Server, make_instance

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
FILES = {
    "ct": "CT_small.dcm",
    "enhanced": "emri_small.dcm",
    "rle": "SC_rgb_rle_2frame.dcm",
    "jpeg": "JPEG-LL.dcm",
    "jpeg 2000": "JPEG2000.dcm",
    "jpeg-ls": "MR_small_jpeg_ls_lossless.dcm",
    "deflated": "image_dfl.dcm",
    "plan": "rtplan.dcm",
    "report": "test-SR.dcm",
    "ecg": "waveform_ecg.dcm",
}
# The type that its frames have as they are stored.
FRAME_TYPES = {"rle": "image/dicom-rle", "jpeg": "image/jpeg", "jpeg-ls": "image/jls"}
FRAME_TYPES["jpeg 2000"] = "image/jp2"
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
OPERATIONS = {name for name in dir(DICOMwebClient) if not name.startswith("_")}
# Metadata is in UTF-8; what fills up a file says nothing.
UNSAID = {"SpecificCharacterSet", "DataSetTrailingPadding"}
called = set()


class Client(DICOMwebClient):
    """Remembers what was called."""

    def __getattribute__(self, name):
        if name in OPERATIONS:
            called.add(name)
        return super().__getattribute__(name)


def url_of(server):
    return f"{server.url}/dicom-web"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("client") / "data"
    # It leaves the port out of its Host header, from which we else know how we are called.
    with_delete = "--set=dicomweb.delete=true"
    one = Server(root, with_delete).start()
    address = one.url
    one.stop()
    port = address.rpartition(":")[2]
    one.flags = (with_delete, f"--http-port={port}", f"--set=dicomweb.public_url={address}")
    one.start()
    yield one
    assert one.stop() == 0


@pytest.fixture(scope="module")
def client(server):
    one = Client(url_of(server))
    one.set_chunk_size(10_000)
    one.set_http_retry_params(retry=True, max_attempts=3, wait_exponential_multiplier=10)
    return one


@pytest.fixture(scope="module")
def files(client):
    """Return the files by name, stored in one request."""
    paths = {name: Path(get_testdata_file(file, download=False)) for name, file in FILES.items()}
    found = {name: pydicom.dcmread(path) for name, path in paths.items()}
    told = client.store_instances(list(found.values()))
    stored = {item.ReferencedSOPInstanceUID for item in told.ReferencedSOPSequence}
    assert stored == {one.SOPInstanceUID for one in found.values()}
    assert "FailedSOPSequence" not in told
    return found


def uids(dataset, depth=3):
    return [dataset[name].value for name in UIDS[:depth]]


def test_instances_are_stored_into_their_study_alone(client):
    one = pydicom.dcmread(io.BytesIO(make_instance()))
    told = client.store_instances([one], study_instance_uid=one.StudyInstanceUID)
    assert told.RetrieveURL.endswith(f"/studies/{one.StudyInstanceUID}")
    with pytest.raises(HTTPError):
        client.store_instances([one], study_instance_uid="1.2.3")


@pytest.mark.parametrize("name", FILES)
def test_an_instance_is_what_pydicom_reads_of_its_file(client, files, name):
    expected = files[name]
    # It takes any transfer syntax if none is named.
    found = client.retrieve_instance(*uids(expected))
    assert found.file_meta.TransferSyntaxUID == expected.file_meta.TransferSyntaxUID
    assert found == expected


IMAGES = ["ct", "enhanced", "rle", "jpeg", "jpeg-ls", "jpeg 2000"]


@pytest.mark.parametrize("name", IMAGES)
def test_an_instance_is_given_in_the_transfer_syntax_that_is_named(client, files, name):
    expected = files[name]
    for syntax in (expected.file_meta.TransferSyntaxUID, "1.2.840.10008.1.2.1"):
        named = (("application/dicom", syntax),)
        found = client.retrieve_instance(*uids(expected), media_types=named)
        assert found.file_meta.TransferSyntaxUID == syntax
        assert np.array_equal(found.pixel_array, expected.pixel_array)


def test_studies_and_series_are_retrieved_at_once_and_one_by_one(client, files):
    expected = files["ct"]
    for depth, name in ((1, "study"), (2, "series")):
        for verb in ("retrieve", "iter"):
            found = list(getattr(client, f"{verb}_{name}")(*uids(expected, depth)))
            assert [one.SOPInstanceUID for one in found] == [expected.SOPInstanceUID]
            assert found[0] == expected


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_metadata_is_what_pydicom_reads(client, files, name, depth):
    expected = files[name]
    level = ("study", "series", "instance")[depth - 1]
    found = getattr(client, f"retrieve_{level}_metadata")(*uids(expected, depth))
    many = [found] if depth == 3 else found
    by_uid = {one["00080018"]["Value"][0]: one for one in many}
    found = Dataset.from_json(by_uid[expected.SOPInstanceUID], lambda *_: b"bulk")
    bulk = {element.tag for element in found if element.value == b"bulk"}
    for element in expected:
        tag = element.tag
        if tag in bulk or tag.element == 0 or element.keyword in UNSAID:
            continue
        assert tag in found, element
        if element.VR not in ("OB", "OW", "UN", "SQ") and not tag.is_private:
            assert same(found[tag].value, element.value), element
        elif element.VR == "SQ":
            assert len(found[tag].value) == len(element.value)


def same(found, stored):
    """Whether values are the same; JSON has numbers, and no empty text."""
    return found == stored or (not found and not stored) or str(found) == str(stored)


@pytest.mark.parametrize("name", ["ct", "enhanced", "rle", "jpeg", "jpeg-ls", "deflated"])
def test_frames_are_given_decoded_at_once_and_one_by_one(client, files, name):
    expected = files[name]
    count = int(expected.get("NumberOfFrames", 1))
    numbers = [1] if count == 1 else [1, count, 2]
    pixels = expected.pixel_array
    pixels = pixels[np.newaxis] if count == 1 else pixels
    wanted = [pixels[number - 1].tobytes() for number in numbers]
    octets = (("application/octet-stream", "1.2.840.10008.1.2.1"),)
    for media_types in (None, octets):
        found = client.retrieve_instance_frames(*uids(expected), numbers, media_types)
        assert found == wanted
        assert list(client.iter_instance_frames(*uids(expected), numbers, media_types)) == wanted


@pytest.mark.parametrize("name", FRAME_TYPES)
def test_frames_are_given_as_they_are_stored(client, files, name):
    expected = files[name]
    syntax = expected.file_meta.TransferSyntaxUID
    count = int(expected.get("NumberOfFrames", 1))
    wanted = [get_frame(expected.PixelData, at, number_of_frames=count) for at in range(count)]
    numbers = list(range(1, count + 1))
    found = client.retrieve_instance_frames(
        *uids(expected), numbers, media_types=((FRAME_TYPES[name], syntax),)
    )
    assert [one.rstrip(b"\0") for one in found] == [one.rstrip(b"\0") for one in wanted]


def test_frames_that_there_are_not_are_told(client, files):
    with pytest.raises(HTTPError) as error:
        client.retrieve_instance_frames(*uids(files["ct"]), [2])
    assert error.value.response.status_code == 404


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png"])
def test_pictures_of_instances_series_and_frames_are_rendered(client, files, kind):
    expected = files["enhanced"]
    # The file has no window of its own.
    seen = {"window": "0,2000,linear"}
    size = {"viewport": "32,32"} | seen
    pictures = [
        client.retrieve_instance_rendered(*uids(files["ct"]), media_types=(kind,), params=seen),
        client.retrieve_instance_rendered(*uids(files["ct"]), media_types=(kind,), params=size),
        client.retrieve_series_rendered(*uids(files["ct"], 2), media_types=(kind,), params=seen),
        client.retrieve_instance_frames_rendered(*uids(expected), [3], media_types=(kind,)),
    ]
    opened = [Image.open(io.BytesIO(each)) for each in pictures]
    assert [one.size for one in opened] == [(128, 128), (32, 32), (128, 128), (64, 64)]
    assert {one.get_format_mimetype() for one in opened} == {kind}
    greys = [len(set(one.convert("L").tobytes())) for one in opened]
    assert min(greys) > 20, greys


def test_bulk_data_is_what_is_in_the_file(client, files):
    expected = files["ct"]
    metadata = client.retrieve_instance_metadata(*uids(expected))
    url = metadata["7FE00010"]["BulkDataURI"]
    for media_types in (None, ("application/octet-stream",)):
        assert client.retrieve_bulkdata(url, media_types) == [expected.PixelData]
        assert list(client.iter_bulkdata(url, media_types)) == [expected.PixelData]
    waves = client.retrieve_instance_metadata(*uids(files["ecg"]))["54000100"]["Value"]
    stored = files["ecg"].WaveformSequence
    for found, item in zip(waves, stored, strict=True):
        uri = found["54001010"]["BulkDataURI"]
        assert client.retrieve_bulkdata(uri) == [item.WaveformData]


def test_a_part_of_bulk_data_is_given_by_its_range(client, files):
    expected = files["ct"]
    url = client.retrieve_instance_metadata(*uids(expected))["7FE00010"]["BulkDataURI"]
    octets = ("application/octet-stream",)
    whole = client._http_get(url, headers={"Accept": "application/octet-stream"}).content
    assert whole == expected.PixelData
    answer = client._http_get(
        url, headers={"Accept": "application/octet-stream", "Range": "bytes=10-19"}
    )
    assert (answer.status_code, answer.content) == (206, expected.PixelData[10:20])
    # It reads a part of a body of parts only as far as delimiters are in it.
    (found,) = client.retrieve_bulkdata(url, octets, byte_range=(0, 1 << 20))
    assert found == expected.PixelData


SEARCHES = [
    {"search_filters": {"PatientID": "1CT1"}},
    {"search_filters": {"PatientName": "CompressedSamples*"}},
    {"search_filters": {"00100010": "comPRESSEDsamples^ct1"}},
    {"search_filters": {"PatientName": "compressed"}, "fuzzymatching": True},
    {"search_filters": {"StudyDate": "20040101-20041231"}},
    {"search_filters": {"StudyInstanceUID": "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"}},
    {"search_filters": {"PatientID": "nobody"}},
]


@pytest.mark.parametrize("options", SEARCHES, ids=str)
def test_studies_are_found_as_by_a_look_at_the_files(client, files, options):
    found = client.search_for_studies(**options, fields=["StudyDescription", "PatientBirthDate"])
    expected = {one.StudyInstanceUID for one in files.values() if is_found(one, **options)}
    assert {one["0020000D"]["Value"][0] for one in found} == expected
    for one in found:
        told = Dataset.from_json(one)
        stored = next(f for f in files.values() if f.StudyInstanceUID == told.StudyInstanceUID)
        assert {"StudyDescription", "PatientBirthDate"} <= {element.keyword for element in told}
        for name in ("PatientID", "StudyDate", "StudyDescription", "PatientBirthDate"):
            assert same(told.get(name), stored.get(name)), name


def is_found(dataset, search_filters, fuzzymatching=False):
    ((name, key),) = search_filters.items()
    value = str(dataset.get(name if name[0].isalpha() else int(name, 16), ""))
    if isinstance(dataset.get(int(name, 16)) if name.isdigit() else None, pydicom.DataElement):
        value = str(dataset[int(name, 16)].value)
    if "-" in key:
        low, high = key.split("-")
        return low <= value <= high
    if name in ("PatientName", "00100010"):
        key, value = key.lower().rstrip("*"), value.lower()
        return value.startswith(key) if fuzzymatching or name == "PatientName" else value == key
    return value == key


def test_series_and_instances_are_found_in_all_and_in_what_they_are_in(client, files):
    expected = files["ct"]
    study, series, instance = uids(expected)
    for found in (
        client.search_for_series(search_filters={"SeriesInstanceUID": series}),
        client.search_for_series(study, search_filters={"Modality": "CT"}),
        client.search_for_series(study, fields=["SeriesDescription"]),
    ):
        assert [one["0020000E"]["Value"] for one in found] == [[series]]
    for found in (
        client.search_for_instances(search_filters={"SOPInstanceUID": instance}),
        client.search_for_instances(study),
        client.search_for_instances(study, series, search_filters={"Rows": 128}),
        client.search_for_instances(study, series, fields=["Rows", "SliceThickness"]),
    ):
        assert [one["00080018"]["Value"] for one in found] == [[instance]]
    assert found[0]["00180050"]["Value"] == [expected.SliceThickness]
    assert client.search_for_instances(study, series, search_filters={"Rows": 129}) == []


def test_searches_have_pages_and_all_of_them_at_once(client, files):
    everything = client.search_for_instances()
    pages = [client.search_for_instances(limit=4, offset=at) for at in range(0, 20, 4)]
    assert [one for page in pages for one in page] == everything
    for level in ("studies", "series", "instances"):
        search = getattr(client, f"search_for_{level}")
        assert search(limit=3, get_remaining=True) == search()


def test_names_of_attributes_are_those_of_the_standard(client):
    assert client.lookup_keyword("00100020") == "PatientID"
    assert client.lookup_tag("PatientID") == "00100020"


def test_instances_series_and_studies_are_deleted(client, server):
    one = [pydicom.dcmread(io.BytesIO(make_instance(patient="GONE"))) for _ in range(3)]
    client.store_instances(one)
    client.delete_instance(*uids(one[0]))
    client.delete_series(*uids(one[1], 2))
    client.delete_study(*uids(one[2], 1))
    assert client.search_for_studies(search_filters={"PatientID": "GONE"}) == []
    for each in one:
        with pytest.raises(HTTPError) as error:
            client.retrieve_instance(*uids(each))
        assert error.value.response.status_code in (404, 410)


def command(server, *arguments):
    """Run a command of the client; return what it printed."""
    program = Path(sys.executable).with_name("dicomweb_client")
    call = [program, "--url", url_of(server), *arguments]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def test_its_commands_search_retrieve_and_store(server, files, tmp_path):
    study, series, instance = uids(files["ct"])
    one, of_series = ["--study", study], ["--study", study, "--series", series]
    of_instance = [*of_series, "--instance", instance]
    found = json.loads(
        command(server, "search", "studies", "--filter", f"StudyInstanceUID={study}")
    )
    assert found[0]["00100020"]["Value"] == ["1CT1"]
    assert json.loads(command(server, "search", "instances", *of_series))
    told = json.loads(command(server, "retrieve", "instances", *of_instance, "metadata"))
    assert told["00080018"]["Value"] == [instance]
    save = ["--save", "--output-dir", str(tmp_path)]
    command(server, "retrieve", "studies", *one, "full", *save)
    (saved,) = tmp_path.iterdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert pydicom.dcmread(saved) == files["ct"]
    new = tmp_path / "new.dcm"
    new.write_bytes(make_instance(patient="COMMAND"))
    command(server, "store", "instances", str(new))
    stored = json.loads(command(server, "search", "series", "--filter", "PatientID=COMMAND"))
    assert [one["0020000E"]["Value"][0] for one in stored] == [
        pydicom.dcmread(new).SeriesInstanceUID
    ]


def test_each_operation_was_called():
    """Run after the others: what the next version of the client can do more is not forgotten."""
    assert OPERATIONS - called == set()
