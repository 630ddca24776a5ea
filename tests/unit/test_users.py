"""Users: who is known, for how long, and what a wrong password costs."""

import asyncio
import base64
import os
import stat
import threading

import httpx
import pytest
from fakes import FakeArchive

from vna.control import Control, control_file, users
from vna.control.users import User
from vna.errors import BadRequest, Busy, Conflict, NotAllowed, NotFound, SettingsError
from vna.rest import access
from vna.rest.app import Application
from vna.services import passwords, running
from vna.services import users as service
from vna.services.node import Node
from vna.settings import Http, Settings, Storage


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """Compare passwords with little memory: what is proven here is what is around it."""
    from argon2 import PasswordHasher

    passwords.nobodys.cache_clear()
    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "hasher", lambda: cheap)
    yield
    passwords.nobodys.cache_clear()


@pytest.fixture
def compared(monkeypatch):
    """Count the passwords that are compared."""
    seen = []
    matches = passwords.matches

    def counted(password_hash, password):
        seen.append(password)
        return matches(password_hash, password)

    monkeypatch.setattr(passwords, "matches", counted)
    return seen


@pytest.fixture
def settings(tmp_path):
    return Settings(storage=Storage(root=str(tmp_path / "data")))


@pytest.fixture
async def node(settings):
    (control_file(settings.storage.root).parent.parent).mkdir()
    node = Node(FakeArchive(settings))
    await node.start()
    yield node
    await node.stop()


@pytest.fixture
def client(node):
    transport = httpx.ASGITransport(Application(node))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8042")


async def add(node, name="ann", role="write", tenant=1, password="a long secret"):
    """Add a user as `vna user add` does beside a server, which then looks."""
    hashed = passwords.hashed(password)
    await node.control.run(lambda c: users.add(c, User(name, role, tenant), hashed))
    await node.users._look()


async def test_a_user_is_known_by_the_password_and_by_nothing_else(node):
    await add(node, tenant=3)
    assert await node.users.verify("ann", "a long secret") == User("ann", "write", 3)
    for name, password in (("ann", "a long secre"), ("bob", "a long secret"), ("", "")):
        assert await node.users.verify(name, password) is None


async def test_a_password_is_compared_once_and_again_when_any_user_changed(node, compared):
    await add(node)
    for _ in range(3):
        assert await node.users.verify("ann", "a long secret")
    assert len(compared) == 1
    await add(node, "bob")
    assert await node.users.verify("ann", "a long secret")
    assert len(compared) == 2
    await node.control.run(lambda c: users.remove(c, "ann"))
    await node.users._look()
    assert await node.users.verify("ann", "a long secret") is None


async def test_what_is_remembered_ends(node, compared, monkeypatch):
    await add(node)
    monkeypatch.setattr(service, "REMEMBER_S", 0.0)
    for _ in range(2):
        assert await node.users.verify("ann", "a long secret")
    assert len(compared) == 2


async def test_many_requests_of_one_user_compare_one_password(node, compared):
    await add(node)
    asked = [node.users.verify("ann", "a long secret") for _ in range(200)]
    assert all(await asyncio.gather(*asked))
    assert len(compared) == 1


async def test_who_goes_away_takes_no_answer_from_others(node):
    await add(node)
    first = asyncio.create_task(node.users.verify("ann", "a long secret"))
    second = asyncio.create_task(node.users.verify("ann", "a long secret"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == User("ann", "write", 1)


async def test_an_unknown_name_costs_a_comparison_too(node, compared):
    await add(node)
    assert await node.users.verify("nobody", "a long secret") is None
    assert compared == ["a long secret"]


async def test_wrong_passwords_wait_longer_each_time_and_a_right_one_ends_it(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(service.time, "monotonic", lambda: clock[0])
    suspect = service.Suspect()
    delays = []
    for _ in range(8):
        delays.append(suspect.delay_s())
        suspect.failed()
    assert delays == [0, 0.25, 0.5, 1, 2, 4, 8, 8]
    clock[0] += 3
    assert suspect.delay_s() == 5
    clock[0] += service.FORGIVE_S
    assert suspect.delay_s() == 0


async def test_one_address_cannot_fill_the_queue_of_comparisons(node, monkeypatch):
    monkeypatch.setattr(service, "MOST_FROM_ADDRESS", 2)
    monkeypatch.setattr(service, "MOST_WAITING", 4)
    await add(node)
    waiting = [asyncio.create_task(node.users.verify(name, "x", "1.1.1.1")) for name in "ab"]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await node.users.verify("c", "x", "1.1.1.1")
    assert await node.users.verify("ann", "a long secret", "2.2.2.2")
    assert await asyncio.gather(*waiting) == [None, None]
    assert not node.users._comparing
    assert not node.users._from


def test_names_and_passwords_have_rules():
    for name in ("", "a:b", " ann", "x" * 65, "a\nb", "-a"):
        with pytest.raises(BadRequest):
            users.require_name(name)
    assert users.require_name("jürgen.o'hara"[:8])
    for password in ("short", "x" * 2000):
        with pytest.raises(BadRequest):
            users.require_password(password)
    with pytest.raises(BadRequest):
        users.require_role("root")


async def test_a_name_is_taken_once(node):
    await add(node)
    with pytest.raises(Conflict, match="ann"):
        await add(node)
    for change in (users.set_password, users.set_role):
        with pytest.raises(NotFound, match="bob"):
            await node.control.run(lambda c, change=change: change(c, "bob", "read"))


async def test_hashes_of_passwords_are_readable_by_the_owner_alone(node, settings):
    folder = control_file(settings.storage.root).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    secret = running.secret_file(settings.storage.root)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def basic(name, password):
    return {"Authorization": running.basic_authorization(name, password)}


async def test_without_users_nobody_is_asked(client, node):
    assert (await client.get("/jobs")).status_code == 200
    assert node.archive.asks_who is False


async def test_with_a_user_everybody_is_asked_before_a_body_is_read(client, node):
    await add(node)
    assert node.archive.asks_who is True

    async def body():
        raise AssertionError("the body was read")
        yield b""

    answer = await client.post("/instances", content=body())
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="VNA", charset="UTF-8"'
    assert answer.json()["OrthancStatus"] == 29
    assert (await client.get("/health/live")).status_code == 200
    assert (await client.get("/health/ready")).status_code == 200


async def test_a_known_user_is_the_caller_and_the_core_may_answer_him(client, node):
    await add(node, tenant=4)
    header = basic("ann", "a long secret")
    answer = await client.post("/instances", content=b"data", headers=header)
    assert answer.status_code == 200
    (caller,) = node.archive.callers
    assert (caller.user, caller.tenant, caller.way_in) == ("ann", 4, "rest")
    assert node.archive.remembered == [(header["Authorization"], 4)]


async def test_who_was_changed_while_he_was_verified_is_not_remembered(client, node, monkeypatch):
    await add(node)
    matches = passwords.matches

    def slow(password_hash, password):
        asyncio.run_coroutine_threadsafe(add(node, "bob"), loop).result()
        return matches(password_hash, password)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(passwords, "matches", slow)
    answer = await client.get("/jobs", headers=basic("ann", "a long secret"))
    assert answer.status_code == 200
    assert not node.archive.remembered
    assert not node.users._remembered


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"ann:wrong password").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Bearer abc",
        "VNA-Local 00",
        "VNA-Local é",
    ],
)
async def test_who_is_not_known_is_refused(client, node, header):
    await add(node)
    answer = await client.get("/jobs", headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert not node.archive.remembered


async def test_the_owner_of_the_folder_needs_no_password(client, node, settings):
    await add(node)
    header = {"Authorization": running.local_authorization(settings)}
    assert (await client.get("/jobs", headers=header)).status_code == 200


@pytest.fixture
def looking(monkeypatch):
    """Let a node that is started after this look often."""
    monkeypatch.setattr(service, "LOOK_S", 0.01)


def add_beside(settings, name):
    """Add a user as another process does."""
    beside = Control(control_file(settings.storage.root))
    hashed = passwords.hashed("a long secret")
    beside.run_blocking(lambda c: users.add(c, User(name, "read", 1), hashed))
    beside.close()


async def required(node):
    for _ in range(6000):
        if node.users.are_required:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_server_notices_what_another_process_changed(looking, node, settings):
    add_beside(settings, "eve")
    assert await required(node)


async def test_a_change_is_noticed_that_was_being_written_when_it_was_looked(
    looking, node, settings
):
    begun, may_end = threading.Event(), threading.Event()
    hashed = passwords.hashed("a long secret")

    def slowly(connection):
        users.add(connection, User("eve", "read", 1), hashed)
        begun.set()
        may_end.wait(60)

    beside = Control(control_file(settings.storage.root))
    writing = asyncio.create_task(beside.run(slowly))
    await asyncio.to_thread(begun.wait, 60)
    await asyncio.sleep(0.1)
    assert not node.users.are_required
    may_end.set()
    await writing
    beside.close()
    assert await required(node)


async def test_a_change_is_noticed_though_no_file_looks_changed(looking, node, settings):
    """A commit is seen when the journal was synced, which is after the last write to it."""
    journal = control_file(settings.storage.root).with_name("control.sqlite-wal")
    os.truncate(journal, 1 << 20)  # as it is after a busy day: what is written does not lengthen it
    before = journal.stat()
    await asyncio.sleep(0.1)
    add_beside(settings, "eve")
    os.utime(journal, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = journal.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert await required(node)


READER, WRITER, ADMIN = (User(name, name, 1) for name in ("read", "write", "admin"))
READS = [
    ("GET", "/studies"),
    ("HEAD", "/instances/x/file"),
    ("POST", "/tools/find"),
    ("POST", "/tools/lookup"),
    ("POST", "/studies/x/archive"),
]
WRITES = [
    ("POST", "/instances"),
    ("DELETE", "/studies/x"),
    ("PUT", "/studies/x/labels/a"),
    ("POST", "/modalities/x/store"),
    ("POST", "/jobs/x/cancel"),
    ("DELETE", "/tools/find"),
    ("POST", "/studies/x/archive/y"),
    ("POST", "/web/studies"),
    ("POST", "/web/servers/x/stow"),
]
ADMINISTERS = [
    ("PUT", "/modalities/x"),
    ("DELETE", "/modalities/x/"),
    ("POST", "/tools/erase"),
    ("POST", "/tools/index-tags"),
    ("DELETE", "/tools/index-tags"),
    ("POST", "/tools/reconstruct"),
    ("POST", "/tools/shutdown"),
    ("PUT", "/tools/log-level-http"),
    ("DELETE", "/changes"),
    ("PUT", "/web/servers/x"),
    ("DELETE", "/web/servers/x/"),
]


def test_each_role_may_what_it_is_for():
    for user, may in ((READER, READS), (WRITER, READS + WRITES)):
        for request in READS + WRITES + ADMINISTERS:
            if request in may:
                access.require_right(user, *request, "/web")
            else:
                with pytest.raises(NotAllowed, match=user.name):
                    access.require_right(user, *request, "/web")
    for request in READS + WRITES + ADMINISTERS:
        access.require_right(ADMIN, *request, "/web")


async def test_who_may_not_is_told_so(client, node):
    await add(node, role="read")
    header = basic("ann", "a long secret")
    assert (await client.get("/jobs", headers=header)).status_code == 200
    answer = await client.delete("/instances/x", headers=header)
    assert (answer.status_code, answer.json()["OrthancStatus"]) == (403, 45)
    spoofed = await client.get("/instances/x?_method=DELETE", headers=header)
    assert spoofed.status_code == 403


def beyond(settings, **http):
    return Settings(storage=settings.storage, http=Http(host="0.0.0.0", **http))


def test_nobody_listens_beyond_loopback_without_a_user(settings):
    service.require_users_beyond_loopback(settings)
    open_to_all = beyond(settings, allow_remote_unauthenticated=True)
    service.require_users_beyond_loopback(open_to_all)
    with pytest.raises(SettingsError, match="vna user add"):
        service.require_users_beyond_loopback(beyond(settings))
    assert not os.path.exists(settings.storage.root)
    os.mkdir(settings.storage.root)
    control = Control(control_file(settings.storage.root))
    control.run_blocking(lambda c: users.add(c, User("ann", "read", 1), "x"))
    control.close()
    service.require_users_beyond_loopback(beyond(settings))


async def test_the_last_user_gone_opens_nothing_beyond_loopback(settings):
    node = Node(FakeArchive(beyond(settings)))
    await node.start()
    assert node.users.are_required
    await node.stop()
