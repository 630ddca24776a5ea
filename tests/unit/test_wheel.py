"""The wheel that users get: built, opened, and imported where nothing else is."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    # The tests' own environment and target folder, so that nothing is compiled twice.
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--no-build-isolation", "--no-deps", "--wheel-dir", str(out), str(ROOT))
    (built,) = out.glob("*.whl")
    return built


def test_the_tag_names_one_python_version_and_a_platform(wheel):
    _, _, python, abi, platform = wheel.stem.split("-")
    expected = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert (python, abi) == (expected, expected)
    assert "linux" in platform or "macosx" in platform


def test_the_wheel_holds_all_of_the_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "vna").rglob("*")
        if path.suffix in {".py", ".pyi", ".sql", ".tsv", ".typed"}
        and "__pycache__" not in path.parts
    }
    assert {"vna/services/archive.py", "vna/control/migrations/0002_jobs.sql"} <= sources
    assert sources <= names
    compiled = {name.split("/")[1].partition(".")[0] for name in names if name.endswith(".so")}
    kernels = {f"_{source.stem}" for source in (ROOT / "ext").glob("*.pyx")}
    assert compiled == kernels | {"_core"}
    rest = {name for name in names - sources if not name.endswith(".so")}
    assert {name.split("/")[0].rpartition(".")[2] for name in rest} == {"dist-info"}
    licences = {name.rpartition("licenses/")[2] for name in rest if "licenses/" in name}
    assert {"LICENSE", "openjph", "openjpeg", "charls.md", "libjpeg-turbo.md"} <= licences


def test_the_wheel_imports_in_an_empty_environment(wheel, tmp_path):
    environment = tmp_path / "env"
    run(sys.executable, "-m", "venv", str(environment))
    python = environment / "bin" / "python"
    run(str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    # Its own folder and no PYTHONPATH: else the source tree would answer.
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    program = (
        "import vna._core, vna._elements, vna.errors; "
        "print(vna._core.__file__); print(vna._elements.unpack_elements(bytes(24)))"
    )
    where, rows = run(str(python), "-c", program, cwd=tmp_path, env=clean).splitlines()
    assert Path(where).is_relative_to(environment)
    assert rows == "[(0, '', 0, 0, 0, 0, 0)]"


def test_the_sdist_holds_the_sources_of_every_part(tmp_path):
    program = "import build_backend, sys; print(build_backend.build_sdist(sys.argv[1]))"
    backend = os.environ | {"PYTHONPATH": str(ROOT / "ext")}
    told = run(sys.executable, "-c", program, str(tmp_path), cwd=ROOT, env=backend)
    archive = tmp_path / told.splitlines()[-1]
    with tarfile.open(archive) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {
        "pyproject.toml",
        "Cargo.lock",
        "ext/build_backend.py",
        "ext/elements.pyx",
        "core-rs/py/src/lib.rs",
        "core-rs/dicom/src/lib.rs",
        "core-rs/codec/src/jpeg/shim.c",
        "core-rs/codec/vendor/openjph/LICENSE",
        "vna/errors.py",
        "LICENSE",
        "README.md",
    } <= names
