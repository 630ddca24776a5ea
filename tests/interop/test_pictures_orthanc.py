"""Pictures and arrays are those of a real Orthanc within one grey level, but for what is listed."""

import gzip
import io
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
import pytest
from PIL import Image
from support import Server
from support_compare import Difference, header, intended, report, summary, unlisted
from support_orthanc import Dictionary, Orthanc, peer_program
from support_samples import collections

pytestmark = pytest.mark.peer

# Of the shared data, what differs most in how pixels are kept; pydicom's files are always there.
SHARED = ("dcm4che", "derived-objects", "derived-transfer-syntaxes", "highdicom", "pylibjpeg-data")
LARGEST_BYTES = 1 << 20
LISTED = Path(__file__).with_name("differences_pictures.toml")
PICTURES = ("preview", "rendered", "image-uint8", "image-uint16", "image-int16")
OTHERS = ("numpy", "frames/0/raw")
# Asked of a few, since they are the same for all.
ARGUMENTS = (
    "rendered?window-center=100&window-width=500",
    "rendered?window-center=100",
    "rendered?window-width=300",
    "rendered?width=30",
    "rendered?width=100&height=20",
    "rendered?width=0&height=0",
    "preview?returnUnsupportedImage",
    "preview?quality=0",
    "preview?quality=abc",
    "rendered?width=abc",
    "rendered?window-center=abc",
    "numpy?rescale=0",
    "numpy?compress",
    "numpy?compress=abc",
    "matlab",
    "frames",
    "frames/0",
    "frames/0/raw.gz",
    "pdf",
    "frames/0/preview",
    "frames/0/numpy",
    "frames/0/nothing",
    "frames/x/preview",
    "frames/1/preview",
    "frames/1000/raw",
    "frames/1000/numpy",
)
ACCEPTED = (
    "image/jpeg",
    "image/x-portable-arbitrarymap",
    "image/*",
    "image/jpeg, */*",
    "text/html",
)
FEW = (
    "CT_small",
    "MR_small",
    "examples_rgb_color",
    "examples_palette",
    "liver_1frame",
    "test-SR",
    "encapsulated_pdf",
    "seg_image_ct_binary",
)


class Asked(NamedTuple):
    name: str
    tags: pydicom.Dataset
    path: str


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Run both servers; gives them with what both stored."""
    theirs = Orthanc(peer_program(), tmp_path_factory.mktemp("pictures"), Dictionary("", ""))
    ours = Server(tmp_path_factory.mktemp("archive") / "data")
    try:
        ours.start()
        theirs.start()
        yield ours.http, theirs.http, list(load(ours.http, theirs.http))
    finally:
        theirs.stop()
        if ours.process is not None and ours.process.poll() is None:
            ours.stop()


def load(ours, theirs):
    """Store files in both; yields those that both took alike."""
    seen = set()
    for collection, samples in collections().items():
        if collection != "pydicom" and collection not in SHARED:
            continue
        for sample in samples:
            data = sample.read()
            if len(data) > LARGEST_BYTES:
                continue
            answers = [server.post("/instances", content=data) for server in (ours, theirs)]
            if any(answer.status_code != 200 for answer in answers):
                continue
            one, other = (answer.json() for answer in answers)
            if not isinstance(one, dict) or one["ID"] != other.get("ID") or one["ID"] in seen:
                continue
            if {one["Status"], other["Status"]} != {"Success"}:
                continue
            seen.add(one["ID"])
            tags = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
            yield Asked(sample.name, tags, f"/instances/{one['ID']}")


def decoded(answer):
    """Return the body as what it shows: an array, JSON, or bytes."""
    kind = header(answer, "content-type")
    if kind in {"image/png", "image/jpeg"} and "/raw" not in answer.request.url.path:
        return np.array(Image.open(io.BytesIO(answer.content))).astype(np.int64)
    if answer.content[:6] == b"\x93NUMPY":
        return np.load(io.BytesIO(answer.content))
    if answer.content[:4] == b"PK\x03\x04":
        [found] = np.load(io.BytesIO(answer.content)).values()
        return found
    if kind == "image/x-portable-arbitrarymap":
        return np.frombuffer(answer.content.partition(b"ENDHDR\n")[2], np.uint8)
    if kind == "application/json":
        return answer.json()
    return gzip.decompress(answer.content) if kind == "application/gzip" else answer.content


def unlike(name, ours, theirs):
    """Yield where two answers differ."""
    if ours.status_code != theirs.status_code:
        yield Difference(name, "status", summary(ours), summary(theirs))
        return
    kinds = [header(answer, "content-type") for answer in (ours, theirs)]
    if ours.status_code != 200:
        return  # what an error looks like is compared elsewhere
    if kinds[0] != kinds[1]:
        yield Difference(name, "header/content-type", *kinds)
    one, other = decoded(ours), decoded(theirs)
    if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
        if type(one) is not type(other) or one != other:
            yield Difference(name, "body", brief(one), brief(other))
        return
    if one.dtype != other.dtype or one.shape != other.shape:
        yield Difference(name, "shape", f"{one.dtype} {one.shape}", f"{other.dtype} {other.shape}")
        return
    apart = np.abs(one.astype(float) - other.astype(float))
    # Of JPEG each encoder makes its own; one more level is from what it was given.
    is_jpeg = kinds[0] == "image/jpeg"
    if apart.size and (apart.mean() > 2 if is_jpeg else apart.max() > 1):
        yield Difference(
            name, "pixels", f"{apart.max():.0f} apart", f"{apart.mean():.2f} on average"
        )


def brief(value):
    return value[:40] if isinstance(value, bytes) else value


def described(asked, tail):
    """Return how differences.toml calls a request: by the path, and what there is of the image."""
    tags = asked.tags
    syntax = getattr(getattr(tags, "file_meta", None), "TransferSyntaxUID", "")
    words = [
        f"photometric={tags.get('PhotometricInterpretation', 'none')}",
        f"bits={tags.get('BitsAllocated', 0)}",
        f"stored={tags.get('BitsStored', 0)}",
        f"signed={tags.get('PixelRepresentation', 0)}",
        f"syntax={syntax}",
    ]
    return f"GET picture {tail} {{{asked.name}}} {' '.join(words)}"


def explained(asked, difference):
    """Whether the header explains how far rendered pictures are apart.

    The window of PS3.3 §C.11.2.1.2.1 goes over width - 1 values, and its middle is half a value
    below the centre; Orthanc's goes over width values. That moves no value by more than one step of
    the window, and one for what is cut off.
    """
    if difference.where != "pixels" or " rendered" not in difference.request:
        return False
    apart = float(str(difference.ours).split()[0])
    widths = asked.tags.get("WindowWidth")
    width = float(widths[0] if isinstance(widths, pydicom.multival.MultiValue) else widths or 0)
    if "window-width=" in difference.request:
        width = float(difference.request.split("window-width=")[1].split()[0])
    slope = abs(float(asked.tags.get("RescaleSlope") or 1))
    return width > 1 and apart <= 255 * max(slope, 1) / (width - 1) + 2


def compared(both):
    ours, theirs, held = both
    for asked in held:
        few = any(word in asked.name for word in FEW)
        tails = [(tail, None) for tail in (*PICTURES, *OTHERS, *(ARGUMENTS if few else ()))]
        tails += [("preview", accept) for accept in ACCEPTED if few]
        for tail, accept in tails:
            headers = {"Accept": accept} if accept else None
            answers = [s.get(f"{asked.path}/{tail}", headers=headers) for s in (ours, theirs)]
            name = described(asked, f"{tail} {accept or ''}".strip())
            for difference in unlike(name, *answers):
                if not explained(asked, difference):
                    yield difference


def test_pictures_are_those_of_orthanc_within_one_grey_level_but_for_listed_differences(both):
    entries = intended(LISTED)
    left = unlisted(compared(both), entries)
    assert not left, report(left)
    there = set(collections()) | {""}
    gone = [str(entry) for entry in entries if not entry.used and entry.collection in there]
    assert not gone, "to be removed from differences.toml:\n" + "\n".join(gone)
    assert len(both[2]) > 50


def test_slices_of_a_series_have_the_order_that_orthanc_gives(both):
    ours, theirs, held = both
    kinds = Counter()
    for series in sorted({ours.get(asked.path).json()["ParentSeries"] for asked in held}):
        members = [s.get(f"/series/{series}").json()["Instances"] for s in (ours, theirs)]
        if set(members[0]) != set(members[1]):
            continue  # one took what the other refused
        one, other = (s.get(f"/series/{series}/ordered-slices").json() for s in (ours, theirs))
        assert one == other, series
        kinds[one["Type"]] += 1
    assert set(kinds) == {"Volume", "Sequence"}, kinds
