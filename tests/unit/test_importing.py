"""What `vna import` takes from a disk, and what it says became of it."""

import contextlib
import io
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from support import ct_small, make_instance
from support_uploads import archive_of

import vna
from vna.cli.importing.journal import Journal, mark
from vna.cli.importing.orthanc import inflated
from vna.cli.importing.remote import Sender
from vna.cli.importing.sources import sources_of
from vna.cli.importing.summary import MAX_LINES, Summary
from vna.cli.main import run
from vna.cli.remote import Remote
from vna.errors import OutOfStorage, Unreachable
from vna.settings import Settings, Storage


def names(paths, failed=pytest.fail):
    return [source.path for source in sources_of(paths, failed)]


def test_folders_are_walked_in_a_steady_order_and_links_to_nothing_passed_over(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/2", "b/1", "a", "c"):
        (tmp_path / name).write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert names([tmp_path]) == [f"{tmp_path}/{name}" for name in ("a", "b/1", "b/2", "c")]


def test_links_to_folders_are_followed_only_where_they_are_given(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("")
    (tmp_path / "real/round").symlink_to(tmp_path / "real")
    (tmp_path / "given").symlink_to(tmp_path / "real")
    told = []
    found = names([tmp_path / "given"], lambda path, error: told.append((path.name, str(error))))
    assert found == [f"{tmp_path}/given/file"]
    assert told == [("round", "a link to a folder, not followed")]


UUIDS = [f"{number:08x}-1111-2222-3333-444455556666" for number in range(0x12345678, 0x1234567E)]


def orthanc_storage(folder, files):
    """Write what an Orthanc with StorageCompression has: its index, and files of (type, bytes)."""
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(folder / "index")) as index, index:
        index.execute("CREATE TABLE AttachedFiles (id INTEGER, fileType INTEGER, uuid TEXT)")
        for number, (kind, content) in enumerate(files):
            uuid = UUIDS[number]
            index.execute("INSERT INTO AttachedFiles VALUES (?, ?, ?)", (number, kind, uuid))
            path = folder / uuid[:2] / uuid[2:4] / uuid
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(len(content).to_bytes(8, "little") + zlib.compress(content))
    return folder


def test_of_an_orthanc_its_instances_are_taken_and_what_it_compressed_is_read(tmp_path, capsys):
    files = [Path(get_testdata_file(name)).read_bytes() for name in ("CT_small.dcm", "rtplan.dcm")]
    # The part before the pixel data comes first: taken for the instance, it would stand for it.
    stored = [(3, files[0][:6288]), *((1, file) for file in files), (1, files[0] * 2)]
    folder = orthanc_storage(tmp_path / "storage", stored)
    broken = folder / UUIDS[3][:2] / UUIDS[3][2:4] / UUIDS[3]
    broken.write_bytes(broken.read_bytes()[:-20])
    status, out, _ = vna_import(capsys, folder, f"--root={tmp_path / 'data'}", "--json")
    told = json.loads(out)
    assert (status, told["Stored"], told["Refused"], told["Failed"]) == (0, 2, 1, 0)
    with vna.open(tmp_path / "data") as archive:
        assert {each.file() for each in archive.instances()} == set(files)


def test_without_its_index_nothing_that_an_orthanc_compressed_is_taken(tmp_path):
    ct = Path(get_testdata_file("CT_small.dcm")).read_bytes()
    folder = orthanc_storage(tmp_path / "storage", [(3, ct[:6288]), (1, ct)])
    (folder / "index").unlink()
    told = []
    assert names([folder], lambda path, error: told.append(str(error))) == []
    assert len(told) == 2
    assert all("only its index" in each for each in told)
    (folder / "index").write_bytes(b"SQLite format 3\0" + bytes(4096))
    assert names([folder], lambda path, error: told.append(path.name)) == []
    assert told[2:] == ["index"]


@pytest.mark.parametrize(
    ("packed", "problem"),
    [
        (lambda content: (9).to_bytes(8, "little") + content, "more than the 9 bytes"),
        (lambda content: (11).to_bytes(8, "little") + content, "has 10 bytes, not the 11"),
        (lambda content: (10).to_bytes(8, "little") + content[:-1], "ends early"),
        (lambda content: (10).to_bytes(8, "little") + content[:-1] + b"x", "damaged"),
        (lambda content: (1 << 40).to_bytes(8, "little") + content, "more than 1000"),
    ],
)
def test_a_compressed_file_that_lies_or_is_damaged_says_so(packed, problem):
    content = zlib.compress(b"0123456789")
    with inflated(io.BytesIO((10).to_bytes(8, "little") + content), 1000) as plain:
        assert plain.read() == b"0123456789"
    with pytest.raises(ValueError, match=problem):
        inflated(io.BytesIO(packed(content)), 1000)


def test_a_folder_that_cannot_be_read_is_told_and_the_rest_imported(tmp_path, monkeypatch):
    for name in ("a/1", "b/2", "c/3"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    listdir = os.listdir

    def guarded(path):  # permissions do not hold for root, who may be running this
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", guarded)
    failures = []
    found = names([tmp_path], lambda path, error: failures.append(path))
    assert found == [f"{tmp_path}/a/1", f"{tmp_path}/c/3"]
    assert failures == [tmp_path / "b"]


@pytest.fixture
def medium(tmp_path):
    """Return a copy of a medium whose names have another case than its DICOMDIR says."""
    source = Path(get_testdata_file("DICOMDIR")).parent
    folder = tmp_path / "medium"
    shutil.copytree(source, folder)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.name != "DICOMDIR":
            path.rename(path.with_name(path.name.lower()))
    return folder


def test_a_dicomdir_stands_for_the_files_that_it_lists_whatever_their_case(medium):
    found = names([medium / "DICOMDIR"])
    assert len(found) == len(set(found)) == 31
    assert all(Path(name).is_file() for name in found)
    assert f"{medium}/77654033/cr1/6154" in found


def test_a_dicomdir_leads_nowhere_but_below_its_folder(medium, tmp_path):
    (tmp_path / "secret").write_bytes(make_instance())
    directory = (medium / "DICOMDIR").read_bytes()
    for other in (b"..\\secret\\..\\6154"[:13].ljust(13), b"..\\secret     ", b"/etc/passwd   "):
        changed = directory.replace(b"77654033\\CR1\\6154 ", other.ljust(18)[:18], 1)
        assert changed != directory
        (medium / "DICOMDIR").write_bytes(changed)
        failures = {}
        found = names([medium / "DICOMDIR"], failures.__setitem__)
        assert len(found) == 30
        assert len(failures) == 1
        assert str(tmp_path / "secret") not in found
    # A link out of the medium is no way either.
    (medium / "DICOMDIR").write_bytes(directory)
    (medium / "77654033/cr1/6154").unlink()
    (medium / "77654033/cr1/6154").symlink_to(tmp_path / "secret")
    failures = []
    assert len(names([medium / "DICOMDIR"], lambda path, error: failures.append(error))) == 30
    assert "out of the medium" in str(failures[0])


def test_a_file_is_done_until_it_changes_and_a_journal_ends_with_its_import(tmp_path):
    settings = Settings(storage=Storage(root=str(tmp_path / "data")))
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")

    def journal():
        return Journal.of(settings, None, 1, [tmp_path])

    first, second = list(sources_of([tmp_path], pytest.fail))
    one = journal()
    one.add([first])
    one.end(is_complete=False)
    one = journal()
    assert one.has(first)
    assert not one.has(second)
    one.add([second])
    one.end(is_complete=False)
    file = next((tmp_path / "data/imports").iterdir())
    file.write_bytes(file.read_bytes()[:-1])  # cut off by a crash
    one = journal()
    assert (one.has(first), one.has(second)) == (True, False)
    one.add([second])
    one.end(is_complete=False)
    os.utime(tmp_path / "a", ns=(1, 1))
    changed = next(sources_of([tmp_path], pytest.fail))
    one = journal()
    assert (one.has(changed), one.has(second)) == (False, True)
    assert mark(changed) != mark(first)
    one.end(is_complete=True)
    assert journal().count == 0


def vna_import(capsys, *arguments):
    """Run the command; returns status, what it printed, what it told."""
    status = run(["import", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_the_summary_says_what_became_of_all(tmp_path, capsys):
    media = tmp_path / "media"
    media.mkdir()
    whole = make_instance(patient="A")
    (media / "1.dcm").write_bytes(whole)
    (media / "2.zip").write_bytes(
        archive_of(("x/", b""), ("x/1.dcm", whole), ("x/2.dcm", make_instance()), ("r", b"text"))
    )
    (media / "3.dcm").write_bytes(ct_small()[:400])
    (media / "4.dcm").write_bytes(whole[:-2] + b"\1\2")
    (media / "5.txt").write_text("no DICOM at all")
    shutil.copy(get_testdata_file("DICOMDIR"), media / "DICOMDIR")
    root = f"--root={tmp_path / 'data'}"
    status, out, err = vna_import(capsys, media, root, "--json")
    assert status == 0
    found = json.loads(out)
    counts = {key: found[key] for key in ("Stored", "Duplicate", "Conflicting", "Skipped")}
    assert counts == {"Stored": 2, "Duplicate": 1, "Conflicting": 1, "Skipped": 1}
    assert (found["Refused"], found["Failed"]) == (3, 0)
    assert found["Conflicts"][0]["Path"] == str(media / "4.dcm")
    assert f"{media / '5.txt'}: not stored: " in err
    assert f"{media / '2.zip'}: r: not stored: " in err
    assert f"{media / '4.dcm'}: conflicting: " in err
    status, out, err = vna_import(capsys, media, root)
    assert status == 0
    assert out.startswith("3 duplicate, 1 conflicting, 1 skipped, 3 refused: ")
    assert f"refused: 1 file.not_dicom, such as {media / '5.txt'}\n" in out


def test_nothing_to_import_and_nothing_there_have_a_status_of_their_own(tmp_path, capsys):
    root = f"--root={tmp_path / 'data'}"
    (tmp_path / "empty").mkdir()
    assert vna_import(capsys, tmp_path / "empty", root)[:2] == (3, "no files found\n")
    status, _, err = vna_import(capsys, tmp_path / "missing", root)
    assert (status, err) == (3, f"vna: no such file or folder: {tmp_path / 'missing'}\n")
    (tmp_path / "text").write_text("no DICOM at all")
    assert vna_import(capsys, tmp_path / "text", root)[0] == 1


def test_a_file_that_cannot_be_read_is_a_failure_of_the_import(tmp_path, capsys):
    (tmp_path / "1.dcm").write_bytes(make_instance())
    broken = tmp_path / "2.zip"
    broken.write_bytes(archive_of(("1", make_instance()))[:-30])
    status, out, err = vna_import(capsys, broken, f"--root={tmp_path / 'data'}")
    assert (status, out.split(":")[0]) == (1, "1 refused")
    assert "it was cut off" in err


def test_an_import_that_was_interrupted_goes_on_where_it_was(tmp_path, capsys):
    media = tmp_path / "media"
    media.mkdir()
    for number in range(40):
        (media / f"{number}.dcm").write_bytes(make_instance(number=number + 1))
    # As Ctrl-C does, once the first batch is stored.
    program = f"""
import os, signal
from vna.cli.importing import run
run.BATCH_FILES = 1
take = run.Run._take
def taking(self, *given):
    take(self, *given)
    if not self._summary.was_interrupted:
        os.kill(os.getpid(), signal.SIGINT)
run.Run._take = taking
from vna.cli.main import main
main(["import", {str(media)!r}, "--root={tmp_path / "data"}"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert "the same command again goes on" in done.stderr
    stored = int(done.stdout.split()[0])
    assert 0 < stored < 40
    status, out, _ = vna_import(capsys, media, f"--root={tmp_path / 'data'}", "--json")
    found = json.loads(out)
    assert status == 0
    assert (found["Resumed"], found["Stored"], found["Duplicate"]) == (stored, 40 - stored, 0)
    assert not list((tmp_path / "data/imports").iterdir())


def test_many_refusals_are_counted_and_some_told(capsys):
    summary = Summary()
    for number in range(3 * MAX_LINES):
        summary.add(f"{number}\x1b[2J", {"Status": "Failure", "Code": "x.y", "Details": "no"})
    err = capsys.readouterr().err
    assert err.count("\n") == MAX_LINES + 1
    assert "\x1b" not in err
    summary.show(as_json=False)
    assert f"refused: {3 * MAX_LINES} x.y" in capsys.readouterr().out


@contextlib.contextmanager
def peer(*answers):
    """Yield a sender to a server that gives each connection one answer and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Sender(Remote(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        thread.join(10)


def http(status, body):
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


STORED = http(200, '[{"Status":"Success"}]')


def test_a_kept_connection_that_the_server_closed_is_made_anew():
    with peer(STORED, STORED) as sender:
        for _ in range(2):
            assert sender.send_together([b"x"]) == [{"Status": "Success"}]


def test_an_answer_that_is_no_http_means_that_no_archive_is_there():
    with peer(b"SSH-2.0-OpenSSH\r\n") as sender, pytest.raises(Unreachable):
        sender.send_together([b"x"])


def test_a_busy_server_is_asked_again(monkeypatch):
    monkeypatch.setattr("vna.cli.importing.remote.BUSY_PAUSE_S", 0.01)
    with peer(http(503, "{}"), STORED) as sender:
        assert sender.send_together([b"x"]) == [{"Status": "Success"}]


def test_a_full_server_ends_the_import_and_one_that_fails_is_a_failure_of_its_files():
    with peer(http(507, '{"Details":"no room"}')) as sender, pytest.raises(OutOfStorage):
        sender.send_together([b"x"])
    with peer(http(500, '{"Details":"see the log","Code":"internal"}')) as sender:
        (answer,) = sender.send_together([b"x"])
    assert answer == {"Status": "Failed", "Code": "internal", "Details": "see the log"}


def test_a_refusal_before_the_body_is_read_is_told_instead_of_the_broken_pipe(tmp_path):
    (tmp_path / "large").write_bytes(bytes(50_000_000))
    with peer(http(413, '{"Details":"over limit"}')) as sender, open(tmp_path / "large", "rb") as f:
        assert sender.send_file(f, 50_000_000)["Details"] == "over limit"
