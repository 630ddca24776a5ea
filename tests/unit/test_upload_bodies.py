"""Bodies of `POST /instances` that hold several files, or none that can be stored."""

import gzip
import json
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from support import ct_small, make_instance
from support_uploads import BOUNDARY, House, archive_of, form_of, left_behind

from vna.settings import KIB, MIB


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    one = House(
        tmp_path_factory.mktemp("uploads"),
        max_entries=100,
        max_object_bytes=8 * MIB,
        max_unpacked_bytes=20 * MIB,
        max_ratio=100,
    )
    yield one
    assert one.application.budget.used == 0
    assert not left_behind(one.settings.storage.root)
    one.close()


def stored(house, answer):
    """Return the bytes that the archive has of each file that an answer says to be stored."""
    assert answer.status_code == 200, answer.text
    return [house.file(one["ID"]) for one in answer.json() if one["Status"] == "Success"]


def told(answer):
    """Return name and code of what was not stored."""
    assert answer.status_code == 200, answer.text
    return [(one["Name"], one["Code"]) for one in answer.json() if "Code" in one]


def test_a_zip_archive_is_answered_with_what_is_stored_as_orthanc_does(house):
    first, second = make_instance(), make_instance()
    body = archive_of(("read.me", b"no DICOM"), ("a/", b""), ("a/1.dcm", first), ("2", second))
    answer = house.post(body)
    assert stored(house, answer) == [first, second]
    assert all(one["Path"] == f"/instances/{one['ID']}" for one in answer.json())
    assert answer.headers["vna-not-stored"] == "1"
    again = house.post(body)
    assert [one["Status"] for one in again.json()] == ["AlreadyStored"] * 2


def test_what_an_archive_holds_besides_is_told_when_asked(house):
    nested = archive_of(("1.dcm", make_instance()))
    body = archive_of(
        ("read.me", b"no DICOM"),
        ("empty.dcm", b""),
        ("cut.dcm", ct_small()[:-2000]),
        ("nested.zip", nested),
        ("packed.dcm.gz", gzip.compress(whole := make_instance())),
        ("../../etc/passwd", b"root:x:0:0"),
    )
    answer = house.post(body, "/instances?report")
    assert stored(house, answer) == [whole]
    assert told(answer) == [
        ("read.me", "file.not_dicom"),
        ("empty.dcm", "body.empty"),
        ("cut.dcm", "header.truncated"),
        ("nested.zip", "archive.nested"),
        ("../../etc/passwd", "file.not_dicom"),
    ]


def test_an_archive_of_nothing_stores_nothing(house):
    assert house.post(archive_of()).json() == []
    assert house.post(archive_of(("a.txt", b"x"))).json() == []


def test_a_dicomdir_is_passed_over_and_told_so(house, dicomdir):
    whole = make_instance()
    answer = house.post(archive_of(("DICOMDIR", dicomdir), ("1", whole)), "/instances?report")
    assert stored(house, answer) == [whole]
    assert told(answer) == [("DICOMDIR", "file.dicomdir")]
    assert answer.json()[0]["Status"] == "Skipped"
    alone = house.post(dicomdir)
    assert (alone.status_code, alone.json()["Code"]) == (400, "file.dicomdir")


@pytest.fixture(scope="module")
def dicomdir():
    return Path(get_testdata_file("DICOMDIR")).read_bytes()


@pytest.mark.parametrize("kind", ["form-data", "mixed", "related"])
def test_each_part_of_a_form_is_answered(house, kind):
    files = [make_instance(size=size) for size in (10, 3000, 3 << 20)]
    body, media_type = form_of(
        ("1.dcm", files[0]), ("note.txt", b"no DICOM"), ("2.dcm", files[1]),
        ("3.zip", archive_of(("3.dcm", files[2]))), kind=kind,
    )  # fmt: skip
    answer = house.post(body, Content_Type=media_type)
    assert stored(house, answer) == files
    assert told(answer) == [("note.txt" if kind == "form-data" else "", "file.not_dicom")]


def test_fields_of_a_form_that_are_no_files_are_let_be(house):
    whole = make_instance()
    body, media_type = form_of((None, b"Send"), ("1.dcm", whole), (None, b""))
    answer = house.post(body, Content_Type=media_type)
    assert stored(house, answer) == [whole]
    assert told(answer) == []
    # As `curl -F file=<1.dcm` sends it.
    body, media_type = form_of((None, whole := make_instance()))
    assert stored(house, house.post(body, Content_Type=media_type)) == [whole]


PREAMBLE = bytes(128) + b"DICM"
REFUSED = {
    "nothing": (b"", {}, 400, "body.empty"),
    "nothing-in-gzip": (gzip.compress(b""), {}, 400, "body.empty"),
    "no-gzip": (b"no gzip", {"Content_Encoding": "gzip"}, 400, "gzip.invalid"),
    "gzip-cut": (gzip.compress(ct_small())[:-9], {}, 400, "gzip.truncated"),
    "brotli": (b"x", {"Content_Encoding": "br"}, 415, "media_type.unsupported"),
    "gzip-in-gzip-in-gzip": (
        gzip.compress(gzip.compress(ct_small())), {}, 415, "archive.nested",
    ),
    "no-boundary": (b"x", {"Content_Type": "multipart/form-data"}, 400, "multipart.boundary"),
    "other-boundary": (
        b"--x\r\n\r\n--x--", {"Content_Type": "multipart/mixed; boundary=y"},
        400, "multipart.delimiter",
    ),
    "form-of-text": (
        form_of(("a.txt", b"no DICOM"))[0], {"Content_Type": form_of()[1]}, 400, "file.not_dicom",
    ),
    "form-of-nothing": (
        f"--{BOUNDARY}--".encode(), {"Content_Type": form_of()[1]}, 400, "body.empty",
    ),
    "form-cut": (
        form_of(("a", ct_small()))[0][:-7], {"Content_Type": form_of()[1]},
        400, "multipart.truncated",
    ),
    "zip-cut": (archive_of(("1", ct_small()))[:-1], {}, 400, "zip.truncated"),
    "zip-start": (b"PK\3\4" + bytes(200), {}, 400, "zip.truncated"),
    "gzip-bomb": (gzip.compress(PREAMBLE + bytes(50 * MIB)), {}, 413, "uploads.max_ratio"),
    "too-long": (PREAMBLE + bytes(8 * MIB), {}, 413, "uploads.max_object_bytes"),
    "too-many": (
        archive_of(*[(str(n), b"") for n in range(101)]), {}, 413, "uploads.max_entries",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_body_that_cannot_be_stored_is_refused_by_name(house, case):
    body, headers, status, code = REFUSED[case]
    before = house.count()
    answer = house.post(body, **headers)
    assert (answer.status_code, answer.json()["Code"]) == (status, code), answer.text
    assert house.count() == before


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-length": str(21 * MIB)}, 413, "uploads.max_unpacked_bytes"),
        ({"content-encoding": "zstd"}, 415, "media_type.unsupported"),
        ({"content-type": "multipart/related"}, 400, "multipart.boundary"),
    ],
)
def test_what_headers_show_to_be_in_vain_is_refused_before_the_body(house, headers, status, code):
    assert refused_by_head(house, headers) == (status, code)


def test_a_body_that_the_disk_has_no_room_for_is_refused_before_it_comes(tmp_path):
    house = House(tmp_path, max_unpacked_bytes=1 << 59)
    assert refused_by_head(house, {"content-length": str(1 << 59)}) == (507, "store.full")
    house.close()


def refused_by_head(house, headers):
    """Send a head and no body; returns status and code of the answer."""
    sent = []

    async def receive():
        raise AssertionError("the body was read")

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/instances",
        "query_string": b"",
        "headers": [(b"host", b"localhost")]
        + [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": None,
    }
    house.loop.run_until_complete(house.application(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])["Code"]


def patched(body, signature, offset, change):
    """Return `body` with bytes changed behind the first `signature`."""
    at = body.index(signature) + offset
    return body[:at] + change + body[at + len(change) :]


CENTRAL, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
STORED = archive_of(("1", ct_small()), method=zipfile.ZIP_STORED)
DEFLATED = archive_of(("1", ct_small()))
LYING = {
    "encrypted": (patched(STORED, CENTRAL, 8, b"\1"), "zip.encrypted"),
    "lzma": (archive_of(("1", ct_small()), method=zipfile.ZIP_LZMA), "zip.method"),
    "bzip2": (archive_of(("1", ct_small()), method=zipfile.ZIP_BZIP2), "zip.method"),
    "other-sum": (patched(STORED, CENTRAL, 16, b"\1\2\3\4"), "zip.checksum"),
    "size-too-small": (patched(DEFLATED, CENTRAL, 24, struct.pack("<I", 100)), "zip.invalid"),
    "size-too-large": (patched(DEFLATED, CENTRAL, 24, struct.pack("<I", 1 << 20)), "zip.invalid"),
    "stored-size-differs": (patched(STORED, CENTRAL, 24, struct.pack("<I", 9)), "zip.invalid"),
    "packed-past-the-end": (patched(DEFLATED, CENTRAL, 20, struct.pack("<I", 1 << 20)),
                            "zip.overlap"),
    "no-local-header": (patched(STORED, LOCAL, 0, b"XXXX"), "zip.invalid"),
    "damaged-stream": (patched(DEFLATED, LOCAL, 100, b"\xff" * 40), "zip.invalid"),
}  # fmt: skip


@pytest.mark.parametrize("case", LYING)
def test_an_entry_that_is_not_what_its_directory_says_is_refused_by_name(house, case):
    body, code = LYING[case]
    if not body.startswith(LOCAL):  # else it would be no ZIP archive at all
        body = archive_of(("0", b""), method=zipfile.ZIP_STORED)[:31] + body
    answer = house.post(body, "/instances?report")
    if answer.status_code == 200:
        assert [one for _, one in told(answer)] == [code]
    else:
        assert answer.json()["Code"] == code


def test_entries_that_share_bytes_are_refused(house):
    one = archive_of(("1", ct_small()))
    directory, end = one.index(CENTRAL), one.index(END)
    header = one[directory:end]
    count = 50
    body = one[:directory] + header * count
    body += END + struct.pack("<HHHHIIH", 0, 0, count, count, len(header) * count, directory, 0)
    answer = house.post(body, "/instances?report")
    codes = [code for _, code in told(answer)]
    assert codes == ["zip.overlap"] * (count - 1)


def test_a_zip_bomb_is_refused_by_its_ratio_and_by_what_it_claims(house):
    body = archive_of(("bomb", bytes(7 * MIB)), ("good", good := make_instance()))
    answer = house.post(body, "/instances?report")
    assert told(answer)[0][1] in {"uploads.max_ratio", "file.not_dicom"}
    assert stored(house, answer) == [good]
    large = archive_of(*[(str(n), bytes(7 * MIB)) for n in range(3)])
    answer = house.post(large)
    assert (answer.status_code, answer.json()["Code"]) == (413, "uploads.max_unpacked_bytes")


def test_an_archive_behind_a_program_is_read_where_it_begins(house):
    whole = make_instance()
    for zip64 in (False, True):
        # It has to begin as an archive does to be taken for one.
        body = b"PK\3\4" + bytes(10 * KIB) + archive_of(("1", whole), zip64=zip64)
        assert house.post(body).json()[0]["Status"] in {"Success", "AlreadyStored"}


def test_a_preamble_that_looks_like_an_archive_is_a_preamble(house):
    for start in (b"PK\3\4", b"\x1f\x8b\x08\0"):
        file = start + make_instance()[len(start) :]
        answer = house.post(file)
        assert house.file(answer.json()["ID"]) == file


def test_the_list_of_a_large_archive_is_whole(tmp_path):
    house = House(tmp_path)
    study, series = "2.25.1", "2.25.2"
    files = [make_instance(study, series, number=n) for n in range(1, 900)]
    answer = house.post(archive_of(*[(f"{n}.dcm", data) for n, data in enumerate(files)]))
    assert len(answer.content) > 256 * KIB
    found = answer.json()
    assert len({one["ID"] for one in found}) == len(files)
    assert [house.file(found[at]["ID"]) for at in (0, -1)] == [files[0], files[-1]]
    house.close()


def test_a_deflate_stream_may_end_with_its_last_bit(house):
    # Without the sizes in the local header, as streaming writers leave it.
    whole = make_instance(size=100_000)
    packer = zlib.compressobj(wbits=-15)
    assert packer.compress(whole) + packer.flush()
    body = archive_of(("1", whole), streamed=True)
    assert stored(house, house.post(body)) == [whole]
