"""Ports for servers that cannot be asked which one they took."""

import itertools
import os
import socket

# Below those that the system itself gives, to connections too: it may give one of its own to
# somebody else before the server that it was meant for listens.
FIRST, LAST = 10_000, 32_000
PROCESSES = 16  # at most, of one run of the tests


def _numbered():
    """Yield the ports of this process: no other process of the run has them."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
    mine = range(FIRST + process, LAST, PROCESSES)
    start = os.getpid() % len(mine)  # another run beside this one begins elsewhere
    yield from itertools.cycle((*mine[start:], *mine[:start]))


_PORTS = _numbered()


def free_port():
    """Return a port that nobody listens on; each call returns another one."""
    for port in itertools.islice(_PORTS, LAST - FIRST):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))  # every address, as a server may
            except OSError:
                continue
            return port
    raise OSError("every port is taken")
