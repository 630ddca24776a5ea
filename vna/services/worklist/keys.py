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
FIRST_WORD = re.compile(r"[a-z0-9]*")
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
    """A part of an SQL condition with its parameters."""

    sql: str
    parameters: tuple[str, ...]


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
        return Condition("start_date BETWEEN ? AND ?", (first, last))
    if first:
        return Condition("start_date >= ?", (first,))
    return Condition("start_date <= ?", (last,)) if last else None


def of_text(column: str, data_set: DataSet, tag: str) -> Condition | None:
    """Narrow by a text, or by its beginning up to the first wildcard."""
    asked = single(data_set, tag)
    if asked is None:
        return None
    asked = asked.casefold()
    begin = re.split(r"[*?]", asked)[0]
    if begin == asked:
        return Condition(f"{column} = ?", (asked,))
    return Condition(f"{column} BETWEEN ? AND ?", (begin, begin + BEHIND)) if begin else None


def of_name(identifier: DataSet) -> Condition | None:
    """Narrow by the first letters of a name: separators and what follows them are for matching."""
    asked = single(identifier, PATIENT_NAME)
    bare = None if asked is None or "=" in asked else plain(asked)
    first = FIRST_WORD.match(bare or "")
    if first is None or not first[0]:
        return None
    return Condition("patient_name BETWEEN ? AND ?", (first[0], first[0] + BEHIND))


def single(data_set: DataSet, tag: str) -> str | None:
    """Return the one value that is asked for; None if there is none, or a list."""
    found: list[Any] = values(data_set, tag)
    if len(found) != 1:
        return None
    return text_of(found[0]).strip() or None
