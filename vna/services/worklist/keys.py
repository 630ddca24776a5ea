"""The keys that a worklist query is narrowed by: of an item, and of what a query asks for.

Narrowing must never be stricter than matching: a key of an item is None where only its data set
tells, and a part of a query that is not plain narrows nothing.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, NamedTuple

from vna.services.named_tags import NAME_GROUPS, DataSet, text, text_of, values

STEPS = "00400100"
STATION_AE_TITLE = "00400001"
START_DATE = "00400002"
MODALITY = "00080060"
STEP_ID = "00400009"
PATIENT_NAME = "00100010"
PATIENT_ID = "00100020"
ACCESSION_NUMBER = "00080050"
STUDY_INSTANCE_UID = "0020000D"

DATE = re.compile(r"\d{8}")
WORD = re.compile(r"[a-z0-9]+")
# Beyond every text that begins alike.
BEHIND = "\U0010ffff"


class Keys(NamedTuple):
    """What an item is found by; its columns in the control database."""

    start_date: str | None
    station_ae_title: str | None
    modality: str | None
    patient_id: str | None
    patient_name: str | None
    accession_number: str | None
    study_instance_uid: str
    scheduled_procedure_step_id: str


class Condition(NamedTuple):
    """What a column must fulfil, in SQL, with its parameters."""

    column: str
    sql: str
    parameters: tuple[str, ...]

    @classmethod
    def equal(cls, column: str, value: str) -> Condition:
        """Require a value."""
        return cls(column, f"{column} = ?", (value,))

    @classmethod
    def between(cls, column: str, first: str, last: str) -> Condition:
        """Require a value of a range."""
        return cls(column, f"{column} BETWEEN ? AND ?", (first, last))

    @classmethod
    def holding(cls, column: str, parts: list[str]) -> Condition | None:
        """Require that all of some texts are in the value; None if there are none."""
        sql = " AND ".join(f"instr({column}, ?)" for _ in parts)
        return cls(column, sql, tuple(parts)) if parts else None


def keys_of(data_set: DataSet) -> Keys:
    """Return the keys of an item."""
    steps = values(data_set, STEPS)
    step: DataSet = steps[0] if steps else {}
    # With several steps any of them may match; the data set tells which.
    one = len(steps) < 2
    return Keys(
        start_date=date_of(step) if one else None,
        station_ae_title=folded(step, STATION_AE_TITLE) if one else None,
        modality=folded(step, MODALITY) if one else None,
        patient_id=folded(data_set, PATIENT_ID),
        patient_name=name_of(data_set),
        accession_number=folded(data_set, ACCESSION_NUMBER),
        study_instance_uid=text(data_set, STUDY_INSTANCE_UID),
        scheduled_procedure_step_id=text(step, STEP_ID),
    )


def folded(data_set: DataSet, tag: str) -> str | None:
    """Return a value without differences of case; None if there are several."""
    found = values(data_set, tag)
    return None if len(found) > 1 else text(data_set, tag).casefold()


def date_of(step: DataSet) -> str | None:
    """Return the day of a step; None if it is not written as one."""
    found = text(step, START_DATE)
    return found if not found or DATE.fullmatch(found) else None


def name_of(data_set: DataSet) -> str | None:
    """Return a name without differences of case and accents; None if that is not plain."""
    groups = [value for value in values(data_set, PATIENT_NAME) if isinstance(value, dict)]
    if not groups:
        return ""
    if len(groups) > 1 or set(groups[0]) - {NAME_GROUPS[0]}:
        return None
    return plain(groups[0].get(NAME_GROUPS[0], ""))


def plain(name: str) -> str | None:
    """Return a name in small ASCII letters; None if it has others."""
    parts = unicodedata.normalize("NFKD", name)
    bare = "".join(part for part in parts if not unicodedata.combining(part)).casefold()
    return bare.strip() if bare.isascii() else None


def conditions(identifier: DataSet) -> list[Condition]:
    """Return what an item must fulfil to be compared with `identifier` at all."""
    steps = values(identifier, STEPS)
    step: DataSet = steps[0] if len(steps) == 1 and isinstance(steps[0], dict) else {}
    found = [
        of_date(step),
        of_text("station_ae_title", step, STATION_AE_TITLE),
        of_text("modality", step, MODALITY),
        of_text("patient_id", identifier, PATIENT_ID),
        of_name(identifier),
        of_text("accession_number", identifier, ACCESSION_NUMBER),
    ]
    return [condition for condition in found if condition is not None]


def of_date(step: DataSet) -> Condition | None:
    """Narrow by a day or a range of days."""
    asked = single(step, START_DATE)
    if asked is None:
        return None
    first, dash, last = asked.partition("-")
    if not dash:
        last = first
    first, last = first.strip(), last.strip()
    if not all(not day or DATE.fullmatch(day) for day in (first, last)):
        return None
    if first and last:
        return Condition.between("start_date", first, last)
    if first:
        return Condition("start_date", "start_date >= ?", (first,))
    return Condition("start_date", "start_date <= ?", (last,)) if last else None


def of_text(column: str, data_set: DataSet, tag: str) -> Condition | None:
    """Narrow by a text, or by its beginning up to the first wildcard."""
    asked = single(data_set, tag)
    if asked is None:
        return None
    begin, *others = re.split(r"[*?]", asked.casefold())
    if not others:
        return Condition.equal(column, begin)
    if begin:
        return Condition.between(column, begin, begin + BEHIND)
    return Condition.holding(column, [part for part in others if part])


def of_name(identifier: DataSet) -> Condition | None:
    """Narrow by the letters of a name: what stands between them is for matching."""
    asked = single(identifier, PATIENT_NAME)
    bare = None if asked is None or "=" in asked else plain(asked)
    if not bare:
        return None
    first, *others = WORD.findall(bare) or [""]
    if first and bare.startswith(first):
        return Condition.between("patient_name", first, first + BEHIND)
    return Condition.holding("patient_name", [part for part in (first, *others) if part])


def single(data_set: DataSet, tag: str) -> str | None:
    """Return the one value that is asked for; None if there is none, or a list."""
    found: list[Any] = values(data_set, tag)
    if len(found) != 1:
        return None
    return text_of(found[0]).strip() or None
