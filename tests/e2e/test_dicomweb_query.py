"""QIDO-RS over HTTP: forms of answers, warnings, refusals, and who answers: core or application."""

import json
import socket
from email import message_from_bytes
from urllib.parse import urlsplit

import pytest
from support import make_instance

ROOT = "/dicom-web"
STUDY, SERIES = "1.2.3", "1.2.3.1"
JSON, XML = "application/dicom+json", 'multipart/related; type="application/dicom+xml"'
VOLATILE = {"date"}


@pytest.fixture(scope="module")
def filled(start_server):
    """Return a server with two studies: of five instances, and of one with another patient."""
    server = start_server("--set=dicomweb.max_results=4")
    for number in range(1, 6):
        server.upload(
            make_instance(
                PatientID="P1",
                SpecificCharacterSet="ISO_IR 192",
                PatientName="Müller^Jörg",
                StudyInstanceUID=STUDY,
                SeriesInstanceUID=SERIES,
                SOPInstanceUID=f"{SERIES}.{number}",
                StudyDate="20240115",
                StudyTime="101500",
                Modality="CT",
                InstanceNumber=str(number),
            )
        )
    server.upload(
        make_instance(
            PatientID="P2",
            PatientName="Doe^Jane",
            StudyInstanceUID="1.2.4",
            SeriesInstanceUID="1.2.4.1",
            SOPInstanceUID="1.2.4.1.1",
            StudyDate="20240220",
            StudyTime="090000",
            Modality="MR",
            AccessionNumber="",
        )
    )
    return server


def search(server, path, status=200, **headers):
    answer = server.http.get(ROOT + path, headers=headers)
    assert answer.status_code == status, answer.text
    return answer


def found(server, path):
    return [one["0020000D"]["Value"][0] for one in search(server, path).json()]


def headers_of(answer):
    return {name: value for name, value in answer.headers.items() if name not in VOLATILE}


@pytest.mark.parametrize(
    "path",
    [
        "/studies?PatientID=P1",
        "/studies?PatientID=P9",
        "/studies?limit=1",
        "/studies?00100020=P1&includefield=EthnicGroup",
        f"/studies/{STUDY}/series",
        f"/studies/{STUDY}/series?includefield=all",
        f"/studies/{STUDY}/instances?limit=2&offset=1",
        f"/studies/{STUDY}/series/{SERIES}/instances",
        "/instances?SOPInstanceUID=1.2.3.1.1,1.2.3.1.2",
    ],
)
def test_the_core_answers_as_the_application_does(filled, path):
    alone = search(filled, path)
    # A charset is for the application to compare; that the answer has it changes nothing.
    asked = search(filled, f"{path}&charset=utf-8" if "?" in path else f"{path}?charset=utf-8")
    assert alone.content == asked.content
    assert headers_of(alone) == headers_of(asked)
    assert alone.headers["content-type"] == JSON


def test_results_lead_to_what_they_describe(filled):
    (study,) = search(filled, "/studies?PatientID=P1").json()
    assert study["00081190"]["Value"] == [f"{filled.url}{ROOT}/studies/{STUDY}"]
    assert study["00080061"]["Value"] == ["CT"]
    assert study["00080056"]["Value"] == ["ONLINE"]
    assert study["00201208"] == {"vr": "IS", "Value": [5]}
    assert study["00100010"]["Value"] == [{"Alphabetic": "Müller^Jörg"}]
    assert study["00080090"] == {"vr": "PN"}
    (one,) = search(filled, "/instances?InstanceNumber=3").json()
    assert one["00280010"] == {"vr": "US", "Value": [1]}
    assert one["00081190"]["Value"][0].endswith(f"/series/{SERIES}/instances/{SERIES}.3")
    assert list(one) == sorted(one)


def test_urls_are_those_of_the_proxy_that_was_called(filled):
    path = "/studies?PatientID=P1"
    (study,) = search(filled, path, Forwarded="proto=https;host=pacs.example").json()
    assert study["00081190"]["Value"] == [f"https://pacs.example{ROOT}/studies/{STUDY}"]
    headers = {"X-Forwarded-Host": "pacs.example", "X-Forwarded-Prefix": "/a"}
    (study,) = search(filled, path, **headers).json()
    assert study["00081190"]["Value"] == [f"http://pacs.example/a{ROOT}/studies/{STUDY}"]


def test_clients_of_http_1_0_are_answered_without_a_host(filled):
    address = urlsplit(filled.url)
    for path in ("/studies?limit=1", "/studies?limit=1&includefield=all"):
        with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
            connection.sendall(f"GET {ROOT}{path} HTTP/1.0\r\n\r\n".encode())
            with connection.makefile("rb") as answer:
                head, _, body = answer.read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200 "), head
        [found] = json.loads(body)
        assert found["00081190"]["Value"][0].startswith(f"{filled.url}{ROOT}/studies/")


def test_no_result_is_an_empty_list(filled):
    answer = search(filled, "/studies?PatientID=nobody")
    assert answer.json() == []
    assert search(filled, "/studies/9.9/series").json() == []
    assert search(filled, "/studies?PatientID=nobody", Accept=XML).content == b""


def test_xml_has_a_part_for_each_result(filled):
    answer = search(filled, f"/studies/{STUDY}/instances?limit=2", Accept=XML)
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + answer.content).get_payload()
    assert [part.get_content_type() for part in parts] == ["application/dicom+xml"] * 2
    assert b'keyword="SOPInstanceUID"' in parts[0].get_payload(decode=True)


def test_long_answers_are_compressed_where_asked(filled):
    path = "/instances?includefield=all&limit=4&charset=utf-8"
    plain = search(filled, path, **{"Accept-Encoding": "identity"})
    assert len(plain.content) > 4096
    assert "content-encoding" not in plain.headers
    packed = search(filled, path, **{"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()


def test_what_is_cut_or_not_done_is_told(filled):
    def warnings(path):
        return search(filled, path).headers.get_list("warning")

    (warned,) = warnings(f"/studies/{STUDY}/instances?limit=2")
    assert warned.startswith(f'299 {filled.url}{ROOT} "There are additional results')
    (warned,) = warnings("/instances")
    assert "exceeded the maximum" in warned
    (warned,) = warnings("/instances?limit=100")
    assert "exceeded the maximum" in warned
    assert len(search(filled, "/instances?limit=100").json()) == 4
    assert warnings(f"/studies/{STUDY}/instances?limit=3&offset=2") == []
    (warned,) = warnings("/studies?includefield=SliceThickness")
    assert "not included" in warned
    (warned,) = warnings("/studies?pretty=true")
    assert "ignored" in warned


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("PatientName=muller*", [STUDY]),
        ("PatientName=Mueller&fuzzymatching=true", [STUDY]),
        ("PatientName=Mueller", []),
        ("PatientName=Jane+Doe&fuzzymatching=true", ["1.2.4"]),
        ("StudyDate=20240101-20240131", [STUDY]),
        ("StudyDate=20240115-20240220&StudyTime=1200-1000", ["1.2.4"]),
        ("StudyInstanceUID=1.2.3,1.2.4", [STUDY, "1.2.4"]),
        ("StudyInstanceUID=1.2.3%5C1.2.4", [STUDY, "1.2.4"]),
        ("StudyInstanceUID=1.2.3&StudyInstanceUID=1.2.4", [STUDY, "1.2.4"]),
        ("ModalitiesInStudy=CT,MR", [STUDY, "1.2.4"]),
        ("Modality=MR", ["1.2.4"]),
        ('AccessionNumber=""&emptyvaluematching=true&PatientID=P2', ["1.2.4"]),
        ('PatientID=""&emptyvaluematching=true', []),
        ("PatientID=", [STUDY, "1.2.4"]),
        # What OHIF asks for its list of studies.
        (
            "limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060"
            "&PatientName=*DOE*&StudyDate=20240101-20241231",
            ["1.2.4"],
        ),
    ],
)
def test_studies_are_found(filled, query, expected):
    assert sorted(found(filled, f"/studies?{query}")) == expected


def test_path_and_keys_must_agree(filled):
    assert len(search(filled, f"/studies/{STUDY}/series?StudyInstanceUID={STUDY}").json()) == 1
    assert search(filled, f"/studies/{STUDY}/series?StudyInstanceUID=1.2.4").json() == []


@pytest.mark.parametrize(
    ("query", "studies"),
    [
        # What was taken at 10:15 is of the next day, 1:15, where the clock is 15 hours ahead.
        ("StudyDate=20240115", ["1.2.5"]),
        ("StudyDate=20240115&TimezoneOffsetFromUTC=%2B1300", []),
        ("StudyDate=20240116&TimezoneOffsetFromUTC=%2B1300", ["1.2.5"]),
        ("StudyDate=20240116&00080201=+1300", ["1.2.5"]),
        ("StudyDate=20240116-20240116&StudyTime=00-02&TimezoneOffsetFromUTC=%2B1300", ["1.2.5"]),
        ("StudyDate=20240115&TimezoneOffsetFromUTC=-0200", ["1.2.5"]),
        ("TimezoneOffsetFromUTC=%2B1300", ["1.2.5"]),
    ],
)
def test_dates_and_times_are_meant_in_the_time_zone_of_the_search(filled, query, studies):
    filled.upload(
        make_instance(
            PatientID="P3",
            StudyInstanceUID="1.2.5",
            SeriesInstanceUID="1.2.5.1",
            SOPInstanceUID="1.2.5.1.1",
            StudyDate="20240115",
            StudyTime="101500",
            TimezoneOffsetFromUTC="-0200",
        )
    )
    answer = search(filled, f"/studies?PatientID=P3&{query}").json()
    assert [one["0020000D"]["Value"][0] for one in answer] == studies
    # As it is stored, in its own time zone.
    assert [one["00080020"]["Value"] for one in answer] == [["20240115"]] * len(studies)
    assert all(one["00080201"]["Value"] == ["-0200"] for one in answer)


@pytest.mark.parametrize("path", ["/studies?limit=0", "/studies?PatientName=*&limit=0"])
def test_a_limit_of_nothing_tells_that_there_is_something(filled, path):
    answer = search(filled, path)
    assert answer.json() == []
    assert "additional results" in answer.headers["warning"]
    assert "warning" not in search(filled, f"{path}&PatientID=P9").headers


def test_a_character_set_is_refused_whoever_answers(filled):
    for path in ("/studies?PatientID=P1", "/studies?PatientName=M*", f"/studies/{STUDY}/metadata"):
        search(filled, path, 406, **{"Accept-Charset": "iso-8859-1"})
        search(filled, path, **{"Accept-Charset": "iso-8859-1, utf-8"})


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/studies?NoSuchKeyword=1", 400),
        ("/studies?TimezoneOffsetFromUTC=CET", 400),
        ("/studies?00081031=1", 400),
        ("/studies?00020010=1.2", 400),
        ("/studies?StudyDate=yesterday", 400),
        ("/studies?StudyTime=99", 400),
        ("/studies?StudyInstanceUID=abc", 400),
        ("/studies?PatientName.CodeValue=1", 400),
        ("/studies?RequestAttributesSequence=1", 400),
        ("/studies?PatientID=1&PatientID=2", 400),
        ("/studies?limit=-1", 400),
        ("/studies?limit=1e3", 400),
        ("/studies?offset=99999999999999999999", 400),
        ("/studies?fuzzymatching=maybe", 400),
        ("/studies?includefield=Nonsense", 400),
        ("/studies?PatientID=%GG", 400),
        ("/studies?PatientID=%FF", 400),
        ("/studies/1,2/series", 400),
        ("/studies/%2e%2e/series", 400),
        ("/studies?accept=text/html", 406),
        ("/studies?charset=latin1", 406),
        ("/studies/1/2", 404),
        (f"/studies?{'&'.join(f'0009{n:04X}=1' for n in range(0x1001, 0x1201))}", 400),
    ],
)
def test_what_is_no_search_is_refused(filled, path, status):
    answer = filled.http.get(ROOT + path, headers={"Accept": JSON} if status != 406 else {})
    if path.endswith("text/html"):
        answer = filled.http.get(ROOT + path, headers={"Accept": "image/png"})
    assert answer.status_code == status, answer.text
    assert json.loads(answer.content)["HttpStatus"] == status


def test_other_methods_are_told_which_there_are(filled):
    answer = filled.http.post(f"{ROOT}/studies/{STUDY}/series")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


def test_pages_of_other_sites_may_read_the_same_whoever_answers(start_server):
    server = start_server("--set=http.cors_origins=https://viewer.example")
    allowed = []
    for path in ("/studies?limit=1", "/studies?limit=1&charset=utf-8"):
        answer = search(server, path, Origin="https://viewer.example")
        found = headers_of(answer)
        allowed.append({name: found[name] for name in found if name.startswith("access-control")})
    by_core, by_application = allowed
    assert by_core == by_application
    assert "Warning" in by_core["access-control-expose-headers"]
