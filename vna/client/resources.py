"""Patients, studies, series and instances of an archive, as objects."""

from __future__ import annotations

import datetime
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from vna.client.backend import Backend, Document
from vna.errors import BadRequest, Closed, NotFound, VnaError

if TYPE_CHECKING:
    import numpy as np
    from pydicom import Dataset, FileDataset

# Asked for at once: one round trip for some hundred kB of JSON.
PAGE = 500

Level = str
Key = str | int | float | datetime.date | Iterable["str | int | datetime.date"] | None


class Resource:
    """What all levels have. Made by an `Archive`, never directly.

    The main tags of a resource are attributes: ``study.StudyDate``, ``series.Modality``.

    Attributes
    ----------
    id : str
        The public id.
    tags : dict
        The main tags by keyword.
    document : dict
        All that the archive says of it.
    """

    level: ClassVar[str]
    uid_keyword: ClassVar[str]

    def __init__(self, archive: Archive, document: Document):
        self.archive = archive
        self.document = document
        self.id: str = document["ID"]
        self.tags: dict[str, str] = document.get("MainDicomTags", {})

    @property
    def uid(self) -> str:
        """The UID of the standard; of a patient the Patient ID."""
        return self.tags.get(self.uid_keyword, "")

    def refresh(self) -> None:
        """Ask the archive again; raises NotFound if it is no longer there."""
        self.__init__(self.archive, self._backend.resource(self.level, self.id))  # type: ignore[misc]

    def delete(self) -> None:
        """Delete it with all below it."""
        self._backend.delete(self.level, self.id)

    def instances(self) -> list[Instance]:
        """Return the instances in it; of an instance itself."""
        return self._children(Instance)

    @property
    def _backend(self) -> Backend:
        return self.archive._backend

    def _children(self, kind: type[R]) -> list[R]:
        found = self._backend.children(self.level, self.id, kind.level)
        return [kind(self.archive, document) for document in found]

    def _parent(self, kind: type[R]) -> R:
        return kind(self.archive, self._backend.parent(self.level, self.id, kind.level))

    def __getattr__(self, name: str) -> str:
        tags = self.__dict__.get("tags", {})
        if name in tags:
            return str(tags[name])
        known = ", ".join(tags) or "none"
        kind = type(self).__name__
        raise AttributeError(f"{kind} has no attribute {name!r}; its main tags are {known}")

    def __dir__(self) -> list[str]:
        return sorted([*super().__dir__(), *self.tags])

    def __eq__(self, other: object) -> bool:
        same = type(other) is type(self)
        return same and self.id == other.id and self.archive is other.archive  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((self.level, self.id))

    def __repr__(self) -> str:
        # No names and no free text: notebooks are shown to others.
        return f"<{type(self).__name__} {self.id}>"


R = TypeVar("R", bound=Resource)


class Patient(Resource):
    """A patient."""

    level = "patients"
    uid_keyword = "PatientID"

    def studies(self) -> list[Study]:
        """Return the studies of the patient."""
        return self._children(Study)

    def series(self) -> list[Series]:
        """Return the series of the patient."""
        return self._children(Series)


class Study(Resource):
    """A study."""

    level = "studies"
    uid_keyword = "StudyInstanceUID"

    @property
    def patient(self) -> Patient:
        """The patient of the study."""
        return self._parent(Patient)

    def series(self) -> list[Series]:
        """Return the series of the study."""
        return self._children(Series)


class Series(Resource):
    """A series."""

    level = "series"
    uid_keyword = "SeriesInstanceUID"

    @property
    def study(self) -> Study:
        """The study of the series."""
        return self._parent(Study)

    @property
    def patient(self) -> Patient:
        """The patient of the series."""
        return self._parent(Patient)


class Instance(Resource):
    """An instance: one DICOM file."""

    level = "instances"
    uid_keyword = "SOPInstanceUID"

    @property
    def series(self) -> Series:
        """The series of the instance."""
        return self._parent(Series)

    @property
    def study(self) -> Study:
        """The study of the instance."""
        return self._parent(Study)

    @property
    def patient(self) -> Patient:
        """The patient of the instance."""
        return self._parent(Patient)

    def instances(self) -> list[Instance]:
        """Return the instance itself, so that all levels can be asked alike."""
        return [self]

    @property
    def size(self) -> int:
        """How many bytes its file has."""
        return self._backend.size(self.id)

    def file(self) -> bytes:
        """Return the file as it was received."""
        return b"".join(self._backend.pieces(self.id))

    def pieces(self) -> Iterator[bytes]:
        """Yield the file in pieces, for files that are better not held whole."""
        return self._backend.pieces(self.id)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the file, fewer at its end."""
        return self._backend.read(self.id, offset, length)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file; nothing is left at `path` if that fails."""
        partial = f"{os.fspath(path)}.partial"
        try:
            with open(partial, "wb") as file:
                for piece in self.pieces():
                    file.write(piece)
            os.replace(partial, path)
        except BaseException:
            if os.path.exists(partial):
                os.unlink(partial)
            raise

    def simplified_tags(self) -> Document:
        """Return all tags by name, as the archive gives them; needs no pydicom."""
        return self._backend.tags(self.id)

    def dataset(self, *, header: bool = False) -> FileDataset:
        """Return the file as a pydicom data set (`vna.dcmread`).

        Parameters
        ----------
        header : bool, optional
            Read no further than the pixel data.

        Raises
        ------
        ImportError
            Without pydicom, which ``pip install 'vna[dicom]'`` brings.
        """
        from vna.dataset import dcmread, read_head

        if header:
            return read_head(self.read, self.size)
        return dcmread(self.file())

    def array(self, frame: int | None = None, *, rescale: bool = False) -> np.ndarray:
        """Return the pixels as a numpy array, of one frame (from 0) or of all.

        Parameters
        ----------
        frame : int, optional
            Which frame; all of them if it is not given, then with one more dimension if there are
            several.
        rescale : bool, optional
            Apply the modality LUT or rescale slope and intercept (PS3.3 §C.11.1): Hounsfield units
            of CT. Stored values otherwise.

        Raises
        ------
        ImportError
            Without pydicom and numpy, which ``pip install 'vna[dicom]'`` brings.
        """
        dataset = self.dataset()
        try:
            from pydicom.pixels.processing import apply_modality_lut
            from pydicom.pixels.utils import pixel_array
        except ImportError as error:
            raise ImportError(
                "arrays need pydicom and numpy: pip install 'vna[dicom]'", name=error.name
            ) from error

        pixels = pixel_array(dataset, index=frame)
        return apply_modality_lut(pixels, dataset) if rescale else pixels


class Stored(NamedTuple):
    """What became of a file: the instance, and `Success` or `AlreadyStored`."""

    instance: Instance
    status: str


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
