"""All commands as typer shows them; `vna/cli/main.py` says how they are reached.

The modules that do the work are imported when a command runs: `vna --help` and completion wait for
none of them.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer
import typer.main

from vna.cli import flags
from vna.cli.command import Json, Tenant, Url, plain, print_json, with_settings
from vna.cli.exits import INTERRUPTED, MEANINGS, READER_GONE, USAGE
from vna.cli.groups import index, jobs, modality, peer, user
from vna.settings import Settings

# The root of what typer raises on wrong usage; versions differ in where they keep its name.
UsageMistake = cast(type[Exception], typer.BadParameter.__mro__[2])

app = typer.Typer(
    help="A vendor neutral archive for medical images.",
    epilog="Exit status: " + "; ".join(f"{status} {text}" for status, text in MEANINGS.items()),
    rich_markup_mode="rich",
)


@app.command()
@with_settings(flags.SERVE)
def serve(given: flags.Given) -> int:
    """Run the archive until it is told to stop."""
    from vna.cli.serve import serve as run

    return run(*flags.told(given))


Ids = typer.Argument(metavar="ID", help="Of a patient, study, series or instance")


@app.command("import")
@with_settings()
def import_(
    settings: Settings,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH", help="Files, folders, ZIP archives, or the DICOMDIR of a medium"
        ),
    ],
    again: Annotated[
        bool,
        typer.Option("--again", metavar="", help="Read also what an interrupted import has stored"),
    ] = False,
    url: Url = None,
    tenant: Tenant = 1,
    as_json: Json = False,
) -> int:
    """Store DICOM files: into the running server of this archive, else directly."""
    from vna.cli.importing import import_paths

    return import_paths(settings, paths, url, tenant=tenant, as_json=as_json, again=again)


@app.command()
@with_settings()
def reindex(settings: Settings, as_json: Json = False) -> int:
    """Build the index anew from what was stored. The server must not run."""
    from vna.cli.offline import reindex as run

    return run(settings, as_json)


@app.command()
@with_settings()
def check(
    settings: Settings,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            metavar="",
            help="Mend what is wrong. Nothing goes that is not copied to log/quarantine before",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="With --repair: only say what it would do")
    ] = False,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss",
            metavar="",
            help="With --repair: go on without the instances whose bytes are lost",
        ),
    ] = False,
    as_json: Json = False,
) -> int:
    """Compare everything stored with its sums and the index. The server must not run."""
    from vna.cli import offline

    offline.require_sense(repair, dry_run, accept_loss)
    if repair:
        return offline.repair(settings, dry_run, accept_loss, as_json)
    return offline.check(settings, as_json)


@app.command()
@with_settings()
def dump(
    settings: Settings,
    name: Annotated[
        str, typer.Argument(metavar="FILE|ID", help="A file, - or an instance of the archive")
    ],
    tag: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAG",
            help="Only this element and what is in it: 0010,0020 or PatientID, wherever it is; "
            "or a path, ReferencedStudySequence[0].0008,1155. May be given more than once",
        ),
    ] = None,
    pixel_data: Annotated[
        bool, typer.Option("--pixel-data", metavar="", help="Only pixel data and its fragments")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", metavar="", help="Whole values, however long they are")
    ] = False,
    url: Url = None,
    tenant: Tenant = 1,
    as_json: Json = False,
) -> int:
    """Show all elements of a DICOM file with their places, as far as it can be read."""
    from vna.cli.dump import dump as run

    return run(
        settings,
        name,
        tag or (),
        pixel_data=pixel_data,
        full=full,
        url=url,
        tenant=tenant,
        as_json=as_json,
    )


@app.command()
@with_settings()
def find(
    settings: Settings,
    level: Annotated[
        str,
        typer.Argument(
            metavar="LEVEL",
            help="patient, study, series or instance",
            autocompletion=lambda: ["patient", "study", "series", "instance"],
        ),
    ],
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="What must match, as in C-FIND: PatientName='DOE*' StudyDate=20260101-",
        ),
    ] = None,
    ids: Annotated[bool, typer.Option("--ids", metavar="", help="Only ids, one a line")] = False,
    limit: Annotated[int | None, typer.Option(metavar="NUMBER", min=1, help="At most")] = None,
    url: Url = None,
    tenant: Tenant = 1,
    as_json: Json = False,
) -> int:
    """Search the archive."""
    from vna.cli.find import find as run

    return run(
        settings,
        level,
        keys or (),
        limit=limit,
        url=url,
        tenant=tenant,
        as_ids=ids,
        as_json=as_json,
    )


@app.command()
@with_settings()
def get(
    settings: Settings,
    ids: Annotated[list[str], Ids],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where files go")
    ] = Path("."),
    name: Annotated[
        str,
        typer.Option(
            metavar="PATTERN",
            help="Names below it, with main tags: {PatientID}/{Modality}-{InstanceNumber}.dcm",
        ),
    ] = "{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm",
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Replace files that differ in length")
    ] = False,
    url: Url = None,
    tenant: Tenant = 1,
    as_json: Json = False,
) -> int:
    """Write the files of patients, studies, series or instances. Run again, it goes on."""
    from vna.cli.get import get as run

    return run(
        settings,
        ids,
        output,
        name=name,
        force=force,
        url=url,
        tenant=tenant,
        as_json=as_json,
    )


@app.command()
@with_settings()
def archive(
    settings: Settings,
    ids: Annotated[list[str], Ids],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE.zip", help="Where it goes; - for a pipe"),
    ],
    media: Annotated[
        bool, typer.Option("--media", metavar="", help="A medium with a DICOMDIR")
    ] = False,
    extended: Annotated[
        bool, typer.Option("--extended", metavar="", help="More in the DICOMDIR than must be there")
    ] = False,
    utf8: Annotated[
        bool, typer.Option("--utf8", metavar="", help="Names keep letters that are not ASCII")
    ] = False,
    transcode: Annotated[
        str | None, typer.Option(metavar="UID", help="Bring files into this transfer syntax")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Replace a file that is there")
    ] = False,
    url: Url = None,
    tenant: Tenant = 1,
    as_json: Json = False,
) -> int:
    """Write a ZIP archive, or a medium, of patients, studies, series or instances."""
    from vna.cli.archive import Wanted
    from vna.cli.archive import archive as run

    wanted = Wanted(media, extended, utf8 or None, transcode)
    return run(settings, ids, output, wanted, force=force, url=url, tenant=tenant, as_json=as_json)


@app.command()
@with_settings()
def render(
    settings: Settings,
    source: Annotated[
        str, typer.Argument(metavar="FILE|ID", help="A DICOM file, or an instance of the archive")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="PICTURE", help="The file to write; - for standard output"
        ),
    ],
    frame: Annotated[
        int, typer.Option(metavar="NUMBER", min=0, help="Of the frame, counted from 0")
    ] = 0,
    all_frames: Annotated[
        bool,
        typer.Option("--all-frames", metavar="", help="All, each into a file with its number"),
    ] = False,
    window: Annotated[
        str | None,
        typer.Option(metavar="C,W", help="Center and width, in place of those of the header"),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Most columns and rows: 512x512, 512x, x512")
    ] = None,
    preview: Annotated[
        bool,
        typer.Option("--preview", metavar="", help="From the lowest value to the highest"),
    ] = False,
    overlays: Annotated[
        bool, typer.Option("--overlays", metavar="", help="Show overlays too")
    ] = False,
    presentation_state: Annotated[
        str | None, typer.Option(metavar="FILE|ID", help="A presentation state to apply")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORM",
            help="png, jpeg or pam; as the name tells if not said",
            autocompletion=lambda: ["png", "jpeg", "pam"],
        ),
    ] = None,
    quality: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, max=100, help="Of JPEG, 1 to 100")
    ] = 90,
    url: Url = None,
    tenant: Tenant = 1,
    as_json: Json = False,
) -> int:
    """Write a frame as a picture, as its header or a presentation state wants it displayed."""
    from vna.cli.render import Place, Wanted
    from vna.cli.render import render as run

    wanted = Wanted(
        frame=frame,
        all_frames=all_frames,
        window=window,
        size=size,
        preview=preview,
        overlays=overlays,
        presentation_state=presentation_state,
        form=form,
        quality=quality,
    )
    return run(source, output, wanted, Place(settings, url, tenant), as_json)


@app.command()
@with_settings()
def transcode(
    settings: Settings,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="FILE|FOLDER|ID", help="Files, or instances of the archive"),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="SYNTAX",
            help="UID or name of the transfer syntax: htj2k-lossless, jpeg-ls, rle, jpeg, explicit",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="File or folder, else beside what is read"
        ),
    ] = None,
    quality: Annotated[
        int | None, typer.Option(metavar="1-100", min=1, max=100, help="Of JPEG with loss: 90")
    ] = None,
    ratio: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", min=1, help="Aimed at by JPEG 2000 and HTJ2K: 10"),
    ] = None,
    near: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", min=0, max=65535, help="Largest difference of JPEG-LS: 2"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Replace files that are there")
    ] = False,
    url: Url = None,
    tenant: Tenant = 1,
    as_json: Json = False,
) -> int:
    """Write files or instances of the archive in another transfer syntax."""
    from vna.cli.transcoding import Options
    from vna.cli.transcoding import transcode as run

    return run(
        settings,
        inputs,
        to=to,
        output=output,
        options=Options(quality, near, ratio, force),
        url=url,
        tenant=tenant,
        as_json=as_json,
    )


Changed = Annotated[
    list[str],
    typer.Argument(metavar="FILE|ID", help="Files, or what is in the archive"),
]
Replace = Annotated[
    list[str] | None,
    typer.Option("--replace", metavar="TAG=VALUE", help="Give an attribute another value"),
]
Remove = Annotated[
    list[str] | None, typer.Option("--remove", metavar="TAG", help="Take an attribute out")
]
Keep = Annotated[
    list[str] | None, typer.Option("--keep", metavar="TAG", help="Leave an attribute as it is")
]
Force = Annotated[
    bool, typer.Option("--force", metavar="", help="Also identifiers are replaced and kept")
]
Creator = Annotated[
    str | None,
    typer.Option("--private-creator", metavar="NAME", help="Whose private tags are meant"),
]
Transcode = Annotated[
    str | None, typer.Option("--transcode", metavar="UID", help="Transfer syntax of the result")
]
DeleteSource = Annotated[
    bool,
    typer.Option("--delete-source", metavar="", help="Delete in the archive what was copied"),
]
KeepLabels = Annotated[
    bool, typer.Option("--keep-labels", metavar="", help="Give the copy the labels, too")
]
Target = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="PATH", help="File or folder of changed files"),
]


@app.command()
@with_settings()
def modify(
    settings: Settings,
    inputs: Changed,
    replace: Replace = None,
    remove: Remove = None,
    keep: Keep = None,
    force: Force = False,
    remove_private: Annotated[
        bool, typer.Option("--remove-private", metavar="", help="Take private attributes out")
    ] = False,
    private_creator: Creator = None,
    transcode: Transcode = None,
    delete_source: DeleteSource = False,
    keep_labels: KeepLabels = False,
    output: Target = None,
    url: Url = None,
    tenant: Tenant = 1,
    as_json: Json = False,
) -> int:
    """Change attributes of files, or of copies of patients, studies and series in the archive."""
    from vna.cli.changing import change

    options = {
        "remove": remove or [],
        "keep": keep or [],
        "force": force,
        "remove_private_tags": remove_private,
        "private_creator": private_creator,
        "transcode": transcode,
        "keep_source": not delete_source,
        "keep_labels": keep_labels,
    }
    return change(
        settings,
        "modify",
        inputs,
        replace=replace or (),
        output=output,
        options=options,
        url=url,
        tenant=tenant,
        as_json=as_json,
    )


@app.command()
@with_settings()
def anonymize(
    settings: Settings,
    inputs: Changed,
    profile: Annotated[
        str, typer.Option(metavar="EDITION", help="Edition of PS3.15 Table E.1-1")
    ] = "2023b",
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Option of PS3.15 E.3, such as RetainUIDs"),
    ] = None,
    replace: Replace = None,
    remove: Remove = None,
    keep: Keep = None,
    force: Force = False,
    keep_private: Annotated[
        bool, typer.Option("--keep-private", metavar="", help="Leave private attributes in")
    ] = False,
    private_creator: Creator = None,
    transcode: Transcode = None,
    delete_source: DeleteSource = False,
    keep_labels: KeepLabels = False,
    output: Target = None,
    url: Url = None,
    tenant: Tenant = 1,
    as_json: Json = False,
) -> int:
    """Make persons unknown in files, or in copies of patients, studies and series."""
    from vna.cli.changing import change

    options = {
        "dicom_version": profile,
        "options": option or [],
        "remove": remove or [],
        "keep": keep or [],
        "force": force,
        "keep_private_tags": keep_private,
        "private_creator": private_creator,
        "transcode": transcode,
        "keep_source": not delete_source,
        "keep_labels": keep_labels,
    }
    return change(
        settings,
        "anonymize",
        inputs,
        replace=replace or (),
        output=output,
        options=options,
        url=url,
        tenant=tenant,
        as_json=as_json,
    )


Modality = Annotated[
    str, typer.Argument(metavar="MODALITY", help="A remote node, as vna modality list tells")
]


@app.command()
@with_settings()
def send(
    settings: Settings,
    modality: Modality,
    ids: Annotated[list[str], Ids],
    permissive: Annotated[
        bool, typer.Option("--permissive", metavar="", help="Go on if an instance is not taken")
    ] = False,
    commit: Annotated[
        bool, typer.Option("--commit", metavar="", help="Then ask it to commit itself to them")
    ] = False,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Send patients, studies, series or instances to a remote DICOM node."""
    from vna.cli.modalities import send as run

    return run(settings, modality, ids, permissive, commit, url, as_json)


@app.command()
@with_settings()
def query(
    settings: Settings,
    modality: Modality,
    level: Annotated[
        str,
        typer.Argument(
            metavar="LEVEL",
            help="patient, study, series or instance",
            autocompletion=lambda: ["patient", "study", "series", "instance"],
        ),
    ],
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="What must match, as in C-FIND: PatientName='DOE*' StudyDate=20260101-",
        ),
    ] = None,
    retrieve: Annotated[
        bool, typer.Option("--retrieve", metavar="", help="Fetch all that is found")
    ] = False,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Ask a remote DICOM node what it has."""
    from vna.cli.modalities import query as run

    return run(settings, modality, level, keys or (), retrieve, url, as_json)


@app.command()
@with_settings()
def deleted(settings: Settings, url: Url = None, tenant: Tenant = 1, as_json: Json = False) -> int:
    """List what was deleted and can be brought back, the last deletion first."""
    from vna.cli.upkeep import deleted as run

    return run(settings, url, tenant, as_json)


@app.command()
@with_settings()
def undelete(
    settings: Settings,
    ids: Annotated[list[str], Ids],
    url: Url = None,
    tenant: Tenant = 1,
    as_json: Json = False,
) -> int:
    """Bring back what was deleted of these resources. What arrived since stays."""
    from vna.cli.upkeep import undelete as run

    return run(settings, ids, url, tenant, as_json)


@app.command()
@with_settings()
def erase(
    settings: Settings,
    ids: Annotated[list[str] | None, Ids] = None,
    everything: Annotated[
        bool, typer.Option("--all", metavar="", help="All that was deleted")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask before")] = False,
    url: Url = None,
    tenant: Tenant = 1,
    as_json: Json = False,
) -> int:
    """End the time in which what was deleted can be brought back: it is gone for good."""
    from vna.cli.upkeep import erase as run

    return run(settings, ids or [], everything, yes, url, tenant, as_json)


@app.command()
@with_settings()
def compact(
    settings: Settings,
    below: Annotated[
        int,
        typer.Option(
            metavar="PERCENT",
            min=1,
            max=100,
            help="Rewrite packs of which less is still needed; 100: all that hold dead bytes",
        ),
    ] = 100,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Rewrite packs without the bytes that nobody needs, to give their space back."""
    from vna.cli.upkeep import compact as run

    return run(settings, below, url, as_json)


@app.command()
@with_settings()
def recompress(
    settings: Settings,
    to: Annotated[
        Literal["htj2k", "jpeg-ls", "j2k", "rle", "deflate"],
        typer.Option(metavar="METHOD", help="htj2k, jpeg-ls, j2k, rle or deflate"),
    ] = "htj2k",
    older_than: Annotated[
        int,
        typer.Option(metavar="DAYS", min=0, max=36500, help="What arrived as long ago or longer"),
    ] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what a sample of it would save")
    ] = False,
    give_up_originals: Annotated[
        bool,
        typer.Option(
            "--give-up-originals",
            help="Take what came compressed: the same images take the place of the files received",
        ),
    ] = False,
    lossy: Annotated[
        bool, typer.Option("--lossy", help="With it: also what came compressed with loss")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Only say who gave originals up, and when")
    ] = False,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Keep stored objects in fewer bytes; what was received comes back bit for bit."""
    from vna.cli import upkeep
    from vna.services.upkeep import Recompression

    if history:
        return upkeep.history(settings, url, as_json)
    wanted = Recompression(
        method=to,
        older_than_days=older_than,
        dry_run=dry_run,
        give_up_originals=give_up_originals,
        lossy=lossy,
    )
    return upkeep.recompress(settings, wanted, url, as_json)


@app.command("conformance-statement")
@with_settings()
def conformance_statement(
    settings: Settings,
    form: Annotated[
        Literal["html", "json", "text"],
        typer.Option("--format", metavar="FORM", help="html, json or text"),
    ] = "html",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it there")
    ] = None,
    url: Url = None,
) -> int:
    """Write what a running server conforms to: DICOM network, DICOMweb, security (PS3.2)."""
    from vna.cli.conformance import write

    return write(settings, form, output, url)


app.add_typer(user, name="user")
app.add_typer(jobs, name="jobs")
app.add_typer(index, name="index")
app.add_typer(modality, name="modality")
app.add_typer(peer, name="peer")


@app.command()
@with_settings()
def config(
    given: flags.Given,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", metavar="", help="Say what each key means, takes, and who set it"
        ),
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", metavar="", help="The JSON schema of vna.toml")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", metavar="", help="The reference of all keys")
    ] = False,
    as_json: Json = False,
) -> int:
    """Print the settings in force, as a vna.toml."""
    from vna.cli import explain as form
    from vna.settings import build

    if schema:
        print_json(form.json_schema())
        return 0
    if markdown:
        print(form.to_markdown())
        return 0
    set_by, notes = flags.gathered(given)
    settings = build(set_by.values())
    if as_json:
        print_json(form.entries(settings, set_by))
        return 0
    print(form.to_toml(settings, explain=explain, given=set_by))
    if notes:
        print(form.of_orthanc(notes))
    return 0


@app.command()
@plain
def version(as_json: Json = False) -> int:
    """Print the version."""
    from vna.version import version as installed

    if as_json:
        print_json({"version": installed()})
    else:
        print(f"vna {installed()}")
    return 0


@functools.cache
def commands() -> Any:
    """Return all commands as one. Making it takes longer than most of them."""
    return typer.main.get_command(app)


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit status. What it raises, the caller tells."""
    if not arguments:
        run(["--help"])
        return USAGE
    try:
        status = commands().main(arguments, prog_name="vna", standalone_mode=False)
    except UsageMistake as mistake:
        return tell(mistake)
    except typer.Abort:
        return INTERRUPTED
    except SystemExit as end:
        # So typer ends when the reader of its help goes away.
        if end.code == 1:
            return READER_GONE
        raise
    return int(status or 0)


def tell(mistake: Any) -> int:
    """Say what is wrong with the usage and what would have been right."""
    print(f"vna: {mistake.format_message()}", file=sys.stderr)
    if context := getattr(mistake, "ctx", None):
        print(f"{context.get_usage()}\nsee {context.command_path} --help", file=sys.stderr)
    return USAGE
