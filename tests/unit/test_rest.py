"""The HTTP way in over an archive in memory: status codes, headers, bodies, limits."""

import asyncio
import gzip
import hashlib
import json

import httpx
import msgspec
import pytest
from fakes import FakeArchive
from hypothesis import given
from hypothesis import strategies as st

from vna.errors import RangeNotSatisfiable, StorageFailed
from vna.rest.app import Application
from vna.rest.requests import parse_range
from vna.rest.routes import table
from vna.services.archive import CHUNK_BYTES, ListOptions, TagsRequest
from vna.services.node import Node
from vna.settings import Http, Limits, Settings, Storage

DATA = bytes(range(256)) * 40
DATA_ID = hashlib.sha1(DATA).hexdigest()
IDS = ListOptions()
WHOLE = ListOptions(expand=True)
SHORT = ListOptions(expand=True, short=True)
SHOWN = ListOptions(
    expand=True,
    full=True,
    requested_tags=["PatientAge", "0008,0061"],
    response_content=["Labels"],
)


@pytest.fixture
def archive():
    return FakeArchive()


@pytest.fixture
def client(archive):
    return connect(archive)


def connect(archive):
    transport = httpx.ASGITransport(Application(Node(archive)))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8042")


async def test_an_upload_comes_back_bit_for_bit(client, archive):
    answer = await client.post("/instances", content=DATA)
    assert (answer.status_code, answer.json()["Status"]) == (200, "Success")
    assert answer.headers["content-type"] == "application/json"
    file = await client.get(f"/instances/{DATA_ID}/file")
    assert file.content == DATA
    assert file.headers["content-type"] == "application/dicom"
    assert file.headers["content-disposition"] == f'filename="{DATA_ID}.dcm"'
    assert archive.callers[0].way_in == "rest"


async def test_a_large_file_is_read_in_pieces_that_the_client_paces(client, archive):
    data = bytes(5_000_000)
    public_id = (await client.post("/instances", content=data)).json()["ID"]
    answer = await client.get(f"/instances/{public_id}/file")
    assert answer.content == data
    reads = archive.opened[-1].reads
    assert [offset for offset, _ in reads] == list(range(0, 5_000_000, CHUNK_BYTES))
    assert max(length for _, length in reads) == CHUNK_BYTES < 1 << 20


@pytest.mark.parametrize(("length", "status"), [("-1", 400), ("9" * 30, 413)])
async def test_a_length_that_is_none_is_named(client, archive, length, status):
    answer = await client.post("/instances", content=b"x", headers={"Content-Length": length})
    assert answer.status_code == status
    assert not archive.files


async def test_the_limit_of_what_is_held_holds_for_the_inflated_size_and_frees_its_budget():
    archive = FakeArchive(Settings(http=Http(max_body_bytes=1_000_000)))
    application = Application(Node(archive))
    bomb = gzip.compress(bytes(50_000_000))
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post(
            "/tools/undelete", content=bomb, headers={"Content-Encoding": "gzip"}
        )
    assert answer.status_code == 413
    assert application.budget.used == 0


async def test_bodies_over_the_common_budget_are_told_to_come_again():
    limits = Limits(http_body_bytes=1 << 20)
    archive = FakeArchive(Settings(http=Http(max_body_bytes=1 << 20), limits=limits))
    application = Application(Node(archive))
    transport = httpx.ASGITransport(application)
    application.budget.used = (1 << 20) - 10
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post("/instances", content=DATA)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        application.budget.used = 0
        assert (await client.post("/instances", content=DATA)).status_code == 200
    assert application.budget.used == 0


UPLOAD = {
    "type": "http",
    "method": "POST",
    "path": "/instances",
    "query_string": b"",
    "headers": [],
    "client": None,
}


async def stopping():
    await asyncio.sleep(600)


async def trickling():
    await asyncio.sleep(0.01)
    return {"type": "http.request", "body": b"x", "more_body": True}


@pytest.mark.parametrize("further", [stopping, trickling])
async def test_a_sender_that_stops_or_trickles_gives_its_bytes_back(further):
    archive = FakeArchive(Settings(http=Http(body_timeout_s=0.1)))
    application = Application(Node(archive))
    sent = []
    messages = [{"type": "http.request", "body": DATA, "more_body": True}]

    async def receive():
        return messages.pop() if messages else await further()

    async def send(message):
        sent.append(message)

    async with asyncio.timeout(60):
        await application(dict(UPLOAD), receive, send)
    assert sent[0]["status"] == 408
    assert application.budget.used == 0


async def test_a_slow_sender_that_makes_progress_is_heard_out():
    archive = FakeArchive(Settings(http=Http(body_timeout_s=1)))
    application = Application(Node(archive))
    sent = []
    pieces = [DATA[at : at + 1024] for at in range(0, len(DATA), 1024)]

    async def receive():
        await asyncio.sleep(0.15)
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    await application(dict(UPLOAD), receive, send)
    assert sent[0]["status"] == 200
    assert list(archive.files) == [DATA_ID]


class SlowArchive(FakeArchive):
    """Stores when told to."""

    def __init__(self):
        super().__init__()
        self.storing = asyncio.Event()
        self.may_end = asyncio.Event()

    async def store(self, data, caller):
        self.storing.set()
        await self.may_end.wait()
        return await super().store(data, caller)


async def test_a_body_counts_while_it_is_stored_also_without_its_request():
    application = Application(Node(archive := SlowArchive()))
    sent = []

    async def receive():
        return {"type": "http.request", "body": DATA, "more_body": False}

    async def send(message):
        sent.append(message)

    request = asyncio.create_task(application(dict(UPLOAD), receive, send))
    await archive.storing.wait()
    assert application.budget.used == len(DATA)
    application.end_requests()
    await request
    assert sent[0]["status"] == 503
    assert application.budget.used == len(DATA)
    archive.may_end.set()
    for _ in range(1000):
        if application.budget.used == 0:
            break
        await asyncio.sleep(0.01)
    assert application.budget.used == 0
    assert list(archive.files) == [DATA_ID]


async def test_errors_are_described_as_clients_of_orthanc_expect(client):
    answer = await client.get("/instances/none")
    assert answer.status_code == 404
    assert answer.json() == {
        "Code": "not_found",
        "Details": "none is none of the instances",
        "HttpError": "Not Found",
        "HttpStatus": 404,
        "Message": "Unknown resource",
        "Method": "GET",
        "OrthancError": "Unknown resource",
        "OrthancStatus": 17,
        "Uri": "/instances/none",
    }


async def test_an_unknown_route_is_404_with_a_body(client):
    answer = await client.get("/nothing/here")
    assert (answer.status_code, answer.json()["Uri"]) == (404, "/nothing/here")


async def test_a_method_that_a_path_lacks_is_405_without_a_body(client):
    answer = await client.put("/instances")
    assert (answer.status_code, answer.content) == (405, b"")
    assert answer.headers["allow"] == "GET,POST"
    assert "content-type" not in answer.headers


async def test_a_defect_is_500_and_tells_nothing_of_the_inside(client):
    answer = await client.get("/statistics")
    assert answer.status_code == 500
    assert "defect" not in answer.text


async def test_every_answer_forbids_guessing_its_type(client):
    await client.post("/instances", content=DATA)
    for path in ("/system", "/nothing", f"/instances/{DATA_ID}/file", "/statistics"):
        assert (await client.get(path)).headers["x-content-type-options"] == "nosniff"
    assert (await client.put("/system")).headers["x-content-type-options"] == "nosniff"


async def test_methods_can_be_spoofed_in_both_ways(client, archive):
    for spoof in (
        lambda: client.get(f"/instances/{DATA_ID}?_method=DELETE"),
        lambda: client.post(f"/instances/{DATA_ID}", headers={"X-HTTP-Method-Override": "DELETE"}),
    ):
        await client.post("/instances", content=DATA)
        assert (await spoof()).json() == {"RemainingAncestor": None}
        assert not archive.files


async def test_pages_of_other_sites_change_nothing(client, archive):
    await client.post("/instances", content=DATA)
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[x"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9"},
    ):
        answer = await client.delete(f"/instances/{DATA_ID}", headers=headers)
        assert answer.status_code == 403
        answer = await client.get(f"/instances/{DATA_ID}?_method=DELETE", headers=headers)
        assert answer.status_code == 403
    assert archive.files
    own = {"Origin": "http://127.0.0.1:8042", "Sec-Fetch-Site": "same-origin"}
    assert (await client.delete(f"/instances/{DATA_ID}", headers=own)).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("evil.example:8042", 403),
        ("localhost:8042", 200),
        ("[::1]:8042", 200),
        ("[::1]", 200),
        ("pacs.example", 200),
        ("PACS.example:80", 200),
    ],
)
async def test_only_names_of_ours_are_answered_on_loopback(host, status):
    client = connect(FakeArchive(Settings(http=Http(allowed_hosts=["pacs.example"]))))
    assert (await client.get("/system", headers={"Host": host})).status_code == status


async def test_head_is_get_without_its_body(client):
    await client.post("/instances", content=DATA)
    for path in ("/system", f"/instances/{DATA_ID}", f"/instances/{DATA_ID}/file"):
        head, get = await client.head(path), await client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(get.content))


async def test_ranges_and_conditions_of_a_file(client):
    await client.post("/instances", content=DATA)
    path = f"/instances/{DATA_ID}/file"
    etag = (await client.get(path)).headers["etag"]

    part = await client.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, DATA[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(DATA)}"

    beyond = await client.get(path, headers={"Range": f"bytes={len(DATA)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{len(DATA)}"
    assert beyond.json()["OrthancStatus"] == 41

    same = await client.get(path, headers={"If-None-Match": f'"x", W/{etag}'})
    assert (same.status_code, same.content) == (304, b"")

    stale = await client.get(path, headers={"Range": "bytes=0-1", "If-Range": '"old"'})
    assert (stale.status_code, stale.content) == (200, DATA)


async def test_if_match_is_answered_412_when_the_file_is_another(client):
    await client.post("/instances", content=DATA)
    path = f"/instances/{DATA_ID}/file"
    etag = (await client.get(path)).headers["etag"]
    for condition in (etag, f'"x", {etag}', "*"):
        assert (await client.get(path, headers={"If-Match": condition})).status_code == 200
    # Weak tags name no bytes: If-Match compares strongly (RFC 9110 §13.1.1).
    for condition in ('"x"', f"W/{etag}"):
        answer = await client.get(path, headers={"If-Match": condition, "If-None-Match": etag})
        assert (answer.status_code, answer.json()["Code"]) == (412, "precondition.failed")


async def test_head_has_no_ranges(client):
    await client.post("/instances", content=DATA)
    for wanted in ("bytes=10-19", f"bytes={len(DATA)}-"):
        head = await client.head(f"/instances/{DATA_ID}/file", headers={"Range": wanted})
        assert head.status_code == 200
        assert head.headers["content-length"] == str(len(DATA))
        assert "content-range" not in head.headers


async def test_ranges_of_numbers_beyond_any_size_are_ignored(client):
    await client.post("/instances", content=DATA)
    many = "9" * 4301  # one more digit than int() takes
    for wanted in (f"bytes=0-{many}", f"bytes={many}-", f"bytes=-{many}"):
        answer = await client.get(f"/instances/{DATA_ID}/file", headers={"Range": wanted})
        assert (answer.status_code, answer.content) == (200, DATA)


async def test_an_error_within_an_answer_breaks_it_off(archive):
    application = Application(Node(archive))
    await archive.store(bytes(5_000_000), None)
    (public_id,) = archive.files
    sent = []

    async def send(message):
        sent.append(message["type"])
        if len(sent) == 2:
            archive.opened[-1].read = fails

    async def fails(offset, length):
        raise StorageFailed("the disk is gone")

    scope = {**UPLOAD, "method": "GET", "path": f"/instances/{public_id}/file"}
    with pytest.raises(StorageFailed):
        await application(scope, stopping, send)
    assert sent.count("http.response.start") == 1


async def test_a_file_name_cannot_leave_its_header(client):
    await client.post("/instances", content=DATA)
    path = f"/instances/{DATA_ID}/file"
    answer = await client.get(path, params={"filename": 'a"\r\nSet-Cookie: b\\\u00e9.dcm'})
    assert (
        answer.headers["content-disposition"]
        == "filename=\"aSet-Cookie: b.dcm\"; filename*=UTF-8''a%22Set-Cookie%3A%20b%5C%C3%A9.dcm"
    )
    assert "set-cookie" not in answer.headers


async def test_a_form_of_a_file_that_we_do_not_give_is_refused_not_ignored(client):
    await client.post("/instances", content=DATA)
    path = f"/instances/{DATA_ID}/file"
    answer = await client.get(path, params={"transcode": "jpeg"})
    assert (answer.status_code, answer.json()["Details"]) == (
        400,
        "parameter transcode is 'jpeg'; it takes a UID",
    )


async def test_a_file_in_another_transfer_syntax_has_a_weak_tag_and_no_ranges(client):
    await client.post("/instances", content=DATA)
    path = f"/instances/{DATA_ID}/file"
    stored = await client.get(path, params={"transcode": "1.2.840.10008.1.2.1"})
    assert stored.content == DATA
    assert stored.headers["accept-ranges"] == "bytes"

    asked = {"transcode": "1.2.840.10008.1.2"}
    answer = await client.get(path, params=asked, headers={"Range": "bytes=0-3"})
    assert (answer.status_code, answer.content) == (200, b"1.2.840.10008.1.2" + DATA)
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["accept-ranges"] == "none"
    etag = answer.headers["etag"]
    assert etag.startswith('W/"')
    assert etag != stored.headers["etag"]
    again = await client.get(path, params=asked, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    # A weak tag does not name the same bytes, so it is no ground for If-Match (RFC 9110 §13.1.1).
    other = await client.get(path, params=asked, headers={"If-Match": etag})
    assert other.status_code == 412
    head = await client.head(path, params=asked)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(answer.content)))


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/patients", ("resources", "patients", 0, 0, IDS)),
        ("/studies?expand", ("resources", "studies", 0, 0, WHOLE)),
        ("/series?expand=false", ("resources", "series", 0, 0, IDS)),
        ("/instances?since=2&limit=5", ("resources", "instances", 2, 5, IDS)),
        (
            "/studies?expand&full&requested-tags=PatientAge;0008,0061&response-content=Labels",
            ("resources", "studies", 0, 0, SHOWN),
        ),
        ("/patients/P/instances", ("related", "patients", "P", "instances", WHOLE)),
        ("/studies/S/series?expand=0", ("related", "studies", "S", "series", IDS)),
        ("/instances/I/patient", ("related", "instances", "I", "patients", WHOLE)),
        ("/series/S/study?short", ("related", "series", "S", "studies", SHORT)),
        (
            "/studies/S?requestedTags=PatientAge",
            (
                "related",
                "studies",
                "S",
                "studies",
                ListOptions(expand=True, requested_tags=["PatientAge"]),
            ),
        ),
        ("/studies/S/statistics", ("resource_statistics", "studies", "S")),
        ("/series/S/metadata", ("metadata", "series", "S", False, False)),
        ("/series/S/metadata?expand&numeric", ("metadata", "series", "S", True, True)),
        ("/changes", ("changes", None, None, 100, [], False)),
        (
            "/changes?since=4&to=9&limit=2&type=NewStudy;NewSeries&last",
            ("changes", 4, 9, 2, ["NewStudy", "NewSeries"], True),
        ),
    ],
)
async def test_parameters_reach_the_archive(client, archive, path, asked):
    assert (await client.get(path)).status_code == 200
    assert archive.asked == [asked]


@pytest.mark.parametrize(
    ("path", "orthanc_error"),
    [
        ("/instances?since=1", 8),
        ("/instances?limit=1", 8),
        ("/instances?since=x&limit=1", 5),
        ("/instances?since=-1&limit=1", 5),
        ("/instances?expand=perhaps", 3),
        ("/changes?limit=%C2%B2", 5),
        ("/changes?since=" + "9" * 30, 5),
    ],
)
async def test_parameters_that_cannot_be_read_are_400(client, path, orthanc_error):
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["OrthancStatus"]) == (400, orthanc_error)


async def test_health_tells_life_from_readiness(client, archive):
    archive.is_ready = False
    assert (await client.get("/health/live")).status_code == 200
    assert (await client.get("/health/ready")).status_code == 503
    archive.is_ready = True
    assert (await client.get("/health/ready")).status_code == 200


async def test_metrics_are_those_of_the_core_and_of_this_way_in(tmp_path):
    node = Node(FakeArchive(Settings(storage=Storage(root=str(tmp_path)))))
    await node.start()
    transport = httpx.ASGITransport(Application(node))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        text = (await client.get("/metrics")).text
    await node.stop()
    assert "vna_instances 0\n" in text
    assert 'vna_jobs{state="Running"} 0\n' in text
    assert "vna_http_body_limit_bytes 1073741824\n" in text


async def test_system_tells_what_clients_decide_by(client, archive):
    found = (await client.get("/system")).json()
    assert found["ApiVersion"] == 30
    assert found["DicomAet"] == "VNA"
    assert found["OverwriteInstances"] is False
    dicom = msgspec.structs.replace(archive.settings.dicom, aet="OTHER")
    archive.settings = msgspec.structs.replace(archive.settings, dicom=dicom)
    assert (await client.get("/system")).json()["DicomAet"] == "OTHER"


def test_no_operation_is_in_the_table_twice():
    operations = [(entry.method, entry.path) for entry in table()]
    assert len(operations) == len(set(operations)) > 30


@given(st.text(max_size=12), st.integers(0, 50))
def test_any_range_header_is_a_range_of_the_bytes_or_none(text, size):
    try:
        found = parse_range(f"bytes={text}", size)
    except RangeNotSatisfiable:
        return
    if found is not None:
        first, end = found
        assert 0 <= first < end <= size


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 50))
def test_ranges_mean_what_the_rfc_says(first, last, size):
    whole = bytes(range(size))
    if first < size and first <= last:
        start, end = parse_range(f"bytes={first}-{last}", size)
        assert whole[start:end] == whole[first : last + 1]
    if last:
        start, end = parse_range(f"bytes=-{last}", size)
        assert whole[start:end] == whole[-last:]


def test_errors_are_json_that_any_parser_reads():
    from vna.errors import BadRequest
    from vna.rest.errors import error_response

    body = error_response(BadRequest('quote " and \u00e9'), "GET", "/\ud7ff").body
    assert json.loads(body)["Details"] == 'quote " and \u00e9'


FULL = TagsRequest()


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/instances/I/tags", ("tags", "instances", "I", FULL)),
        ("/instances/I/tags?short", ("tags", "instances", "I", TagsRequest(form="short"))),
        (
            "/instances/I/tags?simplify&short&whole",
            ("tags", "instances", "I", TagsRequest(form="simplified", whole=True)),
        ),
        (
            "/instances/I/simplified-tags?ignore-length=PatientName,0010,0020&ignore-length=0028-0010",
            (
                "tags",
                "instances",
                "I",
                TagsRequest(form="simplified", ignore_length=(0x100010, 0x100020, 0x280010)),
            ),
        ),
        ("/instances/I/header", ("tags", "instances", "I", TagsRequest(of="Header"))),
        ("/patients/P/module", ("tags", "patients", "P", TagsRequest(of="Module"))),
        (
            "/studies/S/module-patient?short",
            ("tags", "studies", "S", TagsRequest(of="PatientModule", form="short")),
        ),
        ("/series/S/shared-tags", ("tags", "series", "S", TagsRequest(of="Shared"))),
    ],
)
async def test_what_is_asked_of_tags_reaches_the_archive(client, archive, path, asked):
    assert (await client.get(path)).status_code == 200
    assert archive.asked == [asked]


@pytest.mark.parametrize("path", ["/instances/I/module-patient", "/instances/I/shared-tags"])
async def test_forms_that_a_level_has_not_are_unknown_routes(client, path):
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["Code"]) == (404, "route.unknown")


async def test_models_have_uris_that_are_right_behind_any_proxy(client, archive):
    for path, uri in (("file", "bulk"), ("file/", "../bulk")):
        answer = await client.get(
            f"/instances/I/{path}", headers={"Accept": "application/dicom+xml"}
        )
        assert answer.headers["content-type"] == "application/dicom+xml"
        assert archive.asked.pop() == ("model", "I", "xml", uri)
