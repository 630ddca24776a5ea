"""Elements that wait: what the bridge puts into a data set in place of bytes and items.

Both are what pydicom itself would have put there (a raw element, a sequence element), so that all
of pydicom works on them, and both turn into the plain thing when they are first looked at.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from io import BytesIO
from typing import Any, Protocol, TypeVar, cast

from pydicom import config
from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.hooks import hooks
from pydicom.sequence import Sequence

Encodings = str | MutableSequence[str]

ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")


class Place(Protocol):
    """Where in a scan an element is: `vna._dataset.Place` and its twin."""

    has_items: bool

    def value(self) -> bytes:
        """Return its bytes."""

    def sequence(self, encodings: Encodings) -> Sequence:
        """Return its items; `encodings` are those of the data set that it is in."""


class ScannedElement(RawDataElement):
    """A raw element whose value is cut out of the file when it is asked for.

    The field of the value holds its `Place`. A sequence of defined length is one of these as long
    as nobody looks into it, which pydicom, too, writes back as it was.
    """

    __slots__ = ()

    @property
    def place(self) -> Place:
        """Where its value is."""
        return cast(Place, self[3])

    @property
    def value(self) -> bytes:
        """The bytes of the value."""
        return self.place.value()

    def plain(self) -> RawDataElement:
        """Return the same with its bytes."""
        return RawDataElement._make((*self[:3], self.value, *self[4:]))

    def _replace(self, **fields: Any) -> RawDataElement:  # type: ignore[override]
        return self.plain()._replace(**fields)

    def __reduce__(self) -> tuple[Any, ...]:
        return RawDataElement, tuple(self.plain())


class ScannedSequence(DataElement):
    """A sequence of undefined length, whose items are made when they are asked for.

    It then is a plain DataElement.
    """

    def __getattr__(self, name: str) -> Any:
        # Called only for what is not there: the value, once.
        if name != "_value":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        attributes = self.__dict__
        scanned = attributes.get("_scanned")
        if scanned is not None:
            place, encodings = scanned
            # Another thread may do the same meanwhile: the items that were kept first stay.
            attributes.setdefault("_value", place.sequence(encodings))
            attributes.pop("_scanned", None)
            self.__class__ = DataElement  # type: ignore[assignment]
        return attributes["_value"]

    def __deepcopy__(self, memo: dict[int, Any]) -> DataElement:
        self._value  # noqa: B018
        return DataElement.__deepcopy__(self, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._value  # noqa: B018
        return object.__reduce_ex__(self, protocol)


def character_set(element: RawDataElement) -> list[str]:
    """Return the encodings that a Specific Character Set (0008,0005) names."""
    return convert_encodings(convert_raw_data_element(element).value)


def vr_of_undefined_length(tag: int, following: bytes) -> str | None:
    """Return the VR of an element without one that has undefined length, as pydicom decides it."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "SQ" if following in ITEM_TAGS else None


# What an object of each class has before anything is read into it. Made by pydicom and copied: its
# constructors set attributes one by one, each looked up as a keyword, and cost more than a scan.
TEMPLATES: dict[type[Dataset], dict[str, Any]] = {
    Dataset: vars(Dataset()),
    FileMetaDataset: vars(FileMetaDataset()),
    FileDataset: vars(FileDataset(BytesIO(), {})) | {"buffer": None, "fileobj_type": None},
}
# Dictionaries among them are not to be shared.
DICTIONARIES = [
    name
    for name, value in TEMPLATES[Dataset].items()
    if isinstance(value, dict) and name != "_dict"
]

D = TypeVar("D", bound=Dataset)


def fresh(kind: type[D], **attributes: Any) -> D:
    """Return a data set of a class with these attributes."""
    made = kind.__new__(kind)
    template = TEMPLATES[kind]
    made.__dict__.update(template)
    for name in DICTIONARIES:
        made.__dict__[name] = dict(template[name])
    made.__dict__.update(attributes)
    return made


ELEMENT_ATTRIBUTES: dict[str, Any] = {
    name: value
    for name, value in vars(DataElement(0x0040_A730, "SQ", [], is_undefined_length=True)).items()
    if name not in {"_value", "validation_mode"}
}


def validation_mode() -> int:
    """Return how pydicom is told to validate what it reads."""
    return config.settings.reading_validation_mode


_convert_value = hooks.raw_element_value


def _value_of_raw_element(
    raw: RawDataElement,
    data: dict[str, Any],
    *,
    encoding: Encodings | None = None,
    ds: Dataset | None = None,
    **kwargs: Any,
) -> None:
    """Convert a raw element (pydicom's hook `raw_element_value`), ours without parsing again."""
    if type(raw) is ScannedElement and data["VR"] == "SQ" and raw.place.has_items:
        encodings = [encoding] if isinstance(encoding, str) else encoding
        data["value"] = raw.place.sequence(encodings or [default_encoding])
    else:
        _convert_value(raw, data, encoding=encoding, ds=ds, **kwargs)


# The one way that pydicom gives to convert elements of one's own. Without it, because somebody else
# puts a hook of his in its place, sequences are parsed from their bytes: slower, and the same.
hooks.register_callback("raw_element_value", _value_of_raw_element)
