"""`vna COMMAND`: where the command line begins.

`serve` is read by a reader of its own: see `vna/cli/flags.py`. All else, help and wrong usage
included, is for `vna/cli/app.py`. A foreseen error is one message and a status of
`vna/cli/exits.py`, without traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vna.cli import flags
from vna.cli.exits import INTERRUPTED, status_of
from vna.errors import VnaError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Run the command line; returns the exit status."""
    try:
        given = flags.read(arguments[1:]) if arguments[:1] == ["serve"] else None
        if given is None:
            from vna.cli.app import run as run_app

            return run_app(arguments)
        from vna.cli.serve import serve

        return serve(*flags.told(given))
    except (VnaError, OSError) as error:
        print(f"vna: {error}", file=sys.stderr)
        return status_of(error)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    main()
