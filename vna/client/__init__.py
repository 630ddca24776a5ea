"""Archives from scripts and notebooks: `vna.open`. ``docs/python.md`` shows how.

Everything is synchronous, works where a loop runs already, and may be called from any thread. What
needs pydicom or numpy imports it then.
"""

from __future__ import annotations

import os
from pathlib import Path

from vna.client.archive import Archive
from vna.client.backend import Backend
from vna.client.local import Local
from vna.client.remote import Remote
from vna.client.resources import Instance, Patient, Resource, Series, Stored, Study
from vna.errors import NotFound, Unreachable, VnaError
from vna.services import running
from vna.services.running import require_own_tenant
from vna.settings import Settings, load

__all__ = [
    "Archive",
    "Instance",
    "Patient",
    "Resource",
    "Series",
    "Stored",
    "Study",
    "open_archive",
    "open_settings",
]

# To find out whether who announced itself is still there.
ANSWER_S = 5.0


def open_archive(
    where: str | os.PathLike[str] | None = None,
    *,
    create: bool = False,
    tenant: int = 1,
    timeout_s: float = 120.0,
) -> Archive:
    """Open an archive: a folder, or an address.

    The archive of a folder is reached through the server that has it open, if there is one, else
    it is opened by this process, and no server can start on it until it is closed. Nothing is
    written by looking.

    Parameters
    ----------
    where : path or URL, optional
        The folder of the archive, or ``http://host:8042``, with name and password in front of the
        host if it asks for them. ``storage.root`` of the configuration if it is not given.
    create : bool, optional
        Make the archive if the folder holds none.
    tenant : int, optional
        Whose part of the archive of a folder; at an address the user decides.
    timeout_s : float, optional
        How long an archive at an address may be silent.

    Returns
    -------
    Archive
        To be closed, or used in a ``with`` statement.

    Raises
    ------
    NotFound
        If there is no archive in the folder.
    AlreadyOpen
        If another process has it open that is no server.
    Unreachable
        If nobody answers at the address.

    Examples
    --------
    >>> import vna
    >>> with vna.open("./vna-data") as archive:  # doctest: +SKIP
    ...     for series in archive.find("series", Modality="CT", PatientID="4711"):
    ...         first = series.instances()[0]
    ...         print(series.uid, first.dataset(header=True).SliceThickness, first.array().shape)
    """
    if where is None:
        return open_settings(load(None), create=create, tenant=tenant)
    text = os.fspath(where)
    if text.startswith(("http://", "https://")):
        require_own_tenant(tenant)
        remote = Remote(text, timeout_s=timeout_s)
        remote.statistics()  # whether it is there, and an archive
        return Archive(remote)
    flags = {"storage.root": str(Path(text))}
    return open_settings(load(None, flags=flags), create=create, tenant=tenant)


def open_settings(
    settings: Settings, url: str | None = None, *, create: bool = False, tenant: int = 1
) -> Archive:
    """Open the archive of a configuration, or the one at `url`; of a folder, that of a tenant."""
    return Archive(_backend(settings, url, create, tenant))


def _backend(settings: Settings, url: str | None, create: bool, tenant: int) -> Backend:
    if url is not None:
        require_own_tenant(tenant)
        return Remote(url)
    if (server := _server(settings, tenant)) is not None:
        return server
    if not create:
        try:
            running.require_archive(settings)
        except NotFound:
            root = settings.storage.root
            raise NotFound(f"no archive in {root}; create=True makes one") from None
    return Local.shared(settings, tenant)


def _server(settings: Settings, tenant: int) -> Remote | None:
    """Return the server that has the folder open, if it answers."""
    url = running.find(settings)
    if url is None:
        return None
    try:
        local = running.local_authorization(settings, tenant)
        trust = running.local_trust(settings)
        asked = Remote(url, timeout_s=ANSWER_S, authorization=local, trust=trust)
        asked.statistics()
        asked.close()
    except (Unreachable, VnaError):
        return None  # left behind by a server that was killed; the lock tells if one lives
    return Remote(url, authorization=local, trust=trust)
