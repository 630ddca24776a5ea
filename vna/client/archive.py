"""An open archive, as `vna.open` returns it."""

from __future__ import annotations

import datetime
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from vna.client.backend import Backend, Document
from vna.client.resources import Instance, Patient, R, Resource, Series, Stored, Study
from vna.errors import BadRequest, Closed, NotFound, VnaError

if TYPE_CHECKING:
    from pydicom import Dataset

# Asked for at once: one round trip for some hundred kB of JSON.
PAGE = 500

Level = str
Key = str | int | float | datetime.date | Iterable["str | int | datetime.date"] | None

KINDS: dict[str, type[Resource]] = {kind.level: kind for kind in (Patient, Study, Series, Instance)}
LEVELS = {
    "patient": "patients",
    "study": "studies",
    "series": "series",
    "instance": "instances",
    **{level: level for level in KINDS},
}
SINGULAR = {
    "patients": "Patient",
    "studies": "Study",
    "series": "Series",
    "instances": "Instance",
}


class Archive:
    """An open archive; see `vna.open`. Any thread may use it."""

    def __init__(self, backend: Backend):
        self._opened = backend
        # Also when it is forgotten, or the program ends.
        self._closer = weakref.finalize(self, backend.close)

    @property
    def _backend(self) -> Backend:
        if not self._closer.alive:
            raise Closed(f"{self._opened.name}: the archive was closed")
        return self._opened

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it, once however often it is called. A folder is free for others then."""
        self._closer()

    def __repr__(self) -> str:
        closed = "" if self._closer.alive else ", closed"
        return f"<Archive {self._opened.name}{closed}>"

    def patients(self) -> Iterator[Patient]:
        """Yield all patients, a page at a time."""
        return self._all(Patient)

    def studies(self) -> Iterator[Study]:
        """Yield all studies, a page at a time."""
        return self._all(Study)

    def series(self) -> Iterator[Series]:
        """Yield all series, a page at a time."""
        return self._all(Series)

    def instances(self) -> Iterator[Instance]:
        """Yield all instances, a page at a time."""
        return self._all(Instance)

    def __iter__(self) -> Iterator[Patient]:
        return self.patients()

    def _all(self, kind: type[R]) -> Iterator[R]:
        def page(since: int, limit: int) -> list[Document]:
            return self._backend.page(kind.level, since, limit)

        for document in _pages(page, None):
            yield kind(self, document)

    def get(self, public_id: str, level: Level | None = None) -> Resource:
        """Return the resource of a public id; raises NotFound if there is none.

        Parameters
        ----------
        public_id : str
            The id of a patient, study, series or instance.
        level : str, optional
            Which of them; all are tried if it is not given.
        """
        for name in [_level(level)] if level else KINDS:
            try:
                return KINDS[name](self, self._backend.resource(name, public_id))
            except NotFound:
                continue
        what = SINGULAR[_level(level)].lower() if level else "patient, study, series or instance"
        raise NotFound(f"no {what} has the id {public_id!r}")

    def find(
        self,
        level: Level,
        query: Mapping[str, Key] | None = None,
        /,
        *,
        limit: int | None = None,
        options: Mapping[str, Any] | None = None,
        **keys: Key,
    ) -> Iterator[Any]:
        r"""Yield the resources that match, a page at a time.

        Parameters
        ----------
        level : str
            ``"patient"``, ``"study"``, ``"series"`` or ``"instance"``.
        query : dict, optional
            What to match, for tags that have no keyword: ``{"0009,1001": "GE*"}``.
        limit : int, optional
            Most of them.
        options : dict, optional
            Other members of the body of ``POST /tools/find``, such as ``CaseSensitive``, ``Labels``
            or ``OrderBy``.
        **keys
            What to match, by keyword, as C-FIND writes it: ``*`` and ``?`` in text, several values
            with ``\``, ranges of dates and times with ``-``. A list is several values, a
            `datetime.date` is written as DICOM does.

        Returns
        -------
        iterator of Patient, Study, Series or Instance

        Raises
        ------
        BadRequest
            If the archive does not understand the request; the message names the field.

        Examples
        --------
        >>> with vna.open() as archive:  # doctest: +SKIP
        ...     for study in archive.find("study", PatientName="DOE*", StudyDate="20260101-"):
        ...         print(study.StudyDate, study.uid)
        """
        # At once, whether or not anybody takes the first of what is found.
        kind = KINDS[_level(level)]
        request = {**_request(level, query, options, keys), "Expand": True}

        def page(since: int, limit: int) -> list[Document]:
            return self._backend.find({**request, "Since": since, "Limit": limit})

        return (kind(self, document) for document in _pages(page, limit))

    def count(
        self,
        level: Level,
        query: Mapping[str, Key] | None = None,
        /,
        *,
        options: Mapping[str, Any] | None = None,
        **keys: Key,
    ) -> int:
        """Return how many resources match; the arguments are those of `find`."""
        return self._backend.count(_request(level, query, options, keys))

    def lookup(self, identifier: str) -> list[Resource]:
        """Return what has an identifier of DICOM: a UID, a Patient ID, an Accession Number."""
        levels = {name: level for level, name in SINGULAR.items()}
        found = self._backend.lookup(identifier)
        return [self.get(each["ID"], levels[each["Type"]]) for each in found]

    def store(self, source: str | os.PathLike[str] | bytes | Dataset) -> Stored:
        """Store one DICOM file.

        Parameters
        ----------
        source : path, bytes, or pydicom data set
            The file. A data set needs its `file_meta`; what is missing of it beyond the transfer
            syntax is filled in.

        Returns
        -------
        Stored
            The instance, and whether it was there already. It is safe on disk by then.

        Raises
        ------
        EncodingError
            If it is no DICOM.
        OutOfStorage
            If there is no room; nothing was stored.
        """
        answer = self._backend.store(_bytes(source))
        try:
            instance, status = str(answer["ID"]), str(answer["Status"])
        except KeyError:
            raise VnaError(f"{self._backend.name} answers an upload with {answer}") from None
        return Stored(Instance(self, self._backend.resource("instances", instance)), status)

    def archive(
        self,
        resources: Iterable[Resource | str],
        *,
        media: bool = False,
        extended: bool = False,
        utf8: bool | None = None,
        transcode: str | None = None,
    ) -> Iterator[bytes]:
        """Yield a ZIP archive of resources, or of what has these public ids, in pieces.

        Parameters
        ----------
        resources : iterable of Resource or str
            Patients, studies, series and instances; what is in several of them comes once.
        media : bool, optional
            Make a medium with a DICOMDIR rather than folders with names for people.
        extended : bool, optional
            Let the DICOMDIR say more than it must.
        utf8 : bool, optional
            Keep letters in names that are not ASCII; as the archive is configured if not said.
        transcode : str, optional
            UID of the transfer syntax of the files; what cannot be brought into it stays as it is.

        Raises
        ------
        NotFound
            If a resource is not there.
        BadRequest
            If there is no such transfer syntax.
        Unreachable
            If the archive ends before it is whole.

        Examples
        --------
        >>> with open("study.zip", "wb") as file:  # doctest: +SKIP
        ...     file.writelines(archive.archive([study]))
        """
        ids = [one if isinstance(one, str) else one.id for one in resources]
        options = {"Media": media, "Extended": extended, "Utf8": utf8, "Transcode": transcode}
        told = {name: value for name, value in options.items() if value not in {None, False}}
        if utf8 is not None:
            told["Utf8"] = utf8
        return self._backend.archive(ids, told)

    def delete(self, resource: Resource | str) -> None:
        """Delete a resource, or what has that public id, with all below it."""
        (self.get(resource) if isinstance(resource, str) else resource).delete()

    def statistics(self) -> Document:
        """Return counts and sizes."""
        return self._backend.statistics()


def _pages(page: Any, limit: int | None) -> Iterator[Document]:
    """Yield documents of one page after the other, at most `limit`."""
    since = 0
    while limit is None or since < limit:
        wanted = PAGE if limit is None else min(PAGE, limit - since)
        found = page(since, wanted)
        yield from found
        since += len(found)
        if len(found) < wanted:
            return


def _level(name: str) -> str:
    try:
        return LEVELS[name.lower()]
    except KeyError:
        known = "patient, study, series and instance"
        raise BadRequest(f"level is {name!r}; {known} are known") from None


def _request(
    level: Level,
    query: Mapping[str, Key] | None,
    options: Mapping[str, Any] | None,
    keys: Mapping[str, Key],
) -> Document:
    """Return the body of a search."""
    wanted = {name: _text(value) for name, value in {**(query or {}), **keys}.items()}
    return {**(options or {}), "Level": SINGULAR[_level(level)], "Query": wanted}


def _text(value: Key) -> str:
    """Return a value as C-FIND writes it."""
    match value:
        case None:
            return ""
        case str():
            return value
        case datetime.datetime():
            return f"{value:%Y%m%d%H%M%S}"
        case datetime.date():
            return f"{value:%Y%m%d}"
        case int() | float():
            return str(value)
        case _:
            return "\\".join(map(_text, value))


def _bytes(source: Any) -> bytes:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            return file.read()
    if hasattr(source, "save_as"):
        buffer = BytesIO()
        source.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()
    kind = type(source).__name__
    raise BadRequest(f"{kind} is nothing to store; a path, bytes or a pydicom data set would be")
