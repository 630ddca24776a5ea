"""What became of the files of an import."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

from vna.cli import table
from vna.cli.command import print_json

# Lines of each kind that are told one by one; the summary counts all.
MAX_LINES = 50
# Conflicts that the summary names.
MAX_CONFLICTS = 1000

Answer = dict[str, Any]

STORED, DUPLICATE, CONFLICTING = "Stored", "Duplicate", "Conflicting"
SKIPPED, REFUSED, FAILED = "Skipped", "Refused", "Failed"
KEPT = (STORED, DUPLICATE, CONFLICTING)
# What the summary says of each that is there.
WORDS = {
    STORED: "stored",
    DUPLICATE: "duplicate",
    CONFLICTING: "conflicting",
    SKIPPED: "skipped",
    REFUSED: "refused",
    FAILED: "failed",
}
# What a file that could not be read is refused with: the archive has nothing to do with it.
UNREADABLE = "file.unreadable"
CONFLICTS = {
    "Content": "the same SOP Instance UID is there with other bytes",
    "Parent": "a UID of it is there below another parent",
}


class Reason:
    """Why some files were not stored."""

    def __init__(self, kind: str, code: str, name: str, details: str):
        self.kind = kind
        self.code = code
        self.example = name
        self.details = details
        self.count = 0


class Summary:
    """Counts what became of files, and tells what somebody should look at."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.reasons: dict[tuple[str, str], Reason] = {}
        self.conflicts: list[dict[str, str]] = []
        self.resumed = 0
        self.bytes = 0
        self.was_interrupted = False
        self._began = time.monotonic()

    @property
    def files(self) -> int:
        """How many files were looked at, those of an interrupted run included."""
        return self.resumed + sum(self.counts.values())

    @property
    def kept(self) -> int:
        """How many are in the archive now."""
        return self.resumed + sum(self.counts[kind] for kind in KEPT)

    @property
    def failed(self) -> int:
        """How many were not stored for a reason that is not their content."""
        return self.counts[FAILED]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left for another run."""
        return not self.was_interrupted and not self.failed

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began

    def add(self, name: str, answer: Answer) -> str:
        """Take what became of a file; returns the kind of it."""
        kind = kind_of(answer)
        self.counts[kind] += 1
        if kind == CONFLICTING:
            self._add_conflict(name, answer)
        elif kind not in KEPT:
            self._add_reason(kind, name, str(answer["Code"]), str(answer["Details"]))
        return kind

    def fail(self, name: str, error: Exception) -> None:
        """Take that a file or folder could not be imported."""
        code = str(getattr(error, "code", "") or UNREADABLE)
        # Some errors of http.client have no text.
        self.counts[FAILED] += 1
        self._add_reason(FAILED, name, code, str(error) or type(error).__name__)

    def _add_conflict(self, name: str, answer: Answer) -> None:
        what = str(answer["Conflict"])
        if len(self.conflicts) < MAX_CONFLICTS:
            self.conflicts.append({"Path": name, "ID": str(answer["ID"]), "Conflict": what})
        if self.counts[CONFLICTING] <= MAX_LINES:
            tell(f"{name}: conflicting: {CONFLICTS.get(what, what)}")

    def _add_reason(self, kind: str, name: str, code: str, details: str) -> None:
        reason = self.reasons.setdefault((kind, code), Reason(kind, code, name, details))
        reason.count += 1
        if kind == SKIPPED:
            return
        if reason.count <= MAX_LINES:
            tell(f"{name}: {'failed' if kind == FAILED else 'not stored'}: {details}")
        elif reason.count == MAX_LINES + 1:
            tell(f"more are {WORDS[kind]} for {code}; the summary counts them")

    def show(self, *, as_json: bool) -> None:
        """Print the summary."""
        if as_json:
            print_json(self.document())
            return
        counted = [f"{self.counts[kind]:,} {WORDS[kind]}" for kind in WORDS if self.counts[kind]]
        if self.resumed:
            counted.append(f"{self.resumed:,} stored by the run before")
        if not counted:
            print("no files found")
            return
        rate = self.files / max(self.seconds, 1e-3)
        print(
            f"{', '.join(counted)}: {table.size(self.bytes)} in {self.seconds:.1f} s "
            f"({rate:,.0f} files/s)"
        )
        for reason in sorted(self.reasons.values(), key=lambda each: -each.count):
            example = table.visible(reason.example)
            print(f"  {WORDS[reason.kind]}: {reason.count:,} {reason.code}, such as {example}")
        if self.was_interrupted:
            tell("interrupted; the same command again goes on where it was")

    def document(self) -> dict[str, Any]:
        """Return the summary for a program."""
        return {
            **{kind: self.counts[kind] for kind in WORDS},
            "Resumed": self.resumed,
            "Bytes": self.bytes,
            "Seconds": round(self.seconds, 3),
            "Interrupted": self.was_interrupted,
            "Conflicts": self.conflicts,
            "Reasons": [
                {
                    "Kind": reason.kind,
                    "Code": reason.code,
                    "Count": reason.count,
                    "Example": reason.example,
                    "Details": reason.details,
                }
                for reason in self.reasons.values()
            ],
        }


def kind_of(answer: Answer) -> str:
    """Return what an answer of the archive means for a file."""
    match answer["Status"]:
        case "Success" | "AlreadyStored" if "Conflict" in answer:
            return CONFLICTING
        case "Success":
            return STORED
        case "AlreadyStored":
            return DUPLICATE
        case "Skipped":
            return SKIPPED
        case "Failed":
            return FAILED
        case _:
            return FAILED if answer.get("Code") == UNREADABLE else REFUSED


def tell(line: str) -> None:
    """Say something to the one who looks on."""
    print(table.visible(line), file=sys.stderr)
