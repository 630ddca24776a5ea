"""Remote DICOM nodes: those of the configuration, and those that were set while it runs.

Every name is one node. What the configuration names holds at each start; a change of it at run
time lasts until then. All others are kept in the control database.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from vna.control import Control
from vna.errors import UnknownModality
from vna.settings import AeTitle, Modality

if TYPE_CHECKING:
    from vna.services.node import Node

logger = logging.getLogger(__name__)


class Modalities:
    """The remote nodes that this one knows.

    Parameters
    ----------
    configured : iterable of Modality
        Those of the configuration.
    publish : callable
        Called after every change: the policy table has the modalities too.
    """

    def __init__(self, configured: Iterable[Modality], publish: Callable[[], None]):
        self._configured = frozenset(modality.name for modality in configured)
        self._by_name = {modality.name: modality for modality in configured}
        self._publish = publish
        self._control: Control | None = None

    async def start(self, control: Control) -> None:
        """Read those that were set at run time; the configuration's come before them."""
        self._control = control
        for kept in await control.run(kept_modalities):
            self._by_name.setdefault(kept.name, kept)

    def get(self, name: str) -> Modality:
        """Return the node of a name; raises UnknownModality."""
        found = self._by_name.get(name)
        if found is None:
            raise UnknownModality(f"no modality is called {name!r}; see /modalities")
        return found

    def all(self) -> list[Modality]:
        """Return all, by name."""
        return sorted(self._by_name.values(), key=lambda modality: modality.name)

    def by_ae_title(self, ae_title: str, host: str | None = None) -> Modality | None:
        """Return the node with an AE title: the one at `host` if several share it, or the first.

        Only if nobody has it as it is written, upper and lower case are the same: peers that
        change the case are too common to be refused.
        """
        wanted = ae_title.strip()
        same = [each for each in self.all() if each.aet.strip() == wanted]
        if not same:
            folded = wanted.casefold()
            same = [each for each in self.all() if each.aet.strip().casefold() == folded]
        at_host = [each for each in same if each.host == host]
        return next(iter(at_host or same), None)

    async def set(self, modality: Modality) -> None:
        """Add a node, or change the one of its name."""
        if modality.name not in self._configured:
            await self._run(lambda connection: keep_modality(connection, modality))
        self._by_name[modality.name] = modality
        self._changed(modality.name)

    async def remove(self, name: str) -> None:
        """Forget a node; nothing if there is none."""
        if name not in self._by_name:
            return
        if name not in self._configured:
            await self._run(lambda connection: forget_modality(connection, name))
        del self._by_name[name]
        self._changed(name)

    def _changed(self, name: str) -> None:
        if name in self._configured:
            logger.warning(
                "changed until the next start: the configuration has this modality",
                extra={"modality": name},
            )
        self._publish()

    async def _run(self, work: Callable[[sqlite3.Connection], None]) -> None:
        if self._control is None:
            raise RuntimeError("the modalities have not been started")
        await self._control.run(work)


class Contact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A remote node and how one request wants it called; what it does not say is configured.

    Kept with jobs and queries: what is changed of the modality meanwhile holds for them too.
    """

    modality: str
    host: str | None = None
    port: int | None = None
    called_ae_title: AeTitle | None = None
    calling_ae_title: AeTitle | None = None
    timeout_s: float | None = None

    def modality_of(self, node: Node) -> Modality:
        """Return the remote node as it is to be called; raises UnknownModality."""
        said: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "aet": self.called_ae_title,
            "local_aet": self.calling_ae_title,
            "timeout_s": self.timeout_s,
        }
        changes = {name: value for name, value in said.items() if value is not None}
        return msgspec.structs.replace(node.modalities.get(self.modality), **changes)


def kept_modalities(connection: sqlite3.Connection) -> list[Modality]:
    """Return what the control database has."""
    kept = []
    for name, definition in connection.execute("SELECT name, definition FROM modality"):
        try:
            kept.append(msgspec.json.decode(definition, type=Modality))
        except msgspec.ValidationError as error:
            # Written by another version: the others are not to suffer for it.
            extra = {"modality": name, "reason": str(error)}
            logger.error("a modality of the control database cannot be read", extra=extra)
    return kept


def keep_modality(connection: sqlite3.Connection, modality: Modality) -> None:
    """Write one."""
    definition = msgspec.json.encode(modality).decode()
    connection.execute(
        "INSERT INTO modality VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET definition = excluded.definition",
        (modality.name, definition),
    )


def forget_modality(connection: sqlite3.Connection, name: str) -> None:
    """Remove one."""
    connection.execute("DELETE FROM modality WHERE name = ?", (name,))
