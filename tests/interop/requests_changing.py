"""Modify, anonymize, merge, split, of one and of many: what is answered, and what it makes."""

import io
import json

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, MRImageStorage
from support_compare import Request
from support_corpus import encoded, image, uid
from support_made import IDENTIFIER, End, Files, Forget
from support_requests import JSON, LEVELS, NO_SUCH_ID, get, post
from support_samples import identity, public_id

PATIENT, OTHER = "CHANGING", "CHANGING-TOO"
UIDS = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
IMAGES, STEPS = "ReferencedImageSequence", "RequestAttributesSequence"
IMPLICIT = "1.2.840.10008.1.2"
# Identifiers of what is changed: what becomes of them is compared as it is.
KNOWN = set()


def slices():
    """Return the files that are changed: two studies of a patient, one of another."""
    return [
        encoded(instance(patient, study, series, number))
        for patient, study in ((PATIENT, 1), (PATIENT, 2), (OTHER, 1))
        for series in (1, 2)
        for number in (1, 2)
    ]


def instance(patient, study, series, number):
    """Return an image with what a change could touch."""
    found = image(patient, study, series, number)
    found.SpecificCharacterSet = "ISO_IR 100"
    found.PatientName, found.PatientBirthDate, found.PatientSex = "Müller^Jörg", "19500102", "M"
    found.StudyDate, found.StudyTime, found.StudyID = "20200102", "101112", str(study)
    found.AccessionNumber, found.StudyDescription = f"A{study}", f"study {study}"
    found.InstitutionName, found.ReferringPhysicianName = "General Hospital", "Referring^A"
    found.SeriesNumber, found.SeriesDescription = series, f"series {series}"
    # By which files are told apart.
    found.InstanceNumber = 100 * study + 10 * series + number + 1000 * (patient == OTHER)
    found.FrameOfReferenceUID = uid(patient, study, "frame")
    found.DeviceSerialNumber, found.StationName = "4711", "STATION"
    found.OperatorsName, found.PatientComments = "Operator^B", "of the patient"
    reference = Dataset()
    reference.ReferencedSOPClassUID = CTImageStorage
    reference.ReferencedSOPInstanceUID = uid(patient, study, series, 3 - number)
    elsewhere = Dataset()
    elsewhere.ReferencedSOPClassUID = CTImageStorage
    elsewhere.ReferencedSOPInstanceUID = uid("elsewhere", study)
    found.ReferencedImageSequence = Sequence([reference, elsewhere])
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-1", "99T", "Meaning"
    step = Dataset()
    step.ScheduledProcedureStepID, step.RequestedProcedureID = "S1", "P1"
    step.ScheduledProtocolCodeSequence = Sequence([code])
    found.RequestAttributesSequence = Sequence([step])
    block = found.private_block(0x0011, "Nobody knows this", create=True)
    block.add_new(0x01, "LO", "a private text")
    return found


# What is said, and whether it is said of patients too.
MODIFICATIONS = {
    "nothing": {},
    "texts": {"Replace": {"InstitutionName": "Elsewhere", "StudyDescription": "Größe"}},
    "hexadecimal": {"Replace": {"0008,0080": "Elsewhere", "0008-1010": "X", "00081090": "Y"}},
    "empty": {"Replace": {"InstitutionName": ""}},
    "new": {"Replace": {"PatientWeight": "70.5", "ImageComments": "", "ImagesInAcquisition": "7"}},
    "several values": {"Replace": {"OtherPatientNames": "A^B\\C^D", "ImageType": "DERIVED\\OTHER"}},
    "removed": {"Remove": ["InstitutionName", "0008-0050", "PatientWeight"]},
    "sequence removed": {"Remove": ["RequestAttributesSequence"]},
    "sequence": {"Replace": {"ProcedureCodeSequence": [{"CodeValue": "X", "CodeMeaning": "Y"}]}},
    "sequence emptied": {"Replace": {"RequestAttributesSequence": []}},
    "in an item": {"Replace": {"RequestAttributesSequence[0].RequestedProcedureID": "NEW"}},
    "in all items": {"Replace": {f"{IMAGES}[*].ReferencedSOPClassUID": MRImageStorage}},
    "deeper": {"Replace": {f"{STEPS}[0].ScheduledProtocolCodeSequence[0].CodeValue": "Z"}},
    "in no item": {"Replace": {"RequestAttributesSequence[5].RequestedProcedureID": "NEW"}},
    "removed in items": {"Remove": ["ReferencedImageSequence[*].ReferencedSOPClassUID"]},
    "private ones removed": {"RemovePrivateTags": True},
    "private ones": {"PrivateCreator": "Nobody knows this", "Replace": {"0011,1001": "other"}},
    "kept": {"Keep": ["StudyDescription", "SeriesDescription"]},
    "bytes": {"Replace": {"EncapsulatedDocument": "data:application/octet-stream;base64,MTIzNA=="}},
    "source not kept": {"KeepSource": True},
    "transcoded": {"Transcode": IMPLICIT},
    "synchronous": {"Synchronous": True, "Priority": 3, "UserData": {"a": 1}},
    "permissive": {"Permissive": True, "KeepLabels": True},
    "own series": {"Keep": ["SeriesInstanceUID"], "Force": True},
    "own instances": {"Keep": ["SOPInstanceUID"], "Force": True},
}  # fmt: skip
ANONYMIZATIONS = {
    "nothing": {},
    "2008": {"DicomVersion": "2008"},
    "2017c": {"DicomVersion": "2017c"},
    "2021b": {"DicomVersion": "2021b"},
    "private ones kept": {"KeepPrivateTags": True},
    "kept": {"Keep": ["StudyDescription", "SeriesDescription", "InstitutionName"]},
    "replaced": {"Replace": {"PatientName": "Nobody", "PatientID": "N1", "StudyDate": "20000101"}},
    "removed": {"Remove": ["PatientComments", "Modality"], "Replace": {"PatientName": "N"}},
    "identifiers kept": {"Keep": UIDS, "Force": True},
    "own patient": {"Keep": ["PatientID", "PatientName"], "Force": True},
    "in an item": {"Keep": ["RequestAttributesSequence[0].RequestedProcedureID"]},
    "transcoded": {"Transcode": IMPLICIT},
}
# What both refuse, each for a reason of its own.
WRONG = {
    "nothing": b"",
    "no JSON": b"nope",
    "a list": b"[]",
    "a text": b'"x"',
    "list": {"Replace": []},
    "text": {"Remove": "x"},
    "number": {"Keep": 5},
    "numbers": {"Remove": [5]},
    "no such tag": {"Replace": {"NoSuchTag": "x"}},
    "no such tag removed": {"Remove": ["NoSuchTag"]},
    "no such tag kept": {"Keep": ["NoSuchTag"]},
    "broken path": {"Replace": {"RequestAttributesSequence[0": "x"}},
    "path through no sequence": {"Replace": {"PatientName[0].CodeValue": "x"}},
    "no such syntax": {"Transcode": "1.2.3"},
    "syntax by name": {"Transcode": "Nope"},
    "no switch": {"Force": "x"},
    "no switch either": {"KeepSource": 5},
    "priority": {"Priority": "x"},
    "creator": {"PrivateCreator": 5},
}
WRONG_MODIFICATIONS = {
    "patient": {"Replace": {"PatientID": "X"}},
    "study": {"Replace": {"StudyInstanceUID": "1.2.3"}},
    "series": {"Replace": {"SeriesInstanceUID": "1.2.3"}},
    "instance": {"Replace": {"SOPInstanceUID": "1.2.3"}},
    "instances kept": {"Keep": ["SOPInstanceUID"]},
    "study by force": {"Replace": {"StudyInstanceUID": "1.2.3"}, "Force": True},
    "series by force": {"Replace": {"SeriesInstanceUID": "1.2.3"}, "Force": True},
    "instance by force": {"Replace": {"SOPInstanceUID": "1.2.3"}, "Force": True},
    "identifiers removed": {"Remove": ["StudyInstanceUID"], "Force": True},
    "in place": {"Keep": UIDS, "Force": True, "Replace": {"StudyDescription": "x"}},
    "half of a patient": {"Replace": {"PatientName": "X"}},
}
WRONG_ANONYMIZATIONS = {
    "version": {"DicomVersion": "nope"},
    "no version": {"DicomVersion": 5},
    "patient": {"Replace": {"PatientID": "X"}},
    "study": {"Replace": {"StudyInstanceUID": "1.2.3"}},
    "instances kept": {"Keep": ["SOPInstanceUID"]},
}


# Everything of it is said of studies; of the others what one look at each kind of it needs.
OF_ALL_LEVELS = {
    "nothing", "texts", "removed", "in an item", "private ones removed", "kept", "transcoded",
    "own instances", "replaced", "2017c", "identifiers kept", "patient", "instances kept",
    "identifiers removed", "study", "series", "instance",
}  # fmt: skip


def changed(_):
    """Upload what is changed, change it in every way, and delete all of it."""
    yield from uploads()
    for level, path in paths(PATIENT).items():
        for verb, all_of_it, wrong in (
            ("modify", MODIFICATIONS, WRONG | WRONG_MODIFICATIONS),
            ("anonymize", ANONYMIZATIONS, WRONG | WRONG_ANONYMIZATIONS),
        ):
            for name, body in all_of_it.items():
                if level == "studies" or name in OF_ALL_LEVELS:
                    yield from change(level, path, verb, body, name)
            for name, body in wrong.items():
                if level == "studies" or name in OF_ALL_LEVELS:
                    yield from refuse(level, path, verb, body, name)
            nowhere = f"/{level}/{NO_SUCH_ID}/{verb}"
            yield made(nowhere, {}, f"{verb} of {level} (none)")
    yield from later()
    yield from split()
    yield from merged()
    yield from of_many()
    yield Forget("what is left of changes")
    yield get("/statistics", "/statistics (after changes)")


def uploads():
    """Upload what is changed."""
    for number, file in enumerate(slices()):
        KNOWN.update(IDENTIFIER.findall(str(identity(read(file)))))
        yield post("/instances", file, f"(to be changed {number})")
    for patient in (PATIENT, OTHER):
        KNOWN.update(path.rpartition("/")[2] for path in paths(patient).values())


def read(file):
    return pydicom.dcmread(io.BytesIO(file))


def paths(patient, study=1):
    """Return the path of a resource of each level."""
    words = [patient, uid(patient, study), uid(patient, study, 1), uid(patient, study, 1, 1)]
    return {
        level: f"/{level}/{public_id(words[: number + 1])}" for number, level in enumerate(LEVELS)
    }


def made(path, body, name, keeps=""):
    """Return a request after which both have something under identifiers of their own."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(f"POST {name}", "POST", path, data, JSON, keeps=keeps, makes=True)


def change(level, path, verb, body, name):
    """Yield a change and looks at what it made, which is deleted again."""
    name = f"{verb} of {level} ({name})"
    if level == "instances":
        yield made(f"{path}/{verb}", body, name)  # answered with the file itself
        return
    if (level, verb) == ("patients", "modify"):  # or it would be the patient that there is
        replaced = {**body.get("Replace", {}), "PatientID": "CHANGED"}
        body = {**body, "Replace": replaced, "Force": True}
    yield made(f"{path}/{verb}", body, name, keeps="ID")
    one = f"/{level}/{{kept}}"
    yield Files(f"FILES of {name}", one)
    yield get(f"{one}/metadata?expand", f"metadata of {name}", makes=True)
    yield Request(f"DELETE what was made by {name}", "DELETE", one, makes=True)


def refuse(level, path, verb, body, name):
    """Yield what is refused for a reason; what is done all the same is deleted again."""
    name = f"{verb} of {level} (wrong: {name})"
    if level == "instances":
        yield made(f"{path}/{verb}", body, name)
        return
    yield made(f"{path}/{verb}", body, name, keeps="ID")
    one = f"/{level}/{{kept}}"
    yield Request(f"DELETE what was made by {name}", "DELETE", one, makes=True)


def later():
    """Change in the background, and look at the job."""
    path = paths(PATIENT)["studies"]
    for verb in ("modify", "anonymize"):
        body = {"Asynchronous": True, "Priority": 2, "UserData": "x"}
        yield made(f"{path}/{verb}", body, f"{verb} (later)", keeps="ID")
        yield End(f"job of {verb} (later)")


def of_many():
    """Change several resources at once."""
    one, other = paths(OTHER), paths(PATIENT)
    chosen = [name(one["studies"]), name(other["series"])]
    for verb in ("anonymize", "modify"):
        path = f"/tools/bulk-{verb}"
        for level in ("Patient", "Study", "Series", "Instance", None):
            body = {"Resources": [name(one["studies"])], "Replace": {"StudyDescription": "many"}}
            if level:
                body["Level"] = level
            if level == "Patient" and verb == "modify":
                body = {**body, "Replace": {"PatientID": "MANY"}, "Force": True}
            yield made(path, body, f"bulk-{verb} (of {level})", keeps="Study")
            if verb == "anonymize" or level in ("Patient", "Study"):
                yield Files(f"FILES of bulk-{verb} (of {level})", "/studies/{kept}")
                yield forgotten(f"bulk-{verb} (of {level})")
        yield made(path, {"Resources": chosen, "Level": "Study"}, f"bulk-{verb} (of two)")
        for said, body in {
            "nothing": b"",
            "no resources": {},
            "none": {"Resources": []},
            "a text": {"Resources": "x"},
            "a number": {"Resources": [5]},
            "no such resource": {"Resources": [NO_SUCH_ID]},
            "no id": {"Resources": ["nope"]},
            "no level": {"Resources": chosen, "Level": "Nope"},
            "no such tag": {"Resources": chosen, "Replace": {"NoSuchTag": "x"}},
        }.items():
            yield made(path, body, f"bulk-{verb} (wrong: {said})")


def name(path):
    return path.rpartition("/")[2]


def forgotten(name):
    return Request(f"DELETE what was made by {name}", "DELETE", "/studies/{kept}", makes=True)


def of_second_series():
    """Return the id of an instance of another series than `paths` names."""
    return public_id([PATIENT, uid(PATIENT, 2), uid(PATIENT, 2, 2), uid(PATIENT, 2, 2, 1)])


def split():
    """Take series and instances out of a study; those that are to stay first."""
    one = paths(PATIENT, 2)
    path, series, instance = (
        f"{one['studies']}/split",
        name(one["series"]),
        name(one["instances"]),
    )
    stays = {"KeepSource": True}
    for said, body in {
        "nothing": b"",
        "no series": {},
        "none": {"Series": [], "Instances": []},
        "a number": {"Series": [5]},
        "no such series": {"Series": [NO_SUCH_ID]},
        "no such instance": {"Instances": [NO_SUCH_ID]},
        "series of another study": {"Series": [name(paths(PATIENT)["series"])]},
        "an instance as a series": {"Series": [instance]},
        "a study as a series": {"Series": [name(one["studies"])]},
        "no such tag": {"Series": [series], "Replace": {"NoSuchTag": "x"}},
        "a tag of series": {"Series": [series], "Replace": {"Modality": "CT"}},
        "a study": {"Series": [series], "Replace": {"StudyInstanceUID": "1.2.3"}},
        "removed tag of series": {"Series": [series], "Remove": ["Modality"]},
        "no switch": {"Series": [series], "KeepSource": "x"},
    }.items():
        yield made(path, body, f"split (wrong: {said})")
    yield made(f"/studies/{NO_SUCH_ID}/split", {"Series": [series]}, "split (none)")
    for said, body in {
        "series": {"Series": [series]},
        "instance": {"Instances": [instance]},
        "both": {"Series": [series], "Instances": [of_second_series()]},
        "replaced": {"Series": [series], "Replace": {"PatientName": "X", "StudyDescription": "Y"}},
        "removed": {"Series": [series], "Remove": ["StudyDescription", "PatientSex"]},
    }.items():
        yield made(path, body | stays, f"split ({said})", keeps="TargetStudy")
        yield Files(f"FILES of split ({said})", "/studies/{kept}")
        yield forgotten(f"split ({said})")
    yield made(path, {"Series": [series]}, "split (moved)", keeps="TargetStudy")
    yield Files("FILES of split (moved)", "/studies/{kept}")
    yield Files("FILES left by split", one["studies"])
    yield forgotten("split (moved)")


def merged():
    """Put series and instances of other studies into one."""
    one, other = paths(PATIENT), paths(OTHER)
    second = public_id([OTHER, uid(OTHER, 1), uid(OTHER, 1, 2), uid(OTHER, 1, 2, 1)])
    path = f"{one['studies']}/merge"
    for said, body in {
        "nothing": b"",
        "no resources": {},
        "none": {"Resources": []},
        "a number": {"Resources": [5]},
        "no such resource": {"Resources": [NO_SUCH_ID]},
        "a patient": {"Resources": [name(other["patients"])]},
        "itself": {"Resources": [name(one["studies"])]},
        "a series of it": {"Resources": [name(one["series"])]},
        "no switch": {"Resources": [name(other["series"])], "KeepSource": "x"},
    }.items():
        yield made(path, body, f"merge (wrong: {said})")
    yield made(f"/studies/{NO_SUCH_ID}/merge", {"Resources": []}, "merge (none)")
    for said, body in {
        "instance": {"Resources": [second], "KeepSource": True},
        "series": {"Resources": [name(other["series"])], "KeepSource": True},
        "moved": {"Resources": [name(paths(PATIENT, 2)["studies"])]},
    }.items():
        yield made(path, body, f"merge ({said})")
        yield Files(f"FILES of merge ({said})", one["studies"])
    yield get(paths(PATIENT, 2)["studies"], "/studies/{merged}")
