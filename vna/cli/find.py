"""`vna find`: what matches, as a table, as ids, or as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from vna.cli import table
from vna.cli.command import print_json
from vna.cli.exits import DONE, NOT_FOUND
from vna.client import Resource, open_settings
from vna.errors import BadRequest
from vna.settings import Settings

# What tells one of a level from another, in the order people look for it.
COLUMNS = {
    "patients": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "studies": ("PatientID", "PatientName", "StudyDate", "StudyDescription", "AccessionNumber"),
    "series": ("Modality", "SeriesNumber", "SeriesDescription", "SeriesInstanceUID"),
    "instances": ("InstanceNumber", "SOPInstanceUID"),
}
# More rows would be measured for the widths of columns before the first is shown.
ROWS = 10_000


def find(
    settings: Settings,
    level: str,
    keys: Sequence[str],
    *,
    limit: int | None,
    url: str | None,
    tenant: int = 1,
    as_ids: bool,
    as_json: bool,
) -> int:
    """Print what matches; returns the exit status, `NOT_FOUND` if nothing does."""
    with open_settings(settings, url, tenant=tenant) as archive:
        found = archive.find(level, parse(keys), limit=limit)
        if as_ids:
            return print_ids(found)
        resources = list(found)
    if as_json:
        print_json([resource.document for resource in resources])
    elif resources:
        show(resources)
    return DONE if resources else NOT_FOUND


def parse(keys: Sequence[str]) -> dict[str, str]:
    """Return keyword and value of each `KEY=VALUE`."""
    query: dict[str, str] = {}
    for key in keys:
        name, equals, value = key.partition("=")
        if not equals or not name:
            raise BadRequest(f"{key!r}: it takes KEY=VALUE, such as PatientName='DOE*'")
        query[name.strip()] = value
    return query


def print_ids(found: Iterable[Resource]) -> int:
    """Print ids as they come, one a line."""
    status = NOT_FOUND
    for resource in found:
        print(resource.id)
        status = DONE
    return status


def show(resources: Sequence[Resource]) -> None:
    """Print a table, and how many there are."""
    columns = COLUMNS[resources[0].level]
    rows = ([resource.id, *cells(resource, columns)] for resource in islice(resources, ROWS))
    table.show(["ID", *columns], rows)
    more = f", the first {ROWS:,} shown; --ids gives all" if len(resources) > ROWS else ""
    what = type(resources[0]).__name__.lower()
    print(f"{number_of(len(resources), what)}{more}")


def cells(resource: Resource, columns: Sequence[str]) -> list[str]:
    """Return the main tags of a resource that are shown, those of the patient among them."""
    patient: dict[str, Any] = resource.document.get("PatientMainDicomTags", {})
    return [str(resource.tags.get(name, patient.get(name, ""))) for name in columns]


def number_of(number: int, what: str) -> str:
    """Return a number of resources in words."""
    if number == 1 or what == "series":
        return f"{number:,} {what}"
    return f"{number:,} {what[:-1]}ies" if what.endswith("y") else f"{number:,} {what}s"
