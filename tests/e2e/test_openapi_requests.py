"""Requests that schemathesis makes of /openapi.json: every answer is one that it describes."""

import json
import os
import subprocess
import sys
from pathlib import Path

from pydicom.uid import generate_uid
from support import make_instance

HERE = Path(__file__).parent
# A short run of each operation; VNA_OPENAPI_EXAMPLES makes it a long one.
EXAMPLES = os.environ.get("VNA_OPENAPI_EXAMPLES", "3")
CHECKS = (
    "no_fault_of_the_server",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
# What ends the server, or waits for machines that are not there.
LEFT_OUT = r"^/tools/(shutdown|reset)$|^/(modalities|peers)/|^/tools/dicom-echo$|/retrieve$"


def test_every_answer_is_one_that_the_description_has(start_server):
    server = start_server()
    study, series = generate_uid(), generate_uid()
    stored = [server.upload(make_instance(study, series, number=n)) for n in range(3)]
    ids = {
        "patients": [stored[0]["ParentPatient"]],
        "studies": [stored[0]["ParentStudy"]],
        "series": [stored[0]["ParentSeries"]],
        "instances": [one["ID"] for one in stored],
    }
    program = Path(sys.executable).with_name("schemathesis")
    ran = subprocess.run(
        [
            program,
            "run",
            f"{server.http.base_url}".rstrip("/") + "/openapi.json",
            f"--checks={','.join(CHECKS)}",
            "--phases=fuzzing",
            f"--max-examples={EXAMPLES}",
            "--generation-deterministic",
            "--continue-on-failure",
            "--suppress-health-check=all",
            "--request-timeout=30",
            "--no-color",
            "--warnings=off",
            f"--exclude-path-regex={LEFT_OUT}",
            "--exclude-method=DELETE",
        ],
        env=os.environ
        | {
            "SCHEMATHESIS_HOOKS": "hooks_schemathesis",
            "PYTHONPATH": str(HERE),
            "VNA_TEST_IDS": json.dumps(ids),
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
    assert server.get("/system")["Name"]
