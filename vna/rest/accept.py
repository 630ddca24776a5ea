"""Which of several forms a client wants (RFC 9110 §12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence


def preferred(accept: str, offered: Sequence[str], *, named_first: bool = False) -> str | None:
    """Return the form of `offered` that the header asks for most, the first of equals; or None.

    With `named_first` a form that the header names comes before one that only a range such as
    `image/*` holds. A part of the header that cannot be read counts as not there.
    """
    best, most = None, (0.0, 0)
    for form in offered:
        quality, specific = quality_of(form, accept)
        wanted = (quality, specific if named_first else 0)
        if quality > 0 and wanted > most:
            best, most = form, wanted
    return best


def quality_of(form: str, accept: str) -> tuple[float, int]:
    """Return what the most specific range of the header that holds `form` says of it.

    Beside the quality it is told how specific that range is.
    """
    kind = form.partition("/")[0]
    ranges = {"*/*": 0, f"{kind}/*": 1, form: 2}
    found, specific = 0.0, -1
    for part in accept.split(","):
        name, *parameters = (text.strip().lower() for text in part.split(";"))
        rank = ranges.get(name, -1)
        if rank > specific:
            found, specific = quality_in(parameters), rank
    return found, specific


def quality_in(parameters: Sequence[str]) -> float:
    """Return the weight among the parameters of a range."""
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(text), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
