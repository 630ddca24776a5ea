"""The check of import direction complains where it should, so that its silence means something."""

import runpy
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[2] / "ext" / "lint" / "imports.py"


@pytest.fixture
def check():
    return runpy.run_path(str(CHECK))


@pytest.fixture
def tree(tmp_path):
    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def test_this_repository_keeps_the_direction(check, capsys):
    assert check["main"]() == 0
    assert "Python imports" in capsys.readouterr().out


@pytest.mark.parametrize(
    "statement",
    [
        "from vna.rest import app",
        "import vna.rest.app",
        "from vna import rest",
        "def late():\n    from vna.rest.app import x",
        "from . import sibling",
    ],
)
def test_an_import_against_the_direction_is_found(check, tree, statement):
    package = tree({"services/x.py": statement, "rest/app.py": ""})
    complaints, seen = check["check_python"](package)
    assert len(complaints) == 1
    assert seen == 1


def test_a_module_without_a_layer_is_found(check, tree):
    complaints, _ = check["check_python"](tree({"novelty/x.py": ""}))
    assert "`novelty` has no layer" in complaints[0]


def test_a_crate_that_looks_upwards_is_found(check, tree):
    manifest = '[package]\nname = "vna-dicom"\n[dependencies]\nvna-node.workspace = true\n'
    complaints, seen = check["check_rust"](tree({"dicom/Cargo.toml": manifest}))
    assert "vna-dicom depends on vna-node" in complaints[0]
    assert seen == 1


def test_looking_at_nothing_fails(check, tree, capsys):
    check["main"].__globals__["ROOT"] = tree({"vna/errors.py": ""})
    assert check["main"]() == 1
    assert "looked at no Python imports" in capsys.readouterr().out
