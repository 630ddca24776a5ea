"""Remote archives that are called over HTTP: which there are, and what one request asks of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vna.errors import UnknownPeer
from vna.services.known import Known
from vna.settings import Peer

if TYPE_CHECKING:
    from vna.services.http_client import Client
    from vna.services.node import Node


class Peers(Known[Peer]):
    """The remote archives that this node knows; `configured` are those of the configuration."""

    noun = "peer"
    unknown = UnknownPeer

    def __init__(self, configured: Iterable[Peer]):
        super().__init__(Peer, configured, lambda: None)


def client_of(node: Node, peer: Peer) -> Client:
    """Return who speaks to a peer.

    Raises
    ------
    PeerTlsFailed
        If a certificate or key that it needs cannot be read.
    """
    from vna.services import http_client  # few archives have peers

    peers = node.archive.settings.peers
    return http_client.Client(
        peer.url,
        headers=peer.headers,
        username=peer.username,
        password=peer.password,
        timeout_s=peer.timeout_s or peers.timeout_s,
        proxy=peers.proxy,
        tls=http_client.Tls(
            verify=peers.verify,
            trusted_certificates=peers.trusted_certificates,
            minimum_version=node.archive.settings.tls.minimum_version,
            certificate=peer.certificate,
            private_key=peer.private_key,
            private_key_password=peer.private_key_password,
        ),
    )


async def system(node: Node, peer: Peer) -> bytes:
    """Return what a peer says that it is, as JSON; raises PeerFailed."""
    async with client_of(node, peer) as client:
        return await client.ask("GET", "/system")


async def store_file(node: Node, peer: Peer, file: bytes) -> bytes:
    """Send a file that is not stored and return what the peer says of it; raises PeerFailed."""
    from vna.services.http_client import held

    async with client_of(node, peer) as client:
        return await client.ask("POST", "/instances", held(file, "application/dicom"))
