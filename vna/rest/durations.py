"""How long requests take that Python answers, by route, counted on the one loop."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator

# Upper ends of the classes, in seconds; what takes longer is in one more.
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
# The longest of these last seconds is what clients of Orthanc watch.
WINDOW_S = 10.0


class Durations:
    """Durations of all routes that were asked for."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], tuple[list[int], list[float]]] = {}
        self._window_until = 0.0
        self._longest = [0.0, 0.0]  # of this window and the one before

    def record(self, method: str, route: str, took_s: float) -> None:
        """Count one request."""
        counts, total = self._routes.setdefault((method, route), ([0] * (len(BOUNDS_S) + 1), [0.0]))
        counts[bisect_left(BOUNDS_S, took_s)] += 1
        total[0] += took_s
        self._turn()
        self._longest[0] = max(self._longest[0], took_s)

    def _turn(self) -> None:
        now = time.monotonic()
        if now < self._window_until:
            return
        was_quiet = now >= self._window_until + WINDOW_S
        self._longest = [0.0, 0.0 if was_quiet else self._longest[0]]
        self._window_until = now + WINDOW_S

    @property
    def longest_s(self) -> float:
        """The longest of the last seconds."""
        self._turn()
        return max(self._longest)

    def lines(self) -> Iterator[str]:
        """Yield the histograms in Prometheus' text form."""
        name = "vna_http_request_seconds"
        yield f"# HELP {name} Requests over HTTP, to the end of the answer, by route"
        yield f"# TYPE {name} histogram"
        for (method, route), (counts, total) in sorted(self._routes.items()):
            labels = f'method="{method}",route="{route}"'
            so_far = 0
            for bound, count in zip(BOUNDS_S, counts, strict=False):
                so_far += count
                yield f'{name}_bucket{{{labels},le="{bound:g}"}} {so_far}'
            so_far += counts[-1]
            yield f'{name}_bucket{{{labels},le="+Inf"}} {so_far}'
            yield f"{name}_sum{{{labels}}} {total[0]:.6f}"
            yield f"{name}_count{{{labels}}} {so_far}"
