"""Who asks over HTTP, and whether he may."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from vna.errors import NotAllowed, Unauthenticated
from vna.services.running import LOCAL_SCHEME
from vna.services.users import LOCAL, REMEMBER_S

if TYPE_CHECKING:
    from vna.services.archive import Archive
    from vna.services.users import User, Users

# Whether it lives is no secret: it is asked by what starts servers anew.
OPEN = frozenset({"/health/live", "/health/ready"})
# Requests that change nothing although their method says so: searches, and files made on the fly.
READS = re.compile(
    r"/tools/(find|count-resources|lookup|bulk-content|create-(archive|media|media-extended))"
    r"|/(patients|studies|series|instances)/[^/]+/(archive|media)"
    r"|/instances/[^/]+/(anonymize|modify)"
)
# What changes the server itself, its connections, or what others rely on to be kept.
ADMINISTRATION = re.compile(
    r"/(tools/(compact|erase|execute-script|index-tags|metrics|recompress|reconstruct|reset|shutdown"
    r"|log-level[^/]*|accepted-[^/]*|unknown-sop-class-accepted|default-encoding)"
    r"|instances/[^/]+/export|modalities/[^/]+|peers/[^/]+|tenants(/.*)?|users(/.*)?|changes|exports)"
)
# A remote server of DICOMweb, below its root.
REMOTE_SERVER = re.compile(r"/servers/[^/]+")
MAX_TENANT_DIGITS = 10
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


async def identify(users: Users, archive: Archive, authorization: str | None, address: str) -> User:
    """Return who a request with this Authorization header comes from.

    Raises
    ------
    Unauthenticated
        If it does not say, or not truly.
    Busy
        If too many ask to be known.
    """
    if authorization is None:
        raise Unauthenticated("this archive has users: say whose request it is, name and password")
    scheme, _, token = authorization.partition(" ")
    if scheme == LOCAL_SCHEME:
        secret, _, tenant = token.partition(" ")
        if not users.is_local(secret):
            raise Unauthenticated("this is not the secret of this server")
        return LOCAL._replace(tenant=tenant_of(tenant)) if tenant else LOCAL
    if scheme.lower() != "basic":
        raise Unauthenticated(f"the scheme {scheme[:32]!r} is not known here; Basic is")
    name, password = credentials(token)
    revision = users.revision
    user = await users.require(name, password, address)
    if revision == users.revision:
        # From now on the core answers plain requests without asking.
        archive.remember_http(authorization, user, REMEMBER_S)
    return user


def names_tenant(authorization: str | None) -> bool:
    """Whether the owner of the folder says for which tenant he acts."""
    return (
        authorization is not None
        and authorization.startswith(f"{LOCAL_SCHEME} ")
        and (authorization.count(" ") > 1)
    )


def tenant_of(text: str) -> int:
    """Return the number of a tenant."""
    if not (text.isascii() and text.isdecimal() and len(text) < MAX_TENANT_DIGITS and int(text)):
        raise Unauthenticated(f"tenant {text[:32]!r} is no number from 1 on")
    return int(text)


def credentials(token: str) -> tuple[str, str]:
    """Return name and password of Basic authentication (RFC 7617 §2)."""
    try:
        pair = base64.b64decode(token.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise Unauthenticated("the token of Authorization is no Base64") from None
    try:
        text = pair.decode()
    except UnicodeDecodeError:
        text = pair.decode("latin-1")
    name, colon, password = text.partition(":")
    if not colon:
        raise Unauthenticated("the token of Authorization has no colon behind the name")
    return name, password


def require_right(user: User, method: str, path: str, dicomweb_root: str) -> None:
    """Raise NotAllowed if this is not for who asks: readers read, and writers do not administer."""
    if user.role == "admin" or method in SAFE:
        return
    path = path.rstrip("/")
    in_dicomweb = path.removeprefix(dicomweb_root)
    if ADMINISTRATION.fullmatch(path) or REMOTE_SERVER.fullmatch(in_dicomweb):
        raise NotAllowed(f"{method} {path} is for administrators; {user.name} may {user.role}")
    if user.role == "read" and not (method == "POST" and READS.fullmatch(path)):
        raise NotAllowed(f"{method} {path} changes something; {user.name} may only read")
