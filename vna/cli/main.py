"""`vna COMMAND`: reads flags, loads the settings, calls the command's module.

argparse, since `vna serve` keeps in memory what it imports to read its flags: typer costs 8 MB and
85 ms there. The modules of the commands are imported when they run, for the same reason.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from vna.errors import VnaError
from vna.settings import Settings, load

# Flags of `vna serve` that stand for a key; every other key goes through --set.
SHORTCUTS = {
    "--http-host": "http.host",
    "--http-port": "http.port",
    "--dicom-host": "dicom.host",
    "--dicom-port": "dicom.port",
    "--aet": "dicom.aet",
}

Command = Callable[[argparse.Namespace], int]


def serve(arguments: argparse.Namespace) -> int:
    """Run the archive until it is told to stop."""
    from vna.cli.serve import serve as run

    return run(settings_of(arguments))


def import_(arguments: argparse.Namespace) -> int:
    """Store DICOM files: into the running server of this archive, else directly."""
    from vna.cli.importing import import_paths

    return import_paths(settings_of(arguments), arguments.paths, arguments.url)


def reindex(arguments: argparse.Namespace) -> int:
    """Build the index anew from what was stored. The server must not run."""
    from vna.cli.offline import reindex as run

    return run(settings_of(arguments))


def check(arguments: argparse.Namespace) -> int:
    """Compare everything stored with its sums and the index. The server must not run."""
    from vna.cli.offline import check as run

    return run(settings_of(arguments))


def config(arguments: argparse.Namespace) -> int:
    """Print the settings in force, as a vna.toml."""
    from vna.cli.explain import to_toml

    print(to_toml(settings_of(arguments), explain=arguments.explain))
    return 0


def version(arguments: argparse.Namespace) -> int:
    """Print the version."""
    from vna.version import version as installed

    print(f"vna {installed()}")
    return 0


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the settings with the flags on top."""
    return load(arguments.config, flags=arguments.flags)


class Flag(argparse.Action):
    """A flag that stands for a key of the configuration."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        """Note the key and its text; what it may be is for the schema to say."""
        name, text = str(self.metavar), str(values)
        if option_string == "--set":
            name, equals, text = text.partition("=")
            if not equals:
                parser.error(f"--set {name!r}: it takes KEY=VALUE, such as dicom.aet=PACS")
        namespace.flags = {**namespace.flags, name.strip(): text}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        "vna", description="A vendor neutral archive for medical images.", allow_abbrev=False
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: Command, *, with_settings: bool = True) -> argparse.ArgumentParser:
        text = run.__doc__ or ""
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(run=run, config=None, flags={})
        if with_settings:
            command.add_argument(
                "--config", type=Path, metavar="FILE", help="configuration, else ./vna.toml"
            )
            command.add_argument(
                "--root", action=Flag, metavar="storage.root", help="folder of the archive"
            )
            command.add_argument(
                "--set", action=Flag, metavar="KEY=VALUE", help="any key; see vna config --explain"
            )
        return command

    serving = add("serve", serve)
    for flag, key in SHORTCUTS.items():
        serving.add_argument(flag, action=Flag, metavar=key)
    importing = add("import", import_)
    importing.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files or folders")
    importing.add_argument("--url", help="a running archive, else the one of this folder")
    add("reindex", reindex)
    add("check", check)
    add("config", config).add_argument(
        "--explain", action="store_true", help="say what each key means"
    )
    add("version", version, with_settings=False)
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a foreseen error is one message and status 1, no traceback."""
    parsed = parser().parse_args(arguments)
    run: Command = parsed.run
    try:
        status = run(parsed)
    except (VnaError, OSError) as error:
        print(f"vna: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


if __name__ == "__main__":
    main()
