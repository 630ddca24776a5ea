"""What the server is asked and told itself: tools, plugins, its page, files that it writes."""

import json
import os
import subprocess
import time

import pytest
from support import VNA, ct_small
from support_cli import vna


@pytest.fixture(scope="module")
def server(start_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    (folder / "below").mkdir()
    server = start_server(f"--set=http.export_folder={folder}")
    server.folder = folder
    server.instance = server.upload(ct_small())["ID"]
    return server


def refused(answer):
    return answer.status_code, answer.json()["OrthancStatus"]


def test_pages_and_lists(server):
    front = server.http.get("/")
    assert (front.status_code, front.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<h1>VNA</h1>" in front.text
    assert server.http.get("/favicon.ico").headers["content-type"].startswith("image/")
    assert {"find", "now", "shutdown"} <= set(server.get("/tools"))
    assert server.get("/plugins") == ["explorer.js"]
    assert refused(server.http.get("/plugins/none")) == (404, 7)
    explorer = server.http.get("/plugins/explorer.js")
    assert explorer.headers["content-type"].startswith("application/javascript")
    text = server.http.get("/tools/dicom-conformance").text
    assert "1.2.840.10008.5.1.4.1.1.2\n" in text
    assert "JPEG-LS Lossless Image Compression  " in text
    assert "  AE titles  " in text


def test_the_conformance_statement_says_what_is_in_force(start_server, tmp_path):
    server = start_server(
        "--set=dicom.aet=ELSEWHERE",
        "--set=dicom.accepted_sop_classes=1.2.840.10008.5.1.4.1.1.2",
        "--set=dicomweb.root=/web",
        "--set=dicomweb.max_results=77",
        "--set=dicomweb.default_transfer_syntax=stored",
    )
    page = server.http.get("/conformance-statement")
    assert page.headers["content-type"].startswith("text/html")
    assert '<a href="conformance-statement">' in server.http.get("/").text
    written = tmp_path / "statement.json"
    done = vna("conformance-statement", "--format=json", f"-o{written}", f"--url={server.url}")
    assert done.returncode == 0, done.stderr
    document = json.loads(written.read_text())
    tables = {section["Title"]: section["Table"] for section in document["Sections"]}
    network = {row["Property"]: row["Value"] for row in tables["DICOM network"]}
    assert network["AE titles"] == "ELSEWHERE"
    stored = tables["Storage SOP classes, as SCP and SCU"]
    assert stored == [{"SOP class": "CT Image Storage", "UID": "1.2.840.10008.5.1.4.1.1.2"}]
    web = {(row["Method"], row["Resource"]) for row in tables["DICOMweb resources"]}
    described = server.get("/openapi.json")["paths"]
    wanted = {path for path in described if path.startswith("/web")}
    assert {path for _, path in web if path.startswith("/web")} == wanted
    for section in document["Sections"]:
        assert section["Title"] in page.text
    behaviour = {row["Property"]: row["Value"] for row in tables["DICOMweb behaviour"]}
    assert behaviour["Most results of a search"] == "77"
    assert behaviour["Without a transfer syntax"] == "as stored"
    assert "1.2.840.10008.1.2.4.201" in behaviour["Transfer syntaxes that can be asked for"]
    assert "A901" in {row["Reason"] for row in tables["DICOMweb failure and warning reasons"]}
    assert ":path" not in str(tables["DICOMweb parameters"])
    assert server.http.get("/conformance-statement?format=pdf").status_code == 406
    text = server.http.get("/conformance-statement", headers={"Accept": "text/plain"}).text
    assert "CT Image Storage" in text


def test_the_default_encoding_is_told_and_others_are_refused(server):
    path = "/tools/default-encoding"
    assert server.http.get(path).text == "Latin1"
    for name in ("Latin1", "latin1", "Ascii"):
        assert server.http.put(path, content=name).text == "Latin1"
    assert refused(server.http.put(path, content="Utf8")) == (501, 2)
    for name in ("Nope", "", "\xff"):
        assert refused(server.http.put(path, content=name.encode())) == (400, 3)


def test_scripts_of_requests_are_not_run(server):
    assert refused(server.http.post("/tools/execute-script", content="print(1)")) == (403, 45)


def test_a_file_is_written_below_the_folder_that_is_allowed_and_nowhere_else(server):
    path = f"/instances/{server.instance}/export"
    (server.folder / "out").symlink_to("/tmp")
    for name in ("one.dcm", "below/ö.dcm", str(server.folder / "below" / "two.dcm"), "one.dcm"):
        answer = server.http.post(path, content=name.encode())
        assert (answer.status_code, answer.json()) == (200, {}), name
        assert (server.folder / name).read_bytes() == ct_small()
    for name in ("../x.dcm", "/tmp/x.dcm", "below/../../x.dcm", "out/x.dcm"):
        assert refused(server.http.post(path, content=name)) == (403, 45), name
    for name in ("", "below", "nowhere/x.dcm", "a\0b", "x" * 5000):
        assert refused(server.http.post(path, content=name))[0] == 400, name
    assert refused(server.http.post(path, content="x" * 300 + ".dcm"))[0] == 500
    missing = "/instances/00000000-00000000-00000000-00000000-00000000/export"
    assert refused(server.http.post(missing, content="x.dcm")) == (404, 17)
    files = sorted(str(p.relative_to(server.folder)) for p in server.folder.rglob("*"))
    assert files == ["below", "below/two.dcm", "below/ö.dcm", "one.dcm", "out"]


def test_without_a_folder_nothing_is_written(start_server, tmp_path):
    server = start_server()
    instance = server.upload(ct_small())["ID"]
    answer = server.http.post(f"/instances/{instance}/export", content=str(tmp_path / "x.dcm"))
    assert refused(answer) == (403, 45)
    assert not list(tmp_path.iterdir())


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_server_begins_anew_and_ends_by_request(start_server):
    server = start_server("--set=dicom.aet=FIRST")
    stored = server.upload(ct_small())["ID"]
    announced = server.root / "server.json"
    before = announced.read_text()
    assert server.http.post("/tools/reset").json() == {}
    until(lambda: announced.exists() and announced.read_text() != before)
    again = start_again(server)
    assert again.get("/system")["DicomAet"] == "FIRST"
    assert again.file(stored) == ct_small()
    assert again.http.post("/tools/shutdown").json() == {}
    assert server.process.wait(60) == 0
    assert server.output().count("stopped\n") >= 2


def start_again(server):
    """Speak to the process that took the place of the first; its ports are new."""
    import json

    import httpx

    announced = json.loads((server.root / "server.json").read_text())
    assert announced["pid"] == server.process.pid
    server.http.close()
    server.http = httpx.Client(base_url=announced["http"], timeout=60)
    return server


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"http.host": "0.0.0.0"}, "there is no user yet"),
        ({"http.host": "::"}, "there is no user yet"),
        ({"http.host": "0.0.0.0", "http.authentication": "on"}, "there is no user yet"),
        ({"http.host": "0.0.0.0", "http.authentication": "off"}, "it is off, and http.host"),
        (
            {"http.host": "0.0.0.0", "http.server": "uvicorn"},
            "there is no user yet",
        ),
    ],
)
def test_nobody_listens_wide_without_asking_who_is_there(tmp_path, flags, problem):
    options = [f"--set={key}={value}" for key, value in flags.items()]
    done = subprocess.run(
        [VNA, "serve", f"--root={tmp_path / 'data'}", "--http-port=0", "--dicom-port=0", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={key: value for key, value in os.environ.items() if not key.startswith("VNA__")},
    )
    assert done.returncode != 0
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
