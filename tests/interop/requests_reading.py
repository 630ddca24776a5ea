"""Lists, single resources, their families, tags, content and files."""

from support_requests import ABOVE, BELOW, LEVELS, distinct, get, of, some


def lists(_):
    for level in LEVELS:
        for tail in (
            "",
            "?expand",
            "?expand=true",
            "?expand=false",
            "?expand=1",
            "?expand=0",
            "?expand=yes",
            "?unknown=1",
            "?since=abc&limit=1",
            "?since=0&limit=abc",
            "?since=-1&limit=1",
            "?since=0&limit=-1",
            "?since=1",
            "?limit=1",
            "?since=&limit=",
            "?since=100000&limit=5",
            "?since=99999999999999999999&limit=1",
        ):
            yield get(f"/{level}{tail}")
        for since, limit in ((0, 0), (0, 1), (0, 5), (5, 5), (3, 1000), (3, 0)):
            yield get(f"/{level}?since={since}&limit={limit}", page=True)
            yield get(f"/{level}?expand&since={since}&limit={limit}", page=True)


def forms(held):
    """Resources with tags in other forms, with other tags, or with a part of what they have."""
    for level in LEVELS:
        for tail in ("?expand&full", "?expand&short", "?full", "?short"):
            yield get(f"/{level}{tail}")
        one = distinct(level, held)[0]
        tails = (
            "?full",
            "?short",
            "?expand=false",
            "?requested-tags=PatientID",
            "?requested-tags=PatientID;Modality;NoSuchTag",
        )
        for tail in tails:
            yield of(level, one, tail)
            for other in (*ABOVE[level], *BELOW[level]):
                yield of(level, one, f"/{other}{tail}")
    tags = {
        "patients": "PatientID;PatientSex;NumberOfPatientRelatedStudies;"
        "NumberOfPatientRelatedSeries;NumberOfPatientRelatedInstances",
        "studies": "PatientName;StudyDescription;ModalitiesInStudy;NumberOfStudyRelatedSeries;"
        "NumberOfStudyRelatedInstances;SOPClassesInStudy",
        "series": "SeriesDescription;BodyPartExamined;NumberOfSeriesRelatedInstances;0010,0020",
        "instances": "InstanceNumber;Rows;0008,0016;InstanceAvailability",
    }
    for level, wanted in tags.items():
        yield get(f"/{level}?expand&requested-tags={wanted}")
        yield get(f"/{level}?expand&requestedTags={wanted.partition(';')[0]}")
        yield get(f"/{level}?expand&requested-tags=NoSuchTag")
        yield get(f"/{level}?expand&requested-tags=")
        for content in (
            "MainDicomTags",
            "Metadata",
            "Children;Parent",
            "Labels;Status;IsStable",
            "IsProtected;Attachments",
            "NoSuchContent",
            "",
        ):
            yield get(f"/{level}?response-content={content}")


def singles(held):
    for level in LEVELS:
        for one in distinct(level, held):
            yield of(level, one)


def family(held):
    chosen = [one for one in held if one.name.startswith(("made/", "pydicom/test_files/CT_"))]
    for level in LEVELS:
        for one in distinct(level, chosen):
            for up in ABOVE[level]:
                yield of(level, one, f"/{up}")
            for down in BELOW[level]:
                yield of(level, one, f"/{down}")
        one = distinct(level, chosen)[0]
        for other in (*ABOVE[level], *BELOW[level]):
            for tail in ("?expand", "?expand=false", "?expand=true", "?expand=0"):
                yield of(level, one, f"/{other}{tail}")


def tags(held):
    for one in held:
        for tail in ("tags", "simplified-tags"):
            yield of("instances", one, f"/{tail}")
    for one in some(held, 5):
        for tail in (
            "tags?simplify",
            "tags?short",
            "tags?whole",
            "simplified-tags?whole",
            "tags?simplify&short",
            "simplified-tags?ignore-length=PatientName",
            "tags?ignore-length=0010-0010",
            "tags?ignore-length=NoSuchTag",
        ):
            yield of("instances", one, f"/{tail}")
    yield of("instances", held[0], "/tags?simplify=false")
    yield of("instances", held[0], "/tags?short=false")


def headers(held):
    for one in held:
        yield of("instances", one, "/header")
    for one in some(held, 5):
        for tail in ("header?simplify", "header?short"):
            yield of("instances", one, f"/{tail}")


# Of elements, items and fragments; not all of these exist, and some are no path.
PATHS = [
    "PatientName",
    "0010-0010",
    "0010,0010",
    "00100010",
    "patientname",
    "PatientID",
    "0028-0010",
    "Rows",
    "StudyDate",
    "0010-4000",
    "7fe0-0010",
    "PixelData",
    "7fe0-0010/0",
    "PixelData/0",
    "PixelData/1",
    "PatientAddress",
    "PatientWeight",
    "NoSuchTag",
    "0042-0011",
    "0066-0016",
    "0072-006d",
    "0072-0074",
    "0072-0083",
    "0028-1201",
    "0018-0013",
    "0002-0010",
    "TransferSyntaxUID",
    "0008-1140",
    "ReferencedImageSequence",
    "ReferencedImageSequence/0",
    "ReferencedImageSequence/1",
    "ReferencedImageSequence/3",
    "ReferencedImageSequence/x",
    "ReferencedImageSequence/-1",
    "ReferencedImageSequence/0/0040-a170",
    "ReferencedImageSequence/0/0040-a170/1",
    "ReferencedImageSequence/0/0040-a170/1/CodeValue",
    "ReferencedImageSequence/0/0040-a170/1/CodeValue/0",
    "RequestAttributesSequence",
    "RequestAttributesSequence/0",
    "0099-0099",
    "zzzz-0010",
    "0011-0010",
    "0011-1001",
    "0011-1002",
    "0011-1004",
    "0011-1004/0/0011-1003",
    "0029-1010",
    "0013-1001",
]


def content(held):
    for one in held:
        if one.name.startswith("made/odd") or one.name.startswith("made/private"):
            yield of("instances", one, "/content")
            for tail in PATHS:
                yield of("instances", one, f"/content/{tail}")
    for one in some(held, 3):
        if one.name.startswith("pydicom/"):
            for tail in (
                "",
                "/PatientName",
                "/7fe0-0010",
                "/7fe0-0010/0",
                "/7fe0-0010/1",
                "/7fe0-0010/99",
            ):
                yield of("instances", one, f"/content{tail}")


def files(held):
    for one in held:
        yield of("instances", one, "/file")
    syntaxes = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
    for one in some(held, 3):
        for syntax in (*syntaxes, "1.2.840.10008.1.2.1.99"):
            yield of("instances", one, f"/file?transcode={syntax}")
    one = held[0]
    for syntax in ("", "1.2.3", "explicit", "1.2.840.10008.1.2.4.50"):
        yield of("instances", one, f"/file?transcode={syntax}")
    for tail in (
        "?filename=a.dcm",
        "?filename=a%22b%0d%0ac.dcm",
        "?filename=",
        "?filename=%C3%BC.dcm",
    ):
        yield of("instances", one, f"/file{tail}")
    for accept in ("application/dicom", "*/*", "image/png", "text/html,*/*;q=0.1"):
        request = of("instances", one, "/file")
        yield request._replace(name=f"{request.name} Accept: {accept}", headers={"Accept": accept})


def statistics(held):
    for level in LEVELS:
        for one in distinct(level, held):
            yield of(level, one, "/statistics")


def metadata(held):
    for one in some(held, 3):
        yield of("instances", one, "/metadata")
        yield of("instances", one, "/metadata?expand")
    for level in LEVELS:
        for one in distinct(level, held)[:5]:
            yield of(level, one, "/metadata")
            yield of(level, one, "/metadata?expand")
            yield of(level, one, "/metadata?numeric")
            yield of(level, one, "/metadata?expand&numeric")
            for name in (
                "LastUpdate",
                "TransferSyntax",
                "SopClassUid",
                "IndexInSeries",
                "RemoteAET",
                "ExpectedNumberOfInstances",
                "Origin",
                "RemoteIP",
                "MainDicomTagsSignature",
                "ModifiedFrom",
                "9",
                "10",
                "NoSuchName",
                "99999",
                "-1",
            ):
                yield of(level, one, f"/metadata/{name}")


def changes(_):
    new = "type=NewPatient;NewStudy;NewSeries;NewInstance"
    for tail in (
        f"?limit=1000000&{new}",
        "?since=0&limit=1",
        f"?last&{new}",
        "?limit=1&type=NewPatient",
        "?type=NewStudy&limit=1000",
        "?type=NewStudy;NewSeries&limit=1000",
        "?limit=1000000",
        "?since=abc",
        "?limit=abc",
        "?limit=-1",
        "?since=-1",
        "?type=NoSuchType",
        "?since=99999999999&limit=5",
    ):
        yield get(f"/changes{tail}", ordered=True)


def server(_):
    for path in ("/system", "/statistics", "/instances/", "/patients/"):
        yield get(path)
