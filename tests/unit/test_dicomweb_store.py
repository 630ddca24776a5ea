"""STOW-RS (PS3.18 §10.5): what is stored, what is refused, and what the answer says of it."""

import io
import json

import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.uid import generate_uid
from support import make_instance
from support_store import (
    JSON_TYPE,
    ROOT,
    XML_TYPE,
    Module,
    bodies,
    part,
    related,
    split_json,
    split_xml,
)
from support_uploads import House

from vna import _core
from vna.settings import Dicomweb

STUDIES = f"{ROOT}/studies"
PIXELS = "7FE00010"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    # A bound that some files are above, so that both ways of storing are taken.
    one = House(tmp_path_factory.mktemp("stow"), large=64 << 10, max_object_bytes=4 << 20)
    yield one
    one.close()


def store(house, body, content_type, study=None, **headers):
    path = f"{STUDIES}/{study}" if study else STUDIES
    return house.post(body, path, Content_Type=content_type, **headers)


def read(data):
    return pydicom.dcmread(io.BytesIO(data))


def file_of(house, sop_instance_uid):
    found = house.post(
        json.dumps({"Level": "Instance", "Query": {"SOPInstanceUID": sop_instance_uid}}),
        "/tools/find",
    ).json()
    assert len(found) == 1
    return house.file(found[0])


def metadata_of(file):
    """What a client would send of a file: its data set in DICOM JSON, binary values apart."""
    metadata = json.loads(_core.dicom_json(file, bulk_threshold=None))
    return metadata, split_json(metadata)


def joined(metadata, bulk, kind="application/octet-stream"):
    parts = [part(json.dumps(metadata).encode(), JSON_TYPE)]
    parts += [part(data, kind, uri) for uri, data in bulk]
    return related(*parts, of=JSON_TYPE)


@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize("accept", [JSON_TYPE, XML_TYPE])
def test_files_are_stored_as_they_came_and_found_where_the_answer_says(house, quoted, accept):
    study = generate_uid()
    files = [make_instance(study=study, size=size) for size in (64, 300_000)]
    body, content_type = bodies(*files, quoted=quoted)
    answer = store(house, body, content_type, Accept=accept)
    module = Module(answer)
    assert (module.status, answer.headers["content-type"].partition(";")[0]) == (200, accept)
    assert accept == JSON_TYPE or 'keyword="ReferencedSOPSequence"' in answer.text
    assert module.url == f"http://localhost{STUDIES}/{study}"
    for file, item in zip(files, module.stored, strict=True):
        data_set = read(file)
        uid, series = data_set.SOPInstanceUID, data_set.SeriesInstanceUID
        assert item["00081150"] == [data_set.SOPClassUID]
        assert item["00081155"] == [uid]
        assert item["00081190"] == [f"{module.url}/series/{series}/instances/{uid}"]
        assert file_of(house, uid) == file
    assert (module.failed, module.others, module.warnings) == ({}, [], {})


@pytest.mark.filterwarnings("ignore:.*for VR UI:UserWarning")
@pytest.mark.parametrize("uid", ["A", f"1{'.11111111111' * 9}", "1.2_x-Y"])
def test_what_names_itself_by_what_is_no_uid_is_found_where_the_answer_says(house, uid):
    """What devices send as a UID is stored; PS3.5 §9.1 has 64 digits and periods."""
    item = Module(store(house, make_instance(study=uid), "application/dicom")).stored[0]
    url = item["00081190"][0].removeprefix("http://localhost")
    assert url.startswith(f"{STUDIES}/{uid}/series/")
    assert house.get(f"{url}/metadata").json()[0]["0020000D"]["Value"] == [uid]
    results = house.get(f"{STUDIES}/{uid}/instances").json()
    assert [one["0020000D"]["Value"] for one in results] == [[uid]]


def test_one_file_alone_is_stored_too(house):
    file = make_instance()
    module = Module(store(house, file, "application/dicom"))
    assert (module.status, module.stored_uids) == (200, [read(file).SOPInstanceUID])


def test_what_is_stored_already_is_stored_without_a_warning(house):
    body, content_type = bodies(make_instance())
    for _ in range(2):
        module = Module(store(house, body, content_type))
        assert (module.status, len(module.stored), module.warnings) == (200, 1, {})


def test_other_bytes_of_a_known_uid_are_a_warning_where_the_first_stay(house):
    file = make_instance()
    uid = read(file).SOPInstanceUID
    assert Module(store(house, file, "application/dicom")).status == 200
    other = file[:-1] + bytes([file[-1] ^ 1])
    module = Module(store(house, other, "application/dicom"))
    assert (module.status, module.warnings) == (202, {uid: 0xB000})
    assert file_of(house, uid) == file


def test_instances_of_another_study_than_that_of_the_path_are_refused_by_name(house):
    study = generate_uid()
    files = [make_instance(study=study), make_instance()]
    mine, other = (read(file).SOPInstanceUID for file in files)
    body, content_type = bodies(*files)
    answer = store(house, body, content_type, study)
    module = Module(answer)
    assert (module.status, module.stored_uids, module.failed) == (202, [mine], {other: 0xA901})
    assert "is of study" in answer.headers["warning"]
    module = Module(store(house, *bodies(files[1]), study))
    assert (module.status, module.url, module.failed) == (409, None, {other: 0xA901})


def test_what_is_no_dicom_does_not_keep_what_is_beside_it_from_being_stored(house):
    file, cut = make_instance(), make_instance()
    body, content_type = bodies(b"no dicom", file, cut[:-10])
    module = Module(store(house, body, content_type))
    assert (module.status, module.stored_uids) == (202, [read(file).SOPInstanceUID])
    assert module.others == [0xC000]
    # File Meta Information says whose pixel data was cut off.
    assert module.failed == {read(cut).SOPInstanceUID: 0xC000}


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"x", "text/plain", 415),
        (b"x", "", 415),
        (b"x", 'multipart/related; type="image/png"; boundary=x', 415),
        (b"x", 'multipart/related; type="application/dicom"', 400),
        (b"no boundary", 'multipart/related; type="application/dicom"; boundary=x', 400),
        (b"--x\r\n\r\ncut", 'multipart/related; type="application/dicom"; boundary=x', 400),
        (b"--x--\r\n", 'multipart/related; type="application/dicom"; boundary=x', 400),
        (b"", "application/dicom", 400),
    ],
)
def test_what_is_no_store_request_is_refused(house, body, content_type, status):
    assert store(house, body, content_type).status_code == status


def test_a_body_of_which_nothing_is_understood_says_so(house):
    module = Module(store(house, *bodies(b"no dicom")))
    assert (module.status, module.others, module.stored) == (400, [0xC000], [])


def test_files_over_the_bound_are_too_large(house):
    file = make_instance(size=5 << 20)
    module = Module(store(house, *bodies(file)))
    assert (module.status, module.stored) == (413, [])


def test_what_ends_a_request_does_not_hide_what_was_stored_before(house):
    file = make_instance()
    body, content_type = bodies(file, make_instance())
    module = Module(store(house, body[: len(body) - 200], content_type))
    assert (module.status, module.stored_uids) == (202, [read(file).SOPInstanceUID])
    assert module.others == [0xC000]


def test_an_answer_that_cannot_be_given_is_refused_before_anything_is_stored(house):
    before = house.count()
    answer = store(house, *bodies(make_instance()), Accept="text/html")
    assert (answer.status_code, house.count()) == (406, before)


def test_a_path_without_a_uid_is_refused(house):
    assert store(house, *bodies(make_instance()), study="1.2,x").status_code == 400


@pytest.mark.parametrize("size", [64, 300_000])
@pytest.mark.parametrize("form", [JSON_TYPE, XML_TYPE])
def test_metadata_and_bulk_data_make_the_instance_that_they_came_from(house, form, size):
    file = make_instance(size=size, PatientName="Müller^Jürgen", SpecificCharacterSet="ISO_IR 192")
    if form == JSON_TYPE:
        metadata, bulk = metadata_of(file)
        text = json.dumps([metadata]).encode()
    else:
        text = _core.dicom_xml(file, bulk_threshold=None).decode()
        text, bulk = split_xml(text)
        text = text.encode()
    assert len(bulk) == 1
    parts = [part(text, form), *(part(data, "application/octet-stream", uri) for uri, data in bulk)]
    # The order of the parts does not matter, nor whether what is named is between angles.
    module = Module(store(house, *related(*reversed(parts), of=form)))
    assert (module.status, module.others) == (200, [])
    stored = file_of(house, read(file).SOPInstanceUID)
    assert _core.dicom_json(stored, bulk_threshold=None) == _core.dicom_json(
        file, bulk_threshold=None
    )
    assert read(stored).file_meta.MediaStorageSOPInstanceUID == read(file).SOPInstanceUID


def compressed(frames, **attributes):
    """Return metadata of an image without pixel description, and the URI of its pixel data."""
    data_set = read(make_instance())
    for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelData"):
        delattr(data_set, name)
    data_set.NumberOfFrames = frames
    for name, value in attributes.items():
        setattr(data_set, name, value)
    metadata = data_set.to_json_dict()
    metadata[PIXELS] = {"vr": "OB", "BulkDataURI": "pixels"}
    return data_set.SOPInstanceUID, metadata


JPEG = bytes.fromhex("FFD8FFC0000B080003000501011100FFDA0008010100003F0055FFD9")


@pytest.mark.parametrize("named", ["pixels", "pixels/{}", "pixels/frames/{}"])
def test_frames_become_encapsulated_pixel_data_that_says_what_it_is(house, named):
    uid, metadata = compressed(3)
    frames = [JPEG + bytes([number]) * number for number in range(3)]
    bulk = [(named.format(number), frame) for number, frame in enumerate(frames, 1)]
    module = Module(store(house, *joined(metadata, bulk, "image/jpeg")))
    assert (module.status, module.stored_uids) == (200, [uid])
    found = read(file_of(house, uid))
    assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    assert list(generate_frames(found.PixelData, number_of_frames=3)) == padded
    assert (found.Rows, found.Columns, found.BitsAllocated, found.HighBit) == (3, 5, 8, 7)
    assert found.PhotometricInterpretation == "MONOCHROME2"


def test_a_transfer_syntax_that_is_named_is_taken_at_its_word(house):
    uid, metadata = compressed(1)
    kind = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.5"
    assert Module(store(house, *joined(metadata, [("pixels", b"rle")], kind))).status == 200
    assert read(file_of(house, uid)).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"


def test_a_video_is_one_stream_over_all_frames(house):
    uid, metadata = compressed(500, Rows=16, Columns=16)
    stream = b"\0\0\0\x20ftypisom" + b"v" * 100_001
    assert Module(store(house, *joined(metadata, [("pixels", stream)], "video/mp4"))).status == 200
    found = read(file_of(house, uid))
    assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.102"
    assert next(generate_frames(found.PixelData, number_of_frames=1)) == stream + b"\0"


def test_a_document_is_kept_with_its_media_type_and_length(house):
    data_set = read(make_instance())
    del data_set.PixelData
    metadata = data_set.to_json_dict()
    metadata["00420011"] = {"vr": "OB", "BulkDataURI": "cid:document@here"}
    document = b"%PDF-1.7 and so on"[:-1]
    parts = [
        part(json.dumps([metadata]).encode(), JSON_TYPE),
        part(document, "application/pdf", Content_ID="<document@here>"),
    ]
    assert Module(store(house, *related(*parts, of=JSON_TYPE))).status == 200
    found = read(file_of(house, data_set.SOPInstanceUID))
    assert found.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert found.EncapsulatedDocument[: found.EncapsulatedDocumentLength] == document


def test_what_cannot_be_joined_is_told_by_name_and_the_rest_is_stored(house):
    file = make_instance()
    good, bulk = metadata_of(file)
    missing, without = compressed(1)
    without[PIXELS]["BulkDataURI"] = "nowhere"
    wrong_uid, wrong = compressed(7)
    wrong[PIXELS]["BulkDataURI"] = "frame"
    broken = {"00080018": {"vr": "UI", "Value": ["1.2.3"]}, "00100010": {"vr": "XX"}}
    parts = [
        part(json.dumps([without, broken, good, wrong]).encode(), JSON_TYPE),
        *(part(data, "application/octet-stream", uri) for uri, data in bulk),
        part(JPEG, "image/jpeg", "frame"),
    ]
    module = Module(store(house, *related(*parts, of=JSON_TYPE)))
    assert (module.status, module.stored_uids) == (202, [read(file).SOPInstanceUID])
    assert module.failed == {missing: 0xC001, wrong_uid: 0xA900}
    assert module.others == [0xC000]


def test_bulk_data_that_nothing_refers_to_is_told(house):
    metadata, bulk = metadata_of(make_instance())
    module = Module(store(house, *joined(metadata, [*bulk, ("unknown", b"x")])))
    assert (module.status, len(module.stored), module.others) == (202, 1, [0xC000])


def test_file_meta_information_among_metadata_tells_the_transfer_syntax(house):
    uid, metadata = compressed(1)
    metadata["00020010"] = {"vr": "UI", "Value": ["1.2.840.10008.1.2.5"]}
    assert Module(store(house, *joined(metadata, [("pixels", b"rle")]))).status == 200
    assert read(file_of(house, uid)).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"


def test_an_encapsulated_value_that_is_sent_as_one_part_stays_as_it_is(house):
    uid, metadata = compressed(2)
    items = [b"\xfe\xff\0\xe0" + len(it).to_bytes(4, "little") + it for it in (b"", JPEG, JPEG)]
    value = b"".join(items) + b"\xfe\xff\xdd\xe0\0\0\0\0"
    kind = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.50"
    assert Module(store(house, *joined(metadata, [("pixels", value)], kind))).status == 200
    found = read(file_of(house, uid))
    assert list(generate_frames(found.PixelData, number_of_frames=2)) == [JPEG, JPEG]
    _, metadata = compressed(2)
    cut = Module(store(house, *joined(metadata, [("pixels", value[:-9])], kind)))
    assert (cut.status, list(cut.failed.values())) == (409, [0xA900])


def test_bulk_data_that_many_refer_to_is_bounded(house):
    metadata, bulk = metadata_of(make_instance(size=200_000))
    many = [{**metadata, "00080018": {"vr": "UI", "Value": [f"1.2.{n}"]}} for n in range(5)]
    # One may share what it has with another; a bomb may not.
    parts = [part(json.dumps(many).encode(), JSON_TYPE), part(bulk[0][1], "", bulk[0][0])]
    assert Module(store(house, *related(*parts, of=JSON_TYPE))).status == 200


def test_deletion_is_there_only_where_it_is_switched_on(house, tmp_path):
    file = make_instance()
    data_set = read(file)
    assert Module(store(house, file, "application/dicom")).status == 200
    paths = [f"{STUDIES}/{data_set.StudyInstanceUID}"]
    paths.append(f"{paths[0]}/series/{data_set.SeriesInstanceUID}")
    paths.append(f"{paths[1]}/instances/{data_set.SOPInstanceUID}")
    assert {delete(house, path).status_code for path in paths} <= {404, 405}
    other = House(tmp_path, sections={"dicomweb": Dicomweb(delete=True)})
    try:
        for path in paths:
            assert Module(store(other, file, "application/dicom")).status == 200
            assert delete(other, path).status_code == 204
            assert (delete(other, path).status_code, other.count()) == (410, 0)
        assert delete(other, f"{STUDIES}/1.2,x").status_code == 400
    finally:
        other.close()


def delete(house, path):
    return house.loop.run_until_complete(house.http.delete(path))
