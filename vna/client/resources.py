"""Patients, studies, series and instances, as objects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar

from vna.client.backend import Backend, Document
from vna.client.notes import Attachments, Metadata, save_pieces
from vna.errors import BadRequest

if TYPE_CHECKING:
    import numpy as np
    from pydicom import FileDataset

    from vna.client.archive import Archive
    from vna.services.changes import Wanted


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

    def labels(self) -> list[str]:
        """Return its labels, sorted."""
        return self._backend.labels(self.level, self.id)

    def label(self, *labels: str) -> None:
        """Give it labels: 1 to 64 letters A to Z and a to z, digits, `_` and `-` each.

        Raises OutOfRange for what is none.
        """
        for label in labels:
            self._backend.set_label(self.level, self.id, label, True)

    def unlabel(self, *labels: str) -> None:
        """Take labels from it, if it has them."""
        for label in labels:
            self._backend.set_label(self.level, self.id, label, False)

    @property
    def metadata(self) -> Metadata:
        """Its metadata, a mapping: what the archive keeps beside the tags, and what users set."""
        return Metadata(self)

    @property
    def attachments(self) -> Attachments:
        """Its attachments, a mapping of `Attachment`."""
        return Attachments(self)

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


class Changeable(Resource):
    """What patients, studies and series have: copies are made of them in which something is other.

    Options are those of `POST /{level}/{id}/modify` and `anonymize` in lower case: ``replace``, a
    dictionary of new values; ``remove`` and ``keep``, lists of tags; ``force``, needed for
    identifiers; ``private_creator``, ``transcode``, ``lossy_quality``, ``keep_source``,
    ``keep_labels``, ``permissive``; to modify ``remove_private_tags``, to anonymize
    ``keep_private_tags``, ``dicom_version`` and ``options``.
    """

    def modify(self, **options: Any) -> Self:
        """Return a copy in which attributes are other, with new identifiers from here on down.

        ::

            study.modify(replace={"InstitutionName": "Elsewhere"}, remove=["AccessionNumber"])

        Raises
        ------
        BadRequest
            If the options contradict each other or what is stored.
        """
        return self._changed("modify", options)

    def anonymize(self, **options: Any) -> Self:
        """Return a copy in which persons are unknown (PS3.15 Annex E)."""
        return self._changed("anonymize", options)

    def _changed(self, verb: str, options: Document) -> Self:
        made = self._backend.change(self.level, self.id, verb, wanted(options))
        return type(self)(self.archive, self._backend.resource(self.level, made["ID"]))


def wanted(options: Document) -> Wanted:
    """Return what options of a modification say; raises BadRequest."""
    import msgspec

    from vna.services.changes import Wanted

    try:
        said = Wanted(**options)
        return msgspec.convert(msgspec.to_builtins(said), Wanted)
    except (TypeError, msgspec.ValidationError) as error:
        raise BadRequest(f"how to change it: {error}") from None


class Patient(Changeable):
    """A patient."""

    level = "patients"
    uid_keyword = "PatientID"

    def studies(self) -> list[Study]:
        """Return the studies of the patient."""
        return self._children(Study)

    def series(self) -> list[Series]:
        """Return the series of the patient."""
        return self._children(Series)


class Study(Changeable):
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


class Series(Changeable):
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
        save_pieces(self.pieces(), path)

    def modified(self, **options: Any) -> bytes:
        """Return a file in which attributes are other; see `Study.modify`. Nothing is stored."""
        return self._backend.rewritten(self.id, "modify", wanted(options))

    def anonymized(self, **options: Any) -> bytes:
        """Return a file in which persons are unknown; see `Study.anonymize`. Nothing is stored."""
        return self._backend.rewritten(self.id, "anonymize", wanted(options))

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
            Without numpy, and with `rescale` pydicom, which ``pip install 'vna[dicom]'`` brings.
        """
        from vna.pixels import pixel_array

        file = self.file()
        pixels = pixel_array(file, frame)
        if not rescale:
            return pixels
        from vna.dataset import dcmread

        dataset = dcmread(file, stop_before_pixels=True)
        from pydicom.pixels.processing import apply_modality_lut

        return apply_modality_lut(pixels, dataset)


class Stored(NamedTuple):
    """What became of a file: the instance, and `Success` or `AlreadyStored`."""

    instance: Instance
    status: str
