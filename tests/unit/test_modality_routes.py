"""Remote nodes over HTTP: what is configured, asked, fetched and sent, with nodes in memory."""

import json

import httpx
import pytest
from fake_peers import NetworkedArchive

from vna.rest.app import Application
from vna.services.named_tags import data_set_of
from vna.services.node import Node
from vna.settings import Dicom, Modality, Settings, Storage

PACS = Modality(name="pacs", aet="PACS", host="10.0.0.2", port=11112)
GETTER = Modality(name="getter", aet="GETTER", host="10.0.0.3", retrieve_method="c-get")
STUDY = {"StudyInstanceUID": "1.2.3", "PatientID": "P1", "StudyDescription": "Knee"}


@pytest.fixture
async def node(tmp_path):
    dicom = Dicom(modalities=[PACS, GETTER], max_queries=3, log_exported_resources=True)
    settings = Settings(storage=Storage(root=str(tmp_path)), dicom=dicom)
    node = Node(NetworkedArchive(settings))
    await node.start()
    yield node
    await node.stop()


@pytest.fixture
async def client(node):
    transport = httpx.ASGITransport(Application(node))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8042") as client:
        yield client


def finds(*answers):
    def answer(command, identifier):
        for each in answers:
            yield {"Status": 0xFF00}, data_set_of(each)
        yield {"Status": 0}, None

    return answer


async def post(client, path, body=b""):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(path, content=content)


def what(answer):
    return answer.status_code, answer.json().get("OrthancStatus")


async def test_a_modality_is_added_shown_changed_and_forgotten(client, node):
    published = []
    node.publisher = lambda: published.append(1)
    assert (await client.put("/modalities/ct", content='["CT01", "h", 104, "GE"]')).text == ""
    assert (await client.get("/modalities")).json() == ["ct", "getter", "pacs"]
    shown = (await client.get("/modalities/ct/configuration")).json()
    assert (shown["AET"], shown["Port"], shown["Manufacturer"]) == ("CT01", 104, "GE")
    again = shown | {"Port": "105", "AllowNAction": False, "Timeout": 5, "LocalAet": "ME"}
    await client.put("/modalities/ct", content=json.dumps(again))
    expanded = (await client.get("/modalities?expand")).json()["ct"]
    assert expanded == again | {"Port": 105, "AllowEventReport": False}
    assert "configuration" in (await client.get("/modalities/ct")).json()
    assert (await client.delete("/modalities/ct")).status_code == 200
    assert what(await client.delete("/modalities/ct")) == (404, 7)
    assert len(published) == 3


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (b"", 15),
        (b"x", 15),
        (["C", "h"], 15),
        ({"AET": "C"}, 15),
        ({"AET": "C", "Host": "h", "Port": 104, "AllowEcho": "maybe"}, 15),
        (["C", "h", 104, "Nobody"], 3),
        ({"AET": "C", "Host": "h", "Port": 0}, 3),
        ({"AET": "C", "Host": "h", "Port": 104, "RetrieveMethod": "by post"}, 3),
        ({"AET": "TOO LONG AN AE TITLE", "Host": "h", "Port": 104}, 3),
        ({"AET": "BACK\\SLASH", "Host": "h", "Port": 104}, 3),
    ],
)
async def test_a_wrong_modality_is_refused(client, body, number):
    content = body if isinstance(body, bytes) else json.dumps(body)
    assert what(await client.put("/modalities/ct", content=content)) == (400, number)
    assert (await client.get("/modalities")).json() == ["getter", "pacs"]


async def test_names_of_former_releases_are_understood(client):
    await client.put("/modalities/ct", content='["C", "h", 104, "SyngoVia"]')
    shown = (await client.get("/modalities/ct/configuration")).json()
    assert shown["Manufacturer"] == "GenericNoWildcardInDates"


async def test_an_echo_calls_as_the_request_says_and_then_as_is_configured(client, node):
    assert (await post(client, "/modalities/pacs/echo")).json() == {}
    assert (
        await post(client, "/modalities/pacs/echo", {"LocalAet": "ME", "Timeout": 3})
    ).json() == {}
    plain, said = (peer.specification for peer in node.archive.core.peers)
    assert (plain["calling_ae_title"], plain["called_ae_title"]) == ("VNA", "PACS")
    assert (plain["host"], plain["port"], plain["timeout_s"]) == ("10.0.0.2", 11112, 30.0)
    assert (said["calling_ae_title"], said["timeout_s"]) == ("ME", 3.0)
    assert [peer.ended for peer in node.archive.core.peers] == ["released"] * 2
    assert plain["tls"] is None


async def test_a_node_is_called_over_tls_if_it_is_one_for_that(client, node):
    body = {"AET": "X", "Host": "h", "Port": 2762, "UseDicomTls": True}
    await client.put("/modalities/safe", content=json.dumps(body))
    assert (await post(client, "/modalities/safe/echo")).json() == {}
    # With the certificates of [tls].
    assert node.archive.core.peers[0].specification["tls"] == {}


async def test_an_echo_can_try_a_query_too(client, node):
    node.archive.core.answer = lambda command, identifier: [({"Status": 0}, None)]
    assert (await post(client, "/modalities/pacs/echo", {"CheckFind": True})).json() == {}
    asked = node.archive.core.peers[0].asked
    assert [command["CommandField"] for _, command, _ in asked] == [0x30, 0x20]


async def test_a_node_that_is_not_known_is_echoed_by_address(client, node):
    body = {"AET": "X", "Host": "10.0.0.9", "Port": 104, "CheckFind": False}
    assert (await post(client, "/tools/dicom-echo", body)).json() == {}
    assert node.archive.core.peers[0].specification["host"] == "10.0.0.9"
    assert what(await post(client, "/tools/dicom-echo", {"AET": "X"})) == (400, 15)
    assert what(await post(client, "/modalities/nobody/echo")) == (404, 7)


async def test_what_a_peer_refuses_with_is_told(client, node):
    node.archive.core.answer = lambda command, identifier: [
        ({"Status": 0xA700, "ErrorComment": "disk full"}, None)
    ]
    answer = await post(client, "/modalities/pacs/query", {"Level": "Study"})
    assert what(answer) == (500, 9)
    assert answer.json()["ErrorPayload"] == {
        "Type": "Dimse",
        "Content": {"DimseErrorStatus": 0xA700, "DimseErrorComment": "disk full"},
    }
    assert "A700: disk full" in answer.json()["Details"]
    assert node.archive.core.peers[0].ended == "aborted"


async def test_answers_of_a_query_are_looked_at_one_by_one(client, node):
    node.archive.core.answer = finds(STUDY, {"StudyInstanceUID": "1.2.4"})
    body = {"Level": "Study", "Query": {"PatientID": "P*", "StudyDescription": ""}}
    path = (await post(client, "/modalities/pacs/query", body)).json()["Path"]
    assert (await client.get(f"{path}/answers")).json() == ["0", "1"]
    first = {"PatientID": "P1", "StudyDescription": "Knee", "StudyInstanceUID": "1.2.3"}
    expanded = (await client.get(f"{path}/answers?expand&simplify")).json()
    assert expanded == [first, {"StudyInstanceUID": "1.2.4"}]
    assert (await client.get(f"{path}/answers/0/content?simplify")).json() == first
    full = (await client.get(f"{path}/answers/1/content")).json()
    uid = {"Name": "StudyInstanceUID", "Type": "String", "Value": "1.2.4"}
    assert full == {"0020,000d": uid}
    asked = (await client.get(f"{path}/query?simplify")).json()
    assert asked == body["Query"]
    assert (await client.get(f"{path}/level")).text == "Study"
    assert (await client.get(f"{path}/modality")).text == "pacs"
    below = (await client.get(f"{path}/answers/0")).json()
    assert below == ["content", "retrieve", "query-series", "query-instances"]
    assert what(await client.get(f"{path}/answers/2/content")) == (400, 3)
    assert what(await client.get(f"{path}/answers/x/content")) == (400, 5)
    assert what(await client.get("/queries/nothing/answers")) == (404, 17)


async def test_a_query_goes_on_below_an_answer(client, node):
    node.archive.core.answer = finds(STUDY)
    path = (await post(client, "/modalities/pacs/query", {"Level": "Study"})).json()["Path"]
    body = {"Query": {"Modality": "MR"}}
    below = (await post(client, f"{path}/answers/0/query-series", body)).json()["Path"]
    asked = (await client.get(f"{below}/query?simplify")).json()
    assert asked == {"Modality": "MR", "StudyInstanceUID": "1.2.3"}
    assert (await client.get(f"{below}/level")).text == "Series"
    assert what(await post(client, f"{path}/answers/0/query-studies", {})) == (404, 17)


async def test_only_the_latest_queries_are_kept(client, node):
    node.archive.core.answer = finds(STUDY)
    ids = [
        (await post(client, "/modalities/pacs/query", {"Level": "Study"})).json()["ID"]
        for _ in range(5)
    ]
    assert (await client.get("/queries")).json() == ids[2:]
    left = await node.control.run(
        lambda c: c.execute("SELECT count(*) FROM remote_answer").fetchone()[0]
    )
    assert left == 3
    await client.delete(f"/queries/{ids[2]}")
    assert (await client.get("/queries")).json() == ids[3:]


async def test_answers_are_kept_within_a_bound_of_bytes(client, node, monkeypatch):
    node.archive.core.answer = finds({"StudyDescription": "x" * 60})
    monkeypatch.setattr("vna.services.remote_queries.MAX_KEPT_BYTES", 150)
    ids = [
        (await post(client, "/modalities/pacs/query", {"Level": "Study"})).json()["ID"]
        for _ in range(3)
    ]
    assert (await client.get("/queries")).json() == ids[1:]


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (b"", 15),
        ([1], 15),
        ({"Query": {}}, 15),
        ({"Level": "Frame"}, 3),
        ({"Level": "Study", "Query": []}, 15),
        ({"Level": "Study", "Query": {"NoTag": ""}}, 27),
        ({"Level": "Study", "Timeout": "x"}, 15),
        ({"Level": "Study", "LocalAet": "BACK\\SLASH"}, 3),
    ],
)
async def test_a_wrong_query_is_refused_before_anybody_is_asked(client, node, body, number):
    assert what(await post(client, "/modalities/pacs/query", body)) == (400, number)
    assert node.archive.core.peers == []


async def test_an_answer_is_fetched_as_the_node_likes_it(client, node):
    node.archive.core.answer = finds(STUDY)
    for name, field in (("pacs", 0x21), ("getter", 0x10)):
        path = (await post(client, f"/modalities/{name}/query", {"Level": "Study"})).json()["Path"]
        fetched = (await post(client, f"{path}/answers/0/retrieve", b"")).json()
        keys = {"0008,0052": "STUDY", "0010,0020": "P1", "0020,000d": "1.2.3"}
        assert fetched["Query"] == [keys]
        command = node.archive.core.peers[-1].asked[-1][1]
        assert command["CommandField"] == field
        assert command.get("MoveDestination") == fetched.get("TargetAet")
    assert (await post(client, f"{path}/retrieve", b'{"RetrieveMethod": "C-MOVE"}')).json()[
        "TargetAet"
    ] == "VNA"
    other = await post(
        client, f"{path}/answers/0/retrieve", {"RetrieveMethod": "C-MOVE", "TargetAet": "Z"}
    )
    assert other.json()["TargetAet"] == "Z"
    assert what(await post(client, f"{path}/retrieve", {"RetrieveMethod": "X"})) == (400, 3)


async def test_a_move_names_its_resources_by_unique_keys(client, node):
    body = {"Level": "Study", "Resources": [{"StudyInstanceUID": "1.2.3", "PatientID": "P"}]}
    moved = (await post(client, "/modalities/pacs/move", body)).json()
    assert moved == {
        "Description": "REST API",
        "LocalAet": "VNA",
        "Query": [{"0008,0052": "STUDY", "0020,000d": "1.2.3"}],
        "RemoteAet": "PACS",
        "TargetAet": "VNA",
    }
    for level, resource in (
        ("Study", {"PatientID": "P"}),
        ("Series", {"StudyInstanceUID": "1.2.3"}),
        ("Patient", {"StudyInstanceUID": "1.2.3"}),
    ):
        wrong = {"Level": level, "Resources": [resource]}
        assert what(await post(client, "/modalities/pacs/move", wrong)) == (400, 8)
    assert what(await post(client, "/modalities/pacs/move", {"Level": "Study"})) == (400, 15)


@pytest.mark.parametrize("body", [b"7", b'"7"', ["7"], {"Resources": ["7"]}])
async def test_resources_are_sent_however_they_are_named(client, node, body):
    sent = (await post(client, "/modalities/pacs/store", body)).json()
    assert sent == {
        "Description": "REST API",
        "FailedInstancesCount": 0,
        "InstancesCount": 1,
        "LocalAet": "VNA",
        "ParentResources": ["7"],
        "RemoteAet": "PACS",
    }
    assert node.archive.core.sendings[0].taken == ["7"]


async def test_a_request_says_whom_to_send_to_and_for_whom(client, node):
    body = {
        "Resources": ["study"],
        "Host": "10.0.0.9",
        "Port": 105,
        "CalledAet": "YOU",
        "LocalAet": "ME",
        "MoveOriginatorAet": "MOVER",
        "MoveOriginatorID": 7,
        "Timeout": 4,
    }
    sent = (await post(client, "/modalities/pacs/store", body)).json()
    assert (sent["InstancesCount"], sent["RemoteAet"], sent["LocalAet"]) == (1000, "YOU", "ME")
    batch = node.archive.core.sendings[0].batch
    assert (batch["host"], batch["port"], batch["timeout_s"]) == ("10.0.0.9", 105, 4.0)
    assert batch["move_originator"] == {"ae_title": "MOVER", "message_id": 7}


async def test_what_was_sent_is_on_record_until_it_is_cleared(client, node):
    await post(client, "/modalities/pacs/store", b"7")
    await post(client, "/modalities/getter/store", b"study")
    page = (await client.get("/exports?limit=1")).json()
    assert (page["Done"], page["First"], page["Last"]) == (False, 1, 1)
    assert page["Exports"][0]["SOPInstanceUID"] == "7"
    rest = (await client.get("/exports?since=1")).json()
    assert (rest["Done"], [each["Path"] for each in rest["Exports"]]) == (True, ["/studies/study"])
    assert rest["Exports"][0]["RemoteModality"] == "getter"
    assert "SeriesInstanceUID" not in rest["Exports"][0]
    assert (await client.get("/exports?last")).json()["First"] == 2
    await client.delete("/exports")
    assert (await client.get("/exports")).json() == {"Done": True, "Exports": [], "Last": 0}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, 15)),
        ({}, (400, 15)),
        ({"Resources": "7"}, (400, 15)),
        ({"Resources": [1]}, (400, 15)),
        (b"nothing", (404, 17)),
        ({"Resources": ["7", "nothing"], "Permissive": True}, (404, 17)),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_anybody_is_called(
    client, node, body, expected
):
    assert what(await post(client, "/modalities/pacs/store", body)) == expected
    assert node.archive.core.sendings == []


async def test_a_file_is_sent_without_being_stored(client, node):
    sent = (await post(client, "/modalities/pacs/store-straight", b"DICM")).json()
    assert sent == {"SOPClassUID": "1.2", "SOPInstanceUID": "1.2.3"}
    assert node.archive.core.files[0][1] == b"DICM"


async def test_a_worklist_is_asked_for_with_or_without_a_wrapping(client, node):
    node.archive.core.answer = finds({"PatientID": "P1"})
    for body in ({"PatientID": "*"}, {"Query": {"PatientID": "*"}}):
        found = await post(client, "/modalities/pacs/find-worklist", body)
        assert found.json() == [{"PatientID": "P1"}]
    wrapped = {"Query": {"PatientID": "*"}, "Short": True}
    found = await post(client, "/modalities/pacs/find-worklist", wrapped)
    assert found.json() == [{"0010,0020": "P1"}]
    assert node.archive.core.peers[0].asked[0][2]["00100020"]["Value"] == ["*"]


async def test_a_peer_without_a_service_is_told_from_one_that_fails(client, node):
    node.archive.core.refused_contexts = {"1.2.840.10008.5.1.4.31"}
    answer = await post(client, "/modalities/pacs/find-worklist", {"PatientID": ""})
    assert what(answer)[0] == 500
    assert answer.json()["Code"] == "context.refused"


async def test_superseded_searches_work_and_want_something_to_go_by(client, node):
    node.archive.core.answer = finds(STUDY)
    found = (await post(client, "/modalities/pacs/find-study", {"PatientID": "P12"})).json()
    assert found[0]["StudyInstanceUID"] == "1.2.3"
    nested = (await post(client, "/modalities/pacs/find", {"PatientID": "P12"})).json()
    assert nested[0]["Studies"][0]["Series"][0]["PatientID"] == "P1"
    for name, keys in (
        ("study", {}),
        ("study", {"PatientID": "4*"}),
        ("series", {"PatientID": "P12"}),
    ):
        assert (await post(client, f"/modalities/pacs/find-{name}", keys)).status_code == 400


async def test_accepted_syntaxes_and_classes_change_at_run_time(client, node):
    published = []
    node.publisher = lambda: published.append(node.archive.settings.dicom)
    path = "/tools/accepted-transfer-syntaxes"
    everything = (await client.get(path)).json()
    assert {"1.2.840.10008.1.2", "1.2.840.10008.1.2.4.90"} <= set(everything)
    some = await client.put(path, content='["1.2.840.10008.1.2.4.9*", "1.2.840.10008.1.2"]')
    assert some.json()[0] == "1.2.840.10008.1.2"
    assert len(some.json()) == 7
    assert (await client.put(path, content="")).json() == []
    assert (await client.put(path, content="*")).json() == everything
    assert what(await client.put(path, content='["DROP TABLE"]')) == (400, 15)
    assert "1.2.840.10008.5.1.4.1.1.2" in (await client.get("/tools/accepted-sop-classes")).json()
    unknown = "/tools/unknown-sop-class-accepted"
    assert (await client.get(unknown)).text == "0"
    await client.put(unknown, content="true")
    assert (await client.get(unknown)).text == "1"
    assert what(await client.put(unknown, content="perhaps")) == (400, 15)
    assert published[-1].accept_unknown_sop_classes
    assert len(published) == 4
