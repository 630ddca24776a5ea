"""`vna COMMAND`: reads flags, loads the settings, calls the command's module.

The modules of the commands are imported when they run: `vna serve` pays for no progress bar and
`vna version` for no server.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vna.errors import VnaError
from vna.settings import Settings, load

app = typer.Typer(
    help="A vendor neutral archive for medical images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration (else ./vna.toml).")
]
RootOption = Annotated[
    str | None,
    typer.Option("--root", metavar="FOLDER", help="Folder of the archive: storage.root."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any other key, such as dicom.aet=PACS."),
]


def read_settings(
    config: Path | None, pairs: list[str] | None, **flags: str | int | None
) -> Settings:
    """Return the settings with the flags on top; `dicom__aet="X"` stands for `dicom.aet`."""
    given = {name.replace("__", "."): str(v) for name, v in flags.items() if v is not None}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--set")
        given[name.strip()] = value
    return load(config, flags=given)


@app.command()
def serve(
    config: ConfigOption = None,
    root: RootOption = None,
    http_host: Annotated[str | None, typer.Option(help="http.host")] = None,
    http_port: Annotated[int | None, typer.Option(help="http.port")] = None,
    dicom_host: Annotated[str | None, typer.Option(help="dicom.host")] = None,
    dicom_port: Annotated[int | None, typer.Option(help="dicom.port")] = None,
    aet: Annotated[str | None, typer.Option(help="dicom.aet")] = None,
    pairs: SetOption = None,
) -> None:
    """Run the archive until it is told to stop."""
    from vna.cli.serve import serve as run

    run(
        read_settings(
            config,
            pairs,
            storage__root=root,
            http__host=http_host,
            http__port=http_port,
            dicom__host=dicom_host,
            dicom__port=dicom_port,
            dicom__aet=aet,
        )
    )


@app.command("import")
def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders with all below them.")],
    url: Annotated[
        str | None, typer.Option(help="A running archive; else the one of this folder.")
    ] = None,
    config: ConfigOption = None,
    root: RootOption = None,
    pairs: SetOption = None,
) -> None:
    """Store DICOM files: into the running server of this archive, else directly."""
    from vna.cli.importing import import_paths

    raise typer.Exit(import_paths(read_settings(config, pairs, storage__root=root), paths, url))


@app.command()
def reindex(config: ConfigOption = None, root: RootOption = None, pairs: SetOption = None) -> None:
    """Build the index anew from log and packs. The server must not run."""
    from vna.cli.offline import reindex as run

    raise typer.Exit(run(read_settings(config, pairs, storage__root=root)))


@app.command()
def check(config: ConfigOption = None, root: RootOption = None, pairs: SetOption = None) -> None:
    """Compare everything stored with its sums and the index. The server must not run."""
    from vna.cli.offline import check as run

    raise typer.Exit(run(read_settings(config, pairs, storage__root=root)))


@app.command("config")
def config_(
    explain: Annotated[bool, typer.Option("--explain", help="Say what each key means.")] = False,
    config: ConfigOption = None,
    root: RootOption = None,
    pairs: SetOption = None,
) -> None:
    """Print the settings in force, as a vna.toml."""
    from vna.cli.explain import to_toml

    print(to_toml(read_settings(config, pairs, storage__root=root), explain=explain))


@app.command()
def version() -> None:
    """Print the version."""
    from vna.version import version as installed

    print(f"vna {installed()}")


def main() -> None:
    """Run the command line; a foreseen error is one message and status 1, no traceback."""
    try:
        app()
    except (VnaError, OSError) as error:
        print(f"vna: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
