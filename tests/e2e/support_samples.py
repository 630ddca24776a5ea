"""Real DICOM files to try the archive with: pydicom's own, and the shared data where it is.

The shared data is looked for in $VNA_SHARED, then beside the repository; see its MANIFEST.md.
"""

import csv
import functools
import gzip
import hashlib
import io
import os
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import _read_file_meta_info, read_dataset, read_preamble
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

PYDICOM = Path(pydicom.__file__).parent / "data"
REPOSITORY = Path(__file__).resolve().parents[2]
# Written by hand or kept beside the images: nobody calls them DICOM.
OTHER_SUFFIXES = {".py", ".pyc", ".json", ".txt", ".md", ".xml", ".gz", ".icc", ".dump"}
# Deflated syntaxes that pydicom 3.0 does not inflate (PS3.5 §A.6, §A.7).
ALSO_DEFLATED = {"1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"}
IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def shared_data():
    """Return the folder of the shared data, or None."""
    root = Path(os.environ.get("VNA_SHARED") or REPOSITORY.parent / "shared")
    return next((path for path in (root / "data", root) if (path / "index.tsv").is_file()), None)


class Sample(NamedTuple):
    """One file; `name` is its path with the collection in front."""

    name: str
    path: Path
    member: str = ""

    def read(self):
        """Return the bytes; of an archive's member, unpacked."""
        if self.member:
            with zipfile.ZipFile(self.path) as packed:
                return packed.read(self.member)
        data = self.path.read_bytes()
        return gzip.decompress(data) if self.path.suffix == ".gz" else data


@functools.cache
def packaged():
    """Return the DICOM files that pydicom brings along."""
    return [
        Sample(f"pydicom/{path.relative_to(PYDICOM)}", path)
        for path in sorted(PYDICOM.rglob("*"))
        if path.is_file() and path.suffix not in OTHER_SUFFIXES and path.name != "README"
    ]


@functools.cache
def collections():
    """Return the samples by collection. Files that pydicom brings along too stand there only."""
    known = {hashlib.sha256(sample.read()).hexdigest() for sample in packaged()}
    found = {"pydicom": packaged()}
    root = shared_data()
    if root is None:
        return found
    with (root / "index.tsv").open(newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            path = root / row["path"]
            collection = row["path"].partition("/")[0]
            if row["kind"] and path.is_file() and row["sha256"] not in known:
                found.setdefault(collection, []).append(Sample(row["path"], path))
    for path in sorted(root.rglob("*.zip")):
        name = str(path.relative_to(root))
        found[name.partition("/")[0]] += members(name, path)
    return found


def members(name, path):
    """Yield the DICOM files in a ZIP archive."""
    with zipfile.ZipFile(path) as packed:
        for member in packed.infolist():
            with packed.open(member) as content:
                if content.read(132)[128:] == b"DICM":
                    yield Sample(f"{name}/{member.filename}", path, member.filename)


def split(data):
    """Return what pydicom takes for the meta information, and the bytes behind it."""
    source = io.BytesIO(data)
    read_preamble(source, force=True)
    meta = _read_file_meta_info(source)
    return meta, data[source.tell() :]


def oracle(data):
    """Read a file with pydicom as far as the archive must: up to the pixel data."""
    meta, body = split(data)
    if meta.get("TransferSyntaxUID") not in ALSO_DEFLATED:
        return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
    inflated = io.BytesIO(zlib.decompress(body, -zlib.MAX_WBITS))
    found = Dataset()
    found.update(read_dataset(inflated, is_implicit_VR=False, is_little_endian=True))
    found.file_meta = meta
    return found


def transfer_syntax(data):
    """Return the transfer syntax of a file, of one without meta information too."""
    meta, body = split(data)
    if stated := str(meta.get("TransferSyntaxUID", "")):
        return stated
    if body[:1] == b"\0":
        return ExplicitVRBigEndian
    return ExplicitVRLittleEndian if body[4:6].isalpha() else ImplicitVRLittleEndian


def identity(found):
    """Return the four identifiers, stripped of padding, absent ones empty."""
    return tuple(str(found.get(name) or "").strip(" \0") for name in IDENTIFIERS)


def public_ids(found, issuers=False):
    """Return the ids of patient, study, series and instance.

    SHA-1 over the identifiers, `|` between them. `issuers` (storage.patient_issuers): (0010,0021)
    is part of the patient's identity, as `ID\\ISSUER`: two hospitals may use one number.
    """
    values = list(identity(found))
    issuer = str(found.get("IssuerOfPatientID") or "").strip(" \0")
    if issuers and issuer:
        values[0] += f"\\{issuer}"
    return tuple(public_id(values[:count]) for count in (1, 2, 3, 4))


def public_id(values):
    digest = hashlib.sha1("|".join(values).encode()).hexdigest()
    return "-".join(digest[at : at + 8] for at in range(0, 40, 8))


def sendable_body(data):
    """Return transfer syntax and data set of a file, all of it where it has no meta information."""
    try:
        _, body = split(data)
        return transfer_syntax(data), body
    except Exception:  # whatever pydicom makes of a malformed file
        return ExplicitVRLittleEndian, data
