"""The keys that a site has set, read as what they have to be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from vna.errors import SettingsError
from vna.settings.orthanc.files import Value


class Keys:
    """What Orthanc's configuration says; each reader names key and place if it is something else.

    Numbers and switches may be written as text, as they come from the environment.

    Attributes
    ----------
    values : Mapping
        What was set.
    folder : Path
        Where relative names begin that nobody has set.
    """

    def __init__(self, values: Mapping[str, Value], folder: Path):
        self.values = values
        self.folder = folder

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def source(self, key: str) -> str:
        """Return where a key was set."""
        return self.values[key].source if key in self.values else f"Orthanc's default of {key}"

    def read(self, key: str, form: Any, default: Any = None) -> Any:
        """Return a key as `form`; raises SettingsError."""
        if key not in self.values:
            return default
        value, source, _ = self.values[key]
        try:
            return msgspec.convert(value, form, strict=False)
        except msgspec.ValidationError as error:
            wording = str(error)[:1].lower() + str(error)[1:]
            raise SettingsError(f"{source}: {wording}") from None

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a switch."""
        return bool(self.read(key, bool, default))

    def number(self, key: str, default: float = 0) -> float:
        """Return a number."""
        return float(self.read(key, float, default))

    def count(self, key: str, default: int = 0) -> int:
        """Return a number without a fraction."""
        return int(self.read(key, int, default))

    def text(self, key: str, default: str = "") -> str:
        """Return a text."""
        return str(self.read(key, str, default))

    def texts(self, key: str) -> list[str]:
        """Return a list of texts; a text alone is a list of one, as Orthanc takes it."""
        found = self.read(key, str | list[str], [])
        return [found] if isinstance(found, str) else list(found)

    def table(self, key: str) -> dict[str, Any]:
        """Return an object."""
        return dict(self.read(key, dict[str, Any], {}))

    def choice(self, key: str, choices: Mapping[str, Any], default: str) -> Any:
        """Return what the text of a key stands for; raises SettingsError."""
        text = self.text(key, default)
        if text not in choices:
            raise SettingsError(f"{self.source(key)}: it takes {', '.join(choices)}, not {text!r}")
        return choices[text]

    def file(self, key: str, default: str = "") -> str:
        """Return the name of a file or folder; a relative one begins where the key was set."""
        text = self.text(key) or default
        return str(self.below(key, text)) if text else ""

    def below(self, key: str, name: str) -> Path:
        """Return a name that a key mentions as a path."""
        folder = self.values[key].folder if key in self.values else self.folder
        return folder / name
