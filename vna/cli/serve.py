"""`vna serve`: one process, one loop; the data plane's threads and the HTTP server inside it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from vna import log
from vna.dimse.services import register_services
from vna.dimse.serving import Serving
from vna.errors import SettingsError, StorageFailed, VnaError
from vna.rest import server as http_server
from vna.rest.app import Application
from vna.services import index_tags, running, users
from vna.services.archive import Archive
from vna.services.node import Node
from vna.settings import Settings

if TYPE_CHECKING:
    from vna.settings.orthanc import Note

logger = logging.getLogger(__name__)

EXIT_AT_ONCE = 130
# What `run` returns if it is to be run anew; no exit status, which are 0 to 255.
BEGIN_AGAIN = -1
# What answering late requests, and after it closing the archive, may take beyond the deadline.
END_GRACE_S = 1.0
SAID_OF_ORTHANC = {
    "none": "a key of Orthanc's configuration has no effect",
    "unknown": "a key of Orthanc's configuration is unknown",
    "remark": "Orthanc's configuration",
}


def serve(settings: Settings, notes: Iterable[Note] = ()) -> int:
    """Run the archive until SIGTERM or SIGINT; returns the exit status.

    `notes` are what there is to say of the configuration of an Orthanc.
    """
    log.configure(settings.log)
    for note in notes:
        if not note.is_quiet:
            extra = {"key": note.key, "reason": note.text}
            logger.warning(SAID_OF_ORTHANC[note.kind], extra=extra)
    refuse_forks()
    status = asyncio.run(run(settings))
    if status == BEGIN_AGAIN:
        logging.shutdown()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return status


async def run(settings: Settings) -> int:
    """Open, listen, wait, and stop in the order that loses nothing; returns the exit status."""
    signals = Signals()
    # A wrong setting and a taken port are known at once, recovery may take seconds.
    http_server.require(settings.http.server)
    users.require_users_beyond_loopback(settings)
    listeners = http_server.bind(settings.http)
    host, port = listeners[0].getsockname()[:2]
    with contextlib.ExitStack() as open_sockets:
        for listener in listeners:
            open_sockets.enter_context(contextlib.closing(listener))
        here = msgspec.structs.replace(
            settings, http=msgspec.structs.replace(settings.http, port=port)
        )
        # On a thread, so that the loop takes signals meanwhile.
        archive = await asyncio.to_thread(Archive, here)
        signals.archive_is_open = True
        archive.attach()
        node = Node(archive)
        node.ending = signals.end
        register_services()
        application = Application(node)
        http: http_server.HttpServer | None = None
        serving: asyncio.Task[None] | None = None
        announced: Path | None = None
        try:
            await node.start()
            await index_tags.fill(node)
            warn_of_open_doors(node)
            http = http_server.create(settings.http.server, application, listeners)
            serving = asyncio.create_task(http.serve())
            if not await answers((reachable(host), port), serving, tls=settings.http.tls):
                return 1
            dicom = listen_dicom(node)
            scheme = "https" if settings.http.tls else "http"
            url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
            announced = running.announce(settings, url, dicom)
            where = f"{dicom[0]}:{dicom[1]}" if dicom else "off"
            logger.info("ready", extra={"http": url, "dicom": where, "root": settings.storage.root})
            status = await until_stopped(signals.told_to_stop, serving)
            return BEGIN_AGAIN if signals.begins_again and not status else status
        finally:
            logger.info("stopping")
            if announced:
                announced.unlink(missing_ok=True)
            await stop(application, http, serving)
            logger.info("stopped")


def warn_of_open_doors(node: Node) -> None:
    """Tell the operator what others could read or do over HTTP."""
    http = node.archive.settings.http
    if http.is_local or http.tls:
        return
    if node.users.are_required:
        logger.warning("passwords cross the network in the clear; http.tls = true hides them")
    else:
        logger.warning("whoever reaches http.host may do everything; vna user add makes users")


async def answers(address: tuple[str, int], serving: asyncio.Task[None], *, tls: bool) -> bool:
    """Wait until the HTTP server answers; False if it ended instead, or raises why."""
    answering = asyncio.create_task(http_server.until_answering(address, tls=tls))
    await asyncio.wait({answering, serving}, return_when=asyncio.FIRST_COMPLETED)
    if answering.done():
        answering.result()
        return True
    answering.cancel()
    if isinstance(error := serving.exception(), VnaError):
        raise error  # a wrong certificate, say
    logger.error("the HTTP server ended by itself")
    return False


def listen_dicom(node: Node) -> tuple[str, int] | None:
    """Start the DICOM listener and note the port it got."""
    archive = node.archive
    settings = archive.settings
    if not settings.dicom.enabled:
        return None
    try:
        host, port = Serving(node).listen()
    except (OSError, StorageFailed) as error:
        wanted = f"{settings.dicom.host} port {settings.dicom.port}"
        raise SettingsError(f"dicom.port: cannot listen on {wanted}: {error}") from None
    dicom = msgspec.structs.replace(settings.dicom, port=port)
    archive.settings = msgspec.structs.replace(settings, dicom=dicom)
    return host, port


async def stop(
    application: Application,
    http: http_server.HttpServer | None,
    serving: asyncio.Task[None] | None,
) -> None:
    """Refuse what is new on both ways in, let end what runs, then end the data plane.

    All of it shares one `limits.shutdown_s`.
    """
    archive = application.node.archive
    loop = asyncio.get_running_loop()
    deadline = loop.time() + archive.settings.limits.shutdown_s
    if archive.settings.dicom.enabled:
        # Rejected as "local limit exceeded", transient (PS3.8 §9.3.4): peers come again later.
        none = msgspec.structs.replace(archive.settings.dicom, max_associations=0)
        archive.settings = msgspec.structs.replace(archive.settings, dicom=none)
        application.node.publish_policy()
    if http and serving:
        http.stop()
        await end_http(application, serving, deadline - loop.time())
    await application.node.stop()
    await archive.stop(max(END_GRACE_S, deadline - loop.time()))


async def end_http(application: Application, serving: asyncio.Task[None], wait_s: float) -> None:
    """Wait until the HTTP server has ended, refuse requests that are late, tell its error."""
    _, late = await asyncio.wait({serving}, timeout=wait_s)
    if late:
        logger.warning("HTTP requests did not end in time and are refused")
        application.end_requests()
        await asyncio.wait({serving}, timeout=END_GRACE_S)
    error = serving.exception() if serving.done() and not serving.cancelled() else None
    if error and not isinstance(error, SettingsError):  # of those the command tells
        logger.error("the HTTP server failed", exc_info=error)


async def until_stopped(told_to_stop: asyncio.Event, serving: asyncio.Task[None]) -> int:
    """Wait until we are told to stop, or the HTTP server ends by itself: exit status 1."""
    waiting = asyncio.create_task(told_to_stop.wait())
    await asyncio.wait({waiting, serving}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if told_to_stop.is_set():
        return 0
    logger.error("the HTTP server ended by itself")
    return 1


class Signals:
    """SIGTERM and SIGINT: the first stops in order, the second at once."""

    def __init__(self) -> None:
        self.told_to_stop = asyncio.Event()
        self.archive_is_open = False
        self.was_told = self.begins_again = False
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle, number)

    def end(self, again: bool) -> None:
        """Stop in order because a request says so, and begin again if so wanted."""
        logger.info("told to stop", extra={"by": "a request", "again": again})
        self.begins_again = again
        self.told_to_stop.set()

    def handle(self, number: signal.Signals) -> None:
        """Take one signal."""
        if self.was_told:
            # Whatever was answered is synced; the rest is what a crash would lose too.
            print("vna: second signal, ending at once", file=sys.stderr, flush=True)
            os._exit(EXIT_AT_ONCE)
        self.was_told, self.begins_again = True, False
        logger.info("told to stop", extra={"signal": number.name})
        if not self.archive_is_open:
            # Nothing was accepted yet, and a recovery that is cut off is done again.
            logger.info("stopped while the archive was being opened")
            os._exit(0)
        self.told_to_stop.set()


def reachable(host: str) -> str:
    """Return an address at which this machine reaches what listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def refuse_forks() -> None:
    """End a forked child at once: it would share the log's descriptors but none of its threads.

    Programs started with `subprocess` are not affected, they never run our code again.
    """

    def in_child() -> None:
        os.write(2, b"vna: a server does not fork; start children with subprocess or spawn\n")
        os._exit(70)

    os.register_at_fork(after_in_child=in_child)
