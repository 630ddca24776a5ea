"""What servers make of what they have: under identifiers of their own, otherwise to be alike."""

import re
import time
from typing import NamedTuple

from support_compare import Difference, data_set, unequal

UID = r"(?<![\d.])(?:2\.25\.\d+|[0-2](?:\.\d+){4,})(?![\d.])"
PUBLIC_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{8}){4}"
IDENTIFIER = re.compile(f"{UID}|{PUBLIC_ID}")
END_S = 60
# When a job was and how long it took.
CLOCKS = ("CompletionTime", "CreationTime", "EffectiveRuntime", "Timestamp")


class Files(NamedTuple):
    """The files below a resource, as data sets; `path` may say {kept}."""

    name: str
    path: str


class End(NamedTuple):
    """The end of the job that the answer before told of."""

    name: str
    path: str = "/jobs/{kept}"


class Forget(NamedTuple):
    """The deletion of every patient that is none of the corpus."""

    name: str
    path: str = "/patients"


class Pairs:
    """Which identifier of ours stands for which of theirs: always the same one for the same.

    `known` are those of what there was before: they stand for themselves alone.
    """

    def __init__(self, known=()):
        self.known = known  # more may come to be known
        self.theirs, self.ours = {}, {}

    def equal(self, ours, theirs):
        """Whether two texts say the same, but for identifiers that stand for one another."""
        ours, theirs = str(ours), str(theirs)
        if IDENTIFIER.sub("", ours) != IDENTIFIER.sub("", theirs):
            return False
        both = zip(IDENTIFIER.findall(ours), IDENTIFIER.findall(theirs), strict=True)
        paired = [self.paired(one, other) for one, other in both]
        return all(paired)

    def paired(self, one, other):
        if one in self.known or other in self.known or one.startswith("1.2.840.10008."):
            return one == other
        is_new = (one not in self.theirs) and (other not in self.ours)
        if is_new:
            self.theirs[one], self.ours[other] = other, one
        return self.theirs.get(one) == other and self.ours.get(other) == one


def data_sets(server, path):
    """Return the data sets below a resource by their Instance Number, which changes leave alone."""
    found = {}
    for one in server.get(f"{path}/instances").json():
        file = data_set(server.get(f"/instances/{one['ID']}/file").content)
        found.setdefault(file["0020,0013"]["Value"], []).append(file)
    return found


def end_of_job(server, path):
    """Wait until a job has ended; return what it says."""
    end = time.monotonic() + END_S
    while True:
        job = server.get(path).json()
        if job["State"] in ("Success", "Failure"):
            return {key: value for key, value in job.items() if key not in CLOCKS}
        assert time.monotonic() < end, job
        time.sleep(0.005)


def compare_made(request, ours, theirs, pairs):
    """Return the differences of two values that tell of what was made."""
    return [
        Difference(request.name, "/".join(where), left, right)
        for where, left, right in unequal(ours, theirs, True, {}, pairs=pairs)
    ]
