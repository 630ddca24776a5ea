"""Users as rows: functions of a connection, each run in one transaction."""

from __future__ import annotations

import re
import sqlite3
import time
from typing import Literal, NamedTuple, get_args

from vna.errors import BadRequest, Conflict, NotFound

Connection = sqlite3.Connection
Role = Literal["read", "write", "admin"]
# Each may do what those before it may.
ROLES: tuple[Role, ...] = get_args(Role)

# The colon ends a name in Basic authentication (RFC 7617 §2); what is no letter, digit or one of a
# few signs would be hard to tell apart in a log.
NAME = re.compile(r"[^\W_][\w.@+-]{0,63}")
LEAST_PASSWORD = 8
MOST_PASSWORD_BYTES = 1024


class User(NamedTuple):
    """Who was found to be asking.

    Attributes
    ----------
    name : str
        As given to `vna user add`.
    role : str
        What he may do: read, also write, or also administer.
    tenant : int
        Whose part of the archive he sees.
    """

    name: str
    role: Role
    tenant: int


def require_name(name: str) -> str:
    """Return a name that a user can have; raises BadRequest."""
    if not NAME.fullmatch(name):
        raise BadRequest(
            f"user {name!r}: a name has 1 to 64 letters, digits and .@+-_, and begins with one of "
            "the first two",
            "user.bad_name",
        )
    return name


def require_password(password: str) -> str:
    """Return a password that is long enough; raises BadRequest."""
    if len(password) < LEAST_PASSWORD:
        raise BadRequest(
            f"a password has at least {LEAST_PASSWORD} characters", "user.bad_password"
        )
    if len(password.encode()) > MOST_PASSWORD_BYTES:
        raise BadRequest(f"a password has at most {MOST_PASSWORD_BYTES} bytes", "user.bad_password")
    return password


def require_role(role: str) -> Role:
    """Return a role that there is; raises BadRequest."""
    for known in ROLES:
        if role == known:
            return known
    raise BadRequest(f"role {role!r}: it takes {', '.join(ROLES)}", "user.bad_role")


def add(connection: Connection, user: User, password_hash: str) -> None:
    """Add a user; raises Conflict if there is one of this name."""
    try:
        connection.execute(
            "INSERT INTO user VALUES (?, ?, ?, ?, ?)",
            (user.name, password_hash, user.role, user.tenant, time.time_ns() // 1000),
        )
    except sqlite3.IntegrityError:
        raise Conflict(f"there is a user {user.name} already", "user.exists") from None


def set_password(connection: Connection, name: str, password_hash: str) -> None:
    """Change a password; raises NotFound."""
    _changed(
        connection.execute("UPDATE user SET password = ? WHERE name = ?", (password_hash, name)),
        name,
    )


def set_role(connection: Connection, name: str, role: Role) -> None:
    """Change what a user may do; raises NotFound."""
    _changed(connection.execute("UPDATE user SET role = ? WHERE name = ?", (role, name)), name)


def remove(connection: Connection, name: str) -> None:
    """Remove a user; raises NotFound."""
    _changed(connection.execute("DELETE FROM user WHERE name = ?", (name,)), name)


def _changed(done: sqlite3.Cursor, name: str) -> None:
    if not done.rowcount:
        raise unknown(name)


def unknown(name: str) -> NotFound:
    """Return the error that there is no such user."""
    return NotFound(f"there is no user {name!r}", "user.unknown")


def listed(connection: Connection) -> list[tuple[User, int]]:
    """Return all users by name, each with the time it was added."""
    found = connection.execute("SELECT name, role, tenant, created_us FROM user ORDER BY name")
    return [(User(row[0], row[1], row[2]), row[3]) for row in found]


def find(connection: Connection, name: str) -> tuple[User, str] | None:
    """Return a user and the hash of the password."""
    found = connection.execute(
        "SELECT name, role, tenant, password FROM user WHERE name = ?", (name,)
    ).fetchone()
    return None if found is None else (User(found[0], found[1], found[2]), found[3])


def standing(connection: Connection) -> tuple[int, bool]:
    """Return the number of the last change, and whether there are users."""
    found = connection.execute(
        "SELECT revision, EXISTS (SELECT 1 FROM user) FROM user_revision"
    ).fetchone()
    return int(found[0]), bool(found[1])
