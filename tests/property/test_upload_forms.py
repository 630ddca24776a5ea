"""A file is stored bit for bit the same, whatever form it comes in."""

import gzip
import json
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_multipart import MultipartParser
from support import make_instance
from support_uploads import House, archive_of, form_of

from vna.services.caller import Caller

EXAMPLES = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SIZES = st.one_of(st.integers(1, 2000), st.sampled_from([70_000, 300_000, 1_100_000]))


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    # A bound that some of the files are above, so that both ways of storing are taken.
    one = House(tmp_path_factory.mktemp("forms"), large=64 << 10)
    yield one
    one.close()


def zipped(**options):
    def send(house, data, _):
        return house.post(archive_of(("a", b"x"), ("1.dcm", data), **options)).json()[0]

    return send


def in_form(kind):
    def send(house, data, _):
        body, media_type = form_of(("1.dcm", data), ("2.txt", b"\r\n--"), kind=kind)
        return house.post(body, Content_Type=media_type).json()[0]

    return send


def imported(name, packed):
    def send(house, data, folder):
        path = folder / name
        path.write_bytes(packed(data))
        caller = Caller(way_in="cli")
        paths = [bytes(path)]
        answer = json_of(house, house.archive.import_files(paths, caller))[0]
        if answer["Status"] == "Archive":
            assert answer["Entries"] == 1
            entries = house.archive.import_entries(bytes(path), 0, 1, caller)
            answer = json_of(house, entries)[0]
        return answer

    return send


def json_of(house, call):
    return json.loads(house.loop.run_until_complete(call))


FORMS = {
    "plain": lambda house, data, _: house.post(data).json(),
    "gzip-encoding": lambda house, data, _: house.post(
        gzip.compress(data), Content_Encoding="gzip"
    ).json(),
    "gzip-file": lambda house, data, _: house.post(gzip.compress(data)).json(),
    "gzip-twice": lambda house, data, _: house.post(
        gzip.compress(gzip.compress(data)), Content_Encoding="gzip"
    ).json(),
    "zip-stored": zipped(method=zipfile.ZIP_STORED),
    "zip-deflated": zipped(),
    "zip64": zipped(zip64=True),
    "zip-streamed": zipped(streamed=True),
    "zip64-streamed": zipped(streamed=True, zip64=True),
    "form": in_form("form-data"),
    "related": in_form("related"),
    "import": imported("1.dcm", bytes),
    "import-gzip": imported("1.dcm.gz", gzip.compress),
    "import-zip": imported("1.zip", lambda data: archive_of(("1.dcm", data))),
}


@EXAMPLES
@given(size=SIZES, data=st.data())
def test_every_form_gives_the_same_stored_bytes(house, tmp_path_factory, size, data):
    forms = data.draw(st.lists(st.sampled_from(sorted(FORMS)), min_size=1, max_size=3))
    file = make_instance(size=2 * size)
    folder = tmp_path_factory.mktemp("import")
    for number, form in enumerate(forms):
        answer = FORMS[form](house, file, folder)
        assert answer["Status"] == ("AlreadyStored" if number else "Success"), (form, answer)
        assert house.file(answer["ID"]) == file, form


@pytest.mark.parametrize("form", FORMS)
def test_each_form_stores_a_small_and_a_large_file(house, tmp_path, form):
    for size in (64, 3 << 20):
        file = make_instance(size=size)
        answer = FORMS[form](house, file, tmp_path)
        assert answer["Status"] == "Success", answer
        assert house.file(answer["ID"]) == file


@EXAMPLES
@given(
    parts=st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from([b"\r\n", b"\r\n--", b"\r\n--a boundary of our", b"--", b"\r"]),
        ),
        min_size=1,
        max_size=5,
    ),
    chunk=st.integers(1, 300),
)
def test_forms_are_split_as_python_multipart_splits_them(house, parts, chunk):
    # Each part as the pixels of an instance, so that what was cut out of the form can be fetched.
    files = [make_instance(PixelData=part + bytes(len(part) % 2)) for part in parts]
    body, media_type = form_of(*[(f"{number}", file) for number, file in enumerate(files)])
    expected = []
    boundary = media_type.partition('"')[2].rstrip('"').encode()
    callbacks = {
        "on_part_begin": lambda: expected.append(b""),
        "on_part_data": lambda data, start, end: expected.append(expected.pop() + data[start:end]),
    }
    MultipartParser(boundary, callbacks).write(body)

    async def pieces():
        for at in range(0, len(body), chunk):
            yield body[at : at + chunk]

    answer = house.post(pieces(), Content_Type=media_type)
    got = [house.file(one["ID"]) for one in answer.json()]
    assert got == expected == files


ENTRIES = [make_instance(size=300), make_instance(size=5000)]
ARCHIVES = [
    archive_of(("1.dcm", ENTRIES[0]), ("2.dcm", ENTRIES[1]), **options)
    for options in ({}, {"method": zipfile.ZIP_STORED}, {"streamed": True, "zip64": True})
]
BODIES = [(body, {}) for body in ARCHIVES]
BODIES += [(gzip.compress(ARCHIVES[1]), {})]
BODIES += [
    (form_of(("1.dcm", ENTRIES[0]), ("2.zip", ARCHIVES[0]))[0], {"Content_Type": form_of()[1]})
]


@EXAMPLES
@given(body=st.sampled_from(BODIES), data=st.data())
def test_a_mutated_body_is_refused_by_name_and_nothing_of_it_is_stored_changed(house, body, data):
    content, headers = body
    mutated = bytearray(content)
    # Most of the structure is at the end of an archive, so there is where most is changed.
    tail = len(mutated) - 400
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(0, len(mutated) - 1), st.integers(tail, tail + 399)))
        change = data.draw(st.one_of(st.binary(max_size=9), st.just(b"\xff" * 4)))
        mutated[at : at + data.draw(st.integers(0, 4))] = change
    answer = house.post(bytes(mutated), "/instances?report", **headers)
    told = answer.json()
    assert answer.status_code in {200, 400, 413, 415}, told
    if answer.status_code != 200:
        assert told["Code"]
        assert told["Details"]
        return
    for one in told if isinstance(told, list) else [told]:
        if one["Status"] in {"Success", "AlreadyStored"} and not headers:
            assert house.file(one["ID"]) in ENTRIES, one
        else:
            assert one["Status"] in {"Success", "AlreadyStored", "Failure", "Skipped"}
