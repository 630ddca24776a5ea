"""Uploads that are no single file of the corpus: packed, cut, or no DICOM at all."""

import gzip
import io
import zipfile

from support_compare import Request
from support_corpus import encoded, image, uid
from support_requests import get, post
from support_samples import public_id


def sample(number):
    return encoded(image("UPLOADED", 1, 1, number))


def zipped(entries):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return packed.getvalue()


def form(*parts):
    """Return a multipart/form-data body and its type."""
    lines = []
    for name, data in parts:
        disposition = f'form-data; name="file"; filename="{name}"'
        lines += [b"--frontier", f"Content-Disposition: {disposition}".encode()]
        lines += [b"Content-Type: application/dicom", b"", data]
    return b"\r\n".join([*lines, b"--frontier--", b""])


def uploads(_):
    dicom, again = sample(1), sample(2)
    yield post("/instances", dicom, "(new)")
    yield post("/instances", dicom, "(the same again)")
    yield post("/instances", gzip.compress(again), "(gzip)", Content_Encoding="gzip")
    yield post(
        "/instances", gzip.compress(again), "(gzip, the same again)", Content_Encoding="gzip"
    )
    yield post("/instances", b"no gzip", "(gzip that is none)", Content_Encoding="gzip")
    yield post("/instances", b"", "(nothing)")
    yield post("/instances", b"hello", "(text)")
    yield post("/instances", b"{}", "(JSON)", Content_Type="application/json")
    yield post("/instances", bytes(200), "(zeros)")
    yield post("/instances", dicom[:140], "(cut in the meta header)")
    yield post("/instances", dicom[:400], "(cut in the data set)")
    yield post("/instances", dicom[132:], "(without a preamble)")
    for missing in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        instance = image("UPLOADED", 1, 1, 20)
        data = bytearray(encoded(instance))
        # Blanked rather than left out, which pydicom refuses to write.
        at = data.index(str(instance[missing].value).encode(), 340)
        data[at : at + len(instance[missing].value)] = b" " * len(instance[missing].value)
        yield post("/instances", bytes(data), f"(blank {missing})")
    yield forget_uploads()


def forget_uploads():
    """Return the deletion of what was uploaded, which the rest of the comparison does not want."""
    patient = public_id(["UPLOADED"])
    return Request("DELETE /patients/{UPLOADED}", "DELETE", f"/patients/{patient}")


def packed_uploads(_):
    form_type = "multipart/form-data; boundary=frontier"
    for name, entries in {
        "(zip)": [("a/1.dcm", sample(3)), ("b/2", sample(4))],
        "(zip of one)": [("one.dcm", sample(5))],
        "(zip with a duplicate and a text)": [
            ("x", sample(3)), ("readme.txt", b"text"), ("y", sample(6))
        ],
        "(zip of nothing)": [],
        "(zip of an empty file)": [("empty", b"")],
        "(zip in a zip)": [("inner.zip", zipped([("z", sample(7))]))],
    }.items():  # fmt: skip
        yield post("/instances", zipped(entries), name)
    yield post("/instances", zipped([("a", sample(8))])[:-30], "(zip cut)")
    for name, parts in {
        "(form)": [("f.dcm", sample(9))],
        "(form of two)": [("f", sample(10)), ("g", sample(11))],
        "(form with a text)": [("f", sample(12)), ("t", b"text")],
        "(form with a zip)": [("z.zip", zipped([("a", sample(13))]))],
    }.items():
        yield post("/instances", form(*parts), name, Content_Type=form_type)
    yield post("/instances", b"--frontier\r\n", "(form cut)", Content_Type=form_type)
    yield post("/instances", form(("f", sample(14))), "(form without a boundary)",
               Content_Type="multipart/form-data")  # fmt: skip
    for number in range(3, 15):
        at = public_id(
            ["UPLOADED", uid("UPLOADED", 1), uid("UPLOADED", 1, 1), uid("UPLOADED", 1, 1, number)]
        )
        yield get(f"/instances/{at}/file", f"/instances/{{upload {number}}}/file")
    yield forget_uploads()
