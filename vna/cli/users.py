"""`vna user`: who may use the archive. A running server notices within a second."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from vna.cli import table
from vna.cli.command import print_json
from vna.cli.exits import DONE
from vna.control import Control, control_file, users
from vna.errors import BadRequest, NotFound
from vna.services import passwords
from vna.settings import Settings

T = TypeVar("T")


def add(
    settings: Settings, name: str, role: str, tenant: int, from_stdin: bool, as_json: bool
) -> int:
    """Add a user; returns the exit status."""
    user = users.User(users.require_name(name), users.require_role(role), tenant)
    password_hash = passwords.hashed(password(name, from_stdin))
    run(settings, lambda connection: users.add(connection, user, password_hash), make=True)
    return tell(as_json, f"user {name}: {user.role}", user)


def passwd(settings: Settings, name: str, from_stdin: bool, as_json: bool) -> int:
    """Change a password; returns the exit status."""
    # The name first: a password typed twice for nobody annoys.
    run(settings, lambda connection: found(connection, name))
    password_hash = passwords.hashed(password(name, from_stdin))
    run(settings, lambda connection: users.set_password(connection, name, password_hash))
    return tell(as_json, f"password of {name} changed", show(settings, name))


def role(settings: Settings, name: str, new: str, as_json: bool) -> int:
    """Change what a user may do; returns the exit status."""
    wanted = users.require_role(new)
    run(settings, lambda connection: users.set_role(connection, name, wanted))
    return tell(as_json, f"user {name}: {wanted}", show(settings, name))


def remove(settings: Settings, name: str, as_json: bool) -> int:
    """Remove a user; returns the exit status."""
    user = show(settings, name)
    run(settings, lambda connection: users.remove(connection, name))
    return tell(as_json, f"user {name} removed", user)


def list_(settings: Settings, as_json: bool) -> int:
    """List users; returns the exit status."""
    there = run(settings, users.listed)
    if as_json:
        print_json([{**user._asdict(), "created": stamp(us)} for user, us in there])
        return DONE
    rows = [(user.name, user.role, user.tenant, stamp(us)) for user, us in there]
    table.show(("Name", "Role", "Tenant", "Created"), rows)
    return DONE


def run(settings: Settings, work: Callable[[users.Connection], T], *, make: bool = False) -> T:
    """Do something with the control database of the archive."""
    file = control_file(settings.storage.root)
    if not make and not file.exists():
        raise NotFound(
            f"storage.root: no users in {settings.storage.root}; name its folder with --root"
        )
    control = Control(file)
    try:
        return control.run_blocking(work)
    finally:
        control.close()


def show(settings: Settings, name: str) -> users.User:
    """Return a user; raises NotFound."""
    return run(settings, lambda connection: found(connection, name))


def found(connection: users.Connection, name: str) -> users.User:
    """Return a user; raises NotFound."""
    known = users.find(connection, name)
    if known is None:
        raise users.unknown(name)
    return known[0]


def password(name: str, from_stdin: bool) -> str:
    """Ask for a new password, twice; or read the first line of standard input."""
    first = users.require_password(given(f"Password of {name}: ", from_stdin))
    if not from_stdin and getpass.getpass("Once more: ") != first:
        raise BadRequest("the two are not the same")
    return first


def given(prompt: str, from_stdin: bool) -> str:
    """Ask for a password that there is; or read the first line of standard input."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise BadRequest("there is no terminal to ask for the password; give --password-stdin")
    return getpass.getpass(prompt)


def tell(as_json: bool, text: str, user: users.User) -> int:
    """Say what was done."""
    if as_json:
        print_json(user._asdict())
    else:
        print(text)
    return DONE


def stamp(us: int) -> str:
    """Return a time for people."""
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
