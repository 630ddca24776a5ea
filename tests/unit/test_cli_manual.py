from pathlib import Path

from vna.cli import manual

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_of_commands_is_that_of_the_commands():
    written = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert written == manual.to_markdown() + "\n", "python -m vna.cli.manual > docs/commands.md"
