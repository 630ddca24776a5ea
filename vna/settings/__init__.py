"""The configuration: one typed schema, read from ``vna.toml`` < environment < flags.

A key has one name everywhere: ``dicom.aet`` is ``aet`` under ``[dicom]`` in the file,
``VNA__DICOM__AET`` in the environment and ``--set dicom.aet=...`` on the command line. A key that
the schema does not know is an error, since a setting that is silently ignored is worse than none.
"""

from vna.settings.dicom import CalledAeTitle, Dicom, Manufacturer, Modality, RetrieveMethod
from vna.settings.dicomweb import Dicomweb, WebServer
from vna.settings.fields import (
    GIB,
    KIB,
    MIB,
    AeTitle,
    DimseService,
    Label,
    Section,
    is_loopback,
)
from vna.settings.notes import Notes, NoteType
from vna.settings.peers import Peer, Peers
from vna.settings.reading import (
    CONFIG_FILE,
    ENVIRONMENT_PREFIX,
    Given,
    Key,
    alternatives,
    bare,
    build,
    gather,
    load,
    schema,
)
from vna.settings.sections import (
    SECTIONS,
    Codecs,
    Commitment,
    Dictionary,
    Http,
    HttpUser,
    Index,
    Jobs,
    Limits,
    Log,
    PrivateElement,
    Settings,
    Storage,
    Tls,
    Uploads,
    Worklist,
)

__all__ = [
    "CONFIG_FILE",
    "ENVIRONMENT_PREFIX",
    "GIB",
    "KIB",
    "MIB",
    "SECTIONS",
    "AeTitle",
    "CalledAeTitle",
    "Codecs",
    "Commitment",
    "Dicom",
    "Dicomweb",
    "Dictionary",
    "DimseService",
    "Given",
    "Http",
    "HttpUser",
    "Index",
    "Jobs",
    "Key",
    "Label",
    "Limits",
    "Log",
    "Manufacturer",
    "Modality",
    "NoteType",
    "Notes",
    "Peer",
    "Peers",
    "PrivateElement",
    "RetrieveMethod",
    "Section",
    "Settings",
    "Storage",
    "Tls",
    "Uploads",
    "WebServer",
    "Worklist",
    "alternatives",
    "bare",
    "build",
    "gather",
    "is_loopback",
    "load",
    "schema",
]
