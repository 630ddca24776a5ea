"""An authority, a server whose name is localhost, and a client whose key has a passphrase."""

import subprocess
from typing import NamedTuple

from support_sending import certify

NAMES = ("-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE")
PASSPHRASE = "secret"


class Files(NamedTuple):
    """Names of PEM files."""

    authority: str
    server: str
    server_key: str
    client: str
    client_key: str  # with PASSPHRASE
    both: str  # certificate and key of the server, as Orthanc wants them


def certificates_in(folder):
    authority = certify(folder, "authority")
    server, server_key = certify(folder, "server", authority, *NAMES)
    client, plain = certify(folder, "client", authority, "-addext", "basicConstraints=CA:FALSE")
    locked = folder / "locked.key"
    locking = ["openssl", "pkey", "-in", plain, "-aes256", "-passout", f"pass:{PASSPHRASE}"]
    subprocess.run([*locking, "-out", locked], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes(server.read_bytes() + server_key.read_bytes())
    files = (authority[0], server, server_key, client, locked, both)
    return Files(*map(str, files))
