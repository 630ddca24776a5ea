"""The instances that the suite stores: made here, small, and new for each run.

All Patient IDs and Accession Numbers of a run begin with its mark, so that a server may hold
others.
"""

import copy
import io
import uuid
from typing import NamedTuple

import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)

# Longer than what servers write into metadata instead of an address.
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n%" + b"." * 200_000 + b"\n"
    b"trailer<</Root 1 0 R>>\n%%EOF\n"
)
ROWS, COLUMNS = 12, 16


def uid():
    return f"2.25.{uuid.uuid4().int}"


class Instance(NamedTuple):
    """One instance: its data set, and the file that is stored."""

    dataset: Dataset
    file: bytes

    @property
    def study(self):
        return f"/studies/{self.dataset.StudyInstanceUID}"

    @property
    def series(self):
        return f"{self.study}/series/{self.dataset.SeriesInstanceUID}"

    @property
    def path(self):
        return f"{self.series}/instances/{self.dataset.SOPInstanceUID}"

    @property
    def uid(self):
        return self.dataset.SOPInstanceUID

    @property
    def transfer_syntax(self):
        return self.dataset.file_meta.TransferSyntaxUID


def encoded(dataset, syntax=ExplicitVRLittleEndian):
    """Return the instance of a data set in `syntax`; its values have to fit already."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return Instance(dataset, buffer.getvalue())


def attributes(sop_class, **values):
    """Return a data set of a new instance."""
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = uid()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def item(**values):
    found = Dataset()
    for name, value in values.items():
        setattr(found, name, value)
    return found


def set_pixels(dataset, array, photometric="MONOCHROME2"):
    """Describe and add native pixel data (PS3.3 C.7.6.3); more than one frame goes first."""
    samples = 3 if array.shape[-1] == 3 else 1
    frames = array.ndim - (3 if samples == 3 else 2)
    dataset.SamplesPerPixel = samples
    dataset.PhotometricInterpretation = photometric
    if samples == 3:
        dataset.PlanarConfiguration = 0
    if frames:
        dataset.NumberOfFrames = array.shape[0]
    dataset.Rows, dataset.Columns = array.shape[frames], array.shape[frames + 1]
    dataset.BitsAllocated = 8 * array.itemsize
    dataset.BitsStored = dataset.BitsAllocated if array.itemsize == 1 else 12
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = array.tobytes()
    dataset["PixelData"].VR = "OW" if array.itemsize == 2 else "OB"


def ramp(rows=ROWS, columns=COLUMNS, start=0, dtype=np.uint16):
    """Return a picture whose every sample differs from its neighbours, within 12 bits."""
    steps = np.arange(rows * columns).reshape(rows, columns)
    return (start + steps * (16 if dtype == np.uint16 else 1)).astype(dtype)


CODESTREAMS = {
    JPEGBaseline8Bit: lambda picture: imagecodecs.jpeg8_encode(picture, level=95),
    JPEGLosslessSV1: lambda picture: imagecodecs.ljpeg_encode(picture),
    JPEGLSLossless: lambda picture: imagecodecs.jpegls_encode(picture),
    JPEG2000Lossless: lambda picture: imagecodecs.jpeg2k_encode(
        picture, level=0, codecformat="j2k", reversible=True
    ),
    HTJ2KLossless: lambda picture: imagecodecs.htj2k_encode(picture, reversible=True),
    RLELossless: None,  # pydicom's own
}
# Media types of compressed frames (Table 8.7.3-5 and its successors).
FRAME_TYPES = {
    JPEGBaseline8Bit: "image/jpeg",
    JPEGLosslessSV1: "image/jpeg",
    JPEGLSLossless: "image/jls",
    JPEG2000Lossless: "image/jp2",
    HTJ2KLossless: "image/jphc",
    RLELossless: "image/dicom-rle",
}


class Made:
    """All instances of a run."""

    def __init__(self):
        self.mark = f"CF{uuid.uuid4().hex[:8].upper()}"
        self.ct = self.make_ct()
        self.presentation = self.make_presentation()
        self.report = self.make_report()
        self.multiframe, self.color = self.make_ultrasound()
        self.named, self.document = self.make_named()
        self.by_syntax = self.make_syntaxes()
        self.values = self.make_values()

    @property
    def instances(self):
        """All of them, in the order of the studies."""
        return [
            *self.ct,
            self.presentation,
            self.report,
            self.multiframe,
            self.color,
            self.named,
            self.document,
            *self.by_syntax.values(),
            self.values,
        ]

    def patient(self, number):
        return f"{self.mark}-{number}"

    def make_ct(self):
        """Make the study that most searches look for: five slices of a series, in two halves."""
        study, series = uid(), uid()
        self.frame_of_reference = uid()
        found = []
        for number in range(1, 6):
            dataset = attributes(
                CTImageStorage,
                PatientID=self.patient(1),
                PatientName="Conform^Anna",
                PatientBirthDate="19700102",
                PatientSex="F",
                StudyInstanceUID=study,
                StudyDate="20240115",
                StudyTime="101530",
                StudyID=f"{self.mark}S1",
                StudyDescription="Conformance of CT",
                AccessionNumber=f"{self.mark}A1",
                ReferringPhysicianName="Refer^Rita",
                TimezoneOffsetFromUTC="+0100",
                SeriesInstanceUID=series,
                Modality="CT",
                SeriesNumber=7,
                SeriesDescription="Axial slices",
                PerformedProcedureStepStartDate="20240115",
                PerformedProcedureStepStartTime="102000",
                RequestAttributesSequence=[
                    item(
                        ScheduledProcedureStepID=f"{self.mark}SPS",
                        RequestedProcedureID=f"{self.mark}RP",
                    )
                ],
                InstanceNumber=number,
                FrameOfReferenceUID=self.frame_of_reference,
                PixelSpacing=[1, 1],
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                ImagePositionPatient=[0, 0, number],
                ImageComments=f"slice {number} of five",
                RescaleIntercept=-1024,
                RescaleSlope=1,
                WindowCenter=500,
                WindowWidth=2000,
            )
            set_pixels(dataset, ramp(start=number))
            found.append(encoded(dataset))
        return found

    def of_study(self, source, sop_class, **values):
        """Return a data set in the study of `source`, in a series of its own."""
        dataset = attributes(sop_class)
        for name in (
            *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
            *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
            *("AccessionNumber", "ReferringPhysicianName", "SpecificCharacterSet"),
            "TimezoneOffsetFromUTC",
        ):
            if name in source.dataset:
                setattr(dataset, name, getattr(source.dataset, name))
        dataset.SeriesInstanceUID = uid()
        for name, value in values.items():
            setattr(dataset, name, value)
        return dataset

    def make_presentation(self):
        """Make a presentation state of the first slice that turns it and inverts its greys."""
        first = self.ct[0].dataset
        image = item(
            ReferencedSOPClassUID=first.SOPClassUID, ReferencedSOPInstanceUID=first.SOPInstanceUID
        )
        series = item(SeriesInstanceUID=first.SeriesInstanceUID, ReferencedImageSequence=[image])
        area = item(
            DisplayedAreaTopLeftHandCorner=[1, 1],
            DisplayedAreaBottomRightHandCorner=[COLUMNS, ROWS],
            PresentationSizeMode="SCALE TO FIT",
            PresentationPixelSpacing=[1, 1],
        )
        dataset = self.of_study(
            self.ct[0],
            GrayscaleSoftcopyPresentationStateStorage,
            Modality="PR",
            SeriesNumber=8,
            InstanceNumber=1,
            ContentLabel="TURNED",
            PresentationCreationDate="20240115",
            PresentationCreationTime="110000",
            ReferencedSeriesSequence=[series],
            DisplayedAreaSelectionSequence=[area],
            RescaleIntercept=-1024,
            RescaleSlope=1,
            RescaleType="HU",
            ImageRotation=180,
            ImageHorizontalFlip="N",
            SoftcopyVOILUTSequence=[item(WindowCenter=500, WindowWidth=2000)],
            PresentationLUTShape="INVERSE",
        )
        return encoded(dataset)

    def make_report(self):
        concept = item(CodeValue="121144", CodingSchemeDesignator="DCM", CodeMeaning="Title")
        text = item(
            RelationshipType="CONTAINS",
            ValueType="TEXT",
            ConceptNameCodeSequence=[copy.deepcopy(concept)],
            TextValue="Nothing abnormal was seen.",
        )
        return encoded(
            self.of_study(
                self.ct[0],
                BasicTextSRStorage,
                Modality="SR",
                SeriesNumber=9,
                InstanceNumber=1,
                ContentDate="20240115",
                ContentTime="120000",
                CompletionFlag="COMPLETE",
                VerificationFlag="UNVERIFIED",
                ValueType="CONTAINER",
                ContinuityOfContent="SEPARATE",
                ConceptNameCodeSequence=[concept],
                ContentSequence=[text],
            )
        )

    def make_ultrasound(self):
        """Make the second study: four frames of grey, and one picture in colour."""
        base = attributes(
            MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
            SpecificCharacterSet="ISO_IR 192",
            PatientID=self.patient(2),
            PatientName="Äther^Émile",
            PatientBirthDate="19810304",
            PatientSex="M",
            StudyInstanceUID=uid(),
            StudyDate="20240220",
            StudyTime="153000.500",
            StudyID=f"{self.mark}S2",
            StudyDescription="Conformance of frames",
            AccessionNumber=f"{self.mark}A2",
            ReferringPhysicianName="Verweis^Otto",
            SeriesInstanceUID=uid(),
            Modality="OT",
            SeriesNumber=1,
            InstanceNumber=1,
            ConversionType="WSD",
        )
        frames = np.stack([ramp(8, 10, 40 * number, np.uint8) for number in range(4)])
        set_pixels(base, frames)
        multiframe = encoded(base)
        color = self.of_study(
            multiframe, UltrasoundImageStorage, Modality="US", SeriesNumber=2, InstanceNumber=1
        )
        picture = np.zeros((16, 16, 3), np.uint8)
        picture[:8, :, 0], picture[8:, :, 2] = 255, 255
        set_pixels(color, picture, "RGB")
        return multiframe, encoded(color)

    def make_named(self):
        """Make the third study: a name in three groups, and a document."""
        dataset = attributes(
            SecondaryCaptureImageStorage,
            SpecificCharacterSet=["", "ISO 2022 IR 87"],
            PatientID=self.patient(3),
            PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
            PatientBirthDate="",
            PatientSex="O",
            StudyInstanceUID=uid(),
            StudyDate="20231231",
            StudyTime="235959",
            StudyID=f"{self.mark}S3",
            StudyDescription="Conformance of names",
            AccessionNumber=f"{self.mark}A3",
            ReferringPhysicianName="",
            SeriesInstanceUID=uid(),
            Modality="OT",
            SeriesNumber=1,
            InstanceNumber=1,
            ConversionType="WSD",
        )
        set_pixels(dataset, ramp(8, 8, 0, np.uint8))
        named = encoded(dataset)
        document = self.of_study(
            named,
            EncapsulatedPDFStorage,
            Modality="DOC",
            SeriesNumber=2,
            InstanceNumber=1,
            ConversionType="WSD",
            BurnedInAnnotation="NO",
            DocumentTitle="A document",
            MIMETypeOfEncapsulatedDocument="application/pdf",
            EncapsulatedDocument=PDF + b"\0" * (len(PDF) % 2),
            EncapsulatedDocumentLength=len(PDF),
        )
        return named, encoded(document)

    def make_syntaxes(self):
        """Make the fourth study: one picture of 8 bits in each transfer syntax."""
        study, series = uid(), uid()
        found = {}
        uncompressed = (
            *(ExplicitVRLittleEndian, ImplicitVRLittleEndian),
            *(ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian),
        )
        self.picture = ramp(ROWS, COLUMNS, 5, np.uint8)
        for number, syntax in enumerate((*uncompressed, *CODESTREAMS), 1):
            dataset = attributes(
                SecondaryCaptureImageStorage,
                PatientID=self.patient(4),
                PatientName="Syntax^All",
                StudyInstanceUID=study,
                StudyDate="20240301",
                StudyTime="",
                StudyID=f"{self.mark}S4",
                AccessionNumber=f"{self.mark}A4",
                SeriesInstanceUID=series,
                Modality="OT",
                SeriesNumber=1,
                InstanceNumber=number,
                ConversionType="WSD",
            )
            set_pixels(dataset, self.picture)
            if syntax == RLELossless:
                dataset.file_meta = FileMetaDataset()
                dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
                dataset.compress(RLELossless, generate_instance_uid=False)
            elif syntax in CODESTREAMS:
                dataset.PixelData = encapsulate([CODESTREAMS[syntax](self.picture)])
            if syntax == ExplicitVRBigEndian:
                # OW of single bytes: each pair stands the other way round (PS3.5 §8.1.1).
                swapped = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
                dataset.PixelData = swapped
                dataset["PixelData"].VR = "OW"
            found[syntax] = encoded(dataset, syntax)
        return found

    def make_values(self):
        """Make an instance with a value of each kind (Table F.2.3-1)."""
        dataset = attributes(
            SecondaryCaptureImageStorage,
            PatientID=self.patient(5),
            PatientName="Values^Every",
            PatientAge="042Y",
            StudyInstanceUID=uid(),
            StudyDate="20240302",
            StudyTime="",
            AccessionNumber=f"{self.mark}A5",
            SeriesInstanceUID=uid(),
            Modality="OT",
            SeriesNumber=1,
            InstanceNumber=1,
            ConversionType="WSD",
            AcquisitionDateTime="20240302101010.123456",
            OtherPatientNames=["One^A", "Two^B"],
            ImageType=["DERIVED", "", "OTHER"],
            PatientWeight="72.5",
            PatientComments="Some long text",
            FrameIncrementPointer=0x00181063,
            FrameTime="33.3",
            ExposureTimeInms=1.5,
            ReferencePixelX0=-7,
            RegionLocationMinX0=4_000_000_000,
            TagAngleSecondAxis=-3,
            PhysicalDeltaX=0.125,
            InstitutionName="",
            ReferencedImageSequence=[],
        )
        block = dataset.private_block(0x0011, "VNA CONFORMANCE", create=True)
        block.add_new(0x01, "LO", "private text")
        block.add_new(0x02, "OB", b"\x01\x02\x03\x04")
        set_pixels(dataset, ramp(8, 8, 0, np.uint8))
        return encoded(dataset)

    def new_ct(self, study=None, **values):
        """Return one more slice that nobody has stored, by default in a study of its own."""
        dataset = attributes(
            CTImageStorage,
            PatientID=f"S{self.mark}",  # not found by what searches for the others
            PatientName="Store^Test",
            StudyInstanceUID=study or uid(),
            StudyDate="20240401",
            StudyTime="080000",
            AccessionNumber=f"S{self.mark}",
            SeriesInstanceUID=uid(),
            Modality="CT",
            SeriesNumber=1,
            InstanceNumber=1,
        )
        set_pixels(dataset, ramp())
        for name, value in values.items():
            setattr(dataset, name, value)
        return encoded(dataset)
