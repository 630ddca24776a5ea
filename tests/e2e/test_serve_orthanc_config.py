"""An Orthanc's configuration on our command line: what it prints, how it starts us."""

import json

from support import Server
from support_cli import vna

SITE = """{
  // what a site has
  "Name": "Here", "DicomAet": "SITE", "StorageDirectory": "db", "HttpDescribeErrors": false,
  "RegisteredUsers": {"alice": "pw"}, "LuaScripts": ["a.lua"], "DicomAett": "X",
  "DicomModalities": {"ct": ["CT", "h", 104]},
  "OrthancPeers": {"p": {"Url": "http://x", "HttpHeaders": {"A": "b"}}},
}"""


def test_the_toml_that_is_printed_is_the_same_configuration(tmp_path):
    file = tmp_path / "site.json"
    file.write_text(SITE)
    printed = vna("config", "--orthanc-config", file, cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    assert "pw" not in printed.stdout.replace("password", "")
    assert "#   LuaScripts: there is no Lua here" in printed.stdout
    assert "did you mean DicomAet?" in printed.stdout
    toml = tmp_path / "printed.toml"
    toml.write_text(printed.stdout)
    again = vna("config", "--config", toml, cwd=tmp_path)
    settings = [line for line in printed.stdout.splitlines() if line and line[0] != "#"]
    assert [line for line in again.stdout.splitlines() if line] == settings
    over = vna("config", "--orthanc-config", file, "--set=dicom.aet=FLAG", "--json", cwd=tmp_path)
    keys = {each["key"]: each for each in json.loads(over.stdout)}
    assert keys["dicom.aet"]["value"] == "FLAG"
    assert keys["http.name"]["source"] == f"{file}: Name"
    missing = vna("serve", "--orthanc-config", tmp_path / "nowhere.json", cwd=tmp_path)
    assert (missing.returncode != 0, "Traceback" in missing.stderr) == (True, False)
    assert "nowhere.json: cannot be read: No such file" in missing.stderr


def test_a_server_starts_with_it_and_says_what_has_no_effect(tmp_path):
    file = tmp_path / "site.json"
    file.write_text(SITE)
    server = Server(tmp_path / "data", f"--orthanc-config={file}")
    server.start()
    try:
        assert "has no effect key=LuaScripts" in server.output()
        assert "is unknown key=DicomAett" in server.output()
        assert "key=DicomAet " not in server.output()
        refused = server.http.get("/system")
        assert (refused.status_code, refused.content) == (401, b"")
        alice = ("alice", "pw")
        assert server.http.get("/system", auth=alice).json()["Name"] == "Here"
        unknown = server.http.get("/nothing", auth=alice)
        assert (unknown.status_code, unknown.content) == (404, b"")
        assert "content-type" not in unknown.headers
        assert server.http.delete("/modalities/ct", auth=alice).status_code == 200  # an admin
        assert server.http.get("/peers", auth=alice).json() == ["p"]
        # Who is in the configuration comes before who has the same name and another password.
        added = vna("user", "add", "alice", "--password-stdin", f"--root={server.root}",
                    data=b"another one\n")  # fmt: skip
        assert added.returncode == 0
        assert server.http.get("/peers", auth=("alice", "another one")).status_code == 401
    finally:
        assert server.stop() == 0
