"""One running server process: the archive and what works beside it."""

from __future__ import annotations

from vna.control import Control, control_file
from vna.services.archive import Archive


class Node:
    """What the ways in reach the archive by.

    Attributes
    ----------
    archive : Archive
        The data plane.
    """

    def __init__(self, archive: Archive):
        self.archive = archive
        self._control: Control | None = None

    @property
    def control(self) -> Control:
        """The control database of the node."""
        if self._control is None:
            raise RuntimeError("the node has not been started")
        return self._control

    async def start(self) -> None:
        """Open the control database and begin what runs in the background.

        Raises
        ------
        StorageFailed
            If the control database cannot be opened.
        """
        self._control = Control(control_file(self.archive.settings.storage.root))

    async def stop(self) -> None:
        """End what runs in the background and close the control database."""
        if self._control is not None:
            self._control.close()
            self._control = None
