"""What a request to modify, anonymize, merge or split comes to: checked, and ready for a job."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec

from vna._core import check_recipe, module_tags, transfer_syntaxes
from vna.errors import BadBody, BadRequest, NotFound, OutOfRange
from vna.services import uids
from vna.services.archive import Archive, ListOptions, TagsRequest
from vna.services.caller import Caller
from vna.services.modifying import Modification, Profile, Recipe, new_key
from vna.services.named_tags import tag_of
from vna.services.resources import instances_of, level_of

DEFAULT_PROFILE = "2023b"
IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
# Patient tags that all studies of a patient have alike: those that lists of patients show.
PATIENT_TAGS = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "OtherPatientIDs")
MODULES = ("patients", "studies")


class Wanted(msgspec.Struct, kw_only=True, rename="pascal", omit_defaults=True):
    """What a request says of the new instances, as clients of Orthanc write it.

    Attributes
    ----------
    replace, remove, keep : dict, list of str
        Values, and paths of attributes.
    force : bool
        Whether identifiers may be among them.
    remove_private_tags, keep_private_tags : bool
        Of a modification that they go, of an anonymization that they stay.
    private_creator : str, optional
        Whose blocks private tags among them are in.
    dicom_version : str
        Edition of the profile of an anonymization.
    options : list of str
        Options of that profile (PS3.15 §E.3), by what the core calls them.
    transcode : str, optional
        Transfer syntax of the result.
    lossy_quality : int, optional
        Quality of it if it is JPEG with loss, 1 to 100.
    keep_source, keep_labels, permissive : bool
        As in `modifying.Modification`.
    """

    replace: dict[str, Any] = {}
    remove: list[str] = []
    keep: list[str] = []
    force: bool = False
    remove_private_tags: bool = False
    keep_private_tags: bool = False
    private_creator: str | None = None
    dicom_version: str = DEFAULT_PROFILE
    options: list[str] = []
    transcode: str | None = None
    lossy_quality: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    keep_source: bool = True
    keep_labels: bool = False
    permissive: bool = False

    def keeps(self, *names: str) -> bool:
        """Whether all of these attributes are kept."""
        kept = {tag_of(path) for path in self.keep if "[" not in path}
        return all(tag_of(name) in kept for name in names)

    def replaced(self, name: str) -> Any:
        """Return the new value of an attribute, None if it has none."""
        tag = tag_of(name)
        for path, value in self.replace.items():
            if "[" not in path and tag_of(path) == tag:
                return value
        return None


class Prepared(NamedTuple):
    """What a job of a type is to do, and what clients see of it at first beside the usual."""

    modification: Modification
    shown: dict[str, Any]


def recipe_of(wanted: Wanted, level: str, anonymizes: bool, key: str | None = None) -> Recipe:
    """Return what is done to instances; `level` is that of which it is asked, such as Study.

    Raises
    ------
    BadBody
        If there is no such transfer syntax.
    """
    if wanted.transcode is not None and wanted.transcode not in transfer_syntaxes():
        raise BadBody(f"Transcode is {wanted.transcode[:64]!r}, no transfer syntax of DICOM")
    recipe = Recipe(
        key=key or new_key(),
        level="Patient" if anonymizes else level,
        force=wanted.force,
        remove=wanted.remove,
        keep=wanted.keep,
        replace=wanted.replace,
        private_creator=wanted.private_creator,
        transcode=wanted.transcode,
    )
    if anonymizes:
        recipe.profile = Profile(version=wanted.dicom_version, options=wanted.options)
        recipe.keep_private = wanted.keep_private_tags
    else:
        recipe.remove_private = wanted.remove_private_tags
        if wanted.keeps("SOPInstanceUID"):
            recipe.original_attributes = originals("CORRECT")
    return recipe


def originals(reason: str) -> dict[str, str]:
    """Return what Original Attributes Sequence says of a change that is made now."""
    return {"at": datetime.now().strftime("%Y%m%d%H%M%S"), "system": "VNA", "reason": reason}


async def modification(
    archive: Archive,
    wanted: Wanted,
    resources: list[str],
    level: str,
    caller: Caller,
    *,
    anonymizes: bool,
    is_bulk: bool,
) -> Modification:
    """Return what a job does that modifies or anonymizes resources.

    Parameters
    ----------
    level : str
        Patient, Study, Series or Instance: of what new identifiers are made, and below.

    Raises
    ------
    NotFound
        If a resource is not there.
    BadRequest
        If the request contradicts itself or what is stored.
    """
    recipe = recipe_of(wanted, level, anonymizes)
    check_recipe(msgspec.json.encode(recipe))
    for public_id in resources:
        level_of(archive, public_id, caller)
    is_in_place = wanted.keeps(*IDENTIFIERS) and wanted.replaced("PatientID") is None
    if level == "Study" and not anonymizes:
        for public_id in resources:
            await check_patient(archive, wanted, public_id, caller)
    if is_in_place:
        check_in_place(archive, wanted)
    return Modification(
        recipe=recipe,
        resources=resources,
        instances=await instances_of(archive, resources, caller),
        kind="Anonymized" if anonymizes else "Modified",
        caller=caller,
        keep_source=wanted.keep_source,
        keep_labels=wanted.keep_labels,
        lossy_quality=wanted.lossy_quality,
        overwrite=is_in_place,
        permissive=wanted.permissive,
        is_bulk=is_bulk,
    )


def check_in_place(archive: Archive, wanted: Wanted) -> None:
    """Raise BadRequest if instances may not take the place of what they are made from."""
    names = ", ".join(IDENTIFIERS)
    if not wanted.keep_source:
        raise BadRequest(
            f"{names} are kept: the result takes the place of the source; KeepSource must be true"
        )
    if archive.settings.storage.duplicates == "never":
        raise BadRequest(
            f"{names} are kept, but storage.duplicates says that what is stored is never replaced"
        )


async def check_patient(archive: Archive, wanted: Wanted, study: str, caller: Caller) -> None:
    """Raise BadRequest if a study would get another patient's id with other tags, or one's own.

    The tags of a patient are the same in all his studies: those that are replaced must be all of
    his, with the values that they have, unless he has no other study.
    """
    if all(wanted.replaced(name) is None for name in PATIENT_TAGS):
        return
    if level_of(archive, study, caller) != "studies":
        return
    patient = await patient_of(archive, wanted, study, caller)
    if patient is None or not set(patient["Studies"]) - {study}:
        return
    tags = patient["MainDicomTags"]
    for name in (*tags, *(each for each in PATIENT_TAGS if each not in tags)):
        value = wanted.replaced(name)
        if value != tags.get(name) and not (value is None and name not in tags):
            raise BadRequest(
                f"{name}: the patient has other studies, so that all tags of the patient must be "
                "given, with the values that they have there; modify the patient to change them"
            )


async def patient_of(
    archive: Archive, wanted: Wanted, study: str, caller: Caller
) -> dict[str, Any] | None:
    """Return the patient that a study will be of, if there is one."""
    patient_id = wanted.replaced("PatientID")
    if patient_id is None:
        whole = ListOptions(expand=True)
        shown = await archive.related("studies", study, "patients", whole, caller)
        own: dict[str, Any] = msgspec.json.decode(shown)
        return own
    begun = archive.core.lookup(caller.tenant, str(patient_id))
    for found in msgspec.json.decode(await archive._json(begun)):
        if found["Type"] == "Patient":
            patient: dict[str, Any] = msgspec.json.decode(
                archive.resource("patients", found["ID"], caller)
            )
            return patient
    return None


async def split(
    archive: Archive,
    study: str,
    series: list[str],
    instances: list[str],
    wanted: Wanted,
    caller: Caller,
) -> Prepared:
    """Return what a job does that makes a new study of series and instances of another.

    Raises
    ------
    NotFound
        If the study is not there, or one of the others not in it.
    BadRequest
        If tags are changed that are not those of a patient or study.
    """
    archive.resource("studies", study, caller)
    if not series and not instances:
        raise BadRequest('both "Series" and "Instances" are missing')
    allowed = {tag for level in MODULES for tag in module_tags(level)}
    for path in (*wanted.replace, *wanted.remove):
        tag = tag_of(path.partition("[")[0])
        if tag not in allowed or tag == tag_of("StudyInstanceUID"):
            raise OutOfRange(f"{path[:64]} is no tag of patients or studies, or identifies a study")
    for level, chosen in (("series", series), ("instances", instances)):
        for public_id in chosen:
            if await study_of(archive, level, public_id, caller) != study:
                raise NotFound(f"{public_id[:64]} is none of the {level} of {study}")
    target_uid = uids.generate()
    recipe = recipe_of(wanted, "Series", anonymizes=False)
    recipe.force = True
    recipe.replace = {**recipe.replace, "StudyInstanceUID": target_uid}
    recipe.original_attributes = originals("CORRECT")
    chosen = [*series, *instances]
    work = await moving(archive, recipe, chosen, wanted, caller)
    return Prepared(work, {"TargetStudyUID": target_uid})


async def merge(
    archive: Archive, study: str, resources: list[str], wanted: Wanted, caller: Caller
) -> Prepared:
    """Return what a job does that puts studies, series and instances into a study.

    Raises
    ------
    NotFound
        If one of these is not there, is a patient, or is in that study already.
    """
    archive.resource("studies", study, caller)
    removed: set[str] = set()
    for public_id in resources:
        level = level_of(archive, public_id, caller)
        if level == "patients":
            raise NotFound(f"{public_id} is a patient; studies, series and instances are merged")
        source = await study_of(archive, level, public_id, caller)
        if source == study:
            raise NotFound(f"{public_id} is in {study} already")
        removed |= (await module(archive, source, caller)).keys()
    target = await module(archive, study, caller)
    recipe = Recipe(
        key=new_key(),
        level="Series",
        force=True,
        replace=target,
        remove=sorted(removed - target.keys()),
        original_attributes=originals("CORRECT"),
    )
    work = await moving(archive, recipe, resources, wanted, caller)
    return Prepared(work, {"TargetStudy": study})


async def moving(
    archive: Archive, recipe: Recipe, resources: list[str], wanted: Wanted, caller: Caller
) -> Modification:
    """Return what a job does that gives resources another study."""
    check_recipe(msgspec.json.encode(recipe))
    return Modification(
        recipe=recipe,
        resources=resources,
        instances=await instances_of(archive, resources, caller),
        kind="Modified",
        caller=caller,
        keep_source=wanted.keep_source,
        keep_labels=wanted.keep_labels,
        lossy_quality=wanted.lossy_quality,
        permissive=wanted.permissive,
    )


async def study_of(archive: Archive, level: str, public_id: str, caller: Caller) -> str:
    """Return the study that a resource is in, or itself; raises NotFound."""
    if level == "studies":
        return public_id
    found = await archive.related(level, public_id, "studies", ListOptions(), caller)
    shown: dict[str, str] = msgspec.json.decode(found)
    return shown["ID"]


async def module(archive: Archive, study: str, caller: Caller) -> dict[str, Any]:
    """Return the tags of a study and of its patient, as they are written in requests."""
    found: dict[str, Any] = {}
    for of in ("PatientModule", "Module"):
        request = TagsRequest(of=of, form="short")
        found |= msgspec.json.decode(await archive.tags("studies", study, request, caller))
    return found
