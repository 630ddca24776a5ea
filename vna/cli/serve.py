"""`vna serve`: one process, one loop; the data plane's threads and the HTTP server inside it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from vna import log
from vna.cli import running
from vna.dimse.policy import compile_policy
from vna.errors import SettingsError, StorageFailed
from vna.rest import server as http_server
from vna.rest.app import Application
from vna.services.archive import Archive
from vna.settings import Settings

logger = logging.getLogger(__name__)

EXIT_AT_ONCE = 130


def serve(settings: Settings) -> None:
    """Run the archive until SIGTERM or SIGINT."""
    log.configure(settings.log)
    refuse_forks()
    asyncio.run(run(settings))


async def run(settings: Settings) -> None:
    """Open, listen, wait, and stop in the order that loses nothing."""
    loop = asyncio.get_running_loop()
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal(number, told_to_stop))

    # The port first: whether it is taken is known at once, recovery may take seconds.
    listener = http_server.bind(settings.http)
    host, port = listener.getsockname()[:2]
    with contextlib.closing(listener):
        archive = Archive(
            msgspec.structs.replace(
                settings, http=msgspec.structs.replace(settings.http, port=port)
            )
        )
        archive.attach()
        application = Application(archive)
        http = http_server.create(settings.http.server, application, listener)
        serving = asyncio.create_task(http.serve())
        announced: Path | None = None
        try:
            await http_server.until_listening((reachable(host), port))
            dicom = listen_dicom(archive)
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            announced = running.announce(settings, url, dicom)
            where = f"{dicom[0]}:{dicom[1]}" if dicom else "off"
            logger.info("ready", extra={"http": url, "dicom": where, "root": settings.storage.root})
            await wait_for_either(told_to_stop, serving)
        finally:
            logger.info("stopping")
            if announced:
                announced.unlink(missing_ok=True)
            await stop(http, serving, application)
    logger.info("stopped")


def listen_dicom(archive: Archive) -> tuple[str, int] | None:
    """Start the DICOM listener and note the port it got."""
    settings = archive.settings
    if not settings.dicom.enabled:
        return None
    try:
        host, port = archive.listen(compile_policy(settings.dicom))
    except (OSError, StorageFailed) as error:
        wanted = f"{settings.dicom.host} port {settings.dicom.port}"
        raise SettingsError(f"dicom.port: cannot listen on {wanted}: {error}") from None
    dicom = msgspec.structs.replace(settings.dicom, port=port)
    archive.settings = msgspec.structs.replace(settings, dicom=dicom)
    return host, port


async def stop(
    http: http_server.HttpServer, serving: asyncio.Task[None], application: Application
) -> None:
    """Refuse new requests, let the running ones end, then end the data plane."""
    archive = application.archive
    http.stop()
    _, late = await asyncio.wait({serving}, timeout=archive.settings.limits.shutdown_s)
    if late:
        logger.warning("HTTP requests did not end in time and are refused")
        application.end_requests()
        await asyncio.wait({serving}, timeout=1.0)
    await archive.stop()


async def wait_for_either(event: asyncio.Event, task: asyncio.Task[None]) -> None:
    """Wait until we are told to stop or the HTTP server ends by itself."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        logger.error("the HTTP server ended by itself")


def on_signal(number: signal.Signals, told_to_stop: asyncio.Event) -> Callable[[], None]:
    """Return the handler: the first signal stops in order, the second at once."""

    def handle() -> None:
        if told_to_stop.is_set():
            # Whatever was answered is synced; the rest is what a crash would lose too.
            print("vna: second signal, ending at once", file=sys.stderr, flush=True)
            os._exit(EXIT_AT_ONCE)
        logger.info("told to stop", extra={"signal": number.name})
        told_to_stop.set()

    return handle


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
