"""Searching, counting and looking up, with good and with bad arguments."""

import json

from support_compare import Request
from support_requests import IDENTIFIERS, JSON, LEVELS, NO_SUCH_ID, post


def find(body, name=None, path="/tools/find", ordered=False):
    text = name or json.dumps(body, ensure_ascii=False)
    return Request(f"POST {path} {text}", "POST", path, json.dumps(body).encode(), JSON, ordered)


PATIENT_IDS = [
    "H1",
    "h1",
    "H*",
    "*",
    "",
    "?1",
    "H?",
    "H1\\H3",
    "H1\\NOBODY",
    "NOBODY",
    "ODD*",
    "*D*",
    " H1 ",
    "H1*",
]
PATIENT_NAMES = """\
Müller^Jörg|MULLER^JORG|muller*|MÜLLER*|*jörg|Doe^Jane|doe^jane|DOE*|Yamada*|*山田*|*小东|Ærø*|aero*
Wang^XiaoDong=王^小东|Люк*|ЛЮКCЕМБЫПГ|Smith^John|Smith^John^^Dr^Jr|S*^J*|Zo?*|*""".replace(
    "\n", "|"
)
PATIENT_NAMES = PATIENT_NAMES.split("|")
DATES = """\
20200115|20200101-20211231|-20201231|20220101-|2020*|*||-|20200115\\20210115|abc
20211231-20200101|2020-01-15|20200115-20200115""".replace("\n", "|").split("|")


def matching():
    """Yield (level, query) that show how keys match."""
    for value in PATIENT_IDS:
        yield "Patient", {"PatientID": value}
    for value in PATIENT_NAMES:
        yield "Patient", {"PatientName": value}
        yield "Study", {"PatientName": value}
    for value in DATES:
        yield "Study", {"StudyDate": value}
        yield "Study", {"0008,0020": value}
    for value in ("103000.25", "103000", "1030", "100000-120000", "-120000", "120000-", "10*"):
        yield "Study", {"StudyTime": value}
    for value in ("CT", "MR", "ct", "CT\\MR", "C*", "XX", "*"):
        yield "Series", {"Modality": value}
        yield "Study", {"ModalitiesInStudy": value}
    for level in ("Patient", "Study", "Series", "Instance"):
        yield level, {}
        yield level, {"PatientID": "H2"}
        yield level, {"PatientID": "H2", "StudyDate": "20210115"}
        yield level, {"StudyDescription": "Study 1*"}
        yield level, {"StudyDescription": "study 1*"}
        yield level, {"AccessionNumber": "A0010"}
        yield level, {"AccessionNumber": "17"}
        yield level, {"SeriesDescription": "CT axial"}
        yield level, {"SeriesDescription": "ct*"}
        yield level, {"BodyPartExamined": "CHEST", "PatientSex": "M"}
        yield level, {"InstanceNumber": "10"}
        yield level, {"InstanceNumber": "1*"}
        yield level, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}
        yield level, {"ReferringPhysicianName": "REFERRING*"}
        yield level, {"InstitutionName": "general hospital"}
        yield level, {"PhotometricInterpretation": "MONOCHROME2"}
        yield level, {"Rows": "2"}
        yield level, {"NoSuchTag": "x"}
        yield level, {"0011,1001": "a private text"}
        yield level, {"StudyInstanceUID": "1.2*"}
        yield level, {"PatientID": "H2", "StudyInstanceUID": ""}


OPTIONS = [
    {"Expand": True},
    {"Expand": True, "Full": True},
    {"Expand": True, "Short": True},
    {"Full": True},
    {"Expand": False},
    {"Expand": True, "RequestedTags": ["PatientID", "PatientSex"]},
    {"Expand": True, "RequestedTags": ["ModalitiesInStudy", "NumberOfStudyRelatedInstances"]},
    {"Expand": True, "RequestedTags": ["Rows", "SOPClassUID"]},
    {"Expand": True, "RequestedTags": ["NoSuchTag"]},
    {"ResponseContent": ["MainDicomTags"]},
    {"ResponseContent": ["Metadata"]},
    {"ResponseContent": ["Children", "Parent"]},
    {"ResponseContent": ["Labels", "Status"]},
    {"ResponseContent": ["IsStable", "IsProtected"]},
    {"ResponseContent": ["Attachments"]},
    {"ResponseContent": []},
    {"ResponseContent": ["NoSuchContent"]},
    {"ResponseContent": ["MainDicomTags"], "RequestedTags": ["PatientName"]},
    {"Limit": 0},
    {"Limit": 100},
    {"MetadataQuery": {"TransferSyntax": "1.2.840.10008.1.2.1"}},
    {"MetadataQuery": {"RemoteAET": "*"}},
    {"MetadataQuery": {"NoSuchName": "x"}},
]
ORDERS = [
    ("Patient", "PatientName"),
    ("Patient", "PatientBirthDate"),
    ("Study", "StudyDate"),
    ("Study", "StudyDescription"),
    ("Study", "PatientID"),
    ("Series", "SeriesNumber"),
    ("Series", "Modality"),
    ("Instance", "InstanceNumber"),
]


def searches(held):
    for level, query in matching():
        yield find({"Level": level, "Query": query})
    yield find({"Level": "Study", "Query": {"StudyDescription": "study*"}, "CaseSensitive": True})
    yield find(
        {"Level": "Study", "Query": {"StudyDescription": "STUDY 1*"}, "CaseSensitive": False}
    )
    yield find({"Level": "Patient", "Query": {"PatientName": "doe*"}, "CaseSensitive": True})
    some = {"PatientID": "H*"}
    for level in ("Patient", "Study", "Series", "Instance"):
        for options in OPTIONS:
            yield find({"Level": level, "Query": some} | options)
        body = {"Level": level, "Query": some, "Since": 3}
        yield find(body)._replace(page=True)
    for level, key in ORDERS:
        for kind in ("DicomTag", "DicomTagAsInt", "DicomTagAsFloat"):
            for direction in ("ASC", "DESC"):
                order = [
                    {"Type": kind, "Key": key, "Direction": direction},
                    {"Type": "DicomTag", "Key": "PatientID", "Direction": "ASC"},
                ]
                if level in ("Series", "Instance"):
                    order.append({"Type": "DicomTag", "Key": "StudyDate", "Direction": "ASC"})
                yield find(
                    {"Level": level, "Query": some, "Expand": True, "OrderBy": order},
                    f"{level} by {kind} {key} {direction}",
                )
    one = next(one for one in held if one.name == "made/H2/0/0/1")
    for parent, level in (
        ("ParentPatient", "patients"),
        ("ParentStudy", "studies"),
        ("ParentSeries", "series"),
    ):
        for wanted in ("Study", "Series", "Instance"):
            body = {"Level": wanted, "Query": {}, parent: one.ids[level]}
            yield find(body, f"{wanted} {parent}")
        yield find({"Level": "Instance", "Query": {}, parent: NO_SUCH_ID}, f"{parent} unknown")


# What is no search at all, and what is wrong in one that is right otherwise.
NO_SEARCHES = ["", "[]", "{", "null", '"x"', "{}", '{"Level": "Study"}', '{"Query": {}}']
WRONG = [
    {"Level": "study"},
    {"Level": "Nothing"},
    {"Level": 1},
    {"Query": []},
    {"Query": {"PatientID": 1}},
    {"Query": {"PatientID": None}},
    {"Query": {"PatientID": ["a"]}},
    {"Expand": "yes"},
    {"Expand": 1},
    {"Limit": "1"},
    {"Limit": -1},
    {"Limit": 1.5},
    {"Since": -1},
    {"OrderBy": {}},
    {"OrderBy": [{}]},
    {"OrderBy": [{"Type": "X", "Key": "PatientID", "Direction": "ASC"}]},
    {"OrderBy": [{"Type": "DicomTag", "Key": "PatientID", "Direction": "UP"}]},
    {"Labels": "x"},
    {"LabelsConstraint": "X"},
    {"RequestedTags": "PatientID"},
    {"ResponseContent": "Children"},
    {"CaseSensitive": "x"},
    {"Unknown": 1},
]


def counts(_):
    for level, query in matching():
        yield find({"Level": level, "Query": query}, path="/tools/count-resources")
    yield find(
        {"Level": "Study", "Query": {}, "Since": 3, "Limit": 1}, path="/tools/count-resources"
    )
    yield find(
        {"Level": "Study", "Query": {}, "CaseSensitive": True}, path="/tools/count-resources"
    )


def bad_searches(_):
    for path in ("/tools/find", "/tools/count-resources"):
        for body in NO_SEARCHES:
            yield Request(f"POST {path} {body}", "POST", path, body.encode(), JSON)
        for wrong in WRONG:
            yield find({"Level": "Study", "Query": {}} | wrong, json.dumps(wrong), path)


def lookups(held):
    for value in ("H1", "h1", "NOBODY", "", " H1 ", "ODD", "  SPACED ", "SPACED", "A0010", "17"):
        yield post("/tools/lookup", value.encode(), f"({value})")
    for name in ("made/H1/0/0/1", "made/odd/nested", "pydicom/test_files/CT_small.dcm"):
        one = next(one for one in held if one.name == name)
        for level in LEVELS:
            yield Request(
                f"POST /tools/lookup (UID of {level} of {name})",
                "POST",
                "/tools/lookup",
                IDENTIFIERS[one.ids["instances"]][level].encode(),
            )
