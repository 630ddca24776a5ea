"""Markdown tables of what was measured, and what they have in common."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Run = dict[str, Any]


def table(words: Sequence[str], figures: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of columns of words, to the left, and of figures, to the right."""
    rules = ["---"] * len(words) + ["---:"] * len(figures)
    return "\n".join(
        [line([*words, *figures]), f"|{'|'.join(rules)}|", *(line(row) for row in rows)]
    )


def line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def median(runs: Iterable[Run], key: str) -> float:
    return statistics.median(float(run[key]) for run in runs)


def by(runs: Sequence[Run], *keys: str) -> Iterator[tuple[tuple[Any, ...], list[Run]]]:
    """Yield the values that runs have of `keys`, in the order of the runs, and the runs of each."""
    for values in dict.fromkeys(tuple(run[key] for key in keys) for run in runs):
        yield values, [run for run in runs if tuple(run[key] for key in keys) == values]


def by_server(runs: Sequence[Run]) -> Iterator[tuple[str, list[Run], list[Run]]]:
    """Yield each server with its runs and, for VNA, those of the peer."""
    for (name,), mine in by(runs, "server"):
        yield name, mine, [run for run in runs if run["server"] != name and name == "vna"]


def ratio(runs: Sequence[Run], peers: Sequence[Run], key: str, digits: int = 1) -> str:
    """Return what `runs` have of what the peer has, of the medians; nothing without a peer."""
    return f"{median(runs, key) / median(peers, key):.{digits}f}" if peers else ""


def megabytes(runs: Sequence[Run], key: str = "max_pss_bytes") -> str:
    return f"{median(runs, key) / 1e6:.0f}"
