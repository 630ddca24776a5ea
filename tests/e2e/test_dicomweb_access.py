"""Who may do what over DICOMweb, what tenants see of each other, and what is refused, and how."""

import http.client
import io
import json
import signal
import socket
import time
from urllib.parse import urlsplit

import httpx
import pydicom
import pytest
from support import make_instance
from support_store import JSON_TYPE, Module, bodies, part, related
from support_users import PASSWORD, add_users

from vna.services.running import basic_authorization

WEB = "/dicom-web"
MIB = 1 << 20
MAX_BYTES = 2 * MIB
ROLES = ("reader", "writer", "chief")
# The same identifiers for both tenants, and other bytes.
STUDY, SERIES, INSTANCE = (f"1.2.826.0.1.3680043.8.498.77{tail}" for tail in ("", ".1", ".1.1"))
PATH = f"{WEB}/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}"
URI = f"/wado?requestType=WADO&studyUID={STUDY}&seriesUID={SERIES}&objectUID={INSTANCE}"
STORED = {"accept": "application/dicom; transfer-syntax=*"}
READS = (
    f"{WEB}/studies",
    f"{WEB}/studies?PatientID=P1",  # what the core answers once it knows who asks
    f"{WEB}/series?limit=1",
    f"{WEB}/instances",
    f"{WEB}/studies/{STUDY}/series",
    f"{WEB}/studies/{STUDY}/metadata",
    f"{WEB}/studies/{STUDY}",
    PATH,
    f"{PATH}/metadata",
    f"{PATH}/frames/1",
    f"{PATH}/bulkdata/7fe00010",
    f"{PATH}/pixeldata",
    f"{PATH}/rendered",
    f"{PATH}/thumbnail",
    URI,
    f"{WEB}/servers",
)
WRITES = (
    ("POST", f"{WEB}/studies"),
    ("POST", f"{WEB}/studies/{STUDY}"),
    ("DELETE", PATH),
    ("DELETE", f"{WEB}/studies/{STUDY}/series/{SERIES}"),
    ("DELETE", f"{WEB}/studies/{STUDY}"),
    ("POST", f"{WEB}/servers/there/stow"),
    ("POST", f"{WEB}/servers/there/retrieve"),
    ("POST", f"{WEB}/servers/there/get"),
    ("POST", f"{WEB}/servers/there/qido"),
    ("POST", f"{WEB}/servers/there/wado"),
    ("POST", f"{WEB}/servers/there/delete"),
)
ADMINISTRATION = (("PUT", f"{WEB}/servers/there"), ("DELETE", f"{WEB}/servers/there"))


def instance(tenant, **options):
    return make_instance(
        STUDY,
        SERIES,
        **{"SOPInstanceUID": INSTANCE, "PatientName": f"Of^{tenant}", "size": 128, **options},
    )


@pytest.fixture(scope="module")
def server(start_server, tmp_path_factory):
    root = tmp_path_factory.mktemp("access") / "data"
    root.mkdir()
    add_users(
        root,
        reader=("read", 1),
        writer=("write", 1),
        chief=("admin", 1),
        stranger=("admin", 2),
    )
    server = start_server(
        "--set=dicomweb.delete=true",
        f"--set=uploads.max_unpacked_bytes={MAX_BYTES}",
        "--set=dicomweb.max_results=3",
        root=root,
    )
    clients = {}
    for name in (*ROLES, "stranger"):
        clients[name] = httpx.Client(base_url=server.url, auth=(name, PASSWORD), timeout=60)
    server.clients = clients
    yield server
    for client in clients.values():
        client.close()


def store(client, *files, to=f"{WEB}/studies"):
    body, content_type = bodies(*files)
    return client.post(to, content=body, headers={"content-type": content_type})


@pytest.fixture
def filled(server):
    """Give the tenants the same identifiers; each has what it had in the last test, or anew."""
    files = {}
    for name, tenant in (("writer", 1), ("stranger", 2)):
        client = server.clients[name]
        client.delete(f"{WEB}/studies/{STUDY}")
        files[tenant] = instance(tenant)
        assert store(client, files[tenant]).status_code == 200
    server.files_of = files
    return server


def name_of(answer):
    return pydicom.dcmread(io.BytesIO(answer.content)).PatientName


def test_nobody_gets_anything_without_saying_who_he_is(filled):
    requests = [("GET", path) for path in READS] + [("HEAD", PATH), ("OPTIONS", WEB)]
    requests += [("OPTIONS", f"{WEB}/studies"), *WRITES, *ADMINISTRATION]
    requests += [
        ("GET", f"{WEB}/nothing"),
        ("GET", f"{PATH}9/metadata"),
        ("GET", f"{WEB}/studies/x"),
    ]
    for auth in (None, ("chief", "wrong password"), ("nobody", PASSWORD)):
        # A wrong password takes as long as a right one, so it is tried once.
        for method, path in requests if auth is None else requests[:1]:
            answer = filled.http.request(method, path, auth=auth)
            assert answer.status_code == 401, (auth, method, path)
            assert answer.headers["www-authenticate"] == 'Basic realm="VNA", charset="UTF-8"'
            if method != "HEAD":
                assert STUDY not in answer.text.replace(path, "")
    body, content_type = bodies(instance(1, SOPInstanceUID=f"{INSTANCE}.9"))
    refused = filled.http.post(
        f"{WEB}/studies", content=body, headers={"content-type": content_type}
    )
    assert refused.status_code == 401
    assert len(filled.clients["chief"].get(f"{WEB}/instances").json()) == 1


def test_who_may_read_reads_and_changes_nothing(filled):
    reader = filled.clients["reader"]
    for path in READS:
        for _ in range(2):  # by the application, then perhaps by the core
            answer = reader.get(path)
            assert answer.status_code == 200, (path, answer.text)
    assert reader.options(f"{WEB}/studies").status_code == 200
    assert reader.head(PATH, headers=STORED).status_code == 200
    for method, path in (*WRITES, *ADMINISTRATION):
        answer = reader.request(method, path)
        assert (answer.status_code, answer.json()["Code"]) == (403, "not_allowed"), (method, path)
    # The method that is meant counts.
    meant = reader.post(PATH, headers={"x-http-method-override": "DELETE"})
    assert meant.status_code == reader.get(f"{PATH}?_method=DELETE").status_code == 403
    assert store(reader, instance(1, SOPInstanceUID=f"{INSTANCE}.9")).status_code == 403
    assert len(reader.get(f"{WEB}/instances").json()) == 1


def test_who_may_write_stores_and_deletes_and_does_not_administer(filled):
    writer, chief = filled.clients["writer"], filled.clients["chief"]
    for path in READS:
        assert writer.get(path).status_code == 200, path
    for method, path in ADMINISTRATION:
        answer = writer.request(method, path, json={"Url": "http://127.0.0.1:1/"})
        assert answer.status_code == 403, (method, path)
    known = chief.put(f"{WEB}/servers/there", json={"Url": "http://127.0.0.1:1/"})
    assert known.status_code == 200
    assert writer.get(f"{WEB}/servers").json() == ["there"]
    assert writer.delete(PATH).status_code == 204
    assert writer.get(PATH, headers=STORED).status_code == 410
    assert store(writer, filled.files_of[1]).status_code == 200
    assert chief.delete(f"{WEB}/servers/there").status_code == 200
    assert chief.delete(PATH).status_code == 204
    assert store(chief, filled.files_of[1]).status_code == 200


def test_a_tenant_sees_counts_and_overwrites_nothing_of_another(filled):
    ours, theirs = filled.clients["writer"], filled.clients["stranger"]
    more = [make_instance(patient="SECRET", PatientName="Secret^Person") for _ in range(2)]
    assert store(theirs, *more).status_code == 200
    for client, tenant in ((ours, 1), (theirs, 2)):
        for _ in range(2):
            assert name_of(client.get(PATH, headers=STORED)) == f"Of^{tenant}"
            assert client.get(PATH, headers=STORED).content == filled.files_of[tenant]
            [metadata] = client.get(f"{PATH}/metadata").json()
            assert metadata["00100010"]["Value"] == [{"Alphabetic": f"Of^{tenant}"}]
    assert len(ours.get(f"{WEB}/studies").json()) == len(ours.get(f"{WEB}/instances").json()) == 1
    assert len(theirs.get(f"{WEB}/studies").json()) == 3
    for query in (
        "PatientID=SECRET",
        "PatientName=Secret*",
        "PatientName=Secret*&fuzzymatching=true",
    ):
        assert ours.get(f"{WEB}/studies?{query}").json() == []
        assert len(theirs.get(f"{WEB}/studies?{query}").json()) == 2
    # What is theirs is answered as what is nowhere: word for word.
    hidden = pydicom.dcmread(io.BytesIO(more[0]))
    there = f"{WEB}/studies/{hidden.StudyInstanceUID}/series/{hidden.SeriesInstanceUID}"
    paths = [f"{WEB}/studies/{hidden.StudyInstanceUID}", there]
    paths += [f"{there}/instances/{hidden.SOPInstanceUID}"]
    for path in paths:
        nowhere = path[:-1] + str((int(path[-1]) + 1) % 10)
        for below in ("", "/metadata", "/rendered", "/thumbnail", "/bulkdata", "/pixeldata"):
            answers = [ours.get(each + below) for each in (path, nowhere)]
            assert [answer.status_code for answer in answers] == [404, 404], (path, below)
            texts = [
                a.text.replace(each, "") for a, each in zip(answers, (path, nowhere), strict=True)
            ]
            uids = [
                each.replace(f"{WEB}/studies/", "")
                .replace("/series/", "/")
                .replace("/instances/", "/")
                for each in (path, nowhere)
            ]
            assert texts[0].replace(uids[0], "") == texts[1].replace(uids[1], "")
        assert ours.delete(path).status_code == 404
    assert ours.get(f"{paths[0]}/series").json() == []
    # Storing and deleting under the same identifiers changes nothing of theirs.
    before = theirs.get(PATH, headers=STORED)
    module = Module(store(ours, instance(1, PatientName="Other^1")))
    assert module.status in (200, 202, 409)
    assert ours.delete(f"{WEB}/studies/{STUDY}").status_code == 204
    after = theirs.get(PATH, headers=STORED)
    assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])
    assert ours.get(PATH, headers=STORED).status_code == 410
    # Jobs are a tenant's too.
    assert ours.get("/jobs?expand").json() == theirs.get("/jobs?expand").json() == []


def test_more_results_than_a_search_gives_are_told_and_paged(filled):
    writer = filled.clients["writer"]
    study, uids = "1.2.826.0.1.3680043.8.498.78", set()
    files = [make_instance(study, f"{study}.1", number=number) for number in range(5)]
    assert store(writer, *files).status_code == 200
    search = f"{WEB}/studies/{study}/instances"
    first = writer.get(search)
    assert (first.status_code, len(first.json())) == (200, 3)
    assert first.headers["warning"].startswith(f"299 {filled.url}{WEB} ")
    assert "2" in first.headers["warning"]
    for query in ("", "?offset=3", "?offset=3&limit=100"):
        page = writer.get(search + query)
        assert ("warning" in page.headers) == (query == "")
        uids |= {each["00080018"]["Value"][0] for each in page.json()}
    assert len(uids) == 5
    assert writer.get(f"{search}?offset=5").json() == []
    for limit in ("-1", "x", "1" * 30):
        assert writer.get(f"{search}?limit={limit}").status_code == 400, limit
    assert writer.delete(f"{WEB}/studies/{study}").status_code == 204


def unannounced(body):
    for at in range(0, len(body), 100_000):
        yield body[at : at + 100_000]


def test_what_is_too_large_or_of_another_kind_or_study_is_refused_and_nothing_of_it_stays(filled):
    writer = filled.clients["writer"]
    before = writer.get("/statistics").json()
    large = instance(1, SOPInstanceUID=f"{INSTANCE}.2", size=3 * MIB)
    body, content_type = bodies(large)
    for sent in (body, unannounced(body)):
        answer = writer.post(f"{WEB}/studies", content=sent, headers={"content-type": content_type})
        assert answer.status_code == 413, answer.text
    small, content_type = bodies(instance(1, SOPInstanceUID=f"{INSTANCE}.3"))
    for headers in (
        {"content-type": "text/plain"},
        {"content-type": "image/png"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": 'multipart/related; type="image/jpeg"; boundary=x'},
        {},
        {"content-type": content_type, "content-encoding": "br"},
    ):
        answer = writer.post(f"{WEB}/studies", content=small, headers=headers)
        assert answer.status_code == 415, (headers, answer.text)
    video = part(b"x", "video/x-unknown", "pixels")
    metadata = pydicom.dcmread(
        io.BytesIO(instance(1, SOPInstanceUID=f"{INSTANCE}.4"))
    ).to_json_dict()
    metadata["7FE00010"] = {"vr": "OB", "BulkDataURI": "pixels"}
    joined, joined_type = related(
        part(json.dumps([metadata]).encode(), JSON_TYPE), video, of=JSON_TYPE
    )
    refused = writer.post(f"{WEB}/studies", content=joined, headers={"content-type": joined_type})
    assert refused.status_code in (409, 415), refused.text
    other = writer.post(
        f"{WEB}/studies/1.2.3", content=small, headers={"content-type": content_type}
    )
    assert other.status_code == 409, other.text
    assert Module(other).failed
    no_answer = writer.post(
        f"{WEB}/studies",
        content=small,
        headers={"content-type": content_type, "accept": "text/csv"},
    )
    assert no_answer.status_code == 406
    for nothing in (b"", b"no multipart", b"--x--\r\n"):
        answer = writer.post(
            f"{WEB}/studies", content=nothing, headers={"content-type": content_type}
        )
        assert answer.status_code == 400, (nothing, answer.text)
    assert writer.get("/statistics").json() == before


def test_ranges_that_are_none_are_refused_or_passed_over(filled):
    reader = filled.clients["reader"]
    size = len(filled.files_of[1])
    for wrong in (f"bytes={size}-", "bytes=-0", "bytes=999999999999-"):
        answer = reader.get(PATH, headers=STORED | {"range": wrong})
        assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}")
    for other in (
        "bytes=x-",
        "pages=1-2",
        "bytes=5-1",
        "bytes=0-1,4-5",
        "bytes=" + "9" * 50 + "-",
        "",
    ):
        answer = reader.get(PATH, headers=STORED | {"range": other})
        assert (answer.status_code, answer.content) == (200, filled.files_of[1]), other
    last = reader.get(PATH, headers=STORED | {"range": "bytes=-999999999"})
    assert (last.status_code, last.content) == (206, filled.files_of[1])


HOSTILE_PATHS = {
    f"{WEB}/studies/..%2f..%2fetc%2fpasswd/metadata": 404,
    f"{WEB}/studies/%2e%2e/metadata": 400,
    f"{WEB}/studies/1.2%00/metadata": 400,
    f"{WEB}/studies/1.2%0d%0aX:%20y/metadata": 400,
    f"{WEB}/studies/1.2'%20OR%20'1'='1/metadata": 400,
    f"{WEB}/studies/{'1' * 129}/metadata": 400,
    f"{WEB}/studies/{'1.' * 4000}1/metadata": 400,
    f"{WEB}/studies/1..2/metadata": 404,
    f"{WEB}/studies/%D9%A1.2/metadata": 400,  # a digit, and none of ours
    f"{WEB}/studies/-1/series/1/instances/1": 404,
    f"{PATH}/frames/0": 400,
    f"{PATH}/frames/-1": 400,
    f"{PATH}/frames/1,": 400,
    f"{PATH}/frames/1,,2": 400,
    f"{PATH}/frames/%D9%A1": 400,
    f"{PATH}/frames/{'9' * 300}": 404,
    f"{PATH}/frames/{'1,' * 70000}1": 414,
    f"{PATH}/bulkdata/../../../../etc/passwd": 400,
    f"{PATH}/bulkdata/zzzz": 400,
    f"{PATH}/bulkdata/{'00081140/0/' * 400}00080018": 400,
    f"{PATH}/rendered?viewport=99999999,99999999": 400,  # no picture is so large
    f"{PATH}/rendered?window=nan,1,linear": 400,
    f"{PATH}/rendered?quality=1e9": 400,
    f"{WEB}/studies?0010%00=x": 400,
    f"{WEB}/studies?PatientID={'%ff' * 10}": 400,
    f"{WEB}/studies?includefield={'00100010,' * 2000}00100010": 400,
    "/wado?requestType=WADO&studyUID=1,2&seriesUID=1&objectUID=1": 400,
    "/wado?requestType=EVIL": 400,
    f"{URI}&transferSyntax=../../x": 400,
    f"{URI}&frameNumber=99": 400,
}


def raw_status(server, path):
    """Return the status of a request for a path as it stands here."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    connection.putheader("Authorization", basic_authorization("reader", PASSWORD))
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def test_hostile_paths_are_told_what_is_wrong_with_them(filled):
    found = {path: raw_status(filled, path) for path in HOSTILE_PATHS}
    wrong = [(path[:200], found[path]) for path in found if found[path] != HOSTILE_PATHS[path]]
    assert wrong == []


HOSTILE_HEADERS = (
    ({"host": 'x"><script>'}, 403),  # no name of ours
    ({"x-forwarded-host": "evil.example/path"}, 400),
    ({"x-forwarded-host": 'a"b'}, 400),
    ({"x-forwarded-proto": "javascript"}, 400),
    ({"x-forwarded-prefix": "/a b"}, 400),
    ({"forwarded": 'host="evil example"'}, 400),
    ({"accept": "," * 10_000}, 406),
    ({"accept": ",".join(["text/html"] * 1000)}, 406),
    ({"accept": 'multipart/related; type="' + "x" * 10_000}, 406),
    ({"accept": "application/dicom+json; q=x"}, 406),
    ({"accept-charset": "x" * 10_000}, 406),
    ({"if-none-match": '"' * 10_000}, 200),
    ({"if-modified-since": "Mon, 99 Foo 9999999 99:99:99"}, 200),
)


def test_hostile_headers_are_refused_or_passed_over(filled):
    reader = filled.clients["reader"]
    for headers, status in HOSTILE_HEADERS:
        answer = reader.get(f"{WEB}/studies/{STUDY}/metadata", headers=headers)
        assert answer.status_code == status, (str(headers)[:200], answer.text[:300])


@pytest.mark.parametrize(
    "head",
    [
        b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /dicom-web/studies HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: wrong\r\n\r\n",
        b"GET /dicom-web/studies\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /dicom-web/studies HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
        b"GET /dicom-web/studies HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /dicom-web/studies HTTP/1.1\r\n: x\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_with_400_or_not_at_all(filled, head):
    address = urlsplit(filled.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as client:
        client.sendall(head)
        answer = client.recv(4096)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 "), answer


def test_a_server_that_stops_lets_go_and_one_that_only_reads_stores_nothing(start_server):
    server = start_server("--set=limits.shutdown_s=0.5", "--set=dicomweb.delete=true")
    assert store(server.http, instance(1)).status_code == 200
    body, content_type = bodies(instance(1, SOPInstanceUID=f"{INSTANCE}.5", size=MIB))
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as client:
        client.sendall(
            f"POST {WEB}/studies HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {content_type}"
            f"\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body[: MIB // 2]
        )
        # Until it is being read, by the core or by the application.
        end = time.monotonic() + 60
        resting = ("\nvna_spool_used_bytes 0\n", "\nvna_http_body_bytes 0\n")
        while all(line in server.http.get("/metrics").text for line in resting):
            assert time.monotonic() < end
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 503 "), answer[:500]
    assert b"\r\nretry-after: " in head
    assert server.process.wait(60) == 0
    server.http.close()

    server.flags = (*server.flags, "--set=storage.read_only=true")
    server.start()
    assert len(server.get(f"{WEB}/instances")) == 1
    assert server.http.get(PATH, headers=STORED).status_code == 200
    for answer in (
        store(server.http, instance(1, SOPInstanceUID=f"{INSTANCE}.6")),
        store(server.http, instance(1), to=f"{WEB}/studies/{STUDY}"),
        server.http.delete(PATH),
    ):
        assert (answer.status_code, answer.json()["Code"]) == (405, "storage.read_only")
        assert "GET" in answer.headers["allow"]
    assert len(server.get(f"{WEB}/instances")) == 1
