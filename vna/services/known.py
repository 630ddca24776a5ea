"""Remote nodes by name: those of the configuration, and those that were set while it runs.

Every name is one node. What the configuration names holds at each start; a change of it at run
time lasts until then. All others are kept in the control database.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec

from vna.control import Control
from vna.errors import NotFound
from vna.settings import Modality, Peer, WebServer

logger = logging.getLogger(__name__)

T = TypeVar("T", Modality, Peer, WebServer)


class Known(Generic[T]):
    """The remote nodes of one kind that this one knows.

    Parameters
    ----------
    kind : type
        What they are: Modality, Peer or WebServer.
    configured : iterable
        Those of the configuration.
    changed : callable
        Called after every change.
    """

    # What one is called in messages, and the table of the control database.
    noun = ""
    unknown: type[NotFound] = NotFound

    def __init__(self, kind: type[T], configured: Iterable[T], changed: Callable[[], None]):
        self._kind: type[T] = kind
        self._by_name: dict[str, T] = {each.name: each for each in configured}
        self._configured = frozenset(self._by_name)
        self._changed = changed
        self._control: Control | None = None

    async def start(self, control: Control) -> None:
        """Read those that were set at run time; the configuration's come before them."""
        self._control = control
        for each in await control.run(self._kept):
            self._by_name.setdefault(each.name, each)

    def get(self, name: str) -> T:
        """Return the node of a name; raises `unknown`."""
        found = self._by_name.get(name)
        if found is None:
            raise self.unknown(f"no {self.noun} is called {name!r}")
        return found

    def all(self) -> list[T]:
        """Return all, by name."""
        return sorted(self._by_name.values(), key=lambda each: each.name)

    async def set(self, node: T) -> None:
        """Add a node, or change the one of its name."""
        if node.name not in self._configured:
            await self._run(lambda connection: self._keep(connection, node))
        self._by_name[node.name] = node
        self._tell(node.name)

    async def remove(self, name: str) -> None:
        """Forget a node; nothing if there is none."""
        if name not in self._by_name:
            return
        if name not in self._configured:
            await self._run(lambda connection: self._forget(connection, name))
        del self._by_name[name]
        self._tell(name)

    def _tell(self, name: str) -> None:
        if name in self._configured:
            logger.warning(
                f"changed until the next start: the configuration has this {self.noun}",
                extra={self.noun: name},
            )
        self._changed()

    async def _run(self, work: Callable[[sqlite3.Connection], None]) -> None:
        if self._control is None:
            raise RuntimeError("the remote nodes have not been started")
        await self._control.run(work)
        await self._control.overwrite()  # of a password that is not used any more nothing stays

    def _kept(self, connection: sqlite3.Connection) -> list[T]:
        kept = []
        for name, definition in connection.execute(f"SELECT name, definition FROM {self.noun}"):
            try:
                kept.append(msgspec.json.decode(definition, type=self._kind))
            except msgspec.ValidationError as error:
                # Written by another version: the others are not to suffer for it.
                extra = {self.noun: name, "reason": str(error)}
                logger.error(f"a {self.noun} of the control database cannot be read", extra=extra)
        return kept

    def _keep(self, connection: sqlite3.Connection, node: T) -> None:
        definition = msgspec.json.encode(node).decode()
        connection.execute(
            f"INSERT INTO {self.noun} VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET definition = excluded.definition",
            (node.name, definition),
        )

    def _forget(self, connection: sqlite3.Connection, name: str) -> None:
        connection.execute(f"DELETE FROM {self.noun} WHERE name = ?", (name,))
