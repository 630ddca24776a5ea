"""Remote archives: what is known of them, and what they are asked for."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import field
from starlette.responses import Response

from vna.errors import BadBody, UnknownItem, UnknownPeer
from vna.rest import remote_bodies as bodies
from vna.rest.answers import json_response
from vna.rest.job_bodies import JobBody, answer_job
from vna.rest.modalities import empty, encoded
from vna.rest.requests import Call
from vna.services import acceptance, peer_sending, peers, sending
from vna.services.peer_sending import PeerStore
from vna.settings import Peer
from vna.settings.orthanc import nodes

# What is below a peer, as clients of Orthanc list it.
BELOW = ["configuration", "store", "store-straight", "system"]


class StoreBody(JobBody, kw_only=True):
    """What to send, and how."""

    resources: list[str] = field(name="Resources")
    compress: bool = field(name="Compress", default=False)
    transcode: str = field(name="Transcode", default="")


def described(peer: Peer) -> dict[str, Any]:
    """Return a peer as clients read it: that there are secrets, but not which."""
    timeout_s = peer.timeout_s or 0
    found: dict[str, Any] = {
        "HttpHeaders": sorted(peer.headers),
        "Parallel": peer.parallel,
        "Pkcs11": False,
        "Timeout": int(timeout_s) if timeout_s == int(timeout_s) else timeout_s,
        "Url": peer.url,
    }
    if peer.username:
        found |= {"Password": None, "Username": peer.username}
    if peer.certificate:
        found |= {
            "CertificateFile": peer.certificate,
            "CertificateKeyFile": None,
            "CertificateKeyPassword": None,
        }
    return found


async def listed(call: Call) -> Response:
    """List the remote archives: their names, or with `expand` what is known of them."""
    known = call.node.peers.all()
    if call.flag("expand"):
        return encoded({peer.name: described(peer) for peer in known})
    return encoded([peer.name for peer in known])


async def operations(call: Call) -> Response:
    """List what can be asked of a remote archive."""
    call.node.peers.get(call.path("id"))
    return encoded(BELOW)


async def configuration(call: Call) -> Response:
    """Return what is known of a remote archive."""
    return encoded(described(call.node.peers.get(call.path("id"))))


async def put(call: Call) -> Response:
    """Add or change a remote archive."""
    name = call.path("id")
    if not bodies.MODALITY_NAME.fullmatch(name):
        raise BadBody(
            f"a peer is called {name[:64]!r}; a name has letters, digits, - and _, at most 64"
        )
    body = bodies.parsed(await bodies.read_text(call))
    await call.node.peers.set(nodes.peer(body, name))
    return empty()


async def remove(call: Call) -> Response:
    """Forget a remote archive."""
    name = call.path("id")
    try:
        call.node.peers.get(name)
    except UnknownPeer as error:
        raise UnknownItem(str(error), error.code) from None
    await call.node.peers.remove(name)
    return empty()


async def system(call: Call) -> Response:
    """Return what a remote archive says that it is."""
    found = await peers.system(call.node, call.node.peers.get(call.path("id")))
    return json_response(found)


async def store(call: Call) -> Response:
    """Send resources to a remote archive."""
    name = call.path("id")
    body = store_body(await bodies.read_text(call))
    peer = call.node.peers.get(name)
    if body.transcode and not acceptance.is_transfer_syntax(body.transcode):
        raise BadBody(f"Transcode is {body.transcode[:64]!r}, which is no transfer syntax")
    wanted = PeerStore(
        peer=name,
        resources=sorted(body.resources),
        instances=await sending.instances_of(call.node, body.resources, call.caller),
        permissive=body.permissive,
        compress=body.compress,
        transcode=body.transcode,
    )
    return await answer_job(
        call,
        body,
        peer_sending.TYPE,
        msgspec.to_builtins(wanted),
        destination=peer_sending.slot(name),
        show=peer_sending.shown(peer, wanted),
    )


def store_body(text: bytes) -> StoreBody:
    """Return what a body says: an id, a list of ids, or an object."""
    return bodies.as_form(bodies.resources_of(text), StoreBody)


async def store_straight(call: Call) -> Response:
    """Send the DICOM file in the body to a remote archive, without storing it here."""
    peer = call.node.peers.get(call.path("id"))
    with call.budget.account() as account:
        file = await call.body(account)
        answer = await peers.store_file(call.node, peer, file)
    return json_response(answer)
