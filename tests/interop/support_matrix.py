"""The table service x role x peer: which cells there must be, and which were shown."""

import functools

PEERS = ("DCMTK", "pynetdicom", "Orthanc")

# What no peer of the kind has: nothing to talk to is no empty cell.
NOT_THERE = {
    ("Procedure step", "SCP", "DCMTK"): "DCMTK has no program for it",
    ("Procedure step", "SCP", "Orthanc"): "Orthanc has no MPPS",
    ("Procedure step", "SCU", "DCMTK"): "DCMTK has no program for it",
    ("Procedure step", "SCU", "Orthanc"): "Orthanc has no MPPS",
    ("Storage commitment", "SCP", "DCMTK"): "DCMTK has no program for it",
    ("Storage commitment", "SCU", "DCMTK"): "DCMTK has no program for it",
}

SERVICES = (
    "Verification",
    "Verification over TLS",
    "Storage",
    "C-FIND Patient Root",
    "C-FIND Study Root",
    "C-MOVE",
    "C-GET",
    "Worklist",
    "Procedure step",
    "Storage commitment",
)
ROLES = ("SCP", "SCU")

shown: set[tuple[str, str, str]] = set()


def cell(service, role, peer):
    """Mark a test as what shows that we are `role` of `service` with `peer`."""
    assert service in SERVICES
    assert role in ROLES
    assert peer in PEERS

    def decorate(test):
        @functools.wraps(test)
        def run(*arguments, **fixtures):
            test(*arguments, **fixtures)
            shown.add((service, role, peer))

        return run

    return decorate


def wanted():
    """Return every cell that must be shown."""
    every = {(service, role, peer) for service in SERVICES for role in ROLES for peer in PEERS}
    return every - set(NOT_THERE)


def table():
    """Return lines that show which cells were shown."""
    width = max(map(len, SERVICES))
    head = f"{'we are':{width + 4}}" + "".join(f"{peer:>12}" for peer in PEERS)
    lines = [head]
    for service in SERVICES:
        for role in ROLES:
            marks = [mark((service, role, peer)) for peer in PEERS]
            lines.append(f"{service:{width}} {role}" + "".join(f"{one:>12}" for one in marks))
    return lines


def mark(one):
    """Return what the table has in a cell."""
    if one in NOT_THERE:
        return "no such peer"
    return "shown" if one in shown else "EMPTY"
