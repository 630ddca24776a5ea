"""`vna dump`: all elements of a file with their places, for people or for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from vna.cli.dump import document, page
from vna.cli.dump.filters import Pattern, matching, parse
from vna.cli.dump.source import opened
from vna.cli.exits import DONE, FAILED, NOT_FOUND
from vna.services.elements import ElementReader, Row, know_private, rows
from vna.settings import Settings

PIXEL_DATA = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def dump(
    settings: Settings,
    name: str,
    tags: Sequence[str],
    *,
    pixel_data: bool,
    full: bool,
    url: str | None,
    tenant: int = 1,
    as_json: bool,
) -> int:
    """Show a file, an instance of the archive or standard input; returns the exit status."""
    patterns = [parse(text) for text in [*tags, *(PIXEL_DATA if pixel_data else ())]]
    know_private(settings.dictionary.private)
    with opened(settings, name, url, tenant) as path:
        reader = ElementReader(str(path))
        found = Found(reader, patterns)
        if as_json:
            document.write(reader, name, found, full=full)
        else:
            page.write(reader, name, found, full=full)
        if error := reader.error:
            print(f"vna: {name}: {error[0]}", file=sys.stderr)
            return FAILED
    if patterns and not found.any:
        print(f"vna: {name} has no such element", file=sys.stderr)
        return NOT_FOUND
    return DONE


class Found:
    """The rows that are asked for: those of the File Meta Information, then the others."""

    def __init__(self, reader: ElementReader, patterns: Sequence[Pattern]):
        self._reader = reader
        self._patterns = patterns
        self.any = False

    def meta(self) -> Iterable[Row]:
        """Return the rows of group 0002."""
        reader = self._reader
        return self._matching(rows([reader.meta()], reader.file_value))

    def data_set(self) -> Iterable[Row]:
        """Return the rows of the data set; what ended it is then the reader's `error`."""
        reader = self._reader
        tables = iter(reader.next, b"")
        return self._matching(rows(tables, reader.value))

    def _matching(self, all_rows: Iterable[Row]) -> Iterable[Row]:
        found = matching(all_rows, self._patterns) if self._patterns else all_rows
        for row in found:
            self.any = True
            yield row
