"""From the start of a server to its first answer, and what it occupies while nobody asks.

Feeds in nothing: servers start on empty storage. The figures: `first answer` is the time from
spawning the process until an HTTP request is answered with 200 (VNA: /health/ready, Orthanc:
/system), the median and the slowest of the rounds, the first of them perhaps from a cold page
cache; `idle PSS` is the memory of the process tree once it used no processor time for a second.

For VNA it also counts the Python modules that a start imports, and names the heavy ones among them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
from pathlib import Path
from typing import Any

from servers import Orthanc, Server, Vna, machine, process_tree

# Each costs tens of MB or tenths of a second, and no idle server needs it.
HEAVY = {
    "fastapi", "grpc", "numpy", "pandas", "PIL", "pydantic", "pydicom", "pynetdicom", "rich",
    "sqlalchemy",
}  # fmt: skip

FILTER_IMPORTABLE = """
import importlib.util, json, sys
names = json.load(sys.stdin)
there = {top for top in {name.partition(".")[0] for name in names} if importlib.util.find_spec(top)}
print(json.dumps([name for name in names if name.partition(".")[0] in there]))
"""


def make_server(name: str) -> Server:
    return Vna() if name == "vna" else Orthanc(threads=4)


def measure(name: str) -> dict[str, Any]:
    with make_server(name) as server:
        server.settle()
        processes = process_tree(server.pid)
        return {
            "server": name,
            "version": server.version(),
            "start_seconds": server.start_s,
            "idle_pss_bytes": server.pss_bytes(),
            "processes": len(processes),
            "threads": sum(len(os.listdir(f"/proc/{pid}/task")) for pid in processes),
        }


def imported_modules() -> list[str]:
    """Return the modules that a start of VNA imports, as the interpreter reports them."""
    with Vna(PYTHONPROFILEIMPORTTIME="1") as server:
        server.settle()
        log = server.log_path.read_text(errors="replace")
    modules = re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", log, re.MULTILINE)
    assert "vna" in modules, "the interpreter did not report its imports"
    # The interpreter also reports imports that failed: of optional packages, of other systems.
    words = [str(Vna.program().parent / "python"), "-c", FILTER_IMPORTABLE]
    result = subprocess.run(
        words, input=json.dumps(sorted(set(modules))), capture_output=True, text=True, check=True
    )
    importable: list[str] = json.loads(result.stdout)
    return importable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--servers", default="orthanc,vna", help="which, in turn (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="starts of each (%(default)s)")
    parser.add_argument("--json", type=Path, help="write all reports to this file")
    arguments = parser.parse_args()
    names = arguments.servers.split(",")
    facts = machine()
    print("; ".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
    runs = [measure(name) for _ in range(arguments.rounds) for name in names]
    print("\n| server | first answer s | slowest s | idle PSS MB | processes | threads |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in names:
        mine = [run for run in runs if run["server"] == name]
        starts = [run["start_seconds"] for run in mine]
        memory = statistics.median(run["idle_pss_bytes"] for run in mine)
        last = mine[-1]
        print(
            f"| {name} {last['version']} | {statistics.median(starts):.2f} | {max(starts):.2f} "
            f"| {memory / 1e6:.1f} | {last['processes']} | {last['threads']} |"
        )
    modules: list[str] = []
    if "vna" in names:
        modules = imported_modules()
        packages = sorted({module.partition(".")[0] for module in modules})
        print(f"\nvna imports {len(modules)} modules of {len(packages)} packages:")
        print(", ".join(package for package in packages if not package.startswith("_")))
        print(f"heavy ones: {', '.join(sorted(HEAVY.intersection(packages))) or 'none'}")
    if arguments.json:
        report = {"machine": facts, "runs": runs, "modules": modules}
        arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
