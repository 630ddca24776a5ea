"""Users of the archive: who asks, found out once and remembered for a short time.

Invariants:
(1) A password is compared on a thread of its own, one at a time, and those who wait are bounded.
(2) Nothing is remembered of a password but a keyed hash, and that only until any user changes.
(3) An unknown name takes as long as a wrong password.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from vna.control import Control, control_file, users
from vna.control.users import User as User
from vna.errors import Busy, SettingsError, Unauthenticated
from vna.services import passwords, running
from vna.settings import Settings

logger = logging.getLogger(__name__)

# How long a password that was compared is not compared again.
REMEMBER_S = 300.0
REMEMBERED = 4096
# Passwords that wait to be compared, all together and of one address; a client sends one again
# after 503.
MOST_WAITING = 64
MOST_FROM_ADDRESS = 32
# After a wrong password the next of the same name from the same place waits, twice as long each
# time; after a while without one it is forgotten.
FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 8.0
FORGIVE_S = 900.0
SUSPECTS = 4096
# How often it is looked whether `vna user` changed something: a look reads two pages in memory.
LOOK_S = 1.0
# The log tells a name that was tried, not all of what somebody may have sent for one.
SHOWN_NAME = 64

# Who has the secret of the archive's folder: the commands of its owner.
LOCAL = User("(local)", "admin", 1)

# Called with whether names are asked for, when that changes and when what is remembered is void.
Changed = Callable[[bool], None]


class Users:
    """The users of one node.

    Attributes
    ----------
    are_required : bool
        Whether requests over HTTP must say whose they are.
    revision : int
        Another one after each change of any user.
    """

    def __init__(self, settings: Settings):
        self._http = settings.http
        self._configured = {
            each.name: (User(each.name, each.role, each.tenant), each.password_hash)
            for each in settings.http.users
        }
        self._root = settings.storage.root
        self._local_secret = secrets.token_hex(32)
        self._control_of: Control | None = None
        self.revision = -1
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, tuple[User, float]] = OrderedDict()
        self._suspects: OrderedDict[tuple[str, str], Suspect] = OrderedDict()
        self._thread: ThreadPoolExecutor | None = None
        self._comparing: dict[bytes, asyncio.Task[User | None]] = {}
        self._from: Counter[str] = Counter()
        self._looking: asyncio.Task[None] | None = None
        self._changed: Changed = lambda required: None
        self.are_required = False

    @property
    def _control(self) -> Control:
        if self._control_of is None:
            raise RuntimeError("the users have not been started")
        return self._control_of

    async def start(self, control: Control) -> None:
        """Find out whether there are users, and look from time to time."""
        self._control_of = control
        await asyncio.to_thread(running.write_secret, self._root, self._local_secret)
        await self._look()
        self._looking = asyncio.create_task(self._keep_looking())

    async def stop(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        for comparing in self._comparing.values():
            comparing.cancel()
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None

    def on_change(self, changed: Changed) -> None:
        """Let `changed` know from now on what somebody else remembers is void."""
        self._changed = changed
        changed(self.are_required)

    async def verify(self, name: str, password: str, address: str = "") -> User | None:
        """Return the user if this is the password, else None, after some time.

        Raises
        ------
        Busy
            If too many passwords wait to be compared.
        """
        key = self._keyed(f"{name}\0{password}".encode())
        known = self._remembered.get(key)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        # A viewer begins with many requests at once, all of one user.
        comparing = self._comparing.get(key)
        if comparing is None:
            if len(self._comparing) >= MOST_WAITING or self._from[address] >= MOST_FROM_ADDRESS:
                raise Busy("too many passwords wait to be compared; send this again later")
            comparing = asyncio.create_task(self._compare(name, password, key, address))
            self._comparing[key] = comparing
            self._from[address] += 1
            comparing.add_done_callback(lambda _: self._compared(key, address))
        # Shielded: of several who wait one may go away.
        return await asyncio.shield(comparing)

    def _compared(self, key: bytes, address: str) -> None:
        del self._comparing[key]
        self._from[address] -= 1
        if not self._from[address]:
            del self._from[address]

    async def _compare(self, name: str, password: str, key: bytes, address: str) -> User | None:
        suspect = self._suspect(name[:SHOWN_NAME], address)
        async with suspect.lock:
            await asyncio.sleep(suspect.delay_s())
            revision = self.revision
            found = await self._find(name)
            user, password_hash = (None, None) if found is None else found
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="vna-passwords")  # (1)
            is_right = await asyncio.get_running_loop().run_in_executor(
                self._thread, passwords.matches, password_hash, password
            )
            if user is None or not is_right:
                suspect.failed()
                logger.warning(
                    "password refused", extra={"user": name[:SHOWN_NAME], "address": address}
                )
                return None
            suspect.failures = 0
        if revision == self.revision:  # (2)
            self._remembered[key] = user, time.monotonic() + REMEMBER_S
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        logger.info("user verified", extra={"user": user.name, "address": address})
        return user

    async def named(self, name: str) -> User | None:
        """Return the user of a name, whose word for it is all there is."""
        found = await self._find(name)
        return None if found is None else found[0]

    async def _find(self, name: str) -> tuple[User, str] | None:
        """Return a user and the hash of the password; the configuration's come first."""
        if name in self._configured:
            return self._configured[name]
        return await self._control.run(lambda connection: users.find(connection, name))

    async def require(self, name: str, password: str, address: str = "") -> User:
        """Return the user; raises Unauthenticated if this is not the password, Busy."""
        user = await self.verify(name, password, address)
        if user is None:
            raise Unauthenticated("no user has this name and password")
        return user

    def is_local(self, secret: str) -> bool:
        """Whether this is what only the owner of the archive's folder can read."""
        return secrets.compare_digest(secret.encode(), self._local_secret.encode())

    def _keyed(self, text: bytes) -> bytes:
        return hashlib.blake2b(text, key=self._key, digest_size=16).digest()

    def _suspect(self, name: str, address: str) -> Suspect:
        suspect = self._suspects.setdefault((name, address), Suspect())
        self._suspects.move_to_end((name, address))
        while len(self._suspects) > SUSPECTS:
            self._suspects.popitem(last=False)
        return suspect

    async def _keep_looking(self) -> None:
        failure = ""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                # Asked of the database itself: its files change before a commit can be seen, by as
                # long as the disk takes to sync, and no more when it can.
                await self._look()
                failure = ""
            except Exception as error:  # repeated; a task that ends would miss changes
                if repr(error) != failure:
                    logger.exception("users cannot be read")
                failure = repr(error)

    async def _look(self) -> None:
        """Forget what is remembered if any user was changed."""
        revision, are_there = await self._control.run(users.standing)
        if revision == self.revision:
            return
        self.revision = revision
        self._remembered.clear()
        http = self._http
        # Who listens wide had a user at the start; that the last one is gone opens nothing.
        is_wide = not http.is_local and not http.allow_remote_unauthenticated
        are_there = are_there or bool(self._configured)
        asked = {"on": True, "auto": are_there or is_wide, "off": False}
        self.are_required = asked[http.authentication]
        self._changed(self.are_required)


class Suspect:
    """Somebody who tries passwords for one name."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.failures = 0
        self._last = 0.0

    def failed(self) -> None:
        """Count a wrong password."""
        self.failures += 1
        self._last = time.monotonic()

    def delay_s(self) -> float:
        """Return how long the next one has to wait."""
        if not self.failures:
            return 0.0
        since = time.monotonic() - self._last
        if since > FORGIVE_S:
            self.failures = 0
            return 0.0
        delay = min(FIRST_DELAY_S * 2.0 ** min(self.failures - 1, 16), LONGEST_DELAY_S)
        return max(0.0, delay - since)


def require_users_beyond_loopback(settings: Settings) -> None:
    """Raise SettingsError if HTTP is to listen where others reach it and nobody could be asked."""
    http = settings.http
    if http.is_local or http.allow_remote_unauthenticated or http.users:
        return
    file = control_file(settings.storage.root)
    if file.exists():
        control = Control(file)
        try:
            _, are_there = control.run_blocking(users.standing)
        finally:
            control.close()
        if are_there:
            return
    raise SettingsError(
        f"http.host: {http.shown_hosts} can be reached from other machines and there is no user "
        "yet; make one with vna user add or in http.users, listen on 127.0.0.1 behind a proxy that "
        "authenticates, or set http.allow_remote_unauthenticated = true"
    )
