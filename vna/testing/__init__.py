"""Strategies of hypothesis for DICOM: elements, data sets and files, with what they say.

`files()` gives PS3.10 files in every uncompressed transfer syntax and with encapsulated pixel data;
`files(tolerated=True)` those that occur in the field against the standard. Each comes as its bytes
and as a model (`File.data_set`), and the bytes are written by a writer that shares no code with the
archive: it serves as oracle for any reader, also that of somebody else.

Needs the extra: ``pip install 'vna[testing]'``. ``docs/testing.md`` shows how to use it.
"""

from __future__ import annotations

try:
    import hypothesis  # noqa: F401
    import pydicom  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"vna.testing needs {error.name}, which pip install 'vna[testing]' brings", name=error.name
    ) from error

from vna.testing.files import (
    data_sets,
    elements,
    encapsulated_pixel_data,
    files,
    identities,
    instances,
    native_pixel_data,
    private_blocks,
    sequences,
    standard_tags,
    transfer_syntaxes,
)
from vna.testing.model import UNCOMPRESSED, DataSet, Element, File, Fragments
from vna.testing.oddities import ODDITIES
from vna.testing.pydicoms import from_pydicom, to_pydicom
from vna.testing.texts import CHARACTER_SETS, CharacterSet, character_sets, texts
from vna.testing.values import VRS, person_names, uids, values
from vna.testing.writer import Encoding, write_data_set, write_file

__all__ = [
    "CHARACTER_SETS",
    "ODDITIES",
    "UNCOMPRESSED",
    "VRS",
    "CharacterSet",
    "DataSet",
    "Element",
    "Encoding",
    "File",
    "Fragments",
    "character_sets",
    "data_sets",
    "elements",
    "encapsulated_pixel_data",
    "files",
    "from_pydicom",
    "identities",
    "instances",
    "native_pixel_data",
    "person_names",
    "private_blocks",
    "sequences",
    "standard_tags",
    "texts",
    "to_pydicom",
    "transfer_syntaxes",
    "uids",
    "values",
    "write_data_set",
    "write_file",
]
