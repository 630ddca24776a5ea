"""Takes the screens of the README from real runs: `make screens` writes docs/screens/*.svg."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from pydicom.data import get_testdata_file
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

VNA = Path(sys.executable).with_name("vna")
SCREENS = Path(__file__).with_name("screens")
COLUMNS = 108
# A table of studies has seven columns.
TABLE_COLUMNS = 150
# What a terminal program says to the terminal: a line up, a line emptied, and the rest but colours.
TOKENS = re.compile(r"(\n|\r|\x1b\[\d*A|\x1b\[2K|\x1b\[\??[0-9;]*[A-Za-ln-z]|\x1b\][^\x07]*\x07)")
# A font from the net is no part of a picture; the reader's own is as good.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def run(folder: Path, *arguments: str, columns: int = COLUMNS) -> str:
    """Run `vna` on a terminal, and return all that it wrote there."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    variables = {k: v for k, v in os.environ.items() if not k.startswith("VNA__")}
    variables |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    variables.pop("NO_COLOR", None)
    with subprocess.Popen(
        [VNA, *arguments],
        cwd=folder,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=variables,
    ):
        os.close(follower)
        shown = b""
        with contextlib.suppress(OSError):  # the end of a terminal is an error on Linux
            while piece := os.read(leader, 65536):
                shown += piece
        os.close(leader)
    return shown.decode().replace("\r\n", "\n")


def left_on(shown: str) -> list[str]:
    """Return the lines that stay on a terminal: what was drawn over is left out."""
    lines, at = [""], 0
    for token in TOKENS.split(shown):
        if token == "\n":
            at += 1
            lines += [""] * (at == len(lines))
        elif token == "\x1b[2K":
            lines[at] = ""
        elif up := re.fullmatch(r"\x1b\[(\d*)A", token):
            at -= int(up[1] or 1)
        elif not TOKENS.fullmatch(token):
            lines[at] += token
    return lines


def bar_in(shown: str) -> list[str]:
    """Return the progress bar as it was last."""
    frames = [TOKENS.sub("", frame) for frame in re.split(r"[\r\n]", shown)]
    return [frame for frame in frames if "━" in frame][-1:]


def draw(name: str, steps: list[tuple[str, list[str]]], columns: int = COLUMNS) -> None:
    """Write a picture of commands and what was shown."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
    for command, lines in steps:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        for line in lines:
            console.print(Text.from_ansi(line))
    svg = console.export_svg(
        title="vna", theme=MONOKAI, code_format=FORMAT, unique_id=f"vna-{name}"
    )
    SCREENS.mkdir(exist_ok=True)
    (SCREENS / f"{name}.svg").write_text(svg, encoding="utf-8")


def shortened(lines: list[str], most: int) -> list[str]:
    """Return the first lines, and that there are more."""
    kept = [line for line in lines if line.strip()]
    return kept if len(kept) <= most else [*kept[:most], "…"]


def damage(folder: Path) -> None:
    """Change one bit of a stored image, as a disk does that grows old."""
    image = Path(get_testdata_file("CT_small.dcm")).read_bytes()
    for segment in (folder / "vna-data/log/segments").iterdir():
        content = bytearray(segment.read_bytes())
        if (found := content.find(image[-5000:])) >= 0:
            content[found + 2500] ^= 1
            segment.write_bytes(content)


def take(folder: Path) -> None:
    """Run everything in an empty folder and draw it."""
    images = Path(get_testdata_file("CT_small.dcm")).parent
    shutil.copytree(images, folder / "images")
    shown = run(folder, "import", "images")
    lines = left_on(shown)
    summary = lines[next(at for at, line in enumerate(lines) if " stored, " in line) :]
    draw("import", [("vna import images", bar_in(shown) + shortened(summary, 12))])
    find = ["find", "study", "PatientName=C*"]
    found = left_on(run(folder, *find, columns=TABLE_COLUMNS))
    draw("find", [("vna find study 'PatientName=C*'", shortened(found, 16))], TABLE_COLUMNS)
    dumped = left_on(run(folder, "dump", "images/CT_small.dcm"))
    nested = left_on(run(folder, "dump", "images/JPEG2000.dcm", "--pixel-data"))
    draw(
        "dump",
        [
            ("vna dump images/CT_small.dcm", shortened(dumped, 22)),
            ("vna dump images/JPEG2000.dcm --pixel-data", shortened(nested, 8)),
        ],
    )
    damage(folder)
    checked = left_on(run(folder, "check"))
    repaired = left_on(run(folder, "check", "--repair"))
    draw(
        "check",
        [
            ("vna check", shortened(checked, 10)),
            ("vna check --repair", shortened(repaired, 10)),
        ],
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="vna-screens-") as temporary:
        take(Path(temporary))
