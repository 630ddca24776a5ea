"""Commands that come in groups, as typer shows them: `vna user ...`, `vna jobs ...`."""

from __future__ import annotations

from typing import Annotated

import typer

from vna.cli.command import Json, Url, with_settings
from vna.settings import Settings

user = typer.Typer(help="Who may use the archive. A running server notices within a second.")
jobs = typer.Typer(help="What a running server does that takes long.")
peer = typer.Typer(help="Remote archives that a running server calls over HTTP.")
modality = typer.Typer(help="Remote DICOM nodes that a running server knows.")
index = typer.Typer(help="Tags that a running server indexes beside the usual ones.")

Tag = Annotated[
    str, typer.Argument(metavar="TAG", help="A keyword such as PatientWeight, or gggg,eeee")
]
Level = Annotated[
    str | None,
    typer.Option(
        metavar="LEVEL", help="patient, study, series or instance; what it describes if not said"
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the user")]
Role = Annotated[
    str,
    typer.Argument(
        metavar="ROLE",
        help="read, write (reads too), or admin (writes too, and administers)",
        autocompletion=lambda: ["read", "write", "admin"],
    ),
]
FromStdin = Annotated[
    bool,
    typer.Option(
        "--password-stdin", metavar="", help="The password is the first line of standard input"
    ),
]
ModalityName = Annotated[str, typer.Argument(metavar="NAME", help="Of the modality")]
PeerName = Annotated[str, typer.Argument(metavar="NAME", help="Of the peer")]
JobIds = Annotated[list[str], typer.Argument(metavar="ID", help="Of jobs, as vna jobs list tells")]


@user.command("add")
@with_settings()
def user_add(
    settings: Settings,
    name: Name,
    role: Annotated[
        str, typer.Option(metavar="ROLE", help="read, write or admin; see vna user role")
    ] = "write",
    tenant: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, help="Whose part of the archive is seen")
    ] = 1,
    password_stdin: FromStdin = False,
    as_json: Json = False,
) -> int:
    """Add a user. With the first one, requests must say whose they are."""
    from vna.cli.users import add as run

    return run(settings, name, role, tenant, password_stdin, as_json)


@user.command("passwd")
@with_settings()
def user_passwd(
    settings: Settings, name: Name, password_stdin: FromStdin = False, as_json: Json = False
) -> int:
    """Change a password."""
    from vna.cli.users import passwd as run

    return run(settings, name, password_stdin, as_json)


@user.command("role")
@with_settings()
def user_role(settings: Settings, name: Name, role: Role, as_json: Json = False) -> int:
    """Change what a user may do."""
    from vna.cli.users import role as run

    return run(settings, name, role, as_json)


@user.command("remove")
@with_settings()
def user_remove(settings: Settings, name: Name, as_json: Json = False) -> int:
    """Remove a user."""
    from vna.cli.users import remove as run

    return run(settings, name, as_json)


@user.command("list")
@with_settings()
def user_list(settings: Settings, as_json: Json = False) -> int:
    """List users."""
    from vna.cli.users import list_ as run

    return run(settings, as_json)


@index.command("list")
@with_settings()
def index_list(settings: Settings, url: Url = None, as_json: Json = False) -> int:
    """List them, and how far each is."""
    from vna.cli.index import list_ as run

    return run(settings, url, as_json)


@index.command("add-tag")
@with_settings()
def index_add(
    settings: Settings, tag: Tag, level: Level = None, url: Url = None, as_json: Json = False
) -> int:
    """Index a tag; what is stored already is read again by a job."""
    from vna.cli.index import add as run

    return run(settings, tag, level, url, as_json)


@index.command("remove-tag")
@with_settings()
def index_remove(
    settings: Settings, tag: Tag, level: Level = None, url: Url = None, as_json: Json = False
) -> int:
    """Index a tag no more that was added."""
    from vna.cli.index import remove as run

    return run(settings, tag, level, url, as_json)


@jobs.command("list")
@with_settings()
def jobs_list(
    settings: Settings,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="STATE", help="Only these: pending, running, success, failure, paused, retry"
        ),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """List jobs, the oldest first."""
    from vna.cli.jobs import list_ as run

    return run(settings, state, url, as_json)


@jobs.command("show")
@with_settings()
def jobs_show(
    settings: Settings,
    job: Annotated[str, typer.Argument(metavar="ID", help="Of a job")],
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Show all that is known of a job."""
    from vna.cli.jobs import show as run

    return run(settings, job, url, as_json)


@jobs.command("cancel")
@with_settings()
def jobs_cancel(settings: Settings, ids: JobIds, url: Url = None, as_json: Json = False) -> int:
    """End jobs."""
    from vna.cli.jobs import tell

    return tell(settings, ids, "cancel", url, as_json)


@jobs.command("pause")
@with_settings()
def jobs_pause(settings: Settings, ids: JobIds, url: Url = None, as_json: Json = False) -> int:
    """Hold jobs until they are resumed."""
    from vna.cli.jobs import tell

    return tell(settings, ids, "pause", url, as_json)


@jobs.command("resume")
@with_settings()
def jobs_resume(settings: Settings, ids: JobIds, url: Url = None, as_json: Json = False) -> int:
    """Let jobs go on that were held."""
    from vna.cli.jobs import tell

    return tell(settings, ids, "resume", url, as_json)


@jobs.command("resubmit")
@with_settings()
def jobs_resubmit(settings: Settings, ids: JobIds, url: Url = None, as_json: Json = False) -> int:
    """Let jobs try again that failed."""
    from vna.cli.jobs import tell

    return tell(settings, ids, "resubmit", url, as_json)


@modality.command("list")
@with_settings()
def modality_list(settings: Settings, url: Url = None, as_json: Json = False) -> int:
    """List remote nodes."""
    from vna.cli.modalities import list_ as run

    return run(settings, url, as_json)


@modality.command("add")
@with_settings()
def modality_add(
    settings: Settings,
    name: ModalityName,
    aet: Annotated[str, typer.Argument(metavar="AET", help="Its AE title")],
    host: Annotated[str, typer.Argument(metavar="HOST", help="Its name or address")],
    port: Annotated[int, typer.Argument(metavar="PORT", min=1, max=65535)],
    tls: Annotated[bool, typer.Option("--tls", metavar="", help="Call it over TLS")] = False,
    local_aet: Annotated[
        str, typer.Option(metavar="AET", help="How we call ourselves; dicom.aet if not said")
    ] = "",
    manufacturer: Annotated[
        str, typer.Option(metavar="NAME", help="Whose ways it has, such as GE")
    ] = "Generic",
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Add a remote node, or change the one of this name."""
    from vna.cli.modalities import add as run

    node = {
        "AET": aet,
        "Host": host,
        "Port": port,
        "UseDicomTls": tls,
        "LocalAet": local_aet,
        "Manufacturer": manufacturer,
    }
    return run(settings, name, node, url, as_json)


@modality.command("remove")
@with_settings()
def modality_remove(
    settings: Settings,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Of modalities")],
    url: Url = None,
) -> int:
    """Forget remote nodes."""
    from vna.cli.modalities import remove as run

    return run(settings, names, url)


@modality.command("echo")
@with_settings()
def modality_echo(
    settings: Settings,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Of modalities; all if none is named"),
    ] = None,
    find: Annotated[
        bool, typer.Option("--find", metavar="", help="Ask also whether they answer queries")
    ] = False,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Test whether remote nodes answer."""
    from vna.cli.modalities import echo as run

    return run(settings, names or [], find, url, as_json)


@peer.command("list")
@with_settings()
def peer_list(settings: Settings, url: Url = None, as_json: Json = False) -> int:
    """List remote archives."""
    from vna.cli.peers import list_ as run

    return run(settings, url, as_json)


@peer.command("add")
@with_settings()
def peer_add(
    settings: Settings,
    name: PeerName,
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Such as https://archive.example/")
    ],
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Who we are there; the password is asked for")
    ] = "",
    password_stdin: FromStdin = False,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:VALUE", help="A header of each request; more than once"),
    ] = None,
    certificate: Annotated[
        str, typer.Option(metavar="FILE", help="PEM on the server, to show who we are")
    ] = "",
    private_key: Annotated[str, typer.Option(metavar="FILE", help="PEM of its key")] = "",
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Within which it must go on")
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Add a remote archive, or change the one of this name."""
    from vna.cli.peers import Wanted
    from vna.cli.peers import add as run

    wanted = Wanted(address, user, password_stdin, header or [], certificate, private_key, timeout)
    return run(settings, name, wanted, url, as_json)


@peer.command("remove")
@with_settings()
def peer_remove(
    settings: Settings,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Of peers")],
    url: Url = None,
) -> int:
    """Forget remote archives."""
    from vna.cli.peers import remove as run

    return run(settings, names, url)


@peer.command("test")
@with_settings()
def peer_test(
    settings: Settings,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Of peers; all if none is named")
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Test whether remote archives answer, and which they are."""
    from vna.cli.peers import test as run

    return run(settings, names or [], url, as_json)


@peer.command("send")
@with_settings()
def peer_send(
    settings: Settings,
    name: PeerName,
    ids: Annotated[
        list[str],
        typer.Argument(metavar="ID", help="Of patients, studies, series or instances"),
    ],
    compress: Annotated[
        bool, typer.Option("--compress", metavar="", help="Send gzip, for slow lines")
    ] = False,
    transcode: Annotated[
        str, typer.Option(metavar="UID", help="Transfer syntax to send in; as stored if not said")
    ] = "",
    permissive: Annotated[
        bool, typer.Option("--permissive", metavar="", help="Go on if an instance is not taken")
    ] = False,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Send resources to a remote archive."""
    from vna.cli.peers import send as run

    options = {"Compress": compress, "Transcode": transcode, "Permissive": permissive}
    return run(settings, name, ids, options, url, as_json)
