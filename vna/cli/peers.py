"""`vna peer`: remote archives, as a running server reaches them over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from vna.cli import table
from vna.cli.command import print_json
from vna.cli.exits import DONE, FAILED
from vna.cli.jobs import ANSWER_S, server
from vna.cli.modalities import ended, wait
from vna.cli.users import given
from vna.errors import BadRequest, VnaError
from vna.settings import Settings

SHOWN = ("NAME", "ADDRESS", "USER", "CERTIFICATE", "HEADERS")


class Wanted(NamedTuple):
    """What is to be known of a remote archive."""

    address: str
    user: str
    password_stdin: bool
    headers: Sequence[str]
    certificate: str
    private_key: str
    timeout_s: float | None


def list_(settings: Settings, url: str | None, as_json: bool) -> int:
    """List remote archives; returns the exit status."""
    known: dict[str, dict[str, Any]] = server(settings, url).ask(
        "GET", "/peers?expand", timeout_s=ANSWER_S
    )
    if as_json:
        print_json(known)
        return DONE
    rows = [
        (
            name,
            peer["Url"],
            peer.get("Username", ""),
            peer.get("CertificateFile", ""),
            ", ".join(peer["HttpHeaders"]),
        )
        for name, peer in known.items()
    ]
    table.show(SHOWN, rows)
    return DONE


def add(settings: Settings, name: str, wanted: Wanted, url: str | None, as_json: bool) -> int:
    """Add or change a remote archive; returns the exit status."""
    remote = server(settings, url)
    body: dict[str, Any] = {"Url": wanted.address, "HttpHeaders": dict(map(header, wanted.headers))}
    if wanted.user:
        secret = given(f"Password of {wanted.user} at {name}: ", wanted.password_stdin)
        body |= {"Username": wanted.user, "Password": secret}
    if wanted.certificate:
        body |= {"CertificateFile": wanted.certificate, "CertificateKeyFile": wanted.private_key}
    if wanted.timeout_s is not None:
        body["Timeout"] = wanted.timeout_s
    remote.ask("PUT", path(name), body, timeout_s=ANSWER_S)
    if as_json:
        print_json(remote.ask("GET", f"{path(name)}/configuration", timeout_s=ANSWER_S))
    return DONE


def header(text: str) -> tuple[str, str]:
    """Return name and value of a header; raises BadRequest."""
    name, colon, value = text.partition(":")
    if not colon:
        raise BadRequest(f"--header {text!r}: it takes NAME:VALUE, such as Token:abc")
    return name.strip(), value.strip()


def remove(settings: Settings, names: Sequence[str], url: str | None) -> int:
    """Forget remote archives; returns the exit status."""
    remote = server(settings, url)
    for name in names:
        remote.ask("DELETE", path(name), timeout_s=ANSWER_S)
    return DONE


def test(settings: Settings, names: Sequence[str], url: str | None, as_json: bool) -> int:
    """Ask remote archives what they are, all of them if none is named; returns the exit status."""
    remote = server(settings, url)
    results = []
    for name in names or remote.ask("GET", "/peers", timeout_s=ANSWER_S):
        answer, problem = "", ""
        try:
            found = remote.ask("GET", f"{path(name)}/system")
            answer = f"{found.get('Name', '')} {found.get('Version', '')}".strip()
        except (VnaError, AttributeError) as error:
            problem = str(error) if isinstance(error, VnaError) else "it is no archive"
        results.append({"Name": name, "Answer": answer, "Problem": problem})
    if as_json:
        print_json(results)
    else:
        rows = [
            (each["Name"], table.visible(each["Problem"] or each["Answer"])) for each in results
        ]
        table.show(("NAME", "ANSWER"), rows)
    return FAILED if any(each["Problem"] for each in results) else DONE


def send(
    settings: Settings,
    name: str,
    ids: Sequence[str],
    options: dict[str, Any],
    url: str | None,
    as_json: bool,
) -> int:
    """Send resources to a remote archive and wait for the end; returns the exit status."""
    remote = server(settings, url)
    body = {"Resources": list(ids), "Synchronous": False, **options}
    begun = remote.ask("POST", f"{path(name)}/store", body, timeout_s=ANSWER_S)
    job = wait(remote, begun["ID"], f"sending to {name}")
    return ended(job, name, as_json)


def path(name: str) -> str:
    """Return where a remote archive is."""
    return f"/peers/{quote(name, safe='')}"
