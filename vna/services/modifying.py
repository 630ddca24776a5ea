"""Instances written anew from others: modification, anonymization, and studies merged and split.

The core rewrites (`vna._core.Archive.rewriting`): what comes out is a function of a recipe, of its
secret key and of what goes in. A job keeps the recipe, the key and the instances that it began
with, so one that is resumed, after a crash too, makes what it made before, and what is there
already stays as it is. Sources are deleted only when all that takes their place is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from vna.errors import NotFound
from vna.services import labels
from vna.services.caller import Caller
from vna.services.rewriting import Rewritten, failure, rewrite

if TYPE_CHECKING:
    from vna.jobs import Job
    from vna.services.archive import Archive
    from vna.services.node import Node

logger = logging.getLogger(__name__)

Type = Literal["ResourceModification", "MergeStudy", "SplitStudy"]
# How often a job writes down how far it is: what it did since then it does again after a crash.
SAVED_EVERY_S = 1.0
# Sources that are deleted side by side; each deletion waits for the disk.
DELETED_AT_ONCE = 16
KEY_BYTES = 32
# The name of one of a level, and what holds its id in what the core says of a new instance.
ONE = {"patients": "Patient", "studies": "Study", "series": "Series", "instances": "Instance"}
PLURAL = {one: level for level, one in ONE.items()}


class Recipe(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is done to each instance, as the core compiles it (`vna_dicom::edit::Recipe`).

    Attributes
    ----------
    key : str
        Secret that new identifiers are made with, in hexadecimal digits.
    level : str
        Patient, Study, Series or Instance: identifiers of it and below are new.
    force : bool
        Whether identifiers may be replaced, kept and removed.
    remove, keep : list of str
        Paths of attributes.
    replace : dict
        Values by path.
    remove_private : bool
        Whether private attributes go.
    private_creator : str, optional
        Whose block private attributes in paths are of.
    profile : Profile, optional
        By which persons are made unknown.
    keep_private : bool
        Whether private attributes stay whatever the profile says.
    original_attributes : dict, optional
        What Original Attributes Sequence says of the modification (PS3.3 §C.12.1.1.9).
    transcode : str, optional
        The transfer syntax of the result.
    """

    key: str
    level: str
    force: bool = False
    remove: list[str] = []
    keep: list[str] = []
    replace: dict[str, Any] = {}
    remove_private: bool = False
    private_creator: str | None = None
    profile: Profile | None = None
    keep_private: bool = False
    original_attributes: dict[str, str] | None = None
    transcode: str | None = None


class Profile(msgspec.Struct, kw_only=True):
    """A profile of de-identification: an edition of PS3.15 Table E.1-1, and its options."""

    version: str
    options: list[str] = []


class Modification(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a job is to do.

    Attributes
    ----------
    recipe : Recipe
        What is done to each instance.
    resources, instances : list of str
        What was asked for, and the instances that this was then; public ids.
    kind : str
        What is told of the results: Modified or Anonymized.
    keep_source, keep_labels : bool
        Whether the instances stay, and whether labels are given to the new resources too.
    overwrite : bool
        Whether what is there under a new identifier is replaced.
    lossy_quality : int, optional
        Quality of JPEG with loss, 1 to 100, if that is what they are transcoded into.
    permissive : bool
        Whether it goes on if an instance cannot be written anew; such ones stay where they are.
    is_bulk : bool
        Whether all that was made is shown.
    caller : Caller
        Who asked.
    """

    recipe: Recipe
    resources: list[str]
    instances: list[str]
    kind: Literal["Modified", "Anonymized"]
    caller: Caller
    keep_source: bool = True
    keep_labels: bool = False
    overwrite: bool = False
    lossy_quality: int | None = None
    permissive: bool = False
    is_bulk: bool = False


class State(msgspec.Struct, kw_only=True):
    """How far a job is.

    Attributes
    ----------
    done, failed : int
        How many of its instances were looked at, and how many of these could not be written anew.
    made : dict
        What was made, by level: public ids.
    became : dict
        Which resource above instances became which, by level: pairs of public ids.
    stayed : list of str
        Instances that could not be written anew.
    told : int
        How many of the resources that were asked for have been told of.
    burned_in, unsaid : int
        How many instances have text in their pixels by what they say, and how many do not say.
    """

    done: int = 0
    failed: int = 0
    made: dict[str, list[str]] = {}
    became: dict[str, dict[str, str]] = {}
    stayed: list[str] = []
    told: int = 0
    burned_in: int = 0
    unsaid: int = 0


def new_key() -> str:
    """Return a secret that nobody has had before."""
    return secrets.token_hex(KEY_BYTES)


def shown(modification: Modification) -> dict[str, Any]:
    """Return what clients see of a job that modifies or anonymizes, at first."""
    fields: dict[str, Any] = {
        "Description": "REST API",
        "FailedInstancesCount": 0,
        "InstancesCount": len(modification.instances),
        "IsAnonymization": modification.kind == "Anonymized",
    }
    if modification.resources:
        fields["ParentResources"] = sorted(set(modification.resources))
    if modification.recipe.transcode is not None:
        fields["Transcode"] = modification.recipe.transcode
    if modification.is_bulk:
        fields["Resources"] = []
    return fields


async def run(node: Node, job: Job) -> None:
    """Do one job; what was done of it before is not done again, or comes out the same."""
    modification = msgspec.convert(job.content, Modification)
    state = msgspec.convert(job.state or {}, State)
    await Work(node.archive, job, modification, state).run()


class Work:
    """One job that is being done."""

    def __init__(self, archive: Archive, job: Job | Here, modification: Modification, state: State):
        self.archive = archive
        self.job = job
        self.modification = modification
        self.state = state
        self.saved_at = time.monotonic()
        # Ids are asked for often: lists of the state would be searched from their beginning.
        self.made = {level: dict.fromkeys(ids) for level, ids in state.made.items()}

    async def run(self) -> None:
        """Do what of it is not done."""
        await self.rewrite()
        await self.label()
        await self.tell()
        if not self.modification.keep_source:
            await self.delete_sources()
        self.show_result()

    async def save(self, at_once: bool = False) -> None:
        """Write down how far the job is; not too often, as it may be long."""
        if not at_once and time.monotonic() - self.saved_at < SAVED_EVERY_S:
            return
        self.state.made = {level: list(ids) for level, ids in self.made.items()}
        await self.job.save(msgspec.to_builtins(self.state))
        self.saved_at = time.monotonic()

    async def rewrite(self) -> None:
        """Write all instances anew."""
        wanted, state = self.modification, self.state
        total = max(1, len(wanted.instances))
        recipe = msgspec.json.encode(wanted.recipe)
        try:
            async for part in rewrite(
                self.archive,
                recipe,
                wanted.instances,
                state.done,
                wanted.overwrite,
                wanted.caller,
                wanted.lossy_quality,
            ):
                for one in part:
                    self.count(one)
                self.job.progress(state.done / total)
                self.job.show(FailedInstancesCount=state.failed)
                await self.save()
        except BaseException:
            # It is resubmitted from where it failed, and goes on from where it was stopped.
            await asyncio.shield(self.save(at_once=True))
            raise

    def count(self, one: Rewritten) -> None:
        """Note what became of an instance; raises why it could not be written anew.

        One that somebody deleted meanwhile is no failure of the job.
        """
        if one.code is not None:
            error = failure(one)
            if not self.modification.permissive and not isinstance(error, NotFound):
                raise error
            self.state.failed += 1
            self.state.stayed.append(one.source)
            logger.warning(
                "instance not written anew",
                extra={"job": self.job.id, "id": one.source, "code": one.code},
            )
        else:
            for level, public_id in one.made().items():
                self.made.setdefault(level, {})[public_id] = None
            self.note_parents(one)
            self.state.burned_in += one.burned_in == "YES"
            self.state.unsaid += one.burned_in == "UNSAID"
        self.state.done += 1

    def note_parents(self, one: Rewritten) -> None:
        """Note which resources became which."""
        made = one.made()
        for level, source in one.sources().items():
            self.state.became.setdefault(level, {})[source] = made[level]

    async def label(self) -> None:
        """Give labels of sources to what they became; those of instances stay with them."""
        if not self.modification.keep_labels:
            return
        caller = self.modification.caller
        for level, pairs in self.state.became.items():
            for source, target in pairs.items():
                if source == target:
                    continue
                try:
                    found = await labels.labels(self.archive, level, source, caller)
                    for label in msgspec.json.decode(found, type=list[str]):
                        await labels.put_label(self.archive, level, target, label, caller)
                except NotFound:
                    continue  # deleted meanwhile

    async def tell(self) -> None:
        """Write into the change feed what each resource that was asked for became."""
        wanted, state = self.modification, self.state
        for public_id in wanted.resources[state.told :]:
            for level, pairs in state.became.items():
                target = pairs.get(public_id)
                if target is not None:
                    change = f"{wanted.kind}{ONE[level]}"
                    with contextlib.suppress(NotFound):  # deleted meanwhile
                        await self.archive.tell(change, level, target, wanted.caller)
            state.told += 1
        self.audit()
        self.warn()
        # Before sources go: it would look for them again. Else the end of the job is soon enough.
        await self.save(at_once=not wanted.keep_source)

    def audit(self) -> None:
        """Leave a record of who had what rewritten, and into what."""
        wanted = self.modification
        logger.info(
            "resources anonymized" if wanted.kind == "Anonymized" else "resources modified",
            extra={
                "job": self.job.id,
                "type": self.job.type,
                "user": wanted.caller.user,
                "address": wanted.caller.address,
                "way_in": wanted.caller.way_in,
                "tenant": wanted.caller.tenant,
                "sources": wanted.resources,
                "results": {level: list(pairs.values()) for level, pairs in self.became().items()},
                "instances": self.state.done - self.state.failed,
                "profile": wanted.recipe.profile.version if wanted.recipe.profile else None,
            },
        )

    def warn(self) -> None:
        """Say of how many results nobody knows whether their pixels name the patient."""
        if self.job.type != "ResourceModification":
            return  # merged and split studies are of whom they were
        state = self.state
        warnings = burned_in_warnings(self.modification.kind, state.burned_in, state.unsaid)
        if warnings:
            self.job.show(Warnings=warnings)
            logger.warning(
                "pixels were not cleaned",
                extra={
                    "job": self.job.id,
                    "burned_in": state.burned_in,
                    "unsaid": state.unsaid,
                    "sources": self.modification.resources,
                },
            )

    def became(self) -> dict[str, dict[str, str]]:
        """Return what the resources that were asked for became, by level."""
        asked = set(self.modification.resources)
        return {
            level: {source: target for source, target in pairs.items() if source in asked}
            for level, pairs in self.state.became.items()
        }

    async def delete_sources(self) -> None:
        """Delete the instances that others have taken the place of."""
        kept = self.made.get("instances", {}).keys() | set(self.state.stayed)
        gone = [each for each in self.modification.instances if each not in kept]
        for start in range(0, len(gone), DELETED_AT_ONCE):
            await asyncio.gather(
                *(self.delete(public_id) for public_id in gone[start : start + DELETED_AT_ONCE])
            )

    async def delete(self, public_id: str) -> None:
        """Delete an instance, if it is there."""
        with contextlib.suppress(NotFound):
            await self.archive.delete("instances", public_id, self.modification.caller)

    def show_result(self) -> None:
        """Show what was made, as clients of Orthanc read it."""
        wanted, made = self.modification, self.made
        if self.job.type == "ResourceModification" and wanted.is_bulk:
            self.job.show(
                Resources=[
                    {"ID": public_id, "Path": f"/{level}/{public_id}", "Type": ONE[level]}
                    for level in ("instances", "series", "studies", "patients")
                    for public_id in sorted(made.get(level, ()))
                ]
            )
        elif self.job.type == "ResourceModification":
            self.show_one()
        elif "studies" in made:
            self.job.show(TargetStudy=next(iter(made["studies"])))

    def show_one(self) -> None:
        """Show what the one resource became."""
        for level, pairs in self.became().items():
            for target in pairs.values():
                patient = next(iter(self.made["patients"]), "")
                path = f"/{level}/{target}"
                self.job.show(ID=target, Path=path, PatientID=patient, Type=ONE[level])


def burned_in_warnings(kind: str, burned_in: int, unsaid: int) -> list[str]:
    """Return what is to be said of pixels, which nobody cleans (PS3.15 §E.3.1).

    Of who was modified only what is known of is told: most instances say nothing.
    """
    warnings = []
    if burned_in:
        warnings.append(
            f"{burned_in} of the instances have text burned into their pixels"
            " (0028,0301 is YES): it is still there, whatever it says of the patient"
        )
    if unsaid and kind == "Anonymized":
        warnings.append(
            f"{unsaid} of the instances do not say whether text is burned into their pixels"
            " (0028,0301): pixels were not cleaned"
        )
    return warnings


def log_rewritten_file(
    public_id: str, recipe: Recipe, caller: Caller, burned_in: str | None
) -> None:
    """Leave a record of who took an instance written anew, and whether its pixels may tell more."""
    kind = "Anonymized" if recipe.profile else "Modified"
    if burned_in_warnings(kind, burned_in == "YES", burned_in == "UNSAID"):
        logger.warning("pixels were not cleaned", extra={"id": public_id, "burned_in": burned_in})
    logger.info(
        "instance anonymized for its user" if recipe.profile else "instance modified for its user",
        extra={
            "id": public_id,
            "user": caller.user,
            "address": caller.address,
            "way_in": caller.way_in,
            "tenant": caller.tenant,
            "profile": recipe.profile.version if recipe.profile else None,
        },
    )


class Here:
    """Stands for a job where there are none: a program that has opened the archive itself."""

    id = ""
    type = "ResourceModification"
    content: dict[str, Any]
    state = None

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}

    def progress(self, fraction: float) -> None:
        """Nobody looks."""

    def show(self, **fields: Any) -> None:
        """Set members of what is returned in the end."""
        self.shown.update(fields)

    async def save(self, state: Any) -> None:
        """Nobody goes on with it."""


async def run_here(archive: Archive, modification: Modification) -> dict[str, Any]:
    """Modify or anonymize without a job and return what a finished one would show."""
    here = Here()
    here.show(**shown(modification))
    work = Work(archive, here, modification, State())
    await work.run()
    return here.shown
