"""What objects with a picture or a document say beside it (PS3.3 §A.8.1, §A.45, §A.85)."""

from __future__ import annotations

from typing import NamedTuple

from vna.services import uids
from vna.services.named_tags import DataSet, data_set_of
from vna.version import version


class Document(NamedTuple):
    """A kind of document.

    Attributes
    ----------
    sop_class_uid : str
        Its storage class.
    modality : str
        Modality (0008,0060) of series of it.
    media_type : str
        MIME Type of Encapsulated Document (0042,0012), empty for what is none.
    begins : bytes
        What each begins with.
    """

    sop_class_uid: str
    modality: str
    media_type: str = ""
    begins: bytes = b""


# Of an instance without anything but tags: no other class takes one (PS3.3 §A.37).
RAW_DATA = "1.2.840.10008.5.1.4.1.1.66"
CLASSES = "1.2.840.10008.5.1.4.1.1.104"
DOCUMENTS = {
    kind.media_type: kind
    for kind in (
        Document(f"{CLASSES}.1", "DOC", "application/pdf", b"%PDF-"),
        Document(f"{CLASSES}.3", "M3D", "model/stl"),
        Document(f"{CLASSES}.4", "M3D", "model/obj"),
        Document(f"{CLASSES}.5", "M3D", "model/mtl"),
    )
}
# Type 2 in every object that is made here (PS3.3 §C.7.1.1, §C.7.2.1, §C.7.3.1, §C.7.5.1).
EMPTY = data_set_of(
    dict.fromkeys(
        (
            "AccessionNumber",
            "Manufacturer",
            "PatientBirthDate",
            "PatientID",
            "PatientName",
            "PatientSex",
            "ReferringPhysicianName",
            "StudyDate",
            "StudyID",
            "StudyTime",
        )
    )
)
MILLIMETRE = {"CodeValue": "mm", "CodingSchemeDesignator": "UCUM", "CodeMeaning": "mm"}
# The URI of the bulk data that a document is.
CONTENT = "content"


def defaults(document: Document) -> DataSet:
    """Return what an object of this kind has if nobody says otherwise."""
    tags: dict[str, object] = {
        "InstanceNumber": "1",
        "Modality": document.modality,
        "SOPClassUID": document.sop_class_uid,
        "SeriesNumber": "1",
    }
    if document.sop_class_uid == RAW_DATA:
        return EMPTY | data_set_of({**tags, "Laterality": None})
    if not document.media_type:
        tags |= {"ConversionType": "WSD", "Laterality": None, "PatientOrientation": None}
        return EMPTY | data_set_of(tags)
    tags |= {
        "AcquisitionDateTime": None,
        "BurnedInAnnotation": "YES",  # nobody has looked
        "ConceptNameCodeSequence": [],
        "DocumentTitle": None,
    }
    if document.modality == "DOC":
        return EMPTY | data_set_of({**tags, "ConversionType": "WSD"})
    model = {
        "DeviceSerialNumber": "0",
        "FrameOfReferenceUID": uids.generate(),
        "Manufacturer": "VNA",
        "ManufacturerModelName": "VNA",
        "MeasurementUnitsCodeSequence": [MILLIMETRE],
        "PositionReferenceIndicator": None,
        "SoftwareVersions": version(),
    }
    return EMPTY | data_set_of({**tags, **model})


def holding(document: Document, length: int) -> DataSet:
    """Return what says of an object that it holds a document of so many bytes."""
    media_type = data_set_of({"MIMETypeOfEncapsulatedDocument": document.media_type})
    return media_type | {
        "00420011": {"vr": "OB", "BulkDataURI": CONTENT},
        "00420015": {"vr": "UL", "Value": [length]},
    }
