"""Our client of DICOMweb servers against stubs: what they did not do is not taken for done."""

import io
import json

import pydicom
import pytest
from support import make_instance
from support_peers_http import Stub

HERE = "/dicom-web/servers"
TYPE = 'multipart/related; type="application/dicom"; boundary=x'
OK, JSON = 200, "application/dicom+json"
END = b"\r\n--x--\r\n"


@pytest.fixture(scope="module")
def server(start_server):
    """A server that knows a stub, which answers `server.answer`: status, media type, body."""
    server = start_server()
    server.files = {server.upload(file)["ID"]: file for file in (make_instance(), make_instance())}

    def behave(request, _):
        status, media_type, content, *length = server.answer
        request.send_response(status)
        request.send_header("Content-Type", media_type)
        request.send_header("Content-Length", str(*length or (len(content),)))
        request.end_headers()
        request.wfile.write(content)
        return request.cut()

    with Stub(behave) as stub:
        known = server.http.put(f"{HERE}/stub", json={"Url": stub.url})
        assert known.status_code == 200, known.text
        yield server


def ask(server, path, answer, **body):
    server.answer = answer
    return server.http.post(f"{HERE}/stub/{path}", json=body)


def part(data):
    return b"\r\n--x\r\nContent-Type: application/dicom\r\n\r\n" + data


def module(failed=(), stored=()):
    """Return a Store Instances Response Module (PS3.18 §I.2); 42752 is out of resources."""

    def items(uids, **more):
        return {
            "vr": "SQ",
            "Value": [{"00081155": {"vr": "UI", "Value": [u]}, **more} for u in uids],
        }

    why = {"00081197": {"vr": "US", "Value": [42752]}}
    found = {"00081198": items(failed, **why), "00081199": items(stored)}
    return json.dumps({tag: item for tag, item in found.items() if item["Value"]}).encode()


def has(server, data):
    uid = pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID
    return server.http.post("/tools/lookup", content=uid).json() != []


@pytest.mark.parametrize("permissive", [False, True])
@pytest.mark.parametrize(
    ("status", "beside"), [(OK, b"no DICOM"), (206, None)], ids=["another part is none", "partial"]
)
def test_a_part_of_a_resource_is_kept_but_no_success(server, status, beside, permissive):
    """206 is some, not all, of what was asked for (PS3.18 §10.4.3.2)."""
    data = make_instance()
    body = part(data) + (part(beside) if beside else b"") + END
    asked = {"Resources": [{"Study": "1.2.3"}], "Permissive": permissive}
    answer = ask(server, "retrieve", (status, TYPE, body), **asked)
    assert answer.status_code == (200 if permissive else 500), answer.text
    assert has(server, data)
    if permissive:
        assert answer.json()["FailedInstancesCount"] == (1 if beside else 0)


def test_what_a_server_answers_wrongly_is_its_fault_and_not_of_who_asks(server):
    data = make_instance()
    for media_type, body, code in (
        (TYPE, part(data), "peer.closed"),  # may end well the next time: a job asks again
        (TYPE, b"", "peer.protocol"),
        (TYPE.partition("; boundary")[0], part(data) + END, "peer.protocol"),
        ("text/html", b"<h1>Log in</h1>", "peer.protocol"),
    ):
        asked = {"Resources": [{"Study": "1.2.3"}]}
        answer = ask(server, "retrieve", (OK, media_type, body), **asked)
        assert (answer.status_code, answer.json()["Code"]) == (500, code), answer.text
        assert "http://127.0.0.1" in answer.json()["Details"]


def test_an_answer_that_breaks_off_is_a_connection_that_was_lost(server):
    answer = (OK, TYPE, part(make_instance()), 100_000)
    told = ask(server, "retrieve", answer, Resources=[{"Study": "1.2.3"}])
    assert told.json()["Code"] == "peer.closed", told.text


def test_only_what_a_server_says_it_stored_is_stored(server):
    """Its status and its response module say so (PS3.18 Table 10.5.3-1, §10.5.3.3)."""
    one, other = server.files
    uids = [pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID for data in server.files.values()]
    for answer, failed in (
        ((OK, JSON, module(stored=uids)), 0),
        ((OK, JSON, b""), 0),
        ((OK, "application/dicom+xml", b"<NativeDicomModel/>"), 0),
        ((202, JSON, module(failed=uids[:1], stored=uids[1:])), 1),
        ((409, JSON, module(failed=uids)), 2),
        ((OK, JSON, module(stored=uids[:1])), None),
        ((202, JSON, b""), None),
        ((202, "application/dicom+xml", b"<NativeDicomModel/>"), None),
        ((OK, "text/html", b"<h1>Log in</h1>"), None),
        ((OK, JSON, b'[{"00081199": 7}, null]'), None),
        ((409, JSON, b'{"00081198": [7]}'), None),
    ):
        for permissive in (False, True):
            asked = {"Resources": [one, other], "Permissive": permissive}
            told = ask(server, "stow", answer, **asked)
            is_done = failed is not None and (permissive or failed == 0)
            assert told.status_code == (200 if is_done else 500), (answer, told.text)
            if is_done:
                assert told.json()["FailedInstancesCount"] == failed
            elif failed:
                assert f"{uids[0]}: it is out of resources (A700)" in told.json()["Details"]


@pytest.mark.parametrize(
    "body",
    [b"{}", b'["x"]', b'[{"x": {}}]', b'[{"1234567890ABCDEF": {}}]', b'[{"00100010": null}]', b"["],
)
def test_results_that_are_no_dicom_json_are_an_error_of_the_server(server, body):
    answer = ask(server, "qido", (OK, JSON, body), Uri="/studies")
    assert answer.json()["Code"] == "peer.protocol", answer.text


def test_values_of_results_are_as_clients_of_orthanc_read_them(server):
    results = {
        "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
        "00100010": {"vr": "PN", "Value": [{"Ideographic": "x"}]},
        "00280030": {"vr": "DS", "Value": [None, 0.5]},
        "00400275": {"vr": "SQ", "Value": [{"00400007": {"vr": "LO", "Value": ["x"]}}]},
    }
    answer = ask(server, "qido", (OK, JSON, json.dumps([results]).encode()), Uri="/studies")
    values = {tag: one.get("Value") for tag, one in answer.json()[0].items()}
    assert values == {
        "00080061": "CT\\MR",
        "00100010": None,
        "00280030": "\\0.5",
        "00400275": None,
    }


def test_an_answer_is_passed_on_with_its_status_and_without_rights_here(server):
    answer = ask(server, "get", (206, "text/html", b"<script>1</script>"), Uri="/x")
    assert (answer.status_code, answer.content) == (206, b"<script>1</script>")
    assert "sandbox" in answer.headers["content-security-policy"]
