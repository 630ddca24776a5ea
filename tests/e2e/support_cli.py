"""The command line as people and scripts run it: a process, with or without a terminal."""

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
from dataclasses import dataclass

from support import VNA

# What the environment of the tests must not decide.
UNSET = {"COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TERM", "TERMINAL_WIDTH", "TTY_COMPATIBLE"}


def environment(**more):
    """Return an environment that says nothing of terminals nor of the archive, with `more`."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in UNSET and not key.startswith("VNA__")
    }
    return kept | {"TERM": "xterm-256color"} | more


def vna(*arguments, stdin=subprocess.DEVNULL, cwd=None, data=None, **variables):
    """Run a command without a terminal; `stdout` and `stderr` are texts."""
    source = {"input": data} if data is not None else {"stdin": stdin}
    done = subprocess.run(
        [VNA, *map(str, arguments)],
        capture_output=True,
        env=environment(**variables),
        cwd=cwd,
        timeout=120,
        **source,
    )
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


@dataclass
class Shown:
    """What a command showed on a terminal, and its exit status."""

    returncode: int
    text: str


def on_terminal(*arguments, columns=100, answer=None, cwd=None, **variables):
    """Run a command on a terminal of `columns`; `answer` is typed at once."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    command = [VNA, *map(str, arguments)]
    kept = environment(**variables)
    with subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=kept, cwd=cwd
    ) as process:
        os.close(follower)
        if answer is not None:
            os.write(leader, answer.encode())
        shown = b""
        with contextlib.suppress(OSError):  # the end of a terminal is an error on Linux
            while piece := os.read(leader, 65536):
                shown += piece
        os.close(leader)
        status = process.wait(60)
    return Shown(status, shown.decode().replace("\r\n", "\n"))
