"""`vna dump`: what it shows is what pydicom reads, damaged files as far as they go."""

import base64
import io
import json
import os
import struct
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from vna.cli.dump.filters import parse
from vna.cli.main import run
from vna.errors import BadRequest

FOLDER = Path(pydicom.__file__).parent / "data"
VNA = Path(sys.executable).with_name("vna")
# pydicom shows another tree: an element that is there twice, UN that it takes for a sequence.
OTHERWISE = {"winter.dcm", "rtdose_rle.dcm", "rtdose_rle_1frame.dcm"}


def dumped(capsys, *arguments):
    """Run `vna dump --json`; return its status and document."""
    capsys.readouterr()
    status = run(["dump", "--json", *map(str, arguments)])
    return status, json.loads(capsys.readouterr().out)


def tree_of(elements):
    return [
        (
            element["tag"],
            [tree_of(item.get("elements", [])) for item in element.get("items", [])],
        )
        for element in elements
    ]


def tree_of_pydicom(data_set):
    return [
        (
            f"{tag.group:04X},{tag.element:04X}",
            [tree_of_pydicom(item) for item in data_set[tag].value]
            if data_set[tag].VR == "SQ"
            else [],
        )
        for tag in sorted(data_set.keys())
    ]


def files_of_pydicom():
    found = [path for path in FOLDER.rglob("*") if path.is_file()]
    is_dicom = [path for path in found if path.read_bytes()[128:132] == b"DICM"]
    return sorted(path for path in is_dicom if path.name not in OTHERWISE)


def test_the_tree_of_every_file_of_pydicom_is_that_of_pydicom(capsys):
    compared = 0
    for path in files_of_pydicom():
        status, document = dumped(capsys, path)
        if status:
            assert document["error"]["message"]
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = pydicom.dcmread(path)
            assert tree_of(document["elements"]) == tree_of_pydicom(read), path
            assert tree_of(document["meta"]) == tree_of_pydicom(read.file_meta), path
        compared += 1
    assert compared > 120


def test_names_are_those_that_pydicom_decodes(capsys):
    compared = 0
    for path in sorted(FOLDER.glob("charset_files/*.dcm")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = pydicom.dcmread(path)
            read.decode()
        _, document = dumped(capsys, path, "--tag", "PatientName", "--full")
        found = [e for e in document["elements"] if e["tag"] == "0010,0010"]
        # pydicom leaves out component groups that are empty at the end.
        names = [name.rstrip("=") for e in found for name in e["value"]]
        assert names == [str(read.get("PatientName"))] * len(found), path
        compared += len(found)
    assert compared > 10


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    """Let nobody say how wide a terminal is: who runs tests in several processes does."""
    monkeypatch.delenv("COLUMNS", raising=False)


def made(syntax=ExplicitVRLittleEndian, **attributes):
    """Return a file with sequences, private elements and numbers of every kind."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    data.PatientID, data.PatientName = "P1", "A^B"
    data.SpecificCharacterSet = "ISO_IR 192"
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3.4"
    inner.PatientID = "INNER"
    data.ReferencedStudySequence = [inner, Dataset(), inner]
    data.add_new(0x00291010, "LO", "taken for itself")
    data.private_block(0x0029, "VNA TEST", create=True).add_new(0x10, "US", 7)
    data.RecommendedDisplayFrameRateInFloat = 0.1
    data.EventTimeOffset = 1 / 3
    data.FrameIncrementPointer = [0x00181063, 0x00181065]
    data.SimpleFrameList = [1, 70000]
    data.RedPaletteColorLookupTableData = b"\x01\x02\x03\x04"
    data.PixelData = bytes(range(64)) * 100
    data["PixelData"].VR = "OB"
    for name, value in attributes.items():
        setattr(data, name, value)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
def test_values_are_the_same_in_every_encoding(syntax, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_bytes(made(syntax))
    status, document = dumped(capsys, file)
    assert status == 0
    assert document["is_deflated"] == (syntax == DeflatedExplicitVRLittleEndian)
    values = {e["name"]: e.get("value") for e in document["elements"] if "items" not in e}
    assert values["PatientName"] == ["A^B"]
    assert values["EventTimeOffset"] == [1 / 3]
    assert values["RecommendedDisplayFrameRateInFloat"] == [pytest.approx(0.1)]
    assert values["FrameIncrementPointer"] == ["0018,1063", "0018,1065"]
    assert values["SimpleFrameList"] == [1, 70000]
    assert values["PixelData"] is None
    _, whole = dumped(capsys, file, "--full", "--pixel-data")
    assert base64.b64decode(whole["elements"][0]["base64"]) == bytes(range(64)) * 100
    run(["dump", str(file), "--full"])
    shown = capsys.readouterr().out
    assert " 0.1\n" in shown
    # In implicit VR the dictionary says OW: words.
    assert "00\\01\\02\\03" in shown or "0100\\0302" in shown
    assert "0201\\0403" in shown or "0102\\0304" in shown


def test_offsets_are_those_of_the_bytes(tmp_path, capsys):
    file = tmp_path / "file"
    data = made()
    file.write_bytes(data)
    _, document = dumped(capsys, file)
    checked = 0
    stack = document["meta"] + document["elements"]
    while stack:
        element = stack.pop()
        stack += element.get("items", []) + element.get("elements", [])
        if "tag" in element:
            group, number = (int(part, 16) for part in element["tag"].split(","))
            at = element["offset"]
            assert data[at : at + 4] == struct.pack("<HH", group, number)
            checked += 1
        else:
            assert data[element["offset"] :][:4] == b"\xfe\xff\x00\xe0"
    assert checked > 20


def test_a_file_cut_off_anywhere_is_shown_up_to_there_and_an_error(tmp_path, capsys):
    data = made(ExplicitVRLittleEndian)
    start = data.index(b"\xe0\x7f\x10\x00OB") + 12
    (tmp_path / "whole").write_bytes(data)
    _, whole = dumped(capsys, tmp_path / "whole")
    cuts = [*range(1, start, 7), *range(start, len(data), 997)]
    complete = 0
    for end in cuts:
        (tmp_path / "part").write_bytes(data[:end])
        status, document = dumped(capsys, tmp_path / "part")
        found = tree_of(document["elements"])
        # Cut between two elements of the data set, nothing tells that more was there.
        if status == 0:
            assert document["error"] is None
            complete += 1
        else:
            assert document["error"]["message"]
            assert document["error"]["offset"] is None or document["error"]["offset"] <= end
        names = [tag for tag, _ in found]
        assert names == [tag for tag, _ in tree_of(whole["elements"])][: len(names)]
        assert run(["dump", str(tmp_path / "part")]) == status
        last = capsys.readouterr().out.splitlines()[-1]
        assert last.startswith("! ") == (status == 1)
    assert 0 < complete < 30
    assert len(cuts) > 50


def test_what_encloses_a_match_is_shown_and_nothing_else(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_bytes(made())

    def found(*patterns):
        arguments = [each for pattern in patterns for each in ("--tag", pattern)]
        status, document = dumped(capsys, file, *arguments)
        return status, [
            (
                e["tag"],
                [[i["tag"] for i in item.get("elements", [])] for item in e.get("items", [])],
            )
            for e in document["meta"] + document["elements"]
        ]

    sequence = "0008,1110"
    assert found("PatientID") == (0, [(sequence, [["0010,0020"]] * 2), ("0010,0020", [])])
    assert found("0010-0020", "00080018")[1][0] == ("0008,0018", [])
    assert found("ReferencedStudySequence.PatientID") == (0, [(sequence, [["0010,0020"]] * 2)])
    assert found(f"{sequence}[2].0008,1155") == (0, [(sequence, [["0008,1155"]])])
    assert found("0008-1110/2/0008-1155") == (0, [(sequence, [["0008,1155"]])])
    assert found(f"{sequence}[0]") == (0, [(sequence, [["0008,1155", "0010,0020"]])])
    both = ["0008,1155", "0010,0020"]
    assert found(sequence)[1] == [(sequence, [both, [], both])]
    assert found("TransferSyntaxUID") == (0, [("0002,0010", [])])
    assert found("StudyDate") == (3, [])
    assert found(f"{sequence}[7]") == (3, [])


@pytest.mark.parametrize("text", ["", "PatientsName", "0010,00", "A[0].PatientID", "PatientID[x]"])
def test_a_filter_that_names_no_element_is_told(text):
    with pytest.raises(BadRequest, match="it takes PatientID, 0010,0020 or"):
        parse(text)


def test_fragments_are_shown_with_their_sizes(capsys):
    path = get_testdata_file("JPEG2000.dcm")
    _, document = dumped(capsys, path, "--pixel-data")
    [pixel_data] = document["elements"]
    read = pydicom.dcmread(path)
    fragments = list(pydicom.encaps.generate_fragments(read.PixelData))
    assert [f["length"] for f in pixel_data["fragments"]] == [0, *map(len, fragments)][
        -len(pixel_data["fragments"]) :
    ]
    run(["dump", path, "--pixel-data"])
    shown = capsys.readouterr().out
    assert "offset table" in shown
    assert "fragment 1" in shown


def test_private_elements_have_the_names_of_the_configuration(tmp_path, capsys):
    file, configuration = tmp_path / "file", tmp_path / "vna.toml"
    file.write_bytes(made(ImplicitVRLittleEndian))
    configuration.write_text(
        '[[dictionary.private]]\ntag = "0029,0010"\nvr = "US"\nname = "Answer"\n'
        'creator = "VNA TEST"\n'
    )
    _, document = dumped(capsys, file, "--config", configuration)
    [found] = [e for e in document["elements"] if e.get("creator") == "VNA TEST"]
    assert (found["name"], found["vr"], found["value"]) == ("Answer", "US", [7])
    run(["dump", str(file), "--config", str(configuration)])
    assert "Answer [VNA TEST]" in capsys.readouterr().out
    run(["dump", str(file)])
    assert " [VNA TEST]" in capsys.readouterr().out


def test_values_cannot_command_a_terminal(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_bytes(made(PatientComments="a\x1b]0;b\x07\x9b1m"))
    run(["dump", str(file)])
    shown = capsys.readouterr().out
    assert not any(ord(char) < 32 and char != "\n" for char in shown)
    assert "\\x07" in shown


def test_standard_input_and_pipes_are_read(tmp_path):
    data = made()
    done = subprocess.run([VNA, "dump", "-"], input=data, capture_output=True, timeout=60)
    assert done.returncode == 0
    assert b"PatientID" in done.stdout
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[data])
    writer.start()
    done = subprocess.run([VNA, "dump", tmp_path / "pipe"], capture_output=True, timeout=60)
    writer.join()
    assert done.returncode == 0
    assert b"PatientID" in done.stdout


def test_a_file_of_many_gigabytes_is_shown_in_little_memory(tmp_path):
    file = tmp_path / "file"
    head = made()
    # PixelData of 4 GB, which the disk need not hold.
    at = head.index(b"\xe0\x7f\x10\x00OB\0\0") + 8
    file.write_bytes(head[:at] + struct.pack("<I", 0xFFFF_FFFE))
    with file.open("r+b") as sparse:
        sparse.truncate(at + 4 + 0xFFFF_FFFE)
    program = (
        "import re, sys; from vna.cli.main import run; "
        f"status = run(['dump', {str(file)!r}]); "
        # Not ru_maxrss, which remembers the process that this one was forked from.
        "status_of_process = open('/proc/self/status').read(); "
        r"print(re.search(r'VmHWM:\s+(\d+)', status_of_process)[1], file=sys.stderr); "
        "sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert done.returncode == 0
    assert b"4294967294" in done.stdout
    assert int(done.stderr) < 200_000, "kB of memory"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 2),
        (["nowhere.dcm"], 3),
        (["."], 2),
        (["file", "--tag", "NoSuchKeyword"], 2),
        (["file", "file"], 2),
        (["x", "--url", "http://127.0.0.1:1"], 2),
        (["0" * 8 + "-00000000" * 4, "--url", "http://127.0.0.1:1"], 4),
        (["0" * 8 + "-00000000" * 4], 3),
    ],
)
def test_what_cannot_be_dumped_is_one_message_and_a_status(
    arguments, status, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(made())
    assert run(["dump", *arguments]) == status
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("vna: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_what_is_no_dicom_is_told(tmp_path, capsys):
    (tmp_path / "text").write_text("This is a letter and no image, which anybody can see.")
    assert run(["dump", str(tmp_path / "text")]) == 1
    assert "vna: " in capsys.readouterr().err


def test_a_keyword_of_a_repeating_group_is_one_for_the_filter():
    for keyword in ("PixelData", "OverlayData", "SelectorAttribute"):
        [(tag, _)] = parse(keyword)
        assert dictionary_VR(tag)
