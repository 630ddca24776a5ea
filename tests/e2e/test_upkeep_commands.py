"""`vna deleted`, `undelete`, `erase`, `compact` as processes: beside a server and without one."""

import json

import pytest
from pydicom.uid import generate_uid
from support import make_instance
from support_cli import on_terminal, vna


def store_and_delete(server, *files):
    """Store a study, delete it, and return its id and those of its instances."""
    study_uid, series_uid = generate_uid(), generate_uid()
    stored = [
        server.upload(make_instance(study_uid, series_uid, **attributes)) for attributes in files
    ]
    study = stored[0]["ParentStudy"]
    assert server.http.delete(f"/studies/{study}").status_code == 200
    return study, [each["ID"] for each in stored]


@pytest.fixture(params=["running", "stopped"])
def archive(request, start_server):
    """An archive with a deleted study of two instances: its folder and the study's id."""
    server = start_server()
    study, _ = store_and_delete(server, {"StudyDescription": "Thorax \x1b[31m"}, {})
    if request.param == "stopped":
        assert server.stop() == 0
    return server.root, study


def test_what_was_deleted_is_listed_and_comes_back(archive):
    root, study = archive
    listed = vna("deleted", "--root", root)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "P1" in listed.stdout
    [entry] = json.loads(vna("deleted", "--json", "--root", root).stdout)
    assert entry["ID"] in listed.stdout.replace("\n", "")

    back = vna("undelete", study, "--root", root)
    assert (back.returncode, back.stdout, back.stderr) == (0, "2 instances restored\n", "")
    again = vna("undelete", study, "--root", root, "--json")
    assert again.returncode == 3
    assert json.loads(again.stdout)["Unknown"] == [study]
    assert again.stderr.startswith(f"vna: {study}: nothing was deleted")
    none = vna("deleted", "--root", root)
    assert none.stdout == "nothing was deleted that could be brought back\n"


def test_erasing_asks_before_and_compacting_wins_the_space(archive):
    root, _ = archive
    nobody = vna("erase", "--all", "--root", root)
    assert (nobody.returncode, nobody.stdout) == (2, "")
    assert "--yes" in nobody.stderr
    refused = on_terminal("erase", "--all", "--root", root, answer="n\n")
    assert refused.returncode == 1
    assert "Erase 1 deletion" in refused.text
    assert "nothing was erased" in refused.text
    assert len(json.loads(vna("deleted", "--json", "--root", root).stdout)) == 1

    agreed = on_terminal("erase", "--all", "--root", root, answer="y\n")
    assert agreed.returncode == 0
    assert "1 deletion erased" in agreed.text
    compacted = vna("compact", "--root", root)
    assert compacted.returncode == 0
    assert json.loads(vna("compact", "--json", "--root", root).stdout) == []
    assert json.loads(vna("deleted", "--json", "--root", root).stdout) == []


def test_what_the_table_shows_of_others_is_no_command_for_the_terminal(start_server):
    server = start_server()
    study, _ = store_and_delete(server, {"PatientID": "[red]title\x07"})
    shown = on_terminal("deleted", "--url", server.url, columns=300)
    assert "[red]title\\x07" in shown.text
    narrow = on_terminal("deleted", "--url", server.url, columns=30)
    assert narrow.returncode == 0
    [entry] = server.get("/tools/deleted")
    erased = vna("erase", entry["ID"], "--yes", "--url", server.url, "--json")
    assert json.loads(erased.stdout) == {"Erased": 1, "Unknown": []}
    assert vna("erase", study, "--yes", "--url", server.url).returncode == 3


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["undelete"], 2),
        (["erase"], 2),
        (["erase", "--all", "x"], 2),
        (["compact", "--below", "0"], 2),
        (["compact", "--below", "x"], 2),
        (["deleted", "--url", "ftp://example.org"], 2),
        (["deleted", "--url", "http://[::1"], 2),
        (["deleted", "--url", "http://127.0.0.1:1"], 4),
        (["deleted", "--root", "nowhere"], 3),
        (["compact", "--root", "nowhere"], 3),
        (["check", "--root", "nowhere"], 3),
        (["reindex", "--root", "nowhere"], 3),
    ],
)
def test_wrong_usage_wrong_folders_and_wrong_addresses_have_statuses(arguments, status, tmp_path):
    done = vna(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("vna: ")
    assert list(tmp_path.iterdir()) == [], "a command that looks at an archive makes none"
