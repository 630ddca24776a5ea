from typing import Any

from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from vna._dataset_elements import Encodings

class Document:
    data: bytes
    table: bytes
    def __init__(self, data: bytes, table: bytes) -> None: ...
    def data_set(
        self, encodings: Encodings, *, skip_last: bool = ...
    ) -> tuple[dict[BaseTag, Any], bool, bool, Encodings]: ...

class Place:
    has_items: bool
    def value(self) -> bytes: ...
    def sequence(self, encodings: Encodings) -> Sequence: ...
