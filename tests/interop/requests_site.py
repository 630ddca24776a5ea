"""Remote archives over HTTP, and what is asked of the server itself: tools, plugins, methods."""

from requests_remote import delete, put
from support_compare import Request
from support_peers_http import Stub
from support_requests import NO_SUCH_ID, get, post

# Nobody listens on it.
NOWHERE = "http://127.0.0.1:1/"


def peers(held):
    """Configure remote archives, rightly and wrongly, and send to them."""
    yield get("/peers")
    one = "/peers/one"
    for name, body in {
        "(list)": ["http://h:1"],
        "(list with user)": ["http://h:1/base", "alice", "secret"],
        "(object)": {"Url": "https://h/"},
        "(all that there is)": {
            "Url": "https://h/base",
            "Username": "alice",
            "Password": "secret",
            "HttpHeaders": {"Token": "x", "A": "y"},
            "Pkcs11": False,
            "Timeout": 5,
        },
        "(no such certificate)": {"Url": "https://h/", "CertificateFile": "/nowhere/c.pem"},
        "(empty list)": [],
        "(list of two)": ["http://h:1", "alice"],
        "(list of four)": ["http://h:1", "alice", "secret", "x"],
        "(no URL)": {"Username": "alice"},
        "(another scheme)": ["ftp://h"],
        "(number)": [1],
        "(no JSON)": b"x",
    }.items():
        yield put(one, body, name)
        yield get(f"{one}/configuration", f"{one}/configuration {name}")
        # What one of both keeps of a wrong one is not to be seen later.
        yield put(one, ["http://h:1"], f"(after {name})")
    yield put("/peers/a%20b", ["http://h:1"], "(a name with a space)")
    yield get("/peers")
    yield get("/peers?expand")
    yield get(one)
    yield delete(one)
    yield delete(one)
    for tail in ("", "/configuration", "/system", "/nothing"):
        yield get(f"/peers/unknown{tail}")
    for method, path in (("POST", one), ("GET", f"{one}/store"), ("PUT", "/peers")):
        yield Request(f"{method} {path}", method, path, None if method == "GET" else b"{}")
    yield from sends(held)


def sends(held):
    """Send to an archive that takes everything, to one that takes nothing, and to nobody."""
    one = next(each for each in held if each.name.endswith("CT_small.dcm"))
    instance = one.ids["instances"]

    def refuse(request, body):
        request.answer(400, b'{"Details": "no"}')
        return True

    with Stub() as good, Stub(refuse) as bad:
        yield put("/peers/good", [good.url, "alice", "secret"], "")
        yield put("/peers/bad", [bad.url], "")
        yield put("/peers/nowhere", [NOWHERE], "")
        for name, body in {
            "(id)": instance.encode(),
            "(list)": [instance],
            "(object)": {"Resources": [instance]},
            "(study)": [one.ids["studies"]],
            "(compressed)": {"Resources": [instance], "Compress": True},
            "(transcoded)": {"Resources": [instance], "Transcode": "1.2.840.10008.1.2"},
            "(no transfer syntax)": {"Resources": [instance], "Transcode": "1.2.3"},
            "(nothing of it)": [],
            "(no id)": NO_SUCH_ID.encode(),
            "(nothing)": b"",
            "(no resources)": {},
            "(number)": {"Resources": [1]},
            "(no switch)": {"Resources": [], "Compress": "x"},
        }.items():
            yield post("/peers/good/store", body, name)
        yield post("/peers/bad/store", [instance], "")
        yield post("/peers/bad/store", {"Resources": [instance], "Permissive": True}, "(all)")
        yield post("/peers/nowhere/store", [instance], "")
        yield post("/peers/unknown/store", instance.encode(), "")
        yield get("/peers/good/system")
        yield get("/peers/bad/system")
        yield get("/peers/nowhere/system")
        yield post("/peers/good/store-straight", b"abc", "(no DICOM)")
        yield post("/peers/bad/store-straight", b"abc", "(no DICOM)")
        yield get("/exports?last", "/exports?last (peer)")
        for name in ("good", "bad", "nowhere"):
            yield delete(f"/peers/{name}")
        yield delete("/exports")


def tools(held):
    """Ask and tell the server itself."""
    instance = next(each for each in held if each.name.endswith("CT_small.dcm")).ids["instances"]
    for path in ("/plugins", "/plugins/", "/plugins/none", "/tools/default-encoding"):
        yield get(path)
    for name in ("Latin1", "latin1", "Ascii", "Utf8", "Nope", ""):
        yield put("/tools/default-encoding", name.encode(), f"({name})")
    yield put("/tools/default-encoding", b"Latin1", "(again)")
    yield get("/tools/default-encoding", "/tools/default-encoding (at last)")
    yield post("/tools/execute-script", b"print(1)", "")
    yield post(f"/instances/{instance}/export", b"/nowhere/x.dcm", "")
    for method, path in (
        ("POST", "/tools"),
        ("PUT", "/plugins"),
        ("GET", "/tools/reset"),
        ("GET", "/tools/execute-script"),
        ("PUT", "/tools/shutdown"),
        ("GET", f"/instances/{NO_SUCH_ID}/export"),
        ("GET", "/system?_method=DELETE"),
        ("GET", "/system?_method=PATCH"),
        ("GET", "/tools/nothing"),
    ):
        yield Request(f"{method} {path}", method, path)
    for override in ("DELETE", "delete", "PUT", "GET"):
        yield post("/system", b"", f"as {override}", X_HTTP_Method_Override=override)
