"""The table stored transfer syntax x requested transfer syntax, over HTTP and DIMSE.

Each cell is asked of a running server for each object that the requested syntax can hold (PS3.5
§8.2): over HTTP, and where nothing is lost over C-GET by a requestor that takes nothing else. What
comes is decoded by pydicom's decoders, and its data set is checked by dciodvfy, which may say no
more of it than of the object as it was made.
"""

import io
import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet
from support import Server, awake, data_set_bytes
from support_dciodvfy import DCIODVFY
from support_peers import pynetdicom_role
from support_pixels import pixels_of
from support_ports import free_port
from support_samples import shared_data

from vna import _core

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore::UserWarning")]

EXPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
# What dciodvfy does not know, and what it is told instead: it looks at headers alone.
KNOWN_AS = {
    DEFLATED: EXPLICIT,
    "1.2.840.10008.1.2.1.98": "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.8.1": "1.2.840.10008.1.2.5",
}
IDENTIFIERS = {
    "SOPInstanceUID",
    "MediaStorageSOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
}
JPEG_BASELINE, JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"

SYNTAXES = [line for line in json.loads(_core.pixel_syntaxes()) if line["compression"] != "video"]
STORED = [line["uid"] for line in SYNTAXES if line["decodes"]]
REQUESTED = [line["uid"] for line in SYNTAXES if line["encodes"]]
LOSSY = {line["uid"] for line in SYNTAXES if line["compression"] == "lossy"}
# Multi-component JPEG 2000: there is no file of it, and nobody here who would write one.
NO_FILE = {"1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"}
# What we read but do not write: from the shared data, where it is there.
READ_ONLY = [uid for uid in STORED if uid not in REQUESTED]

# Lossy codecs at their usual settings, in grey levels of the object's own depth.
LARGEST_MEAN_ERROR = 0.05


def made(kind):
    """Return an object of a kind: what is stored in every syntax."""
    if kind == "gray16":
        data_set = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        # Twelve bits, unsigned: what every codec for more than eight bits takes.
        pixels = np.clip(data_set.pixel_array, 0, 4095).astype("<u2")
        data_set.BitsStored, data_set.HighBit, data_set.PixelRepresentation = 12, 11, 0
        data_set.RescaleIntercept = data_set.RescaleIntercept
        data_set.SmallestImagePixelValue = data_set.LargestImagePixelValue = None
        for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue"):
            if keyword in data_set:
                delattr(data_set, keyword)
    else:
        data_set = pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm"))
        pixels = np.ascontiguousarray(data_set.pixel_array[:97, :121])
        data_set.Rows, data_set.Columns = pixels.shape[:2]
        if kind == "gray8":
            pixels = np.ascontiguousarray(pixels[..., 1])
            data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 1, "MONOCHROME2"
            del data_set.PlanarConfiguration
    data_set.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    data_set["PixelData"].VR = "OW" if kind == "gray16" else "OB"
    return data_set


KINDS = {kind: made(kind) for kind in ("gray16", "gray8", "rgb8")}


def takes(uid, kind, bits_stored=12):
    """Tell whether a transfer syntax holds objects of a kind (PS3.5 §8.2, §A.4)."""
    if uid == JPEG_BASELINE:
        return kind != "gray16"
    # RGB of 8 bits is for the baseline; there is no lossy JPEG of more than 12.
    return uid != JPEG_EXTENDED or (kind != "rgb8" and bits_stored <= 12)


def written(data_set, uid):
    """Return a new instance of an object in a transfer syntax."""
    data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = generate_uid(), generate_uid()
    file = io.BytesIO()
    data_set.save_as(file, enforce_file_format=True)
    if uid == EXPLICIT:
        return file.getvalue()
    options = json.dumps({"allow_new_uid": True}).encode()
    return _core.transcode(file.getvalue(), transfer_syntax_uid=uid, options_json=options)


def stored_objects():
    """Return (stored syntax, kind, file) of everything that the table begins with."""
    found = []
    for uid in STORED:
        if uid in REQUESTED:
            kinds = [kind for kind in KINDS if takes(uid, kind)]
            found += [(uid, kind, written(KINDS[kind], uid)) for kind in kinds]
        elif shared_data():
            folder = shared_data() / "derived-transfer-syntaxes"
            for kind, name in (("gray16", "gray"), ("rgb8", "rgb")):
                for path in folder.glob(f"{name}_{uid}_*.dcm"):
                    found.append((uid, kind, renamed(path.read_bytes())))
    return found


def renamed(file):
    """Return a file under other UIDs of the same length: the shared ones may be one instance."""
    data_set = pydicom.dcmread(io.BytesIO(file))
    for uid in (data_set.SOPInstanceUID, data_set.StudyInstanceUID, data_set.SeriesInstanceUID):
        other = generate_uid()[: len(uid)].rstrip(".").ljust(len(uid), "1")
        file = file.replace(uid.encode(), other.encode())
    return file


VERDICTS = {}  # by what a verdict depends on


def header(data_set):
    """Return all that dciodvfy looks at of an object, but for the values of its own identifiers."""
    shown = [
        f"{element.tag} {element.VR} {len(element.value)}"
        if element.VR in ("OB", "OW") or element.keyword in IDENTIFIERS
        else str(element)
        for element in (*data_set.file_meta, *data_set)
        if not (element.keyword == "PixelData" and element.is_undefined_length)
    ]
    return "\n".join(shown)


def verdict(file, folder):
    """Count what dciodvfy says of a file, by kind of message, without values.

    Files of which it sees the same are shown to it once.
    """
    data_set = pydicom.dcmread(io.BytesIO(file))
    try:
        key = header(data_set)
    except BytesLengthException:  # a value that pydicom cannot show: nothing like it is known
        key = file
    if key not in VERDICTS:
        VERDICTS[key] = judged(data_set, file, folder)
    return VERDICTS[key]


def judged(data_set, file, folder):
    path = folder / f"{generate_uid()}.dcm"
    if data_set.file_meta.TransferSyntaxUID in KNOWN_AS:
        data_set.file_meta.TransferSyntaxUID = KNOWN_AS[data_set.file_meta.TransferSyntaxUID]
        data_set.save_as(path)
    else:
        path.write_bytes(file)
    command = [DCIODVFY, "-new", path]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    path.unlink()
    lines = [line for line in run.stderr.splitlines() if line.startswith("Error")]
    return Counter(line.split("=")[0] for line in lines)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    server = Server(
        tmp_path_factory.mktemp("table") / "data", "--set=dicom.accept_unknown_sop_classes=true"
    )
    running = server.start()
    running.http.put("/modalities/scu", json=["SCU", "127.0.0.1", free_port()])
    yield running
    server.stop()


def by_get(archive, stored, requested):
    """Return the instances that a C-GET brings to a requestor that takes one transfer syntax."""
    came = {}

    def store(event):
        assert event.context.transfer_syntax == requested
        came[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        return 0

    model = StudyRootQueryRetrieveInformationModelGet
    classes = sorted({head.SOPClassUID for head in stored})
    ae = AE("SCU")
    contexts = [build_context(uid, requested) for uid in classes]
    ae.requested_contexts = [build_context(model), *contexts]
    roles = [pynetdicom_role(uid) for uid in classes]
    handlers = [(evt.EVT_C_STORE, store)]
    association = ae.associate(
        "127.0.0.1", archive.dicom_port, ext_neg=roles, evt_handlers=handlers
    )
    assert association.is_established
    for head in stored:
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = head.StudyInstanceUID
        *_, (status, _) = awake(association).send_c_get(identifier, model)
        assert status.Status == 0, (requested, status)
    association.release()
    return came


class Stored:
    """One object in the archive, and what is known of it."""

    def __init__(self, archive, uid, kind, file, folder):
        self.uid, self.kind, self.file = uid, kind, file
        self.head = pydicom.dcmread(io.BytesIO(file))
        self.bits_stored = self.head.BitsStored
        self.id = archive.upload(file)["ID"]
        self.pixels = KINDS[kind].pixel_array if uid in REQUESTED else None
        # The decoded truth is what was encoded; after loss, what our own decompression gives, which
        # tests/property compares with other decoders.
        if uid in LOSSY or uid in READ_ONLY:
            native = archive.http.get(f"/instances/{self.id}/file", params={"transcode": EXPLICIT})
            assert native.status_code == 200, native.text
            self.pixels = pixels_of(native.content)
            # A codestream of more bits than the header says is taken at its word.
            self.bits_stored = pydicom.dcmread(io.BytesIO(native.content)).BitsStored
        self.verdict = verdict(file, folder)

    def fits(self, requested):
        return takes(requested, self.kind, self.bits_stored)


def check(stored, requested, file, folder):
    """Check one outcome."""
    head = pydicom.dcmread(io.BytesIO(file))
    case = (stored.uid, requested, stored.kind)
    assert head.file_meta.TransferSyntaxUID == requested, case
    is_new = requested in LOSSY and stored.uid != requested
    assert (head.SOPInstanceUID != stored.head.SOPInstanceUID) == is_new, case
    assert head.file_meta.MediaStorageSOPInstanceUID == head.SOPInstanceUID, case
    if is_new:
        assert head.LossyImageCompression == "01", case
    found = pixels_of(file).astype(int)
    wanted = stored.pixels.astype(int)
    assert found.shape == wanted.shape, case
    if requested in LOSSY or stored.uid in LOSSY:
        depth = 2**stored.head.BitsStored
        assert np.abs(found - wanted).mean() <= LARGEST_MEAN_ERROR * depth, case
    else:
        assert np.array_equal(found, wanted), case
    worse = verdict(file, folder) - stored.verdict
    assert not worse, (*case, worse)


def test_every_pair_of_transfer_syntaxes(archive, tmp_path, capsys):
    begin = [Stored(archive, *one, tmp_path) for one in stored_objects()]
    cells, over_http_came = {}, {}

    def over_http(stored, requested):
        path = f"/instances/{stored.id}/file"
        answer = archive.http.get(path, params={"transcode": requested})
        assert answer.status_code == 200, (stored.uid, requested, stored.kind, answer.text)
        check(stored, requested, answer.content, tmp_path)
        if requested not in LOSSY:
            over_http_came[stored.id, requested] = data_set_bytes(answer.content)
        return (stored.uid, requested), "H"

    pairs = [(one, uid) for uid in REQUESTED for one in begin if one.fits(uid)]
    with ThreadPoolExecutor(2) as pool:
        for cell, way in pool.map(lambda pair: over_http(*pair), pairs):
            cells.setdefault(cell, set()).add(way)
    for requested in sorted(set(REQUESTED) - LOSSY):
        came = by_get(archive, [one.head for one in begin], requested)
        for one in begin:
            # What was checked above came this way too.
            same = came[one.head.SOPInstanceUID] == over_http_came[one.id, requested]
            assert same, (one.uid, requested, one.kind)
            cells.setdefault((one.uid, requested), set()).add("D")
    with capsys.disabled():
        sys.stdout.write("\n" + table(cells) + "\n")
    rows = {uid for uid in STORED if uid in REQUESTED or shared_data()} - NO_FILE
    assert {one.uid for one in begin} == rows
    for stored in rows:
        for requested in REQUESTED:
            if not any(one.fits(requested) for one in begin if one.uid == stored):
                continue  # it was made of grey, or of colours, alone
            wanted = {"H"} if requested in LOSSY else {"H", "D"}
            assert cells.get((stored, requested)) == wanted, (stored, requested)


def table(cells):
    """Return the table as lines: H over HTTP, D over DIMSE."""
    short = {uid: uid.removeprefix("1.2.840.10008.1.2") or "." for uid in STORED + REQUESTED}
    head = "stored".ljust(10) + "".join(short[uid].rjust(8) for uid in REQUESTED)
    lines = [
        short[stored].ljust(10)
        + "".join(
            "".join(sorted(cells.get((stored, requested), "-"))).rjust(8) for requested in REQUESTED
        )
        for stored in STORED
    ]
    return "\n".join([head, *lines])
