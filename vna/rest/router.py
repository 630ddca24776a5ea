"""From a path to the operations that it has.

Paths are kept as a tree of their segments, so that the cost of a request does not grow with the
number of routes: tried one after the other, as a list of patterns, sixty of them take longer than
the index takes to answer.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

# A parameter that takes the rest of the path, slashes included, is written `{name:path}`.
REST = ":path"


class Router(Generic[T]):
    """What was added under patterns such as `/studies/{id}/series`, found by path.

    Where a segment could be a literal or a parameter, the literal comes first.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, pattern: str, value: T) -> None:
        """Let `find` return `value` for the paths of `pattern`; the last one added holds."""
        node = self._root
        names: list[str] = []
        for segment in pattern.split("/")[1:]:
            if not segment.startswith("{"):
                node = node.literals.setdefault(segment, _Node())
                continue
            name = segment[1:-1]
            names.append(name.removesuffix(REST))
            if name.endswith(REST):
                node.rest = (value, tuple(names))
                return
            if node.parameter is None:
                node.parameter = _Node()
            node = node.parameter
        node.here = (value, tuple(names))

    def find(self, path: str) -> tuple[T, dict[str, str]] | None:
        """Return what `path` stands for and its parameters, or None.

        `/studies/` is `/studies`, as clients of Orthanc know it.
        """
        segments = path.split("/")
        taken: list[str] = []
        found = _find(self._root, segments, 1, taken)
        if found is None and len(segments) > 2 and segments[-2] and not segments[-1]:
            taken.clear()
            found = _find(self._root, segments[:-1], 1, taken)
        if found is None:
            return None
        value, names = found
        return value, dict(zip(names, taken, strict=True))


class _Node(Generic[T]):
    """A place between two segments; a value comes with the names of the parameters before it."""

    __slots__ = ("here", "literals", "parameter", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.here: tuple[T, tuple[str, ...]] | None = None
        self.rest: tuple[T, tuple[str, ...]] | None = None


def _find(
    node: _Node[T], segments: list[str], at: int, taken: list[str]
) -> tuple[T, tuple[str, ...]] | None:
    """Look below `node`; recursion goes as deep as the longest pattern."""
    if at == len(segments):
        return node.here
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _find(literal, segments, at + 1, taken)
        if found is not None:
            return found
    if not segment:
        return None  # a parameter is never empty
    if node.parameter is not None:
        taken.append(segment)
        found = _find(node.parameter, segments, at + 1, taken)
        if found is not None:
            return found
        taken.pop()
    if node.rest is not None:
        taken.append("/".join(segments[at:]))
        return node.rest
    return None
