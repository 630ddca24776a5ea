"""One running server process: the archive and what works beside it."""

from __future__ import annotations

from pathlib import Path

from vna.control import Control, control_file
from vna.jobs import Jobs
from vna.services.archive import Archive


class Node:
    """What the ways in reach the archive by.

    Attributes
    ----------
    archive : Archive
        The data plane.
    jobs : Jobs
        Long actions. Their types are registered before `start`.
    """

    def __init__(self, archive: Archive):
        self.archive = archive
        self._control: Control | None = None
        settings = archive.settings
        self.jobs = Jobs(settings.jobs, Path(settings.storage.root) / "control" / "outputs")

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
        await self.jobs.start(self._control)

    async def stop(self) -> None:
        """End what runs in the background and close the control database."""
        await self.jobs.stop()
        if self._control is not None:
            self._control.close()
            self._control = None
