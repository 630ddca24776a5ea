"""Routes of remote archives, which are called over HTTP."""

from __future__ import annotations

from vna.rest.describe import DICOM, EXPAND, JSON, TEXT, Body, Entry, answer
from vna.rest.remote_routes import EMPTY, STARTED
from vna.rest.workflow_routes import imported_on_use

ONE = "/peers/{id}"

ROUTES = [
    Entry(
        "GET",
        "/peers",
        imported_on_use("peers.listed"),
        "Remote archives: their names, or what is known of them",
        answer("Peers"),
        (EXPAND,),
    ),
    Entry(
        "GET",
        ONE,
        imported_on_use("peers.operations"),
        "What can be asked of a remote archive",
        answer("Names"),
    ),
    Entry(
        "PUT",
        ONE,
        imported_on_use("peers.put"),
        "Add or change a remote archive",
        EMPTY,
        body=Body({JSON: "PeerBody"}, "An object; or URL, or URL, user and password"),
        refusals=(507,),
    ),
    Entry(
        "DELETE",
        ONE,
        imported_on_use("peers.remove"),
        "Forget a remote archive",
        EMPTY,
        refusals=(507,),
    ),
    Entry(
        "GET",
        f"{ONE}/configuration",
        imported_on_use("peers.configuration"),
        "What is known of a remote archive, but for its secrets",
        answer("Peer"),
    ),
    Entry(
        "GET",
        f"{ONE}/system",
        imported_on_use("peers.system"),
        "What a remote archive says that it is",
        answer("Any"),
    ),
    Entry(
        "POST",
        f"{ONE}/store",
        imported_on_use("peers.store"),
        "Send resources to a remote archive",
        STARTED,
        body=Body({JSON: "PeerSend", TEXT: "Text"}, "An id, a list of ids, or an object"),
        refusals=(507,),
    ),
    Entry(
        "POST",
        f"{ONE}/store-straight",
        imported_on_use("peers.store_straight"),
        "Send a file to a remote archive without storing it here",
        answer("Any"),
        body=Body({DICOM: "Bytes"}, "A DICOM file"),
    ),
]
