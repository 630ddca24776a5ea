"""Check that imports run one way, in Python and in Rust.

Python: ways in (``cli dimse rest dicomweb rpc``) -> ``services`` -> ``_core`` and ``jobs`` ->
``control``, with ``settings`` and ``errors`` below all of them. Rust: ``py`` -> ``node`` ->
``ul store index image`` -> ``dicom io codec``.

Fails on an import against the direction, on a module that has no layer yet, and if it looked at
nothing, since a check whose path is wrong would otherwise pass for ever.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# layer -> what it may import besides itself. `cli` starts the other ways in.
PYTHON_LAYERS: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "version": frozenset({"_core"}),
    "_elements_twin": frozenset(),
    "_dataset_elements": frozenset(),
    "_dataset_twin": frozenset({"_dataset_elements"}),
    "dataset": frozenset({"_core", "_dataset", "_dataset_elements", "_dataset_twin", "errors"}),
    "pixels": frozenset({"_core", "errors"}),
    # For tests of readers, ours among them: an oracle that shares their code would prove nothing.
    "testing": frozenset(),
    "settings": frozenset({"errors"}),
    "log": frozenset({"settings"}),
    "control": frozenset({"errors", "settings"}),
    "jobs": frozenset({"control", "errors", "settings"}),
    "services": frozenset(
        {"_core", "_elements", "_elements_twin", "control", "errors", "jobs", "settings", "version"}
    ),
    "dimse": frozenset({"services", "errors", "settings"}),
    "rest": frozenset({"log", "services", "errors", "settings", "version"}),
    "dicomweb": frozenset({"services", "errors", "settings"}),
    "rpc": frozenset({"services", "errors", "settings"}),
    "client": frozenset({"dataset", "pixels", "services", "errors", "settings"}),
    "cli": frozenset(
        {"client", "control", "dimse", "rest", "services", "errors", "settings", "log", "version"}
    ),
}

# What the data plane is built on.
NODE = frozenset(
    {
        *("vna-io", "vna-dicom", "vna-ul", "vna-store", "vna-index", "vna-codec", "vna-image"),
        "vna-report",
    }
)

RUST_LAYERS: dict[str, frozenset[str]] = {
    "vna-io": frozenset(),
    "vna-dicom": frozenset(),
    "vna-ul": frozenset({"vna-dicom"}),
    "vna-store": frozenset({"vna-io", "vna-dicom"}),
    "vna-index": frozenset({"vna-io", "vna-dicom"}),
    "vna-codec": frozenset(),
    "vna-image": frozenset({"vna-dicom", "vna-codec"}),
    "vna-report": frozenset({"vna-dicom"}),
    "vna-node": NODE,
    "vna-py": NODE | {"vna-node"},
}


def imported_modules(source: Path) -> list[tuple[int, str]]:
    """(line, dotted name) of everything under ``vna`` that `source` imports, at any depth."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"), str(source))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                found.append((node.lineno, "vna.(relative import)"))
            elif node.module == "vna":
                found += [(node.lineno, f"vna.{alias.name}") for alias in node.names]
            elif node.module:
                found.append((node.lineno, node.module))
    return [(line, name) for line, name in found if name.startswith("vna.")]


def check_python(package: Path) -> tuple[list[str], int]:
    """Return (complaints, number of imports looked at)."""
    complaints: list[str] = []
    looked_at = 0
    for source in sorted(package.rglob("*.py")):
        where = source.relative_to(package)
        layer = where.parts[0].removesuffix(".py")
        if layer == "__init__":
            continue
        if layer not in PYTHON_LAYERS:
            complaints.append(f"{source}: `{layer}` has no layer in {Path(__file__).name}")
            continue
        for line, name in imported_modules(source):
            looked_at += 1
            target = name.split(".")[1]
            if target != layer and target not in PYTHON_LAYERS[layer]:
                allowed = ", ".join(sorted(PYTHON_LAYERS[layer])) or "nothing of vna"
                complaints.append(f"{source}:{line}: {layer} imports {name}; it may use {allowed}")
    return complaints, looked_at


def check_rust(crates: Path) -> tuple[list[str], int]:
    """Return (complaints, number of dependencies between our crates looked at)."""
    complaints: list[str] = []
    looked_at = 0
    for manifest in sorted(crates.glob("*/Cargo.toml")):
        declared = tomllib.loads(manifest.read_text(encoding="utf-8"))
        name = declared["package"]["name"]
        if name not in RUST_LAYERS:
            complaints.append(f"{manifest}: `{name}` has no layer in {Path(__file__).name}")
            continue
        for dependency in declared.get("dependencies", {}):
            if not dependency.startswith("vna-"):
                continue
            looked_at += 1
            if dependency not in RUST_LAYERS[name]:
                complaints.append(
                    f"{manifest}: {name} depends on {dependency}, against the direction"
                )
    return complaints, looked_at


def main() -> int:
    """Check both trees and print what was wrong or how much was looked at."""
    python, python_seen = check_python(ROOT / "vna")
    rust, rust_seen = check_rust(ROOT / "core-rs")
    for complaint in python + rust:
        print(complaint)
    for what, seen in (("Python imports", python_seen), ("Rust dependencies", rust_seen)):
        if not seen:
            print(f"looked at no {what}: the path of the check is wrong")
    print(f"import direction: {python_seen} Python imports, {rust_seen} Rust dependencies checked")
    return 1 if python or rust or not python_seen or not rust_seen else 0


if __name__ == "__main__":
    sys.exit(main())
