"""Which elements are wanted: tags and keywords, and paths of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from vna.errors import BadRequest
from vna.services.elements import Row, tag_for_keyword

TAG = re.compile(r"\(?([0-9A-Fa-f]{4})[,-]?([0-9A-Fa-f]{4})\)?")
STEP = re.compile(r"([^\[\]]+)(?:\[(\d{1,9})\])?")
INDEX = re.compile(r"\d{1,3}")

# A tag and, of a sequence, which item; None stands for all of them.
Step = tuple[int, int | None]
# From the data set down; a single tag is wanted wherever it is.
Pattern = tuple[Step, ...]


def parse(text: str) -> Pattern:
    """Read a tag, a keyword, or a path such as `ReferencedStudySequence[0].0008,1155`.

    `/content` of the REST interface writes the same path `0008-1110/0/0008-1155`. Raises
    BadRequest with what would have been right.
    """
    steps: list[Step] = []
    for part in re.split(r"[./]", text.strip("/")):
        if steps and INDEX.fullmatch(part):
            steps[-1] = (steps[-1][0], int(part))
            continue
        match = STEP.fullmatch(part)
        tag = tag_of(match[1]) if match else None
        if match is None or tag is None:
            raise BadRequest(
                f"--tag {text!r}: {part!r} is no keyword of PS3.6 and no tag; it takes PatientID, "
                "0010,0020 or ReferencedStudySequence[0].ReferencedSOPInstanceUID"
            )
        steps.append((tag, int(match[2]) if match[2] else None))
    return tuple(steps)


def tag_of(text: str) -> int | None:
    """Return the tag that a keyword or a number stands for."""
    if match := TAG.fullmatch(text):
        return int(match[1] + match[2], 16)
    return tag_for_keyword(text)


def matching(rows: Iterable[Row], patterns: Sequence[Pattern]) -> Iterator[Row]:
    """Yield the rows that match, all below them, and before them the rows that lead there."""
    # The elements and items around the row, each with whether it was yielded.
    above: list[tuple[Row, bool]] = []
    inside: int | None = None
    for row in rows:
        level = level_of(row)
        while above and level_of(above[-1][0]) >= level:
            above.pop()
        if inside is not None and level <= inside:
            inside = None
        shown = inside is not None
        if not shown and any(fits(row, above, pattern) for pattern in patterns):
            inside = level
            shown = True
            for place, (leading, yielded) in enumerate(above):
                if not yielded:
                    yield leading
                    above[place] = (leading, True)
        if shown:
            yield row
        above.append((row, shown))


def level_of(row: Row) -> int:
    """Return how deep a row is, where an item is between its sequence and its elements."""
    return 2 * row.depth - (row.kind != "element")


def fits(row: Row, above: Sequence[tuple[Row, bool]], pattern: Pattern) -> bool:
    """Whether a row is what a pattern names."""
    tag, number = pattern[-1]
    if number is None:
        place = [each for each, _ in above]
        found = row.kind == "element" and row.tag == tag
    else:
        place = [each for each, _ in above[:-1]]
        found = row.kind != "element" and row.number == number and above[-1][0].tag == tag
    if not found or len(pattern) == 1:
        return found
    if len(place) != 2 * (len(pattern) - 1):
        return False
    around = zip(place[::2], place[1::2], pattern, strict=False)
    return all(
        sequence.tag == tag and item_number in (None, item.number)
        for sequence, item, (tag, item_number) in around
    )
