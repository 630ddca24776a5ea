"""Files as pydicom data sets, from our own scan: `dcmread` for scripts that read many.

What comes out is a `pydicom.FileDataset` as `pydicom.dcmread` would have made it: the same
elements, encodings and bytes when it is saved. It differs only where the scanner does:

- a file without ``DICM`` is read (pydicom: with ``force=True``);
- a file that ends inside an element raises `EncodingError` (pydicom: a warning, the rest is lost);
- zeros behind the last element, and delimiters that close nothing, are no elements;
- an item that outgrows its sequence raises `EncodingError`;
- JPIP deflated syntaxes are inflated, too; and sequences inside UN of big endian data sets are
  read as the little endian that they are (PS3.5 §6.2.2).
"""

from __future__ import annotations

import os
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

from vna import _core
from vna.errors import EncodingError

try:
    import pydicom  # noqa: F401
except ImportError as error:
    raise ImportError("data sets need pydicom: pip install 'vna[dicom]'", name="pydicom") from error

from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, PrivateTransferSyntaxes

from vna._dataset_elements import fresh

if TYPE_CHECKING:
    from vna._dataset import Document
else:
    try:
        from vna._dataset import Document
    except ImportError:  # no kernel was built
        from vna._dataset_twin import Document

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]

PREAMBLE_BYTES = 128
FIRST_PART_BYTES = 64 << 10
TRANSFER_SYNTAX_UID = BaseTag(0x0002_0010)
PIXEL_DATA = frozenset({0x7FE0_0008, 0x7FE0_0009, 0x7FE0_0010})


def dcmread(source: Source, *, stop_before_pixels: bool = False) -> FileDataset:
    """Read a DICOM file as `pydicom.dcmread` does, only sooner.

    Parameters
    ----------
    source : path, bytes, or file object
        The file, as a path, as its bytes, or as something with ``read``.
    stop_before_pixels : bool, optional
        Leave out the pixel data and what follows it. Of a path, no more than that is read.

    Returns
    -------
    pydicom.FileDataset
        Values are converted when they are asked for, items made when a sequence is looked into.

    Raises
    ------
    EncodingError
        If it is no DICOM, or damaged; `code` and `offset` say what is wrong and where.
    OSError
        If the path cannot be read.

    Examples
    --------
    >>> from vna import dcmread
    >>> dcmread("CT_small.dcm", stop_before_pixels=True).Modality  # doctest: +SKIP
    'CT'
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
        return from_bytes(data, BytesIO(data), stop_before_pixels=stop_before_pixels)
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        with open(path, "rb") as file:
            if stop_before_pixels:
                size = os.fstat(file.fileno()).st_size
                return read_head(lambda offset, length: _read_at(file, offset, length), size, path)
            return from_bytes(file.read(), path)
    return from_bytes(source.read(), source, stop_before_pixels=stop_before_pixels)


def _read_at(file: IO[bytes], offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def read_head(read: Any, size: int, origin: Any = None) -> FileDataset:
    """Read a data set up to its pixel data from something that gives parts.

    Parameters
    ----------
    read : callable
        Takes offset and length and returns these bytes.
    size : int
        How many there are.
    origin : path or buffer, optional
        What the data set says that it was read from.
    """
    data = b""
    length = FIRST_PART_BYTES
    while True:
        data += read(len(data), min(length, size) - len(data))
        whole = len(data) >= size
        try:
            dataset = _from_tables(data, origin, "to_pixel_data", must_end=not whole)
        except EncodingError:
            if whole:
                raise
            dataset = None
        if dataset is not None:
            return dataset
        length *= 4


def from_bytes(data: bytes, origin: Any, *, stop_before_pixels: bool = False) -> FileDataset:
    """Make a data set of a whole file; `origin` is the path or buffer that it came from."""
    extent = "to_pixel_data" if stop_before_pixels else "all"
    dataset = _from_tables(data, origin, extent)
    assert dataset is not None, "only of a part there may be none"
    return dataset


def _from_tables(
    data: bytes, origin: Any, extent: str, *, must_end: bool = False
) -> FileDataset | None:
    """Make a data set; None if it `must_end` in pixel data and does not."""
    meta_table, table, inflated = _core.scan_file(data, extent=extent)
    ends_in_pixels = extent == "to_pixel_data" and _last_tag(table) in PIXEL_DATA
    if must_end and not ends_in_pixels:
        return None
    document = Document(data if inflated is None else inflated, table)
    elements, implicit, little, encodings = document.data_set(
        default_encoding, skip_last=ends_in_pixels
    )
    meta, *_ = Document(data, meta_table).data_set(default_encoding)
    if table:  # of no data set at all, pydicom does not ask how it is encoded
        implicit, little = _declared(meta.get(TRANSFER_SYNTAX_UID), implicit, little)
    return fresh(
        FileDataset,
        _dict=elements,
        preamble=data[:PREAMBLE_BYTES]
        if data[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM"
        else None,
        file_meta=fresh(
            FileMetaDataset,
            _dict=meta,
            _read_implicit=False,
            _read_little=True,
            _read_charset=default_encoding,
        ),
        _is_implicit_VR=implicit,
        _is_little_endian=little,
        _read_implicit=implicit,
        _read_little=little,
        _read_charset=encodings,
        **_origin(data, inflated, origin),
    )


def _last_tag(table: bytes) -> int:
    return int.from_bytes(table[-24:-20], "little") if table else 0


def _declared(syntax: RawDataElement | None, implicit: bool, little: bool) -> tuple[bool, bool]:
    """Return the encoding that the transfer syntax stands for, else what was found."""
    uid = (syntax.value or b"").rstrip(b"\0 ").decode("latin-1") if syntax else ""
    if not uid:
        return implicit, little
    if uid in PrivateTransferSyntaxes:
        known = PrivateTransferSyntaxes[PrivateTransferSyntaxes.index(uid)]
        return known.is_implicit_VR, known.is_little_endian
    return uid == ImplicitVRLittleEndian, uid != ExplicitVRBigEndian


def _origin(data: bytes, inflated: bytes | None, origin: Any) -> dict[str, Any]:
    """Return what a `FileDataset` keeps of where it came from."""
    if inflated is not None:  # as pydicom does, whose deferred values lie there
        buffer: Any = DicomBytesIO(inflated)
        buffer.name = getattr(origin, "name", origin if isinstance(origin, str) else None)
        origin = buffer
    elif origin is None:
        origin = BytesIO(data)
    if isinstance(origin, str):
        return {"filename": origin, "fileobj_type": open, "timestamp": os.stat(origin).st_mtime}
    if type(origin) is BytesIO:
        return {"buffer": origin, "fileobj_type": BytesIO}
    like = FileDataset(origin, {})
    names = ("filename", "fileobj_type", "buffer", "timestamp")
    return {name: getattr(like, name) for name in names}
