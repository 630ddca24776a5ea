"""What both servers are loaded with: pydicom's files, the shared data's, and phantoms made here."""

import contextlib
import io
import re

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)
from support_samples import collections

# Of the shared data, what shows most for its size; pydicom's files are always there.
SHARED = ("derived-charsets", "derived-objects", "derived-worklists", "dicomscope", "highdicom")
LARGEST_BYTES = 2 << 20


def files():
    """Yield (name, bytes) of everything that is sent, in order."""
    for collection, samples in collections().items():
        if collection != "pydicom" and collection not in SHARED:
            continue
        for sample in samples:
            data = sample.read()
            if len(data) <= LARGEST_BYTES and not of_nobody(data):
                yield sample.name, data
    yield from phantoms()


def of_nobody(data):
    """Whether a file has no patient's id: all of those make one patient, and one will do."""
    with contextlib.suppress(Exception):  # what pydicom cannot read is sent all the same
        found = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
        return "SOPInstanceUID" in found and not found.get("PatientID")
    return False


def phantoms():
    """Yield (name, bytes) of instances made to differ in what an interface could show."""
    for name, instance, syntax in (*hospital(), *odd_values(), *private(), *countable()):
        yield f"made/{name}", encoded(instance, syntax)


def uid(*words):
    """Return a UID that is always the same for the same words."""
    return pydicom.uid.generate_uid(entropy_srcs=[str(word) for word in words])


def image(patient, study, series, number, **attributes):
    """Return a small image; equal words make equal UIDs."""
    instance = Dataset()
    instance.SOPClassUID = SecondaryCaptureImageStorage
    instance.SOPInstanceUID = uid(patient, study, series, number)
    instance.PatientID = patient
    instance.PatientName = "Doe^Jane"
    instance.StudyInstanceUID = uid(patient, study)
    instance.SeriesInstanceUID = uid(patient, study, series)
    instance.InstanceNumber = number
    instance.Modality = "OT"
    instance.Rows = instance.Columns = 2
    instance.BitsAllocated = instance.BitsStored = 8
    instance.HighBit = 7
    instance.PixelRepresentation = 0
    instance.SamplesPerPixel = 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.PixelData = bytes((1, 2, 3, number % 256))
    instance["PixelData"].VR = "OW"
    for name, value in attributes.items():
        setattr(instance, name, value)
    return instance


def encoded(instance, syntax=ExplicitVRLittleEndian):
    """Return a PS3.10 file."""
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = syntax
    instance.file_meta.MediaStorageSOPClassUID = instance.SOPClassUID
    instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, instance, enforce_file_format=True)
    return buffer.getvalue()


PEOPLE = [
    ("H1", "Müller^Jörg", "ISO_IR 100", "19500102", "M"),
    ("H2", "Yamada^Tarou=山田^太郎=やまだ^たろう", "ISO_IR 192", "19611231", "F"),
    ("H3", "Wang^XiaoDong=王^小东", "GB18030", "19700615", "F"),
    ("H4", "Люкceмбypг", "ISO_IR 144", "", "O"),
    ("H5", "Smith^John^^Dr^Jr", None, "20010101", ""),
    ("H6", "Ærø^Zoë", "ISO_IR 100", "19991231", "M"),
]


def hospital():
    """Yield patients with several studies, series and instances each, to search among."""
    for order, (patient, name, charset, born, sex) in enumerate(PEOPLE):
        for study in range(2):
            modalities = [("CT", CTImageStorage), ("MR", MRImageStorage)][: 2 - study % 2]
            for series, (modality, sop_class) in enumerate(modalities):
                for number in (1, 2, 10):
                    instance = image(patient, study, series, number)
                    if charset:
                        instance.SpecificCharacterSet = charset
                    instance.PatientName, instance.PatientBirthDate = name, born
                    instance.PatientSex = sex
                    instance.SOPClassUID, instance.Modality = sop_class, modality
                    instance.StudyDate = f"202{order}0{study + 1}15"
                    instance.StudyTime = f"1{order}3000.25"
                    instance.StudyID = str(study + 1)
                    instance.StudyDescription = f"Study {study + 1} of {patient}"
                    instance.AccessionNumber = f"A{order:03}{study}"
                    instance.ReferringPhysicianName = "Referring^Physician"
                    instance.InstitutionName = "General Hospital"
                    instance.SeriesNumber = series + 1
                    instance.SeriesDescription = f"{modality} axial"
                    instance.BodyPartExamined = "CHEST" if modality == "CT" else "HEAD"
                    instance.ImagePositionPatient = [0, 0, number * 2.5]
                    instance.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
                    syntax = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)[order % 2]
                    yield f"{patient}/{study}/{series}/{number}", instance, syntax


def odd_values():
    """Yield values that are at an edge of their representation."""
    texts = {
        "OtherPatientNames": ["A^B", "C^D"],
        "PatientComments": "line one\r\nline two\ttab",
        "AdditionalPatientHistory": "  leading and trailing  ",
        "PatientWeight": "70.50",
        "PatientAddress": "",
        "EthnicGroup": "<b>&\"quoted\"</b>\\and'more'"[:16],
        "PregnancyStatus": 65535,
        "DerivationDescription": "x" * 1024,
    }
    yield "odd/texts", image("ODD", 1, 1, 1, **texts), ExplicitVRLittleEndian
    yield "odd/texts-implicit", image("ODD", 1, 1, 2, **texts), ImplicitVRLittleEndian
    yield "odd/texts-big", image("ODD", 1, 1, 3, **texts), ExplicitVRBigEndian
    numbers = image("ODD", 1, 2, 1)
    numbers.ExposureTimeInms = 0.1
    numbers.TableTopVerticalPosition = -3.0e38
    numbers.add_new(0x00189087, "FD", [1 / 3, 1e300, 0.0, -1.5, 100])
    numbers.add_new(0x00280009, "AT", [0x00181063, 0x00540010])
    numbers.add_new(0x00280106, "US", 0)
    numbers.add_new(0x00283002, "US", [256, 0, 16])
    numbers.add_new(0x00720064, "IS", ["-2147483648", "2147483647", "+7", ""])
    numbers.add_new(0x00720072, "DS", ["1e10", " 3.5 ", "-0"])
    numbers.add_new(0x00720082, "SV", -(2**63))
    numbers.add_new(0x00720083, "UV", 2**64 - 1)
    numbers.add_new(0x00720074, "FD", [float("inf"), float("-inf"), float("nan")])
    yield "odd/numbers", numbers, ExplicitVRLittleEndian
    binary = image("ODD", 1, 3, 1)
    binary.add_new(0x00420011, "OB", b"%PDF-1.4 not really\0")
    binary.add_new(0x00660016, "OF", bytes(range(16)))
    binary.add_new(0x0072006D, "UN", b"\x00\x01\x02\x03")
    binary.add_new(0x00281201, "OW", bytes(512))
    binary.add_new(0x00081190, "UR", "http://example.org/a?b=c&d")
    binary.add_new(0x00180013, "UT", "long text " * 3000)
    yield "odd/binary", binary, ExplicitVRLittleEndian
    nested = image("ODD", 1, 4, 1)
    inner = Dataset()
    inner.CodeValue, inner.CodingSchemeDesignator, inner.CodeMeaning = "T-1", "99T", "Inner"
    outer = Dataset()
    outer.ReferencedSOPClassUID = CTImageStorage
    outer.PurposeOfReferenceCodeSequence = Sequence([inner, inner])
    nested.ReferencedImageSequence = Sequence([outer, Dataset(), outer])
    nested.RequestAttributesSequence = Sequence([])
    yield "odd/nested", nested, ExplicitVRLittleEndian
    frames = image("ODD", 1, 5, 1, NumberOfFrames=3)
    frames.PixelData = bytes(range(12))
    yield "odd/frames", frames, ExplicitVRLittleEndian
    bare = image("", 1, 1, 1)
    del bare.PatientID, bare.PatientName
    yield "odd/no-patient", bare, ExplicitVRLittleEndian
    spaces = image("  SPACED ", 1, 1, 1, StudyDescription=" padded ", AccessionNumber=" 17 ")
    yield "odd/spaces", spaces, ExplicitVRLittleEndian
    wide = image("WIDE", 1, 1, 1, StudyID="1" * 16, PatientName="Wide^" + "x" * 60)
    yield "odd/wide", wide, ExplicitVRLittleEndian


def private():
    """Yield private elements: known to dictionaries and not, in sequences, without a creator."""
    instance = image("PRIVATE", 1, 1, 1)
    siemens = instance.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    siemens.add_new(0x08, "CS", "IMAGE NUM 4")
    siemens.add_new(0x10, "OB", bytes(64))
    own = instance.private_block(0x0011, "Nobody knows this", create=True)
    own.add_new(0x01, "LO", "a private text")
    own.add_new(0x02, "US", [1, 2, 3])
    item = Dataset()
    block = item.private_block(0x0011, "Nobody knows this", create=True)
    block.add_new(0x03, "DS", "1.5")
    own.add_new(0x04, "SQ", [item])
    yield "private/explicit", instance, ExplicitVRLittleEndian
    again = image("PRIVATE", 1, 1, 2)
    block = again.private_block(0x0011, "Nobody knows this", create=True)
    block.add_new(0x01, "LO", "a private text")
    yield "private/implicit", again, ImplicitVRLittleEndian
    orphan = image("PRIVATE", 1, 1, 3)
    orphan.add_new(0x00131001, "LO", "without a creator")
    yield "private/orphan", orphan, ExplicitVRLittleEndian


def countable():
    """Yield series whose status follows from what they say of their size."""
    for series, (expected, sent) in enumerate([(2, 2), (3, 2), (1, 2)]):
        for number in range(1, sent + 1):
            instance = image("COUNTED", 1, series, number, ImagesInAcquisition=expected)
            yield f"counted/{series}/{number}", instance, ExplicitVRLittleEndian
    for number in (1, 2):
        instance = image("COUNTED", 2, 1, number)
        instance.NumberOfTemporalPositions = 2
        instance.TemporalPositionIdentifier = number
        yield f"counted/temporal/{number}", instance, ExplicitVRLittleEndian
    for number in (1, 2, 3):
        instance = image("COUNTED", 2, 2, number, CardiacNumberOfImages=2)
        instance.NumberOfSlices = 2
        yield f"counted/cardiac/{number}", instance, ExplicitVRLittleEndian


def readable(name):
    """Return a name that stands in a request without ambiguity."""
    return re.sub(r"[\[\]*?\s]", "_", name)
