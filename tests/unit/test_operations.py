"""Every operation of Orthanc's interface is one of ours, whatever part of the project has it."""

import re
from pathlib import Path

from vna.rest.routes import table

# Method and path of each operation that Orthanc 1.12.11 describes of itself.
OPERATIONS = Path(__file__).resolve().parents[1] / "interop/orthanc_operations.txt"


def shape(path):
    """Return a path without the names of its parameters."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_every_operation_of_orthanc_is_served():
    served = {(entry.method, shape(entry.path)) for entry in table()}
    wanted = [line.split(" ", 1) for line in OPERATIONS.read_text().splitlines()]
    assert len(wanted) > 290
    missing = [
        f"{method} {shape(path)}" for method, path in wanted if (method, shape(path)) not in served
    ]
    assert not missing, "\n".join(missing)
