"""Searching and showing resources over HTTP, on a real archive of a few files."""

import asyncio
import io
import json
import re
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.data import get_testdata_file

from vna.rest.app import Application
from vna.rest.find import MAX_REQUEST_BYTES
from vna.services.archive import Archive
from vna.services.caller import Caller
from vna.services.node import Node
from vna.settings import Settings, Storage

FILES = ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm"]
CT_ID = "1CT1"


@pytest.fixture(scope="module")
def data():
    found = [Path(get_testdata_file(name)).read_bytes() for name in FILES]
    second = pydicom.dcmread(io.BytesIO(found[0]))
    second.SOPInstanceUID += ".2"
    second.file_meta.MediaStorageSOPInstanceUID = second.SOPInstanceUID
    second.InstanceNumber = "2"
    second.SliceThickness = "9"
    buffer = io.BytesIO()
    second.save_as(buffer)
    return [*found, buffer.getvalue()]


@pytest.fixture
async def client(tmp_path, data):
    archive = Archive(Settings(storage=Storage(root=str(tmp_path / "archive"))))
    archive.attach()
    for file in data:
        await archive.store(file, Caller(way_in="rest", address="127.0.0.1"))
    transport = httpx.ASGITransport(Application(Node(archive)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    await archive.stop()


async def find(client, **request):
    answer = await client.post("/tools/find", json=request)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def get(client, path):
    answer = await client.get(path)
    assert answer.status_code == 200, (path, answer.text)
    return answer.json()


async def test_a_search_gives_ids_or_whole_objects_or_their_parts(client):
    ids = await find(client, Level="Study", Query={"PatientID": "1ct1"})
    assert len(ids) == 1, "without case"
    assert not await find(client, Level="Study", Query={"PatientID": "1ct1"}, CaseSensitive=True)
    [whole] = await find(client, Level="Study", Query={"PatientID": CT_ID}, Expand=True)
    assert whole == await get(client, f"/studies/{ids[0]}")
    [part] = await find(
        client, Level="Study", Query={"PatientID": CT_ID}, ResponseContent=["Children", "Labels"]
    )
    assert set(part) == {"ID", "Type", "Series", "Labels"}


async def test_keys_that_the_index_does_not_keep_are_read_from_headers(client):
    # (0009,1001) is private, (0018,0050) of an instance, (0010,1010) of a study.
    for key, level, count in [
        ({"SliceThickness": "5"}, "Instance", 1),
        ({"SliceThickness": "9.0", "Modality": "ct"}, "Instance", 1),
        ({"SliceThickness": "9"}, "Patient", 1),
        ({"SliceThickness": "5", "InstanceNumber": "2"}, "Study", 0),
        ({"PatientAge": "000Y"}, "Study", 1),
        ({"0009,1001": "GE_GENESIS_FF"}, "Series", 1),
        ({"0009,1001": "ge_*"}, "Instance", 2),
        ({"PatientAge": "999Y"}, "Study", 0),
        ({"ImageType": "primary"}, "Instance", 2),
    ]:
        request = {"Level": level, "Query": key}
        assert len(await find(client, **request)) == count, request
        counted = await client.post("/tools/count-resources", json=request)
        assert counted.json() == {"Count": count}, request


async def test_a_page_is_cut_after_all_keys_were_compared(client):
    request = {"Level": "Instance", "Query": {"ImageType": "PRIMARY"}}
    everything = await find(client, **request)
    pages = [await find(client, **request, Since=since, Limit=1) for since in range(3)]
    assert [one for page in pages for one in page] == everything
    assert len(everything) == 2


async def test_requested_tags_come_from_the_index_or_from_a_header(client):
    tags = ["PatientAge", "NumberOfStudyRelatedInstances", "ModalitiesInStudy", "0009,1001"]
    [shown] = await find(
        client, Level="Study", Query={"PatientID": CT_ID}, Expand=True, RequestedTags=tags
    )
    assert shown["RequestedTags"] == {
        "PatientAge": "000Y",
        "NumberOfStudyRelatedInstances": "2",
        "ModalitiesInStudy": "CT",
        "0009,1001": "GE_GENESIS_FF",
    }
    query = "requested-tags=PatientAge;StudyDate;SliceThickness;RadiationSetting"
    one = await get(client, f"/studies/{shown['ID']}?{query}")
    assert one["RequestedTags"] == {
        "PatientAge": "000Y",
        "StudyDate": "20040119",
        "SliceThickness": "5.000000",
        "RadiationSetting": None,
    }
    listed = await get(client, f"/studies?expand&full&{query}")
    assert {study["ID"] for study in listed} >= {shown["ID"]}
    [same] = [study for study in listed if study["ID"] == shown["ID"]]
    assert same["RequestedTags"]["0010,1010"] == {
        "Name": "PatientAge",
        "Type": "String",
        "Value": "000Y",
    }
    [series] = await get(client, f"/studies/{shown['ID']}/series?requestedTags=SliceThickness")
    assert series["RequestedTags"] == {"SliceThickness": "5.000000"}
    study = await get(client, f"/series/{series['ID']}/study?short&requested-tags=PatientAge")
    assert study["RequestedTags"] == {"0010,1010": "000Y"}
    [plan] = await find(
        client,
        Level="Instance",
        Query={"Modality": "RTPLAN"},
        ResponseContent=[],
        RequestedTags=["DoseReferenceSequence"],
    )
    sequence = plan["RequestedTags"]["DoseReferenceSequence"]
    assert sequence[0]["DoseReferenceType"] == "ORGAN_AT_RISK"


async def test_metadata_statistics_and_identifiers(client):
    [instance] = await find(client, Level="Instance", Query={"SliceThickness": "5"})
    one = f"/instances/{instance}"
    names = await get(client, f"{one}/metadata")
    values = await get(client, f"{one}/metadata?expand")
    assert names[:2] == ["IndexInSeries", "ReceptionDate"]
    assert set(names) == set(values)
    assert (values["Origin"], values["IndexInSeries"]) == ("RestApi", "1")
    assert (await get(client, f"{one}/metadata?expand&numeric"))["8"] == "RestApi"
    assert 8 in await get(client, f"{one}/metadata?numeric")
    for name in ("TransferSyntax", "9"):
        answer = await client.get(f"{one}/metadata/{name}")
        assert (answer.text, answer.headers["content-type"].split(";")[0]) == (
            "1.2.840.10008.1.2.1",
            "text/plain",
        )
    answer = await client.get(f"{one}/metadata/Foo")
    assert (answer.status_code, answer.json()["OrthancStatus"]) == (404, 7)
    [study] = await find(client, Level="Study", Query={"PatientID": CT_ID})
    sizes = await get(client, f"/studies/{study}/statistics")
    assert (sizes["CountSeries"], sizes["CountInstances"]) == (1, 2)
    looked = await client.post("/tools/lookup", content=f" {CT_ID} ")
    [patient] = looked.json()
    assert (patient["Type"], patient["Path"]) == ("Patient", f"/patients/{patient['ID']}")


@pytest.mark.parametrize(
    ("request_", "status", "number"),
    [
        ({"Query": {}}, 400, 8),
        ({"Level": "Study"}, 400, 8),
        ({"Level": "Foo", "Query": {}}, 400, 3),
        ({"Level": "Study", "Query": {"Foo": ""}}, 400, 27),
        ({"Level": "Study", "Query": {}, "Limit": -1}, 400, 3),
        ({"Level": "Study", "Query": {}, "Lables": []}, 400, 8),
        ({"Level": "Study", "Query": {}, "MetadataQuery": {"Foo": ""}}, 404, 7),
        ({"Level": "Study", "Query": {}, "ParentSeries": "x"}, 200, None),
    ],
)
async def test_what_is_wrong_with_a_search_is_told_by_number(client, request_, status, number):
    answer = await client.post("/tools/find", json=request_)
    assert answer.status_code == status, answer.text
    if number is not None:
        assert answer.json()["OrthancStatus"] == number
        assert answer.json()["Details"]


@pytest.mark.parametrize(
    "query",
    [
        {"StudyDescription": "*a" * 5_000 + "*"},
        {"StudyDescription": "?" * 100_000},
        {"PatientName": "\\".join(["*x*"] * 1_000)},
        {"StudyInstanceUID": "\\".join(f"1.2.{i}" for i in range(20_000))},
        {"PatientID": "\\".join(f"P{i}" for i in range(5_000))},
        {"StudyDate": "-" * 10_000},
        {"SliceThickness": "*1" * 5_000},
        {"StudyTime": "\\".join(["1-"] * 900)},
        {"PatientName": "^=" * 10_000},
    ],
)
@pytest.mark.parametrize("level", ["Patient", "Instance"])
async def test_hostile_patterns_are_answered_and_leave_the_server_at_work(client, level, query):
    async with asyncio.timeout(60):
        answer = await client.post("/tools/find", json={"Level": level, "Query": query})
        assert answer.status_code in {200, 400}, answer.text
        assert len(await find(client, Level="Instance", Query={})) == 4


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[" * 1_000_000, 400),
        (b'{"Level":' * 100_000, 400),
        (b'{"Level": "Study", "Query": {}' + b" " * MAX_REQUEST_BYTES + b"}", 413),
        (
            json.dumps(
                {"Level": "Study", "Query": {f"0009,{i:04x}": "x" for i in range(300)}}
            ).encode(),
            400,
        ),
        (b'{"Level": "Study", "Query": {"PatientName": "\xff"}}', 400),
        (
            json.dumps({"Level": "Study", "Query": {"PatientName": "*a*\\" * 2_000}}).encode(),
            400,
        ),
    ],
)
async def test_hostile_bodies_are_refused(client, body, status):
    for route in ("/tools/find", "/tools/count-resources"):
        answer = await client.post(route, content=body)
        assert answer.status_code == status, answer.text


async def test_tools_tell_the_time_and_make_identifiers(client):
    for route in ("/tools/now", "/tools/now-local"):
        assert re.fullmatch(r"\d{8}T\d{6}", (await client.get(route)).text)
    made = {(await client.get("/tools/generate-uid?level=study")).text for _ in range(2)}
    assert len(made) == 2
    assert all(re.fullmatch(r"2\.25\.\d{1,39}", uid) for uid in made)
    assert (await client.get("/tools/generate-uid?level=patient")).status_code == 200
    assert (await client.get("/tools/generate-uid")).json()["OrthancStatus"] == 3
    assert (await get(client, "/system"))["Capabilities"]["HasExtendedFind"] is True
