"""The dump for people: a line for each element, coloured where there are colours."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Console

from vna.cli.dump.values import has_value, pieces
from vna.cli.table import count, visible
from vna.services.elements import ElementReader, Row, tag_text

if TYPE_CHECKING:
    from vna.cli.dump import Found

# Where nobody says how wide a line may be.
NO_TERMINAL_COLUMNS = 120
# A value has so much room at least, though the line becomes too long.
LEAST_VALUE_COLUMNS = 12
# Names are padded to this, and what nesting takes is taken from it, so that values are in line.
NAME_COLUMNS = 32

STYLES = {"title": "1", "place": "2", "tag": "36", "vr": "32", "name": "1", "private": "35",
          "error": "1;31"}  # fmt: skip


class Paper:
    """What a page is written on."""

    def __init__(self) -> None:
        console = Console()
        self._has_colours = console.color_system is not None and not console.no_color
        is_measured = console.is_terminal or os.environ.get("COLUMNS", "").isdigit()
        self.columns = console.width if is_measured else NO_TERMINAL_COLUMNS

    def styled(self, style: str, text: str) -> str:
        """Return `text` as it is to be written."""
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self._has_colours and text else text


def write(reader: ElementReader, name: str, found: Found, *, full: bool) -> None:
    """Write all rows, and at its place what ended them."""
    paper = Paper()
    print(paper.styled("title", f"# {visible(name)}: {count(reader.file_bytes, 'byte')}"))
    section(paper, "# File Meta Information", found.meta(), full=full)
    syntax = visible(reader.transfer_syntax_uid)
    deflated = ", offsets count in the inflated data set" if reader.is_deflated else ""
    title = f"# Data set in {syntax} from byte {reader.data_set_offset}{deflated}"
    section(paper, title, found.data_set(), full=full)
    if error := reader.error:
        print(paper.styled("error", f"! {visible(error[0])}"))


def section(paper: Paper, title: str, rows: Iterable[Row], *, full: bool) -> None:
    """Write a title and rows; nothing if there are none."""
    is_empty = True
    for row in rows:
        if is_empty:
            print(paper.styled("title", title))
            is_empty = False
        head, columns = head_of(paper, row)
        print(head if row.length and has_value(row) else head.rstrip(), end="")
        for piece in value_of(row, None if full else paper.columns - columns):
            print(piece, end="")
        print()


def head_of(paper: Paper, row: Row) -> tuple[str, int]:
    """Return what stands before the value, and how many columns it takes."""
    # An item stands between its sequence and its elements.
    indent = "  " * (2 * row.depth - (row.kind != "element"))
    length = "undefined" if row.length is None else str(row.length)
    name = title_of(row)
    padding = " " * max(1, NAME_COLUMNS - len(indent) - cell_len(name) + 1)
    place = f"{row.offset:>9}"
    tag, vr = f"({tag_text(row.tag)})", row.vr if row.kind == "element" else ""
    plain = f"{place}  {indent}{tag} {vr:2} {length:>9}  {name}{padding}"
    style = "private" if row.tag >> 16 & 1 else "name"
    head = (
        f"{paper.styled('place', place)}  {indent}{paper.styled('tag', tag)} "
        f"{paper.styled('vr', f'{vr:2}')} {length:>9}  {paper.styled(style, name)}{padding}"
    )
    return head, cell_len(plain)


def title_of(row: Row) -> str:
    """Return the name of an element, or which item or fragment it is."""
    if row.kind == "item":
        return f"item {row.number}"
    if row.kind == "fragment":
        return f"fragment {row.number}" if row.number else "offset table"
    if row.creator:
        return f"{visible(row.name)} [{visible(row.creator)}]".lstrip()
    return row.name or "?"


def value_of(row: Row, columns: int | None) -> Iterator[str]:
    """Yield the value: all of it, or what goes into `columns`."""
    if not has_value(row):
        return
    if columns is None:
        for piece in pieces(row):
            yield visible(piece)
        return
    columns = max(columns, LEAST_VALUE_COLUMNS)
    shown = visible("".join(pieces(row, columns)))
    if cell_len(shown) > columns:
        shown = set_cell_size(shown, columns - 1) + "…"
    yield shown
