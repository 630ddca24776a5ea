"""Tables for people: as wide as the terminal, or as wide as they are where there is none."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

# Wide enough for every line that goes into a file or to a program.
NO_TERMINAL_COLUMNS = 10_000
# An ID has 44 characters.
LEAST_FOR_WHOLE_IDS = 80
# Categories that move the cursor, or turn what follows round.
INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


def console() -> Console:
    """Return what tables are printed on."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=NO_TERMINAL_COLUMNS)


def show(columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    """Print a table; numbers go to the right, and no cell is read as markup."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    rows = list(rows)
    paper = console()
    for index, name in enumerate(columns):
        is_number = any(isinstance(row[index], int) for row in rows)
        # People copy it: the others give way, unless there is room for nothing else.
        is_whole = name == "ID" and paper.width >= LEAST_FOR_WHOLE_IDS
        justify: Literal["left", "right"] = "right" if is_number else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=is_whole)
    for row in rows:
        table.add_row(*(Text(visible(str(cell))) for cell in row))
    paper.print(table)


def visible(text: str) -> str:
    """Return a text from outside without what a terminal would take for a command."""
    if text.isprintable():
        return text
    return "".join(
        f"\\x{ord(char):02x}" if unicodedata.category(char) in INVISIBLE else char for char in text
    )


def size(count: int) -> str:
    """Return a number of bytes for people."""
    return decimal(count)


def count(number: int, what: str) -> str:
    """Return `number` of `what`, in the plural where it is one."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
