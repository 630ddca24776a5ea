"""Asks the index of a stopped archive, in a process of its own: run by bench_index.py.

Usage: `python query_worker.py STORAGE warm|cold < QUERIES`, one JSON query a line, with the Python
that has `vna`. Prints a line per query: `{"seconds": ..., "answer": [...]}`. Warm, all queries were
asked once before. Cold, before each query the archive is closed, its files are dropped from the
page cache, and it is opened anew; opening is not part of the time.

How an archive is asked is known to `Asker` alone.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

from vna import _core
from vna.settings import Settings, Storage

ANSWER_TIMEOUT_S = 60.0


class Asker:
    """One open archive."""

    def __init__(self, storage: str) -> None:
        settings = Settings(storage=Storage(root=storage))
        self.core = _core.Archive(settings.to_json())

    def ask(self, query: bytes) -> bytes:
        """Return the JSON list that answers `query`."""
        handle = self.core.query(1, query)
        while True:
            ready, _, _ = select.select([self.core.completion_fd()], [], [], ANSWER_TIMEOUT_S)
            if not ready:
                raise TimeoutError(f"no answer to {query!r} within {ANSWER_TIMEOUT_S} s")
            for completed, succeeded, value in self.core.drain():
                if completed != handle:
                    continue
                if not succeeded:
                    assert isinstance(value, BaseException)
                    raise value
                assert isinstance(value, bytes)
                return value

    def close(self) -> None:
        self.core.stop(10.0)


def drop_from_page_cache(storage: str) -> None:
    """Make the next read of any file below `storage` go to the disk."""
    os.sync()  # only clean pages can be dropped
    for path in Path(storage).rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def timed(asker: Asker, query: bytes) -> dict[str, Any]:
    began = time.perf_counter()
    answer = asker.ask(query)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "answer": json.loads(answer)}


def warm(storage: str, queries: list[bytes]) -> list[dict[str, Any]]:
    asker = Asker(storage)
    try:
        for query in queries:
            asker.ask(query)
        return [timed(asker, query) for query in queries]
    finally:
        asker.close()


def cold(storage: str, queries: list[bytes]) -> list[dict[str, Any]]:
    results = []
    for query in queries:
        drop_from_page_cache(storage)
        asker = Asker(storage)
        try:
            results.append(timed(asker, query))
        finally:
            asker.close()
    return results


def main() -> None:
    storage, state = sys.argv[1:]
    queries = [line.strip() for line in sys.stdin.buffer]
    for result in {"warm": warm, "cold": cold}[state](storage, queries):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
