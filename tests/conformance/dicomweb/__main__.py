"""Ask our server and Orthanc's DICOMweb plugin alike, and write what came out as a document.

python -m tests.conformance.dicomweb [--check] from the folder of the repository. Without --check
docs/conformance-dicomweb.md is written anew.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
DOCUMENT = REPOSITORY / "docs/conformance-dicomweb.md"
CHAPTERS = {
    "search": "Search (QIDO-RS)",
    "retrieve": "Retrieve: studies, series and instances (WADO-RS)",
    "metadata": "Retrieve: metadata",
    "frames": "Retrieve: frames, bulk data and pixel data",
    "rendered": "Retrieve: rendered resources and thumbnails",
    "uri": "URI service (WADO-URI)",
    "store": "Store (STOW-RS)",
    "capabilities": "Capabilities",
}
HEAD = """# Conformance to PS3.18

What the cases of `tests/conformance/dicomweb` find, which follow the clauses and tables of PS3.18
(DICOMweb). `make conformance` asks both servers again and writes this table. Any server can be
asked: `VNA_DICOMWEB_URL=http://host/dicom-web pytest tests/conformance/dicomweb`, with
`VNA_DICOMWEB_USER=name:password` where one has to say who asks.

*(optional)* marks what the standard leaves to a server; – is what does not apply to a server.
"""


def results(url=None):
    """Return what each case of the suite found, by its name."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("VNA_DICOMWEB")
        }
        environment["VNA_DICOMWEB_RESULTS"] = file.name
        if url:
            environment["VNA_DICOMWEB_URL"] = url
        command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-r", "", str(HERE)]
        subprocess.run(command, cwd=REPOSITORY, env=environment, check=False)
        return {each["id"]: each for each in json.loads(Path(file.name).read_text())}


def of_orthanc():
    """Run the suite against an Orthanc with its plugin; returns what it is, and its results."""
    sys.path[:0] = [str(REPOSITORY / "tests" / each) for each in ("interop", "e2e")]
    from support_orthanc import Orthanc, dicomweb_plugin, program

    with tempfile.TemporaryDirectory() as root:
        executable = program()
        plugin = dicomweb_plugin(executable)
        server = Orthanc(executable, root, **plugin)
        try:
            server.start()
            version = server.http.get("/plugins/dicom-web").json()["Version"]
            name = f"Orthanc {server.version}, DICOMweb {version}"
            return name, results(f"{server.url}/dicom-web")
        finally:
            server.stop()


def written(ours, theirs, name):
    """Return the document."""
    lines = [HEAD, "| | ours | " + name + " |", "|---|---|---|"]
    for label, optional in (("required", False), ("optional", True)):
        counts = [
            Counter(each["result"] for each in found.values() if each["optional"] == optional)
            for found in (ours, theirs)
        ]
        shown = [f"{each['yes']} of {each['yes'] + each['no']}" for each in counts]
        lines.append(f"| {label} cases fulfilled | {shown[0]} | {shown[1]} |")
    chapters = {}
    for key, each in ours.items():
        module = Path(key.partition("::")[0]).stem.removeprefix("test_ps318_")
        chapters.setdefault(module.partition("_")[0], []).append((key, each))
    for chapter, title in CHAPTERS.items():
        lines += ["", f"## {title}", "", "| clause | case | ours | Orthanc |", "|---|---|---|---|"]
        for key, each in chapters.get(chapter, []):
            case = each["case"].replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")
            optional = " *(optional)*" if each["optional"] else ""
            other = theirs.get(key, {"result": "–"})["result"]
            lines.append(f"| {each['clause']} | {case}{optional} | {each['result']} | {other} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write no document")
    arguments = parser.parse_args()
    ours = results()
    name, theirs = of_orthanc()
    text = written(ours, theirs, name)
    print("\n".join(line for line in text.splitlines() if "cases fulfilled" in line))
    if not arguments.check:
        DOCUMENT.write_text(text)
        print(f"{DOCUMENT.relative_to(REPOSITORY)} is written")
    failed = [each for each in ours.values() if each["result"] == "no"]
    for each in failed:
        print(f"ours: {each['clause']} {each['case']}")
    sys.exit(bool(failed))


main()
