"""Whatever comes by STOW-RS, in whichever form, is what is stored (PS3.18 §10.5)."""

import io
import json
import os

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.encaps import generate_frames
from support_store import JSON_TYPE, XML_TYPE, Module, part, related, split_json, split_xml
from support_uploads import House

from vna import _core, testing
from vna.settings import Storage
from vna.testing.model import PIXEL_DATA, Fragments

EXAMPLES = settings(
    max_examples=int(os.environ.get("VNA_STORE_EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
PIXELS = f"{PIXEL_DATA:08X}"
DOCUMENT, MIME_TYPE = f"{0x0042_0011:08X}", f"{0x0042_0012:08X}"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    root = tmp_path_factory.mktemp("stow")
    # UIDs that are drawn again belong to what comes last.
    storage = Storage(root=str(root), large_object_bytes=64 << 10, duplicates="always")
    one = House(root, sections={"storage": storage})
    yield one
    one.close()


def sent(house, body, content_type, accept):
    path = "/dicom-web/studies"
    module = Module(house.post(body, path, Content_Type=content_type, Accept=accept))
    assert module.status in {200, 202}, module.elements
    assert not module.failed, module.elements
    assert not module.others, module.elements
    return module


def stored(house, file):
    """The files of the archive with the UIDs of this one: a patient's each."""
    keys = {
        "StudyInstanceUID": 0x0020_000D,
        "SeriesInstanceUID": 0x0020_000E,
        "SOPInstanceUID": 0x0008_0018,
    }
    query = {key: file.data_set.text(tag) for key, tag in keys.items()}
    found = house.post(json.dumps({"Level": "Instance", "Query": query}), "/tools/find").json()
    return [house.file(one) for one in found]


def without_pixels(data):
    found = json.loads(_core.dicom_json(data, bulk_threshold=None))
    found.pop(PIXELS, None)
    found.pop("00080005", None)  # named where a text needs it
    # A document that comes as a part has the media type of the part, if the metadata names none.
    if DOCUMENT in found and not found.get(MIME_TYPE, {}).get("Value"):
        found[MIME_TYPE] = {"vr": "LO", "Value": ["application/octet-stream"]}
    return found


def frames_of(file):
    """The codestreams of a file, or None if its pixel data is native."""
    if PIXEL_DATA not in file.data_set:
        return None
    value = file.data_set[PIXEL_DATA].value
    if not isinstance(value, Fragments):
        return None
    frames = [b"".join(frame) for frame in value.frames]
    return [frame + b"\0" * (len(frame) % 2) for frame in frames]


@EXAMPLES
@given(file=testing.files(), accept=st.sampled_from([JSON_TYPE, XML_TYPE]))
def test_files_are_stored_bit_for_bit(house, file, accept):
    module = sent(house, *related(part(file.data)), accept)
    assert module.stored_uids == [file.sop_instance_uid]
    assert file.data in stored(house, file)


@EXAMPLES
@given(
    file=testing.files(),
    form=st.sampled_from([JSON_TYPE, XML_TYPE]),
    names=st.sampled_from(["pixels", "pixels/{}", "pixels/frames/{}"]),
    shuffled=st.randoms(use_true_random=False),
)
def test_metadata_and_bulk_data_are_stored_as_the_data_set_that_they_were(
    house, file, form, names, shuffled
):
    frames = frames_of(file)
    kind = f"application/octet-stream; transfer-syntax={file.transfer_syntax_uid}"
    options = {"bulk_threshold": None, "bulk_uri": "at:"}
    if form == JSON_TYPE:
        metadata = json.loads(_core.dicom_json(file.data, **options))
        if frames is not None:
            metadata[PIXELS]["BulkDataURI"] = "pixels"
        bulk = split_json(metadata)
        text = json.dumps([metadata]).encode()
    else:
        text = _core.dicom_xml(file.data, **options).decode()
        text, bulk = split_xml(text)
        text = text.replace(f'uri="at:/{PIXELS.lower()}"', 'uri="pixels"').encode()
    parts = [part(data, "application/octet-stream", uri) for uri, data in bulk]
    shuffled.shuffle(parts)
    for number, frame in enumerate(frames or [], 1):
        parts.append(part(frame, kind, names.format(number)))
    module = sent(house, *related(part(text, form), *parts, of=form), form)
    assert module.stored_uids == [file.sop_instance_uid]
    expected = without_pixels(file.data), frames or native_pixels(file.data)
    assert expected in [
        (without_pixels(found), frames_in(found, len(frames)) if frames else native_pixels(found))
        for found in stored(house, file)
    ]


def native_pixels(data):
    return json.loads(_core.dicom_json(data, bulk_threshold=None)).get(PIXELS)


def frames_in(data, count):
    """The codestreams of a stored file, padded as they are there."""
    pixels = pydicom.dcmread(io.BytesIO(data)).get("PixelData")
    return None if pixels is None else list(generate_frames(pixels, number_of_frames=count))


@EXAMPLES
@given(
    body=st.binary(max_size=3000), kind=st.sampled_from([JSON_TYPE, XML_TYPE, "application/dicom"])
)
def test_noise_in_a_part_is_told_and_stores_nothing(house, body, kind):
    before = house.count()
    answer = house.post(
        *related(part(body, kind), of=kind)[:1],
        "/dicom-web/studies",
        Content_Type=related(of=kind)[1],
    )
    assert answer.status_code in {400, 409}
    assert house.count() == before
