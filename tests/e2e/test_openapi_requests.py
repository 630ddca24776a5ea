"""Requests that schemathesis makes of /openapi.json: every answer is one that it describes."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import httpx
from pydicom.uid import generate_uid
from support import make_instance
from support_cli import vna

HERE = Path(__file__).parent
# A short run of each operation. VNA_OPENAPI_EXAMPLES makes it a long one (`make test-openapi`),
# which also deletes and calls remote nodes.
LONG = "VNA_OPENAPI_EXAMPLES" in os.environ
EXAMPLES = os.environ.get("VNA_OPENAPI_EXAMPLES", "3")
CHECKS = (
    "no_fault_of_the_server",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
# What ends the server, or waits for machines that are not there; in the long form also what
# doubles the archive.
LEFT_OUT = (
    r"^/tools/(shutdown|reset)$|^/tools/dicom-echo$|^/patients/{id}/anonymize$"
    if LONG
    else r"^/tools/(shutdown|reset)$|^/(modalities|peers)/|^/tools/dicom-echo$|/retrieve$"
)
# A node and a peer that refuse every connection at once.
NOWHERE = """
[dicom]
scu_timeout_s = 1
[[dicom.modalities]]
name = "nowhere"
aet = "NOWHERE"
host = "127.0.0.1"
port = 1
[peers]
timeout_s = 1
[[peers.known]]
name = "nowhere"
url = "http://127.0.0.1:1/"
"""


@contextlib.contextmanager
def stored_again_and_again(server, files):
    """Store `files` while the context lasts, since what is deleted could not be asked for."""
    over = threading.Event()

    def store():
        with httpx.Client(base_url=server.url, timeout=60) as http:
            while not over.wait(0.5):
                for file in files:
                    with contextlib.suppress(httpx.HTTPError):
                        http.post("/instances", content=file)

    thread = threading.Thread(target=store)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_every_answer_is_one_that_the_description_has(start_server, tmp_path):
    (tmp_path / "vna.toml").write_text(NOWHERE)
    server = start_server(f"--config={tmp_path / 'vna.toml'}")
    study, series = generate_uid(), generate_uid()
    files = [make_instance(study, series, number=n) for n in range(3)]
    stored = [server.upload(file) for file in files]
    ids = {
        "patients": [stored[0]["ParentPatient"]],
        "studies": [stored[0]["ParentStudy"]],
        "series": [stored[0]["ParentSeries"]],
        "instances": [one["ID"] for one in stored],
        "modalities": ["nowhere"],
        "peers": ["nowhere"],
    }
    with stored_again_and_again(server, files) if LONG else contextlib.nullcontext():
        ran = requests_of_schemathesis(server, ids)
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
    assert server.get("/system")["Name"]
    assert server.stop() == 0
    assert "Traceback" not in server.output()
    assert "panicked" not in server.output()
    assert vna("check", "--root", server.root).stdout.endswith("all is well\n")


def requests_of_schemathesis(server, ids):
    """Run it, and return what became of the process."""
    program = Path(sys.executable).with_name("schemathesis")
    return subprocess.run(
        [
            program,
            "run",
            f"{server.http.base_url}".rstrip("/") + "/openapi.json",
            f"--checks={','.join(CHECKS)}",
            "--phases=fuzzing",
            f"--max-examples={EXAMPLES}",
            "--continue-on-failure",
            "--suppress-health-check=all",
            "--request-timeout=30",
            "--no-color",
            "--warnings=off",
            f"--exclude-path-regex={LEFT_OUT}",
            *(() if LONG else ("--generation-deterministic", "--exclude-method=DELETE")),
        ],
        env=os.environ
        | {
            "SCHEMATHESIS_HOOKS": "hooks_schemathesis",
            "PYTHONPATH": str(HERE),
            "VNA_TEST_IDS": json.dumps(ids),
        },
        capture_output=True,
        text=True,
        timeout=7200 if LONG else 600,
    )
