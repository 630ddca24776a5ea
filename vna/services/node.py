"""One running server process: the archive and what works beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from vna.control import Control, control_file
from vna.jobs import Jobs
from vna.services.archive import Archive
from vna.services.modalities import Modalities
from vna.services.peers import Peers
from vna.services.users import Users
from vna.services.web_servers import WebServers

if TYPE_CHECKING:
    from vna.jobs import Job
    from vna.jobs.job import Run
    from vna.services.remote_queries import Queries
    from vna.services.worklist import Worklist

# Jobs by the module that does them, which is imported by the first of them.
JOBS = {
    "DicomModalityStore": "sending",
    "DicomMoveScu": "retrieving",
    "DicomGetScu": "retrieving",
    "StorageCommitmentScp": "commitment.exchange",
    "StorageCommitmentScu": "commitment.exchange",
    "Archive": "archives",
    "Media": "archives",
    "MergeStudy": "modifying",
    "ResourceModification": "modifying",
    "SplitStudy": "modifying",
    "OrthancPeerStore": "peer_sending",
    "DicomWebStowClient": "web_storing",
    "DicomWebWadoRetrieveClient": "web_retrieving",
}


class Node:
    """What the ways in reach the archive by.

    Attributes
    ----------
    archive : Archive
        The data plane.
    jobs : Jobs
        Long actions. Their types are registered before `start`.
    modalities : Modalities
        The remote DICOM nodes that it knows.
    peers : Peers
        The remote archives that it calls over HTTP.
    web_servers : WebServers
        The remote DICOMweb servers that it calls.
    users : Users
        Who may use the archive.
    ending : callable, optional
        What ends the process, and begins it again if given true; set by who runs it.
    gives_metrics : bool
        Whether clients that read metrics under Orthanc's names get any.
    started_s : float
        When, by the clock that only goes on.
    publisher : callable, optional
        What `publish_policy` calls; set by the DICOM way in.
    """

    def __init__(self, archive: Archive):
        self.archive = archive
        self.publisher: Callable[[], None] | None = None
        self.ending: Callable[[bool], None] | None = None
        self._control: Control | None = None
        self._worklist: Worklist | None = None
        self._recycling: asyncio.Task[None] | None = None
        self.gives_metrics = True
        self.started_s = time.monotonic()
        self._queries: Queries | None = None
        settings = archive.settings
        self.jobs = Jobs(settings.jobs, Path(settings.storage.root) / "control" / "outputs")
        self.users = Users(settings)
        self.modalities = Modalities(settings.dicom.modalities, self.publish_policy)
        self.peers = Peers(settings.peers.known)
        self.web_servers = WebServers(settings.dicomweb.servers)
        self.jobs.register("IndexTags", self._imported_on_use("index_tags"))
        for type_name, module in JOBS.items():
            self.jobs.register(type_name, self._imported_on_use(module))

    def publish_policy(self) -> None:
        """Let the DICOM listener decide by what holds now, from the next association on.

        To be called after a change of modalities or of `archive.settings.dicom` at run time.
        """
        if self.publisher is not None:
            self.publisher()

    @property
    def control(self) -> Control:
        """The control database of the node."""
        if self._control is None:
            raise RuntimeError("the node has not been started")
        return self._control

    @property
    def worklist(self) -> Worklist:
        """Scheduled procedure steps; imported when somebody asks for one."""
        if self._worklist is None:
            from vna.services.worklist import Worklist

            self._worklist = Worklist(self.archive, self.control)
        return self._worklist

    @property
    def queries(self) -> Queries:
        """Queries of remote nodes and their answers; imported when somebody asks for one."""
        if self._queries is None:
            from vna.services.remote_queries import Queries

            self._queries = Queries(self)
        return self._queries

    def _imported_on_use(self, module: str) -> Run:
        async def run(job: Job) -> None:
            await import_module(f"vna.services.{module}").run(self, job)

        return run

    async def start(self) -> None:
        """Open the control database and begin what runs in the background.

        Raises
        ------
        StorageFailed
            If the control database cannot be opened.
        """
        self._control = Control(control_file(self.archive.settings.storage.root))
        await self.modalities.start(self._control)
        await self.peers.start(self._control)
        await self.web_servers.start(self._control)
        await self.users.start(self._control)
        await self.jobs.start(self._control)
        if self.archive.recycles:
            from vna.services import recycling

            # Beside the rest: it may be much, and nothing waits for it but what needs room.
            self._recycling = asyncio.create_task(recycling.start(self.archive, self._control))

    async def stop(self) -> None:
        """End what runs in the background and close the control database."""
        if self._recycling is not None:
            self._recycling.cancel()
        await self.jobs.stop()
        await self.users.stop()
        if self._control is not None:
            self._control.close()
            self._control = None
