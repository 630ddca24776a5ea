"""How commands find an archive: the server that has its folder open, or the folder itself."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from vna.control import control_file
from vna.errors import BadRequest, NotFound
from vna.settings import Settings

if TYPE_CHECKING:
    from ssl import SSLContext

FILE = "server.json"
# The scheme of Authorization with which the owner of the folder shows what is in it.
LOCAL_SCHEME = "VNA-Local"
# Name and password for servers that ask, with a colon between them.
CREDENTIALS = "VNA_CREDENTIALS"


def announce(settings: Settings, http_url: str, dicom: tuple[str, int] | None) -> Path:
    """Write who serves this folder and where; returns the file, to be removed at the end."""
    path = Path(settings.storage.root) / FILE
    content: dict[str, Any] = {
        "pid": os.getpid(),
        "http": http_url,
        "dicom": list(dicom) if dicom else None,
    }
    if settings.http.tls:
        content["certificate"] = os.path.abspath(settings.http_tls().certificate)
    # Renamed into place: no reader meets half of it. A hint and no state, so it need not be synced.
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)
    return path


def find(settings: Settings) -> str | None:
    """Return the URL that the server of this folder said it has; it may be gone since."""
    return _announced(settings, "http")


def local_trust(settings: Settings) -> SSLContext | None:
    """Return how to know the server of this folder if it speaks TLS: by its own certificate.

    We call it by an address of this machine, which is seldom the name in the certificate.
    """
    certificate = _announced(settings, "certificate")
    if certificate is None:
        return None
    import ssl  # the server itself needs none

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The certificate itself, not who signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with contextlib.suppress(OSError):  # what is not read is not trusted
        context.load_verify_locations(certificate)
    return context


def _announced(settings: Settings, what: str) -> str | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads((Path(settings.storage.root) / FILE).read_text(encoding="utf-8"))
        return str(content[what])
    return None


def secret_file(root: str) -> Path:
    """Return where a server leaves what its owner's commands show it."""
    return control_file(root).with_name("local.secret")


def write_secret(root: str, secret: str) -> None:
    """Write the secret where the owner of the folder alone can read it."""
    path = secret_file(root)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret)


def local_authorization(settings: Settings, tenant: int = 1) -> str | None:
    """Return the Authorization header for the server of this folder; None if it left no secret.

    The owner of the folder may act for any tenant.
    """
    with contextlib.suppress(OSError):
        secret = secret_file(settings.storage.root).read_text(encoding="ascii")
        return f"{LOCAL_SCHEME} {secret}" + (f" {tenant}" if tenant != 1 else "")
    return None


def require_own_tenant(tenant: int) -> None:
    """Raise BadRequest if somebody else's archive is asked for at an address."""
    if tenant != 1:
        raise BadRequest(
            f"tenant {tenant}: at an address the user decides whose archive it is; name one of its "
            "users, or the folder of the archive"
        )


def basic_authorization(name: str, password: str) -> str:
    """Return the Authorization header for a user (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode('ascii')}"


def given_authorization(url_user: str | None, url_password: str | None) -> str | None:
    """Return the Authorization header for a user of the address, else of `VNA_CREDENTIALS`."""
    if url_user is not None:
        return basic_authorization(unquote(url_user), unquote(url_password or ""))
    name, colon, password = os.environ.get(CREDENTIALS, "").partition(":")
    return basic_authorization(name, password) if colon else None


def require_archive(settings: Settings) -> None:
    """Raise NotFound if there is no archive: a command that looks at one must not make it."""
    root = Path(settings.storage.root)
    if not any((root / part).is_dir() for part in ("log", "index")):
        raise NotFound(f"storage.root: no archive in {root}; name its folder with --root")
